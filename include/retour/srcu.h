/* SPDX-License-Identifier: MIT */
/*
 * retour_srcu ("SRCU-fast") and retour_rcu_tasks_trace: RCU domains whose
 * readers count in per-CPU counters and hold a cookie.
 *
 * The price of a grace period grows with CPUs, not with threads.  Readers may
 * block, where all updaters of the domain can bear it.  A cookie may be handed
 * to another thread (down/up).  Readers need no registration and may run in
 * signal handlers from the first call.  See docs/rcu.md for the algorithm.
 *
 * Unless it says otherwise a function may be called from any thread, but not
 * from signal handlers.
 */
#ifndef RETOUR_SRCU_H
#define RETOUR_SRCU_H

#include "srcu_percpu.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One bank of one CPU; lock and unlock by rseq, the others by atomic instructions. */
struct retour_srcu_bank {
	unsigned long lock;
	unsigned long unlock;
	unsigned long atomic_lock;
	unsigned long atomic_unlock;
};

struct retour_srcu_area;

enum retour_srcu_flavour { RETOUR_SRCU_FAST, RETOUR_SRCU_FAST_UPDOWN };

struct retour_srcu_struct {
	/* read by readers */
	struct retour_srcu_bank *current_bank;	/* of CPU 0; NULL: the slow path */
	unsigned int waiting;
	unsigned int sleeping;			/* futex: 1 while the leader sleeps */
	struct retour_srcu_bank *draining;
	/* the rest */
	struct retour_srcu_area *area;
	unsigned int flavour;			/* enum retour_srcu_flavour */
	unsigned int has_readers;		/* somebody has read */
	struct retour_rcu_domain domain __attribute__((aligned(64)));
};

extern RETOUR_API const struct retour_rcu_ops retour_srcu_ops;

#define RETOUR_SRCU_INIT_(name, flavour) \
	{ NULL, 0, 0, NULL, NULL, flavour, 0, RETOUR_RCU_DOMAIN_INIT(&retour_srcu_ops, name) }

/* When the object of a defined domain is loaded, and when it is closed. */
RETOUR_API void retour_srcu_module_coming(struct retour_srcu_struct *ssp);
RETOUR_API void retour_srcu_module_going(struct retour_srcu_struct *ssp);

