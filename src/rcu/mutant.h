/* SPDX-License-Identifier: MIT */
/* Deliberate bugs of RCU, to show that its tests find them; see base/mutant.h. */
#ifndef RETOUR_RCU_MUTANT_H
#define RETOUR_RCU_MUTANT_H

#include "base/mutant.h"

enum retour_mutant {
	MUTANT_none,
	MUTANT_no_membarrier,		/* (M): old readers are not made visible */
	MUTANT_no_late_membarrier,	/* (O): a lost wake-up */
	MUTANT_no_rescan,		/* readers are looked at before (M) only */
	MUTANT_report_trusted,		/* a report from before (M) counts */
	MUTANT_no_claim_fence,		/* (G) */
	MUTANT_hooks_nest,		/* the loop of deferred work */
	MUTANT_late_report,		/* special is taken after the hook */
	MUTANT_no_last_look,		/* (h): a report between look and sleep does not wake */
	MUTANT_no_wake,			/* the report does not give the futex up */
	MUTANT_snap_early,		/* a running grace period counts */
	MUTANT_no_gp_wake,		/* sleepers are not woken at the end */
	MUTANT_no_sleepers_flag,	/* who sleeps does not say so */
	MUTANT_srcu_no_membarrier,	/* (X) */
	MUTANT_srcu_unused_membarrier,	/* (X) although nobody ever read */
	MUTANT_srcu_single_phase,	/* only the bank left by the flip is drained */
	MUTANT_srcu_lock_first,		/* L is summed before U */
	MUTANT_srcu_no_flip,		/* starvation */
	MUTANT_srcu_no_wake,		/* unlock does not wake the leader */
	MUTANT_srcu_wrong_cookie,	/* the cookie of the bank in which the section is not counted */
	MUTANT_rseq_stays,		/* registered when the thread's memory goes */
	MUTANT_early_callback,		/* no grace period before a batch */
	MUTANT_lost_callback,		/* the worker sleeps without looking again */
	MUTANT_lost_poll,		/* the worker does not see that somebody polls */
	MUTANT_lost_worker,		/* the starter does not see that a worker is wanted */
	MUTANT_barrier_early,		/* a round that runs counts for barrier */
	MUTANT_cleanup_under_leader,	/* the area is given back amid a grace period */
	MUTANT_fork_double_call,	/* batch is advanced after the call */
	MUTANT_fork_keeps_readers,	/* the child keeps its parent's other threads */
	MUTANT_fork_loses_claim,	/* a claim that a handler's fork interrupted is not the child's */
	MUTANT_fork_leader_waits,	/* the child's leader waits for its parent's other threads */
	MUTANT_no_boost,		/* readers are waited for without lending them a priority */
	MUTANT_dead_reader_hangs,	/* ESRCH is not looked at */
};

#endif
