/* SPDX-License-Identifier: MIT */
/*
 * retour_rcu: RCU whose readers may run anywhere.
 *
 * Readers need no registration and may be a thread's first contact with the
 * library, in a signal handler at any instruction, with any lock held.  They
 * nest.  A handler must end the sections it began.  They cost an increment and
 * a decrement of a thread-local count.  See docs/rcu.md for the algorithm.
 *
 * Unless it says otherwise a function may be called from any thread, inside
 * and outside of sections, but not from signal handlers.
 */
#ifndef RETOUR_RCU_H
#define RETOUR_RCU_H

#include "rcu_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A thread's reader record; only the inline functions below use it. */
struct retour_rcu_reader {
	long nesting;		/* sections the thread is in */
	unsigned int special;	/* a grace period waits for nesting to become 0 */
	unsigned int boost;	/* PI futex */
	int tid;		/* 0: free */
	unsigned int tasks_boost;	/* PI futex of retour_rcu_tasks_trace */
	const void *where;	/* debug builds: the outermost lock */
	long tasks_trace[2];	/* sections of retour_rcu_tasks_trace, by bank */
	const void *srcu_cookie;	/* debug builds: of the outermost section of an SRCU domain */
	const void *srcu_where;		/* its lock */
} __attribute__((aligned(64)));

/* NULL before the first reader, and always where readers need fences. */
extern RETOUR_API __thread struct retour_rcu_reader *retour_rcu_reader __attribute__((tls_model("initial-exec")));
extern RETOUR_API struct retour_rcu_domain retour_rcu_domain;

/* The declared slow paths of readers; not to be called directly. */
RETOUR_SLOW_API void retour_rcu_read_lock_slow(void);
RETOUR_SLOW_API void retour_rcu_read_lock_slow_notrace(void);
RETOUR_SLOW_API void retour_rcu_read_unlock_slow(void);
RETOUR_SLOW_API void retour_rcu_read_unlock_slow_notrace(void);
RETOUR_SLOW_API bool retour_rcu_read_lock_held_slow(void);

/* Adds to a count that only this thread and its signal handlers change. */
RETOUR_INLINE void retour_rcu_add_(long *count, long n)
{
#if defined(__x86_64__) && !defined(RETOUR_TSAN)
	/* (I), and (o), in one instruction: x86-64 keeps loads and stores before a later store in order. */
	__asm__ volatile("addq %1, %0" : "+m"(*count) : "er"(n) : "memory", "cc");
#else
	/* (I), and (o): handlers find the count changed. */
	__atomic_store_n(count, __atomic_load_n(count, __ATOMIC_RELAXED) + n, __ATOMIC_RELEASE);
	retour_barrier();	/* (o) */
#endif
}

RETOUR_INLINE void retour_rcu_read_lock_(void (*slow)(void))
{
	struct retour_rcu_reader *reader = retour_rcu_reader;

	if (retour_unlikely(!reader))
		slow();
	else
		retour_rcu_add_(&reader->nesting, 1);
	/* (H) pairs with (M): nesting is incremented before the section begins. */
	retour_barrier();
	retour_tsan_acquire(&retour_rcu_domain);
	retour_torture_delay();
}

RETOUR_INLINE void retour_rcu_read_unlock_(void (*slow)(void))
{
	struct retour_rcu_reader *reader = retour_rcu_reader;

	retour_torture_delay();
	retour_tsan_release(&retour_rcu_domain.gp);
	if (retour_unlikely(!reader)) {
		slow();
		return;
	}
	/* (I) pairs with (N): the section ends before nesting is decremented. */
	retour_barrier();
	retour_rcu_add_(&reader->nesting, -1);
	/* (J) pairs with (M), (O): nesting is decremented before special is read. */
	retour_barrier();
	retour_torture_delay();
	if (retour_unlikely(__atomic_load_n(&reader->special, __ATOMIC_RELAXED)))
		slow();
}

/* Begins a section.  No hook point is behind this one and its unlock.  Async-signal-safe. */
RETOUR_INLINE void retour_rcu_read_lock_notrace(void)
{
	retour_rcu_read_lock_(retour_rcu_read_lock_slow_notrace);
}

/*
 * Ends a section.  The outermost one reports to the grace period that waits
 * for it, if any: at most two system calls.  Async-signal-safe.
 */
RETOUR_INLINE void retour_rcu_read_unlock_notrace(void)
{
	retour_rcu_read_unlock_(retour_rcu_read_unlock_slow_notrace);
}

/* As the _notrace pair, with hook points on the slow path and the checks of a debug build. */
RETOUR_INLINE void retour_rcu_read_lock(void)
{
	retour_rcu_read_lock_(retour_rcu_read_lock_slow);
#ifdef RETOUR_RCU_DEBUG
	retour_rcu_debug_lock(&retour_rcu_domain, &retour_rcu_domain);
#endif
}

RETOUR_INLINE void retour_rcu_read_unlock(void)
{
#ifdef RETOUR_RCU_DEBUG
	retour_rcu_debug_unlock(&retour_rcu_domain, &retour_rcu_domain);
#endif
	retour_rcu_read_unlock_(retour_rcu_read_unlock_slow);
}

/* Is the calling thread in a section?  For assertions.  Async-signal-safe. */
RETOUR_INLINE bool retour_rcu_read_lock_held(void)
{
	struct retour_rcu_reader *reader = retour_rcu_reader;

	return reader ? __atomic_load_n(&reader->nesting, __ATOMIC_RELAXED) != 0 : retour_rcu_read_lock_held_slow();
}

/* Debug builds report a dereference outside of a section, but not where `condition` says that p is protected. */
#define retour_rcu_dereference_check(p, condition) \
	retour_rcu_dereference_if_(p, (condition) || retour_rcu_read_lock_held(), &retour_rcu_domain)
