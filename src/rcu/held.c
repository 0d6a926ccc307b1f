/* SPDX-License-Identifier: MIT */
/*
 * What lockdep is for the kernel's RCU: each thread keeps the sections it is
 * in, and reports what does not fit.  Sections beyond the table's size are
 * counted but not checked.
 */
#include "rcu/held.h"

#include "rcu/domain.h"
#include "rcu/reader.h"
#include "rcu/report.h"
#include "rcu/sys.h"
#include "retour/srcu.h"

#define DEPTH 8

struct held {
	const struct retour_rcu_domain *domain;
	const void *cookie;
	const void *where;
};

static __thread struct held table[DEPTH] __attribute__((tls_model("initial-exec")));
static __thread unsigned int depth __attribute__((tls_model("initial-exec")));

static void complain(enum retour_rcu_report_kind kind, const char *text, const struct retour_rcu_domain *domain,
		     const void *where)
{
	report(&(struct retour_rcu_report){
		.kind = kind, .text = text, .domain = domain->name, .tid = sys_gettid(), .where = where });
}

/* The innermost section of the domain, or of any that may not block if domain is NULL. */
static const struct held *find(const struct retour_rcu_domain *domain)
{
	for (unsigned int i = depth < DEPTH ? depth : DEPTH; i-- > 0;)
		if (domain ? table[i].domain == domain : !table[i].domain->ops->readers_may_block)
			return &table[i];
	return NULL;
}

void retour_rcu_debug_lock(const struct retour_rcu_domain *domain, const void *cookie)
{
	const void *where = __builtin_return_address(0);
	struct retour_rcu_reader *reader = reader_own();

	if (reader_torn_down())
		complain(RETOUR_RCU_NOT_WATCHING, "a reader in a thread whose destructors have run", domain, where);
	else if (reader && reader->tid != sys_gettid())
		complain(RETOUR_RCU_NOT_WATCHING, "a reader in a forked child before its repair", domain, where);
	if (depth == 0 && reader)
		__atomic_store_n(&reader->where, where, __ATOMIC_RELAXED);
	if (depth < DEPTH)
		table[depth] = (struct held){ domain, cookie, where };
	depth++;
}

void retour_rcu_debug_unlock(const struct retour_rcu_domain *domain, const void *cookie)
{
	const void *where = __builtin_return_address(0);
	unsigned int i;

	if (depth > DEPTH) {
		depth--;
		return;
	}
	for (i = depth; i-- > 0;)
		if (table[i].domain == domain && table[i].cookie == cookie)
			break;
	if (i == -1u) {
		complain(depth ? RETOUR_RCU_WRONG_DOMAIN : RETOUR_RCU_UNBALANCED,
			 depth ? "unlock of a section of another domain or cookie" : "unlock without lock", domain, where);
		return;
	}
	/* Sections need not be nested: the rest moves up. */
	for (; i + 1 < depth; i++)
		table[i] = table[i + 1];
	depth--;
}

void retour_rcu_debug_dereference(const struct retour_rcu_domain *domain)
{
	if (!find(domain) && depth <= DEPTH)
		complain(RETOUR_RCU_DEREFERENCE, "dereference outside a section", domain, __builtin_return_address(0));
}

void retour_rcu_might_block(void)
{
	const struct held *held = find(NULL);

	if (held)
		complain(RETOUR_RCU_BLOCKING, "blocking in a section that may not", held->domain,
			 __builtin_return_address(0));
}

void held_check_synchronize(const struct retour_rcu_domain *domain)
{
	const struct held *held = find(domain);

	if (held) {
		complain(RETOUR_RCU_DEADLOCK, "waiting for a grace period inside a section of its domain", domain,
			 held->where);
		return;
	}
	held = find(NULL);
	if (held)
		complain(RETOUR_RCU_BLOCKING, "waiting for a grace period in a section that may not block",
			 held->domain, held->where);
}

void retour_srcu_debug_flavour(const struct retour_srcu_struct *ssp, enum retour_srcu_flavour flavour)
{
	if (ssp->flavour != (unsigned int)flavour)
		complain(RETOUR_RCU_WRONG_FLAVOUR, "a reader of another flavour than the domain's", &ssp->domain,
			 __builtin_return_address(0));
}
