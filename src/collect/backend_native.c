/* SPDX-License-Identifier: MIT */
/*
 * The backend of kernels that defer user chains themselves (Linux 6.19): they
 * walk by frame pointers, we stitch and check what comes (deferral.h).
 */
#include "collect/backend.h"
#include "collect/deferral.h"
#include "collect/kernel_clock.h"
#include "collect/perf_events.h"
#include "perfdata/records.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	RINGS_BYTES = 128 << 20,	/* of all CPUs together … */
	MAX_RING = 8 << 20,		/* … and of one */
};

struct native_backend {
	const struct session_options *options;
	struct dso_store *dsos;
	struct perf_events *events;
	struct deferral *deferral;
	uint64_t bad_records;
};

/* The struct of older kernel headers has no names for these bits of its flag word. */
static void set_flag(struct perf_event_attr *attr, uint64_t flag)
{
	const size_t at = offsetof(struct perf_event_attr, read_format) + sizeof(attr->read_format);
	uint64_t flags;

	memcpy(&flags, (char *)attr + at, sizeof(flags));
	flags |= flag;
	memcpy((char *)attr + at, &flags, sizeof(flags));
}

/* An event that does nothing tells whether the kernel knows the flags; that it is ours needs no rights. */
static struct error *check_kernel(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_DUMMY, .size = sizeof(attr),
		.exclude_kernel = 1, .disabled = 1,
	};
	_cleanup_close_ int plain = -1, deferring = -1;

	plain = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (plain < 0)
		return error_errno(errno, "cannot open a perf event");
	set_flag(&attr, PERFDATA_ATTR_DEFER_CALLCHAIN | PERFDATA_ATTR_DEFER_OUTPUT);
	deferring = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (deferring < 0)
		return error_new(EOPNOTSUPP, "this kernel cannot defer call chains, which backend native needs "
				 "(Linux 6.19; use --backend auto)");
	return NULL;
}

/* ---- life ------------------------------------------------------------------- */

static void native_destroy(void *backend)
{
	struct native_backend *b = backend;

	perf_events_close(b->events);
	deferral_destroy(b->deferral);
	dso_store_destroy(b->dsos);
	free(b);
}

static bool find_event(const void *arg, uint64_t id, uint32_t *event)
{
	const struct native_backend *b = arg;

	return perf_events_find(b->events, id, event);
}

static bool is_ours(const void *arg, uint64_t id)
{
	const struct native_backend *b = arg;

	return perf_events_has_id(b->events, id);
}

static bool is_shared(const void *arg, uint64_t id)
{
	const struct native_backend *b = arg;

	return perf_events_is_shared(b->events, id);
}

static struct error *open_events(struct native_backend *b, int epoll_fd)
{
	struct perf_events_options options = {
		.events = b->options->events, .n_events = b->options->n_events, .frequency = b->options->frequency,
		.period = b->options->period,
		.scope = b->options->scope, .pids = b->options->pids, .n_pids = b->options->n_pids,
		.ring_attr = perf_events_side_band_attr(), .ring_bytes = perf_ring_bytes(RINGS_BYTES, MAX_RING),
		.event_attr = { .sample_type = DEFERRAL_SAMPLE_TYPE, .sample_id_all = 1,
				.sample_regs_user = DEFERRAL_REGS },
		.all_side_band = true, .epoll_fd = epoll_fd,
	};

	/*
	 * The samples ask, the rings' event gets the records: bound to no task where
	 * there are the rights for it, since the chain of a task that exits comes
	 * when the events of the task are gone.
	 */
	set_flag(&options.event_attr, PERFDATA_ATTR_DEFER_CALLCHAIN);
	set_flag(&options.ring_attr, PERFDATA_ATTR_DEFER_OUTPUT);
	return perf_events_open(&options, &b->events);
}

static struct error *set_up(struct native_backend *b, const struct backend_context *context)
{
	struct deferral_options options = {
		.recorder = context->recorder, .max_depth = context->options->max_depth,
		.find_event = find_event, .is_ours = is_ours, .is_shared = is_shared, .arg = b,
	};
	struct error *err = check_kernel();

	if (!err)
		err = dso_store_create(-1, NULL, &b->dsos);
	options.dsos = b->dsos;
	if (!err)
		err = deferral_create(&options, &b->deferral);
	if (!err)
		err = open_events(b, context->epoll_fd);
	return err;
}

static struct error *native_create(const struct backend_context *context, void **ret)
{
	struct native_backend *b = calloc(1, sizeof(*b));
	struct error *err;

	if (!b)
		return error_nomem();
	b->options = context->options;
	err = set_up(b, context);
	if (err)
		native_destroy(b);
	else
		*ret = b;
	return err;
}

/* ---- what the session asks for ------------------------------------------------ */

static const struct perf_event_attr *native_ring_attr(void *backend)
{
	struct native_backend *b = backend;

	return perf_events_ring_attr(b->events);
}

static struct error *native_enable(void *backend)
{
	struct native_backend *b = backend;

	return perf_events_enable(b->events);
}

static void native_disable(void *backend)
{
	struct native_backend *b = backend;

	perf_events_disable(b->events);
}

static void drained(void *arg, const struct perf_event_header *header)
{
	deferral_record(arg, header);
}

static void native_drain(void *backend)
{
	struct native_backend *b = backend;

	b->bad_records += perf_events_drain(b->events, drained, b->deferral);
	deferral_drained(b->deferral);
}

static void native_take(void *backend, enum recorder_event kind, const void *data, uint32_t size)
{
	struct native_backend *b = backend;

	deferral_take(b->deferral, data, size);
}

static void native_follow_cpus(void *backend)
{
	struct native_backend *b = backend;

	perf_events_follow_cpus(b->events);
}

static void native_forget(void *backend, uint32_t tid)
{
	struct native_backend *b = backend;

	deferral_forget(b->deferral, tid);
}

static uint16_t native_why_no_chain(void *backend, uint32_t tid, uint64_t cookie)
{
	struct native_backend *b = backend;

	return deferral_why_no_chain(b->deferral, tid, cookie);
}

static void native_counters(void *backend, struct backend_counters *ret)
{
	struct native_backend *b = backend;
	struct deferral_counters c;

	deferral_counters(b->deferral, &c);
	*ret = (struct backend_counters){
		.requests = c.requests, .walks = c.walks, .frames = c.frames,
		.lost_samples = c.lost_samples, .lost_records = c.lost_records + b->bad_records,
	};
}

const struct backend backend_native = {
	.name = "native", .create = native_create, .destroy = native_destroy, .now = kernel_clock_ns,
	.ring_attr = native_ring_attr,
	.enable = native_enable, .disable = native_disable, .drain = native_drain, .take = native_take,
	.follow_cpus = native_follow_cpus, .forget = native_forget, .why_no_chain = native_why_no_chain,
	.counters = native_counters,
};
