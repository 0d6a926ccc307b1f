/* SPDX-License-Identifier: MIT */
/*
 * How far a chain that the kernel walked by frame pointers can be believed.
 *
 * The kernel follows rbp whatever the code keeps in it: a function without a
 * frame pointer loses its caller, or leads into garbage, and nothing in the
 * chain shows it.  The unwind tables do: they say at every pc where the caller's
 * frame is, and where the stack ends.  What they contradict is cut off.
 */
#ifndef RETOUR_COLLECT_FRAME_CHAIN_H
#define RETOUR_COLLECT_FRAME_CHAIN_H

#include "base/reason.h"
#include "collect/dso.h"
#include "perfdata/process.h"

#include <stddef.h>
#include <stdint.h>

struct frame_chain {
	struct dso_store *dsos;
	struct process_tracker *processes;
	size_t limit;		/* the most frames that the kernel walks */
};

/* Shortens the chain, innermost first, to what is right; the reason it ends there, REASON_NONE: it is complete. */
enum reason frame_chain_check(const struct frame_chain *fc, uint32_t pid, const uint64_t *ips, size_t *n);

#endif
