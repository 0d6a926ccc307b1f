/* SPDX-License-Identifier: MIT */
/*
 * The backend of any kernel with perf, also without rights: samples come with
 * the user registers and a copy of the stack, which is walked at once, by the
 * rules and the mappings of its moment, and never written.
 */
#include "base/clock.h"
#include "base/log.h"
#include "collect/agent_program.h"
#include "collect/backend.h"
#include "collect/copy_size.h"
#include "collect/deep_threads.h"
#include "collect/kernel_clock.h"
#include "collect/perf_events.h"
#include "collect/shared_samples.h"
#include "collect/stack_sample.h"
#include "collect/stack_walk.h"
#include "collect/task.h"

#include <string.h>

enum {
	RINGS_BYTES = 256 << 20,	/* of all CPUs together … */
	MAX_RING = 16 << 20,		/* … and of one: 256 of the largest copies */
	RULE_CACHE_SETS = 65536,
	MAX_DOUBTS = 64,
	KEPT_EXECS = 256,
};

/* A sample without a word of its stack, as it is amid execve: what follows tells. */
struct doubt {
	struct sample_record record;
	uint64_t pc;
	enum reason reason;		/* if there was no execve */
};

struct stack_backend {
	const struct session_options *options;
	struct recorder *recorder;
	struct rule_cache *rules;
	struct dso_store *dsos;
	struct perf_events *events;
	struct copy_size *copy_sizes;		/* by group of the events */
	struct deep_threads deep;
	struct shared_samples shared;
	struct stack_walker walker;
	stack_ips ips;				/* of the walk under way */
	VEC(struct doubt) doubts;		/* by age */
	uint32_t execs[KEPT_EXECS];		/* processes, the last to call execve */
	uint64_t n_execs;
	uint64_t last_cookie;
	struct backend_counters counters;
};

/* The beginning of a record's trailer. */
struct trailer {
	uint32_t pid, tid;
	uint64_t time;
	uint32_t cpu, reserved;
};

/* The end of a program or of a task. */
struct end_event {
	uint32_t pid, tid;
	uint64_t time;
	bool exit;			/* or exec */
};

/* ---- draining --------------------------------------------------------------- */

/* The recorder takes names; the end of a program or a task is told to us too, as the only events of their kind. */
static void side_band(struct stack_backend *b, const struct perf_event_header *header)
{
	struct end_event end = { .exit = header->type == PERF_RECORD_EXIT };
	struct trailer trailer;

	memcpy(&trailer, (const char *)header + header->size - PERF_EVENTS_TRAILER, sizeof(trailer));
	shared_samples_next(&b->shared, trailer.cpu, trailer.time);
	recorder_queue_side_band(b->recorder, header);
	if (!end.exit && (header->type != PERF_RECORD_COMM || !(header->misc & PERF_RECORD_MISC_COMM_EXEC)))
		return;
	end.pid = trailer.pid;
	end.tid = trailer.tid;
	end.time = trailer.time;
	recorder_queue(b->recorder, EVENT_CHAIN, end.time, &end, sizeof(end));
}

static void queue_sample(void *arg, const struct shared_sample *sample, uint32_t size)
{
	const struct stack_backend *b = arg;

	recorder_queue(b->recorder, EVENT_SAMPLE, sample->time, sample, size);
}

/* A record has room for the whole copy that was asked for; what is empty of it is left behind. */
static void sample_drained(struct stack_backend *b, const struct perf_event_header *header)
{
	const struct shared_sample *head = (const void *)header;
	struct stack_sample sample;
	uint32_t size;

	if (!stack_sample_parse(header, header->size, &sample)) {
		b->counters.lost_samples++;
		return;
	}
	size = (uint32_t)(sample.stack + sample.size - (const unsigned char *)header);
	if (perf_events_is_shared(b->events, sample.id)) {
		b->counters.lost_samples += !shared_samples_add(&b->shared, head, size);
	} else {
		shared_samples_next(&b->shared, sample.cpu, sample.time);
		queue_sample(b, head, size);
	}
}

static void drained(void *arg, const struct perf_event_header *header)
{
	struct stack_backend *b = arg;

	if (header->type == PERF_RECORD_SAMPLE)
		sample_drained(b, header);
	else if (header->size < sizeof(*header) + PERF_EVENTS_TRAILER)
		b->counters.lost_records++;
	else
		side_band(b, header);
}

static void stack_drain(void *backend)
{
	struct stack_backend *b = backend;

	b->counters.lost_records += perf_events_drain(b->events, drained, b);
	shared_samples_drained(&b->shared);
}

/* ---- samples ------------------------------------------------------------------ */

