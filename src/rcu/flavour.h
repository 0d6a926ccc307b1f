/* SPDX-License-Identifier: MIT */
/*
 * Readers of another flavour than their domain's.  The first of a domain is
 * noted, by whatever reader it is, and reported where reports may be: by a
 * reader that is not _notrace, the next grace period or the domain's cleanup.
 */
#ifndef RETOUR_RCU_FLAVOUR_H
#define RETOUR_RCU_FLAVOUR_H

#include "retour/srcu.h"

/*
 * That the calling thread is one, at `where`; true if it is the first.
 * Async-signal-safe, runs nothing of the program's.
 */
bool flavour_note(struct retour_srcu_struct *ssp, const void *where);

/* Reports who is noted. */
void flavour_tell(struct retour_srcu_struct *ssp);

#endif
