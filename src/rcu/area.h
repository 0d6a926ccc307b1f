/* SPDX-License-Identifier: MIT */
/* The per-CPU counters of SRCU domains: where they live and what they add up to. */
#ifndef RETOUR_RCU_AREA_H
#define RETOUR_RCU_AREA_H

#include "retour/srcu.h"

/* Head of the counters; two banks for each CPU follow. */
struct retour_srcu_area {
	struct retour_srcu_area *next;
	unsigned int taken;
	unsigned int index;	/* the bank for new readers: 0 or 1 */
} __attribute__((aligned(64)));

/*
 * An area whose sums agree.  Without memory it is one that domains
 * share, which is correct, but makes them wait for each other's readers.
 * Async-signal-safe.
 */
struct retour_srcu_area *area_get(void);
bool area_is_shared(const struct retour_srcu_area *area);

/* No reader may be left. */
void area_put(struct retour_srcu_area *area);

/* Of CPU 0; the other CPUs' follow at distances of 1 << RETOUR_PERCPU_SHIFT. */
struct retour_srcu_bank *area_bank(struct retour_srcu_area *area, unsigned int index);

/* The counters that the calling thread should use atomically. */
struct retour_srcu_bank *area_slot(struct retour_srcu_bank *bank);

/* In a forked child: takes all sections for ended.  Whoever waited for them goes on. */
void area_forget(struct retour_srcu_area *area);

/* How many sections are open, about; 0 only if all have ended whose lock was visible before the call. */
unsigned long area_sections(struct retour_srcu_bank *bank);

/* Ends n sections. */
void area_unlock(struct retour_srcu_bank *bank, unsigned long n);

/* Have all sections ended whose lock was visible before the call? */
bool area_is_drained(struct retour_srcu_bank *bank);

#endif
