/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own deferral (Linux 6.19): a sample carries a cookie instead of
 * the user part, and a PERF_RECORD_CALLCHAIN_DEFERRED with that cookie follows
 * as the task goes back to user space, on whatever CPU that is.
 *
 * What this adds to stitching is what the kernel leaves open.  Every session
 * sees the records that any session asked for.  A record that did not fit the
 * ring is only counted.  The chain is that of the moment of return: after an
 * execve it is the new program's.  So requests are kept open until it is known
 * what became of them; as a task is in one kernel entry at a time, only its
 * last one can still be unanswered when all records are in.
 */
#ifndef RETOUR_COLLECT_DEFERRAL_H
#define RETOUR_COLLECT_DEFERRAL_H

#include "base/cleanup.h"
#include "base/error.h"
#include "collect/frame_chain.h"
#include "collect/recorder.h"

#include <asm/perf_regs.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>

/* What a sample carries, and the one register that tells whether the task went on from where it was. */
#define DEFERRAL_SAMPLE_TYPE (PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | \
			      PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER)
#define DEFERRAL_REGS (1ULL << PERF_REG_X86_IP)

enum { DEFERRAL_MAX_FRAMES = 510 };	/* the kernel walks no further: what fits a page */

struct deferral;

struct deferral_options {
	struct recorder *recorder;
	struct dso_store *dsos;
	uint32_t max_depth;
	/* The index of the event whose samples carry an ID; false: none of ours. */
	bool (*find_event)(const void *arg, uint64_t id, uint32_t *event);
	/* Did the kernel fill the sample in for us, not for another session? */
	bool (*is_ours)(const void *arg, uint64_t id);
	/* May it have filled samples of this event in for several sessions, by the clock of any of them? */
	bool (*is_shared)(const void *arg, uint64_t id);
	const void *arg;
};

struct deferral_counters {
	uint64_t requests, walks, frames;
	uint64_t lost_samples, lost_records;	/* that were not what they should be */
};

ERROR_CHECK struct error *deferral_create(const struct deferral_options *options, struct deferral **ret);
void deferral_destroy(struct deferral *deferral);
DEFINE_CLEANUP(deferral_destroy, struct deferral *);

/*
 * A record of a ring: samples laid out by DEFERRAL_SAMPLE_TYPE, the others with
 * the rings' trailer.  Goes to the recorder's queue.
 */
void deferral_record(struct deferral *deferral, const struct perf_event_header *header);
/* To be called when all rings were drained. */
void deferral_drained(struct deferral *deferral);
/* As struct backend's functions of these names. */
void deferral_take(struct deferral *deferral, const void *data, uint32_t size);
void deferral_forget(struct deferral *deferral, uint32_t tid);
uint16_t deferral_why_no_chain(const struct deferral *deferral, uint32_t tid, uint64_t cookie);
void deferral_counters(const struct deferral *deferral, struct deferral_counters *ret);

#endif
