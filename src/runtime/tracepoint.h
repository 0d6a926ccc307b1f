/* SPDX-License-Identifier: MIT */
/* The tracepoints of all objects, and their probes. */
#ifndef RETOUR_RUNTIME_TRACEPOINT_H
#define RETOUR_RUNTIME_TRACEPOINT_H

#include "runtime/static_key.h"
#include "retour/tracepoint.h"

/* Under the lock of the sites.  One that comes has the probes of those of its name. */
void tracepoint_add(struct retour_tracepoint *tp);
void tracepoint_remove(struct retour_tracepoint *tp);

#endif
