/* SPDX-License-Identifier: MIT */
/* Deliberate bugs of the runtime, to show that its tests find them; see base/mutant.h. */
#ifndef RETOUR_RUNTIME_MUTANT_H
#define RETOUR_RUNTIME_MUTANT_H

#include "base/mutant.h"

enum retour_runtime_mutant {
	MUTANT_none,
	MUTANT_patch_no_skip,		/* the rest of an instruction is written while it is executed */
	MUTANT_patch_bytewise,		/* its beginning, in two stores */
	MUTANT_patch_no_sync,		/* other CPUs are not told to fetch it anew */
	MUTANT_patch_over_foreign,	/* a debugger's breakpoint is overwritten */
	MUTANT_sites_no_fork_lock,	/* a child is forked with sites in pieces */
	MUTANT_probes_no_grace_period,	/* arrays of probes are freed at once */
	MUTANT_sync_without_tasks_trace,
	MUTANT_sync_without_srcu,
	MUTANT_ring_no_compare,		/* a reservation does not look whether another one came between */
	MUTANT_ring_no_sequence,	/* a step may be interrupted, and go on elsewhere */
	MUTANT_ring_no_lock,		/* rings of the fallback are taken without their lock */
	MUTANT_ring_busy_published,	/* the reader passes records that are being written */
	MUTANT_ring_tail_early,		/* room is given back before it is read */
	MUTANT_ring_tail_trusted,	/* a tail ahead of the ring makes room */
	MUTANT_ring_no_evict,		/* overwriting does not say so first */
	MUTANT_ring_stale_end,		/* room is made for an end that may have been passed since */
	MUTANT_ring_evict_busy,		/* records that are being written are overwritten */
	MUTANT_ring_no_recheck,		/* the reader does not look whether its copy was overwritten */
	MUTANT_ring_lost_uncounted,	/* refused records are not counted */
	MUTANT_ring_dead_block,		/* nobody buries dead writers' records */
	MUTANT_ring_bury_living,	/* living writers' records are taken for dead ones' */
	MUTANT_ring_bury_blindly,	/* the reader does not look whether what it buries is a record still */
	MUTANT_ring_writer_buries_blindly,	/* writers neither */
	MUTANT_ring_no_wake,		/* commit does not wake */
	MUTANT_ring_no_last_look,	/* the reader sleeps without looking again */
	MUTANT_unwind_not_busy,		/* handlers see entries in pieces */
	MUTANT_unwind_begin_blindly,	/* an entry that a handler has begun is begun again */
	MUTANT_unwind_no_last_look,	/* what a handler asked as an entry ended is left */
	MUTANT_unwind_stale_rules,	/* cached rules are believed whatever object is there */
	MUTANT_unwind_no_processing,	/* deliveries are not counted */
	MUTANT_unwind_no_wake,		/* who removes an event is not woken */
	MUTANT_unwind_task_no_wait,	/* a task-bound event is freed although its thread may call it */
	MUTANT_unwind_cancel_no_wait,	/* cancel returns with callbacks in flight */
	MUTANT_agent_no_grace_period,	/* a recording is freed under handlers of its clocks */
	MUTANT_agent_no_probe_wait,	/* a recording is freed under its tracepoints */
};

#endif
