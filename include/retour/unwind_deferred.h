/* SPDX-License-Identifier: MIT */
/*
 * Call chains of the own process: walked at once, or deferred to the end of a
 * runtime section and then walked once for everybody who asked.
 *
 * The kernel's deferred unwinding (kernel/unwind/deferred.c) inside a process:
 * what there is a kernel entry is here a runtime section, an NMI is a signal
 * handler, and the return to user space is the end of the outermost section.
 * See docs/runtime.md.
 *
 * Functions are async-signal-safe, take no lock and leave errno alone, unless
 * they say otherwise.  A walk with all that is under it needs less than 2 KB of stack.
 */
#ifndef RETOUR_UNWIND_DEFERRED_H
#define RETOUR_UNWIND_DEFERRED_H

#include <stdint.h>

#include "rcu_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Walking now ---- */

/* Where a walk begins.  By the numbers of DWARF; 16 is the program counter. */
struct retour_unwind_regs {
	unsigned long reg[17];
};

/* How a chain ends; the numbers are those that recordings have. */
enum retour_unwind_end {
	RETOUR_UNWIND_COMPLETE = 0,		/* the last frame says that it is the outermost one */
	RETOUR_UNWIND_NO_INFO = 50,		/* the code has no table and keeps no frame pointer */
	RETOUR_UNWIND_PAGE_UNREADABLE = 51,	/* a word of the stack could not be read */
	RETOUR_UNWIND_BACKWARDS = 52,		/* a frame does not lie above the one it called */
	RETOUR_UNWIND_MAX_DEPTH = 53,		/* there was no room for the rest */
	RETOUR_UNWIND_BAD_FRAME_POINTER = 54,
	RETOUR_UNWIND_LOST_REGISTER = 58,	/* a table asks for a register that is not followed */
	RETOUR_UNWIND_ZERO_RETURN = 63,		/* a return address is zero where there should be a caller */
};

/* The registers that a signal interrupted; ucontext is the third argument of its handler. */
RETOUR_API void retour_unwind_regs_of_signal(struct retour_unwind_regs *regs, const void *ucontext);

/*
 * The chain from *regs outwards: the program counter, then return addresses,
 * at most max.  Returns how many, at least 1 if max is; *end, unless NULL,
 * becomes how it ends.  The stack must be the calling thread's or one that
 * stands still; bad memory ends the chain.
 *
 * Rules come from .eh_frame_hdr of the loaded objects, found by
 * _dl_find_object() (glibc 2.35), and from frame pointers in code outside of
 * all objects and where there is no such function.  x86-64 only: elsewhere chains have one entry.
 */
RETOUR_API unsigned int retour_unwind_user(const struct retour_unwind_regs *regs, unsigned long *entries,
					   unsigned int max, enum retour_unwind_end *end);

/* The chain of the caller: entries[0] lies in the calling function. */
RETOUR_API unsigned int retour_unwind_here(unsigned long *entries, unsigned int max, enum retour_unwind_end *end);

#ifdef __cplusplus
}
#endif
#endif
