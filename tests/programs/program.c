/* SPDX-License-Identifier: MIT */
/* Options, deadline and work of the profiled programs. */
#include "program.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

static double deadline, least_cpu;
static long count = -1;
static const char *mode;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
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
	deadline = now() + seconds;
	least_cpu = seconds / 4;
	setvbuf(stdout, NULL, _IOLBF, 0);
}

bool time_left(void)
{
	return now() < deadline;
}

/* Of the process, or of its children that have ended. */
static double cpu_of(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

FRAME bool running(void)
{
	return time_left() || cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN) < least_cpu;
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
