/* SPDX-License-Identifier: MIT */
/*
 * A recording session: rings into the queue, events in order of time to the
 * process tracker, the stack copies and the stitcher, samples into the file.
 */
#include "collect/session.h"

#include "base/clock.h"
#include "base/log.h"
#include "collect/build_ids.h"
#include "collect/event_queue.h"
#include "collect/perf_events.h"
#include "collect/programs.h"
#include "collect/scope.h"
#include "collect/stack_copy.h"
#include "collect/stitch.h"
#include "collect/synthesize.h"
#include "perfdata/parse.h"
#include "perfdata/recorder_stats.h"
#include "perfdata/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum {
	SAMPLE_RINGS_BYTES = 64 << 20,	/* of all CPUs together … */
	MAX_SAMPLE_RING = 4 << 20,	/* … and of one: a second at 10 kHz */
	DEFERRED_RINGS_BYTES = 64 << 20,
	MAX_DEFERRED_RING = 4 << 20,
	MIN_RING = 256 << 10,
	MAX_SYNTHESIZED = 8192,		/* bytes of a record's body */
	SETTLE_MS = 100,		/* at the end, for tasks on their way to user space */
	CPU_LOOK_NS = 200000000,
	FLUSH_NS = 1000000000,
	FORGET_NS = 500000000,
	RECORDER_NICE = -10,
	COPY_PATIENCE_NS = 1000000000,	/* for the rest of a stack copy */
};

enum event_kind { EVENT_PERF, EVENT_SAMPLE, EVENT_DEFERRED, EVENT_COPY };

struct ended_task {
	uint32_t tid;
	uint64_t time;
};

struct session {
	struct session_options options;
	struct programs *programs;
	struct rule_cache *rules;
	struct dso_store *dsos;
	struct perf_events *events;
	struct event_table ring_table;	/* how to parse the rings' records */
	struct event_queue queue;
	struct process_tracker *processes;
	struct scope scope;
	struct stack_copies *copies;
	struct stitcher *stitcher;
	struct perfdata_writer *writer;
	struct session_stats stats;
	VEC(unsigned char) synthesized;	/* records of what ran before, not written yet */
	VEC(struct ended_task) ended;	/* to be forgotten, by age */
	struct error *write_error;	/* the first; it ends the session */
	int epoll_fd;
	uint64_t start_ns, end_ns, looked_ns, flushed_ns;
};

static void note_write_error(struct session *s, struct error *err)
{
	if (s->write_error)
		error_free(err);
	else
		s->write_error = err;
}

/* ---- samples into the file ------------------------------------------------ */

static void count_sample(struct session *s, uint16_t reason, bool shared)
{
	enum reason_kind kind = reason_kind(reason);

	s->stats.samples++;
	s->stats.reasons[reason % REASON_MAX]++;
	s->stats.no_user += kind == REASON_KIND_NO_USER;
	s->stats.with_user_context += kind != REASON_KIND_NO_USER;
	s->stats.stitched += kind == REASON_KIND_NONE || kind == REASON_KIND_TRUNCATED;
	s->stats.complete += kind == REASON_KIND_NONE;
	s->stats.truncated += kind == REASON_KIND_TRUNCATED;
	s->stats.shared += shared;
}

static void write_sample(void *arg, const struct sample_record *r, const struct chain *chain, uint16_t reason,
			 bool shared)
{
	struct session *s = arg;
	struct perfdata_sample sample = {
		.ip = r->ip, .time = r->time, .period = r->period, .cookie = r->cookie, .pid = r->pid, .tid = r->tid,
		.cpu = r->cpu, .event = r->event, .reason = reason, .user_mode = r->user_mode,
		.return_cpu = chain ? chain->cpu : PERFDATA_NO_CPU, .kernel = (const uint64_t *)r->kernel, .n_kernel = r->n_kernel,
		.user = chain ? chain->ips : NULL, .n_user = chain ? chain->n : 0,
	};

	/* A record that only says why there is no chain is no chain. */
	count_sample(s, reason, shared && chain && chain->n);
	if (!s->write_error)
		note_write_error(s, perfdata_writer_sample(s->writer, &sample));
}

static void take_chain(void *arg, const struct chain *chain)
{
	struct session *s = arg;

	if (s->options.deferred_records && chain->n && !s->write_error)
		note_write_error(s, perfdata_writer_deferred(s->writer, chain->pid, chain->tid, chain->time,
							     chain->cpu, chain->cookie, chain->ips, chain->n));
	stitcher_chain(s->stitcher, chain);
}

