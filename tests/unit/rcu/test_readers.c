/* SPDX-License-Identifier: MIT */
/* Readers: nesting, first use in handlers, threads that come and go, no memory. */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../filter.h"
#include "domains.h"

TEST(sections_nest)
{
	for_each_domain(d) {
		void *outer, *inner;

		CHECK(!d->held());
		outer = d->lock();
		inner = d->lock();
		CHECK(d->held());
		d->unlock(inner);
		CHECK(d->held());
		d->unlock(outer);
		CHECK(!d->held());
		d->synchronize();
	}
}

RETOUR_DEFINE_STATIC_SRCU_FAST_UPDOWN(test_updown);

TEST(guards_end_with_their_scope)
{
	{
		retour_guard_srcu_fast_updown(&test_updown);
		retour_guard_srcu_fast_updown_notrace(&test_updown);
		retour_guard_rcu();
		retour_guard_srcu_fast(&test_srcu);
		retour_guard_srcu_fast_notrace(&test_srcu);
		retour_guard_rcu_tasks_trace();
		retour_guard_rcu_notrace();
		retour_guard_rcu_tasks_trace_notrace();
		for_each_domain(d)
			CHECK(d->held());
		CHECK(retour_srcu_read_lock_held(&test_updown));
	}
	for_each_domain(d)
		CHECK(!d->held());
	CHECK(!retour_srcu_read_lock_held(&test_updown));
}

TEST(down_and_up_have_a_notrace_form)
{
	struct retour_srcu_bank *bank = retour_srcu_down_read_fast_notrace(&test_updown);

	CHECK(retour_srcu_readers_active(&test_updown));
	retour_srcu_up_read_fast_notrace(&test_updown, bank);
	CHECK(!retour_srcu_readers_active(&test_updown));
	retour_synchronize_srcu(&test_updown);
}

static atomic_int handled;

static void read_in_handler(int sig)
{
	for_each_domain(d) {
		void *cookie;

		errno = 12345;
		cookie = d->lock();
		if (!d->held())
			_exit(1);
		d->unlock(cookie);
		if (errno != 12345)
			_exit(1);
	}
	handled++;
}

static void install(int sig, int flags)
{
	struct sigaction action = { .sa_handler = read_in_handler, .sa_flags = flags };

	CHECK(sigaction(sig, &action, NULL) == 0);
}

TEST(a_handler_may_be_the_first_reader_of_the_process)
{
	install(SIGUSR1, 0);
	raise(SIGUSR1);
	CHECK(handled == 1);
	for_each_domain(d)
		d->synchronize();
}

static void *raise_first(void *arg)
{
	static char stack[64 * 1024];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) }, before;

	CHECK(sigaltstack(&alternate, &before) == 0);
	pthread_kill(pthread_self(), SIGUSR1);
	/* A sanitizer wants its own one back. */
	CHECK(sigaltstack(&before, NULL) == 0);
	return NULL;
}

TEST(a_handler_on_its_own_stack_may_be_the_first_reader_of_a_thread)
{
	pthread_t thread;

	install(SIGUSR1, SA_ONSTACK);
	CHECK(pthread_create(&thread, NULL, raise_first, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(handled == 1);
	for_each_domain(d)
		d->synchronize();
}

static void *read_once(void *arg)
{
	for_each_domain(d)
		d->unlock(d->lock());
	return NULL;
}

static void *read_and_wait(void *arg)
{
	for_each_domain(d)
		d->unlock(d->lock());
	pthread_barrier_wait(arg);
	return NULL;
}

TEST(many_threads_read_and_end_without_saying_so)
{
	enum { THREADS = 300 };
	static pthread_t threads[THREADS];
	pthread_barrier_t barrier;
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], &attr, read_and_wait, &barrier) == 0);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (int i = 0; i < 500; i++) {
		CHECK(pthread_create(&threads[0], &attr, read_once, NULL) == 0);
		CHECK(pthread_join(threads[0], NULL) == 0);
	}
	for_each_domain(d)
		d->synchronize();
}

static unsigned long membarriers;

static void count_membarrier(const struct retour_rcu_domain *domain, unsigned long arg)
{
	membarriers++;
}

