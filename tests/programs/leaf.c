/* SPDX-License-Identifier: MIT */
/*
 * Functions that do next to nothing, called all the time: samples land in leaf
 * functions and between the pushes and pops of prologues and epilogues.
 */
#include "program.h"

FRAME static long leaf(long x)
{
	return x + 1;
}

FRAME static long saves_all(long x)
{
	/* All callee-saved registers are clobbered, so all are pushed and popped. */
	asm volatile("" : : : "rbx", "rbp", "r12", "r13", "r14", "r15");
	return leaf(x) * 3;
}

FRAME static long saves_some(long x)
{
	long local[4] = { x };

	asm volatile("" : : "r"(local) : "memory", "rbx", "r12");
	return saves_all(local[0]) + x;
}

FRAME static long calls(long x)
{
	for (int i = 0; i < 10000; i++)
		x = saves_some(x);
	return x;
}

int main(int argc, char **argv)
{
	long x = 0;

	program_start(argc, argv);
	while (running())
		x = calls(x);
	return x == 42;
}
