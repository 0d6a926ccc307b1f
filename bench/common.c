/* SPDX-License-Identifier: MIT */
/* CPUs and percentiles; see common.h. */
#include "common.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static cpu_set_t allowed;

__attribute__((constructor)) static void find_cpus(void)
{
	sched_getaffinity(0, sizeof(allowed), &allowed);
}

static int nth_cpu(int n)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && n-- == 0)
			return cpu;
	fprintf(stderr, "not enough CPUs\n");
	exit(1);
}

void stay_on_cpu(int index)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(nth_cpu(index), &one);
	sched_setaffinity(0, sizeof(one), &one);
}

void stay_off_cpu(int index)
{
	cpu_set_t others = allowed;

	CPU_CLR(nth_cpu(index), &others);
	sched_setaffinity(0, sizeof(others), &others);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double percentile(double *values, size_t n, double part)
{
	qsort(values, n, sizeof(*values), by_value);
	return n ? values[(size_t)(part * (n - 1) + 0.5)] : 0;
}
