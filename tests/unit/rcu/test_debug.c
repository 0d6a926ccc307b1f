/* SPDX-License-Identifier: MIT */
/* What a debug build reports; compiled with RETOUR_RCU_DEBUG. */
#include <signal.h>
#include <sys/syscall.h>

#include "domains.h"
#include "steps.h"

static int value, *pointer = &value;

static struct retour_rcu_report last;
static atomic_int reports;

static void keep_report(const struct retour_rcu_report *report, void *arg)
{
	last = *report;
	reports++;
}

/* The one report since the last call is of this kind, names this thread and a place in this program. */
static void expect(enum retour_rcu_report_kind kind, const char *domain)
{
	CHECK_U64(reports, 1);
	CHECK_U64(last.kind, kind);
	CHECK_STR(last.domain, domain);
	CHECK(last.tid == gettid());
	CHECK(is_call_site(last.where) && last.text);
	reports = 0;
}

TEST(correct_use_reports_nothing)
{
	struct retour_srcu_bank *a, *b;

	retour_rcu_set_report(keep_report, NULL);
	retour_rcu_read_lock();
	a = retour_srcu_read_lock_fast(&test_srcu);
	b = retour_rcu_read_lock_tasks_trace();
	CHECK(retour_rcu_dereference(pointer) == &value);
	CHECK(retour_srcu_dereference(pointer, &test_srcu) == &value);
	CHECK(retour_rcu_dereference_tasks_trace(pointer) == &value);
	/* Ends need not be in the order of beginnings. */
	retour_srcu_read_unlock_fast(&test_srcu, a);
	retour_rcu_read_unlock();
	retour_rcu_might_block();
	retour_rcu_read_unlock_tasks_trace(b);
	for_each_domain(d)
		d->synchronize();
	for (int i = 0; i < 20; i++)
		retour_rcu_read_lock();
	for (int i = 0; i < 20; i++)
		retour_rcu_read_unlock();
	CHECK(reports == 0);
}

TEST(dereference_outside_of_a_section)
{
	retour_rcu_set_report(keep_report, NULL);
	(void)retour_rcu_dereference(pointer);
	expect(RETOUR_RCU_DEREFERENCE, "retour_rcu");
	(void)retour_rcu_dereference_check(pointer, true);
	CHECK(reports == 0);
	retour_rcu_read_lock();
	(void)retour_srcu_dereference(pointer, &test_srcu);
	expect(RETOUR_RCU_DEREFERENCE, "test_srcu");
	retour_rcu_read_unlock();
}

static void read_wrongly(const struct retour_rcu_report *report, void *arg)
{
	keep_report(report, arg);
	if (reports < 100)
		(void)retour_rcu_dereference(pointer);
}

TEST(reports_do_not_lead_to_reports_for_ever)
{
	retour_rcu_set_report(read_wrongly, NULL);
	(void)retour_rcu_dereference(pointer);
	expect(RETOUR_RCU_DEREFERENCE, "retour_rcu");
	(void)retour_rcu_dereference(pointer);
	expect(RETOUR_RCU_DEREFERENCE, "retour_rcu");
}

TEST(unlock_without_lock)
{
	retour_rcu_set_report(keep_report, NULL);
	retour_rcu_read_lock_notrace();
	retour_rcu_read_unlock();
	expect(RETOUR_RCU_UNBALANCED, "retour_rcu");
}

TEST(unlock_of_another_domain)
{
	struct retour_srcu_bank *bank;

	retour_rcu_set_report(keep_report, NULL);
	bank = retour_srcu_read_lock_fast(&test_srcu);
	retour_rcu_read_unlock_tasks_trace(bank);
	expect(RETOUR_RCU_WRONG_DOMAIN, "retour_tasks");
}

TEST(reader_of_another_flavour)
{
	struct retour_srcu_struct updown;
	struct retour_srcu_bank *bank;

	CHECK(retour_init_srcu_struct_fast_updown(&updown) == 0);
	retour_rcu_set_report(keep_report, NULL);
	bank = retour_srcu_read_lock_fast(&updown);
	expect(RETOUR_RCU_WRONG_FLAVOUR, "&updown");
	retour_srcu_read_unlock_fast(&updown, bank);
	expect(RETOUR_RCU_WRONG_FLAVOUR, "&updown");
	CHECK(retour_cleanup_srcu_struct(&updown) == 0);
	for (int i = 0; i < 2; i++) {
		bank = retour_srcu_down_read_fast(&test_srcu);
		expect(RETOUR_RCU_WRONG_FLAVOUR, "test_srcu");
		retour_srcu_up_read_fast(&test_srcu, bank);
		expect(RETOUR_RCU_WRONG_FLAVOUR, "test_srcu");
	}
}

