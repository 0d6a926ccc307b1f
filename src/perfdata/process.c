/* SPDX-License-Identifier: MIT */
/* Tracks processes and threads through the records; see process.h. */
#include "perfdata/process.h"

#include "base/hash.h"
#include "perfdata/mapping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMM_SIZE 64

/* A process or a thread: both live in a table by ID and die in the order of their exits. */
struct task {
	struct hash_node node;
	uint32_t id;			/* pid or tid */
	uint64_t serial;		/* tells it from later ones with the same ID */
	struct mapping_set *mappings;	/* of a process */
	char comm[COMM_SIZE];		/* of a thread; "" if unknown */
};

struct exited {
	uint32_t id;
	uint64_t serial;
};

struct task_table {
	struct hash hash;
	struct exited exited[PROCESS_TRACKER_KEPT_EXITS];	/* a ring: the oldest is overwritten next */
	uint64_t n_exited;
};

struct process_tracker {
	struct task_table processes, threads;
	struct mapping_pool pool;
	uint64_t serial;
	char unknown[16];		/* ":TID" */
};

static struct task *task_find(const struct task_table *table, uint32_t id)
{
	hash_each(&table->hash, hash_u64(id), node) {
		struct task *task = container_of(node, struct task, node);

		if (task->id == id)
			return task;
	}
	return NULL;
}

static void task_free(struct process_tracker *tracker, struct task *task)
{
	mapping_set_put(&tracker->pool, task->mappings);
	free(task);
}

static struct task *task_get(struct process_tracker *tracker, struct task_table *table, uint32_t id)
{
	struct task *task = task_find(table, id);

	if (task)
		return task;
	task = calloc(1, sizeof(*task));
	if (!task)
		return NULL;
	task->id = id;
	task->serial = ++tracker->serial;
	if (!hash_insert(&table->hash, &task->node, hash_u64(id))) {
		free(task);
		return NULL;
	}
	return task;
}

static void task_remove(struct process_tracker *tracker, struct task_table *table, struct task *task)
{
	hash_remove(&table->hash, &task->node);
	task_free(tracker, task);
}

static void task_exit(struct process_tracker *tracker, struct task_table *table, uint32_t id)
{
	struct exited *slot = &table->exited[table->n_exited % PROCESS_TRACKER_KEPT_EXITS];
	struct task *task = task_find(table, id), *old;

	if (!task)
		return;
	if (table->n_exited++ >= PROCESS_TRACKER_KEPT_EXITS) {
		old = task_find(table, slot->id);
		if (old && old != task && old->serial == slot->serial)
			task_remove(tracker, table, old);
	}
	*slot = (struct exited){ id, task->serial };
}

static void table_free(struct process_tracker *tracker, struct task_table *table)
{
	hash_each_all(&table->hash, node)
		task_free(tracker, container_of(node, struct task, node));
	hash_free(&table->hash);
}

struct process_tracker *process_tracker_create(void)
{
	return calloc(1, sizeof(struct process_tracker));
}

void process_tracker_destroy(struct process_tracker *tracker)
{
	if (!tracker)
		return;
	table_free(tracker, &tracker->processes);
	table_free(tracker, &tracker->threads);
	mapping_pool_free(&tracker->pool);
	free(tracker);
}

static bool feed_mmap(struct process_tracker *tracker, const struct perfdata_record *record)
{
	struct process_mapping map = {
		.start = record->mmap.start,
		.end = record->mmap.start + record->mmap.len,
		.pgoff = record->mmap.pgoff,
		.prot = record->mmap.prot,
		.path = record->mmap.filename,
		.build_id_size = record->mmap.build_id_size,
		.maj = record->mmap.maj,
		.min = record->mmap.min,
		.ino = record->mmap.ino,
	};
	struct task *process;

	if (map.end <= map.start)
		return true;
	memcpy(map.build_id, record->mmap.build_id, sizeof(map.build_id));
	process = task_get(tracker, &tracker->processes, record->pid);
	return process && mapping_set_add(&tracker->pool, &process->mappings, &map);
}

static bool feed_comm(struct process_tracker *tracker, const struct perfdata_record *record)
{
	struct task *thread = task_get(tracker, &tracker->threads, record->tid);
	struct task *process;

	if (!thread)
		return false;
	snprintf(thread->comm, sizeof(thread->comm), "%s", record->comm.comm);
	process = record->comm.exec ? task_find(&tracker->processes, record->pid) : NULL;
	if (process) {
		mapping_set_put(&tracker->pool, process->mappings);
		process->mappings = NULL;
	}
	return true;
}

/* A new task has this ID: what is known of an older one is void. */
static struct task *task_renew(struct process_tracker *tracker, struct task_table *table, uint32_t id)
{
	struct task *old = task_find(table, id);

	if (old)
		task_remove(tracker, table, old);
	return task_get(tracker, table, id);
}

static bool feed_fork(struct process_tracker *tracker, const struct perfdata_record *record)
{
	const struct task *parent = task_find(&tracker->threads, record->task.ptid);
	char comm[COMM_SIZE] = "";
	struct task *thread, *process;

	/* Also the fork of a process by itself, which a damaged recording may tell of. */
	if (record->tid == record->task.ptid)
		return true;
	if (parent)
		memcpy(comm, parent->comm, sizeof(comm));
	thread = task_renew(tracker, &tracker->threads, record->tid);
	if (!thread)
		return false;
	memcpy(thread->comm, comm, sizeof(comm));
	if (record->pid == record->task.ppid)
		return true;
	process = task_renew(tracker, &tracker->processes, record->pid);
	if (!process)
		return false;
	parent = task_find(&tracker->processes, record->task.ppid);
	/* perf marks so the forks it makes up for processes that were there before. */
	if (parent && !(record->misc & PERF_RECORD_MISC_FORK_EXEC))
		process->mappings = mapping_set_get(parent->mappings);
	return true;
}

static void feed_exit(struct process_tracker *tracker, const struct perfdata_record *record)
{
	task_exit(tracker, &tracker->threads, record->tid);
	if (record->pid == record->tid)
		task_exit(tracker, &tracker->processes, record->pid);
}

bool process_tracker_feed(struct process_tracker *tracker, const struct perfdata_record *record)
{
	switch (record->type) {
	case PERF_RECORD_MMAP2:
		return feed_mmap(tracker, record);
	case PERF_RECORD_COMM:
		return feed_comm(tracker, record);
	case PERF_RECORD_FORK:
		return feed_fork(tracker, record);
	case PERF_RECORD_EXIT:
		feed_exit(tracker, record);
		return true;
	}
	return true;
}

const struct process_mapping *process_tracker_find(struct process_tracker *tracker, uint32_t pid,
						   uint64_t address)
{
	const struct task *process = task_find(&tracker->processes, pid);

	return process ? mapping_set_find(process->mappings, address) : NULL;
}

bool process_mapping_is_probe(const struct process_mapping *mapping)
{
	return mapping && !strcmp(mapping->path, "[uprobes]");
}

const char *process_tracker_comm(struct process_tracker *tracker, uint32_t pid, uint32_t tid)
{
	const struct task *thread = task_find(&tracker->threads, tid);

	if (!thread || !*thread->comm)
		thread = task_find(&tracker->threads, pid);
	if (thread && *thread->comm)
		return thread->comm;
	if (tid == 0)
		return "swapper";
	snprintf(tracker->unknown, sizeof(tracker->unknown), ":%u", tid);
	return tracker->unknown;
}