/* ---- records from the rings ------------------------------------------------ */

static void take_deferred(struct session *s, const struct deferred_record *r, uint32_t size)
{
	const uint64_t *ips = (const uint64_t *)(r + 1);
	struct chain chain = {
		.time = r->time, .cookie = r->cookie, .pid = r->pid, .tid = r->tid, .cpu = r->cpu,
		.reason = r->reason, .n = r->n, .ips = ips,
	};

	if (size >= sizeof(*r) + r->n * sizeof(*ips))
		take_chain(s, &chain);
}

static void write_side_band(struct session *s, const struct perf_event_header *header,
			    const struct perfdata_record *record)
{
	const size_t extra = sizeof(*header) + PERF_EVENTS_TRAILER;

	if (header->size < extra || s->write_error)
		return;
	note_write_error(s, perfdata_writer_record(s->writer, header->type, header->misc, header + 1,
						   header->size - extra, record->pid, record->tid, record->time,
						   record->cpu));
}

static void take_side_band(struct session *s, const struct perf_event_header *header)
{
	struct perfdata_record record;
	struct parse_result result;

	if (!parse_record(&s->ring_table, (const void *)header, header->size, NULL, &record, &result))
		return;
	switch (header->type) {
	case PERF_RECORD_LOST:
		s->stats.lost_records += record.lost.lost;
		write_side_band(s, header, &record);
		break;
	case PERF_RECORD_THROTTLE:
		s->stats.throttled++;
		break;
	case PERF_RECORD_MMAP2:
	case PERF_RECORD_MMAP:
	case PERF_RECORD_COMM:
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		if (header->type == PERF_RECORD_EXIT)
			vec_push(&s->ended, (struct ended_task){ record.tid, record.time });
		process_tracker_feed(s->processes, &record);
		if (scope_feed(&s->scope, &record) || record.pid == PROCESS_KERNEL_PID)
			write_side_band(s, header, &record);
		break;
	}
}

static void take_event(void *arg, uint32_t kind, const void *data, uint32_t size)
{
	struct session *s = arg;

	switch (kind) {
	case EVENT_PERF:
		take_side_band(s, data);
		break;
	case EVENT_SAMPLE:
		stitcher_sample(s->stitcher, data, size);
		break;
	case EVENT_DEFERRED:
		take_deferred(s, data, size);
		break;
	case EVENT_COPY:
		stack_copies_finish(s->copies, data);
		break;
	}
}

/* ---- draining --------------------------------------------------------------- */

static void queue_or_lose(struct session *s, uint32_t kind, uint64_t time, const void *data, uint32_t size)
{
	if (event_queue_push(&s->queue, kind, time, data, size))
		return;
	s->stats.lost_samples += kind == EVENT_SAMPLE;
	s->stats.lost_records += kind != EVENT_SAMPLE;
}

