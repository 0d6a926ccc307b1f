/* SPDX-License-Identifier: MIT */
/*
 * A sequence word: the kernel's rcu_seq, with sleep and wake-up.
 *
 * It counts in steps of 4.  The lower of the low bits is set while somebody,
 * who thereby holds it as a lock, runs what is counted, the other one when
 * somebody sleeps until the run has ended.  A cookie is the value at which a
 * whole run that began after the cookie was taken has ended.
 */
#ifndef RETOUR_RCU_SEQ_H
#define RETOUR_RCU_SEQ_H

#include <limits.h>

#include "rcu/mutant.h"
#include "rcu/sys.h"
#include "retour/rcu_types.h"

#define SEQ_STATE_MASK 3UL
#define SEQ_RUNNING 1UL
#define SEQ_SLEEPERS 2UL
#define SEQ_STEP 4UL

static inline unsigned long seq_read(const struct retour_rcu_seq *seq)
{
	/* (B) pairs with (C): what was done before the run ended. */
	return __atomic_load_n(&seq->value, __ATOMIC_ACQUIRE);
}

static inline unsigned long seq_snap(const struct retour_rcu_seq *seq)
{
	unsigned long seen;

	/* (A) pairs with (L), (E): what the caller did precedes the runs that count. */
	full_fence();
	retour_torture_delay();
	seen = seq_read(seq);
	/* A run that is under way may have begun too early. */
	return (seen & ~SEQ_STATE_MASK) + (seen & SEQ_RUNNING && !mutant(snap_early) ? 2 * SEQ_STEP : SEQ_STEP);
}

static inline bool seq_done(const struct retour_rcu_seq *seq, unsigned long cookie)
{
	return cookie == RETOUR_RCU_GET_STATE_COMPLETED || (long)(seq_read(seq) - cookie) >= 0;
}

/* Makes *wanted at least the cookie. */
static inline void seq_want(unsigned long *wanted, unsigned long cookie)
{
	unsigned long old = __atomic_load_n(wanted, __ATOMIC_RELAXED);

	/* (m) pairs with (n): what came before the request. */
	while ((long)(cookie - old) > 0 &&
	       !__atomic_compare_exchange_n(wanted, &old, cookie, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

/* Begins a run if none is under way; at receives the value that seq_end() needs. */
static inline bool seq_begin(struct retour_rcu_seq *seq, unsigned long *at)
{
	unsigned long idle = seq_read(seq) & ~SEQ_RUNNING;

	*at = idle & ~SEQ_STATE_MASK;
	/* (B), after the run before; and the fence of (L). */
	return __atomic_compare_exchange_n(&seq->value, &idle, idle + SEQ_RUNNING, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/* Sequences are futexes by their low half. */
static inline unsigned int *seq_futex(struct retour_rcu_seq *seq)
{
	return (unsigned int *)&seq->value + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

/* False: this is a child forked under the run's feet, which counts for nothing. */
static inline bool seq_end(struct retour_rcu_seq *seq, unsigned long at)
{
	unsigned long seen = __atomic_load_n(&seq->value, __ATOMIC_RELAXED);

	do {
		if ((seen & ~SEQ_SLEEPERS) != at + SEQ_RUNNING)
			return false;
		/* (C) pairs with (B). */
	} while (!__atomic_compare_exchange_n(&seq->value, &seen, at + SEQ_STEP, false, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	retour_torture_delay();
	if (seen & SEQ_SLEEPERS && !mutant(no_gp_wake))
		futex_wake(seq_futex(seq), INT_MAX);
	return true;
}

/*
 * Sleeps until the run is over that is, or comes next, when the value is
 * `seen`, at most timeout_ns (0: no limit); may return early.
 */
static inline void seq_sleep(struct retour_rcu_seq *seq, unsigned long seen, uint64_t timeout_ns)
{
	unsigned long value = __atomic_load_n(&seq->value, __ATOMIC_RELAXED);

	if ((value ^ seen) & ~SEQ_SLEEPERS)
		return;
	retour_torture_delay();
	if (!(value & SEQ_SLEEPERS) && !mutant(no_sleepers_flag) &&
	    !__atomic_compare_exchange_n(&seq->value, &value, value | SEQ_SLEEPERS, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return;
	retour_torture_delay();
	futex_wait(seq_futex(seq), (unsigned int)(mutant(no_sleepers_flag) ? value : value | SEQ_SLEEPERS),
		   timeout_ns);
}

/* In a forked child: nobody runs, nobody sleeps. */
static inline void seq_after_fork(struct retour_rcu_seq *seq)
{
	seq->value &= ~SEQ_STATE_MASK;
}

#endif
