/* SPDX-License-Identifier: MIT */
/*
 * What the measurements share.  Each implementation is a program of its own:
 * the same sources, IMPL being the header that maps its names.
 *
 * reader_begin() comes first in a thread with sections, updater_begin() in one
 * that only calls synchronize().  section_t is what section_begin() hands to
 * section_end().  quiescent(), offline() and online() report to those that ask.
 */
#ifndef BENCH_RCU_BENCH_H
#define BENCH_RCU_BENCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "../common.h"

/* Measurements print their figures and return a status for exit(). */
int measure_read(int argc, char **argv);
int measure_synchronize(int argc, char **argv);
int measure_callbacks(int argc, char **argv);
int measure_updates(int argc, char **argv);

/* Pairs of begin and end of a section; compiled into the program and into a shared library. */
void pairs_inlined(long n);
void pairs_shared(long n);

void start_thread(void *(*run)(void *arg), void *arg);
/* One section after another, for ever. */
struct reader {
	int cpu;
	long section_ns;
};
void start_reader(const struct reader *reader);
/* Median and 99th percentile. */
void print_percentiles(double *values, size_t n);

static inline void spin_ns(long ns)
{
	if (ns)
		for (long until = now_ns() + ns; now_ns() < until;)
			;
}

#endif