TEST(a_thread_that_ended_costs_no_membarrier)
{
	pthread_t thread;

	retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_MEMBARRIER, count_membarrier);
	CHECK(pthread_create(&thread, NULL, read_once, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	retour_synchronize_rcu();
	CHECK_U64(membarriers, 0);
}

static struct retour_rcu_report last_report;
static atomic_int reports;

static void keep_report(const struct retour_rcu_report *report, void *arg)
{
	last_report = *report;
	reports++;
}

/* The domains that know their readers' threads. */
#define for_each_bound_domain(d) for (const struct domain *d = domains; d < domains + 3; d += 2)

struct mortal {
	const struct domain *domain;
	atomic_int tid;
	atomic_bool die;
};

static void *die_inside(void *arg)
{
	struct mortal *m = arg;

	m->domain->lock();
	m->domain->lock();
	m->tid = gettid();
	while (!m->die)
		sleep_ms(1);
	return NULL;
}

TEST(a_thread_that_died_inside_is_reported_and_waited_for_no_more)
{
	retour_rcu_set_report(keep_report, NULL);
	for_each_bound_domain(d) {
		struct mortal m = { .domain = d, .die = true };
		pthread_t thread;

		reports = 0;
		CHECK(pthread_create(&thread, NULL, die_inside, &m) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		d->synchronize();
		CHECK(reports == 1);
		CHECK(last_report.kind == RETOUR_RCU_DEAD_READER);
		CHECK(last_report.tid == m.tid && last_report.sections == 2);
		d->synchronize();
		CHECK(reports == 1);
		CHECK(!d->held());
	}
}

static void *die_inside_both(void *arg)
{
	for_each_bound_domain(d)
		d->lock();
	return NULL;
}

TEST(a_thread_that_died_inside_several_domains_is_reported_for_each)
{
	pthread_t thread;

	retour_rcu_set_report(keep_report, NULL);
	for (int i = 0; i < 100; i++) {
		CHECK(pthread_create(&thread, NULL, die_inside_both, NULL) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		if (i % 2)
			continue;
		retour_synchronize_rcu();
		retour_synchronize_rcu_tasks_trace();
	}
	retour_synchronize_rcu_tasks_trace();
	retour_synchronize_rcu();
	CHECK(reports == 200);
}

static void *synchronize_and_tell(void *arg)
{
	const struct domain *d = arg;

	d->synchronize();
	_exit(reports == 1 && last_report.kind == RETOUR_RCU_DEAD_READER && last_report.tid == getpid() ? 0 : 1);
}

/* It stays, as a zombie, till the process ends. */
TEST(the_first_thread_may_die_inside)
{
	retour_rcu_set_report(keep_report, NULL);
	for_each_bound_domain(d) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			pthread_t thread;

			alarm(40);
			d->lock();
			CHECK(pthread_create(&thread, NULL, synchronize_and_tell, (void *)d) == 0);
			pthread_exit(NULL);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

static void *set_after_a_while(void *arg)
{
	sleep_ms(50);
	*(atomic_bool *)arg = true;
	return NULL;
}

/* How long it is waited for, in seconds. */
static double wait_for_death(const struct domain *d)
{
	struct mortal m = { .domain = d };
	pthread_t dying, other;
	double start;

	reports = 0;
	CHECK(pthread_create(&dying, NULL, die_inside, &m) == 0);
	while (!m.tid)
		sched_yield();
	sleep_ms(5);
	CHECK(pthread_create(&other, NULL, set_after_a_while, &m.die) == 0);
	start = seconds();
	d->synchronize();
	start = seconds() - start;
	CHECK(m.die);
	CHECK(reports == 1 && last_report.kind == RETOUR_RCU_DEAD_READER && last_report.tid == m.tid);
	pthread_join(dying, NULL);
	pthread_join(other, NULL);
	return start;
}

/* The kernel tells of readers with a futex at once, if the machine is not too busy; the others are looked at every second. */
TEST(a_thread_that_dies_while_it_is_waited_for_is_reported)
{
	bool at_once = false;

	retour_rcu_set_report(keep_report, NULL);
	for (int i = 0; i < 20 && !at_once; i++)
		at_once = wait_for_death(domains) < 0.9;
	CHECK(at_once);
	wait_for_death(&domains[2]);
}

TEST(a_thread_that_forked_inside_may_die_inside)
{
	retour_rcu_set_report(keep_report, NULL);
	for_each_bound_domain(d) {
		int status;
		pid_t pid;

		d->lock();
		pid = fork();
		if (pid == 0) {
			struct mortal m = { .domain = d, .die = true };
			pthread_t thread;

			/* Those of other threads are told apart from what only the parent has. */
			CHECK(pthread_create(&thread, NULL, die_inside, &m) == 0);
			CHECK(pthread_join(thread, NULL) == 0);
			if (d == domains)
				retour_rcu_read_unlock();
			d->synchronize();
			_exit(last_report.kind == RETOUR_RCU_DEAD_READER && last_report.tid == m.tid ? 0 : 1);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

struct starved {
	pthread_barrier_t all_started, limit_set, limit_lifted;
	int n;
	atomic_int in;
	atomic_bool leave;
};

static void *read_without_memory(void *arg)
{
	struct starved *s = arg;
	struct retour_srcu_bank *bank, *trace;

	pthread_barrier_wait(&s->all_started);
	pthread_barrier_wait(&s->limit_set);
	CHECK(!retour_rcu_read_lock_tasks_trace_held());
	trace = retour_rcu_read_lock_tasks_trace();
	CHECK(retour_rcu_read_lock_tasks_trace_held());
	retour_rcu_read_lock();
	retour_rcu_read_lock();
	bank = retour_srcu_read_lock_fast(&test_srcu);
	CHECK(retour_rcu_read_lock_held());
	s->in++;
	while (!s->leave)
		sleep_ms(1);
	/* Those for whom there is no record are waited for, too. */
	if (!retour_rcu_reader)
		sleep_ms(20);
	s->in--;
	retour_srcu_read_unlock_fast(&test_srcu, bank);
	retour_rcu_read_unlock();
	retour_rcu_read_unlock();
	retour_rcu_read_unlock_tasks_trace(trace);
	/* Others still are. */
	CHECK(!retour_rcu_read_lock_tasks_trace_held());
	pthread_barrier_wait(&s->limit_lifted);
	return NULL;
}

static void *leave_soon(void *arg)
{
	struct starved *s = arg;

	while (s->in < s->n)
		sleep_ms(1);
	sleep_ms(30);
	s->leave = true;
	pthread_barrier_wait(&s->limit_lifted);
	return NULL;
}

TEST(readers_do_without_memory)
{
	enum { THREADS = 100 };
	static struct starved s = { .n = THREADS };
	pthread_t threads[THREADS], last;
	struct rlimit none = { 0, RLIM_INFINITY }, before;

#ifdef __SANITIZE_ADDRESS__
	SKIP("the sanitizer maps memory of its own");
#endif
	pthread_barrier_init(&s.all_started, NULL, THREADS + 1);
	pthread_barrier_init(&s.limit_set, NULL, THREADS + 1);
	pthread_barrier_init(&s.limit_lifted, NULL, THREADS + 2);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, read_without_memory, &s) == 0);
	CHECK(pthread_create(&last, NULL, leave_soon, &s) == 0);
	pthread_barrier_wait(&s.all_started);
	CHECK(getrlimit(RLIMIT_AS, &before) == 0 && setrlimit(RLIMIT_AS, &none) == 0);
	pthread_barrier_wait(&s.limit_set);
	while (s.in < THREADS && !s.leave)
		sched_yield();
	retour_synchronize_rcu();
	CHECK(s.leave && s.in == 0);
	retour_synchronize_srcu(&test_srcu);
	CHECK(setrlimit(RLIMIT_AS, &before) == 0);
	pthread_barrier_wait(&s.limit_lifted);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	pthread_join(last, NULL);
}

static sem_t has_read, may_leave;

static void *count_questions(void *arg)
{
	CHECK(signal(SIGSYS, count_system_call) != SIG_ERR);
	if (FILTER(0, SECCOMP_RET_ALLOW, FILTER_JUMP(SYS_tgkill, 0, 1), FILTER_RETURN(SECCOMP_RET_TRAP)))
		SKIP("no seccomp filters here");
	system_calls = 0;
	retour_rcu_read_lock();
	retour_rcu_read_unlock();
	*(int *)arg = system_calls;
	sem_post(&has_read);
	sem_wait(&may_leave);
	return NULL;
}

TEST(a_first_section_asks_for_few_of_the_threads)
{
	enum { THREADS = 200 };
	pthread_t threads[THREADS];
	int questions[THREADS];

	sem_init(&has_read, 0, 0);
	sem_init(&may_leave, 0, 0);
	for (int i = 0; i < THREADS; i++) {
		CHECK(pthread_create(&threads[i], NULL, count_questions, &questions[i]) == 0);
		sem_wait(&has_read);
		CHECK(questions[i] <= 2);
	}
	for (int i = 0; i < THREADS; i++)
		sem_post(&may_leave);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(int argc, char **argv)
{
	return domains_main(argc, argv);
}
