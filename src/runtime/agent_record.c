/* SPDX-License-Identifier: MIT */
/* The records of an agent; see agent_record.h. */
#include "runtime/agent_record.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "base/reason.h"
#include "rcu/sys.h"
#include "runtime/ring_owner.h"
#include "runtime/ring_percpu.h"

static pid_t pid;	/* 0: not asked yet */

pid_t agent_pid(void)
{
	pid_t known = __atomic_load_n(&pid, __ATOMIC_RELAXED);

	if (retour_unlikely(!known)) {
		known = sys_getpid();
		__atomic_store_n(&pid, known, __ATOMIC_RELAXED);
	}
	return known;
}

void agent_forget_pid(void)
{
	pid = 0;
}

/* As the process sees it now; what rings know is cached, but means nothing in other namespaces. */
static pid_t own_tid(void)
{
	uint32_t tid = owner_tid();

	return tid != RING_NOBODY ? (pid_t)tid : sys_gettid();
}

static uint32_t own_cpu(void)
{
	int cpu = percpu_cpu();

	return cpu >= 0 ? (uint32_t)cpu : (uint32_t)sched_getcpu();
}

int agent_begin_sample(struct recording *recording, const struct sample_place *place, unsigned int raw_size,
		       struct retour_ring_record *record)
{
	int err = retour_ring_reserve(recording->ring, sizeof(struct agent_sample) + raw_size, record);

	if (err)
		return err;
	*(struct agent_sample *)record->data = (struct agent_sample){
		.time = retour_ring_clock(recording->ring), .cookie = place->cookie, .ip = place->ip,
		.period = place->period, .pid = agent_pid(), .tid = own_tid(), .cpu = own_cpu(),
		.event = place->event, .reason = place->reason, .raw_size = raw_size,
	};
	return 0;
}

void agent_end_sample(struct recording *recording, const struct retour_ring_record *record)
{
	retour_ring_commit(recording->ring, record, AGENT_RECORD_SAMPLE, PERF_RECORD_MISC_USER);
}

int agent_write_sample(struct recording *recording, const struct sample_place *place)
{
	struct retour_ring_record record;
	int err = agent_begin_sample(recording, place, 0, &record);

	if (!err)
		agent_end_sample(recording, &record);
	return err;
}

int agent_write_tracepoint(struct recording *recording, const struct agent_tracepoint *tracepoint)
{
	size_t size = offsetof(struct agent_tracepoint, fields[tracepoint->n_fields]);
	struct retour_ring_record record;
	int err = retour_ring_reserve(recording->ring, size, &record);

	if (err)
		return err;
	memcpy(record.data, tracepoint, size);
	retour_ring_commit(recording->ring, &record, AGENT_RECORD_TRACEPOINT, 0);
	return 0;
}

int agent_write_chain(struct recording *recording, const struct retour_unwind_stacktrace *trace, uint64_t cookie)
{
	unsigned int max = recording->wanted.max_depth, n = trace->nr < max ? trace->nr : max;
	struct retour_ring_record record;
	struct agent_chain *chain;
	int err = retour_ring_reserve(recording->ring, sizeof(*chain) + n * sizeof(chain->ips[0]), &record);

	if (err)
		return err;
	chain = record.data;
	*chain = (struct agent_chain){
		.time = retour_ring_clock(recording->ring), .cookie = cookie, .pid = agent_pid(), .tid = own_tid(),
		.cpu = sched_getcpu(), .reason = n < trace->nr ? REASON_MAX_DEPTH : (unsigned int)trace->end, .n = n,
	};
	/* No memory to walk into. */
	if (!trace->nr)
		chain->reason = REASON_NO_SCRATCH;
	memcpy(chain->ips, trace->entries, n * sizeof(chain->ips[0]));
	retour_ring_commit(recording->ring, &record, AGENT_RECORD_CHAIN, PERF_RECORD_MISC_USER);
	return 0;
}

