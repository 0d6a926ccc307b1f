/* SPDX-License-Identifier: MIT */
/*
 * A recording session: a backend that brings events, the recorder that turns
 * them into a file, and when what is done.
 */
#include "collect/session.h"

#include "base/clock.h"
#include "base/log.h"
#include "collect/backend.h"
#include "collect/recorder.h"
#include "perfdata/recorder_stats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	SETTLE_MS = 100,		/* at the end, for tasks on their way to user space */
	CPU_LOOK_NS = 200000000,
	FLUSH_NS = 1000000000,
	FORGET_NS = 500000000,
	RECORDER_NICE = -10,
	PATIENCE_NS = 1000000000,	/* for the rest of what came in part */
};

struct session {
	struct session_options options;
	const struct backend *ops;
	void *backend;
	struct recorder *recorder;
	int epoll_fd;
	uint64_t start_ns, end_ns, looked_ns, flushed_ns;
};

static const struct backend *const backends[] = { &backend_bpf, &backend_native, &backend_stack, &backend_agent };

static const struct backend *find_backend(const char *name)
{
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (!strcmp(name, backends[i]->name))
			return backends[i];
	return NULL;
}

bool session_has_backend(const char *name)
{
	return find_backend(name) != NULL;
}

static void drain(struct session *s)
{
	uint64_t horizon = s->ops->now();

	s->ops->drain(s->backend);
	recorder_take(s->recorder, horizon, s->ops->take, s->backend);
	if (s->ops->expire && horizon > PATIENCE_NS)
		s->ops->expire(s->backend, horizon - PATIENCE_NS);
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

static struct error *set_up(struct session *s)
{
	struct backend_context context = { .options = &s->options };
	struct error *err;

	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0)
		return error_errno(errno, "epoll");
	err = recorder_create(&s->options, &s->recorder);
	if (err)
		return err;
	context.recorder = s->recorder;
	context.epoll_fd = s->epoll_fd;
	err = s->ops->create(&context, &s->backend);
	if (!err && s->ops->start)
		err = s->ops->start(s->backend);
	return err;
}

struct error *session_create(const struct session_options *options, struct session **ret)
{
	_cleanup_(session_destroyp) struct session *s = calloc(1, sizeof(*s));
	struct error *err;

	if (!s)
		return error_nomem();
	s->epoll_fd = -1;
	s->options = *options;
	s->ops = find_backend(options->backend);
	if (!s->ops)
		return error_new(EINVAL, "there is no backend '%s'", options->backend);
	if (!options->n_events || options->n_events > SESSION_MAX_EVENTS || !options->max_depth ||
	    options->max_depth > SESSION_MAX_DEPTH)
		return error_new(EINVAL, "a session takes 1 to %d events and 1 to %d frames", SESSION_MAX_EVENTS,
				 SESSION_MAX_DEPTH);
	raise_file_limit();
	err = set_up(s);
	if (err)
		return err;
	*ret = steal_ptr(s);
	return NULL;
}

const char *const *session_environment(struct session *s)
{
	return s->ops->environment ? s->ops->environment(s->backend) : NULL;
}

struct error *session_start(struct session *s)
{
	struct error *err = recorder_open(s->recorder, s->ops->ring_attr(s->backend));

	/* A recorder that waits for a busy CPU loses records; it is allowed to fail. */
	setpriority(PRIO_PROCESS, 0, RECORDER_NICE);
	s->start_ns = s->ops->now();
	/* Before sampling: a task that ends in between would be unknown otherwise.  Its records come already. */
	if (!err)
		recorder_synthesize(s->recorder, s->start_ns);
	if (!err)
		err = s->ops->enable(s->backend);
	return err;
}

/* The backend is told of ended tasks late, so that their last samples find them; an id in use again is left alone. */
static void forget_ended(void *arg, uint32_t tid)
{
	struct session *s = arg;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%" PRIu32, tid);
	if (s->ops->forget && access(path, F_OK))
		s->ops->forget(s->backend, tid);
}

static void housekeeping(struct session *s)
{
	uint64_t now = s->ops->now();

	if (now - s->looked_ns > CPU_LOOK_NS) {
		s->looked_ns = now;
		recorder_each_ended(s->recorder, now - FORGET_NS, forget_ended, s);
		s->ops->follow_cpus(s->backend);
	}
	if (now - s->flushed_ns > FLUSH_NS) {
		s->flushed_ns = now;
		recorder_flush(s->recorder);
	}
}