static void fill_kernel(const struct stack_sample *s, struct sample_record *ret)
{
	bool kernel = true;

	for (uint64_t i = 0; i < s->n_kernel && ret->n_kernel < MAX_KERNEL_FRAMES; i++) {
		uint64_t word;

		memcpy(&word, s->kernel + i * 8, sizeof(word));
		/* Who asked before us may have asked for a user part too. */
		if (word >= (uint64_t)PERF_CONTEXT_MAX)
			kernel = word == (uint64_t)PERF_CONTEXT_KERNEL;
		else if (kernel)
			ret->kernel[ret->n_kernel++] = word;
	}
}

static void fill_record(const struct stack_sample *s, uint32_t event, struct sample_record *ret)
{
	memset(ret, 0, offsetof(struct sample_record, kernel));
	ret->type = RECORD_SAMPLE;
	ret->event = (uint16_t)event;
	ret->time = s->time;
	ret->ip = s->ip;
	ret->period = s->period;
	ret->pid = s->pid;
	ret->tid = s->tid;
	ret->cpu = s->cpu;
	ret->user_mode = s->user_mode;
	fill_kernel(s, ret);
}

/* Why there is nothing to walk; REASON_NONE: there is. */
static enum reason why_not(struct stack_backend *b, const struct stack_sample *s)
{
	/* Tasks of other PID namespaces have no number here; those that have registers are not the idle task. */
	if (!s->tid)
		return s->abi == PERF_SAMPLE_REGS_ABI_NONE ? REASON_IDLE : REASON_OTHER_NAMESPACE;
	if (s->abi == PERF_SAMPLE_REGS_ABI_NONE) {
		switch (task_kind(s->tid, process_tracker_comm(b->walker.processes, s->pid, s->tid))) {
		case TASK_KERNEL_THREAD:
			return REASON_KERNEL_THREAD;
		case TASK_USER_WORKER:
			return REASON_IO_WORKER;
		case TASK_USER:
			return REASON_NO_MM;
		}
	}
	/* Before Linux 6.17 workers have registers, but none that mean something. */
	if (!s->regs[UNWIND_RIP] && !s->regs[UNWIND_RSP] && !s->user_mode)
		return REASON_IO_WORKER;
	if (!s->asked)
		return REASON_NO_MM;
	return s->abi == PERF_SAMPLE_REGS_ABI_64 ? REASON_NONE : REASON_COMPAT_TASK;
}

/* ---- the size of copies ------------------------------------------------------- */

static void apply_choice(struct stack_backend *b, uint32_t group, bool changed)
{
	struct copy_size *size = &b->copy_sizes[group];

	if (!size->samples && size->choice == COPY_WHOLE)
		deep_threads_clear_suspects(&b->deep, group);
	if (!changed)
		return;
	if (size->choice == COPY_SHORT && !deep_threads_add_suspects(&b->deep, group))
		copy_size_give_up(size);
	if (size->choice == COPY_WHOLE)
		deep_threads_give_back(&b->deep, group);
	perf_events_set_stack_size(b->events, group, size->choice);
}

static void adapt(struct stack_backend *b, const struct stack_sample *s, uint64_t reach)
{
	const bool deep = copy_size_is_deep(reach);
	struct copy_size *size;
	uint32_t group;
	bool changed;

	if (!perf_events_group_of(b->events, s->id, &group) || group >= perf_events_groups(b->events))
		return;
	size = &b->copy_sizes[group];
	if (size->choice == COPY_WHOLE)
		changed = copy_size_learn(size, deep_threads_suspect(&b->deep, s->pid, s->tid, group, deep), false);
	else if (!deep)
		changed = copy_size_learn(size, false, false);
	else if (deep_threads_has(&b->deep, s->tid))
		return;			/* it was under way at the change */
	else if (deep_threads_add(&b->deep, s->pid, s->tid, group))
		changed = copy_size_learn(size, true, reach > s->asked);
	else
		changed = reach > s->asked && copy_size_give_up(size);
	apply_choice(b, group, changed);
}

/* Is the sample of a thread that others count for, its own events or those that it was served by? */
static bool counts_elsewhere(struct stack_backend *b, const struct stack_sample *s)
{
	uint32_t group;
	bool own;

	if (!perf_events_group_of(b->events, s->id, &group))
		return false;
	own = group >= perf_events_groups(b->events);
	if (deep_threads_group(&b->deep, s->tid, s->time, own ? UINT32_MAX : group) == group)
		return false;
	if (!own && b->copy_sizes[group].choice == COPY_SHORT)
		apply_choice(b, group, copy_size_learn(&b->copy_sizes[group], true, false));
	return true;
}

/* ---- walks --------------------------------------------------------------------- */

