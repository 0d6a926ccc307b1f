/* SPDX-License-Identifier: MIT */
/*
 * updates UPDATERS MS SECTION_NS: calls of synchronize in a second by so many
 * threads at once, beside one reader that has a CPU to itself.
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

	unsigned long before = all_updates(updaters, n);
	long begin = now_ns();

	usleep(ms * 1000);
	printf("%.6g\n", (all_updates(updaters, n) - before) * 1e9 / (now_ns() - begin));
	return 0;
}