#define RETOUR_DEFINE_SRCU_(storage, name, flavour)                            \
	storage struct retour_srcu_struct name = RETOUR_SRCU_INIT_(#name, flavour); \
	__attribute__((constructor(101))) static void retour_srcu_coming_##name(void) \
	{                                                                      \
		retour_srcu_module_coming(&name);                              \
	}                                                                      \
	__attribute__((destructor)) static void retour_srcu_going_##name(void) \
	{                                                                      \
		retour_srcu_module_going(&name);                               \
	}                                                                      \
	struct retour_srcu_struct

/*
 * A domain that is ready from the start.  Its object may be closed, by no
 * callback of it, when nobody uses it any more, after a retour_srcu_barrier().
 */
#define RETOUR_DEFINE_SRCU_FAST(name) RETOUR_DEFINE_SRCU_(, name, RETOUR_SRCU_FAST)
#define RETOUR_DEFINE_STATIC_SRCU_FAST(name) RETOUR_DEFINE_SRCU_(static, name, RETOUR_SRCU_FAST)
#define RETOUR_DEFINE_SRCU_FAST_UPDOWN(name) RETOUR_DEFINE_SRCU_(, name, RETOUR_SRCU_FAST_UPDOWN)
#define RETOUR_DEFINE_STATIC_SRCU_FAST_UPDOWN(name) RETOUR_DEFINE_SRCU_(static, name, RETOUR_SRCU_FAST_UPDOWN)

/* Prepares *ssp, whatever is in it.  0 or -ENOMEM.  The name is not copied.  Ends with retour_cleanup_srcu_struct(). */
RETOUR_API int retour_init_srcu_struct_named(struct retour_srcu_struct *ssp, const char *name,
					     enum retour_srcu_flavour flavour);
#define retour_init_srcu_struct_fast(ssp) retour_init_srcu_struct_named(ssp, #ssp, RETOUR_SRCU_FAST)
#define retour_init_srcu_struct_fast_updown(ssp) retour_init_srcu_struct_named(ssp, #ssp, RETOUR_SRCU_FAST_UPDOWN)

/*
 * Waits for queued callbacks and polled grace periods, ends the worker, gives
 * the memory back.  0; -EBUSY if there are readers or an updater waits;
 * -EDEADLK, which is also reported, in a callback of the domain.  After an
 * error the domain goes on, otherwise it must be prepared before it is used again.
 */
RETOUR_API int retour_cleanup_srcu_struct(struct retour_srcu_struct *ssp);

/* The declared slow paths of readers; not to be called directly. */
RETOUR_API struct retour_srcu_bank *retour_srcu_read_lock_slow(struct retour_srcu_struct *ssp);
RETOUR_API void retour_srcu_read_unlock_atomic(struct retour_srcu_bank *bank);
RETOUR_API void retour_srcu_read_unlock_slow(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank);
RETOUR_API void retour_srcu_read_unlock_slow_notrace(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank);
RETOUR_API void retour_srcu_debug_flavour(const struct retour_srcu_struct *ssp, enum retour_srcu_flavour flavour);

/* Begins a section; the cookie ends it.  No hook point is behind this pair.  Async-signal-safe. */
RETOUR_INLINE struct retour_srcu_bank *retour_srcu_read_lock_fast_notrace(struct retour_srcu_struct *ssp)
{
	/* (R) pairs with (Y): the pointer before the counters. */
	struct retour_srcu_bank *bank = __atomic_load_n(&ssp->current_bank, __ATOMIC_CONSUME);

	retour_torture_delay();
	if (retour_unlikely(!bank) || retour_unlikely(!retour_percpu_inc_(&bank->lock)))
		bank = retour_srcu_read_lock_slow(ssp);
	/* (R) pairs with (X): the section is counted before it begins. */
	retour_barrier();
	retour_tsan_acquire(ssp);
	retour_torture_delay();
	return bank;
}

RETOUR_INLINE void retour_srcu_read_unlock_(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank,
					    void (*slow)(struct retour_srcu_struct *, struct retour_srcu_bank *))
{
	retour_torture_delay();
	retour_tsan_release(&ssp->domain.gp);
	/* (S) pairs with (V): the section, and its lock, before unlock is counted. */
	retour_barrier();
	if (retour_unlikely(!retour_percpu_inc_release_(&bank->unlock)))
		retour_srcu_read_unlock_atomic(bank);
	/* (T) pairs with (X), (Z): unlock is counted before waiting is read. */
	retour_barrier();
	retour_torture_delay();
	if (retour_unlikely(__atomic_load_n(&ssp->waiting, __ATOMIC_RELAXED)))
		slow(ssp, bank);
}

/* Ends a section; at most one system call.  Async-signal-safe. */
RETOUR_INLINE void retour_srcu_read_unlock_fast_notrace(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
	retour_srcu_read_unlock_(ssp, bank, retour_srcu_read_unlock_slow_notrace);
}

/* As the _notrace pair, with hook points on the slow path and the checks of a debug build. */
RETOUR_INLINE struct retour_srcu_bank *retour_srcu_read_lock_fast(struct retour_srcu_struct *ssp)
{
	struct retour_srcu_bank *bank = retour_srcu_read_lock_fast_notrace(ssp);

#ifdef RETOUR_RCU_DEBUG
	retour_srcu_debug_flavour(ssp, RETOUR_SRCU_FAST);
	retour_rcu_debug_lock(&ssp->domain, bank);
#endif
	return bank;
}

RETOUR_INLINE void retour_srcu_read_unlock_fast(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
#ifdef RETOUR_RCU_DEBUG
	retour_rcu_debug_unlock(&ssp->domain, bank);
#endif
	retour_srcu_read_unlock_(ssp, bank, retour_srcu_read_unlock_slow);
}

/*
 * The form for sections that begin in one thread and end in another; the
 * hand-over itself must order the two.  Domains defined with ..._UPDOWN.
 */
RETOUR_INLINE struct retour_srcu_bank *retour_srcu_down_read_fast(struct retour_srcu_struct *ssp)
{
#ifdef RETOUR_RCU_DEBUG
	retour_srcu_debug_flavour(ssp, RETOUR_SRCU_FAST_UPDOWN);
#endif
	return retour_srcu_read_lock_fast_notrace(ssp);
}

RETOUR_INLINE void retour_srcu_up_read_fast(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
	retour_srcu_read_unlock_(ssp, bank, retour_srcu_read_unlock_slow);
}

/*
 * Is anybody in a section of this domain?  For assertions, which may not rely
 * on "no": sections are not bound to threads.  True as long as the caller is in one.
 */
RETOUR_API bool retour_srcu_read_lock_held(const struct retour_srcu_struct *ssp);

#define retour_srcu_dereference(p, ssp) retour_rcu_dereference_domain_(p, &(ssp)->domain)
#define retour_srcu_dereference_notrace(p, ssp) retour_rcu_dereference_raw_notrace(p)
#define retour_srcu_dereference_check(p, ssp, condition) \
	((condition) ? retour_rcu_dereference_raw_notrace(p) : retour_srcu_dereference(p, ssp))

/* Waits until all sections that have begun are over. */
RETOUR_API void retour_synchronize_srcu(struct retour_srcu_struct *ssp);
RETOUR_API void retour_synchronize_srcu_expedited(struct retour_srcu_struct *ssp);

/* The two below for callers that are no C, after retour_rcu_start_worker(). */
RETOUR_API unsigned long retour_start_poll_synchronize_srcu_extern(struct retour_srcu_struct *ssp);
RETOUR_API void retour_call_srcu_extern(struct retour_srcu_struct *ssp, struct retour_rcu_head *head,
					void (*func)(struct retour_rcu_head *head));

/* As retour_call_rcu(). */
RETOUR_INLINE void retour_call_srcu(struct retour_srcu_struct *ssp, struct retour_rcu_head *head,
				    void (*func)(struct retour_rcu_head *head))
{
	retour_rcu_worker_at_load();
	retour_call_srcu_extern(ssp, head, func);
}

/* Waits until the callbacks queued before are called, and polled grace periods over.  Not from a callback. */
RETOUR_API void retour_srcu_barrier(struct retour_srcu_struct *ssp);

/* Polled grace periods, as in <retour/rcu.h>. */
RETOUR_API unsigned long retour_get_state_synchronize_srcu(struct retour_srcu_struct *ssp);
RETOUR_API bool retour_poll_state_synchronize_srcu(struct retour_srcu_struct *ssp, unsigned long cookie);
RETOUR_API void retour_cond_synchronize_srcu(struct retour_srcu_struct *ssp, unsigned long cookie);

RETOUR_INLINE unsigned long retour_start_poll_synchronize_srcu(struct retour_srcu_struct *ssp)
{
	retour_rcu_worker_at_load();
	return retour_start_poll_synchronize_srcu_extern(ssp);
}

RETOUR_INLINE void retour_get_state_synchronize_srcu_full(struct retour_srcu_struct *ssp,
							   struct retour_rcu_gp_oldstate *state)
{
	state->seq = retour_get_state_synchronize_srcu(ssp);
}

RETOUR_INLINE void retour_start_poll_synchronize_srcu_full(struct retour_srcu_struct *ssp,
							    struct retour_rcu_gp_oldstate *state)
{
	state->seq = retour_start_poll_synchronize_srcu(ssp);
}

RETOUR_INLINE bool retour_poll_state_synchronize_srcu_full(struct retour_srcu_struct *ssp,
							    const struct retour_rcu_gp_oldstate *state)
{
	return retour_poll_state_synchronize_srcu(ssp, state->seq);
}

RETOUR_INLINE void retour_cond_synchronize_srcu_full(struct retour_srcu_struct *ssp,
						      const struct retour_rcu_gp_oldstate *state)
{
	retour_cond_synchronize_srcu(ssp, state->seq);
}

/* Tasks-trace: the one domain whose readers may fault, sleep and block for long. */
extern RETOUR_API struct retour_srcu_struct retour_rcu_tasks_trace_srcu_struct;

RETOUR_INLINE struct retour_srcu_bank *retour_rcu_read_lock_tasks_trace(void)
{
	return retour_srcu_read_lock_fast(&retour_rcu_tasks_trace_srcu_struct);
}

RETOUR_INLINE void retour_rcu_read_unlock_tasks_trace(struct retour_srcu_bank *bank)
{
	retour_srcu_read_unlock_fast(&retour_rcu_tasks_trace_srcu_struct, bank);
}

RETOUR_INLINE struct retour_srcu_bank *retour_rcu_read_lock_tasks_trace_notrace(void)
{
	return retour_srcu_read_lock_fast_notrace(&retour_rcu_tasks_trace_srcu_struct);
}

RETOUR_INLINE void retour_rcu_read_unlock_tasks_trace_notrace(struct retour_srcu_bank *bank)
{
	retour_srcu_read_unlock_fast_notrace(&retour_rcu_tasks_trace_srcu_struct, bank);
}

#define retour_rcu_dereference_tasks_trace(p) \
	retour_rcu_dereference_domain_(p, &retour_rcu_tasks_trace_srcu_struct.domain)

RETOUR_INLINE bool retour_rcu_read_lock_tasks_trace_held(void)
{
	return retour_srcu_read_lock_held(&retour_rcu_tasks_trace_srcu_struct);
}

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

RETOUR_INLINE bool retour_poll_state_synchronize_rcu_tasks_trace(unsigned long cookie)
{
	return retour_poll_state_synchronize_srcu(&retour_rcu_tasks_trace_srcu_struct, cookie);
}

RETOUR_INLINE void retour_cond_synchronize_rcu_tasks_trace(unsigned long cookie)
{
	retour_cond_synchronize_srcu(&retour_rcu_tasks_trace_srcu_struct, cookie);
}

/* Sections until the end of the scope. */
struct retour_srcu_guard {
	struct retour_srcu_struct *ssp;
	struct retour_srcu_bank *bank;
};

RETOUR_INLINE struct retour_srcu_guard retour_srcu_guard_begin_(struct retour_srcu_struct *ssp)
{
	struct retour_srcu_guard guard = { ssp, retour_srcu_read_lock_fast(ssp) };

	return guard;
}

RETOUR_INLINE void retour_srcu_guard_end_(const struct retour_srcu_guard *guard)
{
	retour_srcu_read_unlock_fast(guard->ssp, guard->bank);
}

RETOUR_INLINE struct retour_srcu_guard retour_srcu_guard_begin_notrace_(struct retour_srcu_struct *ssp)
{
	struct retour_srcu_guard guard = { ssp, retour_srcu_read_lock_fast_notrace(ssp) };

	return guard;
}

RETOUR_INLINE void retour_srcu_guard_end_notrace_(const struct retour_srcu_guard *guard)
{
	retour_srcu_read_unlock_fast_notrace(guard->ssp, guard->bank);
}

#define RETOUR_SRCU_JOIN__(a, b) a##b
#define RETOUR_SRCU_JOIN_(a, b) RETOUR_SRCU_JOIN__(a, b)
#define RETOUR_SRCU_GUARD_(ssp, kind)                                          \
	__attribute__((cleanup(retour_srcu_guard_end_##kind), unused))         \
	struct retour_srcu_guard RETOUR_SRCU_JOIN_(retour_srcu_guard_, __COUNTER__) = \
		retour_srcu_guard_begin_##kind(ssp)
#define retour_guard_srcu_fast(ssp) RETOUR_SRCU_GUARD_(ssp, )
#define retour_guard_srcu_fast_notrace(ssp) RETOUR_SRCU_GUARD_(ssp, notrace_)
#define retour_guard_rcu_tasks_trace() RETOUR_SRCU_GUARD_(&retour_rcu_tasks_trace_srcu_struct, )

#ifdef __cplusplus
}
#endif
#endif
