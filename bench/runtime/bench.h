/* SPDX-License-Identifier: MIT */
/*
 * What the measurements share.  Each implementation is a program of its own:
 * the same sources, IMPL being the header that maps its names.
 *
 * FIRE(a, b) is a tracepoint with two ints.
 */
#ifndef BENCH_RUNTIME_BENCH_H
#define BENCH_RUNTIME_BENCH_H

#include <stddef.h>
#include <time.h>

#define MAX_BATCHES 4096

/* Measurements print figures and return a status for exit(). */
int measure_hot(int argc, char **argv);
int measure_cold(int argc, char **argv);
int measure_on(int argc, char **argv);
int measure_lines(int argc, char **argv);
int measure_chain(int argc, char **argv);
int measure_switch(int argc, char **argv);

/* The calling thread, only on that one of the CPUs that the process may use. */
void stay_on_cpu(int index);
double median(double *values, size_t n);

static inline double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

#endif
