/* SPDX-License-Identifier: MIT */
/* Opening and following perf events; see perf_events.h. */
#include "collect/perf_events.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/vec.h"
#include "collect/kernel_clock.h"
#include "collect/synthesize.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

enum {
	MIN_RING = 128 << 10,		/* two of the largest records */
	WAKEUP_BYTES = 256 << 10,	/* unread, at most */
	OPEN_ATTEMPTS = 5,
	MAX_OWN_GROUPS = 256,
	MAX_OWN_EVENTS = 512,		/* descriptors of threads that have events of their own */
	KEPT_CHANGES = 4,		/* of the size of copies: more than happen while samples are under way */
};

/* What events are bound to: a thread, or all that a CPU runs. */
struct target {
	pid_t tid;			/* -1: the CPU */
	uint32_t group;
	bool sampled;			/* else only for its side-band records */
};

/* One of an event's descriptors on a CPU. */
struct sampler {
	int fd;
	uint32_t group, stack_size;	/* number of the size */
};

struct cpu {
	struct perf_ring ring;
	VEC(struct sampler) samplers;
	VEC(int) side_bands;		/* of threads; a CPU's is the ring's event itself */
	bool open;
	bool warned;			/* that it could not be opened */
};

struct event_id {
	struct hash_node node;
	uint64_t id;
	uint32_t event, group, stack_size;
};

/* The sizes of copies that a group has had, by number, the last one first. */
struct size_history {
	struct {
		uint64_t since;
		uint32_t size;
	} last[KEPT_CHANGES];
};

struct perf_events {
	struct perf_events_options options;
	VEC(struct target) targets;
	struct size_history *sizes;	/* by group */
	struct hash ids;
	struct cpu **cpus;		/* possible CPUs; NULL: never online */
	bool *cpu_seen;			/* online at the last look */
	int uevents;			/* tells of CPUs that went offline between two looks; -1: cannot be had */
	int n_cpus;
	bool enabled;
	bool ring_refused;		/* the last error was that a ring could not be mapped */
};

