/* SPDX-License-Identifier: MIT */
/* Attributes, names and command line of a recording; see session.h. */
#include "perfdata/session.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The struct of older kernel headers has no names for these bits of its flag word. */
static void set_deferred_flags(struct perf_event_attr *attr)
{
	size_t at = offsetof(struct perf_event_attr, read_format) + sizeof(attr->read_format);
	uint64_t flags;

	memcpy(&flags, (char *)attr + at, sizeof(flags));
	flags |= PERFDATA_ATTR_DEFER_CALLCHAIN | PERFDATA_ATTR_DEFER_OUTPUT;
	memcpy((char *)attr + at, &flags, sizeof(flags));
}

/* As with perf, the first event stands for the side-band records. */
static struct perf_event_attr make_attr(const struct perfdata_event *event, bool ids, bool first)
{
	return (struct perf_event_attr){
		.type = event->type,
		.size = PERF_ATTR_SIZE_VER5,
		.config = event->config,
		.sample_period = event->frequency ? event->frequency : event->period,
		.freq = event->frequency != 0,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU |
			       PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_RAW |
			       (ids ? PERF_SAMPLE_IDENTIFIER : 0),
		.disabled = 1,
		.inherit = 1,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.mmap = first,
		.mmap2 = first,
		.comm = first,
		.comm_exec = first,
		.task = first,
		.build_id = first,
	};
}

bool session_add_event(struct session *session, const struct perfdata_event *event)
{
	size_t i = session->n_events;

	if (i >= session->max_events)
		return false;
	session->attrs[i] = make_attr(event, session_has_ids(session), i == 0);
	if (session->deferred_records)
		set_deferred_flags(&session->attrs[i]);
	session->names[i] = strdup(event->name);
	session->n_events += session->names[i] != NULL;
	return session->names[i];
}

bool session_init(struct session *session, const struct perfdata_writer_options *options)
{
	size_t n = 0, max = options->n_events + options->n_more_events;

	while (options->cmdline && options->cmdline[n])
		n++;
	*session = (struct session){
		.max_events = max, .deferred_records = options->deferred_records,
		.attrs = calloc(max, sizeof(*session->attrs)),
		.names = calloc(max, sizeof(*session->names)),
		.cmdline = calloc(n + 1, sizeof(*session->cmdline)),
	};
	if (!session->attrs || !session->names || !session->cmdline)
		return false;
	for (size_t i = 0; i < options->n_events; i++)
		if (!session_add_event(session, &options->events[i]))
			return false;
	for (size_t i = 0; i < n; i++) {
		session->cmdline[i] = strdup(options->cmdline[i]);
		if (!session->cmdline[i])
			return false;
	}
	return true;
}

void session_free(struct session *session)
{
	for (size_t i = 0; session->names && i < session->n_events; i++)
		free(session->names[i]);
	for (char **word = session->cmdline; word && *word; word++)
		free(*word);
	tracing_free(&session->tracing);
	free(session->attrs);
	free(session->names);
	free(session->cmdline);
}
