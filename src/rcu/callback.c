/* SPDX-License-Identifier: MIT */
/*
 * Callbacks after grace periods, and the worker threads that call them.
 *
 * Producers push on a list that is taken whole.  A worker works in rounds:
 * take the list, wait for a grace period, call.  The first worker also starts
 * those of other domains, because who queues may be a signal handler.
 */
#include "rcu/callback.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "rcu/domain.h"
#include "rcu/gp.h"
#include "rcu/report.h"
#include "rcu/seq.h"

enum worker_state { WORKER_NONE, WORKER_WANTED, WORKER_RUNNING };

/* The domain whose worker starts the others', and whether one is wanted. */
static struct retour_rcu_domain *starter;
static bool start_wanted;

static unsigned int worker_state(const struct retour_rcu_domain *domain)
{
	/* (l) pairs with (k). */
	return __atomic_load_n(&domain->worker, __ATOMIC_ACQUIRE);
}

static bool is_worker(const struct retour_rcu_domain *domain)
{
	return worker_state(domain) == WORKER_RUNNING && pthread_equal((pthread_t)domain->thread, pthread_self());
}

/* Callbacks that another thread queues meanwhile come in the next round. */
static void take_queue(struct retour_rcu_domain *domain)
{
	struct retour_rcu_head *taken, *newest_last = NULL, **tail = &domain->batch;
	sigset_t saved;

	domains_lock(&saved);
	/* (e) pairs with (b), (p): the contents of the callbacks; the round before the empty queue. */
	taken = __atomic_exchange_n(&domain->queue, NULL, __ATOMIC_ACQ_REL);
	while (taken) {
		struct retour_rcu_head *next = taken->next;

		taken->next = newest_last;
		newest_last = taken;
		taken = next;
	}
	/* Only in a forked child is there a rest of the batch before. */
	while (*tail)
		tail = &(*tail)->next;
	__atomic_store_n(tail, newest_last, __ATOMIC_RELAXED);
	domains_unlock(&saved);
}

static void invoke(struct retour_rcu_domain *domain)
{
	struct retour_rcu_head *head;

	while ((head = domain->batch)) {
		/* Off the list first: a child forked meanwhile must not call it again. */
		if (!mutant(fork_double_call))
			__atomic_store_n(&domain->batch, head->next, __ATOMIC_RELAXED);
		hook(RETOUR_RCU_EVENT_INVOKE, domain, (unsigned long)head);
		head->func(head);
		if (mutant(fork_double_call))
			domain->batch = head->next;
	}
}

/* False if another thread is in a round. */
static bool run_round(struct retour_rcu_domain *domain)
{
	/* (n) pairs with (m): the request before what it asks for. */
	unsigned long at, polled = __atomic_load_n(&domain->gp_wanted, __ATOMIC_ACQUIRE);

	if (!seq_begin(&domain->rounds, &at))
		return false;
	take_queue(domain);
	retour_torture_delay();
	if (domain->batch && !mutant(early_callback))
		gp_wait(domain, gp_snap(domain));
	if (!seq_done(&domain->gp, polled))
		gp_wait(domain, polled);
	invoke(domain);
	seq_end(&domain->rounds, at);
	return true;
}

static void start_wanted_workers(void)
{
	sigset_t saved;

	domains_lock(&saved);
	for (struct retour_rcu_domain *d = domain_first(); d; d = domain_next(d))
		if (worker_state(d) == WORKER_WANTED)
			callback_start(d);
	domains_unlock(&saved);
}

static bool has_work(const struct retour_rcu_domain *domain)
{
	return __atomic_load_n(&domain->queue, __ATOMIC_RELAXED) || domain->batch ||
	       !seq_done(&domain->gp, __atomic_load_n(&domain->gp_wanted, __ATOMIC_RELAXED)) ||
	       !seq_done(&domain->rounds, __atomic_load_n(&domain->rounds_wanted, __ATOMIC_RELAXED)) ||
	       __atomic_load_n(&domain->stop, __ATOMIC_RELAXED) ||
	       (domain == starter && __atomic_load_n(&start_wanted, __ATOMIC_RELAXED));
}

static void sleep_idle(struct retour_rcu_domain *domain)
{
	__atomic_store_n(&domain->idle, 1, __ATOMIC_RELAXED);
	/* (d) pairs with (c): idle before the queue. */
	full_fence();
	retour_torture_delay();
	if (!has_work(domain) || mutant(lost_callback))
		futex_wait(&domain->idle, 1, 0);
	__atomic_store_n(&domain->idle, 0, __ATOMIC_RELAXED);
}

static void wake_worker(struct retour_rcu_domain *domain)
{
	/* (c) pairs with (d): the queue before idle. */
	full_fence();
	retour_torture_delay();
	if (__atomic_exchange_n(&domain->idle, 0, __ATOMIC_RELAXED))
		futex_wake(&domain->idle, 1);
}

static void *work(void *arg)
{
	struct retour_rcu_domain *domain = arg;

	prctl(PR_SET_NAME, domain->name);
	/* (n) pairs with (m). */
	while (!__atomic_load_n(&domain->stop, __ATOMIC_ACQUIRE)) {
		/* (n) pairs with (m): which domains want one. */
		if (domain == starter && __atomic_exchange_n(&start_wanted, false, __ATOMIC_ACQUIRE))
			start_wanted_workers();
		if (!has_work(domain))
			sleep_idle(domain);
		else if (!run_round(domain))
			seq_sleep(&domain->rounds, seq_read(&domain->rounds) | SEQ_RUNNING);
	}
	return NULL;
}

