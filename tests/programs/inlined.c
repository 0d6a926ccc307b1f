/* SPDX-License-Identifier: MIT */
/* Functions inlined into each other; built with debug information. */
#include "program.h"

#define INLINED static inline __attribute__((always_inline))

static volatile unsigned int sink;

INLINED unsigned int innermost(unsigned int n)
{
	for (unsigned int i = 0; i < 20000; i++)
		n = n * 1664525 + 1013904223;
	return n;
}

INLINED unsigned int third(unsigned int n)
{
	return innermost(n ^ 1);
}

INLINED unsigned int second(unsigned int n)
{
	return third(n ^ 2);
}

INLINED unsigned int first(unsigned int n)
{
	return second(n ^ 3);
}

static FRAME void burns(void)
{
	sink = first(sink);
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	while (running())
		burns();
	return 0;
}
