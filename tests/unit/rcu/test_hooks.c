/* SPDX-License-Identifier: MIT */
/*
 * Hook points on the slow paths: what runs there uses every reader, and the
 * library's deferred work does not feed itself.
 */
#include <unistd.h>

#include "domains.h"

static atomic_int seen[RETOUR_RCU_EVENTS];
static __thread int depth;
static atomic_int deepest;

static void read_everywhere(void)
{
	for_each_domain(d) {
		void *cookie = d->lock();

		d->poll(d->get_state());
		d->unlock(cookie);
	}
}

#define HOOK(name, event)                                                      \
	static void name(const struct retour_rcu_domain *domain, unsigned long arg) \
	{                                                                      \
		seen[event]++;                                                 \
		if (++depth > deepest)                                         \
			deepest = depth;                                       \
		read_everywhere();                                             \
		depth--;                                                       \
	}

HOOK(on_claim, RETOUR_RCU_EVENT_READER_CLAIM)
HOOK(on_start, RETOUR_RCU_EVENT_GP_START)
HOOK(on_membarrier, RETOUR_RCU_EVENT_GP_MEMBARRIER)
HOOK(on_wait, RETOUR_RCU_EVENT_GP_WAIT)
HOOK(on_end, RETOUR_RCU_EVENT_GP_END)
HOOK(on_report, RETOUR_RCU_EVENT_QS_REPORT)
HOOK(on_call, RETOUR_RCU_EVENT_CALL)
HOOK(on_invoke, RETOUR_RCU_EVENT_INVOKE)

static const retour_rcu_hook_fn hooks[RETOUR_RCU_EVENTS] = {
	on_claim, on_start, on_membarrier, on_wait, on_end, on_report, on_call, on_invoke,
};

static atomic_int called;

static void count(struct retour_rcu_head *head)
{
	called++;
}

TEST(what_runs_on_a_hook_uses_every_reader)
{
	struct retour_rcu_head head;
	struct holder h;

	for (int i = 0; i < RETOUR_RCU_EVENTS; i++)
		retour_rcu_set_hook(i, hooks[i]);
	for (int i = 0; i < RETOUR_RCU_EVENTS; i++)
		CHECK(retour_rcu_set_hook(i, hooks[i]) == hooks[i]);
	for_each_domain(d) {
		int waits = seen[RETOUR_RCU_EVENT_GP_WAIT];
		unsigned long cookie;

		holder_begin(&h, d);
		cookie = d->start_poll();
		while (seen[RETOUR_RCU_EVENT_GP_WAIT] == waits)
			sleep_ms(1);
		holder_end(&h);
		d->cond(cookie);
		d->call(&head, count);
		d->barrier();
	}
	for (int i = 0; i < RETOUR_RCU_EVENTS; i++)
		CHECK(seen[i] > 0);
	CHECK(called == 3);
	CHECK(deepest == 1);
}

static atomic_bool stop;

static void *synchronize_always(void *arg)
{
	while (!stop)
		retour_synchronize_rcu_expedited();
	return NULL;
}

static atomic_int probes;

/* Longer than a grace period: when its section ends, the next one waits for it. */
static void long_probe(const struct retour_rcu_domain *domain, unsigned long arg)
{
	double until = seconds() + 0.002;

	probes++;
	if (++depth > deepest)
		deepest = depth;
	if (depth < 50) {
		retour_rcu_read_lock();
		while (seconds() < until)
			;
		retour_rcu_read_unlock();
	}
	depth--;
}

/* The kernel's loop: deferred work that reports a quiescent state, whose tracepoint makes the next. */
TEST(reports_do_not_trigger_reports_for_ever)
{
	pthread_t thread;
	double until;

	retour_rcu_set_hook(RETOUR_RCU_EVENT_QS_REPORT, long_probe);
	CHECK(pthread_create(&thread, NULL, synchronize_always, NULL) == 0);
	until = seconds() + 1;
	while (seconds() < until || probes < 50) {
		retour_rcu_read_lock();
		for (double end = seconds() + 0.0005; seconds() < end;)
			;
		retour_rcu_read_unlock();
	}
	stop = true;
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(deepest == 1);
}

static atomic_bool over, waited_in_vain;

static void wait_for_the_end(const struct retour_rcu_domain *domain, unsigned long arg)
{
	(void)COMES(over);
	waited_in_vain = !over;
}

TEST(a_hook_does_not_delay_the_report_that_it_is_about)
{
	struct holder h;

	retour_rcu_set_hook(RETOUR_RCU_EVENT_QS_REPORT, wait_for_the_end);
	holder_begin(&h, &domains[0]);
	retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_WAIT, on_wait);
	unsigned long cookie = retour_start_poll_synchronize_rcu();

	while (!seen[RETOUR_RCU_EVENT_GP_WAIT])
		sleep_ms(1);
	h.leave = true;
	retour_cond_synchronize_rcu(cookie);
	over = true;
	holder_end(&h);
	CHECK(!waited_in_vain);
}

TEST(the_notrace_pair_passes_no_hook)
{
	pthread_t thread;
	double until;

	CHECK(pthread_create(&thread, NULL, synchronize_always, NULL) == 0);
	retour_rcu_read_lock_notrace();
	retour_rcu_read_unlock_notrace();
	retour_rcu_set_hook(RETOUR_RCU_EVENT_QS_REPORT, on_report);
	until = seconds() + 0.3;
	while (seconds() < until) {
		retour_rcu_read_lock_notrace();
		for (double end = seconds() + 0.0005; seconds() < end;)
			;
		retour_rcu_read_unlock_notrace();
	}
	stop = true;
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(seen[RETOUR_RCU_EVENT_QS_REPORT] == 0);
}

int main(int argc, char **argv)
{
	return domains_main(argc, argv);
}
