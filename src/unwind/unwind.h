/* SPDX-License-Identifier: MIT */
/*
 * The pure unwinder: registers in, memory and mappings by callback, frames out.
 *
 * unwind_step_full() evaluates the whole CFI (all sixteen registers, every
 * expression) of one frame; it is what finishes a walk from a stack copy, and
 * the oracle for the compact rules of rule.h.
 */
#ifndef RETOUR_UNWIND_UNWIND_H
#define RETOUR_UNWIND_UNWIND_H

#include "base/reason.h"
#include "unwind/table.h"

#include <stdbool.h>
#include <stdint.h>

enum { UNWIND_RBX = 3, UNWIND_RBP = 6, UNWIND_RSP = 7, UNWIND_RIP = 16, UNWIND_N_REGS = 17 };	/* DWARF numbers */

struct unwind_regs {
	uint64_t value[UNWIND_N_REGS];
	uint32_t valid;		/* bit per register */
};

/* Reads one aligned or unaligned word of the target; false if it cannot be read. */
typedef bool (*unwind_read_fn)(void *arg, uint64_t address, uint64_t *ret);

/*
 * One frame up.  regs is the frame's state and becomes the caller's.  offset
 * is the file offset whose rule applies (already minus one for a return
 * address).  *signal_frame becomes whether the frame left was a signal frame.
 * REASON_NONE: went up.  Any other reason: no caller was found, and why.
 * *outermost: the frame has no caller and the chain is complete.
 */
enum reason unwind_step_full(struct unwind_table *table, uint64_t offset, struct unwind_regs *regs,
			     unwind_read_fn read, void *arg, bool *signal_frame, bool *outermost);

#endif