static struct agent_trailer trailer(const struct recording *recording, pid_t tid)
{
	return (struct agent_trailer){
		.pid = agent_pid(), .tid = tid, .time = retour_ring_clock(recording->ring), .cpu = sched_getcpu(),
	};
}

/* For what is said of the process, which is said once. */
static int reserve_news(struct recording *recording, size_t size, struct retour_ring_record *record)
{
	return recording->wanted.is_further ? -ECANCELED : retour_ring_reserve(recording->ring, size, record);
}

void agent_write_comm(struct recording *recording, pid_t tid, const char *name, bool is_exec)
{
	struct {
		uint32_t pid, tid;
		char comm[16];
		struct agent_trailer trailer;
	} *comm;
	struct retour_ring_record record;

	if (reserve_news(recording, sizeof(*comm), &record))
		return;
	comm = record.data;
	comm->pid = agent_pid();
	comm->tid = tid;
	memset(comm->comm, 0, sizeof(comm->comm));
	memcpy(comm->comm, name, strnlen(name, sizeof(comm->comm) - 1));
	comm->trailer = trailer(recording, tid);
	retour_ring_commit(recording->ring, &record, PERF_RECORD_COMM, is_exec ? PERF_RECORD_MISC_COMM_EXEC : 0);
}

static void write_task(struct recording *recording, uint32_t type, pid_t tid, pid_t parent)
{
	struct {
		uint32_t pid, ppid, tid, ptid;
		uint64_t time;
		struct agent_trailer trailer;
	} *task;
	struct retour_ring_record record;

	if (reserve_news(recording, sizeof(*task), &record))
		return;
	task = record.data;
	task->trailer = trailer(recording, tid);
	task->pid = agent_pid();
	task->tid = tid;
	task->ppid = task->ptid = parent;
	task->time = task->trailer.time;
	retour_ring_commit(recording->ring, &record, type, 0);
}

void agent_write_fork(struct recording *recording, pid_t parent)
{
	write_task(recording, PERF_RECORD_FORK, own_tid(), parent);
}

void agent_write_exit(struct recording *recording, pid_t tid)
{
	write_task(recording, PERF_RECORD_EXIT, tid, agent_pid());
}

void agent_write_unsampled(struct recording *recording, pid_t tid, unsigned int why, int change)
{
	struct retour_ring_record record;

	if (reserve_news(recording, sizeof(struct agent_unsampled), &record))
		return;
	*(struct agent_unsampled *)record.data =
		(struct agent_unsampled){ .pid = agent_pid(), .tid = tid, .why = why, .change = change };
	retour_ring_commit(recording->ring, &record, AGENT_RECORD_UNSAMPLED, 0);
}

void agent_write_mapping(struct recording *recording, const struct agent_mapping *mapping)
{
	struct {
		uint32_t pid, tid;
		uint64_t start, length, offset;
		uint32_t major, minor;
		uint64_t inode, generation;
		uint32_t protection, flags;
		char name[];
	} *mmap2;
	size_t name_size = (strlen(mapping->name) + 8) / 8 * 8;
	struct agent_trailer end = trailer(recording, own_tid());
	struct retour_ring_record record;

	if (reserve_news(recording, sizeof(*mmap2) + name_size + sizeof(end), &record))
		return;
	mmap2 = record.data;
	mmap2->pid = agent_pid();
	mmap2->tid = own_tid();
	mmap2->start = mapping->start;
	mmap2->length = mapping->end - mapping->start;
	mmap2->offset = mapping->offset;
	mmap2->major = mapping->major;
	mmap2->minor = mapping->minor;
	mmap2->inode = mapping->inode;
	mmap2->generation = 0;
	mmap2->protection = PROT_READ | PROT_EXEC;
	mmap2->flags = MAP_PRIVATE;
	strncpy(mmap2->name, mapping->name, name_size);
	memcpy(mmap2->name + name_size, &end, sizeof(end));
	retour_ring_commit(recording->ring, &record, PERF_RECORD_MMAP2, PERF_RECORD_MISC_USER);
}
