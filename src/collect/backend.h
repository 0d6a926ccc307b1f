/* SPDX-License-Identifier: MIT */
/*
 * How chains are obtained: what every backend does for a session.  A backend
 * opens the events, drains their rings into the recorder's queue, and turns
 * its own events into samples and chains when their turn comes.
 */
#ifndef RETOUR_COLLECT_BACKEND_H
#define RETOUR_COLLECT_BACKEND_H

#include "base/unsampled.h"
#include "collect/recorder.h"
#include "collect/session.h"

/* What only the backend counts. */
struct backend_counters {
	uint64_t requests, walks, lost_samples, lost_records;
	uint64_t rule_hits, rule_misses, stack_copies, frames, walk_ns;
	uint64_t unsampled[UNSAMPLED_MAX];	/* threads without clocks */
};

struct backend_context {
	const struct session_options *options;	/* outlives the backend */
	struct recorder *recorder;
	int epoll_fd;				/* woken when there is something to drain */
};

/* Functions marked optional may be NULL. */
struct backend {
	const char *name;
	/* Opens everything, disabled; EPERM and EACCES mean rights, EOPNOTSUPP the kernel. */
	struct error *(*create)(const struct backend_context *context, void **ret);
	void (*destroy)(void *backend);
	/* The clock of its records, in nanoseconds. */
	uint64_t (*now)(void);
	/* The attributes of the rings' side-band event. */
	const struct perf_event_attr *(*ring_attr)(void *backend);
	/* What the environment of the command gets, "NAME=VALUE", NULL-terminated (optional). */
	const char *const *(*environment)(void *backend);
	/* Side-band records flow from here on (optional) … */
	struct error *(*start)(void *backend);
	/* … and samples from here on, until disable. */
	struct error *(*enable)(void *backend);
	void (*disable)(void *backend);
	/* Empties the rings into the recorder's queue. */
	void (*drain)(void *backend);
	/* An event of the backend, in order of time. */
	recorder_take_fn take;
	/* Now and then: what is older than time will not become whole any more (optional); CPUs come and go. */
	void (*expire)(void *backend, uint64_t time);
	void (*follow_cpus)(void *backend);
	/* A task has ended, some time ago (optional). */
	void (*forget)(void *backend, uint32_t tid);
	/* After disable: answers, if it can, the requests that are still open (optional). */
	struct error *(*answer_pending)(void *backend);
	recorder_reason_fn why_no_chain;
	void (*counters)(void *backend, struct backend_counters *ret);
};

extern const struct backend backend_bpf, backend_native, backend_stack, backend_agent;

#endif
