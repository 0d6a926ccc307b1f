/* SPDX-License-Identifier: MIT */
/* Threads with events of their own; see deep_threads.h. */
#include "collect/deep_threads.h"

#include "collect/kernel_clock.h"

void deep_threads_free(struct deep_threads *deep)
{
	vec_free(&deep->threads);
}

/* ---- suspects ------------------------------------------------------------------ */

bool deep_threads_suspect(struct deep_threads *deep, uint32_t pid, uint32_t tid, uint32_t of, bool is_deep)
{
	for (unsigned int i = 0; i < deep->n_suspects; i++)
		if (deep->suspects[i].tid == tid)
			return true;
	if (is_deep && deep->n_suspects < DEEP_SUSPECTS) {
		deep->suspects[deep->n_suspects].pid = pid;
		deep->suspects[deep->n_suspects].tid = tid;
		deep->suspects[deep->n_suspects++].of = of;
	}
	return is_deep;
}

void deep_threads_clear_suspects(struct deep_threads *deep, uint32_t of)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < deep->n_suspects; i++)
		if (deep->suspects[i].of != of)
			deep->suspects[kept++] = deep->suspects[i];
	deep->n_suspects = kept;
}

bool deep_threads_add_suspects(struct deep_threads *deep, uint32_t of)
{
	if (deep->n_suspects == DEEP_SUSPECTS)
		return false;		/* there may be more */
	for (unsigned int i = 0; i < deep->n_suspects; i++)
		if (deep->suspects[i].of == of &&
		    !deep_threads_add(deep, deep->suspects[i].pid, deep->suspects[i].tid, of))
			return false;
	deep_threads_clear_suspects(deep, of);
	return true;
}

/* ---- threads --------------------------------------------------------------------- */

static bool is_used(const struct deep_threads *deep, uint32_t group)
{
	vec_each(&deep->threads, thread)
		if (thread->group == group)
			return true;
	return false;
}

bool deep_threads_has(const struct deep_threads *deep, uint32_t tid)
{
	vec_each(&deep->threads, thread)
		if (thread->tid == tid && thread->until == UINT64_MAX)
			return true;
	return false;
}

bool deep_threads_add(struct deep_threads *deep, uint32_t pid, uint32_t tid, uint32_t of)
{
	const uint32_t first = perf_events_groups(deep->events), end = first + perf_events_own_groups(deep->events);
	struct deep_thread thread = { .pid = pid, .tid = tid, .group = first, .of = of, .until = UINT64_MAX };

	if (deep_threads_has(deep, tid))
		return true;
	while (thread.group < end && is_used(deep, thread.group))
		thread.group++;
	if (thread.group == end || !perf_events_add_thread(deep->events, (pid_t)tid, thread.group))
		return false;
	thread.since = kernel_clock_ns();
	if (vec_push(&deep->threads, thread))
		return true;
	perf_events_remove_group(deep->events, thread.group);
	return false;
}

uint32_t deep_threads_group(const struct deep_threads *deep, uint32_t tid, uint64_t time, uint32_t otherwise)
{
	vec_each(&deep->threads, thread)
		if (thread->tid == tid && time > thread->since && time <= thread->until)
			return thread->group;
	return otherwise;
}

void deep_threads_exit(struct deep_threads *deep, uint32_t tid, uint64_t time)
{
	vec_each(&deep->threads, thread)
		if (thread->tid == tid && thread->until > time)
			thread->until = time;
}

void deep_threads_exec(struct deep_threads *deep, uint32_t pid, uint64_t time)
{
	vec_each(&deep->threads, thread)
		if (thread->pid == pid && thread->until > time && thread->since < time)
			thread->until = time;
}

void deep_threads_give_back(struct deep_threads *deep, uint32_t of)
{
	const uint64_t now = kernel_clock_ns();

	vec_each(&deep->threads, thread)
		if (thread->of == of && thread->until > now)
			thread->until = now;
}

void deep_threads_expire(struct deep_threads *deep, uint64_t time)
{
	size_t kept = 0;

	vec_each(&deep->threads, thread) {
		if (thread->until >= time)
			deep->threads.data[kept++] = *thread;
		else
			perf_events_remove_group(deep->events, thread->group);
	}
	deep->threads.len = kept;
}
