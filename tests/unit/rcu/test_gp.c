/* SPDX-License-Identifier: MIT */
/* Grace periods: what they wait for, what they cost, what polling sees. */
#include <errno.h>

#include "domains.h"

static unsigned long membarriers, starts;

static void count_membarrier(const struct retour_rcu_domain *domain, unsigned long arg)
{
	__atomic_fetch_add(&membarriers, 1, __ATOMIC_RELAXED);
}

static void count_start(const struct retour_rcu_domain *domain, unsigned long arg)
{
	__atomic_fetch_add(&starts, 1, __ATOMIC_RELAXED);
}

static void *end_soon(void *arg)
{
	sleep_ms(20);
	((struct holder *)arg)->leave = true;
	return NULL;
}

static void waits_for_a_reader(void (*synchronize)(void), const struct domain *d)
{
	struct holder h;
	pthread_t other;

	holder_begin(&h, d);
	CHECK(pthread_create(&other, NULL, end_soon, &h) == 0);
	synchronize();
	CHECK(h.left);
	holder_end(&h);
	pthread_join(other, NULL);
}

TEST(synchronize_waits_for_readers)
{
	for_each_domain(d)
		waits_for_a_reader(d->synchronize, d);
}

TEST(synchronize_expedited_waits_for_readers)
{
	for_each_domain(d)
		waits_for_a_reader(d->expedited, d);
}

TEST(a_reader_of_another_domain_is_not_waited_for)
{
	struct holder h;

	for_each_domain(d) {
		holder_begin(&h, d);
		for_each_domain(other)
			if (other != d)
				other->synchronize();
		CHECK(!h.left);
		holder_end(&h);
	}
}

static atomic_int waits;

static void note_wait(const struct retour_rcu_domain *domain, unsigned long arg)
{
	waits++;
}

/* A cookie whose grace period waits for a reader, so that it has seen whom it waits for. */
static unsigned long start_waiting(const struct domain *d)
{
	unsigned long cookie;

	waits = 0;
	retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_WAIT, note_wait);
	cookie = d->start_poll();
	while (!waits)
		sleep_ms(1);
	return cookie;
}

TEST(a_later_reader_is_not_waited_for)
{
	struct holder first, later;
	unsigned long cookie;

	for_each_domain(d) {
		holder_begin(&first, d);
		cookie = start_waiting(d);
		holder_begin(&later, d);
		CHECK(!d->poll(cookie));
		holder_end(&first);
		CHECK(COMES(d->poll(cookie)));
		CHECK(!later.left);
		holder_end(&later);
	}
}

TEST(without_readers_there_is_no_membarrier)
{
	retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_MEMBARRIER, count_membarrier);
	for_each_domain(d)
		d->synchronize();
	/* Only this thread ever reads, and no other can without being seen. */
	retour_rcu_read_lock();
	retour_rcu_read_unlock();
	retour_synchronize_rcu();
	CHECK_U64(membarriers, 0);
}

TEST(a_grace_period_takes_two_membarriers_at_most)
{
	struct holder h[3], reader;

	retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_MEMBARRIER, count_membarrier);
	for_each_domain(d) {
		/* Were there no thread left that ever read, there would be no need for any. */
		holder_begin(&reader, d == domains ? &domains[2] : domains);
		for (int i = 0; i < 20; i++) {
			for (int k = 0; k < 3; k++)
				holder_begin(&h[k], d);
			for (int k = 0; k < 3; k++)
				h[k].leave = true;
			membarriers = 0;
			d->synchronize();
			CHECK(membarriers >= 1 && membarriers <= 2);
			for (int k = 0; k < 3; k++)
				holder_end(&h[k]);
		}
		holder_end(&reader);
	}
}

struct updater {
	const struct domain *domain;
	atomic_int tid;		/* once it is about to wait */
};

static void *updater_main(void *arg)
{
	struct updater *u = arg;

	u->tid = gettid();
	u->domain->synchronize();
	return NULL;
}

static bool all_wait(struct updater *updaters, int n)
{
	for (int i = 0; i < n; i++)
		if (!updaters[i].tid || !task_sleeps(updaters[i].tid))
			return false;
	return true;
}

