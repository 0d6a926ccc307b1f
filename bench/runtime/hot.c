/* SPDX-License-Identifier: MIT */
/*
 * Sites that are off, in the caches: hot BATCHES
 *
 * Nanoseconds a turn of an empty loop with one site and of a loop that
 * computes something, and a site, 64 of them back to back.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include IMPL

enum { SITES = 64, TURNS = 2000 };

#define FOUR(x) x x x x

static __attribute__((noinline)) void row_of_sites(int a, int b)
{
	for (int i = 0; i < TURNS; i++) {
		__asm__ volatile("");
		FOUR(FOUR(FOUR(FIRE(a, b);)))
	}
}

static __attribute__((noinline)) void one_site(int b)
{
	for (int i = 0; i < TURNS; i++) {
		__asm__ volatile("");
		FIRE(i, b);
	}
}

static __attribute__((noinline)) unsigned int one_site_amid_work(unsigned int x, int b)
{
	for (int i = 0; i < TURNS; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		FIRE((int)x, b);
	}
	return x;
}

int measure_hot(int argc, char **argv)
{
	static double one[MAX_BATCHES], work[MAX_BATCHES], row[MAX_BATCHES];
	int n = argc > 1 ? atoi(argv[1]) : 1;
	volatile unsigned int x = 1;

	stay_on_cpu(0);
	for (int i = 0; i < n && i < MAX_BATCHES; i++) {
		double times[4] = { now_ns() };

		one_site(n);
		times[1] = now_ns();
		x = one_site_amid_work(x, n);
		times[2] = now_ns();
		row_of_sites(i, n);
		times[3] = now_ns();
		one[i] = (times[1] - times[0]) / TURNS;
		work[i] = (times[2] - times[1]) / TURNS;
		row[i] = (times[3] - times[2]) / TURNS / SITES;
	}
	printf("%.6g %.6g %.6g\n", median(one, n), median(work, n), median(row, n));
	return 0;
}
