/* SPDX-License-Identifier: MIT */
/* What only SRCU domains have to be checked for, in code compiled with RETOUR_RCU_DEBUG. */
#include "rcu/area.h"
#include "rcu/flavour.h"
#include "rcu/held.h"

/* The first is reported by what reports it without being told to, too. */
static void check_flavour(struct retour_srcu_struct *ssp, enum retour_srcu_flavour flavour, const void *where)
{
	if (ssp->flavour == (unsigned int)flavour)
		return;
	if (flavour_note(ssp, where))
		flavour_tell(ssp);
	else
		held_complain(RETOUR_RCU_WRONG_FLAVOUR, "a reader of another flavour than the domain's", &ssp->domain,
			      where, NULL);
}

void retour_srcu_debug_flavour(struct retour_srcu_struct *ssp, enum retour_srcu_flavour flavour)
{
	check_flavour(ssp, flavour, __builtin_return_address(0));
}

/* Sections that move between threads are in nobody's table; but there are their counters. */
void retour_srcu_debug_up(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
	const void *where = __builtin_return_address(0);
	/* (j) */
	struct retour_srcu_area *area = __atomic_load_n(&ssp->area, __ATOMIC_ACQUIRE);

	check_flavour(ssp, RETOUR_SRCU_FAST_UPDOWN, where);
	if (!area || (bank != area_bank(area, 0) && bank != area_bank(area, 1)))
		held_complain(RETOUR_RCU_WRONG_DOMAIN, "up of a section of another domain", &ssp->domain, where, NULL);
	else if (area_is_drained(bank))
		held_complain(RETOUR_RCU_UNBALANCED, "up without down", &ssp->domain, where, NULL);
}

bool retour_srcu_debug_held(const struct retour_srcu_struct *ssp)
{
	return ssp->flavour == RETOUR_SRCU_FAST_UPDOWN ? retour_srcu_readers_active(ssp) :
							 retour_rcu_debug_held(&ssp->domain);
}
