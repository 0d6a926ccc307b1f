/* SPDX-License-Identifier: MIT */
/*
 * Callbacks after grace periods, and the worker threads that call them.
 *
 * Producers push on a list that is taken whole.  A worker works in rounds:
 * take the list, wait for a grace period, call.  Who queues may be a signal
 * handler, so workers are created by a thread that does nothing else: the
 * starter, which is what kthreadd is to the kernel.
 */
#include "rcu/callback.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "rcu/domain.h"
#include "rcu/gp.h"
#include "rcu/report.h"
#include "rcu/seq.h"
#include "rcu/sys.h"

/* It becomes WANTED in any context, the rest is under the lock of the domains. */
enum worker_state { WORKER_NONE, WORKER_WANTED, WORKER_RUNNING };

/* Is there a starter; futex: has it something to do? */
static bool starter_runs;
static unsigned int starter_wanted;

/* The rounds that the calling thread is in: the innermost one's callbacks run. */
struct round {
	const struct retour_rcu_domain *domain;
	const struct round *outer;
};

static __thread const struct round *current_round __attribute__((tls_model("initial-exec")));

static bool in_round(const struct retour_rcu_domain *domain)
{
	for (const struct round *r = current_round; r; r = r->outer)
		if (r->domain == domain)
			return true;
	return false;
}

static unsigned int worker_state(const struct retour_rcu_domain *domain)
{
	return __atomic_load_n(&domain->worker, __ATOMIC_RELAXED);
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

/* False if another thread is in a round.  Signals are blocked: a handler that forks would find it half begun. */
static bool run_round(struct retour_rcu_domain *domain)
{
	struct round round = { domain, current_round };
	/* (n) pairs with (m): the request before what it asks for. */
	unsigned long at, polled = __atomic_load_n(&domain->gp_wanted, __ATOMIC_ACQUIRE);

	if (!seq_begin(&domain->rounds, &at))
		return false;
	current_round = &round;
	/* (L) pairs with (A): the round's begin before the queue, so that a barrier sees the one or is in the other. */
	fence_after_atomic();
	take_queue(domain);
	retour_torture_delay();
	if (domain->batch && !mutant(early_callback))
		gp_wait(domain, gp_snap(domain));
	if (!seq_done(&domain->gp, polled))
		gp_wait(domain, polled);
	invoke(domain);
	current_round = round.outer;
	seq_end(&domain->rounds, at);
	return true;
}

static bool is_polled_for(const struct retour_rcu_domain *domain)
{
	return !mutant(lost_poll) && !seq_done(&domain->gp, __atomic_load_n(&domain->gp_wanted, __ATOMIC_RELAXED));
}

static bool has_work(const struct retour_rcu_domain *domain)
{
	return __atomic_load_n(&domain->queue, __ATOMIC_RELAXED) || domain->batch ||
	       is_polled_for(domain) ||
	       !seq_done(&domain->rounds, __atomic_load_n(&domain->rounds_wanted, __ATOMIC_RELAXED)) ||
	       __atomic_load_n(&domain->stop, __ATOMIC_RELAXED);
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
		if (!has_work(domain))
			sleep_idle(domain);
		else if (!run_round(domain))
			seq_sleep(&domain->rounds, seq_read(&domain->rounds) | SEQ_RUNNING, 0);
	}
	return NULL;
}

static int create_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
	sigset_t saved;
	int err;

	/* Handlers belong to the program's threads. */
	sys_block_signals(&saved);
	err = pthread_create(thread, NULL, run, arg);
	sys_restore_signals(&saved);
	return err;
}

/* Not under the lock: what hears the report may use the library. */
static void report_no_worker(const char *domain, int err)
{
	report(&(struct retour_rcu_report){
		.kind = RETOUR_RCU_NO_WORKER,
		.text = "the thread for callbacks cannot be created",
		.domain = domain,
		.error = err,
	});
}

/* Under the lock, so that the domain stays until its worker is known to who ends it. */
static int create_worker(struct retour_rcu_domain *domain)
{
	pthread_t thread;
	int err = create_thread(&thread, work, domain);

	if (!err)
		domain->thread = (unsigned long)thread;
	__atomic_store_n(&domain->worker, err ? WORKER_NONE : WORKER_RUNNING, __ATOMIC_RELAXED);
	return err;
}

/* One, so that its failure can be reported before the next; false if none is wanted. */
static bool start_wanted_worker(void)
{
	struct retour_rcu_domain *domain;
	char name[64] = "";
	sigset_t saved;
	int err = 0;

	domains_lock(&saved);
	for (domain = domain_first(); domain && worker_state(domain) != WORKER_WANTED; domain = domain_next(domain))
		;
	if (domain) {
		err = create_worker(domain);
		snprintf(name, sizeof(name), "%s", domain->name);
	}
	domains_unlock(&saved);
	if (err)
		report_no_worker(name, err);
	return domain != NULL;
}

static void *start_workers(void *arg)
{
	prctl(PR_SET_NAME, "retour_starter");
	for (;;) {
		/* (n) pairs with (m): which domains want one. */
		if (!__atomic_exchange_n(&starter_wanted, 0, __ATOMIC_ACQUIRE))
			futex_wait(&starter_wanted, 0, 0);
		while (start_wanted_worker())
			;
	}
	return arg;
}