/* A record of a perf ring: one of ours inside PERF_RECORD_SAMPLE, or the kernel's. */
static void drained_perf(void *arg, const struct perf_event_header *header)
{
	const size_t fixed = sizeof(*header) + 24;	/* tid, time, cpu, before the size of the raw part */
	const unsigned char *bytes = (const void *)header;
	struct sample_record sample;
	struct session *s = arg;
	uint64_t time;
	uint32_t size;

	if (header->type != PERF_RECORD_SAMPLE) {
		if (header->size < sizeof(*header) + PERF_EVENTS_TRAILER)
			return;
		memcpy(&time, bytes + header->size - PERF_EVENTS_TRAILER + 8, sizeof(time));
		queue_or_lose(s, EVENT_PERF, time, header, header->size);
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
	queue_or_lose(s, EVENT_SAMPLE, sample.time, &sample, size);
}

/* Stack copies are large: they are put together at once, and only their turn waits in the queue. */
static void drained_deferred(void *arg, const void *data, uint32_t size)
{
	const struct deferred_record *r = data;
	struct session *s = arg;
	bool whole;

	if (size < sizeof(*r))
		return;
	if (r->type != RECORD_STACK && !(r->flags & DEFERRED_PARTIAL)) {
		queue_or_lose(s, EVENT_DEFERRED, r->time, data, size);
		return;
	}
	whole = r->type == RECORD_STACK ? stack_copies_piece(s->copies, r, size) :
					  stack_copies_partial(s->copies, r, size);
	if (whole)
		queue_or_lose(s, EVENT_COPY, r->time, r, sizeof(*r));
}

static void drain(struct session *s)
{
	uint64_t horizon = clock_monotonic_ns();

	perf_events_drain(s->events, drained_perf, s);
	programs_drain_rings(s->programs);
	event_queue_take(&s->queue, horizon, take_event, s);
	if (horizon > COPY_PATIENCE_NS)
		stack_copies_expire(s->copies, horizon - COPY_PATIENCE_NS);
}

/* ---- what ran before -------------------------------------------------------- */

/* Only for the tracker at first: the file has time, sampling has not. */
static void take_synthesized(void *arg, uint32_t type, uint16_t misc, uint32_t pid, uint32_t tid, const void *body,
			     size_t size)
{
	struct session *s = arg;
	struct {
		uint32_t pid, tid;
		uint64_t time;
		uint32_t cpu, reserved;
	} trailer = { pid, tid, s->start_ns, 0, 0 };
	struct perf_event_header header = { type, misc, sizeof(header) + size + sizeof(trailer) };
	size_t at = s->synthesized.len;
	struct perfdata_record record;
	struct parse_result result;

	if (size > MAX_SYNTHESIZED || !vec_reserve(&s->synthesized, at + header.size))
		return;
	memcpy(s->synthesized.data + at, &header, sizeof(header));
	memcpy(s->synthesized.data + at + sizeof(header), body, size);
	memcpy(s->synthesized.data + at + sizeof(header) + size, &trailer, sizeof(trailer));
	s->synthesized.len += header.size;
	if (parse_record(&s->ring_table, s->synthesized.data + at, header.size, NULL, &record, &result))
		process_tracker_feed(s->processes, &record);
}

/* Completes the synthesized records with build IDs, and enters them into the file. */
static void write_synthesized(struct session *s)
{
	struct build_ids ids = { 0 };

	for (size_t at = 0; at < s->synthesized.len;) {
		struct perf_event_header *header = (struct perf_event_header *)(s->synthesized.data + at);

		if (header->type == PERF_RECORD_MMAP2 &&
		    build_ids_fill(&ids, header + 1, header->size - sizeof(*header) - PERF_EVENTS_TRAILER))
			header->misc |= PERF_RECORD_MISC_MMAP_BUILD_ID;
		take_side_band(s, header);
		at += header->size;
	}
	build_ids_free(&ids);
	vec_free(&s->synthesized);
}

static void synthesize(struct session *s)
{
	synthesize_kernel(take_synthesized, s);
	if (s->options.scope == SESSION_SYSTEM) {
		synthesize_all(take_synthesized, s);
		return;
	}
	for (size_t i = 0; i < s->options.n_pids; i++)
		synthesize_process(thread_group_of(s->options.pids[i]), take_synthesized, s);
}

/* ---- life ------------------------------------------------------------------- */

static struct error *create_writer(struct session *s)
{
	struct perfdata_event events[SESSION_MAX_EVENTS];
	struct perfdata_writer_options options = {
		.events = events, .n_events = s->options.n_events, .deferred_records = s->options.deferred_records,
		.cmdline = s->options.cmdline,
	};

	for (size_t i = 0; i < s->options.n_events; i++)
		events[i] = (struct perfdata_event){
			.name = s->options.events[i].name, .type = s->options.events[i].type,
			.config = s->options.events[i].config, .frequency = s->options.frequency,
		};
	return perfdata_writer_create(s->options.output, &options, &s->writer);
}

/* A power of two. */
static uint32_t ring_bytes(uint32_t all, uint32_t most)
{
	uint32_t bytes = most, n_cpus = sysconf(_SC_NPROCESSORS_CONF);

	while (bytes > MIN_RING && bytes > all / n_cpus)
		bytes /= 2;
	return bytes;
}

static struct error *open_events(struct session *s)
{
	struct perf_events_options options = {
		.events = s->options.events, .n_events = s->options.n_events, .frequency = s->options.frequency,
		.ring_bytes = ring_bytes(SAMPLE_RINGS_BYTES, MAX_SAMPLE_RING),
		.sample_rings_fd = programs_sample_rings_fd(s->programs), .epoll_fd = s->epoll_fd,
	};
	struct epoll_event want = { .events = EPOLLIN, .data.fd = -1 };
	const struct perf_event_attr *attr;
	struct error *err;

	for (size_t i = 0; i < s->options.n_events; i++)
		options.program_fds[i] = programs_event_fd(s->programs, i);
	err = perf_events_open(&options, &s->events);
	if (err)
		return err;
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, programs_rings_fd(s->programs), &want))
		return error_errno(errno, "epoll");
	attr = perf_events_ring_attr(s->events);
	if (!event_table_add(&s->ring_table, attr, attr->size))
		return error_nomem();
	event_table_finish(&s->ring_table);
	return NULL;
}

