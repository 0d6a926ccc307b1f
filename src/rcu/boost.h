/* SPDX-License-Identifier: MIT */
/*
 * The futexes through which leaders wait for one reader, and lend it their
 * priority: PI futexes that a leader locks on the reader's behalf, which is
 * rt_mutex_init_proxy_locked() in the kernel's rcu_boost().
 */
#ifndef RETOUR_RCU_BOOST_H
#define RETOUR_RCU_BOOST_H

#include <linux/futex.h>
#include <stdint.h>

/* Locked by the thread tid; waiters: FUTEX_WAITERS, so that it also wakes who does not lend, or 0. */
void boost_lock_for(unsigned int *boost, int tid, unsigned int waiters);

/*
 * Sleeps until the thread gives the futex up, lending it this thread's
 * priority.  0, or what FUTEX_LOCK_PI says, among it -ESRCH: the thread is dead.
 */
int boost_sleep(unsigned int *boost, uint64_t timeout_ns);

/* The thread tid, which is the calling one, gives the futex up; wakes who sleeps.  At most two system calls. */
void boost_give_up(unsigned int *boost, int tid);

#endif
