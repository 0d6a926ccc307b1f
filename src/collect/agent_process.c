/* SPDX-License-Identifier: MIT */
/* A process with an agent, and what is believed of its records; see agent_process.h. */
#include "collect/agent_process.h"

#include "base/clock.h"
#include "collect/agent_packet.h"
#include "collect/perf_events.h"
#include "collect/synthesize.h"
#include "perfdata/writer.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "retour/ring.h"

enum {
	MAX_TASKS = 65536,
	MAX_MEMBERS = 16384,
	MAX_ANCESTORS = 8,
	MAX_GENERATIONS = 256,
	LOOKS = 3,				/* that a thread may take to say who it is */
	MAX_AT_ONCE = 65536,			/* records of a ring in one go: a writer may be faster than we are */
	ROOM = 1 << 16,
};
#define MAX_RINGS_BYTES (8ULL << 30)		/* of address space, for a process */

/* ---- who is who ---------------------------------------------------------------- */

struct known_task {
	struct hash_node node;		/* by said */
	uint32_t said, tid;
	const struct agent_member *of;
	unsigned int unheard;		/* looks at which it was there, but had said nothing */
	bool ended;			/* it has said so, and may still be there */
	uint64_t listed;		/* the last look at which it was there */
};

/* The number in the last column of "NSpid:", that of the innermost namespace. */
static uint32_t innermost_id(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "NSpid:", 6))
			continue;
		line[strcspn(line, "\n")] = '\0';
		return (uint32_t)strtoul(strrchr(line, '\t') ? strrchr(line, '\t') : "", NULL, 10);
	}
	return 0;
}

/* 0 if that is not for us to know. */
static uint64_t pid_namespace_of(uint32_t pid)
{
	struct stat st;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/ns/pid", pid);
	return stat(path, &st) ? 0 : st.st_ino;
}

/* Nobody but those who were forked with them have the rings' memory mapped. */
bool agent_process_is_mapped(const struct agent_process *p, uint32_t pid)
{
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	char path[40];
	uint64_t inode;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/maps", pid);
	f = fopen(path, "re");
	while (f && getline(&line, &cap, f) > 0)
		if (strstr(line, "/memfd:") && sscanf(line, "%*s %*s %*s %*s %" SCNu64, &inode) == 1 &&
		    inode == p->rings_inode)
			return true;
	return false;
}

static struct agent_member *find_member(const struct agent_process *p, uint32_t said)
{
	hash_each(&p->members, hash_u64(said), node) {
		struct agent_member *member = container_of(node, struct agent_member, node);

		if (member->said == said)
			return member;
	}
	return NULL;
}

static struct agent_member *add_member(struct agent_process *p, uint32_t said, uint32_t pid)
{
	struct agent_member *member = p->members.len < MAX_MEMBERS ? malloc(sizeof(*member)) : NULL;

	if (!member)
		return NULL;
	*member = (struct agent_member){ .of = p, .said = said, .pid = pid, .pidfd = -1 };
	if (hash_insert(&p->members, &member->node, hash_u64(said)))
		return member;
	free(member);
	return NULL;
}

static void watch_member(struct agent_process *p, struct agent_member *member)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = agent_member_tag(member) };

	if (member->pidfd >= 0)
		close(member->pidfd);
	member->pidfd = (int)syscall(SYS_pidfd_open, member->pid, 0);
	if (member->pidfd < 0)
		return;
	epoll_ctl(p->watch, EPOLL_CTL_ADD, member->pidfd, &event);
	member->has_rings = true;
	p->n_alive++;
}

struct agent_member *agent_process_member(struct agent_process *p, uint32_t pid)
{
	hash_each_all(&p->members, node) {
		struct agent_member *member = container_of(node, struct agent_member, node);

		if (member->pid == pid && member->has_rings)
			return member;
	}
	return NULL;
}