#define retour_rcu_dereference(p) retour_rcu_dereference_check(p, false)
/* Not checked. */
#define retour_rcu_dereference_notrace(p) retour_rcu_dereference_raw_notrace(p)

/* Waits until all sections that have begun are over. */
RETOUR_API void retour_synchronize_rcu(void);
/* The same at the price of CPU time: spins longer for readers before it sleeps. */
RETOUR_API void retour_synchronize_rcu_expedited(void);

/* The three below for callers that are no C, after retour_rcu_start_worker(). */
RETOUR_SLOW_API unsigned long retour_start_poll_synchronize_rcu_extern(void);
RETOUR_SLOW_API unsigned long retour_start_poll_synchronize_rcu_expedited_extern(void);
RETOUR_SLOW_API void retour_call_rcu_extern(struct retour_rcu_head *head, void (*func)(struct retour_rcu_head *head));

/*
 * Calls func(head) after a grace period, in the order of the calls of one
 * thread: in a thread of the library, or, if the system gives none, in one that
 * waits in retour_rcu_barrier().  A callback that waits delays the ones behind
 * it.  Async-signal-safe; takes no lock, allocates nothing, creates no thread.
 */
RETOUR_INLINE void retour_call_rcu(struct retour_rcu_head *head, void (*func)(struct retour_rcu_head *head))
{
	retour_rcu_worker_at_load();
	retour_call_rcu_extern(head, func);
}

/* Waits until the callbacks queued before are called, and polled grace periods over.  Not from a callback. */
RETOUR_API void retour_rcu_barrier(void);

/*
 * Polled grace periods: a cookie stands for one that begins now or later.  All
 * of them but cond_synchronize are async-signal-safe.  The _full forms are for
 * code that is written after the kernel's: here a cookie is a whole state.
 */
RETOUR_API unsigned long retour_get_state_synchronize_rcu(void);

/* A cookie, too; the library runs the grace period, for the second one with the haste of synchronize_expedited. */
RETOUR_INLINE unsigned long retour_start_poll_synchronize_rcu(void)
{
	retour_rcu_worker_at_load();
	return retour_start_poll_synchronize_rcu_extern();
}

RETOUR_INLINE unsigned long retour_start_poll_synchronize_rcu_expedited(void)
{
	retour_rcu_worker_at_load();
	return retour_start_poll_synchronize_rcu_expedited_extern();
}

/* Is it over? */
RETOUR_API bool retour_poll_state_synchronize_rcu(unsigned long cookie);
/* Waits for it, if it is not over. */
RETOUR_API void retour_cond_synchronize_rcu(unsigned long cookie);
RETOUR_API void retour_cond_synchronize_rcu_expedited(unsigned long cookie);

/* A cookie, of any domain, that is complete from the start. */
RETOUR_INLINE unsigned long retour_get_completed_synchronize_rcu(void)
{
	return RETOUR_RCU_GET_STATE_COMPLETED;
}

/* Do cookies, of one domain, stand for the same grace period? */
RETOUR_INLINE bool retour_same_state_synchronize_rcu(unsigned long a, unsigned long b)
{
	return a == b;
}

RETOUR_INLINE void retour_get_state_synchronize_rcu_full(struct retour_rcu_gp_oldstate *state)
{
	state->seq = retour_get_state_synchronize_rcu();
}

RETOUR_INLINE void retour_get_completed_synchronize_rcu_full(struct retour_rcu_gp_oldstate *state)
{
	state->seq = RETOUR_RCU_GET_STATE_COMPLETED;
}

RETOUR_INLINE void retour_start_poll_synchronize_rcu_full(struct retour_rcu_gp_oldstate *state)
{
	state->seq = retour_start_poll_synchronize_rcu();
}

RETOUR_INLINE void retour_start_poll_synchronize_rcu_expedited_full(struct retour_rcu_gp_oldstate *state)
{
	state->seq = retour_start_poll_synchronize_rcu_expedited();
}

RETOUR_INLINE bool retour_poll_state_synchronize_rcu_full(const struct retour_rcu_gp_oldstate *state)
{
	return retour_poll_state_synchronize_rcu(state->seq);
}

RETOUR_INLINE void retour_cond_synchronize_rcu_full(const struct retour_rcu_gp_oldstate *state)
{
	retour_cond_synchronize_rcu(state->seq);
}

RETOUR_INLINE void retour_cond_synchronize_rcu_expedited_full(const struct retour_rcu_gp_oldstate *state)
{
	retour_cond_synchronize_rcu_expedited(state->seq);
}

RETOUR_INLINE bool retour_same_state_synchronize_rcu_full(const struct retour_rcu_gp_oldstate *a,
							   const struct retour_rcu_gp_oldstate *b)
{
	return a->seq == b->seq;
}

/* A section until the end of the scope. */
RETOUR_INLINE void retour_rcu_guard_end_(const char *guard)
{
	(void)guard;
	retour_rcu_read_unlock();
}

RETOUR_INLINE void retour_rcu_guard_end_notrace_(const char *guard)
{
	(void)guard;
	retour_rcu_read_unlock_notrace();
}

#define retour_guard_rcu()                                                     \
	__attribute__((cleanup(retour_rcu_guard_end_), unused))                \
	char RETOUR_JOIN_(retour_rcu_guard_, __COUNTER__) = (retour_rcu_read_lock(), 0)
#define retour_guard_rcu_notrace()                                             \
	__attribute__((cleanup(retour_rcu_guard_end_notrace_), unused))        \
	char RETOUR_JOIN_(retour_rcu_guard_, __COUNTER__) = (retour_rcu_read_lock_notrace(), 0)

#ifdef __cplusplus
}
#endif
#endif
