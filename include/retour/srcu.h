/* SPDX-License-Identifier: MIT */
/*
 * retour_srcu ("SRCU-fast"): RCU domains whose readers count in per-CPU
 * counters and hold a cookie.
 *
 * The price of a grace period grows with CPUs, not with threads.  Readers may
 * block, where all updaters of the domain can bear it.  A cookie may be handed
 * to another thread (down/up).  Readers need no registration and may run in
 * signal handlers from the first call.  The child of a vfork() must not be one,
 * nor its handlers: the kernel does not restart sequences in it, and what they
 * count may be lost.  See docs/rcu.md for the algorithm.
 *
 * Counters know no threads: a report of a stall says how many sections a grace
 * period waits for, but whose they are only in debug builds; only there are
 * sections that a thread leaves open ended, and reported, at its end, otherwise
 * they are waited for; no priority is lent to readers.  Where that matters,
 * there are retour_rcu and retour_rcu_tasks_trace.  What code of a debug build
 * begins must be ended by such code.
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

/* Banks come in pairs. */
RETOUR_INLINE unsigned int retour_srcu_bank_index_(const struct retour_srcu_bank *bank)
{
	return (unsigned long)bank / sizeof(*bank) % 2;
}

struct retour_srcu_area;

enum retour_srcu_flavour { RETOUR_SRCU_FAST, RETOUR_SRCU_FAST_UPDOWN };

struct retour_srcu_struct {
	/* read by readers */
	struct retour_srcu_bank *current_bank[2];	/* of CPU 0, by flavour of reader; NULL: the slow path */
	unsigned int waiting;
	unsigned int sleeping;			/* futex: 1 while the leader sleeps */
	struct retour_srcu_bank *draining;
	/* the rest */
	struct retour_srcu_area *area;
	unsigned int flavour;			/* enum retour_srcu_flavour */
	unsigned int has_readers;		/* somebody has read */
	unsigned int misused_by;		/* tid of the first reader of another flavour */
	const void *misused_at;			/* its call, until it is reported */
	struct retour_rcu_domain domain __attribute__((aligned(64)));
};

extern RETOUR_API const struct retour_rcu_ops retour_srcu_ops;

#define RETOUR_SRCU_INIT_OPS_(ops, name, flavour) \
	{ { NULL, NULL }, 0, 0, NULL, NULL, flavour, 0, 0, NULL, RETOUR_RCU_DOMAIN_INIT(ops, name) }
#define RETOUR_SRCU_INIT_(name, flavour) RETOUR_SRCU_INIT_OPS_(&retour_srcu_ops, name, flavour)

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
	struct retour_srcu_defined_##name

/*
 * A domain that is ready from the start.  Its object may be closed, by no
 * callback of it, when nobody uses it any more, after a retour_srcu_barrier().
 */
#define RETOUR_DEFINE_SRCU_FAST(name) RETOUR_DEFINE_SRCU_(, name, RETOUR_SRCU_FAST)
#define RETOUR_DEFINE_STATIC_SRCU_FAST(name) RETOUR_DEFINE_SRCU_(static, name, RETOUR_SRCU_FAST)
#define RETOUR_DEFINE_SRCU_FAST_UPDOWN(name) RETOUR_DEFINE_SRCU_(, name, RETOUR_SRCU_FAST_UPDOWN)
#define RETOUR_DEFINE_STATIC_SRCU_FAST_UPDOWN(name) RETOUR_DEFINE_SRCU_(static, name, RETOUR_SRCU_FAST_UPDOWN)

