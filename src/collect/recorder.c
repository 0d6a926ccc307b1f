/* SPDX-License-Identifier: MIT */
/* From records to the file; see recorder.h. */
#include "collect/recorder.h"

#include "base/log.h"
#include "base/vec.h"
#include "collect/build_ids.h"
#include "collect/event_queue.h"
#include "collect/perf_events.h"
#include "collect/scope.h"
#include "collect/stitch.h"
#include "collect/synthesize.h"
#include "perfdata/parse.h"
#include "perfdata/writer.h"

#include <errno.h>
#include <string.h>

enum {
	MAX_SYNTHESIZED = 8192,		/* bytes of a record's body */
	SYNTHESIZED_AT_ONCE = 64,
	MAX_TRACEPOINTS = 1024,
};

struct ended_task {
	uint32_t tid;
	uint64_t time;
};

struct recorder {
	const struct session_options *options;
	struct event_table ring_table;	/* how to parse the rings' records */
	struct event_queue queue;
	struct process_tracker *processes;
	struct scope scope;
	struct stitcher *stitcher;
	struct perfdata_writer *writer;
	struct session_stats stats;
	VEC(unsigned char) synthesized;	/* records of what ran before … */
	size_t synthesized_at;		/* … and how far they are written */
	struct build_ids ids;
	VEC(struct ended_task) ended;	/* by age */
	uint64_t start_ns;
	struct error *write_error;	/* the first; it ends the session */
};

static void note_write_error(struct recorder *r, struct error *err)
{
	if (r->write_error)
		error_free(err);
	else
		r->write_error = err;
}

/* ---- samples into the file ------------------------------------------------ */

static void count_sample(struct session_stats *stats, uint16_t reason, bool shared)
{
	enum reason_kind kind = reason_kind(reason);

	stats->samples++;
	stats->reasons[reason % REASON_MAX]++;
	stats->no_user += kind == REASON_KIND_NO_USER;
	stats->with_user_context += kind != REASON_KIND_NO_USER;
	stats->stitched += kind == REASON_KIND_NONE || kind == REASON_KIND_TRUNCATED;
	stats->complete += kind == REASON_KIND_NONE;
	stats->truncated += kind == REASON_KIND_TRUNCATED;
	stats->shared += shared;
}

/*
 * Once, and only if a sample has it.  perf takes no record for a sample that is
 * younger, as one may be whose entry was walked for another session before.
 */
static void write_chain(struct recorder *r, const struct sample_record *s, const struct chain *chain)
{
	uint64_t time = chain->time > s->time ? chain->time : s->time;

	if (!r->write_error)
		note_write_error(r, perfdata_writer_deferred(r->writer, chain->pid, chain->tid, time, chain->cpu,
							     chain->cookie, chain->ips, chain->n));
}

/* What follows the kernel's frames is the data of a tracepoint. */
static void write_sample(void *arg, const struct sample_record *s, uint32_t size, const struct chain *chain,
			 uint16_t reason, bool shared)
{
	size_t head = offsetof(struct sample_record, kernel) + s->n_kernel * sizeof(s->kernel[0]);
	struct recorder *r = arg;
	struct perfdata_sample sample = {
		.ip = s->ip, .time = s->time, .period = s->period, .cookie = s->cookie, .pid = s->pid, .tid = s->tid,
		.cpu = s->cpu, .event = s->event, .reason = reason, .user_mode = s->user_mode,
		.return_cpu = chain ? chain->cpu : PERFDATA_NO_CPU, .kernel = (const uint64_t *)s->kernel, .n_kernel = s->n_kernel,
		.user = chain ? chain->ips : NULL, .n_user = chain ? chain->n : 0,
	};

	if (s->event >= r->options->n_events && size > head) {
		sample.raw = (const unsigned char *)s + head;
		sample.raw_size = size - head;
	}

	/* A record that only says why there is no chain is no chain. */
	count_sample(&r->stats, reason, shared && chain && chain->n);
	if (!r->write_error)
		note_write_error(r, perfdata_writer_sample(r->writer, &sample));
	if (r->options->deferred_records && chain && chain->n && s->cookie && !shared)
		write_chain(r, s, chain);
}

