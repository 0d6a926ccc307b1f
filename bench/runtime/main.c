/* SPDX-License-Identifier: MIT */
/* One implementation of tracepoints under measurement: PROGRAM MEASUREMENT [ARG]... prints figures. */
#include "bench.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int (*measure)(int argc, char **argv);
} measurements[] = {
	{ "hot", measure_hot },
#ifdef HAVE_COLD
	{ "cold", measure_cold },
#endif
#ifdef HAVE_ON
	{ "on", measure_on },
	{ "lines", measure_lines },
#endif
#ifdef HAVE_CHAIN
	{ "chain", measure_chain },
	{ "switch", measure_switch },
#endif
};

static cpu_set_t allowed;

void stay_on_cpu(int index)
{
	cpu_set_t one;
	int cpu = 0;

	while (cpu < CPU_SETSIZE && (!CPU_ISSET(cpu, &allowed) || index-- > 0))
		cpu++;
	if (cpu == CPU_SETSIZE) {
		fprintf(stderr, "not enough CPUs\n");
		exit(1);
	}
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), by_value);
	return n ? values[n / 2] : 0;
}

int main(int argc, char **argv)
{
	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (size_t i = 0; argc > 1 && i < sizeof(measurements) / sizeof(*measurements); i++)
		if (strcmp(argv[1], measurements[i].name) == 0)
			return measurements[i].measure(argc - 1, argv + 1);
	fprintf(stderr, "%s measures no such thing\n", argv[0]);
	return 2;
}
