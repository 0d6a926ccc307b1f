/* SPDX-License-Identifier: MIT */
/* A program that knows nothing of the agent, in parts.  Each says "done" if nothing was as it should not be. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "subject.h"

static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

__attribute__((noinline)) unsigned long spin(unsigned int ms)
{
	uint64_t end = cpu_ns(CLOCK_THREAD_CPUTIME_ID) + ms * 1000000ull;
	volatile unsigned long x = 1;

	while (cpu_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		for (int i = 0; i < 20000; i++)
			x = x * 3 + 1;
	return x;
}

__attribute__((noinline)) static unsigned long deep(unsigned int depth, unsigned int ms)
{
	return depth ? deep(depth - 1, ms) + 1 : spin(ms);
}

static void part_spin(void)
{
	deep(20, 300);
}

struct part subject_first_parts[] = { { "spin", part_spin }, { NULL, NULL } };

int main(int argc, char **argv)
{
	const struct part *all[] = { subject_first_parts, NULL };

	for (int i = 0; argc > 1 && all[i]; i++)
		for (const struct part *part = all[i]; part->name; part++)
			if (!strcmp(part->name, argv[1])) {
				part->run();
				puts("done");
				return 0;
			}
	return 2;
}
