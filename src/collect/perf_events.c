/* SPDX-License-Identifier: MIT */
/* Opening and following perf events; see perf_events.h. */
#include "collect/perf_events.h"

#include "base/log.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

struct cpu {
	struct perf_ring ring;
	int fds[SESSION_MAX_EVENTS];	/* sampling events of the whole CPU; -1: none */
	bool open;
	bool warned;			/* that it could not be opened */
};

struct perf_events {
	struct perf_events_options options;
	struct cpu **cpus;		/* possible CPUs; NULL: never online */
	bool *cpu_seen;			/* online at the last look */
	int uevents;			/* tells of CPUs that went offline between two looks; -1: cannot be had */
	int n_cpus;
	bool enabled;
};

static int perf_event_open(struct perf_event_attr *attr, int cpu)
{
	return syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

struct perf_event_attr perf_events_side_band_attr(size_t ring_bytes)
{
	return (struct perf_event_attr){
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(struct perf_event_attr),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_EVENTS_SAMPLE_TYPE,
		.sample_id_all = 1,
		.mmap = 1, .mmap2 = 1, .comm = 1, .comm_exec = 1, .task = 1, .build_id = 1,
		.watermark = 1,
		.wakeup_watermark = ring_bytes / 4,
		.use_clockid = 1, .clockid = CLOCK_MONOTONIC,
	};
}

static void init_event_attr(const struct perf_events *e, const struct session_event *event,
			    struct perf_event_attr *attr)
{
	*attr = e->options.event_attr;
	attr->type = event->type;
	attr->size = sizeof(*attr);
	attr->config = event->config;
	attr->freq = 1;
	attr->sample_freq = e->options.frequency;
	attr->disabled = 1;
	attr->exclude_guest = event->type == PERF_TYPE_HARDWARE;
}

static struct error *open_error(const struct session_event *event, int err, int cpu)
{
	if (err == EINVAL)
		return error_errno(err, "cannot open event %s on CPU %d "
				   "(is -F above kernel.perf_event_max_sample_rate?)", event->name, cpu);
	return error_errno(err, "cannot open event %s on CPU %d", event->name, cpu);
}

/* Where an event's samples go: its program, or the ring of its CPU. */
static int connect_event(const struct perf_events *e, size_t i, int cpu, int fd)
{
	if (e->options.program_fds)
		return ioctl(fd, PERF_EVENT_IOC_SET_BPF, e->options.program_fds[i]);
	return ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, e->cpus[cpu]->ring.fd);
}

static struct error *open_event(struct perf_events *e, size_t i, int cpu, int *ret)
{
	const struct session_event *event = &e->options.events[i];
	struct perf_event_attr attr;
	int fd;

	init_event_attr(e, event, &attr);
	fd = perf_event_open(&attr, cpu);
	if (fd < 0)
		return open_error(event, errno, cpu);
	if (connect_event(e, i, cpu, fd) ||
	    (e->enabled && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))) {
		struct error *err = error_errno(errno, "cannot attach to event %s on CPU %d",
						event->name, cpu);

		close(fd);
		return err;
	}
	*ret = fd;
	return NULL;
}

/* ---- CPUs ---------------------------------------------------------------- */

static struct error *open_ring(struct perf_events *e, struct cpu *c, int cpu)
{
	struct epoll_event want = { .events = EPOLLIN, .data.fd = -1 };
	struct error *err;
	int fd = perf_event_open(&e->options.ring_attr, cpu);

	if (fd < 0)
		return error_errno(errno, "cannot open the ring of CPU %d", cpu);
	err = perf_ring_open(&c->ring, fd, e->options.ring_bytes);
	if (err)
		return err;
	if ((e->options.program_fds && bpf_map_update_elem(e->options.sample_rings_fd, &cpu, &fd, BPF_ANY)) ||
	    epoll_ctl(e->options.epoll_fd, EPOLL_CTL_ADD, fd, &want))
		return error_errno(errno, "cannot connect the ring of CPU %d", cpu);
	return NULL;
}

static void close_cpu(struct cpu *c)
{
	for (int i = 0; i < SESSION_MAX_EVENTS; i++) {
		if (c->fds[i] >= 0)
			close(c->fds[i]);
		c->fds[i] = -1;
	}
	perf_ring_close(&c->ring);
	c->open = false;
}

static struct error *open_cpu(struct perf_events *e, int cpu)
{
	struct cpu *c = e->cpus[cpu];
	struct error *err;

	if (!c) {
		c = e->cpus[cpu] = calloc(1, sizeof(*c));
		if (!c)
			return error_nomem();
		memset(c->fds, -1, sizeof(c->fds));
	}
	err = open_ring(e, c, cpu);
	for (size_t i = 0; !err && i < e->options.n_events; i++)
		err = open_event(e, i, cpu, &c->fds[i]);
	if (err)
		close_cpu(c);
	else
		c->open = true;
	return err;
}

/* Calls fn for each CPU of /sys/devices/system/cpu/online, "0-3,5". */
static struct error *each_online_cpu(struct perf_events *e, struct error *(*fn)(struct perf_events *, int))
{
	_cleanup_fclose_ FILE *f = fopen("/sys/devices/system/cpu/online", "re");
	struct error *err = NULL;
	int first, last;

	if (!f)
		return error_errno(errno, "cannot read /sys/devices/system/cpu/online");
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

	read_uevents(e);

	memset(e->cpu_seen, 0, e->n_cpus * sizeof(*e->cpu_seen));
	err = each_online_cpu(e, follow_cpu);
	if (err) {
		error_free(err);
		return false;
	}
	for (int cpu = 0; cpu < e->n_cpus; cpu++)
		if (e->cpus[cpu] && e->cpus[cpu]->open && !e->cpu_seen[cpu])
			close_cpu(e->cpus[cpu]);
	return true;
}

/* ---- all ------------------------------------------------------------------ */

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
	if (!e->cpus || !e->cpu_seen)
		return error_nomem();
	open_uevents(e);
	err = each_online_cpu(e, open_cpu);
	if (err)
		return err;
	*ret = steal_ptr(e);
	return NULL;
}

static void control(struct perf_events *e, unsigned long request)
{
	for (int cpu = 0; cpu < e->n_cpus; cpu++)
		for (int i = 0; e->cpus[cpu] && i < SESSION_MAX_EVENTS; i++)
			if (e->cpus[cpu]->fds[i] >= 0)
				ioctl(e->cpus[cpu]->fds[i], request, 0);
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

void perf_events_drain(struct perf_events *e, perf_ring_fn fn, void *arg)
{
	for (int cpu = 0; cpu < e->n_cpus; cpu++)
		if (e->cpus[cpu])
			perf_ring_drain(&e->cpus[cpu]->ring, fn, arg);
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
	for (int cpu = 0; e->cpus && cpu < e->n_cpus; cpu++) {
		if (!e->cpus[cpu])
			continue;
		close_cpu(e->cpus[cpu]);
		free(e->cpus[cpu]);
	}
	free(e->cpus);
	free(e->cpu_seen);
	free(e);
}
