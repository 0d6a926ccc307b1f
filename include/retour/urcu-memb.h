/* SPDX-License-Identifier: MIT */
/*
 * For users of liburcu's memb flavour: its names, on retour_rcu.
 *
 * Replace <urcu.h> or <urcu/urcu-memb.h> by this header, as the first of
 * liburcu's, and link with libretour instead of liburcu-memb.  The names
 * without urcu_memb_ are there, too, unless RETOUR_URCU_PREFIXED is defined.
 * Lists, queues and hash tables stay liburcu's (-lurcu-cds) and work on these
 * names.  Contracts are those of liburcu where docs/rcu-from-liburcu.md, which
 * maps every call, does not say otherwise.
 */
#ifndef RETOUR_URCU_MEMB_H
#define RETOUR_URCU_MEMB_H

#include <stdlib.h>

#include "rcu.h"

/* What liburcu's containers include finds its place taken. */
#if defined(_URCU_H) || defined(_URCU_CALL_RCU_H) || defined(_URCU_FLAVOR_H) || defined(_URCU_POINTER_H)
#error "<retour/urcu-memb.h> comes before liburcu's headers and instead of those of a flavour"
#endif
#define _URCU_H
#define _URCU_MEMB_H
#define _URCU_CALL_RCU_H
#define _URCU_DEFER_H
#define _URCU_FLAVOR_H
#define _URCU_POINTER_H
#define _URCU_POLL_H
/* Containers expect this of <urcu/pointer.h>. */
#if __has_include(<urcu/system.h>)
#include <urcu/system.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Of the same size and use; next and func are the library's. */
#define rcu_head retour_rcu_head

/* Readers and grace periods. */
#define urcu_memb_read_lock retour_rcu_read_lock
#define urcu_memb_read_unlock retour_rcu_read_unlock
#define _urcu_memb_read_lock retour_rcu_read_lock
#define _urcu_memb_read_unlock retour_rcu_read_unlock
#define _urcu_memb_read_ongoing urcu_memb_read_ongoing
#define urcu_memb_synchronize_rcu retour_synchronize_rcu
#define urcu_memb_call_rcu retour_call_rcu
#define urcu_memb_barrier retour_rcu_barrier

RETOUR_INLINE int urcu_memb_read_ongoing(void)
{
	return retour_rcu_read_lock_held();
}

/* Threads need no registration and announce no quiescent states: these do nothing. */
RETOUR_INLINE void urcu_memb_init(void)
{
}

#define urcu_memb_exit urcu_memb_init
#define urcu_memb_register_thread urcu_memb_init
#define urcu_memb_unregister_thread urcu_memb_init
#define urcu_memb_quiescent_state urcu_memb_init
#define _urcu_memb_quiescent_state urcu_memb_init
#define urcu_memb_thread_online urcu_memb_init
#define urcu_memb_thread_offline urcu_memb_init

/* Polled grace periods. */
struct urcu_gp_poll_state {
	unsigned long grace_period_id;
};

RETOUR_INLINE struct urcu_gp_poll_state urcu_memb_start_poll_synchronize_rcu(void)
{
	struct urcu_gp_poll_state state = { retour_start_poll_synchronize_rcu() };

	return state;
}

RETOUR_INLINE bool urcu_memb_poll_state_synchronize_rcu(struct urcu_gp_poll_state state)
{
	return retour_poll_state_synchronize_rcu(state.grace_period_id);
}

/* A callback with memory of its own. */
struct retour_urcu_deferred {
	struct retour_rcu_head head;
	void (*fct)(void *p);
	void *p;
};

RETOUR_INLINE void retour_urcu_run_deferred_(struct retour_rcu_head *head)
{
	struct retour_urcu_deferred *deferred = (struct retour_urcu_deferred *)head;

	deferred->fct(deferred->p);
	free(deferred);
}

/* Calls fct(p) after a grace period, in the library's thread; without memory at once, after waiting for one here. */
RETOUR_INLINE void urcu_memb_defer_rcu(void (*fct)(void *p), void *p)
{
	struct retour_urcu_deferred *deferred = (struct retour_urcu_deferred *)malloc(sizeof(*deferred));

	if (!deferred) {
		retour_synchronize_rcu();
		fct(p);
		return;
	}
	deferred->fct = fct;
	deferred->p = p;
	retour_call_rcu(&deferred->head, retour_urcu_run_deferred_);
}

RETOUR_INLINE int urcu_memb_defer_register_thread(void)
{
	return 0;
}