/*
 * Prepares *ssp, whatever is in it.  0, -ENOMEM, or -EINVAL: no such flavour.
 * The name is not copied.  Ends with retour_cleanup_srcu_struct().
 */
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
RETOUR_SLOW_API struct retour_srcu_bank *retour_srcu_read_lock_slow(struct retour_srcu_struct *ssp);
RETOUR_SLOW_API struct retour_srcu_bank *retour_srcu_read_lock_slow_notrace(struct retour_srcu_struct *ssp);
RETOUR_SLOW_API struct retour_srcu_bank *retour_srcu_read_lock_slow_updown(struct retour_srcu_struct *ssp);
RETOUR_SLOW_API struct retour_srcu_bank *retour_srcu_read_lock_slow_updown_notrace(struct retour_srcu_struct *ssp);
RETOUR_SLOW_API void retour_srcu_read_unlock_atomic(struct retour_srcu_bank *bank);
RETOUR_SLOW_API void retour_srcu_read_unlock_slow(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank);
RETOUR_SLOW_API void retour_srcu_read_unlock_slow_notrace(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank);

/* The checks of code compiled with RETOUR_RCU_DEBUG. */
RETOUR_API void retour_srcu_debug_flavour(struct retour_srcu_struct *ssp, enum retour_srcu_flavour flavour);
RETOUR_API void retour_srcu_debug_up(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank);
RETOUR_API bool retour_srcu_debug_held(const struct retour_srcu_struct *ssp);

/* Readers of another flavour than the domain's find no bank; the slow path counts them and notes who they are. */
RETOUR_INLINE struct retour_srcu_bank *
retour_srcu_read_lock_(struct retour_srcu_struct *ssp, enum retour_srcu_flavour flavour,
		       struct retour_srcu_bank *(*slow)(struct retour_srcu_struct *))
{
	/* (R) pairs with (Y): the pointer before the counters. */
	struct retour_srcu_bank *bank = __atomic_load_n(&ssp->current_bank[flavour], __ATOMIC_CONSUME);

