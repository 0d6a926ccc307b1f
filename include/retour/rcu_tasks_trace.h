/* SPDX-License-Identifier: MIT */
/*
 * retour_rcu_tasks_trace: the one domain whose readers may fault, sleep and
 * block for long.
 *
 * It is an SRCU domain of the library whose sections end in the thread in
 * which they began.  So each thread counts its own, beside the domain's
 * counters: who keeps a grace period waiting is known, and the sections of a
 * thread that ended inside are taken off.
 */
#ifndef RETOUR_RCU_TASKS_TRACE_H
#define RETOUR_RCU_TASKS_TRACE_H

#include "rcu.h"
#include "srcu.h"

#ifdef __cplusplus
extern "C" {
#endif

extern RETOUR_API struct retour_srcu_struct retour_rcu_tasks_trace_srcu_struct;

/* The declared slow paths of readers; not to be called directly. */
RETOUR_SLOW_API void retour_rcu_tasks_trace_count_slow(const struct retour_srcu_bank *bank, long n);
RETOUR_SLOW_API bool retour_rcu_read_lock_tasks_trace_held_slow(void);
RETOUR_SLOW_API void retour_rcu_read_unlock_tasks_trace_slow(struct retour_srcu_struct *ssp,
							     struct retour_srcu_bank *bank);
RETOUR_SLOW_API void retour_rcu_read_unlock_tasks_trace_slow_notrace(struct retour_srcu_struct *ssp,
								     struct retour_srcu_bank *bank);

RETOUR_INLINE void retour_rcu_tasks_trace_count_(const struct retour_srcu_bank *bank, long n)
{
	struct retour_rcu_reader *reader = retour_rcu_reader;

	if (retour_unlikely(!reader))
		retour_rcu_tasks_trace_count_slow(bank, n);
	else
		retour_rcu_add_(&reader->tasks_trace[retour_srcu_bank_index_(bank)], n);
}

/* Begins a section; the cookie ends it, in the same thread.  Async-signal-safe. */
RETOUR_INLINE struct retour_srcu_bank *retour_rcu_read_lock_tasks_trace(void)
{
	struct retour_srcu_bank *bank = retour_srcu_read_lock_fast(&retour_rcu_tasks_trace_srcu_struct);

	retour_rcu_tasks_trace_count_(bank, 1);
	return bank;
}

/* Ends a section; at most two system calls.  Async-signal-safe. */
RETOUR_INLINE void retour_rcu_read_unlock_tasks_trace(struct retour_srcu_bank *bank)
{
#ifdef RETOUR_RCU_DEBUG
	retour_rcu_debug_unlock(&retour_rcu_tasks_trace_srcu_struct.domain, bank);
#endif
	retour_rcu_tasks_trace_count_(bank, -1);
	retour_srcu_read_unlock_(&retour_rcu_tasks_trace_srcu_struct, bank, retour_rcu_read_unlock_tasks_trace_slow);
}

/* No hook point is behind this pair. */
RETOUR_INLINE struct retour_srcu_bank *retour_rcu_read_lock_tasks_trace_notrace(void)
{
	struct retour_srcu_bank *bank = retour_srcu_read_lock_fast_notrace(&retour_rcu_tasks_trace_srcu_struct);

	retour_rcu_tasks_trace_count_(bank, 1);
	return bank;
}

RETOUR_INLINE void retour_rcu_read_unlock_tasks_trace_notrace(struct retour_srcu_bank *bank)
{
	retour_rcu_tasks_trace_count_(bank, -1);
	retour_srcu_read_unlock_(&retour_rcu_tasks_trace_srcu_struct, bank,
				 retour_rcu_read_unlock_tasks_trace_slow_notrace);
}

/* Is the calling thread in a section?  For assertions.  Async-signal-safe. */
RETOUR_INLINE bool retour_rcu_read_lock_tasks_trace_held(void)
{
	struct retour_rcu_reader *reader = retour_rcu_reader;

	return reader ? (reader->tasks_trace[0] | reader->tasks_trace[1]) != 0 :
			retour_rcu_read_lock_tasks_trace_held_slow();
}

/* As in <retour/rcu.h>. */
#define retour_rcu_dereference_tasks_trace_check(p, condition)                 \
	retour_rcu_dereference_if_(p, (condition) || retour_rcu_read_lock_tasks_trace_held(), \
				   &retour_rcu_tasks_trace_srcu_struct.domain)
#define retour_rcu_dereference_tasks_trace(p) retour_rcu_dereference_tasks_trace_check(p, false)
#define retour_rcu_dereference_tasks_trace_notrace(p) retour_rcu_dereference_raw_notrace(p)

/* Grace periods and callbacks, as in <retour/srcu.h>. */
RETOUR_INLINE void retour_synchronize_rcu_tasks_trace(void)
{
	retour_synchronize_srcu(&retour_rcu_tasks_trace_srcu_struct);
}

RETOUR_INLINE void retour_synchronize_rcu_tasks_trace_expedited(void)
{
	retour_synchronize_srcu_expedited(&retour_rcu_tasks_trace_srcu_struct);
}

RETOUR_INLINE void retour_call_rcu_tasks_trace(struct retour_rcu_head *head,
					       void (*func)(struct retour_rcu_head *head))
{
	retour_call_srcu(&retour_rcu_tasks_trace_srcu_struct, head, func);
}

RETOUR_INLINE void retour_rcu_barrier_tasks_trace(void)
{
	retour_srcu_barrier(&retour_rcu_tasks_trace_srcu_struct);
}

RETOUR_INLINE unsigned long retour_get_state_synchronize_rcu_tasks_trace(void)
{
	return retour_get_state_synchronize_srcu(&retour_rcu_tasks_trace_srcu_struct);
}

RETOUR_INLINE unsigned long retour_start_poll_synchronize_rcu_tasks_trace(void)
{
	return retour_start_poll_synchronize_srcu(&retour_rcu_tasks_trace_srcu_struct);
}

RETOUR_INLINE unsigned long retour_start_poll_synchronize_rcu_tasks_trace_expedited(void)
{
	return retour_start_poll_synchronize_srcu_expedited(&retour_rcu_tasks_trace_srcu_struct);
}

RETOUR_INLINE bool retour_poll_state_synchronize_rcu_tasks_trace(unsigned long cookie)
{
	return retour_poll_state_synchronize_srcu(&retour_rcu_tasks_trace_srcu_struct, cookie);
}

RETOUR_INLINE void retour_cond_synchronize_rcu_tasks_trace(unsigned long cookie)
{
	retour_cond_synchronize_srcu(&retour_rcu_tasks_trace_srcu_struct, cookie);
}

RETOUR_INLINE void retour_cond_synchronize_rcu_tasks_trace_expedited(unsigned long cookie)
{
	retour_cond_synchronize_srcu_expedited(&retour_rcu_tasks_trace_srcu_struct, cookie);
}

RETOUR_INLINE void retour_get_state_synchronize_rcu_tasks_trace_full(struct retour_rcu_gp_oldstate *state)
{
	retour_get_state_synchronize_srcu_full(&retour_rcu_tasks_trace_srcu_struct, state);
}

RETOUR_INLINE void retour_start_poll_synchronize_rcu_tasks_trace_full(struct retour_rcu_gp_oldstate *state)
{
	retour_start_poll_synchronize_srcu_full(&retour_rcu_tasks_trace_srcu_struct, state);
}

RETOUR_INLINE void retour_start_poll_synchronize_rcu_tasks_trace_expedited_full(struct retour_rcu_gp_oldstate *state)
{
	retour_start_poll_synchronize_srcu_expedited_full(&retour_rcu_tasks_trace_srcu_struct, state);
}

RETOUR_INLINE bool retour_poll_state_synchronize_rcu_tasks_trace_full(const struct retour_rcu_gp_oldstate *state)
{
	return retour_poll_state_synchronize_srcu_full(&retour_rcu_tasks_trace_srcu_struct, state);
}

RETOUR_INLINE void retour_cond_synchronize_rcu_tasks_trace_full(const struct retour_rcu_gp_oldstate *state)
{
	retour_cond_synchronize_srcu_full(&retour_rcu_tasks_trace_srcu_struct, state);
}

RETOUR_INLINE void retour_cond_synchronize_rcu_tasks_trace_expedited_full(const struct retour_rcu_gp_oldstate *state)
{
	retour_cond_synchronize_srcu_expedited_full(&retour_rcu_tasks_trace_srcu_struct, state);
}

/* A section until the end of the scope. */
RETOUR_INLINE void retour_rcu_tasks_trace_guard_end_(struct retour_srcu_bank **bank)
{
	retour_rcu_read_unlock_tasks_trace(*bank);
}

RETOUR_INLINE void retour_rcu_tasks_trace_guard_end_notrace_(struct retour_srcu_bank **bank)
{
	retour_rcu_read_unlock_tasks_trace_notrace(*bank);
}

#define retour_guard_rcu_tasks_trace()                                         \
	__attribute__((cleanup(retour_rcu_tasks_trace_guard_end_), unused))    \
	struct retour_srcu_bank *RETOUR_JOIN_(retour_rcu_guard_, __COUNTER__) = retour_rcu_read_lock_tasks_trace()
#define retour_guard_rcu_tasks_trace_notrace()                                 \
	__attribute__((cleanup(retour_rcu_tasks_trace_guard_end_notrace_), unused)) \
	struct retour_srcu_bank *RETOUR_JOIN_(retour_rcu_guard_, __COUNTER__) = \
		retour_rcu_read_lock_tasks_trace_notrace()

#ifdef __cplusplus
}
#endif
#endif
