/* SPDX-License-Identifier: MIT */
/* Processes without an agent; see agent_unseen.h. */
#include "collect/agent_unseen.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/vec.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	LOOKS = 3,			/* that a program may take to begin */
	LOOK_NS = 100000000,
	LEAST_SHARE = 200,		/* looks take no more of a CPU than one part of so many */
	MAX_LISTED = 4096,
};

struct process {
	struct hash_node node;		/* by pid */
	uint32_t pid;
	unsigned int without;		/* looks at which it had no agent */
	int64_t counted;		/* threads */
	uint64_t listed;		/* the last look at which it was there */
};

typedef VEC(uint32_t) pids;

static void list_children(pids *list, uint32_t pid, const char *tid)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[300];
	uint32_t child;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/task/%s/children", pid, tid);
	f = fopen(path, "re");
	while (f && list->len < MAX_LISTED && fscanf(f, "%" SCNu32, &child) == 1)
		vec_push(list, child);
}

/* Of all its threads, and how many these are. */
static int64_t list_family(pids *list, uint32_t pid)
{
	int64_t n_threads = 0;
	char path[40];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/task", pid);
	dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (entry->d_name[0] == '.')
			continue;
		list_children(list, pid, entry->d_name);
		n_threads++;
	}
	if (dir)
		closedir(dir);
	return n_threads;
}

/* Not ended, and waited for. */
static bool is_running(uint32_t pid)
{
	_cleanup_fclose_ FILE *f = NULL;
	char line[256] = "", *name_end;

	snprintf(line, sizeof(line), "/proc/%" PRIu32 "/stat", pid);
	f = fopen(line, "re");
	line[0] = '\0';
	if (!f || !fgets(line, sizeof(line), f))
		return false;
	name_end = strrchr(line, ')');
	return name_end && strlen(name_end) > 2 && !strchr("ZX", name_end[2]);
}

static struct process *find(const struct agent_unseen *u, uint32_t pid)
{
	hash_each(&u->processes, hash_u64(pid), node) {
		struct process *process = container_of(node, struct process, node);

		if (process->pid == pid)
			return process;
	}
	return NULL;
}

static struct process *find_or_add(struct agent_unseen *u, uint32_t pid)
{
	struct process *process = find(u, pid);

	if (process)
		return process;
	process = malloc(sizeof(*process));
	if (!process)
		return NULL;
	*process = (struct process){ .pid = pid };
	if (hash_insert(&u->processes, &process->node, hash_u64(pid)))
		return process;
	free(process);
	return NULL;
}

static void forget(struct agent_unseen *u, struct process *process)
{
	hash_remove(&u->processes, &process->node);
	free(process);
}

static int64_t look_at(struct agent_unseen *u, uint32_t pid, int64_t n_threads, bool has_agent)
{
	struct process *process = has_agent ? find(u, pid) : find_or_add(u, pid);
	int64_t counted;

	if (!process)
		return 0;
	if (has_agent) {
		counted = process->counted;
		forget(u, process);
		return -counted;
	}
	process->listed = u->looks;
	if (++process->without != LOOKS)
		return 0;
	process->counted = n_threads;
	return n_threads;
}

static int64_t look(struct agent_unseen *u, bool (*has_agent)(void *arg, uint32_t pid), void *arg)
{
	pids list = { 0 };
	int64_t more = 0;

	u->looks++;
	list_family(&list, (uint32_t)getpid());
	for (size_t i = 0; i < list.len; i++) {
		uint32_t pid = list.data[i];
		int64_t n_threads = list_family(&list, pid);
		bool has = has_agent(arg, pid);

		/* Whether it runs comes last: it may have ended between the looks. */
		if (has || (n_threads && is_running(pid)))
			more += look_at(u, pid, n_threads, has);
	}
	vec_free(&list);
	/* Numbers of those that are no more may be somebody else's. */
	hash_each_all(&u->processes, node) {
		struct process *process = container_of(node, struct process, node);

		if (process->listed != u->looks)
			forget(u, process);
	}
	return more;
}

static uint64_t used_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

int64_t agent_unseen_look(struct agent_unseen *u, bool (*has_agent)(void *arg, uint32_t pid), void *arg)
{
	uint64_t now = clock_monotonic_ns(), before, pause;
	int64_t more;

	if (now < u->next)
		return 0;
	before = used_ns();
	more = look(u, has_agent, arg);
	pause = (used_ns() - before) * LEAST_SHARE;
	u->next = now + (pause > LOOK_NS ? pause : LOOK_NS);
	return more;
}

void agent_unseen_free(struct agent_unseen *u)
{
	hash_each_all(&u->processes, node)
		free(container_of(node, struct process, node));
	hash_free(&u->processes);
}