#define urcu_memb_defer_barrier retour_rcu_barrier
#define urcu_memb_defer_barrier_thread retour_rcu_barrier
#define urcu_memb_defer_unregister_thread retour_rcu_barrier
#define urcu_memb_defer_exit retour_rcu_barrier

/* The one worker of the domain is what all these calls mean, and what they return stands for it. */
struct call_rcu_data;

#define URCU_CALL_RCU_RT (1U << 0)

RETOUR_INLINE struct call_rcu_data *urcu_memb_get_call_rcu_data(void)
{
	return (struct call_rcu_data *)&retour_rcu_domain;
}

#define urcu_memb_get_default_call_rcu_data urcu_memb_get_call_rcu_data
#define urcu_memb_get_thread_call_rcu_data urcu_memb_get_call_rcu_data

RETOUR_INLINE struct call_rcu_data *urcu_memb_get_cpu_call_rcu_data(int cpu)
{
	(void)cpu;
	return urcu_memb_get_call_rcu_data();
}

RETOUR_INLINE struct call_rcu_data *urcu_memb_create_call_rcu_data(unsigned long flags, int cpu_affinity)
{
	(void)flags;
	(void)cpu_affinity;
	return urcu_memb_get_call_rcu_data();
}

RETOUR_INLINE int urcu_memb_create_all_cpu_call_rcu_data(unsigned long flags)
{
	(void)flags;
	return 0;
}

RETOUR_INLINE int urcu_memb_set_cpu_call_rcu_data(int cpu, struct call_rcu_data *worker)
{
	(void)cpu;
	(void)worker;
	return 0;
}

RETOUR_INLINE void urcu_memb_set_thread_call_rcu_data(struct call_rcu_data *worker)
{
	(void)worker;
}

/* As liburcu's, returns when the callbacks queued before were called or have another worker, here the same. */
#define urcu_memb_call_rcu_data_free urcu_memb_set_thread_call_rcu_data
#define urcu_memb_free_all_cpu_call_rcu_data urcu_memb_init

/* Fork needs no help, but for the hash table's worker, which registers these. */
struct urcu_atfork {
	void (*before_fork)(void *priv);
	void (*after_fork_parent)(void *priv);
	void (*after_fork_child)(void *priv);
	void *priv;
};

/* One for all files that include this header. */
__attribute__((weak)) struct urcu_atfork *retour_urcu_atfork;

RETOUR_INLINE void urcu_memb_register_rculfhash_atfork(struct urcu_atfork *atfork)
{
	__atomic_store_n(&retour_urcu_atfork, atfork, __ATOMIC_RELEASE);	/* (i) */
}

RETOUR_INLINE void urcu_memb_unregister_rculfhash_atfork(struct urcu_atfork *atfork)
{
	(void)atfork;	/* other tables use the same one */
}

#define RETOUR_URCU_ATFORK_(step)                                              \
	RETOUR_INLINE void urcu_memb_call_rcu_##step(void)                     \
	{                                                                      \
		/* (j) */                                                      \
		struct urcu_atfork *atfork = __atomic_load_n(&retour_urcu_atfork, __ATOMIC_ACQUIRE); \
									       \
		if (atfork)                                                    \
			atfork->step(atfork->priv);                            \
	}
RETOUR_URCU_ATFORK_(before_fork)
RETOUR_URCU_ATFORK_(after_fork_parent)
RETOUR_URCU_ATFORK_(after_fork_child)
#undef RETOUR_URCU_ATFORK_

/* Publication. */
#define rcu_dereference(p) retour_rcu_dereference_raw(p)
#define rcu_assign_pointer(p, v) retour_rcu_assign_pointer(p, v)
#define rcu_set_pointer(p, v) retour_rcu_assign_pointer(*(p), v)
/* (i) and (j). */
#define rcu_xchg_pointer(p, v) __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL)
/* (i) and (j). */
#define rcu_cmpxchg_pointer(p, old, fresh)                                     \
	(__extension__({                                                       \
		__typeof__(*(p)) retour_old_ = (old);                          \
		__atomic_compare_exchange_n(p, &retour_old_, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); \
		retour_old_;                                                   \
	}))

