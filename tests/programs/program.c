/* SPDX-License-Identifier: MIT */
/* Options, deadline and work of the profiled programs. */
#include "program.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static double deadline, least_cpu;
static long count = -1;
static const char *mode;

static double now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

void program_start(int argc, char **argv)
{
	double seconds = 1;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
			seconds = atof(argv[++i]);
		else if (!strcmp(argv[i], "--count") && i + 1 < argc)
			count = atol(argv[++i]);
		else
			mode = argv[i];
	}
	deadline = now(CLOCK_MONOTONIC) + seconds;
	least_cpu = seconds / 4;
	setvbuf(stdout, NULL, _IOLBF, 0);
}

bool time_left(void)
{
	return now(CLOCK_MONOTONIC) < deadline;
}

FRAME bool running(void)
{
	return time_left() || now(CLOCK_PROCESS_CPUTIME_ID) < least_cpu;
}

long program_count(long otherwise)
{
	return count < 0 ? otherwise : count;
}

const char *program_mode(void)
{
	return mode;
}

FRAME void burn(void)
{
	uint64_t x = 88172645463325252ULL;

	for (int i = 0; i < 10000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		asm volatile("" : "+r"(x));
	}
}

void *map_stack(size_t size, int flags, int fd)
{
	void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	must(stack != MAP_FAILED, "mmap");
	return stack;
}

void must(bool condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	exit(1);
}
