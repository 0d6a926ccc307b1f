/* SPDX-License-Identifier: MIT */
/*
 * The backend of kernels from 6.18: BPF programs take samples, and walk by
 * unwind rules as the task goes back to user space (docs/design.md, section 4).
 */
#include "base/clock.h"
#include "base/vec.h"
#include "collect/backend.h"
#include "collect/kernel_clock.h"
#include "collect/perf_events.h"
#include "collect/programs.h"
#include "collect/stack_copy.h"

#include <errno.h>
#include <string.h>

enum {
	SAMPLE_RINGS_BYTES = 64 << 20,	/* of all CPUs together … */
	MAX_SAMPLE_RING = 4 << 20,	/* … and of one: a second at 10 kHz */
	DEFERRED_RINGS_BYTES = 64 << 20,
	MAX_DEFERRED_RING = 4 << 20,
};

struct bpf_backend {
	const struct session_options *options;
	struct recorder *recorder;
	struct programs *programs;
	struct rule_cache *rules;
	struct dso_store *dsos;
	struct perf_events *events;
	int program_fds[SESSION_MAX_EVENTS];
	struct stack_copies *copies;
	uint64_t bad_records;
};

/* ---- draining --------------------------------------------------------------- */

/* A record of a perf ring: one of ours inside PERF_RECORD_SAMPLE, or the kernel's. */
static void drained_perf(void *arg, const struct perf_event_header *header)
{
	const size_t fixed = sizeof(*header) + 32;	/* ID, tid, time, cpu, before the size of the raw part */
	const unsigned char *bytes = (const void *)header;
	struct sample_record sample;
	struct bpf_backend *b = arg;
	uint32_t size;

	if (header->type != PERF_RECORD_SAMPLE) {
		recorder_queue_side_band(b->recorder, header);
		return;
	}
	memcpy(&size, bytes + fixed, sizeof(size));
	memset(&sample, 0, offsetof(struct sample_record, kernel));
	if (header->size < fixed + 4 || size > header->size - fixed - 4 ||
	    size < offsetof(struct sample_record, kernel))
		return;
	size = size < sizeof(sample) ? size : sizeof(sample);
	memcpy(&sample, bytes + fixed + 4, size);
	if (sample.n_kernel > MAX_KERNEL_FRAMES)
		return;
	size = offsetof(struct sample_record, kernel) + sample.n_kernel * sizeof(sample.kernel[0]);
	recorder_queue(b->recorder, EVENT_SAMPLE, sample.time, &sample, size);
}

/* Stack copies are large: they are put together at once, and only their turn waits in the queue. */
static void drained_deferred(void *arg, const void *data, uint32_t size)
{
	const struct deferred_record *r = data;
	struct bpf_backend *b = arg;
	bool whole;

	if (size < sizeof(*r))
		return;
	if (r->type != RECORD_STACK && !(r->flags & DEFERRED_PARTIAL)) {
		recorder_queue(b->recorder, EVENT_CHAIN, r->time, data, size);
		return;
	}
	whole = r->type == RECORD_STACK ? stack_copies_piece(b->copies, r, size) :
					  stack_copies_partial(b->copies, r, size);
	if (whole)
		recorder_queue(b->recorder, EVENT_COPY, r->time, r, sizeof(*r));
}

static void bpf_drain(void *backend)
{
	struct bpf_backend *b = backend;

	b->bad_records += perf_events_drain(b->events, drained_perf, b);
	programs_drain_rings(b->programs);
}

static void take_deferred(struct bpf_backend *b, const struct deferred_record *r, uint32_t size)
{
	const uint64_t *ips = (const uint64_t *)(r + 1);
	struct chain chain = {
		.time = r->time, .cookie = r->cookie, .pid = r->pid, .tid = r->tid, .cpu = r->cpu,
		.reason = r->reason, .n = r->n, .ips = ips,
	};

	if (size >= sizeof(*r) + r->n * sizeof(*ips))
		recorder_chain(b->recorder, &chain);
}

static void bpf_take(void *backend, enum recorder_event kind, const void *data, uint32_t size)
{
	struct bpf_backend *b = backend;

	switch (kind) {
	case EVENT_SAMPLE:
		recorder_sample(b->recorder, data, size);
		break;
	case EVENT_CHAIN:
		take_deferred(b, data, size);
		break;
	case EVENT_COPY:
		stack_copies_finish(b->copies, data);
		break;
	case EVENT_SIDE_BAND:
		break;
	}
}

static void bpf_expire(void *backend, uint64_t time)
{
	struct bpf_backend *b = backend;

	stack_copies_expire(b->copies, time);
}

/* ---- life ------------------------------------------------------------------- */

static void bpf_destroy(void *backend)
{
	struct bpf_backend *b = backend;

	stack_copies_destroy(b->copies);
	dso_store_destroy(b->dsos);
	rule_cache_destroy(b->rules);
	perf_events_close(b->events);
	programs_destroy(b->programs);
	free(b);
}