	retour_torture_delay();
	if (retour_unlikely(!bank) || retour_unlikely(!retour_percpu_inc_(&bank->lock)))
		bank = slow(ssp);
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

/* Begins a section; the cookie ends it.  No hook point is behind this pair.  Async-signal-safe. */
RETOUR_INLINE struct retour_srcu_bank *retour_srcu_read_lock_fast_notrace(struct retour_srcu_struct *ssp)
{
	return retour_srcu_read_lock_(ssp, RETOUR_SRCU_FAST, retour_srcu_read_lock_slow_notrace);
}

/* Ends a section; at most one system call.  Async-signal-safe. */
RETOUR_INLINE void retour_srcu_read_unlock_fast_notrace(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
	retour_srcu_read_unlock_(ssp, bank, retour_srcu_read_unlock_slow_notrace);
}

/* As the _notrace pair, with hook points on the slow path and the checks of a debug build. */
RETOUR_INLINE struct retour_srcu_bank *retour_srcu_read_lock_fast(struct retour_srcu_struct *ssp)
{
	struct retour_srcu_bank *bank;

#ifdef RETOUR_RCU_DEBUG
	retour_srcu_debug_flavour(ssp, RETOUR_SRCU_FAST);
#endif
	bank = retour_srcu_read_lock_(ssp, RETOUR_SRCU_FAST, retour_srcu_read_lock_slow);
#ifdef RETOUR_RCU_DEBUG
	retour_rcu_debug_lock(&ssp->domain, bank);
#endif
	return bank;
}

RETOUR_INLINE void retour_srcu_read_unlock_fast(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
#ifdef RETOUR_RCU_DEBUG
	retour_srcu_debug_flavour(ssp, RETOUR_SRCU_FAST);
	retour_rcu_debug_unlock(&ssp->domain, bank);
#endif
	retour_srcu_read_unlock_(ssp, bank, retour_srcu_read_unlock_slow);
}

/* The two pairs for domains defined with ..._UPDOWN, where also down and up count. */
RETOUR_INLINE struct retour_srcu_bank *retour_srcu_read_lock_fast_updown_notrace(struct retour_srcu_struct *ssp)
{
	return retour_srcu_read_lock_(ssp, RETOUR_SRCU_FAST_UPDOWN, retour_srcu_read_lock_slow_updown_notrace);
}

RETOUR_INLINE void retour_srcu_read_unlock_fast_updown_notrace(struct retour_srcu_struct *ssp,
							       struct retour_srcu_bank *bank)
{
	retour_srcu_read_unlock_(ssp, bank, retour_srcu_read_unlock_slow_notrace);
}

RETOUR_INLINE struct retour_srcu_bank *retour_srcu_read_lock_fast_updown(struct retour_srcu_struct *ssp)
{
	struct retour_srcu_bank *bank;

#ifdef RETOUR_RCU_DEBUG
	retour_srcu_debug_flavour(ssp, RETOUR_SRCU_FAST_UPDOWN);
#endif
	bank = retour_srcu_read_lock_(ssp, RETOUR_SRCU_FAST_UPDOWN, retour_srcu_read_lock_slow_updown);
#ifdef RETOUR_RCU_DEBUG
	retour_rcu_debug_lock(&ssp->domain, bank);
#endif
	return bank;
}

RETOUR_INLINE void retour_srcu_read_unlock_fast_updown(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
#ifdef RETOUR_RCU_DEBUG
	retour_srcu_debug_flavour(ssp, RETOUR_SRCU_FAST_UPDOWN);
	retour_rcu_debug_unlock(&ssp->domain, bank);
#endif
	retour_srcu_read_unlock_(ssp, bank, retour_srcu_read_unlock_slow);
}

/*
 * The form for sections that begin in one thread and end in another; the
 * hand-over itself must order the two.  Domains defined with ..._UPDOWN.
 * There is no guard: such a section does not end with a scope.
 */
RETOUR_INLINE struct retour_srcu_bank *retour_srcu_down_read_fast_notrace(struct retour_srcu_struct *ssp)
{
	return retour_srcu_read_lock_fast_updown_notrace(ssp);
}

RETOUR_INLINE void retour_srcu_up_read_fast_notrace(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
	retour_srcu_read_unlock_fast_updown_notrace(ssp, bank);
}

RETOUR_INLINE struct retour_srcu_bank *retour_srcu_down_read_fast(struct retour_srcu_struct *ssp)
{
#ifdef RETOUR_RCU_DEBUG
	retour_srcu_debug_flavour(ssp, RETOUR_SRCU_FAST_UPDOWN);
#endif
	return retour_srcu_read_lock_(ssp, RETOUR_SRCU_FAST_UPDOWN, retour_srcu_read_lock_slow_updown);
}

RETOUR_INLINE void retour_srcu_up_read_fast(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
#ifdef RETOUR_RCU_DEBUG
	retour_srcu_debug_up(ssp, bank);
#endif
	retour_srcu_read_unlock_(ssp, bank, retour_srcu_read_unlock_slow);
}

/* Is anybody in a section of this domain?  Async-signal-safe. */
RETOUR_API bool retour_srcu_readers_active(const struct retour_srcu_struct *ssp);

/*
 * Is the calling thread in a section of this domain?  For assertions: true if
 * it is.  "No" is exact only in debug builds, which keep a table of all
 * sections but down/up and _notrace ones; otherwise counters do not tell
 * threads apart, and it means that nobody is.  Async-signal-safe.
 */
RETOUR_INLINE bool retour_srcu_read_lock_held(const struct retour_srcu_struct *ssp)
{
#ifdef RETOUR_RCU_DEBUG
	return retour_srcu_debug_held(ssp);
#else
	return retour_srcu_readers_active(ssp);
#endif
}

/* As in <retour/rcu.h>. */
#define retour_srcu_dereference_check(p, ssp, condition) \
	retour_rcu_dereference_if_(p, (condition) || retour_srcu_read_lock_held(ssp), &(ssp)->domain)
#define retour_srcu_dereference(p, ssp) retour_srcu_dereference_check(p, ssp, false)
#define retour_srcu_dereference_notrace(p, ssp) retour_rcu_dereference_raw_notrace(p)

/* Waits until all sections that have begun are over. */
RETOUR_API void retour_synchronize_srcu(struct retour_srcu_struct *ssp);
RETOUR_API void retour_synchronize_srcu_expedited(struct retour_srcu_struct *ssp);

/* The three below for callers that are no C, after retour_rcu_start_worker(). */
RETOUR_SLOW_API unsigned long retour_start_poll_synchronize_srcu_extern(struct retour_srcu_struct *ssp);
RETOUR_SLOW_API unsigned long retour_start_poll_synchronize_srcu_expedited_extern(struct retour_srcu_struct *ssp);
RETOUR_SLOW_API void retour_call_srcu_extern(struct retour_srcu_struct *ssp, struct retour_rcu_head *head,
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
RETOUR_API void retour_cond_synchronize_srcu_expedited(struct retour_srcu_struct *ssp, unsigned long cookie);

RETOUR_INLINE unsigned long retour_start_poll_synchronize_srcu(struct retour_srcu_struct *ssp)
{
	retour_rcu_worker_at_load();
	return retour_start_poll_synchronize_srcu_extern(ssp);
}

RETOUR_INLINE unsigned long retour_start_poll_synchronize_srcu_expedited(struct retour_srcu_struct *ssp)
{
	retour_rcu_worker_at_load();
	return retour_start_poll_synchronize_srcu_expedited_extern(ssp);
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

RETOUR_INLINE void retour_start_poll_synchronize_srcu_expedited_full(struct retour_srcu_struct *ssp,
								     struct retour_rcu_gp_oldstate *state)
{
	state->seq = retour_start_poll_synchronize_srcu_expedited(ssp);
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

RETOUR_INLINE void retour_cond_synchronize_srcu_expedited_full(struct retour_srcu_struct *ssp,
								const struct retour_rcu_gp_oldstate *state)
{
	retour_cond_synchronize_srcu_expedited(ssp, state->seq);
}

/* Sections until the end of the scope. */
struct retour_srcu_guard {
	struct retour_srcu_struct *ssp;
	struct retour_srcu_bank *bank;
};

#define RETOUR_SRCU_GUARD_FUNCTIONS_(kind)                                     \
	RETOUR_INLINE struct retour_srcu_guard retour_srcu_guard_begin_##kind(struct retour_srcu_struct *ssp) \
	{                                                                      \
		struct retour_srcu_guard guard = { ssp, retour_srcu_read_lock_##kind(ssp) }; \
									       \
		return guard;                                                  \
	}                                                                      \
	RETOUR_INLINE void retour_srcu_guard_end_##kind(const struct retour_srcu_guard *guard) \
	{                                                                      \
		retour_srcu_read_unlock_##kind(guard->ssp, guard->bank);       \
	}
RETOUR_SRCU_GUARD_FUNCTIONS_(fast)
RETOUR_SRCU_GUARD_FUNCTIONS_(fast_notrace)
RETOUR_SRCU_GUARD_FUNCTIONS_(fast_updown)
RETOUR_SRCU_GUARD_FUNCTIONS_(fast_updown_notrace)

#define RETOUR_SRCU_GUARD_(ssp, kind)                                          \
	__attribute__((cleanup(retour_srcu_guard_end_##kind), unused))         \
	struct retour_srcu_guard RETOUR_JOIN_(retour_srcu_guard_, __COUNTER__) = \
		retour_srcu_guard_begin_##kind(ssp)
#define retour_guard_srcu_fast(ssp) RETOUR_SRCU_GUARD_(ssp, fast)
#define retour_guard_srcu_fast_notrace(ssp) RETOUR_SRCU_GUARD_(ssp, fast_notrace)
#define retour_guard_srcu_fast_updown(ssp) RETOUR_SRCU_GUARD_(ssp, fast_updown)
#define retour_guard_srcu_fast_updown_notrace(ssp) RETOUR_SRCU_GUARD_(ssp, fast_updown_notrace)

#ifdef __cplusplus
}
#endif

#include "rcu_tasks_trace.h"

#endif