static uint32_t parent_of(uint32_t pid)
{
	_cleanup_fclose_ FILE *f = NULL;
	uint32_t parent = 0;
	char line[128];

	snprintf(line, sizeof(line), "/proc/%" PRIu32 "/status", pid);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "PPid: %" SCNu32, &parent) == 1)
			break;
	return parent;
}

bool agent_process_descends(uint32_t pid, uint32_t ancestor)
{
	for (int i = 0; i < MAX_GENERATIONS && pid > 1 && pid != ancestor; i++)
		pid = parent_of(pid);
	return pid == ancestor;
}

/* Ours of the numbers that those in another pid namespace have: each process there is looked at once a drain. */
static void find_others_with_rings(struct agent_process *p)
{
	DIR *dir = opendir("/proc");

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		uint32_t pid = (uint32_t)strtoul(entry->d_name, NULL, 10), said;
		struct agent_member *member;
		char path[40];

		if (!pid || pid_namespace_of(pid) != p->pid_namespace || agent_process_member(p, pid) || !agent_process_is_mapped(p, pid))
			continue;
		snprintf(path, sizeof(path), "/proc/%" PRIu32 "/status", pid);
		said = innermost_id(path);
		member = find_member(p, said);
		if (!member)
			member = said ? add_member(p, said, pid) : NULL;
		if (!member || member->has_rings)
			continue;
		member->pid = pid;
		watch_member(p, member);
	}
	if (dir)
		closedir(dir);
}

static struct agent_member *find_in_namespace(struct agent_process *p, uint32_t said)
{
	struct agent_member *member;

	if (p->searched != p->drains)
		find_others_with_rings(p);
	p->searched = p->drains;
	member = find_member(p, said);
	return member && member->has_rings ? member : NULL;
}

/* Ids of those that were spoken of only, or have ended, may be somebody else's now. */
static bool is_or_descends_from_member(const struct agent_process *p, uint32_t pid)
{
	for (int i = 0; i < MAX_ANCESTORS && pid > 1; i++, pid = parent_of(pid)) {
		const struct agent_member *member = find_member(p, pid);

		if (member && member->pidfd >= 0 && !agent_member_has_ended(member))
			return true;
	}
	return false;
}

/*
 * A process that is not watched: it has the rings, or has had them, as a child that
 * ended or called execve meanwhile, or there is nobody any more of this id.
 */
static bool admit(struct agent_process *p, struct agent_member *member)
{
	bool writes = agent_process_is_mapped(p, member->pid);

	if (writes && p->rings)
		watch_member(p, member);
	/* Whether it exists comes last: it may end between the looks. */
	return writes || is_or_descends_from_member(p, member->pid) || !thread_group_of(member->pid);
}

/* Who is in doubt is looked at once a drain: records are faster than /proc. */
static struct agent_member *member_of(struct agent_process *p, uint32_t said)
{
	struct agent_member *member = find_member(p, said);

	if (member && member->has_rings)
		return member;
	if (!p->same_namespace)
		return find_in_namespace(p, said);
	if (!member)
		member = said ? add_member(p, said, said) : NULL;
	if (!member)
		return NULL;
	if (member->looked != p->drains)
		member->believed = admit(p, member);
	member->looked = p->drains;
	return member->believed ? member : NULL;
}

bool agent_member_has_ended(const struct agent_member *member)
{
	struct pollfd end = { .fd = member->pidfd, .events = POLLIN };

	return member->pidfd >= 0 && poll(&end, 1, 0) > 0;
}

void agent_member_leave(struct agent_member *member)
{
	if (!member->has_rings)
		return;
	epoll_ctl(member->of->watch, EPOLL_CTL_DEL, member->pidfd, NULL);
	member->has_rings = false;
	member->of->n_alive--;
	if (!agent_member_has_ended(member))
		return;
	close(member->pidfd);
	member->pidfd = -1;
}

