/* SPDX-License-Identifier: MIT */
/* Callbacks: after the grace period, in order, from handlers, through barriers. */
#include <signal.h>

#include "domains.h"

static atomic_int called;

static void count(struct retour_rcu_head *head)
{
	called++;
}

TEST(a_callback_comes_after_the_readers)
{
	struct retour_rcu_head head;
	struct holder h;

	for_each_domain(d) {
		called = 0;
		holder_begin(&h, d);
		d->call(&head, count);
		sleep_ms(20);
		CHECK(called == 0);
		holder_end(&h);
		d->barrier();
		CHECK(called == 1);
	}
}

TEST(a_callback_comes_without_being_waited_for)
{
	struct retour_rcu_head head;

	for_each_domain(d) {
		called = 0;
		d->call(&head, count);
		CHECK(COMES(called == 1));
	}
}

struct numbered {
	struct retour_rcu_head head;
	int number;
};

static int last_number, out_of_order;

static void check_number(struct retour_rcu_head *head)
{
	int number = ((struct numbered *)head)->number;

	out_of_order += number != last_number + 1;
	last_number = number;
}

TEST(callbacks_come_in_order)
{
	enum { N = 10000 };
	static struct numbered items[N];

	for_each_domain(d) {
		last_number = 0;
		for (int i = 0; i < N; i++) {
			items[i].number = i + 1;
			d->call(&items[i].head, check_number);
		}
		d->barrier();
		CHECK(out_of_order == 0 && last_number == N);
	}
}

static const struct domain *handler_domain;

static void call_in_handler(int sig)
{
	static struct retour_rcu_head heads[3];

	handler_domain->call(&heads[handler_domain - domains], count);
}

TEST(the_first_call_may_come_from_a_handler)
{
	signal(SIGUSR1, call_in_handler);
	for_each_domain(d) {
		called = 0;
		handler_domain = d;
		raise(SIGUSR1);
		CHECK(COMES(called == 1));
	}
}

static int rounds_left;

static void call_again(struct retour_rcu_head *head)
{
	called++;
	if (--rounds_left > 0)
		retour_call_rcu(head, call_again);
}

TEST(a_callback_may_queue_itself)
{
	struct retour_rcu_head head;

	rounds_left = 10;
	retour_call_rcu(&head, call_again);
	CHECK(COMES(called == 10));
	retour_rcu_barrier();
}

static struct retour_rcu_report last_report;

static void keep_report(const struct retour_rcu_report *report, void *arg)
{
	last_report = *report;
}

static void wait_in_callback(struct retour_rcu_head *head)
{
	retour_rcu_barrier();
	called++;
}

TEST(a_barrier_in_a_callback_is_reported)
{
	struct retour_rcu_head head;

	retour_rcu_set_report(keep_report, NULL);
	retour_call_rcu(&head, wait_in_callback);
	retour_rcu_barrier();
	CHECK(called == 1);
	CHECK(last_report.kind == RETOUR_RCU_DEADLOCK && is_call_site(last_report.where));
}

static void *flood(void *arg)
{
	const struct domain *d = arg;

	for (int i = 0; i < 20000; i++)
		d->call(malloc(sizeof(struct retour_rcu_head)), (void (*)(struct retour_rcu_head *))free);
	return NULL;
}

TEST(a_flood_from_several_threads_drains)
{
	pthread_t threads[4];

	for_each_domain(d) {
		struct retour_rcu_head head;

		called = 0;
		for (int i = 0; i < 4; i++)
			CHECK(pthread_create(&threads[i], NULL, flood, (void *)d) == 0);
		for (int i = 0; i < 4; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		d->call(&head, count);
		d->barrier();
		CHECK(called == 1);
	}
}

TEST(a_domain_can_be_cleaned_up_and_prepared_again)
{
	struct retour_srcu_struct srcu;
	struct retour_rcu_head head;

	for (int i = 1; i <= 50; i++) {
		CHECK(retour_init_srcu_struct_fast(&srcu) == 0);
		retour_srcu_read_unlock_fast(&srcu, retour_srcu_read_lock_fast(&srcu));
		retour_call_srcu(&srcu, &head, count);
		CHECK(retour_cleanup_srcu_struct(&srcu) == 0);
		CHECK(called == i);
	}
}

int main(int argc, char **argv)
{
	return domains_main(argc, argv);
}
