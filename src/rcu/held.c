/* SPDX-License-Identifier: MIT */
/*
 * What lockdep is for the kernel's RCU: each thread keeps the sections it is
 * in, and reports what does not fit.  Sections beyond the table's size are
 * counted but not checked.
 *
 * Signal handlers use the table too, at any instruction, and leave behind what
 * they found: a slot that was free is free again.  So a slot is taken by the
 * store of its domain, before the rest, and given back by clearing it, after
 * the rest; no slot moves.
 */
#include "rcu/held.h"

#include <pthread.h>

#include "rcu/domain.h"
#include "rcu/reader.h"
#include "rcu/report.h"
#include "rcu/sys.h"

#define SLOTS 8

struct held {
	const struct retour_rcu_domain *domain;	/* NULL: free */
	const void *cookie;			/* NULL: free, or not yet filled in */
	const void *where;
};

static __thread struct held table[SLOTS] __attribute__((tls_model("initial-exec")));
static __thread unsigned int beyond __attribute__((tls_model("initial-exec")));

/* pthread_setspecific() of one of the first keys stores two words; of a later one it may allocate. */
#define FIRST_KEYS 32
static pthread_key_t exit_key;
static bool exit_key_usable;
static __thread bool exit_key_set __attribute__((tls_model("initial-exec")));

void held_complain(enum retour_rcu_report_kind kind, const char *text, const struct retour_rcu_domain *domain,
		   const void *where, const void *section)
{
	report(&(struct retour_rcu_report){
		.kind = kind,
		.text = text,
		.domain = domain->name,
		.tid = sys_gettid(),
		.where = where,
		.section = section,
	});
}

/* With cookie NULL any section of the domain; with both NULL a free slot. */
static struct held *find(const struct retour_rcu_domain *domain, const void *cookie)
{
	for (int i = 0; i < SLOTS; i++)
		if (table[i].domain == domain && (!cookie || table[i].cookie == cookie))
			return &table[i];
	return NULL;
}

static const struct held *find_that_may_not_block(void)
{
	for (int i = 0; i < SLOTS; i++)
		if (table[i].domain && !table[i].domain->ops->readers_may_block)
			return &table[i];
	return NULL;
}

static bool is_empty(void)
{
	unsigned long any = 0;

	for (int i = 0; i < SLOTS; i++)
		any |= (unsigned long)table[i].domain;
	return !any;
}

static void take(struct held *held, const struct retour_rcu_domain *domain, const void *cookie, const void *where)
{
	held->domain = domain;
	retour_barrier();	/* (o) */
	held->where = where;
	held->cookie = cookie;
	retour_barrier();	/* (o) */
}

