/* SPDX-License-Identifier: MIT */
/*
 * What a recording says about itself, apart from its records: where they are,
 * the events, the feature sections that matter here, and how much of it all is
 * missing if it was cut.
 */
#ifndef RETOUR_PERFDATA_RECORDING_H
#define RETOUR_PERFDATA_RECORDING_H

#include "perfdata/event_table.h"
#include "perfdata/feature.h"
#include "perfdata/source.h"
#include "perfdata/tracing.h"

#include <stdbool.h>
#include <stdint.h>

struct recording {
	const char *path;		/* the caller's */
	struct event_table events;
	uint64_t data_start, data_end;
	bool stream;			/* attributes and features come among the records */
	bool stats_seen;		/* a stream's last record, so that a cut one is known */
	char *warning;			/* the first one, or NULL */
	char *os_release;
	struct bytes stats;
	struct tracing tracing;
};

ERROR_CHECK struct error *recording_open(struct recording *recording, struct source *source, const char *path);
void recording_close(struct recording *recording);

/* The description of tracepoints that follows a record of a stream; where there is none, fields are not shown. */
void recording_tracing(struct recording *recording, const struct source *source, uint64_t offset, uint64_t size);

/* A record of a type that is not the kernel's, whole with its header.  False if it is corrupt. */
bool recording_user_record(struct recording *recording, const unsigned char *data, size_t size);

/* Keeps the first warning. */
__attribute__((format(printf, 2, 3)))
void recording_warn(struct recording *recording, const char *fmt, ...);

#endif
