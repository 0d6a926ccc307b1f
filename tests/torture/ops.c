/* SPDX-License-Identifier: MIT */
/* The domains behind one table, so that every test runs on each. */
#include <string.h>

#include "torture/torture.h"

RETOUR_DEFINE_STATIC_SRCU_FAST(torture_srcu);
RETOUR_DEFINE_STATIC_SRCU_FAST_UPDOWN(torture_updown);

static void *rcu_lock(void)
{
	retour_rcu_read_lock();
	return NULL;
}

static void rcu_unlock(void *cookie)
{
	retour_rcu_read_unlock();
}

static void *rcu_lock_notrace(void)
{
	retour_rcu_read_lock_notrace();
	return NULL;
}

static void rcu_unlock_notrace(void *cookie)
{
	retour_rcu_read_unlock_notrace();
}

#define READER(id, begin, end, ...)                                            \
	static void *id##_lock(void)                                           \
	{                                                                      \
		return begin(__VA_ARGS__);                                     \
	}                                                                      \
	static void id##_unlock(void *cookie)                                  \
	{                                                                      \
		end(__VA_ARGS__ __VA_OPT__(, ) cookie);                        \
	}

READER(srcu, retour_srcu_read_lock_fast, retour_srcu_read_unlock_fast, &torture_srcu)
READER(srcu_notrace, retour_srcu_read_lock_fast_notrace, retour_srcu_read_unlock_fast_notrace, &torture_srcu)
READER(updown, retour_srcu_down_read_fast, retour_srcu_up_read_fast, &torture_updown)
READER(updown_notrace, retour_srcu_down_read_fast_notrace, retour_srcu_up_read_fast_notrace, &torture_updown)
READER(tasks, retour_rcu_read_lock_tasks_trace, retour_rcu_read_unlock_tasks_trace)
READER(tasks_notrace, retour_rcu_read_lock_tasks_trace_notrace, retour_rcu_read_unlock_tasks_trace_notrace)

/* The calls of updaters differ in their last word and in the domain they are given, if any. */
#define UPDATER(id, word, barrier_name, ...)                                   \
	static void id##_synchronize(void)                                     \
	{                                                                      \
		retour_synchronize_##word(__VA_ARGS__);                        \
	}                                                                      \
	static void id##_expedited(void)                                       \
	{                                                                      \
		retour_synchronize_##word##_expedited(__VA_ARGS__);            \
	}                                                                      \
	static void id##_call(struct retour_rcu_head *head, void (*func)(struct retour_rcu_head *head)) \
	{                                                                      \
		retour_call_##word(__VA_ARGS__ __VA_OPT__(, ) head, func);     \
	}                                                                      \
	static void id##_barrier(void)                                         \
	{                                                                      \
		barrier_name(__VA_ARGS__);                                     \
	}                                                                      \
	static unsigned long id##_get_state(void)                              \
	{                                                                      \
		return retour_get_state_synchronize_##word(__VA_ARGS__);       \
	}                                                                      \
	static unsigned long id##_start_poll(void)                             \
	{                                                                      \
		return retour_start_poll_synchronize_##word(__VA_ARGS__);      \
	}                                                                      \
	static bool id##_poll(unsigned long cookie)                            \
	{                                                                      \
		return retour_poll_state_synchronize_##word(__VA_ARGS__ __VA_OPT__(, ) cookie); \
	}                                                                      \
	static void id##_cond(unsigned long cookie)                            \
	{                                                                      \
		retour_cond_synchronize_##word(__VA_ARGS__ __VA_OPT__(, ) cookie); \
	}                                                                      \
	static unsigned long id##_start_poll_expedited(void)                   \
	{                                                                      \
		return retour_start_poll_synchronize_##word##_expedited(__VA_ARGS__); \
	}                                                                      \
	static void id##_cond_expedited(unsigned long cookie)                  \
	{                                                                      \
		retour_cond_synchronize_##word##_expedited(__VA_ARGS__ __VA_OPT__(, ) cookie); \
	}

UPDATER(rcu, rcu, retour_rcu_barrier)
UPDATER(srcu, srcu, retour_srcu_barrier, &torture_srcu)
UPDATER(updown, srcu, retour_srcu_barrier, &torture_updown)
UPDATER(tasks, rcu_tasks_trace, retour_rcu_barrier_tasks_trace)

#define UPDATER_OPS(id)                                                        \
	.synchronize = id##_synchronize, .expedited = id##_expedited, .call = id##_call, .barrier = id##_barrier, \
	.get_state = id##_get_state, .start_poll = id##_start_poll, .poll = id##_poll, .cond = id##_cond, \
	.start_poll_expedited = id##_start_poll_expedited, .cond_expedited = id##_cond_expedited

static const struct torture_ops domains[] = {
	{ "rcu", rcu_lock, rcu_unlock, rcu_lock_notrace, rcu_unlock_notrace, .bound = true, .boosted = true,
	  UPDATER_OPS(rcu) },
	{ "srcu", srcu_lock, srcu_unlock, srcu_notrace_lock, srcu_notrace_unlock, UPDATER_OPS(srcu) },
	{ "updown", updown_lock, updown_unlock, updown_notrace_lock, updown_notrace_unlock, .handed_over = true,
	  UPDATER_OPS(updown) },
	{ "tasks-trace", tasks_lock, tasks_unlock, tasks_notrace_lock, tasks_notrace_unlock, .bound = true,
	  .boosted = true, UPDATER_OPS(tasks) },
};

const struct torture_ops *torture_find(const char *name)
{
	for (unsigned int i = 0; i < sizeof(domains) / sizeof(*domains); i++)
		if (!strcmp(domains[i].name, name))
			return &domains[i];
	return NULL;
}
