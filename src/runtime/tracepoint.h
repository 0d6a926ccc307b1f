/* SPDX-License-Identifier: MIT */
/* The tracepoints of all objects, and their probes. */
#ifndef RETOUR_RUNTIME_TRACEPOINT_H
#define RETOUR_RUNTIME_TRACEPOINT_H

#include "runtime/static_key.h"
#include "retour/tracepoint.h"

/* Under the lock of the sites.  One that comes has the probes of those of its name. */
void tracepoint_add(struct retour_tracepoint *tp);
void tracepoint_remove(struct retour_tracepoint *tp);

/* The library's own retour_tracepoint_set_coming(): called first. */
extern void (*tracepoint_came)(struct retour_tracepoint *tp);

/* As the public ones, under the lock; for the calls of retour_tracepoint_set_coming() too. */
int tracepoint_add_probe(struct retour_tracepoint *tp, void (*probe)(void), void *data);
int tracepoint_remove_probe(struct retour_tracepoint *tp, void (*probe)(void), void *data);

/* Under the lock: those that stand for their name and fields, one after the other. */
struct retour_tracepoint *tracepoint_first(void);
struct retour_tracepoint *tracepoint_next(const struct retour_tracepoint *tp);

#endif
