/* SPDX-License-Identifier: MIT */
/*
 * For users of liburcu's memb flavour: its names, on retour_rcu.
 *
 * Replace <urcu/urcu-memb.h> by this header and link with libretour instead of
 * liburcu-memb.  Threads need no registration: the calls for it do nothing.
 * docs/rcu-from-liburcu.md maps every call.
 */
#ifndef RETOUR_URCU_MEMB_H
#define RETOUR_URCU_MEMB_H

#include "rcu.h"

#ifdef __cplusplus
extern "C" {
#endif

#define rcu_head retour_rcu_head

struct urcu_gp_poll_state {
	unsigned long cookie;
};

#define urcu_memb_init() ((void)0)
#define urcu_memb_register_thread() ((void)0)
#define urcu_memb_unregister_thread() ((void)0)
#define urcu_memb_read_lock() retour_rcu_read_lock()
#define urcu_memb_read_unlock() retour_rcu_read_unlock()
#define urcu_memb_read_ongoing() retour_rcu_read_lock_held()
#define urcu_memb_synchronize_rcu() retour_synchronize_rcu()
#define urcu_memb_call_rcu(head, func) retour_call_rcu(head, func)
#define urcu_memb_barrier() retour_rcu_barrier()

/* Fork needs no help. */
#define urcu_memb_before_fork() ((void)0)
#define urcu_memb_after_fork_parent() ((void)0)
#define urcu_memb_after_fork_child() ((void)0)
#define urcu_memb_call_rcu_before_fork() ((void)0)
#define urcu_memb_call_rcu_after_fork_parent() ((void)0)
#define urcu_memb_call_rcu_after_fork_child() ((void)0)

RETOUR_INLINE struct urcu_gp_poll_state urcu_memb_start_poll_synchronize_rcu(void)
{
	struct urcu_gp_poll_state state = { retour_start_poll_synchronize_rcu() };

	return state;
}

RETOUR_INLINE bool urcu_memb_poll_state_synchronize_rcu(struct urcu_gp_poll_state state)
{
	return retour_poll_state_synchronize_rcu(state.cookie);
}

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

/* The names without flavour, as <urcu.h> gives them. */
#ifndef URCU_API_MAP
#define rcu_init() urcu_memb_init()
#define rcu_register_thread() urcu_memb_register_thread()
#define rcu_unregister_thread() urcu_memb_unregister_thread()
#define rcu_read_lock() urcu_memb_read_lock()
#define rcu_read_unlock() urcu_memb_read_unlock()
#define rcu_read_ongoing() urcu_memb_read_ongoing()
#define synchronize_rcu() urcu_memb_synchronize_rcu()
#define call_rcu(head, func) urcu_memb_call_rcu(head, func)
#define rcu_barrier() urcu_memb_barrier()
#define start_poll_synchronize_rcu() urcu_memb_start_poll_synchronize_rcu()
#define poll_state_synchronize_rcu(state) urcu_memb_poll_state_synchronize_rcu(state)
#endif

#ifdef __cplusplus
}
#endif
#endif