static struct error *set_up(struct session *s)
{
	struct programs_options options = {
		.n_events = s->options.n_events, .max_depth = s->options.max_depth,
		.scope = s->options.scope == SESSION_SYSTEM ? SCOPE_SYSTEM :
			 s->options.scope == SESSION_THREADS ? SCOPE_THREADS : SCOPE_PROCESSES,
		.ring_bytes = ring_bytes(DEFERRED_RINGS_BYTES, MAX_DEFERRED_RING),
		.record = drained_deferred, .record_arg = s,
	};
	struct error *err = programs_load(&options, &s->programs);

	for (size_t i = 0; !err && i < s->options.n_pids; i++)
		err = programs_scope_add(s->programs, s->options.pids[i]);
	if (!err)
		err = open_events(s);
	if (!err)
		err = rule_cache_create(programs_rule_sets(s->programs), RULE_SETS, programs_rules(s->programs),
					&s->rules);
	if (!err)
		err = dso_store_create(programs_files_fd(s->programs), s->rules, &s->dsos);
	if (!err)
		err = stack_copies_create(s->dsos, s->processes, s->options.max_depth, take_chain, s, &s->copies);
	if (!err)
		err = stitcher_create(write_sample, s, &s->stitcher);
	if (!err)
		err = create_writer(s);
	return err;
}

/* Every file whose code is on stacks stays open. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

struct error *session_create(const struct session_options *options, struct session **ret)
{
	_cleanup_(session_destroyp) struct session *s = calloc(1, sizeof(*s));
	struct error *err;

	if (!s)
		return error_nomem();
	raise_file_limit();
	s->options = *options;
	s->stats.backend = "bpf";
	s->scope.all = options->scope == SESSION_SYSTEM;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->processes = process_tracker_create();
	if (s->epoll_fd < 0 || !s->processes)
		return error_nomem();
	if (!options->n_events || options->n_events > SESSION_MAX_EVENTS || !options->max_depth ||
	    options->max_depth > SESSION_MAX_DEPTH)
		return error_new(EINVAL, "a session takes 1 to %d events and 1 to %d frames", SESSION_MAX_EVENTS,
				 SESSION_MAX_DEPTH);
	for (size_t i = 0; i < options->n_pids; i++)
		scope_add(&s->scope, thread_group_of(options->pids[i]));
	err = set_up(s);
	if (err)
		return err;
	*ret = steal_ptr(s);
	return NULL;
}

struct error *session_start(struct session *s)
{
	struct error *err = programs_attach(s->programs);

	/* A recorder that waits for a busy CPU loses records; it is allowed to fail. */
	setpriority(PRIO_PROCESS, 0, RECORDER_NICE);
	s->start_ns = clock_monotonic_ns();
	/* Before sampling: a task that ends in between would be unknown otherwise.  Its records come already. */
	if (!err)
		synthesize(s);
	if (!err)
		err = perf_events_enable(s->events);
	if (!err)
		write_synthesized(s);
	return err;
}

/*
 * The kernel side is told of ended tasks late, so that their last samples find
 * them; an id that is in use again is left alone.
 */
static void forget_ended(struct session *s, uint64_t now)
{
	size_t n = 0;

	while (n < s->ended.len && s->ended.data[n].time + FORGET_NS < now) {
		char path[32];

		snprintf(path, sizeof(path), "/proc/%" PRIu32, s->ended.data[n].tid);
		if (access(path, F_OK))
			programs_forget(s->programs, s->ended.data[n].tid);
		n++;
	}
	s->ended.len -= n;
	memmove(s->ended.data, s->ended.data + n, s->ended.len * sizeof(*s->ended.data));
}

static void housekeeping(struct session *s)
{
	uint64_t now = clock_monotonic_ns();

	if (now - s->looked_ns > CPU_LOOK_NS) {
		s->looked_ns = now;
		forget_ended(s, now);
		perf_events_follow_cpus(s->events);
	}
	if (now - s->flushed_ns > FLUSH_NS && !s->write_error) {
		s->flushed_ns = now;
		note_write_error(s, perfdata_writer_flush(s->writer));
	}
}

