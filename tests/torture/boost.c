/* SPDX-License-Identifier: MIT */
/*
 * A reader of the lowest priority that a hog keeps from its CPU, and an updater
 * of the highest that waits for it: it must lend its priority, and get it back.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "torture/torture.h"
#include "unit/task.h"

#define SECTION_SECONDS 0.1	/* of CPU time */
#define HOG_SECONDS 5

static bool in, over, hog_ended;
static long priority_inside, priority_after;	/* of the reader; negative: real-time */

static bool be_real_time(int priority)
{
	struct sched_param param = { .sched_priority = priority };

	return sched_setscheduler(0, SCHED_FIFO, &param) == 0;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *reader_main(void *arg)
{
	double end;
	void *cookie;

	setpriority(PRIO_PROCESS, gettid(), 19);
	cookie = torture->lock();
	end = cpu_seconds() + SECTION_SECONDS;
	__atomic_store_n(&in, true, __ATOMIC_RELEASE);
	/* The kernel leaves 5 % of the CPU to those that are not real-time, too. */
	do {
		spin(1000);
		priority_inside = task_priority();
	} while (cpu_seconds() < end || (priority_inside >= 0 && !__atomic_load_n(&hog_ended, __ATOMIC_ACQUIRE)));
	torture->unlock(cookie);
	priority_after = task_priority();
	return NULL;
}

static void *hog_main(void *arg)
{
	double end = seconds_now() + HOG_SECONDS;

	if (!be_real_time(1))
		torture_fail("a thread may not be real-time");
	while (!__atomic_load_n(&over, __ATOMIC_RELAXED) && seconds_now() < end)
		spin(1000);
	__atomic_store_n(&hog_ended, true, __ATOMIC_RELEASE);
	return NULL;
}

/* On the CPU of the calling thread, as what it starts is. */
static bool settle_here(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	return sched_setaffinity(0, sizeof(one), &one) == 0;
}

bool boost_possible(void)
{
	struct sched_param none = { 0 };
	bool possible = be_real_time(2);

	sched_setscheduler(0, SCHED_OTHER, &none);
	return possible;
}

void boost_once(void)
{
	struct sched_param none = { 0 };
	pthread_t reader, hog;
	double begun, took;

	in = over = hog_ended = false;
	settle_here();
	reader = start(reader_main, NULL);
	while (!__atomic_load_n(&in, __ATOMIC_ACQUIRE))
		sched_yield();
	hog = start(hog_main, NULL);
	be_real_time(2);
	/* The hog has the CPU before this returns. */
	sleep_us(10000);
	begun = seconds_now();
	torture->synchronize();
	took = seconds_now() - begun;
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(hog, NULL);
	pthread_join(reader, NULL);
	sched_setscheduler(0, SCHED_OTHER, &none);
	printf("# a preempted reader of %.0f ms took %.0f ms\n", SECTION_SECONDS * 1000, took * 1000);
	if (priority_inside >= 0)
		torture_fail("a preempted reader is not boosted");
	if (priority_after < 0)
		torture_fail("a boosted reader keeps the priority");
}