static enum reason walk(struct stack_backend *b, const struct stack_sample *s)
{
	const uint64_t *regs = s->regs;
	struct stack_image image = {
		.pid = s->pid,
		.frame = { .pc = regs[UNWIND_RIP], .sp = regs[UNWIND_RSP], .bp = regs[UNWIND_RBP],
			   /* A system call's instruction may be its function's last. */
			   .exact = !stack_sample_in_system_call(s), .innermost = 1 },
		.regs = regs, .address = regs[UNWIND_RSP], .bytes = s->stack, .size = s->size,
		.end = regs[UNWIND_RSP] + s->asked,
	};
	uint64_t start = clock_monotonic_ns(), reach = 0;
	enum reason reason = REASON_MAX_DEPTH;

	b->ips.len = 0;
	if (vec_push(&b->ips, regs[UNWIND_RIP]))
		reason = stack_walk(&b->walker, &image, &b->ips, &reach);
	adapt(b, s, reach);
	b->counters.walks++;
	b->counters.frames += b->ips.len;
	b->counters.walk_ns += clock_monotonic_ns() - start;
	return reason;
}

/* With the n frames that were found, if the reason leaves any. */
static void deliver(struct stack_backend *b, struct sample_record *record, enum reason reason, const uint64_t *ips,
		    size_t n)
{
	struct chain chain = { .time = record->time, .pid = record->pid, .tid = record->tid, .cpu = record->cpu,
			       .reason = (uint16_t)reason, .n = (uint16_t)n, .ips = ips };
	bool has_chain = !reason || reason_kind(reason) == REASON_KIND_TRUNCATED;

	b->counters.requests += reason_kind(reason) != REASON_KIND_NO_USER;
	if (has_chain)
		record->cookie = chain.cookie = ++b->last_cookie;
	recorder_whole_sample(b->recorder, record, has_chain ? &chain : NULL, (uint16_t)reason);
}

/* ---- samples in doubt ----------------------------------------------------------- */

/* Delivers those of a task or a process (0: any) that are not younger than time. */
static void resolve(struct stack_backend *b, uint32_t pid, uint32_t tid, uint64_t time, bool exec)
{
	size_t kept = 0;

	vec_each(&b->doubts, doubt) {
		if ((pid && doubt->record.pid != pid) || (tid && doubt->record.tid != tid) || doubt->record.time > time)
			b->doubts.data[kept++] = *doubt;
		else
			deliver(b, &doubt->record, exec ? REASON_EXEC : doubt->reason, &doubt->pc, 1);
	}
	b->doubts.len = kept;
}

static void stack_expire(void *backend, uint64_t time)
{
	struct stack_backend *b = backend;

	resolve(b, 0, 0, time, false);
	deep_threads_expire(&b->deep, time);
}

/* Until execve has told the new program's name, the task is still the old one, without its stack. */
static bool hold(struct stack_backend *b, const struct stack_sample *s, const struct sample_record *record,
		 enum reason reason)
{
	if (b->doubts.len >= MAX_DOUBTS)
		resolve(b, 0, 0, b->doubts.data[0].record.time, false);
	return reason_kind(reason) == REASON_KIND_TRUNCATED && !s->user_mode && !s->size &&
	       vec_push(&b->doubts, (struct doubt){ *record, b->ips.data[0], reason });
}

static bool has_exec(const struct stack_backend *b, uint32_t pid)
{
	for (uint64_t i = 0; i < KEPT_EXECS && i < b->n_execs; i++)
		if (b->execs[i] == pid)
			return true;
	return false;
}

static void take_end(struct stack_backend *b, const struct end_event *end)
{
	if (end->exit) {
		deep_threads_exit(&b->deep, end->tid, end->time);
		return;
	}
	deep_threads_exec(&b->deep, end->pid, end->time);
	b->execs[b->n_execs++ % KEPT_EXECS] = end->pid;
	resolve(b, end->pid, 0, end->time, true);
}

static void take_sample(struct stack_backend *b, const struct stack_sample *s)
{
	struct sample_record record;
	enum reason reason;
	uint32_t event;

	if (!perf_events_find(b->events, s->id, &event)) {
		b->counters.lost_samples++;
		return;
	}
	if (!perf_events_counts(b->events, s->id, s->time) || counts_elsewhere(b, s))
		return;
	reason = why_not(b, s);
	fill_record(s, event, &record);
	b->ips.len = 0;
	if (!reason)
		reason = walk(b, s);
	/* A task in the kernel has left code that it had; if not, it is of the program before execve. */
	if (reason == REASON_NO_MAPPING && b->ips.len == 1 && !s->user_mode && has_exec(b, s->pid))
		reason = REASON_NOT_STARTED;
	if (b->ips.len && hold(b, s, &record, reason))
		return;
	resolve(b, s->pid, s->tid, s->time, false);
	deliver(b, &record, reason, b->ips.data, b->ips.len);
}

