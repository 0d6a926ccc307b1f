/* SPDX-License-Identifier: MIT */
/* The writer: what is handed over becomes records of linux/perf_event.h. */
#include "perfdata/writer.h"

#include "base/reason.h"
#include "perfdata/container.h"
#include "perfdata/feature.h"
#include "perfdata/format.h"
#include "perfdata/output.h"
#include "perfdata/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct perfdata_writer {
	struct output output;
	struct session session;
	struct bytes stats;
};

static size_t trailer_size(const struct perfdata_writer *w)
{
	return session_has_ids(&w->session) ? 32 : 24;
}

/* The sample_id fields after every record but samples. */
static void put_trailer(struct put *put, const struct perfdata_writer *w, uint32_t pid, uint32_t tid,
			uint64_t time, uint32_t cpu)
{
	put_u32(put, pid);
	put_u32(put, tid);
	put_u64(put, time);
	put_u32(put, cpu);
	put_u32(put, 0);
	if (session_has_ids(&w->session))
		put_u64(put, 1);
}

/* The parts of a chain as they are written: how many words, and why fewer than there were. */
struct chain {
	size_t n_kernel, n_user;
	bool deferred;		/* marker and cookie stand for the user part */
	size_t words;
	uint16_t reason;
};

static size_t deferred_max(const struct perfdata_writer *w)
{
	return (FORMAT_RECORD_MAX - sizeof(struct perf_event_header) - 16 - trailer_size(w)) / 8;
}

static struct chain chain_fit(const struct perfdata_writer *w, const struct perfdata_sample *s, size_t max)
{
	struct chain c = { .n_kernel = s->n_kernel, .n_user = s->n_user, .reason = s->reason };
	size_t contexts = 4;	/* both markers, or one marker and two deferred words */
	size_t max_user;

	if (c.n_kernel > max - contexts)
		c.n_kernel = max - contexts;
	c.deferred = w->session.deferred_records && s->cookie;
	max_user = c.deferred ? deferred_max(w) : max - contexts - c.n_kernel;
	if (c.n_user > max_user) {
		c.n_user = max_user;
		c.reason = REASON_MAX_DEPTH;
	}
	c.words = (c.n_kernel ? 1 + c.n_kernel : 0);
	c.words += c.deferred ? 2 : c.n_user ? 1 + c.n_user : 0;
	return c;
}

static void put_chain(struct put *put, const struct chain *c, const struct perfdata_sample *s)
{
	put_u64(put, c->words);
	if (c->n_kernel) {
		put_u64(put, (uint64_t)PERF_CONTEXT_KERNEL);
		put_bytes(put, s->kernel, c->n_kernel * sizeof(*s->kernel));
	}
	if (c->deferred) {
		put_u64(put, PERFDATA_CONTEXT_USER_DEFERRED);
		put_u64(put, s->cookie);
	} else if (c->n_user) {
		put_u64(put, (uint64_t)PERF_CONTEXT_USER);
		put_bytes(put, s->user, c->n_user * sizeof(*s->user));
	}
}

struct error *perfdata_writer_sample(struct perfdata_writer *w, const struct perfdata_sample *s)
{
	struct perfdata_sample_extra extra = { .cookie = s->cookie, .return_cpu = s->return_cpu };
	size_t raw_size = s->raw_size <= PERFDATA_MAX_RAW ? (s->raw_size + 7) & ~(size_t)7 : 0;
	size_t fixed = sizeof(struct perf_event_header) + (session_has_ids(&w->session) ? 56 : 48) +
		       sizeof(uint32_t) + raw_size + sizeof(extra);
	struct chain chain = chain_fit(w, s, (FORMAT_RECORD_MAX - fixed) / 8);
	size_t size = fixed + chain.words * 8;
	struct put put;
	struct error *err = container_begin_sample(&w->output, &w->session, s->event);

	if (!err)
		err = output_reserve(&w->output, size, &put.at);
	if (err)
		return err;
	extra.reason = chain.reason;
	put_header(&put, PERF_RECORD_SAMPLE,
		   s->user_mode ? PERF_RECORD_MISC_USER : PERF_RECORD_MISC_KERNEL, size);
	if (session_has_ids(&w->session))
		put_u64(&put, s->event + 1);
	put_u64(&put, s->ip);
	put_u32(&put, s->pid);
	put_u32(&put, s->tid);
	put_u64(&put, s->time);
	put_u32(&put, s->cpu);
	put_u32(&put, 0);
	put_u64(&put, s->period);
	put_chain(&put, &chain, s);
	put_u32(&put, (uint32_t)(raw_size + sizeof(extra)));
	if (raw_size) {
		put_bytes(&put, s->raw, s->raw_size);
		put_bytes(&put, &(uint64_t){ 0 }, raw_size - s->raw_size);
	}
	put_bytes(&put, &extra, sizeof(extra));
	if (!w->session.first_time || s->time < w->session.first_time)
		w->session.first_time = s->time;
	if (s->time > w->session.last_time)
		w->session.last_time = s->time;
	return NULL;
}