/* Our number of a thread that is alive; 0 if it is not the process's. */
static uint32_t find_task(const struct agent_process *p, uint32_t pid, uint32_t said)
{
	char path[300];
	uint32_t tid = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/task/%" PRIu32, pid, said);
	if (p->same_namespace)
		return access(path, F_OK) == 0 ? said : 0;
	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/task", pid);
	dir = opendir(path);
	for (struct dirent *entry; dir && !tid && (entry = readdir(dir));) {
		snprintf(path, sizeof(path), "/proc/%" PRIu32 "/task/%s/status", pid, entry->d_name);
		if (entry->d_name[0] != '.' && innermost_id(path) == said)
			tid = (uint32_t)atoi(entry->d_name);
	}
	if (dir)
		closedir(dir);
	return tid;
}

static struct known_task *known_task(const struct agent_process *p, const struct agent_member *member, uint32_t said)
{
	hash_each(&p->tasks, hash_u64(said), node) {
		struct known_task *task = container_of(node, struct known_task, node);

		if (task->said == said && task->of == member)
			return task;
	}
	return NULL;
}

static struct known_task *add_task(struct agent_process *p, const struct agent_member *member, uint32_t said,
				   uint32_t tid)
{
	struct known_task *task = p->tasks.len < MAX_TASKS ? malloc(sizeof(*task)) : NULL;

	if (!task)
		return NULL;
	*task = (struct known_task){ .said = said, .tid = tid, .of = member };
	if (hash_insert(&p->tasks, &task->node, hash_u64(said)))
		return task;
	free(task);
	return NULL;
}

static void remove_task(struct agent_process *p, struct known_task *task)
{
	hash_remove(&p->tasks, &task->node);
	free(task);
}

/* It speaks, so whoever began it has told it to. */
static void hear(struct agent_process *p, struct known_task *task)
{
	p->unsampled[UNSAMPLED_UNSEEN] -= task->unheard >= LOOKS;
	task->unheard = 0;
}

/* One that has ended already is believed if nobody else has its number. */
static bool task_of(struct agent_process *p, const struct agent_member *member, uint32_t said, uint32_t *ret)
{
	struct known_task *task;
	uint32_t tid;

	*ret = member->pid;
	if (said == member->said)
		return true;
	task = known_task(p, member, said);
	/* Its number may be somebody else's now. */
	if (task && task->ended) {
		remove_task(p, task);
		task = NULL;
	}
	if (task) {
		hear(p, task);
		*ret = task->tid;
		return true;
	}
	tid = find_task(p, member->pid, said);
	if (!tid && said && p->same_namespace && !thread_group_of(said))
		tid = said;
	if (tid)
		add_task(p, member, said, tid);
	*ret = tid;
	return tid;
}

static void end_task(struct agent_process *p, uint32_t pid, uint32_t said)
{
	struct agent_member *member = find_member(p, pid);
	struct known_task *task = member ? known_task(p, member, said) : NULL;

	if (task)
		task->ended = true;
}

static bool is_own(struct agent_process *p, uint32_t *pid, uint32_t *tid)
{
	const struct agent_member *member = member_of(p, *pid);

	if (!member || !task_of(p, member, *tid, tid))
		return false;
	*pid = member->pid;
	return true;
}

/* ---- threads that say nothing ------------------------------------------------- */

static void look_at_task(struct agent_process *p, const struct agent_member *member, const char *name)
{
	uint32_t tid = (uint32_t)strtoul(name, NULL, 10), said = tid;
	struct known_task *task;
	char path[80];

	if (!tid || tid == member->pid)
		return;
	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/task/%" PRIu32 "/status", member->pid, tid);
	if (!p->same_namespace)
		said = innermost_id(path);
	task = known_task(p, member, said);
	if (!task) {
		task = said ? add_task(p, member, said, tid) : NULL;
		if (!task)
			return;
		task->unheard = 1;
	} else if (task->unheard && task->unheard < LOOKS && ++task->unheard == LOOKS) {
		p->unsampled[UNSAMPLED_UNSEEN]++;
	}
	task->listed = p->looks;
}