static struct error *open_events(struct bpf_backend *b, int epoll_fd)
{
	struct perf_events_options options = {
		.events = b->options->events, .n_events = b->options->n_events, .frequency = b->options->frequency,
		.period = b->options->period,
		.ring_bytes = perf_ring_bytes(SAMPLE_RINGS_BYTES, MAX_SAMPLE_RING),
		.sample_rings_fd = programs_sample_rings_fd(b->programs), .epoll_fd = epoll_fd,
		.program_fds = b->program_fds,
	};
	struct error *err;

	/* The programs write samples through the rings' event. */
	options.ring_attr = perf_events_side_band_attr();
	options.ring_attr.config = PERF_COUNT_SW_BPF_OUTPUT;
	options.ring_attr.sample_period = 1;
	for (size_t i = 0; i < b->options->n_events; i++)
		b->program_fds[i] = programs_event_fd(b->programs, i);
	err = perf_events_open(&options, &b->events);
	if (!err && !programs_watch_rings(b->programs, epoll_fd))
		err = error_errno(errno, "epoll");
	return err;
}

static void take_chain(void *arg, const struct chain *chain)
{
	struct bpf_backend *b = arg;

	recorder_chain(b->recorder, chain);
}

static struct error *set_up(struct bpf_backend *b, int epoll_fd)
{
	const struct session_options *o = b->options;
	struct programs_options options = {
		.n_events = o->n_events, .max_depth = o->max_depth,
		.scope = o->scope == SESSION_SYSTEM ? SCOPE_SYSTEM :
			 o->scope == SESSION_THREADS ? SCOPE_THREADS : SCOPE_PROCESSES,
		.ring_bytes = perf_ring_bytes(DEFERRED_RINGS_BYTES, MAX_DEFERRED_RING),
		.record = drained_deferred, .record_arg = b,
	};
	struct error *err = programs_load(&options, &b->programs);

	for (size_t i = 0; !err && i < o->n_pids; i++)
		err = programs_scope_add(b->programs, o->pids[i]);
	if (!err)
		err = open_events(b, epoll_fd);
	if (!err)
		err = rule_cache_create(programs_rule_sets(b->programs), RULE_SETS, programs_rules(b->programs),
					&b->rules);
	if (!err)
		err = dso_store_create(programs_files_fd(b->programs), b->rules, &b->dsos);
	if (!err)
		err = stack_copies_create(b->dsos, recorder_processes(b->recorder), o->max_depth, take_chain, b,
					  &b->copies);
	return err;
}

static struct error *bpf_create(const struct backend_context *context, void **ret)
{
	struct bpf_backend *b = calloc(1, sizeof(*b));
	struct error *err;

	if (!b)
		return error_nomem();
	b->options = context->options;
	b->recorder = context->recorder;
	err = set_up(b, context->epoll_fd);
	if (err)
		bpf_destroy(b);
	else
		*ret = b;
	return err;
}

static const struct perf_event_attr *bpf_ring_attr(void *backend)
{
	struct bpf_backend *b = backend;

	return perf_events_ring_attr(b->events);
}

static struct error *bpf_start(void *backend)
{
	struct bpf_backend *b = backend;

	return programs_attach(b->programs);
}

static struct error *bpf_enable(void *backend)
{
	struct bpf_backend *b = backend;

	return perf_events_enable(b->events);
}

static void bpf_disable(void *backend)
{
	struct bpf_backend *b = backend;

	perf_events_disable(b->events);
	programs_detach(b->programs);
}

static void bpf_follow_cpus(void *backend)
{
	struct bpf_backend *b = backend;

	perf_events_follow_cpus(b->events);
}

static void bpf_forget(void *backend, uint32_t tid)
{
	struct bpf_backend *b = backend;

	programs_forget(b->programs, tid);
}

static struct error *bpf_answer_pending(void *backend)
{
	struct bpf_backend *b = backend;

	return programs_walk_blocked(b->programs);
}

static uint16_t bpf_why_no_chain(void *backend, uint32_t tid, uint64_t cookie)
{
	struct bpf_backend *b = backend;
	struct counters counters;

	if (programs_slot_pending(b->programs, tid, cookie))
		return REASON_BLOCKED;
	programs_counters(b->programs, &counters);
	return counters.record_lost ? REASON_RECORD_LOST : REASON_NOT_RETURNED;
}

static void bpf_counters(void *backend, struct backend_counters *ret)
{
	struct bpf_backend *b = backend;
	struct counters c;

	programs_counters(b->programs, &c);
	*ret = (struct backend_counters){
		.requests = c.requests, .walks = c.walks, .lost_samples = c.sample_lost,
		.lost_records = c.record_lost + b->bad_records, .rule_hits = c.rule_hits, .rule_misses = c.rule_misses,
		.stack_copies = c.stack_copies, .frames = c.frames, .walk_ns = c.walk_ns,
	};
}

const struct backend backend_bpf = {
	.name = "bpf", .create = bpf_create, .destroy = bpf_destroy, .now = kernel_clock_ns,
	.ring_attr = bpf_ring_attr, .start = bpf_start,
	.enable = bpf_enable, .disable = bpf_disable, .drain = bpf_drain, .take = bpf_take, .expire = bpf_expire,
	.follow_cpus = bpf_follow_cpus, .forget = bpf_forget, .answer_pending = bpf_answer_pending,
	.why_no_chain = bpf_why_no_chain, .counters = bpf_counters,
};
