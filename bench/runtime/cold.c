/* SPDX-License-Identifier: MIT */
/*
 * Sites of 512 different tracepoints that are off: cold PASSES
 *
 * Nanoseconds a site: all in the caches, and with what tells whether they are
 * on flushed from the caches before each pass.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include IMPL
#include "sites.h"

enum { SITES = 512 };

/* In memory they lie in another order than they are passed in, as anywhere: nothing is fetched ahead. */
#define DECLARE(i, j, k) DECLARE_SITE(site_##k##j##i)
#define FIRE_ONE(i, j, k) FIRE_SITE(site_##i##j##k, a, b);
#define FLUSH_ONE(i, j, k) FLUSH_SITE(site_##i##j##k)

OCTAL_SITES(DECLARE)

static __attribute__((noinline)) void pass(int a, int b)
{
	OCTAL_SITES(FIRE_ONE)
}

static __attribute__((noinline)) void flush(void)
{
	OCTAL_SITES(FLUSH_ONE)
	__asm__ volatile("mfence" ::: "memory");
}

static double measure(int passes, void (*before)(void))
{
	static double times[MAX_BATCHES];

	for (int i = 0; i < passes && i < MAX_BATCHES; i++) {
		double begin;

		pass(i, i);
		if (before)
			before();
		begin = now_ns();
		pass(i, passes);
		times[i] = (now_ns() - begin) / SITES;
	}
	return median(times, passes);
}

int measure_cold(int argc, char **argv)
{
	int passes = argc > 1 ? atoi(argv[1]) : 1;

	stay_on_cpu(0);
	printf("%.6g %.6g\n", measure(passes, NULL), measure(passes, flush));
	return 0;
}
