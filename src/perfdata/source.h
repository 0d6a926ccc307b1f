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

struct source {
	int fd;
	uint64_t size;
	unsigned char *window;		/* read ahead of views that go forward */
	uint64_t window_start;
	size_t window_len;
	unsigned char *single;		/* a view away from the window */
	uint64_t last;			/* offset of the last view */
};

/* path "-" is standard input. */
ERROR_CHECK struct error *source_open(struct source *source, const char *path);
/* Accepts a zeroed source. */
void source_close(struct source *source);

/* All of the range, or false. */
bool source_read(const struct source *source, uint64_t offset, void *buffer, size_t size);

/* The range, at most SOURCE_VIEW_MAX bytes, until the next call; NULL if it cannot be read whole. */
const unsigned char *source_view(struct source *source, uint64_t offset, size_t size);

#endif
