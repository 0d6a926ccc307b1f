/* SPDX-License-Identifier: MIT */
/*
 * A sequence word: the kernel's rcu_seq, with sleep and wake-up.
 *
 * It counts in steps of 4; the low bits are 0 when idle and 1 while somebody,
 * who thereby holds it as a lock, runs what is counted.  A cookie is the value
 * at which a whole run that began after the cookie was taken has ended.
 */
#ifndef RETOUR_RCU_SEQ_H
#define RETOUR_RCU_SEQ_H

#include <limits.h>

#include "rcu/mutant.h"
#include "rcu/sys.h"
#include "retour/rcu_types.h"

#define SEQ_STATE_MASK 3UL
#define SEQ_RUNNING 1UL
#define SEQ_STEP 4UL

static inline unsigned long seq_read(const struct retour_rcu_seq *seq)
{
	/* (B) pairs with (C): what was done before the run ended. */
	return __atomic_load_n(&seq->value, __ATOMIC_ACQUIRE);
}

static inline unsigned long seq_snap(const struct retour_rcu_seq *seq)
{
	/* (A) pairs with (L), (E): what the caller did precedes the runs that count. */
	full_fence();
	retour_torture_delay();
	if (mutant(snap_early))
		return (seq_read(seq) & ~SEQ_STATE_MASK) + SEQ_STEP;
	return (seq_read(seq) + SEQ_STEP + SEQ_STATE_MASK) & ~SEQ_STATE_MASK;
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
	unsigned long idle = seq_read(seq) & ~SEQ_STATE_MASK;

	*at = idle;
	/* (B), after the run before; and the fence of (L). */
	return __atomic_compare_exchange_n(&seq->value, &idle, idle + SEQ_RUNNING, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/* Sequences are futexes by their low half. */
static inline unsigned int *seq_futex(struct retour_rcu_seq *seq)
{
	return (unsigned int *)&seq->value + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

static inline void seq_end(struct retour_rcu_seq *seq, unsigned long at)
{
	unsigned long running = at + SEQ_RUNNING;

	/* (C) pairs with (B).  It fails in a child forked under our feet: then this run counts for nothing. */
	__atomic_compare_exchange_n(&seq->value, &running, at + SEQ_STEP, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
	/* (D) pairs with (F): the new value before sleepers. */
	full_fence();
	retour_torture_delay();
	if (__atomic_load_n(&seq->sleepers, __ATOMIC_RELAXED) && !mutant(no_gp_wake))
		futex_wake(seq_futex(seq), INT_MAX);
}

/* Sleeps until the value is not `seen` any more; may return early. */
static inline void seq_sleep(struct retour_rcu_seq *seq, unsigned long seen)
{
	__atomic_fetch_add(&seq->sleepers, 1, __ATOMIC_RELAXED);
	/* (F) pairs with (D): sleepers before the value. */
	full_fence();
	retour_torture_delay();
	if (__atomic_load_n(&seq->value, __ATOMIC_RELAXED) == seen)
		futex_wait(seq_futex(seq), (unsigned int)seen, 0);
	__atomic_fetch_sub(&seq->sleepers, 1, __ATOMIC_RELAXED);
}

/* In a forked child: nobody runs, nobody sleeps. */
static inline void seq_after_fork(struct retour_rcu_seq *seq)
{
	seq->value &= ~SEQ_STATE_MASK;
	seq->sleepers = 0;
}

#endif
