/* SPDX-License-Identifier: MIT */
/* Code of many shapes to be interrupted at any instruction. */
#include "unwind_work.h"

#include <alloca.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

volatile unsigned long work_sink;

static int compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return x < y ? -1 : x > y;
}

/* A frame of variable size: the CFA is in rbp. */
__attribute__((noinline)) static void use_alloca(unsigned int n)
{
	char *block = alloca(n * 16 + 1);

	memset(block, (int)n, n * 16 + 1);
	work_sink += (unsigned long)block[n];
}

/* A realigned frame: the CFA is in memory. */
__attribute__((noinline)) static void use_alignment(unsigned int n)
{
	char block[256] __attribute__((aligned(128)));

	memset(block, (int)n, sizeof(block));
	use_alloca((unsigned int)block[n % 256] % 64);
}

__attribute__((noinline)) static unsigned long recurse(unsigned int n)
{
	unsigned long values[4] = { n, n + 1, n + 2, n + 3 };

	if (n)
		values[n % 4] += recurse(n - 1);
	return values[0] ^ values[1] ^ values[2] ^ values[3];
}

void work(unsigned int round)
{
	int numbers[64];
	char text[128];
	void *block = malloc(round % 5000 + 1);

	for (unsigned int i = 0; i < 64; i++)
		numbers[i] = (int)((i * 7919u + round) % 1009u);
	qsort(numbers, 64, sizeof(numbers[0]), compare);
	snprintf(text, sizeof(text), "%d %s %g", numbers[3], "text", sqrt(round));
	work_sink += strtoul(text, NULL, 10) + recurse(round % 40);
	use_alignment(round);
	work_throw(round);
	free(block);
}
