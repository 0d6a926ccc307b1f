/* SPDX-License-Identifier: MIT */
/* Reports and hook points. */
#include "rcu/report.h"

#include "rcu/mutant.h"

static retour_rcu_report_fn report_fn;
static void *report_arg;
static retour_rcu_hook_fn hooks[RETOUR_RCU_EVENTS];

/*
 * A thread runs one hook at a time.  What a hook does may need a report of its
 * own, which has a hook point: with grace periods in a row they would nest for
 * ever.
 */
static __thread bool hooking __attribute__((tls_model("initial-exec")));

/* The same for reports: of a reader in the callback there might be the same to tell again. */
static __thread bool reporting __attribute__((tls_model("initial-exec")));

void retour_rcu_set_report(retour_rcu_report_fn fn, void *arg)
{
	__atomic_store_n(&report_fn, NULL, __ATOMIC_RELAXED);
	/* (i) pairs with (j). */
	__atomic_store_n(&report_arg, arg, __ATOMIC_RELEASE);
	__atomic_store_n(&report_fn, fn, __ATOMIC_RELEASE);	/* (i) */
}

void report(const struct retour_rcu_report *r)
{
	/* (j) pairs with (i): the argument. */
	retour_rcu_report_fn fn = __atomic_load_n(&report_fn, __ATOMIC_ACQUIRE);

	if (!fn || reporting)
		return;
	reporting = true;
	retour_barrier();	/* (o) */
	fn(r, __atomic_load_n(&report_arg, __ATOMIC_RELAXED));
	retour_barrier();	/* (o) */
	reporting = false;
}

retour_rcu_hook_fn retour_rcu_set_hook(enum retour_rcu_event event, retour_rcu_hook_fn fn)
{
	if ((unsigned int)event >= RETOUR_RCU_EVENTS)
		return NULL;
	/* (i), and (j) for what is returned. */
	return __atomic_exchange_n(&hooks[event], fn, __ATOMIC_ACQ_REL);
}

void hook(enum retour_rcu_event event, const struct retour_rcu_domain *domain, unsigned long arg)
{
	/* (j) pairs with (i): what the hook uses. */
	retour_rcu_hook_fn fn = __atomic_load_n(&hooks[event], __ATOMIC_ACQUIRE);

	if (!fn || (hooking && !mutant(hooks_nest) && !mutant(late_report)))
		return;
	hooking = true;
	retour_barrier();	/* (o) pairs with (o): handlers that come meanwhile run no hook. */
	fn(domain, arg);
	retour_barrier();	/* (o) */
	hooking = false;
}
