/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a recording, read with pread so that a file which shrinks under
 * us is a short read and no SIGBUS.  What cannot seek is spooled to an
 * unlinked temporary file first.
 */
#ifndef RETOUR_PERFDATA_SOURCE_H
#define RETOUR_PERFDATA_SOURCE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOURCE_VIEW_MAX (1u << 16)

/* A part of the file, aligned to its size. */
struct source_block {
	uint64_t number, last_use;
	unsigned char *data;		/* NULL: not in use yet */
	size_t len;			/* short at the end of the file */
};

enum {
	SOURCE_BLOCK_SIZE = 1 << 14,
	SOURCE_SETS = 64,
	SOURCE_WAYS = 4,
};

struct source {
	int fd;
	uint64_t size;
	uint64_t clock;			/* counts uses of blocks */
	struct source_block blocks[SOURCE_SETS][SOURCE_WAYS];
	unsigned char *view;
};

/* path "-" is standard input. */
ERROR_CHECK struct error *source_open(struct source *source, const char *path);
/* Accepts what source_open() left behind on failure, and zeros. */
void source_close(struct source *source);

/* All of the range, or false. */
bool source_read(const struct source *source, uint64_t offset, void *buffer, size_t size);

/* The range, at most SOURCE_VIEW_MAX bytes, until the next call; NULL if it cannot be read whole. */
const unsigned char *source_view(struct source *source, uint64_t offset, size_t size);

#endif
