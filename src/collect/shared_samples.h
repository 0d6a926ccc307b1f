/* SPDX-License-Identifier: MIT */
/*
 * Samples that the kernel fills in once for all who asked for them, as it does
 * for software events other than the clocks (do_perf_sw_event()).
 *
 * Their time may be by another session's clock, also where the identifier is
 * ours.  But a ring is written in order: such a sample waits for the next
 * record of its CPU that is by our clock, and unless it is between its
 * neighbours it is as old as that.  And what two events of our own asked for
 * comes twice, without a difference: the second one goes.
 */
#ifndef RETOUR_COLLECT_SHARED_SAMPLES_H
#define RETOUR_COLLECT_SHARED_SAMPLES_H

#include "base/vec.h"

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>

/* How the samples must begin: PERF_SAMPLE_IDENTIFIER, IP, TID, TIME, CPU. */
struct shared_sample {
	struct perf_event_header header;
	uint64_t id, ip;
	uint32_t pid, tid;
	uint64_t time;
	uint32_t cpu, reserved;
};

typedef void (*shared_samples_fn)(void *arg, const struct shared_sample *sample, uint32_t size);

struct held_sample {
	struct shared_sample *sample;
	uint32_t size;
};

/* What came last from a CPU: a record by our clock, and a shared sample. */
struct shared_cpu {
	uint64_t time;
	uint64_t sample_time, sample_id;
	uint32_t sample_tid;
};

/* Starts as zeros; set fn, which is given each sample with the time that it has, and arg. */
struct shared_samples {
	shared_samples_fn fn;
	void *arg;
	VEC(struct held_sample) held;
	VEC(struct shared_cpu) cpus;
};

void shared_samples_free(struct shared_samples *samples);
/* Takes a copy; false: there is no memory for it. */
bool shared_samples_add(struct shared_samples *samples, const struct shared_sample *sample, uint32_t size);
/* The next record of a CPU's ring has this time, by our clock. */
void shared_samples_next(struct shared_samples *samples, uint32_t cpu, uint64_t time);
/* All rings are drained: what is held is as old as now at most. */
void shared_samples_drained(struct shared_samples *samples);

#endif
