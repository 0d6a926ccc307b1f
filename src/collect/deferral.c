/* SPDX-License-Identifier: MIT */
/* Samples and deferred records of the kernel; see deferral.h. */
#include "collect/deferral.h"

#include "base/hash.h"
#include "collect/perf_events.h"
#include "collect/shared_samples.h"
#include "collect/task.h"
#include "perfdata/records.h"

#include <string.h>

enum {
	MAX_OPEN = 16384,	/* requests; the oldest are not followed any more */
	CLOCKS_NS = 1000000000,	/* by which the times of samples may be wrong */
};

/* A request whose chain has not come, by task. */
struct request {
	struct hash_node node;
	struct request *older, *newer;
	uint64_t number;	/* as they came */
	uint32_t pid, tid;
	uint64_t cookie, time;
	uint64_t user_ip;	/* 0: not known */
	bool exited;		/* the task; its record may still come */
	bool passed;		/* by the record of a newer one */
	bool after_exec;	/* the program has been replaced in this kernel entry; without a cookie: not asked since */
};

struct deferral {
	struct deferral_options options;
	struct frame_chain check;
	struct hash open;
	struct request *oldest, *newest;
	uint64_t n_requests;
	struct shared_samples shared;
	uint64_t lost_time;	/* when a ring last told of lost records */
	struct deferral_counters counters;
};

/* ---- records as the kernel writes them ---------------------------------------- */

struct sample_head {
	struct shared_sample is;
	uint64_t period, n;
	uint64_t words[];	/* the chain; then the ABI of the registers, then our one if there is an ABI */
};

struct deferred_head {
	struct perf_event_header header;
	uint64_t cookie, n;
	uint64_t words[];
};

struct exit_body {
	uint32_t pid, parent, tid, parent_tid;
	uint64_t time;
};

struct trailer {
	uint32_t pid, tid;
	uint64_t time;
	uint32_t cpu, reserved;
	uint64_t id;
};

_Static_assert(sizeof(struct trailer) == PERF_EVENTS_TRAILER, "see perf_events.h");

/* A sample taken apart. */
struct parsed {
	struct sample_record sample;
	uint32_t size;			/* of it */
	const uint64_t *user;		/* a chain that was not deferred … */
	size_t n_user;
	bool has_user;			/* … which may be empty */
	bool has_regs;
	bool ours;			/* filled in for us, not for another session */
	uint64_t user_ip;
};

static void parse_chain(const uint64_t *words, size_t n, struct parsed *p)
{
	struct sample_record *s = &p->sample;
	bool kernel = false;

	for (size_t i = 0; i < n; i++) {
		if (words[i] == PERFDATA_CONTEXT_USER_DEFERRED) {
			s->cookie = i + 1 < n ? words[i + 1] : 0;
			return;
		}
		if (words[i] == (uint64_t)PERF_CONTEXT_USER) {
			p->has_user = true;
			p->user = words + i + 1;
			p->n_user = n - i - 1;
			return;
		}
		if (words[i] >= (uint64_t)PERF_CONTEXT_MAX)
			kernel = words[i] == (uint64_t)PERF_CONTEXT_KERNEL;
		else if (kernel && s->n_kernel < MAX_KERNEL_FRAMES)
			s->kernel[s->n_kernel++] = words[i];
	}
}

