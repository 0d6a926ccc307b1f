/* SPDX-License-Identifier: MIT */
/* What the kernel does with threads: priorities, filters, debuggers. */
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "domains.h"
#include "unit/filter.h"

static bool run_as(int policy, int priority)
{
	struct sched_param param = { .sched_priority = priority };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	return sched_setaffinity(0, sizeof(one), &one) == 0 &&
	       pthread_setschedparam(pthread_self(), policy, &param) == 0;
}

static atomic_bool in_section, hog_runs, hog_ended, stop_hog;
static atomic_long priority_inside, priority_after;	/* of the reader, negative: real-time */

static void *low_reader(void *arg)
{
	CHECK(run_as(SCHED_OTHER, 0));
	retour_rcu_read_lock();
	in_section = true;
	while (!hog_runs)
		sched_yield();
	/* Needs the CPU that the hog has. */
	do
		priority_inside = task_priority();
	while (priority_inside >= 0 && !hog_ended);
	retour_rcu_read_unlock();
	priority_after = task_priority();
	return NULL;
}

static void *hog(void *arg)
{
	double until;

	CHECK(run_as(SCHED_FIFO, 10));
	hog_runs = true;
	until = seconds() + 3;
	while (!stop_hog && seconds() < until)
		;
	hog_ended = true;
	return NULL;
}

/* The reader ends its section when it is lent a priority, or has the CPU because the hog has given up. */
static void check_boost(pthread_t reader)
{
	pthread_t middle;

	CHECK(pthread_create(&middle, NULL, hog, NULL) == 0);
	while (!hog_runs)
		sleep_ms(1);
	retour_synchronize_rcu();
	CHECK(priority_inside < 0);
	/* The boost ends in the reader's unlock. */
	stop_hog = true;
	CHECK(pthread_join(middle, NULL) == 0 && pthread_join(reader, NULL) == 0);
	CHECK(priority_after > 0);
}

static pthread_t start_reader(void)
{
	pthread_t reader;

	CHECK(pthread_create(&reader, NULL, low_reader, NULL) == 0);
	while (!in_section)
		sleep_ms(1);
	return reader;
}

TEST(a_preempted_reader_runs_at_the_priority_of_who_waits_for_it)
{
	if (!run_as(SCHED_FIFO, 20))
		SKIP("no right to real-time priorities");
	check_boost(start_reader());
}

static atomic_int leader_tid;

static void *low_leader(void *arg)
{
	CHECK(run_as(SCHED_OTHER, 0));
	leader_tid = gettid();
	retour_synchronize_rcu();
	return NULL;
}

TEST(who_waits_for_a_leader_lends_it_the_priority_too)
{
	pthread_t reader, leader;

	if (!run_as(SCHED_FIFO, 20))
		SKIP("no right to real-time priorities");
	reader = start_reader();
	CHECK(pthread_create(&leader, NULL, low_leader, NULL) == 0);
	while (!leader_tid)
		sleep_ms(1);
	task_wait_until_it_sleeps(leader_tid);
	check_boost(reader);
	CHECK(pthread_join(leader, NULL) == 0);
}

static atomic_bool stop;
static int *shared;
static atomic_long broken;

static void *check_shared(void *arg)
{
	const struct domain *d = arg;

	while (!stop) {
		void *cookie = d->lock();
		int *p = __atomic_load_n(&shared, __ATOMIC_ACQUIRE);

		for (volatile int i = 0; i < 20; i++)
			;
		broken += *p != 1;
		d->unlock(cookie);
	}
	return NULL;
}