static int perf_event_open(struct perf_event_attr *attr, pid_t tid, int cpu)
{
	return (int)syscall(SYS_perf_event_open, attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static bool of_threads(const struct perf_events *e)
{
	return e->options.scope != SESSION_SYSTEM;
}

static bool rings_of_threads(const struct perf_events *e)
{
	return of_threads(e) && !e->options.all_side_band;
}

/* A thread with events of its own has those of the first size only; its side-band records come anyway. */
static bool is_own(const struct perf_events *e, uint32_t group)
{
	return group >= perf_events_groups(e);
}

struct perf_event_attr perf_events_side_band_attr(void)
{
	return (struct perf_event_attr){
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(struct perf_event_attr),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_EVENTS_SAMPLE_TYPE,
		.sample_id_all = 1,
		.mmap = 1, .mmap2 = 1, .comm = 1, .comm_exec = 1, .task = 1, .build_id = 1,
		.watermark = 1,
		.use_clockid = 1, .clockid = CLOCK_MONOTONIC,
	};
}

static void init_event_attr(const struct perf_events *e, const struct session_event *event, uint32_t group,
			    struct perf_event_attr *attr)
{
	*attr = e->options.event_attr;
	attr->type = event->type;
	attr->size = sizeof(*attr);
	attr->config = event->config;
	attr->freq = e->options.frequency != 0;
	if (attr->freq)
		attr->sample_freq = e->options.frequency;
	else
		attr->sample_period = e->options.period;
	attr->disabled = 1;
	attr->exclude_guest = event->type == PERF_TYPE_HARDWARE;
	/* Events that share a ring must share its clock. */
	attr->use_clockid = 1;
	attr->clockid = CLOCK_MONOTONIC;
	attr->inherit = e->options.scope == SESSION_PROCESSES && !is_own(e, group);
}

/* Every thread has its events, on every CPU. */
static const char *why_files(const struct perf_events *e, int err)
{
	return err == EMFILE && rings_of_threads(e) ? " (for each thread some open files are needed, -a needs fewer)" : "";
}

/* No limit if it cannot be read. */
static unsigned long max_sample_rate(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/sys/kernel/perf_event_max_sample_rate", "re");
	unsigned long rate;

	return f && fscanf(f, "%lu", &rate) == 1 ? rate : ULONG_MAX;
}

static struct error *open_error(const struct perf_events *e, const struct session_event *event, int err, int cpu)
{
	unsigned long rate = max_sample_rate();

	if (err == EINVAL && e->options.frequency > rate)
		return error_new(err, "%u samples a second of %s are more than kernel.perf_event_max_sample_rate allows "
				 "(remedy: -F %lu, or: sudo sysctl kernel.perf_event_max_sample_rate=%u)",
				 e->options.frequency, event->name, rate, e->options.frequency);
	return error_errno(err, "cannot open event %s on CPU %d%s", event->name, cpu, why_files(e, err));
}

static bool remember_id(struct perf_events *e, uint32_t event, const struct sampler *sampler)
{
	struct event_id *id = calloc(1, sizeof(*id));

	if (!id || ioctl(sampler->fd, PERF_EVENT_IOC_ID, &id->id) || !hash_insert(&e->ids, &id->node, hash_u64(id->id))) {
		free(id);
		return false;
	}
	id->event = event;
	id->group = sampler->group;
	id->stack_size = sampler->stack_size;
	return true;
}

static const struct event_id *find_id(const struct perf_events *e, uint64_t id)
{
	hash_each(&e->ids, hash_u64(id), node) {
		const struct event_id *known = container_of(node, struct event_id, node);

		if (known->id == id)
			return known;
	}
	return NULL;
}

/* Does the kernel fill in samples of the event for all sessions at once? */
static bool is_shared(const struct session_event *event)
{
	return event->type == PERF_TYPE_SOFTWARE && event->config != PERF_COUNT_SW_CPU_CLOCK &&
	       event->config != PERF_COUNT_SW_TASK_CLOCK;
}

bool perf_events_find(const struct perf_events *e, uint64_t id, uint32_t *event)
{
	const struct event_id *known = find_id(e, id);
	unsigned int n_shared = 0;

	if (known) {
		*event = known->event;
		return true;
	}
	for (uint32_t i = 0; i < e->options.n_events; i++) {
		if (is_shared(&e->options.events[i])) {
			*event = i;
			n_shared++;
		}
	}
	return n_shared == 1;
}

bool perf_events_has_id(const struct perf_events *e, uint64_t id)
{
	return find_id(e, id);
}

bool perf_events_is_shared(const struct perf_events *e, uint64_t id)
{
	const struct event_id *known = find_id(e, id);

	return !known || is_shared(&e->options.events[known->event]);
}

bool perf_events_group_of(const struct perf_events *e, uint64_t id, uint32_t *group)
{
	const struct event_id *known = find_id(e, id);

	if (known)
		*group = known->group;
	return known;
}

static uint32_t size_at(const struct perf_events *e, uint32_t group, uint64_t time)
{
	const struct size_history *sizes = &e->sizes[group];
	unsigned int i = 0;

	while (i < KEPT_CHANGES - 1 && time <= sizes->last[i].since)
		i++;
	return sizes->last[i].size;
}

bool perf_events_counts(const struct perf_events *e, uint64_t id, uint64_t time)
{
	const struct event_id *known = find_id(e, id);

	if (!known || is_shared(&e->options.events[known->event]))
		return true;
	return known->stack_size == size_at(e, known->group, time);
}

/* Where an event's samples go: its program, or the ring of its CPU. */
static bool connect_event(struct perf_events *e, size_t i, const struct sampler *sampler, int cpu)
{
	if (e->options.program_fds)
		return !ioctl(sampler->fd, PERF_EVENT_IOC_SET_BPF, e->options.program_fds[i]);
	return !ioctl(sampler->fd, PERF_EVENT_IOC_SET_OUTPUT, e->cpus[cpu]->ring.fd) &&
	       remember_id(e, (uint32_t)i, sampler);
}

static bool in_use(const struct perf_events *e, const struct sampler *sampler)
{
	return e->sizes[sampler->group].last[0].size == sampler->stack_size;
}

static struct error *open_event(struct perf_events *e, size_t i, uint32_t size, const struct target *target, int cpu)
{
	const struct session_event *event = &e->options.events[i];
	struct sampler sampler = { -1, target->group, size };
	struct perf_event_attr attr;
	_cleanup_close_ int fd = -1;

	init_event_attr(e, event, target->group, &attr);
	if (e->options.n_stack_sizes)
		attr.sample_stack_user = e->options.stack_sizes[size];
	fd = perf_event_open(&attr, target->tid, cpu);
	if (fd < 0)
		return open_error(e, event, errno, cpu);
	sampler.fd = fd;
	if (!connect_event(e, i, &sampler, cpu) ||
	    (e->enabled && in_use(e, &sampler) && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)))
		return error_errno(errno, "cannot attach to event %s on CPU %d", event->name, cpu);
	if (!vec_push(&e->cpus[cpu]->samplers, sampler))
		return error_nomem();
	steal_fd(&fd);
	return NULL;
}

static struct error *open_side_band(struct perf_events *e, const struct target *target, int cpu)
{
	struct perf_event_attr attr = e->options.ring_attr;
	_cleanup_close_ int fd = -1;

	attr.inherit = 1;
	fd = perf_event_open(&attr, target->tid, cpu);
	if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, e->cpus[cpu]->ring.fd))
		return error_errno(errno, "cannot follow thread %d on CPU %d%s", target->tid, cpu,
				   why_files(e, errno));
	if (!vec_push(&e->cpus[cpu]->side_bands, fd))
		return error_nomem();
	steal_fd(&fd);
	return NULL;
}

