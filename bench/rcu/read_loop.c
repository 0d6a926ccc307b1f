/* SPDX-License-Identifier: MIT */
/* Sections back to back, with nothing in them: PAIRS is the name this copy of the loop has. */
#include "bench.h"

#include IMPL

void PAIRS(long n)
{
	for (long i = 0; i < n; i++) {
		section_t section = section_begin();

		__asm__ volatile("" ::: "memory");
		section_end(section);
	}
}
