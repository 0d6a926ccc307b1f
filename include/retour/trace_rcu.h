/* SPDX-License-Identifier: MIT */
/*
 * The tracepoints of RCU's slow paths, on its hook points (rcu_types.h): a
 * program that fills a hook itself takes that tracepoint's place.
 *
 * Their probes may use every reader, and every call that does not wait; they
 * must not register or unregister probes.  What they trigger themselves in RCU
 * is not traced.  domain is the name of the domain.
 */
#ifndef RETOUR_TRACE_RCU_H
#define RETOUR_TRACE_RCU_H

#include "tracepoint.h"

/* First reader of a thread. */
RETOUR_TRACEPOINT(retour, rcu_reader_claim, (const char *, domain), (int, tid));
/* A grace period begins; has all threads execute a barrier; sleeps for a reader (0: not known which); ends. */
RETOUR_TRACEPOINT(retour, rcu_gp_start, (const char *, domain), (unsigned long, seq));
RETOUR_TRACEPOINT(retour, rcu_gp_membarrier, (const char *, domain), (unsigned long, seq));
RETOUR_TRACEPOINT(retour, rcu_gp_wait, (const char *, domain), (int, tid));
RETOUR_TRACEPOINT(retour, rcu_gp_end, (const char *, domain), (unsigned long, seq));
/* A reader that a grace period waited for has reported its quiescent state. */
RETOUR_TRACEPOINT(retour, rcu_qs_report, (const char *, domain), (int, tid));
/* A callback is queued; is called. */
RETOUR_TRACEPOINT(retour, rcu_call, (const char *, domain), (struct retour_rcu_head *, head));
RETOUR_TRACEPOINT(retour, rcu_invoke, (const char *, domain), (struct retour_rcu_head *, head));

#endif