/* The table by which liburcu's hash table finds a flavour. */
struct rcu_flavor_struct {
	void (*read_lock)(void);
	void (*read_unlock)(void);
	int (*read_ongoing)(void);
	void (*read_quiescent_state)(void);
	void (*update_call_rcu)(struct rcu_head *head, void (*func)(struct rcu_head *head));
	void (*update_synchronize_rcu)(void);
	void (*update_defer_rcu)(void (*fct)(void *p), void *p);
	void (*thread_offline)(void);
	void (*thread_online)(void);
	void (*register_thread)(void);
	void (*unregister_thread)(void);
	void (*barrier)(void);
	void (*register_rculfhash_atfork)(struct urcu_atfork *atfork);
	void (*unregister_rculfhash_atfork)(struct urcu_atfork *atfork);
};

#define DEFINE_RCU_FLAVOR(name)                                                \
	const struct rcu_flavor_struct name = {                                \
		urcu_memb_read_lock, urcu_memb_read_unlock, urcu_memb_read_ongoing, urcu_memb_quiescent_state, \
		urcu_memb_call_rcu, urcu_memb_synchronize_rcu, urcu_memb_defer_rcu, urcu_memb_thread_offline, \
		urcu_memb_thread_online, urcu_memb_register_thread, urcu_memb_unregister_thread, urcu_memb_barrier, \
		urcu_memb_register_rculfhash_atfork, urcu_memb_unregister_rculfhash_atfork, \
	}
__attribute__((unused)) static DEFINE_RCU_FLAVOR(urcu_memb_flavor);

#ifndef RETOUR_URCU_PREFIXED
#ifndef URCU_API_MAP
#define URCU_API_MAP
#endif
#define rcu_read_lock urcu_memb_read_lock
#define _rcu_read_lock urcu_memb_read_lock
#define rcu_read_unlock urcu_memb_read_unlock
#define _rcu_read_unlock urcu_memb_read_unlock
#define rcu_read_ongoing urcu_memb_read_ongoing
#define _rcu_read_ongoing urcu_memb_read_ongoing
#define rcu_quiescent_state urcu_memb_quiescent_state
#define _rcu_quiescent_state urcu_memb_quiescent_state
#define rcu_thread_offline urcu_memb_thread_offline
#define rcu_thread_online urcu_memb_thread_online
#define rcu_register_thread urcu_memb_register_thread
#define rcu_unregister_thread urcu_memb_unregister_thread
#define rcu_init urcu_memb_init
#define rcu_exit urcu_memb_exit
#define synchronize_rcu urcu_memb_synchronize_rcu
#define start_poll_synchronize_rcu urcu_memb_start_poll_synchronize_rcu
#define poll_state_synchronize_rcu urcu_memb_poll_state_synchronize_rcu
#define call_rcu urcu_memb_call_rcu
#define rcu_barrier urcu_memb_barrier
#define get_cpu_call_rcu_data urcu_memb_get_cpu_call_rcu_data
#define create_call_rcu_data urcu_memb_create_call_rcu_data
#define set_cpu_call_rcu_data urcu_memb_set_cpu_call_rcu_data
#define get_default_call_rcu_data urcu_memb_get_default_call_rcu_data
#define get_call_rcu_data urcu_memb_get_call_rcu_data
#define get_thread_call_rcu_data urcu_memb_get_thread_call_rcu_data
#define set_thread_call_rcu_data urcu_memb_set_thread_call_rcu_data
#define create_all_cpu_call_rcu_data urcu_memb_create_all_cpu_call_rcu_data
#define free_all_cpu_call_rcu_data urcu_memb_free_all_cpu_call_rcu_data
#define call_rcu_data_free urcu_memb_call_rcu_data_free
#define call_rcu_before_fork urcu_memb_call_rcu_before_fork
#define call_rcu_after_fork_parent urcu_memb_call_rcu_after_fork_parent
#define call_rcu_after_fork_child urcu_memb_call_rcu_after_fork_child
#define defer_rcu urcu_memb_defer_rcu
#define rcu_defer_register_thread urcu_memb_defer_register_thread
#define rcu_defer_unregister_thread urcu_memb_defer_unregister_thread
#define rcu_defer_barrier urcu_memb_defer_barrier
#define rcu_defer_barrier_thread urcu_memb_defer_barrier_thread
#define rcu_defer_exit urcu_memb_defer_exit
#define rcu_flavor urcu_memb_flavor
#define urcu_register_rculfhash_atfork urcu_memb_register_rculfhash_atfork
#define urcu_unregister_rculfhash_atfork urcu_memb_unregister_rculfhash_atfork
#endif

#ifdef __cplusplus
}
#endif
#endif