static struct error *open_target(struct perf_events *e, const struct target *target, int cpu)
{
	const bool own = is_own(e, target->group);
	struct error *err = rings_of_threads(e) && !own ? open_side_band(e, target, cpu) : NULL;

	for (size_t i = 0; !err && target->sampled && i < e->options.n_events; i++) {
		uint32_t size = 0;

		do
			err = open_event(e, i, size, target, cpu);
		while (!err && !own && ++size < e->options.n_stack_sizes);
	}
	return err;
}

/* Threads that have ended meanwhile are no error, unless that leaves none. */
static struct error *open_targets(struct perf_events *e, int cpu)
{
	struct error *err = NULL;

	vec_each(&e->targets, target) {
		err = open_target(e, target, cpu);
		if (err && err->code != ESRCH)
			return err;
		error_free(err);
	}
	if (!e->cpus[cpu]->samplers.len)
		return error_new(ESRCH, "%s %d has ended meanwhile", e->options.scope == SESSION_THREADS ? "thread" : "process",
				 e->options.n_pids ? e->options.pids[0] : 0);
	return NULL;
}

/* ---- CPUs ---------------------------------------------------------------- */

/* A ring for threads hangs on an event of our own: one of theirs would hang up when its thread ends. */
static struct error *open_ring(struct perf_events *e, struct cpu *c, int cpu)
{
	struct epoll_event want = { .events = EPOLLIN, .data.fd = -1 };
	struct perf_event_attr attr = e->options.ring_attr;
	struct error *err;
	int fd;

	attr.wakeup_watermark = e->options.ring_bytes / 4 < WAKEUP_BYTES ? e->options.ring_bytes / 4 : WAKEUP_BYTES;
	fd = perf_event_open(&attr, rings_of_threads(e) ? 0 : -1, cpu);
	if (fd < 0)
		return error_errno(errno, "cannot open the ring of CPU %d", cpu);
	err = perf_ring_open(&c->ring, fd, e->options.ring_bytes);
	e->ring_refused = err && err->code == EPERM;
	if (err)
		return err;
	if ((e->options.program_fds && bpf_map_update_elem(e->options.sample_rings_fd, &cpu, &fd, BPF_ANY)) ||
	    epoll_ctl(e->options.epoll_fd, EPOLL_CTL_ADD, fd, &want))
		return error_errno(errno, "cannot connect the ring of CPU %d", cpu);
	return NULL;
}

static void close_cpu(struct cpu *c)
{
	vec_each(&c->samplers, sampler)
		close(sampler->fd);
	vec_each(&c->side_bands, fd)
		close(*fd);
	vec_free(&c->samplers);
	vec_free(&c->side_bands);
	perf_ring_close(&c->ring);
	c->open = false;
}

static void close_group(struct cpu *c, uint32_t group)
{
	size_t kept = 0;

	vec_each(&c->samplers, sampler) {
		if (sampler->group != group)
			c->samplers.data[kept++] = *sampler;
		else
			close(sampler->fd);
	}
	c->samplers.len = kept;
}

