/* SPDX-License-Identifier: MIT */
/* Reports and hook points. */
#include "rcu/report.h"

#include "rcu/domain.h"
#include "rcu/mutant.h"

/*
 * Where reports go, twice: the kernel's seqcount_latch.  While one is written
 * the sequence's low bit sends readers to the other, so a handler that
 * interrupts the writer does not wait for it.
 */
struct receiver {
	retour_rcu_report_fn fn;
	void *arg;
};

static struct receiver receivers[2];
static unsigned int receivers_seq;

static retour_rcu_hook_fn hooks[RETOUR_RCU_EVENTS];

/*
 * A thread runs one hook at a time.  What a hook does may need a report of its
 * own, which has a hook point: with grace periods in a row they would nest for
 * ever.
 */
static __thread bool hooking __attribute__((tls_model("initial-exec")));

/* The same for reports: of a reader in the callback there might be the same to tell again. */
static __thread bool reporting __attribute__((tls_model("initial-exec")));

static void write_receiver(struct receiver *receiver, retour_rcu_report_fn fn, void *arg)
{
	/* (i) pairs with (j): the sequence that sends readers elsewhere, before. */
	__atomic_store_n(&receiver->fn, fn, __ATOMIC_RELEASE);
	__atomic_store_n(&receiver->arg, arg, __ATOMIC_RELEASE);	/* (i) */
	/* (i): the receiver before the sequence that sends readers to it. */
	__atomic_store_n(&receivers_seq, receivers_seq + 1, __ATOMIC_RELEASE);
}

static struct receiver read_receiver(void)
{
	struct receiver found;
	unsigned int seq;

	do {
		/* (j) pairs with (i): the sequence before the receiver, and that before the sequence again. */
		seq = __atomic_load_n(&receivers_seq, __ATOMIC_ACQUIRE);
		found.fn = __atomic_load_n(&receivers[seq & 1].fn, __ATOMIC_ACQUIRE);	/* (j) */
		found.arg = __atomic_load_n(&receivers[seq & 1].arg, __ATOMIC_ACQUIRE);	/* (j) */
	} while (__atomic_load_n(&receivers_seq, __ATOMIC_RELAXED) != seq);
	return found;
}

void retour_rcu_set_report(retour_rcu_report_fn fn, void *arg)
{
	sigset_t saved;

	domains_lock(&saved);
	for (int i = 0; i < 2; i++)
		write_receiver(&receivers[!(receivers_seq & 1)], fn, arg);
	domains_unlock(&saved);
}

void report(const struct retour_rcu_report *r)
{
	struct receiver to = read_receiver();

	if (!to.fn || reporting)
		return;
	reporting = true;
	retour_barrier();	/* (o) */
	to.fn(r, to.arg);
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