void agent_process_look(struct agent_process *p)
{
	p->looks++;
	hash_each_all(&p->members, node) {
		const struct agent_member *member = container_of(node, struct agent_member, node);
		char path[40];
		DIR *dir;

		if (!member->has_rings)
			continue;
		snprintf(path, sizeof(path), "/proc/%" PRIu32 "/task", member->pid);
		dir = opendir(path);
		for (struct dirent *entry; dir && (entry = readdir(dir));)
			look_at_task(p, member, entry->d_name);
		if (dir)
			closedir(dir);
	}
	/* Numbers of those that are no more may be somebody else's. */
	hash_each_all(&p->tasks, node) {
		struct known_task *task = container_of(node, struct known_task, node);

		if (task->listed != p->looks && (task->ended || task->unheard))
			remove_task(p, task);
	}
}

/* ---- records -------------------------------------------------------------------- */

struct drain {
	struct agent_process *process;
	struct recorder *recorder;
	uint64_t now;		/* or a little before */
};

/* Nothing is of before the process came, or of the future. */
static uint64_t time_of(struct drain *d, uint64_t clock)
{
	uint64_t time = retour_ring_reader_time(d->process->rings, clock);

	if (time > d->now)
		d->now = clock_monotonic_ns();
	return time < d->process->since ? d->process->since : time > d->now ? d->now : time;
}

static uint64_t cookie_of(const struct drain *d, uint64_t cookie)
{
	return cookie ? cookie ^ d->process->secret : 0;
}

_Static_assert((int)AGENT_MAX_RAW <= PERFDATA_MAX_RAW, "what agents write can be recorded");

/* Is it in the table of reasons? */
static bool is_reason(uint16_t reason)
{
	return !reason || reason_kind(reason) != REASON_KIND_NONE;
}

static bool take_sample(struct drain *d, const struct perf_event_header *header)
{
	struct {
		struct agent_queued head;
		unsigned char room[offsetof(struct sample_record, kernel) + ROOM];
	} queued;
	struct sample_record *to = (struct sample_record *)queued.room;
	struct agent_sample from;
	size_t size = header->size - sizeof(*header), head = offsetof(struct sample_record, kernel), raw;

	if (size < sizeof(from))
		return false;
	memcpy(&from, header + 1, sizeof(from));
	raw = from.raw_size;
	if (raw > size - sizeof(from) || raw > PERFDATA_MAX_RAW || !is_own(d->process, &from.pid, &from.tid) || !is_reason(from.reason) ||
	    (!from.cookie && (!from.reason || reason_kind(from.reason) == REASON_KIND_TRUNCATED)))
		return false;
	queued.head = (struct agent_queued){ .process = d->process };
	*to = (struct sample_record){
		.type = RECORD_SAMPLE, .event = from.event, .reason = from.cookie ? 0 : from.reason,
		.time = time_of(d, from.time), .cookie = cookie_of(d, from.cookie), .ip = from.ip,
		.period = from.period, .pid = from.pid, .tid = from.tid, .cpu = from.cpu, .user_mode = 1,
	};
	memcpy(queued.room + head, (const char *)(header + 1) + sizeof(from), raw);
	memset(queued.room + head + raw, 0, -raw % 8);
	if (raw >= sizeof(uint16_t))
		memcpy(&queued.head.tracepoint, queued.room + head, sizeof(uint16_t));
	d->process->samples++;
	recorder_queue(d->recorder, EVENT_SAMPLE, to->time, &queued,
		       (uint32_t)(sizeof(queued.head) + head + raw + -raw % 8));
	return true;
}