TEST(updaters_share_grace_periods)
{
	enum { UPDATERS = 20 };
	struct updater updaters[UPDATERS];
	pthread_t threads[UPDATERS];
	struct holder h;

	retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_START, count_start);
	for_each_domain(d) {
		holder_begin(&h, d);
		starts = 0;
		for (int i = 0; i < UPDATERS; i++) {
			updaters[i] = (struct updater){ .domain = d };
			CHECK(pthread_create(&threads[i], NULL, updater_main, &updaters[i]) == 0);
		}
		while (!all_wait(updaters, UPDATERS))
			sleep_ms(1);
		holder_end(&h);
		for (int i = 0; i < UPDATERS; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		/* The first one leads; those that came while it waited share the next. */
		CHECK(starts >= 2 && starts <= 3);
	}
}

TEST(a_cookie_is_complete_after_a_grace_period_and_not_before)
{
	struct holder h;

	for_each_domain(d) {
		unsigned long cookie = d->get_state();

		CHECK(!d->poll(cookie));
		d->synchronize();
		CHECK(d->poll(cookie));
		CHECK(!d->poll(d->get_state()));
		d->cond(cookie);
		holder_begin(&h, d);
		cookie = d->start_poll();
		sleep_ms(20);
		CHECK(!d->poll(cookie));
		holder_end(&h);
		d->cond(cookie);
		CHECK(d->poll(cookie));
	}
	CHECK(retour_poll_state_synchronize_rcu(retour_get_completed_synchronize_rcu()));
}

TEST(a_running_grace_period_does_not_count_for_a_new_cookie)
{
	struct holder first, second;
	unsigned long before, during;

	for_each_domain(d) {
		holder_begin(&first, d);
		before = start_waiting(d);
		holder_begin(&second, d);
		during = d->start_poll();
		holder_end(&first);
		d->cond(before);
		CHECK(!d->poll(during));
		CHECK(!second.left);
		holder_end(&second);
		d->cond(during);
	}
}

TEST(a_polled_grace_period_comes_without_being_waited_for)
{
	for_each_domain(d) {
		unsigned long cookie = d->start_poll();

		CHECK(COMES(d->poll(cookie)));
	}
}