/* False: a handler gave it back, and kept the one that it took for a section of the same cookie. */
static bool give_back(struct held *held, const void *cookie)
{
	if (!__atomic_compare_exchange_n(&held->cookie, &cookie, NULL, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return false;
	retour_barrier();	/* (o) */
	held->domain = NULL;
	return true;
}

/* Of retour_rcu, whose cookie is the domain: what a stall report names. */
static void note_outermost(const struct retour_rcu_domain *domain, const void *cookie, const void *where)
{
	struct retour_rcu_reader *reader = reader_own();

	if (cookie == domain && reader && __atomic_load_n(&reader->nesting, __ATOMIC_RELAXED) == 1)
		__atomic_store_n(&reader->where, where, __ATOMIC_RELAXED);
}

/* The outermost that the table has of an SRCU domain, all of which have cookies of their own: the same. */
static void note_srcu(void)
{
	struct retour_rcu_reader *reader = reader_own();
	const struct held *held = NULL;

	for (int i = 0; i < SLOTS && !held; i++)
		if (table[i].cookie && table[i].cookie != table[i].domain)
			held = &table[i];
	if (!reader && held)
		reader = reader_claim();
	if (!reader)
		return;
	__atomic_store_n(&reader->srcu_where, held ? held->where : NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&reader->srcu_cookie, held ? held->cookie : NULL, __ATOMIC_RELAXED);
}

/* The thread leaves it open: of the domains whose grace periods would not find that out. */
static void end_section(struct held *held)
{
	const struct held left = *held;

	if (!left.cookie || !left.domain->ops->end_section)
		return;
	if (!give_back(held, left.cookie))
		return;
	left.domain->ops->end_section((struct retour_rcu_domain *)left.domain, (struct retour_srcu_bank *)left.cookie);
	report(&(struct retour_rcu_report){
		.kind = RETOUR_RCU_DEAD_READER,
		.text = "a thread ended inside a read-side section",
		.domain = left.domain->name,
		.tid = sys_gettid(),
		.sections = 1,
		.where = left.where,
	});
}

/* The destructor of exit_key.  First those of other keys have their turn, and may end sections. */
static void end_sections(void *turn)
{
	if (turn == &table[0]) {
		pthread_setspecific(exit_key, &table[1]);
		return;
	}
	for (int i = 0; i < SLOTS; i++)
		end_section(&table[i]);
}

__attribute__((constructor(102))) static void held_init(void)
{
	exit_key_usable = pthread_key_create(&exit_key, end_sections) == 0 && exit_key < FIRST_KEYS;
}

static void want_end(void)
{
	if (exit_key_set || !exit_key_usable)
		return;
	exit_key_set = true;
	pthread_setspecific(exit_key, &table[0]);
}

void retour_rcu_debug_lock(const struct retour_rcu_domain *domain, const void *cookie)
{
	const void *where = __builtin_return_address(0);
	struct held *free = find(NULL, NULL);

	if (reader_torn_down())
		held_complain(RETOUR_RCU_NOT_WATCHING, "a reader in a thread whose destructors have run", domain, where,
			      NULL);
	else if (!reader_process_is_known())
		held_complain(RETOUR_RCU_NOT_WATCHING, "a reader in a forked child before its repair", domain, where,
			      NULL);
	else
		reader_claim();	/* not only of retour_rcu's readers the end of the thread is to be known */
	want_end();
	note_outermost(domain, cookie, where);
	if (free)
		take(free, domain, cookie, where);
	else
		beyond++;
	note_srcu();
}

/* Of a section that is not in the table. */
static void unlock_beyond(const struct retour_rcu_domain *domain, const void *where)
{
	if (beyond)
		beyond--;
	else if (is_empty())
		held_complain(RETOUR_RCU_UNBALANCED, "unlock without lock", domain, where, NULL);
	else
		held_complain(RETOUR_RCU_WRONG_DOMAIN, "unlock of a section of another domain or cookie", domain, where,
			      NULL);
}

void retour_rcu_debug_unlock(const struct retour_rcu_domain *domain, const void *cookie)
{
	const void *where = __builtin_return_address(0);
	struct held *held;

	note_outermost(domain, cookie, NULL);
	while ((held = find(domain, cookie)) && !give_back(held, cookie))
		;
	if (!held)
		unlock_beyond(domain, where);
	note_srcu();
}

bool retour_rcu_debug_held(const struct retour_rcu_domain *domain)
{
	return beyond || find(domain, NULL);
}

void retour_rcu_debug_dereference(const struct retour_rcu_domain *domain)
{
	held_complain(RETOUR_RCU_DEREFERENCE, "dereference outside a section", domain, __builtin_return_address(0), NULL);
}

void retour_rcu_might_block(void)
{
	const struct held *held = find_that_may_not_block();

	if (held)
		held_complain(RETOUR_RCU_BLOCKING, "blocking in a section that may not", held->domain,
			      __builtin_return_address(0), held->where);
}

void held_check_wait(const struct retour_rcu_domain *domain, const void *where)
{
	bool holds = domain->ops->holds && domain->ops->holds();
	const struct held *held;

	if (!holds && is_empty())
		return;
	held = find(domain, NULL);
	if (held || holds) {
		held_complain(RETOUR_RCU_DEADLOCK, "a thread waits for a domain inside a section of it", domain, where,
			      held ? held->where : NULL);
		return;
	}
	held = find_that_may_not_block();
	if (held)
		held_complain(RETOUR_RCU_BLOCKING, "a thread waits in a section that may not block", held->domain, where,
			      held->where);
}
