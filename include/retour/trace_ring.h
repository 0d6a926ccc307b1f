/* SPDX-License-Identifier: MIT */
/*
 * The tracepoints of rings' slow paths.  Their probes may write to rings, those
 * too; what they trigger themselves in rings is not traced, nor is what handlers do
 * meanwhile on top of them.  set is the set of rings, index the ring's number in it.
 */
#ifndef RETOUR_TRACE_RING_H
#define RETOUR_TRACE_RING_H

#include "tracepoint.h"

/* A record found no room, and was counted as lost. */
RETOUR_TRACEPOINT(retour, ring_full, (const void *, set), (unsigned int, index));
/* A ring has reached its watermark, and a sleeping reader was woken. */
RETOUR_TRACEPOINT(retour, ring_wake, (const void *, set), (unsigned int, index));

#endif
