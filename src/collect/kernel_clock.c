/* SPDX-License-Identifier: MIT */
/* The offset of the time namespace, time_namespaces(7); see kernel_clock.h. */
#include "collect/kernel_clock.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

static uint64_t offset;		/* may be negative: it wraps around, as the sum does */

static void read_offset(void)
{
	_cleanup_fclose_ FILE *in = fopen("/proc/self/timens_offsets", "re");
	int64_t s, ns;

	if (in && fscanf(in, "monotonic %" SCNd64 " %" SCNd64, &s, &ns) == 2)
		offset = (uint64_t)s * 1000000000 + (uint64_t)ns;
}

uint64_t kernel_clock_ns(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_offset);
	return clock_monotonic_ns() - offset;
}
