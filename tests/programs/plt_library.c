/* SPDX-License-Identifier: MIT */
/* The library that plt.c calls. */
#include "program.h"

long library_leaf(long x);
long library_calls_back(long x, long (*callback)(long));

FRAME long library_leaf(long x)
{
	return x + 1;
}

FRAME long library_calls_back(long x, long (*callback)(long))
{
	return callback(x) + 1;
}
