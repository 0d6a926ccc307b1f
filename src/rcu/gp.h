/* SPDX-License-Identifier: MIT */
/* The grace-period engine that all domains share; see docs/rcu.md, section 3. */
#ifndef RETOUR_RCU_GP_H
#define RETOUR_RCU_GP_H

#include "rcu/domain.h"
#include "rcu/seq.h"

static inline unsigned long gp_snap(const struct retour_rcu_domain *domain)
{
	return seq_snap(&domain->gp);
}

bool gp_poll(const struct retour_rcu_domain *domain, unsigned long cookie);

/* Waits for the grace period of the cookie, or runs it. */
void gp_wait(struct retour_rcu_domain *domain, unsigned long cookie);

/* Waits for a grace period that begins now or later, or runs it. */
void gp_synchronize(struct retour_rcu_domain *domain);
void gp_synchronize_expedited(struct retour_rcu_domain *domain);

/* The calling thread, which leads, is going to sleep for readers: whoever waits for it may lend it a priority. */
void gp_show_leader(struct retour_rcu_domain *domain);

/* Lets the leaders of grace periods up to that of the cookie spin longer before they sleep. */
void gp_expedite(struct retour_rcu_domain *domain, unsigned long cookie);

void gp_wait_expedited(struct retour_rcu_domain *domain, unsigned long cookie);

/* The patience of a leader with one reader: spin first, then sleep, now and then say so. */
struct gp_patience {
	uint64_t start, spin_until, lend_from, next_report;	/* CLOCK_MONOTONIC, ns */
};

/* For so long a leader that others wait with sleeps without lending its priority. */
#define GP_LEND_NS 1000000

struct gp_patience gp_patience_begin(const struct retour_rcu_domain *domain);

/* It was waited for: what is to be learned from that for the next time. */
void gp_patience_end(const struct gp_patience *patience, struct retour_rcu_domain *domain);

/* Spins on; false when it is time to sleep. */
bool gp_patience_spin(const struct gp_patience *patience);

/* Is its priority lent already? */
bool gp_patience_lends(const struct gp_patience *patience);

/* For how long to sleep at most, in ns. */
uint64_t gp_patience_sleep(const struct gp_patience *patience, const struct retour_rcu_domain *domain);

/* Is it time to report a stall? */
bool gp_patience_is_over(const struct gp_patience *patience);

/* Reports a stall if it is: of so many sections, in the thread tid or 0, begun at where or NULL. */
void gp_patience_report(struct gp_patience *patience, const struct retour_rcu_domain *domain, int tid,
			unsigned long sections, const void *where);

#endif
