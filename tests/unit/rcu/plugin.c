/* SPDX-License-Identifier: MIT */
/* An object that uses the library, to be opened and closed: inline readers, a domain of its own, callbacks. */
#include "retour/rcu.h"
#include "retour/srcu.h"

RETOUR_DEFINE_STATIC_SRCU_FAST(plugin_srcu);

#define EXPORT __attribute__((visibility("default")))

EXPORT void plugin_read(void);
EXPORT int plugin_update(void);

static int called;

static void count(struct retour_rcu_head *head)
{
	__atomic_fetch_add(&called, 1, __ATOMIC_RELAXED);
}

void plugin_read(void)
{
	struct retour_srcu_bank *bank;

	retour_rcu_read_lock();
	bank = retour_srcu_read_lock_fast(&plugin_srcu);
	retour_srcu_read_unlock_fast(&plugin_srcu, bank);
	retour_rcu_read_unlock();
}

/* The number of callbacks that were called. */
int plugin_update(void)
{
	struct retour_rcu_head heads[2];

	retour_synchronize_rcu();
	retour_synchronize_srcu(&plugin_srcu);
	retour_call_rcu(&heads[0], count);
	retour_call_srcu(&plugin_srcu, &heads[1], count);
	retour_rcu_barrier();
	retour_srcu_barrier(&plugin_srcu);
	return called;
}
