/* SPDX-License-Identifier: MIT */
/*
 * Buffered output that is flushed at the borders of records only, so that what
 * has left the buffer is whole records unless a write stops in the middle; a
 * file is then cut back to the last whole one.  Its header says how far they go
 * after each flush: perf reads nothing of a recording whose data have no size.
 */
#ifndef RETOUR_PERFDATA_OUTPUT_H
#define RETOUR_PERFDATA_OUTPUT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define OUTPUT_BUFFER_SIZE (1u << 20)

struct output {
	char *path;
	int fd;
	bool stream;		/* cannot seek: nothing is patched in */
	bool failed;		/* nothing is written any more */
	uint64_t data_start;	/* where records begin; 0 before that is known, and after the last one */
	uint64_t written;	/* bytes that left the buffer */
	size_t used;
	unsigned char *buffer;
};

/* path "-" is standard output, always as a stream. */
ERROR_CHECK struct error *output_open(struct output *output, const char *path);
/* Accepts what output_open() left behind on failure. */
void output_close(struct output *output);

/* Room for size <= OUTPUT_BUFFER_SIZE bytes, all of which the caller fills in before the next call. */
ERROR_CHECK struct error *output_reserve(struct output *output, size_t size, unsigned char **ret);
ERROR_CHECK struct error *output_append(struct output *output, const void *data, size_t size);
ERROR_CHECK struct error *output_flush(struct output *output);
/* Overwrites a part of a file that has left the buffer. */
ERROR_CHECK struct error *output_patch(const struct output *output, uint64_t offset, const void *data, size_t size);

/* A position in reserved room. */
struct put {
	unsigned char *at;
};

static inline void put_bytes(struct put *put, const void *data, size_t size)
{
	if (size)
		memcpy(put->at, data, size);
	put->at += size;
}

static inline void put_u32(struct put *put, uint32_t value)
{
	put_bytes(put, &value, sizeof(value));
}

static inline void put_u64(struct put *put, uint64_t value)
{
	put_bytes(put, &value, sizeof(value));
}

/* A record's header. */
void put_header(struct put *put, uint32_t type, uint16_t misc, size_t size);

#endif