RETOUR_DEFINE_STATIC_SRCU_FAST_UPDOWN(handed);
RETOUR_DEFINE_STATIC_SRCU_FAST_UPDOWN(other);

TEST(sections_that_move_between_threads)
{
	struct retour_srcu_bank *bank, *foreign;

	retour_rcu_set_report(keep_report, NULL);
	CHECK(!retour_srcu_read_lock_held(&handed));
	(void)retour_srcu_dereference(pointer, &handed);
	expect(RETOUR_RCU_DEREFERENCE, "handed");
	bank = retour_srcu_down_read_fast(&handed);
	CHECK(retour_srcu_read_lock_held(&handed));
	(void)retour_srcu_dereference(pointer, &handed);
	foreign = retour_srcu_down_read_fast(&other);
	CHECK(reports == 0);
	retour_srcu_up_read_fast(&other, foreign);
	retour_srcu_up_read_fast(&handed, bank);
	CHECK(reports == 0);
	/* Counted nowhere where it does harm. */
	retour_srcu_up_read_fast(&handed, foreign);
	expect(RETOUR_RCU_WRONG_DOMAIN, "handed");
	retour_srcu_up_read_fast(&handed, bank);
	expect(RETOUR_RCU_UNBALANCED, "handed");
}

TEST(sections_of_other_threads_are_not_held)
{
	struct holder h;

	retour_rcu_set_report(keep_report, NULL);
	for_each_domain(d) {
		holder_begin(&h, d);
		CHECK(!d->held());
		d->unlock(d->lock());
		CHECK(!d->held());
		holder_end(&h);
	}
	CHECK(reports == 0);
}

TEST(sections_without_trace_are_held_where_threads_are_known)
{
	retour_rcu_set_report(keep_report, NULL);
	{
		retour_guard_rcu_notrace();
		retour_guard_rcu_tasks_trace_notrace();
		CHECK(retour_rcu_read_lock_held() && retour_rcu_read_lock_tasks_trace_held());
		(void)retour_rcu_dereference(pointer);
		(void)retour_rcu_dereference_tasks_trace(pointer);
	}
	(void)retour_rcu_dereference_notrace(pointer);
	(void)retour_srcu_dereference_notrace(pointer, &test_srcu);
	(void)retour_rcu_dereference_tasks_trace_notrace(pointer);
	(void)retour_srcu_dereference_check(pointer, &test_srcu, true);
	(void)retour_rcu_dereference_tasks_trace_check(pointer, true);
	CHECK(reports == 0);
	(void)retour_rcu_dereference_check(pointer, false);
	expect(RETOUR_RCU_DEREFERENCE, "retour_rcu");
	(void)retour_srcu_dereference_check(pointer, &test_srcu, false);
	expect(RETOUR_RCU_DEREFERENCE, "test_srcu");
	(void)retour_rcu_dereference_tasks_trace_check(pointer, false);
	expect(RETOUR_RCU_DEREFERENCE, "retour_tasks");
}

TEST(blocking_in_a_section)
{
	struct retour_srcu_bank *bank;

	retour_rcu_set_report(keep_report, NULL);
	retour_rcu_read_lock();
	retour_rcu_might_block();
	expect(RETOUR_RCU_BLOCKING, "retour_rcu");
	retour_synchronize_rcu_tasks_trace();
	expect(RETOUR_RCU_BLOCKING, "retour_rcu");
	retour_rcu_read_unlock();
	bank = retour_rcu_read_lock_tasks_trace();
	retour_rcu_might_block();
	CHECK(reports == 0);
	retour_rcu_read_unlock_tasks_trace(bank);
}

static struct retour_rcu_report from_thread;
static atomic_bool got_report;

static void keep_first(const struct retour_rcu_report *report, void *arg)
{
	if (!got_report)
		from_thread = *report;
	got_report = true;
}

