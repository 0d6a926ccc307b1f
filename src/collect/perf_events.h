/* SPDX-License-Identifier: MIT */
/*
 * The perf events of a session, on every CPU: sampling events, which run BPF
 * programs or write samples themselves, and one ring that carries samples and
 * side-band records.  CPUs may come and go.
 *
 * Events of the whole machine are bound to CPUs, and with programs all are: the
 * programs choose.  Without programs a recording of processes binds events to
 * their threads, once for each CPU, and the kernel's limits for a user's own
 * processes do: they are inherited by what the threads start.  Each child begins
 * a period of its own, so programs that live shorter than one are hardly seen.
 */
#ifndef RETOUR_COLLECT_PERF_EVENTS_H
#define RETOUR_COLLECT_PERF_EVENTS_H

#include "base/cleanup.h"
#include "base/error.h"
#include "collect/perf_ring.h"
#include "collect/session.h"

/* What the rings' records carry besides their body. */
#define PERF_EVENTS_SAMPLE_TYPE \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_RAW)
enum { PERF_EVENTS_TRAILER = 32 };	/* sample_id: pid, tid, time, cpu, reserved, identifier */

struct perf_events;

struct perf_events_options {
	const struct session_event *events;
	size_t n_events;
	uint32_t frequency;		/* 0: by period */
	uint64_t period;
	enum session_scope scope;	/* what the events are bound to */
	const pid_t *pids;		/* kept, as the events are */
	size_t n_pids;
	bool all_side_band;		/* the rings take that of all tasks, if there are the rights for it */
	struct perf_event_attr ring_attr;	/* of the rings' event, from perf_events_side_band_attr() */
	struct perf_event_attr event_attr;	/* what every sampling event has besides its type and rate */
	const uint32_t *stack_sizes;	/* of stack copies: there is an event for each, one of which runs; kept */
	size_t n_stack_sizes;		/* 0: event_attr as it is */
	const int *program_fds;		/* BPF programs, by event, kept; NULL: the events write into the rings themselves */
	int sample_rings_fd;		/* with programs: the BPF map of the rings */
	size_t ring_bytes;		/* of a CPU; less where locked memory is limited */
	int epoll_fd;			/* rings are added to it */
};

/* An event that does not count, whose ring gets the records on mappings, names, forks and exits. */
struct perf_event_attr perf_events_side_band_attr(void);

/*
 * Opens everything, disabled.  Where the kernel is not to be looked at, events
 * without programs leave it out, with a warning.  EPERM, EACCES: rights; ESRCH:
 * all tasks are gone; ENODEV, ENOENT: no such event.
 */
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
/* Gives how often what a ring held was no record, and the rest of it had to be skipped. */
uint64_t perf_events_drain(struct perf_events *events, perf_ring_fn fn, void *arg);

/*
 * The event whose samples carry the identifier.  False if there is none, or if
 * a sample of ours that carries another session's may be of several events: the
 * kernel fills samples of a software event in once for all sessions that have
 * it (do_perf_sw_event()), with the identifier of the first.
 */
bool perf_events_find(const struct perf_events *events, uint64_t id, uint32_t *event);
/* Is the identifier one of ours? */
bool perf_events_has_id(const struct perf_events *events, uint64_t id);
/* May samples with it be filled in for several sessions at once, with the time by the clock of any of them? */
bool perf_events_is_shared(const struct perf_events *events, uint64_t id);

/*
 * The sizes of stack copies are chosen by group: of all events of the machine,
 * or of those of one of the pids and what it starts.
 */
uint32_t perf_events_groups(const struct perf_events *events);
/* False: it is not known. */
bool perf_events_group_of(const struct perf_events *events, uint64_t id, uint32_t *group);
void perf_events_set_stack_size(struct perf_events *events, uint32_t group, uint32_t number);
/*
 * Around a change samples come in both sizes: was the sample's in use at its
 * time?  Shared samples always count: who asks for both gets them twice
 * (shared_samples.h), for they have the identifier of any of the two.
 */
bool perf_events_counts(const struct perf_events *events, uint64_t id, uint64_t time);
/*
 * A thread may have events of its own besides, with the first size, in a group
 * of its own: one of own_groups() from groups() on, that is not in use.  What it
 * starts does not inherit them.  There are none where a sample that two events
 * ask for is filled in only once (see perf_events_find()).
 */
uint32_t perf_events_own_groups(const struct perf_events *events);
/* False: refused, or the thread has ended. */
bool perf_events_add_thread(struct perf_events *events, pid_t tid, uint32_t group);
/* Samples in the rings are not known any more. */
void perf_events_remove_group(struct perf_events *events, uint32_t group);

/* The attributes of the rings' event, for parsing their records. */
const struct perf_event_attr *perf_events_ring_attr(const struct perf_events *events);

#endif