struct error *session_poll(struct session *s, int timeout_ms)
{
	struct epoll_event ready[16];

	if (recorder_write_synthesized(s->recorder))
		timeout_ms = 0;
	/* What lies beyond the horizon waits for the next drain: soon. */
	if (recorder_has_queued(s->recorder) && timeout_ms > 1)
		timeout_ms = 1;
	if (epoll_wait(s->epoll_fd, ready, 16, timeout_ms) < 0 && errno != EINTR)
		return error_errno(errno, "waiting for records");
	drain(s);
	housekeeping(s);
	return recorder_take_error(s->recorder);
}

/* ---- the end ---------------------------------------------------------------- */

static void settle(struct session *s)
{
	uint64_t until = clock_monotonic_ns() + SETTLE_MS * 1000000ULL;
	struct epoll_event ready[16];

	do {
		drain(s);
		if (!recorder_waiting(s->recorder) && !recorder_has_queued(s->recorder))
			return;
		epoll_wait(s->epoll_fd, ready, 16, 5);
	} while (clock_monotonic_ns() < until);
}

static void answer_pending(struct session *s)
{
	struct error *err = s->ops->answer_pending(s->backend);

	if (err)
		log_warning("blocked tasks are not walked: %s", err->text);
	error_free(err);
	drain(s);
}

/* The most it has been.  getrusage() would give that of whoever forked us, if it was more. */
static uint64_t peak_rss(void)
{
	_cleanup_fclose_ FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	uint64_t kib = 0;

	while (status && !kib && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %" SCNu64, &kib) != 1)
			kib = 0;
	return kib * 1024;
}

static void fill_recorder_stats(struct session *s, struct perfdata_recorder_stats *r)
{
	struct backend_counters c;
	struct session_stats stats;
	struct rusage usage;

	session_stats(s, &stats);
	s->ops->counters(s->backend, &c);
	getrusage(RUSAGE_SELF, &usage);
	perfdata_recorder_stats_init(r);
	strncpy(r->backend, s->ops->name, sizeof(r->backend) - 1);
	r->start_ns = s->start_ns;
	r->duration_ns = s->end_ns - s->start_ns;
	r->requests = c.requests;
	r->walks = c.walks;
	r->lost_samples = stats.lost_samples;
	r->lost_records = stats.lost_records;
	r->throttled = stats.throttled;
	r->rule_hits = c.rule_hits;
	r->rule_misses = c.rule_misses;
	r->stack_copies = c.stack_copies;
	r->frames = c.frames;
	r->walk_ns_total = c.walk_ns;
	memcpy(r->unsampled, c.unsampled, sizeof(r->unsampled));
	r->recorder_cpu_ns = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ULL +
			     (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ULL;
	r->recorder_rss_bytes = peak_rss();
}

struct error *session_finish(struct session *s)
{
	struct perfdata_recorder_stats stats;

	s->ops->disable(s->backend);
	s->end_ns = s->ops->now();
	settle(s);
	while (recorder_write_synthesized(s->recorder))
		;
	if (recorder_waiting(s->recorder) && s->ops->answer_pending)
		answer_pending(s);
	recorder_take(s->recorder, UINT64_MAX, s->ops->take, s->backend);
	if (s->ops->expire)
		s->ops->expire(s->backend, UINT64_MAX);
	recorder_give_up(s->recorder, s->ops->why_no_chain, s->backend);
	fill_recorder_stats(s, &stats);
	recorder_finish(s->recorder, &stats, sizeof(stats));
	return recorder_take_error(s->recorder);
}

void session_stats(struct session *s, struct session_stats *ret)
{
	struct backend_counters c;

	s->ops->counters(s->backend, &c);
	recorder_stats(s->recorder, ret);
	ret->backend = s->ops->name;
	ret->lost_samples += c.lost_samples;
	ret->lost_records += c.lost_records;
	memcpy(ret->unsampled, c.unsampled, sizeof(ret->unsampled));
}

void session_destroy(struct session *s)
{
	if (!s)
		return;
	if (s->backend)
		s->ops->destroy(s->backend);
	recorder_destroy(s->recorder);
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
	free(s);
}
