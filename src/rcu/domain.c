/* SPDX-License-Identifier: MIT */
/* The list of domains, and fork. */
#include "rcu/domain.h"

#include <pthread.h>

#include "rcu/stay.h"
#include "rcu/sys.h"

static struct retour_rcu_domain *first;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sigset_t fork_saved;
static bool fork_single;

/* glibc's. */
extern char __libc_single_threaded __attribute__((weak));

bool process_is_single_threaded(void)
{
	return &__libc_single_threaded && __libc_single_threaded;
}

bool process_was_single_threaded(void)
{
	return fork_single;
}

void domains_lock(sigset_t *saved)
{
	sys_block_signals(saved);
	pthread_mutex_lock(&lock);
}

void domains_unlock(const sigset_t *saved)
{
	pthread_mutex_unlock(&lock);
	sys_restore_signals(saved);
}

struct retour_rcu_domain *domain_first(void)
{
	return first;
}

struct retour_rcu_domain *domain_next(const struct retour_rcu_domain *domain)
{
	return domain->next;
}

void domain_register(struct retour_rcu_domain *domain)
{
	sigset_t saved;

	domains_lock(&saved);
	domain->next = first;
	first = domain;
	domains_unlock(&saved);
}

void domain_unregister(struct retour_rcu_domain *domain)
{
	struct retour_rcu_domain **at = &first;
	sigset_t saved;

	domains_lock(&saved);
	while (*at && *at != domain)
		at = &(*at)->next;
	if (*at)
		*at = domain->next;
	domains_unlock(&saved);
}

static void before_fork(void)
{
	sigset_t saved;

	domains_lock(&saved);
	fork_saved = saved;
	fork_single = process_is_single_threaded();
}

static void after_fork_parent(void)
{
	sigset_t saved = fork_saved;

	domains_unlock(&saved);
}

static void after_fork_child(void)
{
	sigset_t saved = fork_saved;

	for (struct retour_rcu_domain *d = domain_first(); d; d = domain_next(d))
		d->ops->after_fork(d);
	domains_unlock(&saved);
}

__attribute__((constructor(101))) static void fork_init(void)
{
	stay_loaded();
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}