static struct error *open_cpu(struct perf_events *e, int cpu)
{
	struct cpu *c = e->cpus[cpu];
	struct error *err;

	if (!c) {
		c = e->cpus[cpu] = calloc(1, sizeof(*c));
		if (!c)
			return error_nomem();
	}
	err = open_ring(e, c, cpu);
	if (!err)
		err = open_targets(e, cpu);
	if (err)
		close_cpu(c);
	else
		c->open = true;
	return err;
}

/*
 * Calls fn for each CPU that events can be bound to, from a list as "0-3,5".
 * Those of threads outlive that a CPU is offline, and may be there before.
 */
static struct error *each_cpu(struct perf_events *e, struct error *(*fn)(struct perf_events *, int))
{
	const char *path = rings_of_threads(e) ? "/sys/devices/system/cpu/present" : "/sys/devices/system/cpu/online";
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	struct error *err = NULL;
	int first, last;

	if (!f)
		return error_errno(errno, "cannot read %s", path);
	while (!err && fscanf(f, "%d", &first) == 1) {
		last = first;
		if (fscanf(f, "-%d", &last) < 0 && ferror(f))
			break;
		for (int cpu = first; !err && cpu >= 0 && cpu <= last && cpu < e->n_cpus; cpu++)
			err = fn(e, cpu);
		if (fgetc(f) != ',')
			break;
	}
	return err;
}

/*
 * A CPU that went offline takes its events along; when it comes back they stay
 * dead.  So a CPU's events are closed when it is seen offline.
 */
static struct error *follow_cpu(struct perf_events *e, int cpu)
{
	struct cpu *c = e->cpus[cpu];
	struct error *err;

	e->cpu_seen[cpu] = true;
	if (c && c->open)
		return NULL;
	err = open_cpu(e, cpu);
	c = e->cpus[cpu];
	if (err && (!c || !c->warned))
		log_warning("CPU %d came online but is not recorded: %s", cpu, err->text);
	if (c)
		c->warned = err != NULL;
	error_free(err);
	return NULL;
}

static void open_uevents(struct perf_events *e)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };

	e->uevents = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (e->uevents >= 0 && bind(e->uevents, (struct sockaddr *)&address, sizeof(address))) {
		close(e->uevents);
		e->uevents = -1;
	}
}

/* Closes the events of CPUs that went offline, even if they have come back since. */
static void read_uevents(struct perf_events *e)
{
	char message[4096];
	ssize_t n;
	int cpu;

	while (e->uevents >= 0 && (n = recv(e->uevents, message, sizeof(message) - 1, 0)) > 0) {
		message[n] = '\0';
		if (sscanf(message, "offline@/devices/system/cpu/cpu%d", &cpu) == 1 && cpu >= 0 &&
		    cpu < e->n_cpus && e->cpus[cpu])
			close_cpu(e->cpus[cpu]);
	}
}

bool perf_events_follow_cpus(struct perf_events *e)
{
	struct error *err;

	if (rings_of_threads(e))
		return true;
	read_uevents(e);
	memset(e->cpu_seen, 0, e->n_cpus * sizeof(*e->cpu_seen));
	err = each_cpu(e, follow_cpu);
	if (err) {
		error_free(err);
		return false;
	}
	for (int cpu = 0; cpu < e->n_cpus; cpu++)
		if (e->cpus[cpu] && e->cpus[cpu]->open && !e->cpu_seen[cpu])
			close_cpu(e->cpus[cpu]);
	return true;
}

/* ---- targets -------------------------------------------------------------- */

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* All threads of a process tell of its mappings. */
static struct error *add_process(struct perf_events *e, pid_t pid, uint32_t group, pid_t only)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
		bool known = false;

		vec_each(&e->targets, target) {
			known |= target->tid == tid;
			target->sampled |= target->tid == tid && tid == only;
		}
		if (tid > 0 && !known && !vec_push(&e->targets, (struct target){ tid, group, !only || tid == only }))
			return error_nomem();
	}
	return NULL;
}

static struct error *add_targets(struct perf_events *e)
{
	struct error *err = NULL;

