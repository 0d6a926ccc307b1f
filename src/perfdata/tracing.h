/* SPDX-License-Identifier: MIT */
/*
 * Descriptions of tracepoints, as perf.data has them (HEADER_TRACING_DATA): the
 * text that the kernel gives in tracefs' events/SYSTEM/NAME/format, behind a
 * preamble that trace-cmd made up.  What is read is hostile.
 */
#ifndef RETOUR_PERFDATA_TRACING_H
#define RETOUR_PERFDATA_TRACING_H

#include "base/vec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tracing_kind {
	TRACING_SIGNED,
	TRACING_UNSIGNED,
	TRACING_POINTER,
	TRACING_FLOAT,
	TRACING_STRING,		/* u32 at the offset: where in the data its characters are, and << 16 how many with the 0 */
	TRACING_CHARS,		/* characters at the offset, up to a 0 or all */
	TRACING_BYTES,
};

struct tracing_field {
	char name[64], type[64];
	uint32_t offset, size;
	enum tracing_kind kind;
};

struct tracing_event {
	uint64_t id;		/* the event's attr.config, and common_type in its data */
	char system[128], name[128];
	VEC(struct tracing_field) fields;	/* without the common ones */
};

struct bytes;

struct tracing {
	VEC(struct tracing_event) events;
};

void tracing_free(struct tracing *tracing);
/* Takes over the fields; false without memory, and then nothing. */
bool tracing_add(struct tracing *tracing, struct tracing_event *event);
const struct tracing_event *tracing_find(const struct tracing *tracing, uint64_t id);

/* Appends the section of n events from first on. */
void tracing_build(const struct tracing *tracing, size_t first, size_t n, struct bytes *out);
/* Adds what a section describes; false if it is cut or corrupt: then up to there. */
bool tracing_parse(struct tracing *tracing, const unsigned char *data, size_t size);

/* A value of a field: bytes of text, or a number by its kind. */
struct tracing_value {
	enum tracing_kind kind;
	int64_t number;		/* TRACING_UNSIGNED and _POINTER: as uint64_t */
	double real;
	const char *text;	/* of TRACING_STRING, _CHARS and _BYTES */
	size_t len;
};

/* False if the data do not have it. */
bool tracing_value(const struct tracing_field *field, const unsigned char *raw, size_t size, struct tracing_value *ret);

#endif
