/* SPDX-License-Identifier: MIT */
/*
 * Reading one's own memory where an address may be bad.
 *
 * The stack of the calling thread is read by plain loads: nobody takes it away
 * while the thread runs.  Anything else may be unmapped by another thread at any moment, and
 * goes through the kernel, which says EFAULT instead of a signal.
 */
#ifndef RETOUR_RUNTIME_UNWIND_MEMORY_H
#define RETOUR_RUNTIME_UNWIND_MEMORY_H

#include <stdbool.h>

/* What plain loads can read of the stack that is being walked; empty if it is not the thread's own. */
struct unwind_memory {
	unsigned long start, end;
};

/* A stack is walked from sp on. */
void unwind_memory_stack(struct unwind_memory *memory, unsigned long sp);

/* n words, 1 or 2; false if they cannot be read.  Async-signal-safe, leaves errno alone. */
bool unwind_memory_read(struct unwind_memory *memory, unsigned long address, unsigned long long *words,
			unsigned int n);

#endif