	if (!of_threads(e))
		return vec_push(&e->targets, (struct target){ -1, 0, true }) ? NULL : error_nomem();
	for (size_t i = 0; !err && i < e->options.n_pids; i++) {
		pid_t pid = e->options.pids[i];

		if (e->options.scope == SESSION_THREADS)
			err = add_process(e, (pid_t)thread_group_of((uint32_t)pid), (uint32_t)i, pid);
		else
			err = add_process(e, pid, (uint32_t)i, 0);
	}
	return err;
}

/* ---- all ------------------------------------------------------------------ */

static void close_all(struct perf_events *e)
{
	for (int cpu = 0; e->cpus && cpu < e->n_cpus; cpu++)
		if (e->cpus[cpu])
			close_cpu(e->cpus[cpu]);
	hash_each_all(&e->ids, node)
		free(container_of(node, struct event_id, node));
	hash_free(&e->ids);
}

/* Is there something to leave out that this kernel or its limits may have refused? */
static bool ask_for_less(struct perf_events *e, int code)
{
	struct perf_events_options *o = &e->options;

	if (e->ring_refused && o->ring_bytes > MIN_RING) {
		o->ring_bytes /= 2;
		return true;
	}
	/* Every thread has an event of each size on each CPU. */
	if (code == EMFILE && o->n_stack_sizes > 1) {
		o->n_stack_sizes = 1;
		return true;
	}
	/* The build IDs of mappings, Linux 5.12. */
	if (code == EINVAL && o->ring_attr.build_id) {
		o->ring_attr.build_id = 0;
		return true;
	}
	if ((code == EACCES || code == EPERM) && o->all_side_band) {
		o->all_side_band = false;
		return true;
	}
	if ((code == EACCES || code == EPERM) && !o->program_fds && !o->event_attr.exclude_kernel) {
		o->ring_attr.exclude_kernel = o->event_attr.exclude_kernel = 1;
		o->event_attr.exclude_callchain_kernel = 1;
		return true;
	}
	return false;
}

static struct error *open_all(struct perf_events *e)
{
	struct error *err = each_cpu(e, open_cpu);

	while (err && ask_for_less(e, err->code)) {
		error_free(err);
		close_all(e);
		e->ring_refused = false;
		err = each_cpu(e, open_cpu);
	}
	return err;
}

/*
 * A thread that was started meanwhile may have inherited some of the events
 * only: then all are opened anew, for as long as there is hope.
 */
static struct error *open_whole_processes(struct perf_events *e)
{
	struct error *err = add_targets(e);
	size_t n = 0;

	for (int i = 0; !err && n < e->targets.len && i < OPEN_ATTEMPTS; i++) {
		close_all(e);
		n = e->targets.len;
		err = open_all(e);
		if (!err && of_threads(e))
			err = add_targets(e);
	}
	return err;
}

struct error *perf_events_open(const struct perf_events_options *options, struct perf_events **ret)
{
	_cleanup_(perf_events_closep) struct perf_events *e = calloc(1, sizeof(*e));
	struct error *err;

	if (!e)
		return error_nomem();
	e->uevents = -1;
	e->options = *options;
	e->n_cpus = sysconf(_SC_NPROCESSORS_CONF);
	e->cpus = calloc(e->n_cpus, sizeof(*e->cpus));
	e->cpu_seen = calloc(e->n_cpus, sizeof(*e->cpu_seen));
	e->sizes = calloc(perf_events_groups(e) + MAX_OWN_GROUPS, sizeof(*e->sizes));
	if (!e->cpus || !e->cpu_seen || !e->sizes)
		return error_nomem();
	open_uevents(e);
	err = open_whole_processes(e);
	if (err)
		return err;
	if (e->options.event_attr.exclude_kernel)
		log_warning("without rights to look at the kernel only user space is sampled "
			    "(kernel.perf_event_paranoid, CAP_PERFMON)");
	*ret = steal_ptr(e);
	return NULL;
}

/* All that are in use. */
static void control(struct perf_events *e, unsigned long request)
{
	for (int cpu = 0; cpu < e->n_cpus; cpu++)
		if (e->cpus[cpu])
			vec_each(&e->cpus[cpu]->samplers, sampler)
				if (in_use(e, sampler))
					ioctl(sampler->fd, request, 0);
}