static bool take_chain(struct drain *d, const struct perf_event_header *header)
{
	union {
		struct agent_chain chain;
		unsigned char room[ROOM];
	} queued;
	struct agent_chain *c = &queued.chain;
	size_t size = header->size - sizeof(*header);

	if (size < sizeof(*c))
		return false;
	memcpy(queued.room, header + 1, size);
	if (c->n > (size - sizeof(*c)) / sizeof(c->ips[0]) || !is_own(d->process, &c->pid, &c->tid) || !c->cookie ||
	    !is_reason(c->reason) || (!c->n && reason_kind(c->reason) != REASON_KIND_MISSING))
		return false;
	c->time = time_of(d, c->time);
	c->cookie = cookie_of(d, c->cookie);
	recorder_queue(d->recorder, EVENT_CHAIN, c->time, c, (uint32_t)(sizeof(*c) + c->n * sizeof(c->ips[0])));
	return true;
}

static bool take_tracepoint(const struct drain *d, const struct perf_event_header *header)
{
	struct {
		struct agent_queued head;
		struct agent_tracepoint tracepoint;
	} queued = { .head = { .process = d->process } };
	size_t size = header->size - sizeof(*header);

	memcpy(&queued.tracepoint, header + 1, size < sizeof(queued.tracepoint) ? size : sizeof(queued.tracepoint));
	if (!agent_tracepoint_is_sane(&queued.tracepoint) ||
	    size < offsetof(struct agent_tracepoint, fields) +
		   queued.tracepoint.n_fields * sizeof(queued.tracepoint.fields[0]))
		return false;
	/* It has no time: before all samples that are to come. */
	recorder_queue(d->recorder, EVENT_COPY, 0, &queued, sizeof(queued));
	return true;
}

static bool take_unsampled(const struct drain *d, const struct perf_event_header *header)
{
	struct agent_unsampled thread;

	if (header->size < sizeof(*header) + sizeof(thread))
		return false;
	memcpy(&thread, header + 1, sizeof(thread));
	if (!is_own(d->process, &thread.pid, &thread.tid) || !unsampled_name(thread.why) ||
	    (thread.change < 0 && !d->process->unsampled[thread.why]))
		return false;
	d->process->unsampled[thread.why] += thread.change < 0 ? -1 : 1;
	return true;
}

/* Of FORK and EXIT. */
struct task_body {
	uint32_t pid, ppid, tid, ptid;
	uint64_t time;
};

static bool check_task(struct drain *d, uint32_t type, struct task_body *body, uint64_t time)
{
	struct agent_process *p = d->process;
	uint32_t said_pid = body->pid, said = body->tid;

	if (!is_own(p, &body->pid, &body->tid) || !is_own(p, &body->ppid, &body->ptid))
		return false;
	body->time = time;
	if (type == PERF_RECORD_EXIT)
		end_task(p, said_pid, said);
	return true;
}

/* MMAP2 and COMM begin with the ids, too. */
static bool take_side_band(struct drain *d, const struct perf_event_header *header)
{
	union {
		struct perf_event_header header;
		unsigned char room[ROOM];
	} copy;
	struct agent_trailer trailer;
	unsigned char *body = copy.room + sizeof(copy.header), *end = copy.room + header->size - sizeof(trailer);
	uint32_t ids[2];

	if (header->size < sizeof(*header) + sizeof(struct task_body) + sizeof(trailer))
		return false;
	memcpy(copy.room, header, header->size);
	memcpy(&trailer, end, sizeof(trailer));
	trailer.time = time_of(d, trailer.time);
	if (header->type == PERF_RECORD_FORK || header->type == PERF_RECORD_EXIT) {
		struct task_body task;

		memcpy(&task, body, sizeof(task));
		if (!check_task(d, header->type, &task, trailer.time))
			return false;
		memcpy(body, &task, sizeof(task));
	} else {
		memcpy(ids, body, sizeof(ids));
		if (!is_own(d->process, &ids[0], &ids[1]))
			return false;
		memcpy(body, ids, sizeof(ids));
	}
	if (!is_own(d->process, &trailer.pid, &trailer.tid))
		trailer.pid = trailer.tid = d->process->pid;
	trailer.id = 0;
	memcpy(end, &trailer, sizeof(trailer));
	recorder_queue_side_band(d->recorder, &copy.header);
	return true;
}

