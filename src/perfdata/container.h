/* SPDX-License-Identifier: MIT */
/*
 * What comes before and after the records of a recording.
 *
 * A file's header says "no features" until container_finish(), which is how
 * readers know a cut recording; the size of the data is kept with each flush.
 * It sets the feature bits after the sections are written: killed in between,
 * no section is ever taken for records.
 *
 * A stream has attributes and features as records in front, and ends with the
 * statistics; without them it was cut.
 *
 * Tracepoints come in the course of a recording.  Each is described by a record
 * of ours where it comes, so that a cut recording has it too.  perf wants all
 * descriptions at once, as a section or once in a stream, and refuses recordings
 * with tracepoints that have none: those are events without data to it.
 */
#ifndef RETOUR_PERFDATA_CONTAINER_H
#define RETOUR_PERFDATA_CONTAINER_H

#include "perfdata/feature.h"
#include "perfdata/output.h"
#include "perfdata/session.h"

ERROR_CHECK struct error *container_begin(struct output *output, struct session *session);
/* The last of the session's events, a tracepoint, has come. */
ERROR_CHECK struct error *container_add_event(struct output *output, const struct session *session);
/* A sample of this event is written next. */
ERROR_CHECK struct error *container_begin_sample(struct output *output, struct session *session, uint32_t event);
ERROR_CHECK struct error *container_finish(struct output *output, const struct session *session,
					   const struct bytes *stats);

#endif
