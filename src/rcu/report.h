/* SPDX-License-Identifier: MIT */
/* Reports and hook points: how the library tells, and shows, what it does. */
#ifndef RETOUR_RCU_REPORT_H
#define RETOUR_RCU_REPORT_H

#include "retour/rcu_types.h"

/* Hands *report to the program's callback. */
void report(const struct retour_rcu_report *report);

/* Runs the hook of the event, unless the thread is in one. */
void hook(enum retour_rcu_event event, const struct retour_rcu_domain *domain, unsigned long arg);

#endif
