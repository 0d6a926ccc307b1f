/* SPDX-License-Identifier: MIT */
/*
 * torture DOMAIN [--seconds N] [--no-membarrier] [--no-rseq] [--list | [--here] TEST]
 *
 * Tortures one domain in one mode.  The modes are those of old kernels and of
 * sandboxes; the library learns of them as it does there.  --here runs the
 * test in this process: sanitizers and emulators do not bear threads in a
 * forked child.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#include "torture/torture.h"
#include "unit/filter.h"
#include "unit/test.h"

const struct torture_ops *torture;
static double seconds = 2;

#define FLOOD 5000

struct numbered {
	struct retour_rcu_head head;
	int number;
};

static _Atomic int next_number, child_called;
static _Atomic int stalled, stalls, dead = -1;	/* tids, counts; dead < 0: nobody is to die */

static void check_number(struct retour_rcu_head *head)
{
	if (((struct numbered *)head)->number != next_number++)
		torture_fail("callbacks are called out of order, or twice");
}

static void count_in_child(struct retour_rcu_head *head)
{
	child_called++;
}

static void take_report(const struct retour_rcu_report *report, void *arg)
{
	if (report->kind == RETOUR_RCU_DEAD_READER && dead >= 0) {
		dead = report->tid;
	} else if (report->kind == RETOUR_RCU_STALL) {
		/* Of others too, on a machine that is busy. */
		if (stalled && report->tid == (torture->bound ? stalled : 0) && report->duration_ms >= 100)
			stalls++;
	} else {
		torture_fail(report->text);
	}
}

static void skip_under_sanitizers(void)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	SKIP("a child forked from threads finds the sanitizer's locks taken");
#endif
}

/* A test that has a share of the time, and nobody but readers to wake a leader. */
static void begin(void)
{
	alarm(seconds + 60);
	retour_rcu_set_stall_timeout(0);
	retour_rcu_set_report(take_report, NULL);
}

TEST(readers_are_waited_for)
{
	begin();
	torture_run(seconds, NULL);
}

static void check_failure(void)
{
	if (torture_failure())
		printf("# %s\n", torture_failure());
	CHECK(!torture_failure());
}

TEST(a_reader_and_an_updater_at_close_quarters)
{
	begin();
	duel_of_reader(seconds / 4);
	check_failure();
}

TEST(stragglers_are_waited_for)
{
	begin();
	duel_of_stragglers(seconds / 4);
	check_failure();
}

TEST(a_caller_and_the_worker_at_close_quarters)
{
	begin();
	duel_of_caller(seconds / 8);
	check_failure();
}

/* In the child of a process with sections, grace periods and callbacks everywhere. */
static void child_main(void)
{
	struct retour_rcu_head head;
	unsigned long cookie;

	alarm(HANG_SECONDS);
	read_nested(1);
	torture->synchronize();
	child_called = 0;
	torture->call(&head, count_in_child);
	torture->barrier();
	if (child_called != 1)
		torture_fail("a child's callback is not called once");
	cookie = torture->start_poll();
	while (!torture->poll(cookie))
		sleep_us(100);
	if (torture_failure())
		printf("# in a child: %s\n", torture_failure());
	fflush(stdout);
	_exit(torture_failure() != NULL);
}

static void fork_once(void)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		child_main();
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		torture_fail("a child failed or hung");
}

TEST(children_of_threads_work)
{
	skip_under_sanitizers();
	begin();
	torture_run(seconds / 2, fork_once);
}

static void flood(void)
{
	static struct numbered heads[FLOOD];

	next_number = 0;
	for (int i = 0; i < FLOOD; i++) {
		heads[i].number = i;
		torture->call(&heads[i].head, check_number);
	}
	torture->barrier();
	if (next_number != FLOOD)
		torture_fail("barrier returned before all callbacks were called");
}

TEST(floods_of_callbacks_drain_in_order)
{
	begin();
	torture_run(seconds / 4, flood);
}

static void stall(void)
{
	double end = seconds_now() + HANG_SECONDS;
	void *cookie = torture->lock();

	stalled = gettid();
	stalls = 0;
	while (!stalls && seconds_now() < end)
		sleep_us(1000);
	torture->unlock(cookie);
	if (!stalls)
		torture_fail("a stall is not reported");
	stalled = 0;
}

TEST(stalls_are_reported)
{
	begin();
	retour_rcu_set_stall_timeout(100);
	torture_run(seconds / 4, stall);
}

static void *die(void *arg)
{
	*(int *)arg = gettid();
	torture->lock();
	return NULL;
}

static void bury(void)
{
	double end = seconds_now() + HANG_SECONDS;
	pthread_t thread;
	int tid;

	dead = 0;
	thread = start(die, &tid);
	pthread_join(thread, NULL);
	while (dead != tid && seconds_now() < end)
		sleep_us(1000);
	if (dead != tid)
		torture_fail("a dead reader is not reported");
}

TEST(dead_readers_are_buried)
{
	begin();
	torture_run(seconds / 4, bury);
}

TEST(preempted_readers_are_boosted)
{
	if (!boost_possible())
		SKIP("threads may not be real-time");
	begin();
	for (int i = 0; i < 3 && !torture_failure(); i++)
		boost_once();
	check_failure();
}

static void execute_again(char **argv)
{
	execv("/proc/self/exe", argv);
	perror(argv[0]);
	exit(1);
}

static void without_membarrier(char **argv)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) < 0)
		return;
	if (refuse_membarrier_and(SYS_membarrier)) {
		perror("seccomp");
		exit(1);
	}
	execute_again(argv);
}

static void without_rseq(char **argv)
{
	if (!__rseq_size)
		return;
	setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
	execute_again(argv);
}

static void leave_out(const char *name)
{
	struct test_case **at = &test_first;

	while (*at && strcmp((*at)->name, name))
		at = &(*at)->next;
	if (*at)
		*at = (*at)->next;
}

static void usage(void)
{
	fprintf(stderr, "usage: torture DOMAIN [--seconds N] [--no-membarrier] [--no-rseq] [--list | [--here] TEST]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	char *args[] = { argv[0], NULL, NULL };

	if (argc < 2 || !(torture = torture_find(argv[1])))
		usage();
	/* They are about the thread that a section belongs to, and that is lent a priority. */
	if (!torture->bound)
		leave_out("dead_readers_are_buried");
	if (!torture->boosted)
		leave_out("preempted_readers_are_boosted");
	for (char **arg = argv + 2; *arg; arg++) {
		if (!strcmp(*arg, "--seconds") && arg[1])
			seconds = atof(*++arg);
		else if (!strcmp(*arg, "--no-membarrier"))
			without_membarrier(argv);
		else if (!strcmp(*arg, "--no-rseq"))
			without_rseq(argv);
		else if (!strcmp(*arg, "--list"))
			return test_list();
		else if (!strcmp(*arg, "--here") && arg[1])
			return test_run_here(arg[1]);
		else if (**arg == '-')
			usage();
		else
			args[1] = *arg;
	}
#ifdef __SANITIZE_ADDRESS__
	/* Each test is a child: forked while the library's thread starts, it would find the sanitizer's locks taken. */
	sleep_us(300000);
#endif
	return test_main(args[1] ? 2 : 1, args);
}
