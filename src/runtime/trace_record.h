/* SPDX-License-Identifier: MIT */
/* Tracepoints that recordings want, by pattern, and what is written when they fire. */
#ifndef RETOUR_RUNTIME_TRACE_RECORD_H
#define RETOUR_RUNTIME_TRACE_RECORD_H

#include "runtime/recording.h"

/*
 * Has the recording's tracepoints recorded, those that are there and those that
 * come; what there is no memory for is not.  stop returns when nobody records any more.
 */
void trace_record_start(struct recording *recording);
void trace_record_stop(struct recording *recording);

/* Descriptions of all tracepoints, in an array that is the caller's to free.  How many there was memory for. */
unsigned int trace_record_list(struct agent_tracepoint **ret);

#endif
