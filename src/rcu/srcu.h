/* SPDX-License-Identifier: MIT */
/* What SRCU domains have in common, for the one that adds to it. */
#ifndef RETOUR_RCU_SRCU_H
#define RETOUR_RCU_SRCU_H

#include "retour/srcu.h"

void srcu_run(struct retour_rcu_domain *domain);
/* Behind a fence, (W): wakes the leader if it sleeps for any section of the bank; true if it did. */
bool srcu_unlock_slow(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank);
void srcu_after_fork(struct retour_rcu_domain *domain);

#endif