/* Not of rseq: libc itself would give up at the next thread. */
TEST(a_filter_may_come_while_readers_run)
{
	for_each_domain(d) {
		double until = seconds() + 0.3;
		pthread_t thread;

		stop = false;
		shared = malloc(sizeof(*shared));
		*shared = 1;
		CHECK(pthread_create(&thread, NULL, check_shared, (void *)d) == 0);
		d->synchronize();
		if (d == domains && refuse_membarrier_and(SYS_membarrier))
			SKIP("no seccomp filters here");
		while (seconds() < until) {
			int *fresh = malloc(sizeof(*fresh)), *old = shared;

			*fresh = 1;
			__atomic_store_n(&shared, fresh, __ATOMIC_RELEASE);
			d->synchronize();
			*old = 2;
			free(old);
		}
		stop = true;
		CHECK(pthread_join(thread, NULL) == 0);
	}
	CHECK(broken == 0);
}

/* Counts what is tried, and does none of it. */
static int count_visits(void)
{
	system_calls = 0;
	if (signal(SIGSYS, count_system_call) == SIG_ERR)
		return -1;
	return FILTER(0, SECCOMP_RET_ALLOW, FILTER_JUMP(SYS_sched_setaffinity, 0, 1), FILTER_RETURN(SECCOMP_RET_TRAP));
}

/* Not before somebody waits for it. */
static void *leave_soon(void *arg)
{
	while (!system_calls)
		sleep_ms(1);
	((struct holder *)arg)->leave = true;
	return NULL;
}

TEST(after_a_filter_came_a_leader_visits_every_cpu)
{
	struct holder h;
	pthread_t leaver;

	holder_begin(&h, domains);
	if (refuse_membarrier_and(SYS_membarrier) || count_visits())
		SKIP("no seccomp filters here");
	CHECK(pthread_create(&leaver, NULL, leave_soon, &h) == 0);
	retour_synchronize_rcu();
	CHECK(system_calls > sysconf(_SC_NPROCESSORS_ONLN));
	CHECK(pthread_join(leaver, NULL) == 0);
	holder_end(&h);
}

TEST(without_readers_an_updater_makes_no_system_call)
{
	static struct retour_srcu_struct prepared;

	CHECK(retour_init_srcu_struct_fast(&prepared) == 0);
	if (count_system_calls())
		SKIP("no seccomp filters here");
	retour_synchronize_srcu(&prepared);
	CHECK(system_calls == 0);
	for_each_domain(d) {
		d->synchronize();
		d->expedited();
		d->cond(d->get_state());
	}
	CHECK(system_calls == 0);
	/* The counter can count. */
	retour_srcu_read_unlock_fast(&prepared, retour_srcu_read_lock_fast(&prepared));
	retour_synchronize_srcu(&prepared);
	CHECK(system_calls > 0);
}

static void *synchronize_main(void *arg)
{
	((const struct domain *)arg)->synchronize();
	return NULL;
}

/* None of them reaches the kernel, so this is the longest way. */
TEST(an_unlock_that_is_waited_for_makes_two_system_calls_at_most)
{
	pthread_t threads[3];
	void *cookies[3];

	for_each_domain(d) {
		cookies[d - domains] = d->lock();
		CHECK(pthread_create(&threads[d - domains], NULL, synchronize_main, (void *)d) == 0);
	}
	sleep_ms(50);
	if (count_system_calls())
		SKIP("no seccomp filters here");
	for_each_domain(d) {
		system_calls = 0;
		d->unlock(cookies[d - domains]);
		CHECK(system_calls <= (d == &domains[1] ? 1 : 2));
	}
}

/* Steps a child through readers of every domain: each step aborts the sequence that it is in. */
TEST(a_debugger_may_single_step_through_readers)
{
	long steps = 0;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
		raise(SIGSTOP);
		for (int i = 0; i < 3; i++)
			for_each_domain(d)
				d->unlock(d->lock());
		_exit(retour_srcu_read_lock_held(&test_srcu));
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	while (!WIFEXITED(status)) {
		CHECK(steps++ < 200000);
		CHECK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == 0);
		CHECK(waitpid(pid, &status, 0) == pid);
	}
	CHECK(WEXITSTATUS(status) == 0);
	CHECK(steps > 200);
}

int main(int argc, char **argv)
{
	return domains_main(argc, argv);
}
