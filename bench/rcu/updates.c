/* SPDX-License-Identifier: MIT */
/*
 * updates UPDATERS MS SECTION_NS: calls of synchronize in a second by so many
 * threads at once, beside one reader that has a CPU to itself; and, where
 * grace periods can be counted, how many of the calls share one.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include IMPL

struct updater {
	unsigned long updates;
} __attribute__((aligned(64)));

enum { READER_CPU = 1, WARM_UP_US = 10000 };

static void *update_for_ever(void *arg)
{
	struct updater *updater = arg;

	stay_off_cpu(READER_CPU);
	updater_begin();
	for (;;) {
		synchronize();
		__atomic_store_n(&updater->updates, updater->updates + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

#ifdef COUNT_GRACE_PERIODS
static unsigned long grace_periods;

/* Their ends come one after the other. */
static void count_grace_period(const struct retour_rcu_domain *domain, unsigned long seq)
{
	__atomic_store_n(&grace_periods, grace_periods + 1, __ATOMIC_RELAXED);
}
#endif

static unsigned long all_updates(const struct updater *updaters, long n)
{
	unsigned long sum = 0;

	for (long i = 0; i < n; i++)
		sum += __atomic_load_n(&updaters[i].updates, __ATOMIC_RELAXED);
	return sum;
}

int measure_updates(int argc, char **argv)
{
	struct updater *updaters;
	long n, ms;

	if (argc != 4)
		return 2;
	n = atol(argv[1]);
	ms = atol(argv[2]);
	updaters = aligned_alloc(_Alignof(struct updater), n * sizeof(*updaters));
	if (!updaters)
		return 1;
	start_reader(&(struct reader){ READER_CPU, atol(argv[3]) });
	for (long i = 0; i < n; i++) {
		updaters[i].updates = 0;
		start_thread(update_for_ever, &updaters[i]);
	}
	usleep(WARM_UP_US);

	unsigned long before = all_updates(updaters, n), updates;
	long begin = now_ns();

#ifdef COUNT_GRACE_PERIODS
	COUNT_GRACE_PERIODS(count_grace_period);
#endif
	usleep(ms * 1000);
	updates = all_updates(updaters, n) - before;
	printf("%.6g", updates * 1e9 / (now_ns() - begin));
#ifdef COUNT_GRACE_PERIODS
	unsigned long ended = __atomic_load_n(&grace_periods, __ATOMIC_RELAXED);

	printf(" %.6g", ended ? (double)updates / ended : 0);
#endif
	printf("\n");
	return 0;
}