static void take_record(struct drain *d, const struct perf_event_header *header)
{
	uint64_t lost;
	bool good = true;

	switch (header->type) {
	case AGENT_RECORD_SAMPLE:
		good = take_sample(d, header);
		break;
	case AGENT_RECORD_CHAIN:
		good = take_chain(d, header);
		break;
	case AGENT_RECORD_TRACEPOINT:
		good = take_tracepoint(d, header);
		break;
	case AGENT_RECORD_UNSAMPLED:
		good = take_unsampled(d, header);
		break;
	case PERF_RECORD_LOST:		/* the reader's own word */
		memcpy(&lost, (const char *)(header + 1) + sizeof(uint64_t), sizeof(lost));
		d->process->lost += lost;
		break;
	case PERF_RECORD_MMAP2:
	case PERF_RECORD_COMM:
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		good = take_side_band(d, header);
		break;
	default:
		good = false;
	}
	d->process->foreign += !good;
}

void agent_process_drain(struct agent_process *p, struct recorder *recorder, bool last)
{
	struct drain d = { p, recorder, clock_monotonic_ns() };
	const struct perf_event_header *header;

	if (!p->rings)
		return;
	p->drains++;
	if (last)
		retour_ring_reader_writers_gone(p->rings);
	for (unsigned int ring = 0; ring < retour_ring_reader_rings(p->rings); ring++)
		for (int n = 0; n < MAX_AT_ONCE && retour_ring_reader_next(p->rings, ring, &header); n++)
			take_record(&d, header);
	if (!last)
		return;
	retour_ring_reader_close(p->rings);
	p->rings = NULL;
}

struct agent_process_tracepoint *agent_process_tracepoint(struct agent_process *p, uint32_t id)
{
	vec_each(&p->tracepoints, tp)
		if (tp->id == id)
			return tp;
	return NULL;
}

/* ---- life ------------------------------------------------------------------------ */

struct error *agent_process_create(int socket, uint32_t pid, int watch, struct agent_process **ret)
{
	struct agent_process *p = calloc(1, sizeof(*p));
	struct agent_member *first;
	char path[40];
	uint32_t said;

	if (!p) {
		close(socket);
		return error_nomem();
	}
	*p = (struct agent_process){ .pid = pid, .socket = socket, .watch = watch, .since = clock_monotonic_ns() };
	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/status", pid);
	said = innermost_id(path);
	p->same_namespace = said == pid;
	p->pid_namespace = pid_namespace_of(pid);
	first = add_member(p, said, pid);
	if (first)
		watch_member(p, first);
	if (!p->n_alive || !said || getrandom(&p->secret, sizeof(p->secret), 0) != sizeof(p->secret)) {
		agent_process_destroy(p);
		return error_new(ESRCH, "process %" PRIu32 " is gone", pid);
	}
	*ret = p;
	return NULL;
}

struct error *agent_process_open_rings(struct agent_process *p, int fd)
{
	struct stat st;
	int err;

	if (fstat(fd, &st) || (uint64_t)st.st_size > MAX_RINGS_BYTES)
		return error_new(EPROTO, "the rings of process %" PRIu32 " make no sense", p->pid);
	p->rings_inode = st.st_ino;
	err = retour_ring_reader_open(fd, &p->rings);
	return err ? error_errno(-err, "the rings of process %" PRIu32, p->pid) : NULL;
}

void agent_process_destroy(struct agent_process *p)
{
	if (!p)
		return;
	retour_ring_reader_close(p->rings);
	if (p->socket >= 0)
		close(p->socket);
	hash_each_all(&p->tasks, node)
		free(container_of(node, struct known_task, node));
	hash_each_all(&p->members, node) {
		struct agent_member *member = container_of(node, struct agent_member, node);

		if (member->pidfd >= 0)
			close(member->pidfd);
		free(member);
	}
	hash_free(&p->members);
	hash_free(&p->tasks);
	vec_free(&p->tracepoints);
	free(p);
}
