/* SPDX-License-Identifier: MIT */
/* What programs share that measure one implementation of several. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <stddef.h>
#include <time.h>

/* The calling thread, only on that one of the CPUs that the process may use, or on all the others. */
void stay_on_cpu(int index);
void stay_off_cpu(int index);

/* Sorts the values; 0 if there is none. */
double percentile(double *values, size_t n, double part);

static inline long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

#endif