struct error *perfdata_writer_add_tracepoint(struct perfdata_writer *w, struct tracing_event *event, uint32_t *ret)
{
	struct perfdata_event described = { .type = PERF_TYPE_TRACEPOINT, .period = 1 };
	char name[sizeof(event->system) + sizeof(event->name) + 1];

	if (w->session.n_events >= w->session.max_events)
		return error_new(ENOSPC, "%s: at most %zu tracepoints", w->output.path, w->session.tracing.events.len);
	event->id = described.config = w->session.tracing.events.len + 1;
	snprintf(name, sizeof(name), "%s:%s", event->system, event->name);
	described.name = name;
	if (!tracing_add(&w->session.tracing, event))
		return error_nomem();
	if (!session_add_event(&w->session, &described))
		return error_nomem();
	*ret = (uint32_t)w->session.n_events - 1;
	return container_add_event(&w->output, &w->session);
}

struct error *perfdata_writer_deferred(struct perfdata_writer *w, uint32_t pid, uint32_t tid, uint64_t time,
				       uint32_t cpu, uint64_t cookie, const uint64_t *user, size_t n_user)
{
	size_t n = n_user < deferred_max(w) ? n_user : deferred_max(w);
	size_t size = sizeof(struct perf_event_header) + 16 + n * 8 + trailer_size(w);
	struct put put;
	struct error *err;

	if (!w->session.deferred_records)
		return error_new(EINVAL, "%s: deferred records were not announced in its attributes",
				 w->output.path);
	err = output_reserve(&w->output, size, &put.at);
	if (err)
		return err;
	put_header(&put, PERFDATA_RECORD_CALLCHAIN_DEFERRED, PERF_RECORD_MISC_USER, size);
	put_u64(&put, cookie);
	put_u64(&put, n);
	put_bytes(&put, user, n * sizeof(*user));
	put_trailer(&put, w, pid, tid, time, cpu);
	return NULL;
}

struct error *perfdata_writer_record(struct perfdata_writer *w, uint32_t type, uint16_t misc, const void *body,
				     size_t size, uint32_t pid, uint32_t tid, uint64_t time, uint32_t cpu)
{
	size_t overhead = sizeof(struct perf_event_header) + trailer_size(w);
	size_t padding = -size % 8;
	struct put put;
	struct error *err;

	if (size > FORMAT_RECORD_MAX - overhead - padding)
		return error_new(EMSGSIZE, "%s: a record of type %u with %zu bytes is too long",
				 w->output.path, type, size);
	err = output_reserve(&w->output, overhead + size + padding, &put.at);
	if (err)
		return err;
	put_header(&put, type, misc, overhead + size + padding);
	put_bytes(&put, body, size);
	put_bytes(&put, &(uint64_t){ 0 }, padding);
	put_trailer(&put, w, pid, tid, time, cpu);
	return NULL;
}

/* --- life cycle --- */

struct error *perfdata_writer_create(const char *path, const struct perfdata_writer_options *options,
				     struct perfdata_writer **ret)
{
	_cleanup_(perfdata_writer_closep) struct perfdata_writer *w = NULL;
	struct error *err;

	if (!options->n_events)
		return error_new(EINVAL, "%s: a recording needs an event", path);
	w = calloc(1, sizeof(*w));
	if (!w)
		return error_nomem();
	w->output.fd = -1;
	if (!session_init(&w->session, options))
		return error_nomem();
	err = output_open(&w->output, path);
	if (!err)
		err = container_begin(&w->output, &w->session);
	if (!err)
		*ret = steal_ptr(w);
	return err;
}

struct error *perfdata_writer_set_stats(struct perfdata_writer *w, const void *data, size_t size)
{
	struct bytes stats = {0};

	bytes_add(&stats, data, size);
	if (stats.bad) {
		bytes_free(&stats);
		return error_nomem();
	}
	bytes_free(&w->stats);
	w->stats = stats;
	return NULL;
}

uint64_t perfdata_writer_bytes(const struct perfdata_writer *w)
{
	return w->output.written + w->output.used;
}

struct error *perfdata_writer_flush(struct perfdata_writer *w)
{
	return output_flush(&w->output);
}

struct error *perfdata_writer_finish(struct perfdata_writer *w)
{
	return container_finish(&w->output, &w->session, &w->stats);
}

void perfdata_writer_close(struct perfdata_writer *w)
{
	if (!w)
		return;
	/* Without finish, what is buffered still belongs to the cut recording. */
	if (w->output.used && !w->output.failed)
		error_free(output_flush(&w->output));
	output_close(&w->output);
	session_free(&w->session);
	bytes_free(&w->stats);
	free(w);
}
