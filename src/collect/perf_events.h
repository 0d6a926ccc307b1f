/* SPDX-License-Identifier: MIT */
/*
 * The perf events of a session, on every CPU: sampling events, which run BPF
 * programs or write samples themselves, and one event whose ring carries
 * samples and side-band records.  CPUs may come and go.
 *
 * Recordings of processes use the same events, and the programs choose: events
 * bound to tasks would start a new period with every fork, and so hardly see
 * programs that live shorter than a period.
 */
#ifndef RETOUR_COLLECT_PERF_EVENTS_H
#define RETOUR_COLLECT_PERF_EVENTS_H

#include "base/cleanup.h"
#include "base/error.h"
#include "collect/perf_ring.h"
#include "collect/session.h"

/* What the rings' records carry besides their body. */
#define PERF_EVENTS_SAMPLE_TYPE (PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_RAW)
enum { PERF_EVENTS_TRAILER = 24 };	/* sample_id: pid, tid, time, cpu, reserved */

struct perf_events;

struct perf_events_options {
	const struct session_event *events;
	size_t n_events;
	uint32_t frequency;
	struct perf_event_attr ring_attr;	/* of the rings' event, from perf_events_side_band_attr() */
	struct perf_event_attr event_attr;	/* what every sampling event has besides its type and frequency */
	const int *program_fds;		/* BPF programs, by event, kept; NULL: the events write into the rings themselves */
	int sample_rings_fd;		/* with programs: the BPF map of the rings */
	size_t ring_bytes;
	int epoll_fd;			/* rings are added to it */
};

/* An event that does not count, whose ring gets the records on mappings, names, forks and exits. */
struct perf_event_attr perf_events_side_band_attr(size_t ring_bytes);

/* Opens everything, disabled.  EPERM, EACCES: rights; ESRCH: a task is gone; ENODEV, ENOENT: no such event. */
ERROR_CHECK struct error *perf_events_open(const struct perf_events_options *options, struct perf_events **ret);
void perf_events_close(struct perf_events *events);
DEFINE_CLEANUP(perf_events_close, struct perf_events *);

ERROR_CHECK struct error *perf_events_enable(struct perf_events *events);
/* Ends sampling; the rings go on until closed. */
void perf_events_disable(struct perf_events *events);
/*
 * Opens the events of CPUs that have come and closes those of CPUs that went,
 * whose rings should have been drained before; call now and then.
 */
bool perf_events_follow_cpus(struct perf_events *events);
void perf_events_drain(struct perf_events *events, perf_ring_fn fn, void *arg);

/* The attributes of the rings' event, for parsing their records. */
const struct perf_event_attr *perf_events_ring_attr(const struct perf_events *events);

#endif