static bool parse_sample(const struct deferral *d, const struct sample_head *head, uint32_t size, struct parsed *p)
{
	size_t left = (size - sizeof(*head)) / 8;
	uint32_t event;

	if (head->n >= left || !d->options.find_event(d->options.arg, head->is.id, &event))
		return false;
	memset(p, 0, sizeof(*p));
	p->sample = (struct sample_record){
		.type = RECORD_SAMPLE, .event = event, .time = head->is.time, .ip = head->is.ip, .period = head->period,
		.pid = head->is.pid, .tid = head->is.tid, .cpu = head->is.cpu,
		.user_mode = (head->is.header.misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_USER,
	};
	parse_chain(head->words, head->n, p);
	p->has_regs = head->words[head->n] != PERF_SAMPLE_REGS_ABI_NONE;
	if (p->has_regs && head->n + 1 < left)
		p->user_ip = head->words[head->n + 1];
	p->ours = d->options.is_ours(d->options.arg, head->is.id);
	p->size = offsetof(struct sample_record, kernel) + p->sample.n_kernel * sizeof(p->sample.kernel[0]);
	return true;
}

/* ---- open requests -------------------------------------------------------------- */

/* The newest one of a task. */
static struct request *find(const struct deferral *d, uint32_t tid)
{
	struct request *newest = NULL;

	hash_each(&d->open, hash_u64(tid), node) {
		struct request *r = container_of(node, struct request, node);

		if (r->tid == tid && (!newest || r->number > newest->number))
			newest = r;
	}
	return newest;
}

static struct request *find_cookie(const struct deferral *d, uint32_t tid, uint64_t cookie)
{
	hash_each(&d->open, hash_u64(tid), node) {
		struct request *r = container_of(node, struct request, node);

		if (r->tid == tid && r->cookie == cookie)
			return r;
	}
	return NULL;
}

/* One that came before another one of the task, with a time before a time; all of these are passed. */
static struct request *pass_older(const struct deferral *d, const struct request *than, uint64_t time)
{
	struct request *found = NULL;

	hash_each(&d->open, hash_u64(than->tid), node) {
		struct request *r = container_of(node, struct request, node);

		if (r->tid != than->tid || r->number >= than->number)
			continue;
		r->passed = true;
		if (r->time < time)
			found = r;
	}
	return found;
}

static void close_request(struct deferral *d, struct request *r)
{
	*(r->older ? &r->older->newer : &d->oldest) = r->newer;
	*(r->newer ? &r->newer->older : &d->newest) = r->older;
	hash_remove(&d->open, &r->node);
	free(r);
}

/* The samples of the request get no chain. */
static void refuse(struct deferral *d, struct request *r, uint64_t time, uint16_t reason)
{
	struct chain none = {
		.time = time, .cookie = r->cookie, .pid = r->pid, .tid = r->tid, .reason = reason,
	};

	if (r->cookie)
		recorder_chain(d->options.recorder, &none);
	close_request(d, r);
}

static void open_request(struct deferral *d, const struct request *request)
{
	struct request *r;

	if (d->open.len >= MAX_OPEN)
		close_request(d, d->oldest);
	r = malloc(sizeof(*r));
	if (!r)
		return;
	*r = *request;
	r->number = d->n_requests++;
	if (!hash_insert(&d->open, &r->node, hash_u64(r->tid))) {
		free(r);
		return;
	}
	r->older = d->newest;
	*(d->newest ? &d->newest->newer : &d->oldest) = r;
	d->newest = r;
}

static void note_request(struct deferral *d, const struct parsed *p)
{
	const struct sample_record *s = &p->sample;
	struct request *last = find(d, s->tid), request = {
		.pid = s->pid, .tid = s->tid, .cookie = s->cookie, .time = s->time, .user_ip = p->user_ip,
	};

	if (find_cookie(d, s->tid, s->cookie))
		return;
	if (last && !last->cookie) {
		request.after_exec = !s->user_mode;
		close_request(d, last);
	} else if (last && last->exited) {
		refuse(d, last, s->time, REASON_EXITING);	/* another task has its number now */
	}
	d->counters.requests++;
	open_request(d, &request);
}

/* ---- in order of time -------------------------------------------------------------- */

static uint16_t why_no_user(struct process_tracker *processes, const struct parsed *p)
{
	if (!p->sample.tid)
		return p->has_regs ? REASON_OTHER_NAMESPACE : REASON_IDLE;
	if (p->has_regs && !p->ours)
		return REASON_NOT_ASKED;
	if (p->has_regs)
		return REASON_NO_MM;
	switch (task_kind(p->sample.tid, process_tracker_comm(processes, p->sample.pid, p->sample.tid))) {
	case TASK_KERNEL_THREAD:
		return REASON_KERNEL_THREAD;
	case TASK_USER_WORKER:
		return REASON_IO_WORKER;
	case TASK_USER:
		break;
	}
	return REASON_NO_MM;
}

/* Cuts the chain to what is right and to what was asked for. */
static void judge(struct deferral *d, struct chain *chain)
{
	size_t n = chain->n;

	chain->reason = frame_chain_check(&d->check, chain->pid, chain->ips, &n);
	if (n > d->options.max_depth) {
		n = d->options.max_depth;
		chain->reason = REASON_MAX_DEPTH;
	}
	chain->n = n;
	d->counters.frames += n;
}

/* The kernel walks at once, and without faulting, for tasks that are exiting. */
static void take_immediate(struct deferral *d, const struct parsed *p)
{
	struct chain chain = {
		.time = p->sample.time, .pid = p->sample.pid, .tid = p->sample.tid, .cpu = p->sample.cpu,
		.n = p->n_user, .ips = p->user,
	};

	d->counters.walks++;
	if (!chain.n) {
		recorder_whole_sample(d->options.recorder, &p->sample, NULL, REASON_EXITING);
		return;
	}
	judge(d, &chain);
	recorder_whole_sample(d->options.recorder, &p->sample, &chain, chain.reason);
}

static void take_sample(struct deferral *d, const struct sample_head *head, uint32_t size)
{
	struct parsed p;

	if (size < sizeof(*head) || !parse_sample(d, head, size, &p)) {
		d->counters.lost_samples++;
		return;
	}
	if (p.sample.cookie && p.sample.tid) {
		note_request(d, &p);
		recorder_sample(d->options.recorder, &p.sample, p.size);
	} else if (p.has_user) {
		take_immediate(d, &p);
	} else {
		recorder_whole_sample(d->options.recorder, &p.sample, NULL,
				      why_no_user(d->check.processes, &p));
	}
}

/* Is the chain that of the user context in which the request was made? */
static bool is_of_request(const struct request *r, const struct chain *chain)
{
	return !r || !r->user_ip || r->user_ip == chain->ips[0];
}

static void no_chain(struct chain *chain, enum reason reason)
{
	chain->n = 0;
	chain->reason = reason;
}

/*
 * Those that are older than one that is answered or given up.  A task's records are in order, its samples, whose
 * times may be others', are not: only what is much older is known not to be answered any more.
 */
static void refuse_older(struct deferral *d, const struct request *than, uint64_t before)
{
	struct request *r;

	while ((r = pass_older(d, than, before)))
		refuse(d, r, than->time, r->exited ? REASON_EXITING : REASON_RECORD_LOST);
}

static void take_deferred(struct deferral *d, const struct deferred_head *head, uint32_t size)
{
	struct trailer trailer;
	struct request *r;
	struct chain chain;

	if (size < sizeof(*head) + sizeof(trailer) || head->n > (size - sizeof(*head) - sizeof(trailer)) / 8) {
		d->counters.lost_records++;
		return;
	}
	memcpy(&trailer, (const char *)head + size - sizeof(trailer), sizeof(trailer));
	chain = (struct chain){
		.time = trailer.time, .cookie = head->cookie, .pid = trailer.pid, .tid = trailer.tid,
		.cpu = trailer.cpu, .n = head->n, .ips = head->words,
	};
	r = find_cookie(d, trailer.tid, head->cookie);
	if (!r)
		r = find_cookie(d, trailer.tid, 0);
	d->counters.walks += r && r->cookie;
	if (!chain.n)
		no_chain(&chain, REASON_SCHEDULE_FAILED);
	else if (is_of_request(r, &chain))
		judge(d, &chain);
	else
		no_chain(&chain, r->after_exec ? REASON_NOT_STARTED : REASON_REGS_CHANGED);
	/* Without a request a sample may still come: the entry was asked for by another session before. */
	recorder_chain(d->options.recorder, &chain);
	if (!r)
		return;
	refuse_older(d, r, trailer.time > CLOCKS_NS ? trailer.time - CLOCKS_NS : 0);
	close_request(d, r);
}

/* Whatever threads the process had, there is one left, with the new program. */
static void take_exec(struct deferral *d, const struct perf_event_header *header, uint32_t size)
{
	struct request request;
	struct trailer trailer;

	memcpy(&trailer, (const char *)header + size - sizeof(trailer), sizeof(trailer));
	request = (struct request){ .pid = trailer.pid, .tid = trailer.tid, .after_exec = true };
	for (struct request *r = d->oldest, *next; r; r = next) {
		next = r->newer;
		if (r->pid == trailer.pid)
			refuse(d, r, trailer.time, REASON_EXEC);
	}
	open_request(d, &request);
}

static void take_exit(struct deferral *d, const struct perf_event_header *header, uint32_t size)
{
	struct exit_body body;
	struct request *r;

	if (size < sizeof(*header) + sizeof(body))
		return;
	memcpy(&body, header + 1, sizeof(body));
	r = find(d, body.tid);
	if (r)
		r->exited = true;
}

void deferral_take(struct deferral *d, const void *data, uint32_t size)
{
	const struct perf_event_header *header = data;

	switch (header->type) {
	case PERF_RECORD_SAMPLE:
		take_sample(d, data, size);
		break;
	case PERFDATA_RECORD_CALLCHAIN_DEFERRED:
		take_deferred(d, data, size);
		break;
	case PERF_RECORD_COMM:
		take_exec(d, header, size);
		break;
	case PERF_RECORD_EXIT:
		take_exit(d, header, size);
		break;
	}
}

/* ---- draining ----------------------------------------------------------------------- */

static void queue_sample(void *arg, const struct shared_sample *sample, uint32_t size)
{
	const struct deferral *d = arg;

	recorder_queue(d->options.recorder, EVENT_SAMPLE, sample->time, sample, size);
}

static uint64_t trailer_time(const struct perf_event_header *header)
{
	struct trailer trailer;

	memcpy(&trailer, (const char *)header + header->size - sizeof(trailer), sizeof(trailer));
	return trailer.time;
}

static void side_band(struct deferral *d, const struct perf_event_header *header)
{
	recorder_queue_side_band(d->options.recorder, header);
	if (header->type == PERF_RECORD_LOST && trailer_time(header) > d->lost_time)
		d->lost_time = trailer_time(header);
	/* The recorder takes names, we take what ends a program or a task. */
	if (header->type == PERF_RECORD_EXIT ||
	    (header->type == PERF_RECORD_COMM && header->misc & PERF_RECORD_MISC_COMM_EXEC))
		recorder_queue(d->options.recorder, EVENT_CHAIN, trailer_time(header), header, header->size);
}

static void sample_drained(struct deferral *d, const struct perf_event_header *header)
{
	const struct sample_head *head = (const void *)header;

	if (header->size < sizeof(*head)) {
		d->counters.lost_samples++;
	} else if (d->options.is_shared(d->options.arg, head->is.id)) {
		d->counters.lost_samples += !shared_samples_add(&d->shared, &head->is, header->size);
	} else {
		shared_samples_next(&d->shared, head->is.cpu, head->is.time);
		queue_sample(d, &head->is, header->size);
	}
}

void deferral_record(struct deferral *d, const struct perf_event_header *header)
{
	struct trailer trailer;

	if (header->type == PERF_RECORD_SAMPLE) {
		sample_drained(d, header);
		return;
	}
	if (header->size < sizeof(*header) + sizeof(struct trailer)) {
		d->counters.lost_records++;
		return;
	}
	memcpy(&trailer, (const char *)header + header->size - sizeof(trailer), sizeof(trailer));
	shared_samples_next(&d->shared, trailer.cpu, trailer.time);
	if (header->type == PERFDATA_RECORD_CALLCHAIN_DEFERRED)
		recorder_queue(d->options.recorder, EVENT_CHAIN, trailer.time, header, header->size);
	else
		side_band(d, header);
}

void deferral_drained(struct deferral *d)
{
	shared_samples_drained(&d->shared);
}

/* ---- the rest ------------------------------------------------------------------------- */

void deferral_forget(struct deferral *d, uint32_t tid)
{
	struct request *last = find(d, tid);

	if (!last)
		return;
	refuse_older(d, last, UINT64_MAX);
	last->exited = true;
	refuse(d, last, last->time, deferral_why_no_chain(d, tid, last->cookie));
}

uint16_t deferral_why_no_chain(const struct deferral *d, uint32_t tid, uint64_t cookie)
{
	const struct request *r = find_cookie(d, tid, cookie), *last = find(d, tid);

	/* Who has asked again has been in user space in between. */
	if (r != last || (r && r->passed) || d->lost_time > (r ? r->time : 0))
		return REASON_RECORD_LOST;
	return r && r->exited ? REASON_EXITING : REASON_NOT_RETURNED;
}

void deferral_counters(const struct deferral *d, struct deferral_counters *ret)
{
	*ret = d->counters;
}

struct error *deferral_create(const struct deferral_options *options, struct deferral **ret)
{
	struct deferral *d = calloc(1, sizeof(*d));

	if (!d)
		return error_nomem();
	d->options = *options;
	d->shared = (struct shared_samples){ .fn = queue_sample, .arg = d };
	d->check = (struct frame_chain){
		.dsos = options->dsos, .processes = recorder_processes(options->recorder),
		.limit = DEFERRAL_MAX_FRAMES,
	};
	*ret = d;
	return NULL;
}

void deferral_destroy(struct deferral *d)
{
	if (!d)
		return;
	while (d->oldest)
		close_request(d, d->oldest);
	shared_samples_free(&d->shared);
	hash_free(&d->open);
	free(d);
}
