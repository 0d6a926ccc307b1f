/* SPDX-License-Identifier: MIT */
/* Readers of another flavour than their domain's; see flavour.h. */
#include "rcu/flavour.h"

#include "rcu/report.h"
#include "rcu/sys.h"

bool flavour_note(struct retour_srcu_struct *ssp, const void *where)
{
	unsigned int none = 0;

	if (__atomic_load_n(&ssp->misused_by, __ATOMIC_RELAXED) ||
	    !__atomic_compare_exchange_n(&ssp->misused_by, &none, sys_gettid(), false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return false;
	/* (i) pairs with (j): who it is. */
	__atomic_store_n(&ssp->misused_at, where, __ATOMIC_RELEASE);
	return true;
}

void flavour_tell(struct retour_srcu_struct *ssp)
{
	const void *where;

	if (!__atomic_load_n(&ssp->misused_at, __ATOMIC_RELAXED))
		return;
	/* (j) pairs with (i). */
	where = __atomic_exchange_n(&ssp->misused_at, NULL, __ATOMIC_ACQUIRE);
	if (where)
		report(&(struct retour_rcu_report){
			.kind = RETOUR_RCU_WRONG_FLAVOUR,
			.text = "a reader of another flavour than the domain's",
			.domain = ssp->domain.name,
			.tid = ssp->misused_by,
			.where = where,
		});
}
