/* SPDX-License-Identifier: MIT */
/* The tracepoints of RCU's slow paths: each fires, and their probes may use every reader. */
#include <pthread.h>

#include "retour/rcu.h"
#include "retour/trace_rcu.h"
#include "unit/test.h"

RETOUR_TRACEPOINT(app, nested, (const char *, domain));

static int fired[8], nested, called;

static void use_readers(int event, const char *domain)
{
	struct retour_srcu_bank *bank = retour_srcu_read_lock_fast(&retour_tracepoint_srcu);
	struct retour_srcu_bank *trace = retour_rcu_read_lock_tasks_trace();

	retour_rcu_read_lock();
	CHECK(domain && *domain);
	__atomic_fetch_add(&fired[event], 1, __ATOMIC_RELAXED);
	trace_app_nested(domain);
	retour_rcu_read_unlock();
	retour_rcu_read_unlock_tasks_trace(trace);
	retour_srcu_read_unlock_fast(&retour_tracepoint_srcu, bank);
}

#define PROBE(name, number, type)                                              \
	static void on_##name(void *data, const char *domain, type arg)        \
	{                                                                      \
		use_readers(number, domain);                                   \
	}
PROBE(claim, 0, int)
PROBE(start, 1, unsigned long)
PROBE(membarrier, 2, unsigned long)
PROBE(wait, 3, int)
PROBE(end, 4, unsigned long)
PROBE(report, 5, int)
PROBE(call, 6, struct retour_rcu_head *)
PROBE(invoke, 7, struct retour_rcu_head *)

static void on_nested(void *data, const char *domain)
{
	__atomic_fetch_add(&nested, 1, __ATOMIC_RELAXED);
}

static void register_all(void)
{
	retour_static_key_batch_begin();
	CHECK(register_trace_retour_rcu_reader_claim(on_claim, NULL) == 0);
	CHECK(register_trace_retour_rcu_gp_start(on_start, NULL) == 0);
	CHECK(register_trace_retour_rcu_gp_membarrier(on_membarrier, NULL) == 0);
	CHECK(register_trace_retour_rcu_gp_wait(on_wait, NULL) == 0);
	CHECK(register_trace_retour_rcu_gp_end(on_end, NULL) == 0);
	CHECK(register_trace_retour_rcu_qs_report(on_report, NULL) == 0);
	CHECK(register_trace_retour_rcu_call(on_call, NULL) == 0);
	CHECK(register_trace_retour_rcu_invoke(on_invoke, NULL) == 0);
	CHECK(register_trace_app_nested(on_nested, NULL) == 0);
	CHECK(retour_static_key_batch_end() == 0);
}

static bool reading;

static void *read_for_a_while(void *arg)
{
	retour_rcu_read_lock();
	__atomic_store_n(&reading, true, __ATOMIC_RELEASE);
	usleep(30000);
	retour_rcu_read_unlock();
	return NULL;
}

static void count(struct retour_rcu_head *head)
{
	called++;
}

/* All of RCU's slow paths. */
static void exercise(void)
{
	struct retour_rcu_head head;
	pthread_t thread;

	reading = false;
	CHECK(pthread_create(&thread, NULL, read_for_a_while, NULL) == 0);
	while (!__atomic_load_n(&reading, __ATOMIC_ACQUIRE))
		usleep(100);
	retour_synchronize_rcu();
	retour_call_rcu(&head, count);
	retour_rcu_barrier();
	retour_synchronize_rcu_tasks_trace();
	CHECK(pthread_join(thread, NULL) == 0);
}

TEST(each_fires_and_its_probe_may_read)
{
	register_all();
	exercise();
	CHECK(called == 1);
	for (int i = 0; i < 8; i++)
		CHECK(fired[i] > 0);
	CHECK(nested > 0);
}

TEST(a_probe_of_the_tracepoints_own_domain_ends)
{
	int before;

	register_all();
	/* Grace periods of the domain under which the probes themselves run. */
	for (int i = 0; i < 20; i++)
		retour_tracepoint_synchronize_unregister();
	CHECK(unregister_trace_retour_rcu_gp_start(on_start, NULL) == 0);
	retour_tracepoint_synchronize_unregister();
	before = fired[1];
	exercise();
	CHECK(fired[1] == before);
	CHECK(fired[4] > 20);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