bool recorder_add_tracepoint(struct recorder *r, struct tracing_event *event, uint32_t *ret)
{
	struct error *err = r->write_error ? error_new(EIO, "an earlier error")
					   : perfdata_writer_add_tracepoint(r->writer, event, ret);

	if (!err)
		return true;
	if (err->code == ENOSPC)
		log_warning("%s: %s:%s is not recorded", err->text, event->system, event->name);
	if (r->write_error || err->code == ENOSPC)
		error_free(err);
	else
		r->write_error = err;
	return false;
}

void recorder_sample(struct recorder *r, const struct sample_record *sample, uint32_t size)
{
	stitcher_sample(r->stitcher, sample, size);
}

void recorder_chain(struct recorder *r, const struct chain *chain)
{
	stitcher_chain(r->stitcher, chain);
}

void recorder_whole_sample(struct recorder *r, const struct sample_record *sample, const struct chain *chain,
			   uint16_t reason)
{
	write_sample(r, sample, 0, chain, reason, false);
}

/* ---- side-band records ------------------------------------------------------ */

static void write_side_band(struct recorder *r, const struct perf_event_header *header,
			    const struct perfdata_record *record)
{
	const size_t extra = sizeof(*header) + PERF_EVENTS_TRAILER;

	if (header->size < extra || r->write_error)
		return;
	note_write_error(r, perfdata_writer_record(r->writer, header->type, header->misc, header + 1,
						   header->size - extra, record->pid, record->tid, record->time,
						   record->cpu));
}

static void take_side_band(struct recorder *r, const struct perf_event_header *header)
{
	struct perfdata_record record;
	struct parse_result result;

	if (!parse_record(&r->ring_table, (const void *)header, header->size, NULL, &record, &result))
		return;
	switch (header->type) {
	case PERF_RECORD_LOST:
		r->stats.lost_records += record.lost.lost;
		write_side_band(r, header, &record);
		break;
	case PERF_RECORD_THROTTLE:
		r->stats.throttled++;
		break;
	case PERF_RECORD_MMAP2:
	case PERF_RECORD_MMAP:
	case PERF_RECORD_COMM:
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		if (header->type == PERF_RECORD_EXIT)
			vec_push(&r->ended, (struct ended_task){ record.tid, record.time });
		process_tracker_feed(r->processes, &record);
		if (scope_feed(&r->scope, &record) || record.pid == PROCESS_KERNEL_PID)
			write_side_band(r, header, &record);
		break;
	}
}

void recorder_each_ended(struct recorder *r, uint64_t time, void (*fn)(void *arg, uint32_t tid), void *arg)
{
	size_t n = 0;

	while (n < r->ended.len && r->ended.data[n].time < time)
		fn(arg, r->ended.data[n++].tid);
	if (!n)
		return;
	r->ended.len -= n;
	memmove(r->ended.data, r->ended.data + n, r->ended.len * sizeof(*r->ended.data));
}

/* ---- the queue ---------------------------------------------------------------- */

void recorder_queue(struct recorder *r, enum recorder_event kind, uint64_t time, const void *data, uint32_t size)
{
	if (event_queue_push(&r->queue, kind, time, data, size))
		return;
	r->stats.lost_samples += kind == EVENT_SAMPLE;
	r->stats.lost_records += kind != EVENT_SAMPLE;
}

void recorder_queue_side_band(struct recorder *r, const struct perf_event_header *header)
{
	uint64_t time;

	if (header->size < sizeof(*header) + PERF_EVENTS_TRAILER)
		return;
	memcpy(&time, (const unsigned char *)header + header->size - PERF_EVENTS_TRAILER + 8, sizeof(time));
	recorder_queue(r, EVENT_SIDE_BAND, time, header, header->size);
}

/* ---- records made up from /proc ---------------------------------------------------- */

struct synthesized {
	struct perf_event_header header;
	unsigned char room[MAX_SYNTHESIZED + PERF_EVENTS_TRAILER];
};

/* With the trailer that the rings' records have; false if it is too long. */
static bool make_synthesized(struct synthesized *ret, uint64_t time, uint32_t type, uint16_t misc, uint32_t pid,
			     uint32_t tid, const void *body, size_t size)
{
	struct {
		uint32_t pid, tid;
		uint64_t time;
		uint32_t cpu, reserved;
		uint64_t identifier;
	} trailer = { pid, tid, time, 0, 0, 0 };

	if (size > MAX_SYNTHESIZED)
		return false;
	ret->header = (struct perf_event_header){ type, misc, sizeof(ret->header) + size + sizeof(trailer) };
	memcpy(ret->room, body, size);
	memcpy(ret->room + size, &trailer, sizeof(trailer));
	return true;
}