void retour_rcu_start_worker(void)
{
	pthread_t thread;
	int err;

	if (__atomic_exchange_n(&starter_runs, true, __ATOMIC_RELAXED))
		return;
	err = create_thread(&thread, start_workers, NULL);
	if (!err) {
		pthread_detach(thread);
		return;
	}
	__atomic_store_n(&starter_runs, false, __ATOMIC_RELAXED);
	report_no_worker("all", err);
}

static void want_worker(struct retour_rcu_domain *domain)
{
	unsigned int none = WORKER_NONE;

	/* (l) pairs with (k): the end of the worker before. */
	if (worker_state(domain) != WORKER_NONE ||
	    !__atomic_compare_exchange_n(&domain->worker, &none, WORKER_WANTED, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return;
	if (mutant(lost_worker))
		return;
	/* (m) pairs with (n). */
	__atomic_store_n(&starter_wanted, 1, __ATOMIC_RELEASE);
	futex_wake(&starter_wanted, 1);
}

/* The worker of who may create one. */
static void start_worker(struct retour_rcu_domain *domain)
{
	sigset_t saved;
	int err = 0;

	if (worker_state(domain) == WORKER_RUNNING)
		return;
	domains_lock(&saved);
	if (worker_state(domain) != WORKER_RUNNING)
		err = create_worker(domain);
	domains_unlock(&saved);
	if (err)
		report_no_worker(domain->name, err);
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
	return !__atomic_load_n(&domain->queue, __ATOMIC_ACQUIRE) && !is_polled_for(domain) &&
	       !(seq_read(&domain->rounds) & SEQ_RUNNING) && !__atomic_load_n(&domain->batch, __ATOMIC_RELAXED);
}

/* Reports, and is true, if the caller is a callback of the domain, which may not wait for itself. */
static bool waits_for_itself(const struct retour_rcu_domain *domain, const void *where)
{
	if (!in_round(domain))
		return false;
	report(&(struct retour_rcu_report){
		.kind = RETOUR_RCU_DEADLOCK,
		.text = "a callback waits for the callbacks of its domain",
		.domain = domain->name,
		.tid = sys_gettid(),
		.where = where,
	});
	return true;
}

/* The round as in a worker. */
static bool run_round_here(struct retour_rcu_domain *domain)
{
	sigset_t saved;
	bool ran;

	sys_block_signals(&saved);
	ran = run_round(domain);
	sys_restore_signals(&saved);
	return ran;
}

static void wait_for_round(struct retour_rcu_domain *domain, unsigned long round)
{
	seq_want(&domain->rounds_wanted, round);
	start_worker(domain);
	wake_worker(domain);
	while (!seq_done(&domain->rounds, round)) {
		unsigned long seen = seq_read(&domain->rounds);

		if (worker_state(domain) != WORKER_RUNNING && run_round_here(domain))
			continue;
		if (!seq_done(&domain->rounds, round))
			seq_sleep(&domain->rounds, seen, 0);
	}
}

void callback_barrier(struct retour_rcu_domain *domain, const void *where)
{
	unsigned long round = seq_snap(&domain->rounds);

	if (mutant(barrier_early))
		round = (seq_read(&domain->rounds) & ~SEQ_STATE_MASK) + SEQ_STEP;
	if (!waits_for_itself(domain, where) && !callback_is_drained(domain))
		wait_for_round(domain, round);
}

/* Signals are blocked: in a child forked by a handler there is nobody to join. */
static void end_worker(struct retour_rcu_domain *domain)
{
	sigset_t saved, locked;
	bool runs;

	sys_block_signals(&saved);
	domains_lock(&locked);
	runs = worker_state(domain) == WORKER_RUNNING;
	if (!runs)
		__atomic_store_n(&domain->worker, WORKER_NONE, __ATOMIC_RELAXED);
	domains_unlock(&locked);
	if (runs) {
		/* (m) pairs with (n). */
		__atomic_store_n(&domain->stop, 1, __ATOMIC_RELEASE);
		wake_worker(domain);
		pthread_join((pthread_t)domain->thread, NULL);
		domain->stop = 0;
		/* (k) pairs with (l). */
		__atomic_store_n(&domain->worker, WORKER_NONE, __ATOMIC_RELEASE);
	}
	sys_restore_signals(&saved);
}

int callback_stop(struct retour_rcu_domain *domain, const void *where)
{
	unsigned long round = seq_snap(&domain->rounds);

	if (waits_for_itself(domain, where))
		return -EDEADLK;
	if (!callback_is_drained(domain))
		wait_for_round(domain, round);
	end_worker(domain);
	return 0;
}

void callback_after_fork(struct retour_rcu_domain *domain)
{
	seq_after_fork(&domain->gp);
	domain->gp_leader = 0;
	domain->idle = 0;
	domain->stop = 0;
	if (!in_round(domain))
		seq_after_fork(&domain->rounds);
	if (domain->worker == WORKER_RUNNING && !pthread_equal((pthread_t)domain->thread, pthread_self()))
		domain->worker = WORKER_WANTED;
	if (domain->worker == WORKER_WANTED)
		starter_wanted = 1;
}

/* When the domains are in order. */
static void restart(void)
{
	bool run = starter_runs || starter_wanted;

	starter_runs = false;
	if (run)
		retour_rcu_start_worker();
}

__attribute__((constructor(102))) static void callback_init(void)
{
	pthread_atfork(NULL, NULL, restart);
}
