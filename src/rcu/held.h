/* SPDX-License-Identifier: MIT */
/* The sections that the calling thread is in, as far as code compiled with RETOUR_RCU_DEBUG told. */
#ifndef RETOUR_RCU_HELD_H
#define RETOUR_RCU_HELD_H

#include "retour/rcu_types.h"

/* Reports if the thread is about to wait for a grace period of the domain where it must not. */
void held_check_synchronize(const struct retour_rcu_domain *domain);

#endif