static void fill_build_id(struct recorder *r, struct perf_event_header *header)
{
	if (header->type == PERF_RECORD_MMAP2 &&
	    build_ids_fill(&r->ids, header + 1, header->size - sizeof(*header) - PERF_EVENTS_TRAILER))
		header->misc |= PERF_RECORD_MISC_MMAP_BUILD_ID;
}

/* ---- what comes later --------------------------------------------------------------- */

struct update {
	struct recorder *recorder;
	uint64_t time;
};

static bool is_known(struct recorder *r, const struct synthesized_mmap2 *map)
{
	const struct process_mapping *known = process_tracker_find(r->processes, map->pid, map->addr);

	return known && known->start == map->addr && known->end == map->addr + map->len &&
	       known->pgoff == map->pgoff && !strcmp(known->path, map->filename);
}

static void queue_new_mapping(void *arg, uint32_t type, uint16_t misc, uint32_t pid, uint32_t tid, const void *body,
			      size_t size)
{
	struct update *update = arg;
	struct synthesized synthesized;

	if (type != PERF_RECORD_MMAP2 || is_known(update->recorder, body) ||
	    !make_synthesized(&synthesized, update->time, type, misc, pid, tid, body, size))
		return;
	fill_build_id(update->recorder, &synthesized.header);
	recorder_queue_side_band(update->recorder, &synthesized.header);
}

void recorder_add_process(struct recorder *r, uint32_t pid)
{
	scope_add(&r->scope, pid);
}

void recorder_update_process(struct recorder *r, uint32_t pid, uint64_t time)
{
	struct update update = { r, time };

	synthesize_process(pid, queue_new_mapping, &update);
}

struct taking {
	struct recorder *recorder;
	recorder_take_fn fn;
	void *arg;
};

static void take_event(void *arg, uint32_t kind, const void *data, uint32_t size)
{
	const struct taking *t = arg;

	if (kind == EVENT_SIDE_BAND)
		take_side_band(t->recorder, data);
	else
		t->fn(t->arg, kind, data, size);
}

void recorder_take(struct recorder *r, uint64_t horizon, recorder_take_fn fn, void *arg)
{
	struct taking t = { r, fn, arg };

	event_queue_take(&r->queue, horizon, take_event, &t);
}

bool recorder_has_queued(const struct recorder *r)
{
	return r->queue.events.len > 0;
}

struct process_tracker *recorder_processes(struct recorder *r)
{
	return r->processes;
}

uint64_t recorder_waiting(const struct recorder *r)
{
	return stitcher_waiting(r->stitcher);
}

void recorder_give_up(struct recorder *r, recorder_reason_fn why, void *arg)
{
	stitcher_give_up(r->stitcher, why, arg);
}

/* ---- what ran before -------------------------------------------------------- */

/* For the tracker at once; the file has time, sampling has not. */
static void take_synthesized(void *arg, uint32_t type, uint16_t misc, uint32_t pid, uint32_t tid, const void *body,
			     size_t size)
{
	struct recorder *r = arg;
	size_t at = r->synthesized.len;
	struct synthesized synthesized;
	struct perfdata_record record;
	struct parse_result result;

	if (!make_synthesized(&synthesized, r->start_ns, type, misc, pid, tid, body, size) ||
	    !vec_reserve(&r->synthesized, at + synthesized.header.size))
		return;
	memcpy(r->synthesized.data + at, &synthesized, synthesized.header.size);
	if (!parse_record(&r->ring_table, r->synthesized.data + at, synthesized.header.size, NULL, &record, &result))
		return;
	process_tracker_feed(r->processes, &record);
	if (scope_feed(&r->scope, &record) || record.pid == PROCESS_KERNEL_PID)
		r->synthesized.len += synthesized.header.size;
}

