/* SPDX-License-Identifier: MIT */
/*
 * What comes before and after the records of a recording.
 *
 * A file's header says "no data, no features" until container_finish(), which
 * is how readers know a cut recording.  It then sets the size of the data
 * before the feature sections are written, and the feature bits after: killed
 * in between, no section is ever taken for records.
 *
 * A stream has attributes and features as records in front, and ends with the
 * statistics; without them it was cut.
 */
#ifndef RETOUR_PERFDATA_CONTAINER_H
#define RETOUR_PERFDATA_CONTAINER_H

#include "perfdata/feature.h"
#include "perfdata/output.h"
#include "perfdata/session.h"

ERROR_CHECK struct error *container_begin(struct output *output, const struct session *session);
/* The last of the session's events, a tracepoint, has come. */
ERROR_CHECK struct error *container_add_event(struct output *output, const struct session *session);
ERROR_CHECK struct error *container_finish(struct output *output, const struct session *session,
					   const struct bytes *stats);

#endif
