/* SPDX-License-Identifier: MIT */
/* Built twice for loader.c, with frames of FRAME_SIZE bytes and its own function names. */
#include "program.h"

void through(void (*callback)(void));

FRAME static void INNER(void (*callback)(void))
{
	char local[FRAME_SIZE];

	asm volatile("" : : "r"(local) : "memory");
	callback();
	asm volatile("" : : "r"(local) : "memory");
}

FRAME void through(void (*callback)(void))
{
	INNER(callback);
	asm volatile("");
}
