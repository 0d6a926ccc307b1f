/* SPDX-License-Identifier: MIT */
/* read inlined|shared PAIRS: ns of CPU time for a pair of begin and end, the median of some batches. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include IMPL

#define BATCHES 15

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int measure_read(int argc, char **argv)
{
	void (*pairs)(long) = pairs_inlined;
	double ns[BATCHES];

	if (argc != 3)
		return 2;
#ifdef HAVE_SHARED
	if (strcmp(argv[1], "shared") == 0)
		pairs = pairs_shared;
#endif
	long n = atol(argv[2]);

	reader_begin();
	pairs(n);
	for (int i = 0; i < BATCHES; i++) {
		double begin = cpu_ns();

		pairs(n);
		ns[i] = (cpu_ns() - begin) / n;
	}
	printf("%.4f\n", percentile(ns, BATCHES, 0.5));
	return 0;
}
