/* SPDX-License-Identifier: MIT */
/*
 * The list of domains, and fork.
 *
 * Domains are added before their first use, when they are prepared or their
 * object is loaded: one that a fork does not find keeps what its parent's
 * other threads began.  The lock of the list is held over a fork, so whoever
 * has a list of a domain in pieces holds it meanwhile.
 */
#ifndef RETOUR_RCU_DOMAIN_H
#define RETOUR_RCU_DOMAIN_H

#include <signal.h>

#include "retour/rcu_types.h"

struct retour_rcu_reader;
struct retour_srcu_bank;

struct retour_rcu_ops {
	/* One grace period; the caller is the only one at it. */
	void (*run)(struct retour_rcu_domain *domain);
	/* In a forked child, alone: forget readers, leaders and workers of other threads. */
	void (*after_fork)(struct retour_rcu_domain *domain);
	bool readers_may_block;
	/* Is the calling thread in a section?  NULL: not known. */
	bool (*holds)(void);
	/*
	 * For SRCU domains that know it: the record of a thread in a section of
	 * the bank, or NULL.  Takes off the sections of threads that have ended.
	 */
	struct retour_rcu_reader *(*holder)(struct retour_srcu_bank *bank);
	/* Ends a section of this thread, which ends.  NULL: grace periods find that out. */
	void (*end_section)(struct retour_rcu_domain *domain, struct retour_srcu_bank *bank);
};

/* Adds a domain that is not there. */
void domain_register(struct retour_rcu_domain *domain);

/* Takes it out if it is there; looks at nothing in it before. */
void domain_unregister(struct retour_rcu_domain *domain);

/* Has the process certainly one thread; had it before the fork that this child comes from? */
bool process_is_single_threaded(void);
bool process_was_single_threaded(void);

/* Blocks signals meanwhile: a handler that forks would wait for its own thread. */
void domains_lock(sigset_t *saved);
void domains_unlock(const sigset_t *saved);

/* Under the lock; NULL ends the list. */
struct retour_rcu_domain *domain_first(void);
struct retour_rcu_domain *domain_next(const struct retour_rcu_domain *domain);

#endif
