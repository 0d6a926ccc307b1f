/* SPDX-License-Identifier: MIT */
/*
 * What the measurements share.  Each implementation is a program of its own:
 * the same sources, IMPL being the header that maps its names.
 *
 * FIRE(a, b) is a tracepoint with two ints.
 */
#ifndef BENCH_RUNTIME_BENCH_H
#define BENCH_RUNTIME_BENCH_H

#include "../common.h"

#define MAX_BATCHES 4096

/* Measurements print figures and return a status for exit(). */
int measure_hot(int argc, char **argv);
int measure_cold(int argc, char **argv);
int measure_on(int argc, char **argv);
int measure_lines(int argc, char **argv);
int measure_chain(int argc, char **argv);
int measure_switch(int argc, char **argv);

static inline double median(double *values, size_t n)
{
	return percentile(values, n, 0.5);
}

#endif
