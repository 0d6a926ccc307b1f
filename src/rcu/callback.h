/* SPDX-License-Identifier: MIT */
/* Callbacks after grace periods, and the worker threads that call them; docs/rcu.md, section 7. */
#ifndef RETOUR_RCU_CALLBACK_H
#define RETOUR_RCU_CALLBACK_H

#include "retour/rcu_types.h"

/* Async-signal-safe.  Without retour_rcu_start_worker() it waits for a barrier. */
void callback_queue(struct retour_rcu_domain *domain, struct retour_rcu_head *head,
		    void (*func)(struct retour_rcu_head *head));

/* A cookie for a grace period that the worker will run.  As above. */
unsigned long callback_start_poll(struct retour_rcu_domain *domain);

/* Waits until the callbacks queued before are called, and polled grace periods over; where: the program's call. */
void callback_barrier(struct retour_rcu_domain *domain, const void *where);

/* Is nothing queued or polled for, and nothing taken that has not returned? */
bool callback_is_drained(const struct retour_rcu_domain *domain);

/* Ends the worker, after what is queued; where: as above.  0, or -EDEADLK, reported, in a callback of the domain. */
int callback_stop(struct retour_rcu_domain *domain, const void *where);

/* In a forked child: the worker is gone, and will be started again. */
void callback_after_fork(struct retour_rcu_domain *domain);

#endif
