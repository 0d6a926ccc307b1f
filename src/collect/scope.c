/* SPDX-License-Identifier: MIT */
/* The processes of a recording; see scope.h. */
#include "collect/scope.h"

#include <stdlib.h>

struct scope_pid {
	struct hash_node node;
	uint32_t pid;
};

bool scope_has(const struct scope *scope, uint32_t pid)
{
	if (scope->all)
		return true;
	hash_each(&scope->pids, hash_u64(pid), node)
		if (container_of(node, struct scope_pid, node)->pid == pid)
			return true;
	return false;
}

void scope_add(struct scope *scope, uint32_t pid)
{
	struct scope_pid *p;

	if (scope_has(scope, pid))
		return;
	p = malloc(sizeof(*p));
	if (!p)
		return;
	p->pid = pid;
	if (!hash_insert(&scope->pids, &p->node, hash_u64(pid)))
		free(p);
}

bool scope_feed(struct scope *scope, const struct perfdata_record *record)
{
	if (record->type == PERF_RECORD_FORK && scope_has(scope, record->task.ppid))
		scope_add(scope, record->pid);
	return scope_has(scope, record->pid);
}

void scope_free(struct scope *scope)
{
	hash_each_all(&scope->pids, node)
		free(container_of(node, struct scope_pid, node));
	hash_free(&scope->pids);
}