/* Those of a group with one size of copies. */
static void control_size(struct perf_events *e, uint32_t group, uint32_t size, unsigned long request)
{
	for (int cpu = 0; e->enabled && cpu < e->n_cpus; cpu++)
		if (e->cpus[cpu])
			vec_each(&e->cpus[cpu]->samplers, sampler)
				if (sampler->group == group && sampler->stack_size == size)
					ioctl(sampler->fd, request, 0);
}

uint32_t perf_events_groups(const struct perf_events *e)
{
	return of_threads(e) && e->options.n_pids ? (uint32_t)e->options.n_pids : 1;
}

/* Between the two calls both sizes are sampled, so that nothing is missed; which one counts is a matter of time. */
void perf_events_set_stack_size(struct perf_events *e, uint32_t group, uint32_t number)
{
	struct size_history *sizes = &e->sizes[group];
	const uint32_t before = sizes->last[0].size;

	if (number >= e->options.n_stack_sizes || number == before)
		return;
	memmove(sizes->last + 1, sizes->last, sizeof(sizes->last) - sizeof(sizes->last[0]));
	sizes->last[0].size = number;
	control_size(e, group, number, PERF_EVENT_IOC_ENABLE);
	sizes->last[0].since = kernel_clock_ns();
	control_size(e, group, before, PERF_EVENT_IOC_DISABLE);
}

/* ---- threads with events of their own ---------------------------------------- */

uint32_t perf_events_own_groups(const struct perf_events *e)
{
	const size_t per_thread = (size_t)e->n_cpus * e->options.n_events;

	for (size_t i = 0; i < e->options.n_events; i++)
		if (is_shared(&e->options.events[i]))
			return 0;
	if (e->options.n_stack_sizes < 2)
		return 0;
	return MAX_OWN_EVENTS / per_thread < MAX_OWN_GROUPS ? (uint32_t)(MAX_OWN_EVENTS / per_thread) : MAX_OWN_GROUPS;
}

bool perf_events_add_thread(struct perf_events *e, pid_t tid, uint32_t group)
{
	const struct target target = { tid, group, true };
	struct error *err = vec_push(&e->targets, target) ? NULL : error_nomem();

	for (int cpu = 0; !err && cpu < e->n_cpus; cpu++)
		if (e->cpus[cpu] && e->cpus[cpu]->open)
			err = open_target(e, &target, cpu);
	if (!err)
		return true;
	error_free(err);
	perf_events_remove_group(e, group);
	return false;
}

void perf_events_remove_group(struct perf_events *e, uint32_t group)
{
	size_t kept = 0;

	vec_each(&e->targets, target)
		if (target->group != group)
			e->targets.data[kept++] = *target;
	e->targets.len = kept;
	for (int cpu = 0; cpu < e->n_cpus; cpu++)
		if (e->cpus[cpu])
			close_group(e->cpus[cpu], group);
	hash_each_all(&e->ids, node) {
		struct event_id *id = container_of(node, struct event_id, node);

		if (id->group == group) {
			hash_remove(&e->ids, node);
			free(id);
		}
	}
}

struct error *perf_events_enable(struct perf_events *e)
{
	e->enabled = true;
	control(e, PERF_EVENT_IOC_ENABLE);
	return NULL;
}

void perf_events_disable(struct perf_events *e)
{
	e->enabled = false;
	control(e, PERF_EVENT_IOC_DISABLE);
}

uint64_t perf_events_drain(struct perf_events *e, perf_ring_fn fn, void *arg)
{
	uint64_t bad = 0;

	for (int cpu = 0; cpu < e->n_cpus; cpu++)
		if (e->cpus[cpu])
			bad += !perf_ring_drain(&e->cpus[cpu]->ring, fn, arg);
	return bad;
}

const struct perf_event_attr *perf_events_ring_attr(const struct perf_events *e)
{
	return &e->options.ring_attr;
}

void perf_events_close(struct perf_events *e)
{
	if (!e)
		return;
	if (e->uevents >= 0)
		close(e->uevents);
	close_all(e);
	for (int cpu = 0; e->cpus && cpu < e->n_cpus; cpu++)
		free(e->cpus[cpu]);
	vec_free(&e->targets);
	free(e->sizes);
	free(e->cpus);
	free(e->cpu_seen);
	free(e);
}
