/* SPDX-License-Identifier: MIT */
/* The feature sections of a recording: what is known of the machine and the session. */
#ifndef RETOUR_PERFDATA_FEATURE_H
#define RETOUR_PERFDATA_FEATURE_H

#include "base/vec.h"
#include "perfdata/format.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes that grow; once memory is short, bad is set and nothing more is added. */
struct bytes {
	VEC(unsigned char) vec;
	bool bad;
};

void bytes_add(struct bytes *bytes, const void *data, size_t size);
void bytes_free(struct bytes *bytes);

/* What the sections say that the machine itself does not tell. */
struct feature_source {
	const char *const *cmdline;		/* NULL-terminated, or NULL */
	const struct perf_event_attr *attrs;
	const char *const *names;
	size_t n_events;
	bool ids;				/* event i has the one ID i + 1 */
	uint64_t first_time, last_time;
};

/* Appends the section to out; false if there is nothing to say. */
bool feature_build(enum format_feature feature, const struct feature_source *source, struct bytes *out);

#endif
