/* SPDX-License-Identifier: MIT */
/* Callbacks after grace periods, and the worker threads that call them; docs/rcu.md, section 7. */
#ifndef RETOUR_RCU_CALLBACK_H
#define RETOUR_RCU_CALLBACK_H

#include "retour/rcu_types.h"

/* Async-signal-safe, if callback_start() was called for any domain. */
void callback_queue(struct retour_rcu_domain *domain, struct retour_rcu_head *head,
		    void (*func)(struct retour_rcu_head *head));

/* A cookie for a grace period that the worker will run.  Async-signal-safe as above. */
unsigned long callback_start_poll(struct retour_rcu_domain *domain);

/* Waits until the callbacks queued before are called. */
void callback_barrier(struct retour_rcu_domain *domain);

/* Is nothing queued, and nothing taken that has not returned? */
bool callback_is_drained(const struct retour_rcu_domain *domain);

/* Sees to it that the domain has a worker. */
void callback_start(struct retour_rcu_domain *domain);

/* Ends the worker, after what is queued. */
void callback_stop(struct retour_rcu_domain *domain);

/* In a forked child: the worker is gone; then, with all domains in order, start it again. */
void callback_after_fork(struct retour_rcu_domain *domain);
void callback_restart(struct retour_rcu_domain *domain);

#endif