static int inside_tid;

static void *synchronize_inside(void *arg)
{
	const struct domain *d = arg;

	inside_tid = gettid();
	d->lock();
	d->synchronize();
	return NULL;
}

TEST(waiting_for_callbacks_inside_a_section)
{
	static const char *const names[] = { "retour_rcu", "test_srcu", "retour_tasks" };

	retour_rcu_set_report(keep_report, NULL);
	for_each_domain(d) {
		void *cookie = d->lock();

		d->barrier();
		expect(RETOUR_RCU_DEADLOCK, names[d - domains]);
		CHECK(is_call_site(last.section));
		d->unlock(cookie);
		d->barrier();
		CHECK(reports == 0);
	}
	retour_rcu_read_lock();
	retour_srcu_barrier(&test_srcu);
	expect(RETOUR_RCU_BLOCKING, "retour_rcu");
	retour_rcu_read_unlock();
}

TEST(waiting_inside_a_section_of_the_same_domain)
{
	retour_rcu_set_report(keep_first, NULL);
	for_each_domain(d) {
		pthread_t thread;

		got_report = false;
		CHECK(pthread_create(&thread, NULL, synchronize_inside, (void *)d) == 0);
		while (!got_report)
			sleep_ms(1);
		CHECK(from_thread.kind == RETOUR_RCU_DEADLOCK && from_thread.tid == inside_tid);
		CHECK(is_call_site(from_thread.where) && is_call_site(from_thread.section));
	}
	_exit(0);
}

static pthread_key_t key;

static const struct domain *late_domain;

static void read_in_destructor(void *arg)
{
	/* The second time round the library's own destructor has run. */
	if (arg == &value)
		pthread_setspecific(key, &pointer);
	else
		late_domain->unlock(late_domain->lock());
}

static void *leave_destructor(void *arg)
{
	late_domain->unlock(late_domain->lock());
	pthread_setspecific(key, &value);
	return NULL;
}