bool recorder_write_synthesized(struct recorder *r)
{
	struct perfdata_record record;
	struct parse_result result;

	for (int i = 0; i < SYNTHESIZED_AT_ONCE && r->synthesized_at < r->synthesized.len; i++) {
		struct perf_event_header *header =
			(struct perf_event_header *)(r->synthesized.data + r->synthesized_at);

		fill_build_id(r, header);
		if (parse_record(&r->ring_table, (const void *)header, header->size, NULL, &record, &result))
			write_side_band(r, header, &record);
		r->synthesized_at += header->size;
	}
	if (r->synthesized_at < r->synthesized.len)
		return true;
	build_ids_free(&r->ids);
	vec_free(&r->synthesized);
	return false;
}

void recorder_synthesize(struct recorder *r, uint64_t time)
{
	r->start_ns = time;
	synthesize_kernel(take_synthesized, r);
	if (r->options->scope == SESSION_SYSTEM) {
		synthesize_all(take_synthesized, r);
		return;
	}
	for (size_t i = 0; i < r->options->n_pids; i++)
		synthesize_process(thread_group_of(r->options->pids[i]), take_synthesized, r);
}

/* ---- life ------------------------------------------------------------------- */

static struct error *create_writer(struct recorder *r)
{
	const struct perfdata_event dummy = {
		.name = "dummy", .type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_DUMMY, .period = 1,
	};
	struct perfdata_event events[SESSION_MAX_EVENTS];
	bool has_patterns = false;
	struct perfdata_writer_options options = {
		.events = events, .n_events = r->options->n_events, .deferred_records = r->options->deferred_records,
		.cmdline = r->options->cmdline,
	};

	for (size_t i = 0; i < r->options->n_events; i++)
		/* Tracepoints come as they are found; perf, too, has a dummy for what is no sample of theirs. */
		events[i] = session_event_is_pattern(&r->options->events[i]) ? dummy : (struct perfdata_event){
			.name = r->options->events[i].name, .type = r->options->events[i].type,
			.config = r->options->events[i].config, .frequency = r->options->frequency,
			.period = r->options->period,
		};
	for (size_t i = 0; i < r->options->n_events; i++)
		has_patterns |= session_event_is_pattern(&r->options->events[i]);
	options.n_more_events = has_patterns ? MAX_TRACEPOINTS : 0;
	return perfdata_writer_create(r->options->output, &options, &r->writer);
}

struct error *recorder_create(const struct session_options *options, struct recorder **ret)
{
	_cleanup_(recorder_destroyp) struct recorder *r = calloc(1, sizeof(*r));
	struct error *err;

	if (!r)
		return error_nomem();
	r->options = options;
	r->scope.all = options->scope == SESSION_SYSTEM;
	r->processes = process_tracker_create();
	if (!r->processes)
		return error_nomem();
	for (size_t i = 0; i < options->n_pids; i++)
		scope_add(&r->scope, thread_group_of(options->pids[i]));
	err = stitcher_create(write_sample, r, &r->stitcher);
	if (err)
		return err;
	*ret = steal_ptr(r);
	return NULL;
}

struct error *recorder_open(struct recorder *r, const struct perf_event_attr *ring_attr)
{
	if (!event_table_add(&r->ring_table, ring_attr, ring_attr->size))
		return error_nomem();
	event_table_finish(&r->ring_table);
	return create_writer(r);
}

void recorder_stats(const struct recorder *r, struct session_stats *ret)
{
	*ret = r->stats;
	ret->file_bytes = perfdata_writer_bytes(r->writer);
}

void recorder_flush(struct recorder *r)
{
	if (!r->write_error)
		note_write_error(r, perfdata_writer_flush(r->writer));
}

void recorder_finish(struct recorder *r, const void *stats, size_t size)
{
	if (!r->write_error)
		note_write_error(r, perfdata_writer_set_stats(r->writer, stats, size));
	if (!r->write_error)
		note_write_error(r, perfdata_writer_finish(r->writer));
}

struct error *recorder_take_error(struct recorder *r)
{
	return steal_ptr(r->write_error);
}

void recorder_destroy(struct recorder *r)
{
	if (!r)
		return;
	perfdata_writer_close(r->writer);
	stitcher_destroy(r->stitcher);
	process_tracker_destroy(r->processes);
	event_table_free(&r->ring_table);
	event_queue_free(&r->queue);
	scope_free(&r->scope);
	vec_free(&r->ended);
	vec_free(&r->synthesized);
	build_ids_free(&r->ids);
	error_free(r->write_error);
	free(r);
}
