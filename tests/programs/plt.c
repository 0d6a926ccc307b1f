/* SPDX-License-Identifier: MIT */
/* Calls into a library through the PLT, in a loop that does nothing else. */
#include "program.h"

long library_leaf(long x);
long library_calls_back(long x, long (*callback)(long));

FRAME static long callback(long x)
{
	return x ^ 5;
}

FRAME static long call_library(long x)
{
	for (int i = 0; i < 10000; i++) {
		x = library_leaf(x);
		x = library_calls_back(x, callback);
	}
	return x;
}

int main(int argc, char **argv)
{
	long x = 0;

	program_start(argc, argv);
	while (running())
		x = call_library(x);
	return x == 42;
}
