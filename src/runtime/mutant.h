/* SPDX-License-Identifier: MIT */
/*
 * Deliberate bugs of the runtime, to show that its tests find them: as
 * rcu/mutant.h, for the files of this folder.
 */
#ifndef RETOUR_RUNTIME_MUTANT_H
#define RETOUR_RUNTIME_MUTANT_H

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
};

#ifndef RETOUR_MUTANT
#define RETOUR_MUTANT none
#endif
#define MUTANT_JOIN_(a, b) a##b
#define MUTANT_JOIN(a, b) MUTANT_JOIN_(a, b)
#define mutant(name) (MUTANT_JOIN(MUTANT_, RETOUR_MUTANT) == MUTANT_##name)

#endif
