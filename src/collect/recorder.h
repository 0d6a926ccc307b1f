/* SPDX-License-Identifier: MIT */
/*
 * From records to the file, whatever backend they come from: events wait until
 * all that is older has been seen, then side-band records feed the process
 * tracker, samples and chains are stitched, and what is whole is written and
 * counted.
 */
#ifndef RETOUR_COLLECT_RECORDER_H
#define RETOUR_COLLECT_RECORDER_H

#include "base/cleanup.h"
#include "base/error.h"
#include "collect/chain.h"
#include "collect/session.h"
#include "perfdata/process.h"

#include <linux/perf_event.h>
#include <linux/types.h>
#include <stdbool.h>

#include "bpf/shared.h"

struct recorder;

/* Keeps the options. */
ERROR_CHECK struct error *recorder_create(const struct session_options *options, struct recorder **ret);
void recorder_destroy(struct recorder *recorder);
DEFINE_CLEANUP(recorder_destroy, struct recorder *);

/* Creates the file.  ring_attr tells how side-band records are to be parsed: with the trailer of perf_events.h. */
ERROR_CHECK struct error *recorder_open(struct recorder *recorder, const struct perf_event_attr *ring_attr);
/* Enters what runs already into the process tracker; before sampling begins. */
void recorder_synthesize(struct recorder *recorder, uint64_t time);
/* Completes some of that with build IDs and writes it, while sampling: files are read for it.  False: that was all. */
bool recorder_write_synthesized(struct recorder *recorder);

/* ---- for backends, while they drain -------------------------------------- */

enum recorder_event {
	EVENT_SIDE_BAND,	/* a record of the kernel, taken by the recorder itself */
	EVENT_SAMPLE,		/* the other kinds are the backend's */
	EVENT_CHAIN,
	EVENT_COPY,
};

/* Queues a copy of an event until its turn. */
void recorder_queue(struct recorder *recorder, enum recorder_event kind, uint64_t time, const void *data,
		    uint32_t size);
/* As recorder_queue(), for a record of the kernel that is no sample; its time is in its trailer. */
void recorder_queue_side_band(struct recorder *recorder, const struct perf_event_header *header);

/* A process belongs to the recording. */
void recorder_add_process(struct recorder *recorder, uint32_t pid);
/* Queues, as of a time, what a process has mapped beyond what is known. */
void recorder_update_process(struct recorder *recorder, uint32_t pid, uint64_t time);

/* ---- for backends, when the turn of an event has come --------------------- */

typedef void (*recorder_take_fn)(void *arg, enum recorder_event kind, const void *data, uint32_t size);

/* Takes the events up to the horizon in order of time; fn is handed those that are not the recorder's own. */
void recorder_take(struct recorder *recorder, uint64_t horizon, recorder_take_fn fn, void *arg);
/* The processes as they are at the time of the event being taken. */
struct process_tracker *recorder_processes(struct recorder *recorder);
/* One more event of the recording, as perfdata_writer_add_tracepoint(); false: no room, or the file cannot be written. */
bool recorder_add_tracepoint(struct recorder *recorder, struct tracing_event *event, uint32_t *ret);
/* A sample whose cookie names its chain, and a chain; in either order. */
void recorder_sample(struct recorder *recorder, const struct sample_record *sample, uint32_t size);
void recorder_chain(struct recorder *recorder, const struct chain *chain);
/* A sample that has come with its chain (NULL: without, and reason says why). */
void recorder_whole_sample(struct recorder *recorder, const struct sample_record *sample, const struct chain *chain,
			   uint16_t reason);

/* ---- for the session ------------------------------------------------------- */

/* Anything queued, or samples that wait for a chain. */
bool recorder_has_queued(const struct recorder *recorder);
uint64_t recorder_waiting(const struct recorder *recorder);
typedef uint16_t (*recorder_reason_fn)(void *arg, uint32_t tid, uint64_t cookie);
/* Writes every waiting sample without a chain; why tells why it never came. */
void recorder_give_up(struct recorder *recorder, recorder_reason_fn why, void *arg);
/* Calls fn for each task that ended before time, once. */
void recorder_each_ended(struct recorder *recorder, uint64_t time, void (*fn)(void *arg, uint32_t tid), void *arg);
/* The numbers, without those only the backend knows. */
void recorder_stats(const struct recorder *recorder, struct session_stats *ret);
void recorder_flush(struct recorder *recorder);
/* Completes the file; stats is the private statistics section. */
void recorder_finish(struct recorder *recorder, const void *stats, size_t size);
/* The first error of writing, once; the caller's. */
struct error *recorder_take_error(struct recorder *recorder);

#endif
