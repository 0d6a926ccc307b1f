/* SPDX-License-Identifier: MIT */
/* Full memory barriers in all threads of the process at once. */
#ifndef RETOUR_RCU_MEMBARRIER_H
#define RETOUR_RCU_MEMBARRIER_H

#include <stdbool.h>

/*
 * Can membarrier_all() be relied on, so that readers need no fences?  Decided
 * at the first call, the same for ever.  Async-signal-safe.
 */
bool membarrier_usable(void);

/* A full barrier in every running thread of the process, and in this one. */
void membarrier_all(void);

#endif
