/* SPDX-License-Identifier: MIT */
/* Futexes that lend priorities; see boost.h. */
#include "rcu/boost.h"

#include "rcu/mutant.h"
#include "rcu/sys.h"

void boost_lock_for(unsigned int *boost, int tid, unsigned int waiters)
{
	unsigned int old = __atomic_load_n(boost, __ATOMIC_RELAXED);

	/* Not so after a late report of an earlier grace period, or when the record has changed hands. */
	if ((old & FUTEX_TID_MASK) != (unsigned int)tid || (old & waiters) != waiters)
		__atomic_compare_exchange_n(boost, &old, tid | waiters, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

int boost_sleep(unsigned int *boost, uint64_t timeout_ns)
{
	uint64_t until = now_ns(CLOCK_REALTIME) + timeout_ns;
	struct timespec timeout = { until / 1000000000, until % 1000000000 };
	unsigned int mine = sys_gettid();
	int err = mutant(no_boost) ? -ENOSYS : sys_futex(boost, FUTEX_LOCK_PI, 0, &timeout);

	/* (k) pairs with (l), which is the kernel's. */
	if (!err && !__atomic_compare_exchange_n(boost, &mine, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		sys_futex(boost, FUTEX_UNLOCK_PI, 0, NULL);
	return err;
}

void boost_give_up(unsigned int *boost, int tid)
{
	unsigned int mine = tid;

	/* Nobody sleeps where the word is as it was set.  (k) pairs with (l), which is the kernel's. */
	if (__atomic_compare_exchange_n(boost, &mine, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		return;
	/* The kernel ends the boost and wakes the leader; unless the futex is not held by priority inheritance. */
	if (sys_futex(boost, FUTEX_UNLOCK_PI, 0, NULL) == 0)
		return;
	__atomic_store_n(boost, 0, __ATOMIC_RELEASE);	/* (k) */
	futex_wake(boost, 1);
}