static int create_thread(struct retour_rcu_domain *domain)
{
	sigset_t all, saved;
	pthread_t thread;
	int err;

	/* Handlers belong to the program's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	err = pthread_create(&thread, NULL, work, domain);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	if (!err)
		domain->thread = (unsigned long)thread;
	return err;
}

void callback_start(struct retour_rcu_domain *domain)
{
	unsigned int state = worker_state(domain);
	struct retour_rcu_domain *none = NULL;
	int err;

	/* (l) pairs with (k). */
	if (state == WORKER_RUNNING || !__atomic_compare_exchange_n(&domain->worker, &state, WORKER_RUNNING, false,
								    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	/* (i) pairs with (j). */
	__atomic_compare_exchange_n(&starter, &none, domain, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
	err = create_thread(domain);
	if (!err)
		return;
	/* (k) pairs with (l). */
	__atomic_store_n(&domain->worker, WORKER_NONE, __ATOMIC_RELEASE);
	report(&(struct retour_rcu_report){
		.kind = RETOUR_RCU_NO_WORKER,
		.text = "the thread for callbacks cannot be created",
		.domain = domain->name,
		.error = err,
	});
}

/* Lets the starter create the worker, which is no thing to do in a handler; without a starter there is no choice. */
static void want_worker(struct retour_rcu_domain *domain)
{
	/* (j) pairs with (i). */
	struct retour_rcu_domain *by = __atomic_load_n(&starter, __ATOMIC_ACQUIRE);
	unsigned int none = WORKER_NONE;

	if (worker_state(domain) == WORKER_RUNNING)
		return;
	domain_register(domain);
	if (!by || by == domain || worker_state(by) != WORKER_RUNNING) {
		callback_start(domain);
		return;
	}
	/* (k), (l). */
	__atomic_compare_exchange_n(&domain->worker, &none, WORKER_WANTED, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	/* (m) pairs with (n). */
	__atomic_store_n(&start_wanted, true, __ATOMIC_RELEASE);
	wake_worker(by);
}

void callback_queue(struct retour_rcu_domain *domain, struct retour_rcu_head *head,
		    void (*func)(struct retour_rcu_head *head))
{
	hook(RETOUR_RCU_EVENT_CALL, domain, (unsigned long)head);
	head->func = func;
	head->next = __atomic_load_n(&domain->queue, __ATOMIC_RELAXED);
	/* (b) pairs with (e): the contents of the callback. */
	while (!__atomic_compare_exchange_n(&domain->queue, &head->next, head, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	want_worker(domain);
	wake_worker(domain);
}

unsigned long callback_start_poll(struct retour_rcu_domain *domain)
{
	unsigned long cookie = gp_snap(domain);

	seq_want(&domain->gp_wanted, cookie);
	want_worker(domain);
	wake_worker(domain);
	return cookie;
}

bool callback_is_drained(const struct retour_rcu_domain *domain)
{
	/* In this order: who empties the queue is in a round.  (p) pairs with (e): the queue before the round. */
	return !__atomic_load_n(&domain->queue, __ATOMIC_ACQUIRE) &&
	       !(seq_read(&domain->rounds) & SEQ_STATE_MASK) && !__atomic_load_n(&domain->batch, __ATOMIC_RELAXED);
}

void callback_barrier(struct retour_rcu_domain *domain)
{
	unsigned long round = seq_snap(&domain->rounds);

	if (is_worker(domain)) {
		report(&(struct retour_rcu_report){
			.kind = RETOUR_RCU_DEADLOCK,
			.text = "a callback waits for the callbacks of its domain",
			.domain = domain->name,
			.tid = sys_gettid(),
			.where = __builtin_return_address(0),
		});
		return;
	}
	if (callback_is_drained(domain))
		return;
	if (mutant(barrier_early))
		round = (seq_read(&domain->rounds) & ~SEQ_STATE_MASK) + SEQ_STEP;
	seq_want(&domain->rounds_wanted, round);
	want_worker(domain);
	wake_worker(domain);
	while (!seq_done(&domain->rounds, round)) {
		unsigned long seen = seq_read(&domain->rounds);

		if (worker_state(domain) == WORKER_NONE && run_round(domain))
			continue;
		if (!seq_done(&domain->rounds, round))
			seq_sleep(&domain->rounds, seen);
	}
}

void callback_stop(struct retour_rcu_domain *domain)
{
	unsigned int wanted = WORKER_WANTED;

	callback_barrier(domain);
	/* (l) pairs with (k): the thread of the worker. */
	if (__atomic_compare_exchange_n(&domain->worker, &wanted, WORKER_NONE, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE) || wanted == WORKER_NONE)
		return;
	/* (m) pairs with (n). */
	__atomic_store_n(&domain->stop, 1, __ATOMIC_RELEASE);
	wake_worker(domain);
	pthread_join((pthread_t)domain->thread, NULL);
	domain->stop = 0;
	/* (k) pairs with (l). */
	__atomic_store_n(&domain->worker, WORKER_NONE, __ATOMIC_RELEASE);
}

void callback_after_fork(struct retour_rcu_domain *domain)
{
	seq_after_fork(&domain->gp);
	domain->expedited = 0;
	if (is_worker(domain))
		return;
	seq_after_fork(&domain->rounds);
	domain->idle = 0;
	if (domain->worker == WORKER_RUNNING)
		domain->worker = WORKER_WANTED;
}

void callback_restart(struct retour_rcu_domain *domain)
{
	if (domain->worker == WORKER_WANTED)
		callback_start(domain);
}
