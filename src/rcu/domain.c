/* SPDX-License-Identifier: MIT */
/* The list of domains in use, and fork. */
#include "rcu/domain.h"

#include <pthread.h>

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

void domain_register(struct retour_rcu_domain *domain)
{
	unsigned int no = 0;

	if (__atomic_load_n(&domain->registered, __ATOMIC_RELAXED) ||
	    !__atomic_compare_exchange_n(&domain->registered, &no, 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	domain->next = __atomic_load_n(&first, __ATOMIC_RELAXED);
	/* (i) pairs with (j): the link before the pointer to the domain. */
	while (!__atomic_compare_exchange_n(&first, &domain->next, domain, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

void domains_lock(sigset_t *saved)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, saved);
	pthread_mutex_lock(&lock);
}

void domains_unlock(const sigset_t *saved)
{
	pthread_mutex_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

struct retour_rcu_domain *domain_first(void)
{
	/* (j) pairs with (i). */
	return __atomic_load_n(&first, __ATOMIC_ACQUIRE);
}

struct retour_rcu_domain *domain_next(const struct retour_rcu_domain *domain)
{
	return domain->next;
}

void domain_unregister(struct retour_rcu_domain *domain)
{
	struct retour_rcu_domain *at = domain;
	sigset_t saved;

	domains_lock(&saved);
	if (domain->registered) {
		/* Only the head changes under our feet, by pushes: (j) pairs with (i). */
		if (!__atomic_compare_exchange_n(&first, &at, domain->next, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
			while (at->next != domain)
				at = at->next;
			at->next = domain->next;
		}
		domain->registered = 0;
	}
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

	pthread_mutex_init(&lock, NULL);
	for (struct retour_rcu_domain *d = domain_first(); d; d = domain_next(d))
		d->ops->after_fork(d);
	for (struct retour_rcu_domain *d = domain_first(); d; d = domain_next(d))
		d->ops->restart(d);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
}

__attribute__((constructor(101))) static void fork_init(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}
