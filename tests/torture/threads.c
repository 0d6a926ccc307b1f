/* SPDX-License-Identifier: MIT */
/*
 * The threads of a torture: readers that stay and readers that come and go,
 * one updater of each kind, and those that disturb them by moving threads
 * between CPUs and by aborting restartable sequences.
 */
#include <dirent.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "torture/torture.h"

#define READERS 3
#define THREADS_MAX 32

static bool stop;
static bool readers_stop;
static const char *failure;
static struct updater updaters[THREADS_MAX];

void torture_fail(const char *what)
{
	const char *none = NULL;

	__atomic_compare_exchange_n(&failure, &none, what, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

const char *torture_failure(void)
{
	return __atomic_load_n(&failure, __ATOMIC_RELAXED);
}

bool stopping(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static bool readers_stopping(void)
{
	return __atomic_load_n(&readers_stop, __ATOMIC_RELAXED);
}

pthread_t start(void *(*main)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, main, arg)) {
		printf("# no thread\n");
		_exit(1);
	}
	return thread;
}

static void *reader_main(void *arg)
{
	handlers_begin();
	while (!readers_stopping()) {
		read_once();
		if (one_in(1024))
			sched_yield();
	}
	handlers_end();
	histogram_add();
	return NULL;
}

/* Its first section may be in a handler, its last one just before its end. */
static void *short_lived_main(void *arg)
{
	handlers_begin();
	if (one_in(2))
		spin(torture_random() % 100000);
	for (unsigned int i = torture_random() % 4; i; i--)
		read_once();
	handlers_end();
	histogram_add();
	return NULL;
}

static void *churn_main(void *arg)
{
	pthread_t thread;

	while (!readers_stopping()) {
		if (pthread_create(&thread, NULL, short_lived_main, NULL))
			torture_fail("no thread");
		else
			pthread_join(thread, NULL);
	}
	return NULL;
}

static void *updater_main(void *arg)
{
	handlers_begin();
	update_until_stopped(arg);
	handlers_end();
	histogram_add();
	return NULL;
}

/* CPUs go and come as far as threads can tell: each is moved at random, the library's too. */
static void shuffle(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	cpu_set_t cpus;

	while (tasks && (entry = readdir(tasks))) {
		long n = sysconf(_SC_NPROCESSORS_CONF);

		CPU_ZERO(&cpus);
		for (long i = 0; i < n; i++)
			CPU_SET(i, &cpus);
		if (one_in(2)) {
			CPU_ZERO(&cpus);
			CPU_SET(torture_random() % n, &cpus);
		}
		if (atoi(entry->d_name) > 0)
			sched_setaffinity(atoi(entry->d_name), sizeof(cpus), &cpus);
	}
	if (tasks)
		closedir(tasks);
}

static bool abort_sequences(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0;
}

static void *disturber_main(void *arg)
{
	bool can_abort = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0;

	/* In turns with quiet, because an interrupt is also a barrier. */
	for (unsigned int turn = 0; !readers_stopping(); turn++) {
		bool noisy = turn % 2;

		set_noisy(noisy);
		probe_hooks(noisy);
		shuffle();
		for (int i = 0; i < 100 && !readers_stopping(); i++) {
			sleep_us(1000);
			if (noisy && can_abort)
				can_abort = abort_sequences();
		}
	}
	return NULL;
}

static void report_hang(const struct updater *updater)
{
	printf("# no grace period by %s for %d s\n", updater_name(updater->kind), HANG_SECONDS);
	torture_fail("a grace period does not end");
}

/* Until the time is over, something failed or hangs; what runs meanwhile is the caller's. */
static void watch(unsigned int n, double seconds, void (*meanwhile)(void))
{
	double now = seconds_now(), end = now + seconds, moved[THREADS_MAX];
	unsigned long rounds[THREADS_MAX] = { 0 };

	for (unsigned int i = 0; i < n; i++)
		moved[i] = now;
	/* A round is awaited even if the time is over. */
	for (bool all = false; !torture_failure() && (now < end || !all); now = seconds_now()) {
		if (meanwhile)
			meanwhile();
		sleep_us(10000);
		all = true;
		for (unsigned int i = 0; i < n; i++) {
			unsigned long r = __atomic_load_n(&updaters[i].rounds, __ATOMIC_RELAXED);

			all &= r > 0;
			if (r != rounds[i])
				moved[i] = now;
			else if (now - moved[i] > HANG_SECONDS)
				report_hang(&updaters[i]);
			rounds[i] = r;
		}
	}
}

static void print_rounds(unsigned int n)
{
	printf("# grace periods:");
	for (unsigned int i = 0; i < n; i++)
		printf(" %s %lu", updater_name(updaters[i].kind),
		       __atomic_load_n(&updaters[i].rounds, __ATOMIC_RELAXED));
	printf("; handlers %lu\n", handlers_ran());
}

/* Whoever hangs does not get here. */
static void check_failure(unsigned int n)
{
	histogram_print();
	print_rounds(n);
	if (torture_failure())
		printf("# %s\n", torture_failure());
	fflush(stdout);
	if (torture_failure())
		_exit(1);
}

void torture_run(double seconds, void (*meanwhile)(void))
{
	unsigned int readers = 0, n = updater_kinds;
	pthread_t reader[READERS + 2], updater[THREADS_MAX];

	pipelines_init();
	handlers_init();
	for (unsigned int i = 0; i < n; i++) {
		updaters[i] = (struct updater){ .kind = i };
		updater[i] = start(updater_main, &updaters[i]);
	}
	while (readers < READERS)
		reader[readers++] = start(reader_main, NULL);
	reader[readers++] = start(churn_main, NULL);
	reader[readers++] = start(disturber_main, NULL);
	watch(n, seconds, meanwhile);
	histogram_add();
	/* After a failure nothing can be relied on to end. */
	if (torture_failure())
		check_failure(n);
	alarm(HANG_SECONDS);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < n; i++)
		pthread_join(updater[i], NULL);
	__atomic_store_n(&readers_stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < readers; i++)
		pthread_join(reader[i], NULL);
	readers_finish();
	pipelines_finish();
	check_failure(n);
}