static struct error *take_write_error(struct session *s)
{
	return steal_ptr(s->write_error);
}

struct error *session_poll(struct session *s, int timeout_ms)
{
	struct epoll_event ready[16];

	/* What lies beyond the horizon waits for the next drain: soon. */
	if (s->queue.events.len && timeout_ms > 1)
		timeout_ms = 1;
	if (epoll_wait(s->epoll_fd, ready, 16, timeout_ms) < 0 && errno != EINTR)
		return error_errno(errno, "waiting for records");
	drain(s);
	housekeeping(s);
	return take_write_error(s);
}

/* ---- the end ---------------------------------------------------------------- */

static uint16_t why_no_chain(void *arg, uint32_t tid, uint64_t cookie)
{
	struct session *s = arg;
	struct counters counters;

	if (programs_slot_pending(s->programs, tid, cookie))
		return REASON_BLOCKED;
	programs_counters(s->programs, &counters);
	return counters.record_lost ? REASON_RECORD_LOST : REASON_NOT_RETURNED;
}

static void settle(struct session *s)
{
	uint64_t until = clock_monotonic_ns() + SETTLE_MS * 1000000ULL;
	struct epoll_event ready[16];

	do {
		drain(s);
		if (!stitcher_waiting(s->stitcher) && !s->queue.events.len)
			return;
		epoll_wait(s->epoll_fd, ready, 16, 5);
	} while (clock_monotonic_ns() < until);
}

static void fill_recorder_stats(struct session *s, struct perfdata_recorder_stats *r)
{
	struct counters c;
	struct rusage usage;

	programs_counters(s->programs, &c);
	getrusage(RUSAGE_SELF, &usage);
	perfdata_recorder_stats_init(r);
	strncpy(r->backend, s->stats.backend, sizeof(r->backend) - 1);
	r->start_ns = s->start_ns;
	r->duration_ns = s->end_ns - s->start_ns;
	r->requests = c.requests;
	r->walks = c.walks;
	r->lost_samples = c.sample_lost + s->stats.lost_samples;
	r->lost_records = c.record_lost + s->stats.lost_records;
	r->throttled = s->stats.throttled;
	r->rule_hits = c.rule_hits;
	r->rule_misses = c.rule_misses;
	r->stack_copies = c.stack_copies;
	r->frames = c.frames;
	r->walk_ns_total = c.walk_ns;
	r->recorder_cpu_ns = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ULL +
			     (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ULL;
	r->recorder_rss_bytes = usage.ru_maxrss * 1024ULL;
}

struct error *session_finish(struct session *s)
{
	struct perfdata_recorder_stats stats;
	struct error *err;

	perf_events_disable(s->events);
	programs_detach(s->programs);
	s->end_ns = clock_monotonic_ns();
	settle(s);
	if (stitcher_waiting(s->stitcher)) {
		err = programs_walk_blocked(s->programs);
		if (err) {
			log_warning("blocked tasks are not walked: %s", err->text);
			error_free(err);
		}
		drain(s);
	}
	event_queue_take(&s->queue, UINT64_MAX, take_event, s);
	stack_copies_expire(s->copies, UINT64_MAX);
	stitcher_give_up(s->stitcher, why_no_chain, s);
	fill_recorder_stats(s, &stats);
	if (!s->write_error)
		note_write_error(s, perfdata_writer_set_stats(s->writer, &stats, sizeof(stats)));
	if (!s->write_error)
		note_write_error(s, perfdata_writer_finish(s->writer));
	return take_write_error(s);
}

void session_stats(struct session *s, struct session_stats *ret)
{
	struct counters c;

	programs_counters(s->programs, &c);
	*ret = s->stats;
	ret->lost_samples += c.sample_lost;
	ret->lost_records += c.record_lost;
	ret->file_bytes = perfdata_writer_bytes(s->writer);
}

void session_destroy(struct session *s)
{
	if (!s)
		return;
	perfdata_writer_close(s->writer);
	stitcher_destroy(s->stitcher);
	stack_copies_destroy(s->copies);
	dso_store_destroy(s->dsos);
	rule_cache_destroy(s->rules);
	perf_events_close(s->events);
	programs_destroy(s->programs);
	process_tracker_destroy(s->processes);
	event_table_free(&s->ring_table);
	event_queue_free(&s->queue);
	scope_free(&s->scope);
	vec_free(&s->ended);
	vec_free(&s->synthesized);
	error_free(s->write_error);
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
	free(s);
}
