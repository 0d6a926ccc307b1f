/* SPDX-License-Identifier: MIT */
/* The sections that the calling thread is in, as far as code compiled with RETOUR_RCU_DEBUG told. */
#ifndef RETOUR_RCU_HELD_H
#define RETOUR_RCU_HELD_H

#include "retour/rcu_types.h"

/* Reports that this thread's call at `where` is wrong, because of the section that began at `section` or NULL. */
void held_complain(enum retour_rcu_report_kind kind, const char *text, const struct retour_rcu_domain *domain,
		   const void *where, const void *section);

/*
 * Reports if the thread is about to wait for grace periods or callbacks of the
 * domain where it must not; `where` is the program's call.
 */
void held_check_wait(const struct retour_rcu_domain *domain, const void *where);

#endif