static void stack_take(void *backend, enum recorder_event kind, const void *data, uint32_t size)
{
	struct stack_backend *b = backend;
	const struct end_event *end = data;
	struct stack_sample sample;

	if (kind == EVENT_CHAIN)
		take_end(b, end);
	else if (stack_sample_parse(data, size, &sample))
		take_sample(b, &sample);
}

/* ---- life ------------------------------------------------------------------- */

static void stack_destroy(void *backend)
{
	struct stack_backend *b = backend;

	dso_store_destroy(b->dsos);
	rule_cache_destroy(b->rules);
	perf_events_close(b->events);
	deep_threads_free(&b->deep);
	shared_samples_free(&b->shared);
	free(b->copy_sizes);
	vec_free(&b->ips);
	vec_free(&b->doubts);
	free(b);
}

static struct error *open_events(struct stack_backend *b, int epoll_fd)
{
	struct perf_events_options options = {
		.events = b->options->events, .n_events = b->options->n_events, .frequency = b->options->frequency,
		.period = b->options->period,
		.scope = b->options->scope, .pids = b->options->pids, .n_pids = b->options->n_pids,
		.ring_attr = perf_events_side_band_attr(),
		.event_attr = {
			.sample_type = STACK_SAMPLE_TYPE, .sample_regs_user = STACK_SAMPLE_REGS,
			.exclude_callchain_user = 1, .sample_id_all = 1,
		},
		.stack_sizes = copy_sizes, .n_stack_sizes = N_COPY_SIZES,
		.ring_bytes = perf_ring_bytes(RINGS_BYTES, MAX_RING), .epoll_fd = epoll_fd,
	};

	return perf_events_open(&options, &b->events);
}

/* Events of a thread end with such an exec, whoever has opened them. */
static void warn_of_rights(const struct session_options *options)
{
	if (options->scope != SESSION_SYSTEM && options->command && agent_program_gains_rights(options->command))
		log_warning("%s runs with other rights than yours (setuid, setgid or capabilities) or cannot be read: the "
			    "kernel ends its events (remedy: -a, or what another backend needs, see retour doctor)",
			    options->command);
}

static struct error *stack_create(const struct backend_context *context, void **ret)
{
	struct stack_backend *b = calloc(1, sizeof(*b));
	struct error *err;

	if (!b)
		return error_nomem();
	b->options = context->options;
	b->recorder = context->recorder;
	b->shared = (struct shared_samples){ .fn = queue_sample, .arg = b };
	err = open_events(b, context->epoll_fd);
	b->deep.events = b->events;
	if (!err)
		err = rule_cache_create(NULL, RULE_CACHE_SETS, NULL, &b->rules);
	if (!err)
		err = dso_store_create(-1, b->rules, &b->dsos);
	if (!err)
		b->copy_sizes = calloc(perf_events_groups(b->events), sizeof(*b->copy_sizes));
	if (!err && !b->copy_sizes)
		err = error_nomem();
	if (err) {
		stack_destroy(b);
		return err;
	}
	warn_of_rights(b->options);
	b->walker = (struct stack_walker){ b->dsos, recorder_processes(b->recorder), b->options->max_depth };
	*ret = b;
	return NULL;
}

static const struct perf_event_attr *stack_ring_attr(void *backend)
{
	struct stack_backend *b = backend;

	return perf_events_ring_attr(b->events);
}

static struct error *stack_enable(void *backend)
{
	struct stack_backend *b = backend;

	return perf_events_enable(b->events);
}

static void stack_disable(void *backend)
{
	struct stack_backend *b = backend;

	perf_events_disable(b->events);
}

static void stack_forget(void *backend, uint32_t tid)
{
	struct stack_backend *b = backend;

	deep_threads_exit(&b->deep, tid, kernel_clock_ns());
}

static void stack_follow_cpus(void *backend)
{
	struct stack_backend *b = backend;

	perf_events_follow_cpus(b->events);
}

/* No sample ever waits for its chain. */
static uint16_t stack_why_no_chain(void *backend, uint32_t tid, uint64_t cookie)
{
	return REASON_NOT_RETURNED;
}

static void stack_counters(void *backend, struct backend_counters *ret)
{
	struct stack_backend *b = backend;
	struct dso_rule_counts rules = dso_rule_counts(b->dsos);

	*ret = b->counters;
	ret->stack_copies = ret->walks;
	ret->rule_hits = rules.hits;
	ret->rule_misses = rules.misses;
}

const struct backend backend_stack = {
	.name = "stack", .create = stack_create, .destroy = stack_destroy, .now = kernel_clock_ns,
	.ring_attr = stack_ring_attr,
	.enable = stack_enable, .disable = stack_disable, .drain = stack_drain, .take = stack_take,
	.expire = stack_expire, .follow_cpus = stack_follow_cpus, .forget = stack_forget,
	.why_no_chain = stack_why_no_chain, .counters = stack_counters,
};
