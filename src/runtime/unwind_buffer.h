/* SPDX-License-Identifier: MIT */
/*
 * Room for one walk, which is too large for a stack.
 *
 * As many exist as threads ever walked at once, up to a bound behind which
 * they are mapped and unmapped each time.
 */
#ifndef RETOUR_RUNTIME_UNWIND_BUFFER_H
#define RETOUR_RUNTIME_UNWIND_BUFFER_H

#include "retour/unwind_deferred.h"

struct unwind_buffer {
	struct retour_unwind_regs regs;
	unsigned long entries[RETOUR_UNWIND_MAX_ENTRIES];
};

/* NULL without memory.  Both are async-signal-safe. */
struct unwind_buffer *unwind_buffer_get(void);
void unwind_buffer_put(struct unwind_buffer *buffer);

#endif