#define CHECK_FULL_FORMS(word, ...)                                            \
	do {                                                                   \
		struct retour_rcu_gp_oldstate state, same, complete;           \
		retour_get_state_synchronize_##word##_full(__VA_ARGS__ __VA_OPT__(, ) &state); \
		same = state;                                                  \
		CHECK(retour_same_state_synchronize_rcu_full(&state, &same));  \
		CHECK(!retour_poll_state_synchronize_##word##_full(__VA_ARGS__ __VA_OPT__(, ) &state)); \
		retour_cond_synchronize_##word##_full(__VA_ARGS__ __VA_OPT__(, ) &state); \
		CHECK(retour_poll_state_synchronize_##word##_full(__VA_ARGS__ __VA_OPT__(, ) &state)); \
		retour_start_poll_synchronize_##word##_full(__VA_ARGS__ __VA_OPT__(, ) &state); \
		CHECK(!retour_same_state_synchronize_rcu_full(&state, &same)); \
		retour_cond_synchronize_##word##_expedited_full(__VA_ARGS__ __VA_OPT__(, ) &state); \
		CHECK(retour_poll_state_synchronize_##word##_full(__VA_ARGS__ __VA_OPT__(, ) &state)); \
		retour_start_poll_synchronize_##word##_expedited_full(__VA_ARGS__ __VA_OPT__(, ) &state); \
		CHECK(COMES(retour_poll_state_synchronize_##word##_full(__VA_ARGS__ __VA_OPT__(, ) &state))); \
		retour_get_completed_synchronize_rcu_full(&complete);          \
		CHECK(retour_poll_state_synchronize_##word##_full(__VA_ARGS__ __VA_OPT__(, ) &complete)); \
	} while (0)

TEST(full_cookies_are_cookies)
{
	CHECK_FULL_FORMS(rcu);
	CHECK_FULL_FORMS(srcu, &test_srcu);
	CHECK_FULL_FORMS(rcu_tasks_trace);
}

TEST(a_polled_grace_period_may_be_expedited)
{
	unsigned long cookie = retour_start_poll_synchronize_rcu_expedited();

	CHECK(retour_same_state_synchronize_rcu(cookie, cookie));
	retour_cond_synchronize_rcu_expedited(cookie);
	CHECK(retour_poll_state_synchronize_rcu(cookie));
	/* Whose leader is in a hurry until it is over, and not after. */
	cookie = retour_start_poll_synchronize_srcu_expedited(&test_srcu);
	CHECK_U64(test_srcu.domain.gp_expedited, cookie);
	retour_cond_synchronize_srcu_expedited(&test_srcu, cookie);
	cookie = retour_start_poll_synchronize_srcu(&test_srcu);
	retour_cond_synchronize_srcu(&test_srcu, cookie);
	CHECK((long)(test_srcu.domain.gp_expedited - cookie) < 0);
}

static void *up(void *arg)
{
	sleep_ms(20);
	*(volatile bool *)((void **)arg)[1] = true;
	retour_srcu_up_read_fast(((void **)arg)[2], ((void **)arg)[0]);
	return NULL;
}

TEST(a_section_may_end_in_another_thread)
{
	struct retour_srcu_struct srcu;
	volatile bool left = false;
	pthread_t thread;

	CHECK(retour_init_srcu_struct_fast_updown(&srcu) == 0);
	void *args[] = { retour_srcu_down_read_fast(&srcu), (void *)&left, &srcu };

	CHECK(retour_cleanup_srcu_struct(&srcu) == -EBUSY);
	CHECK(pthread_create(&thread, NULL, up, args) == 0);
	retour_synchronize_srcu(&srcu);
	CHECK(left);
	pthread_join(thread, NULL);
	CHECK(retour_cleanup_srcu_struct(&srcu) == 0);
}

static struct retour_rcu_report last_report;
static atomic_int reports;
static const void *where;

static void keep_report(const struct retour_rcu_report *report, void *arg)
{
	last_report = *report;
	if (report->where)
		where = report->where;
	reports++;
}

/* Several times: where the reader is, is not known while it runs. */
static void *end_when_reported(void *arg)
{
	(void)COMES(reports >= 10);
	((struct holder *)arg)->leave = true;
	return NULL;
}

TEST(a_stall_is_reported_with_the_readers_thread)
{
	retour_rcu_set_report(keep_report, NULL);
	retour_rcu_set_stall_timeout(5);
	for_each_domain(d) {
		struct holder h;
		pthread_t other;

		reports = 0;
		holder_begin(&h, d);
		CHECK(pthread_create(&other, NULL, end_when_reported, &h) == 0);
		d->synchronize();
		holder_end(&h);
		CHECK(pthread_join(other, NULL) == 0);
		CHECK(reports >= 1);
		CHECK(last_report.kind == RETOUR_RCU_STALL && last_report.duration_ms >= 5);
		CHECK_U64(last_report.sections, 1);
		/* Per-CPU counters know no threads. */
		if (!strcmp(d->name, "retour_srcu"))
			CHECK(last_report.tid == 0);
		else
			CHECK(last_report.tid > 0 && last_report.tid != gettid() && where);
	}
}

TEST(a_stall_timeout_may_be_as_long_as_one_likes)
{
	static const unsigned long never[] = { 0, ~0UL, ~0UL / 2, ~0UL / 1000000 + 1 };

	retour_rcu_set_report(keep_report, NULL);
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
		retour_rcu_set_stall_timeout(never[i]);
		for_each_domain(d)
			waits_for_a_reader(d->synchronize, d);
		CHECK(reports == 0);
	}
}

static void *synchronize_inside(void *arg)
{
	const struct domain *d = arg;

	d->lock();
	d->synchronize();
	return NULL;
}

TEST(who_waits_for_itself_is_told)
{
	retour_rcu_set_report(keep_report, NULL);
	for_each_domain(d) {
		pthread_t thread;

		reports = 0;
		if (!strcmp(d->name, "retour_srcu"))
			continue;
		CHECK(pthread_create(&thread, NULL, synchronize_inside, (void *)d) == 0);
		while (!reports)
			sleep_ms(1);
		CHECK(last_report.kind == RETOUR_RCU_DEADLOCK && last_report.tid != gettid() && is_call_site(last_report.where));
	}
	_exit(0);
}

TEST(a_first_reader_of_the_wrong_flavour_is_reported)
{
	struct retour_srcu_struct fast, updown;

	retour_rcu_set_report(keep_report, NULL);
	CHECK(retour_init_srcu_struct_fast(&fast) == 0);
	CHECK(retour_init_srcu_struct_fast_updown(&updown) == 0);
	retour_srcu_read_unlock_fast(&test_srcu, retour_srcu_read_lock_fast(&test_srcu));
	CHECK(reports == 0);
	retour_srcu_up_read_fast(&fast, retour_srcu_down_read_fast(&fast));
	CHECK(reports == 1 && last_report.kind == RETOUR_RCU_WRONG_FLAVOUR && is_call_site(last_report.where));
	CHECK_STR(last_report.domain, "&fast");
	retour_srcu_read_unlock_fast(&updown, retour_srcu_read_lock_fast(&updown));
	CHECK(reports == 2 && last_report.kind == RETOUR_RCU_WRONG_FLAVOUR);
	CHECK_STR(last_report.domain, "&updown");
	CHECK(retour_cleanup_srcu_struct(&fast) == 0);
	CHECK(retour_cleanup_srcu_struct(&updown) == 0);
	CHECK(retour_init_srcu_struct_named(&fast, "neither", (enum retour_srcu_flavour)2) == -EINVAL);
}

TEST(a_reader_of_the_wrong_flavour_is_reported_also_if_it_is_not_the_first)
{
	struct retour_srcu_struct fast, updown;

	retour_rcu_set_report(keep_report, NULL);
	CHECK(retour_init_srcu_struct_fast(&fast) == 0);
	CHECK(retour_init_srcu_struct_fast_updown(&updown) == 0);
	retour_srcu_read_unlock_fast(&fast, retour_srcu_read_lock_fast(&fast));
	retour_srcu_read_unlock_fast_updown(&updown, retour_srcu_read_lock_fast_updown(&updown));
	retour_srcu_up_read_fast(&updown, retour_srcu_down_read_fast(&updown));
	CHECK(reports == 0);
	retour_srcu_read_unlock_fast_updown(&fast, retour_srcu_read_lock_fast_updown(&fast));
	CHECK(reports == 1 && last_report.kind == RETOUR_RCU_WRONG_FLAVOUR && last_report.tid == gettid());
	CHECK(is_call_site(last_report.where));
	retour_srcu_read_unlock_fast(&updown, retour_srcu_read_lock_fast(&updown));
	CHECK(reports == 2);
	CHECK_STR(last_report.domain, "&updown");
	/* The first suffices. */
	retour_srcu_read_unlock_fast(&updown, retour_srcu_read_lock_fast(&updown));
	CHECK(reports == 2);
	CHECK(retour_cleanup_srcu_struct(&fast) == 0);
	CHECK(retour_cleanup_srcu_struct(&updown) == 0);
}

static void *misuse_notrace(void *arg)
{
	retour_srcu_read_unlock_fast_notrace(arg, retour_srcu_read_lock_fast_notrace(arg));
	return (void *)(long)gettid();
}

TEST(a_notrace_reader_of_the_wrong_flavour_is_reported_later)
{
	struct retour_srcu_struct updown;
	pthread_t thread;
	void *tid;

	retour_rcu_set_report(keep_report, NULL);
	for (int i = 0; i < 2; i++) {
		CHECK(retour_init_srcu_struct_fast_updown(&updown) == 0);
		CHECK(pthread_create(&thread, NULL, misuse_notrace, &updown) == 0);
		CHECK(pthread_join(thread, &tid) == 0);
		CHECK(reports == i);
		if (i == 0)
			retour_synchronize_srcu(&updown);
		CHECK(retour_cleanup_srcu_struct(&updown) == 0);
		CHECK(reports == i + 1 && last_report.kind == RETOUR_RCU_WRONG_FLAVOUR);
		CHECK(last_report.tid == (long)tid && is_call_site(last_report.where));
	}
}

int main(int argc, char **argv)
{
	return domains_main(argc, argv);
}
