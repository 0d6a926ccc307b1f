/* SPDX-License-Identifier: MIT */
/* Deferred chains, for the events on top of them. */
#ifndef RETOUR_RUNTIME_UNWIND_DEFERRED_H
#define RETOUR_RUNTIME_UNWIND_DEFERRED_H

#include "retour/unwind_deferred.h"

/*
 * As retour_unwind_deferred_request(), but a tracer that was called already in
 * this entry is called again, with the same chain.  0 or -errno.
 */
int unwind_deferred_request_again(struct retour_unwind_work *work, uint64_t *cookie);

/*
 * What follows retour_runtime_leave_() if it was true, for who takes the registers
 * itself: their first skip frames are not in the chain.
 */
void unwind_deferred_return(const struct retour_unwind_regs *regs, unsigned int skip);

/* Waits for all entries that have begun.  Not from a section. */
void unwind_deferred_synchronize(void);

#endif