TEST(a_reader_in_a_thread_torn_down)
{
	pthread_t thread;

	retour_rcu_set_report(keep_first, NULL);
	CHECK(pthread_key_create(&key, read_in_destructor) == 0);
	for_each_domain(d) {
		got_report = false;
		late_domain = d;
		CHECK(pthread_create(&thread, NULL, leave_destructor, NULL) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		CHECK(got_report && from_thread.kind == RETOUR_RCU_NOT_WATCHING);
		CHECK(is_call_site(from_thread.where));
	}
}

TEST(a_reader_in_a_child_before_its_repair)
{
	pid_t pid;
	int status;

	retour_rcu_set_report(keep_first, NULL);
	for_each_domain(d) {
		d->unlock(d->lock());
		CHECK(!got_report);
		/* A raw clone: no handler repairs anything. */
		pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		if (pid == 0) {
			d->unlock(d->lock());
			_exit(got_report && from_thread.kind == RETOUR_RCU_NOT_WATCHING &&
			      is_call_site(from_thread.where) ? 0 : 1);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

/* The table of sections, looked at and changed by a handler between any two instructions of its own. */
static long steps;

static void use_table(const void *pc)
{
	steps++;
	for_each_domain(d) {
		void *outer = d->lock(), *inner = d->lock();

		(void)retour_rcu_dereference_check(pointer, d->held());
		d->unlock(outer);
		d->unlock(inner);
	}
}

static void step_through_sections(void)
{
	steps_begin();
	for_each_domain(d) {
		void *outer = d->lock(), *inner = d->lock();

		d->unlock(outer);
		(void)retour_rcu_dereference_check(pointer, d->held());
		d->unlock(inner);
	}
	steps_end();
}

TEST(handlers_at_any_instruction_leave_the_table_as_it_was)
{
	if (!steps_init(use_table, 0))
		SKIP("single steps are made on x86-64 only");
	retour_rcu_set_report(keep_report, NULL);
	for_each_domain(d)
		d->unlock(d->lock());
	step_through_sections();
	CHECK(steps > 300);
	/* Everything fitted, and nothing is left. */
	CHECK(reports == 0);
	for_each_domain(d) {
		CHECK(!d->held());
		d->synchronize();
	}
	retour_rcu_might_block();
	CHECK(reports == 0);
}

TEST(the_stalled_section_is_named)
{
	for_each_domain(d) {
		struct holder h;
		unsigned long cookie;
		int tid;

		got_report = false;
		retour_rcu_set_report(keep_first, NULL);
		retour_rcu_set_stall_timeout(5);
		d->unlock(d->lock());
		holder_begin(&h, d);
		cookie = d->start_poll();
		while (!got_report)
			sleep_ms(1);
		tid = from_thread.tid;
		CHECK(from_thread.kind == RETOUR_RCU_STALL && from_thread.sections == 1);
		CHECK((char *)from_thread.where > (char *)d->lock && (char *)from_thread.where < (char *)d->lock + 400);
		CHECK(tid > 0 && tid != gettid() && syscall(SYS_tgkill, getpid(), tid, 0) == 0);
		holder_end(&h);
		d->cond(cookie);
	}
}

static void *leave_open(void *arg)
{
	*(int *)arg = gettid();
	srcu_lock();
	srcu_lock();
	return NULL;
}

/* Its counters know no threads, but the thread knows its sections. */
TEST(a_thread_that_ends_inside_is_reported_and_waited_for_no_more)
{
	pthread_t thread;
	int tid;

	retour_rcu_set_report(keep_report, NULL);
	for (int i = 1; i <= 3; i++) {
		CHECK(pthread_create(&thread, NULL, leave_open, &tid) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		CHECK(reports == 2 * i && last.kind == RETOUR_RCU_DEAD_READER && last.tid == tid && last.sections == 1);
		CHECK_STR(last.domain, "test_srcu");
		CHECK(is_call_site(last.where));
		CHECK(!retour_srcu_readers_active(&test_srcu));
		retour_synchronize_srcu(&test_srcu);
	}
}

static void *die_inside(void *arg)
{
	((const struct domain *)arg)->lock();
	return NULL;
}

TEST(a_dead_readers_section_is_named)
{
	retour_rcu_set_report(keep_report, NULL);
	for_each_domain(d) {
		pthread_t thread;

		reports = 0;
		last.where = NULL;
		CHECK(pthread_create(&thread, NULL, die_inside, (void *)d) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		d->synchronize();
		CHECK(reports == 1 && last.kind == RETOUR_RCU_DEAD_READER && is_call_site(last.where));
	}
}

static pthread_key_t late_key;

static void unlock_late(void *cookie)
{
	srcu_unlock(cookie);
}

static void *unlock_in_destructor(void *arg)
{
	pthread_setspecific(late_key, srcu_lock());
	return NULL;
}

TEST(a_section_may_end_in_a_destructor_of_the_thread)
{
	pthread_t thread;

	retour_rcu_set_report(keep_report, NULL);
	CHECK(pthread_key_create(&late_key, unlock_late) == 0);
	CHECK(pthread_create(&thread, NULL, unlock_in_destructor, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(reports == 0);
	retour_synchronize_srcu(&test_srcu);
	CHECK(!retour_srcu_readers_active(&test_srcu));
}

static atomic_int reported, misdirected;

static void expect_own_arg(const struct retour_rcu_report *r, void *arg)
{
	reported++;
	misdirected += arg != (void *)expect_own_arg;
}

static void expect_other_arg(const struct retour_rcu_report *r, void *arg)
{
	reported++;
	misdirected += arg != (void *)expect_other_arg;
}

static int redirect_at;

static void redirect(const void *pc)
{
	if (steps++ < redirect_at)
		return;
	retour_rcu_set_report(expect_other_arg, (void *)expect_other_arg);
	steps_end();
}

TEST(a_report_has_the_function_and_the_argument_of_one_call)
{
	void *nowhere = NULL;

	if (!steps_init(redirect, 0))
		SKIP("single steps are made on x86-64 only");
	for (redirect_at = 0; redirect_at < 300; redirect_at++) {
		steps = 0;
		retour_rcu_set_report(expect_own_arg, (void *)expect_own_arg);
		steps_begin();
		(void)retour_rcu_dereference(nowhere);
		steps_end();
	}
	CHECK(steps > 0 && reported == redirect_at && misdirected == 0);
}

int main(int argc, char **argv)
{
	return domains_main(argc, argv);
}
