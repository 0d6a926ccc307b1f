/* SPDX-License-Identifier: MIT */
/* What a recording being written says about itself, whatever container it goes to. */
#ifndef RETOUR_PERFDATA_SESSION_H
#define RETOUR_PERFDATA_SESSION_H

#include "perfdata/writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session {
	struct perf_event_attr *attrs;
	char **names;			/* of the events */
	size_t n_events, max_events;
	size_t n_announced;		/* in a stream: of the events */
	struct tracing tracing;		/* those of them that are tracepoints, which are the last */
	char **cmdline;			/* NULL-terminated */
	bool deferred_records;		/* samples refer to type 22 records by cookie */
	uint64_t first_time, last_time;	/* of the samples */
};

/*
 * Event i has the one ID i + 1, written only where there are several events:
 * a single one needs none, and saves eight bytes a record.
 */
static inline bool session_has_ids(const struct session *session)
{
	return session->max_events > 1;
}

/* False if there is no room, or no memory. */
bool session_add_event(struct session *session, const struct perfdata_event *event);

/* False without memory; still to be freed. */
bool session_init(struct session *session, const struct perfdata_writer_options *options);
void session_free(struct session *session);

#endif
