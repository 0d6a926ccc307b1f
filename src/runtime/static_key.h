/* SPDX-License-Identifier: MIT */
/*
 * The sites of all objects, and the lock of what belongs to them.
 *
 * Nothing is queued: what is to be patched is what differs from its key.
 */
#ifndef RETOUR_RUNTIME_STATIC_KEY_H
#define RETOUR_RUNTIME_STATIC_KEY_H

#include <signal.h>

#define RETOUR_NO_SITES
#include "retour/static_key.h"

/*
 * Protects objects, keys, tracepoints, their probes, and text.  Held over a fork;
 * outside of the lock of domains (rcu/domain.h).  Blocks signals meanwhile.
 */
void sites_lock(sigset_t *saved);
void sites_unlock(const sigset_t *saved);

/* Called when an object has become known, without the lock. */
extern void (*object_came)(void);

/* Under the lock; text and its protection are filled in. */
void sites_add(struct retour_object *object);
void sites_remove(struct retour_object *object);

/* Under the lock: gives all sites the state of their keys, unless the thread is in a batch.  0 or -errno. */
int sites_update(void);

#endif
