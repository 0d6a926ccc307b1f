/* SPDX-License-Identifier: MIT */
/*
 * Work at the bottom of a stack of known depth: deep FRAMES [ROUNDS]
 *
 * Each round goes down to FRAMES user frames in all, works for some 20 us and
 * comes back, so the stack is new in every sample but nearly always that deep.
 * Without ROUNDS it works until it is stopped.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FRAMES_AROUND 5 /* _start, two of libc's, main, and work */
#define STEPS_PER_ROUND 10000

/* gcc leaves out the frame of a function that calls nothing, whatever it is told. */
#ifdef FRAME_POINTER
#define LEAF() __asm__ volatile("" :: "r"(__builtin_frame_address(0)))
#else
#define LEAF() ((void)0)
#endif

static __attribute__((noipa)) uint64_t work(uint64_t x)
{
	LEAF();
	for (int i = 0; i < STEPS_PER_ROUND; i++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	return x;
}

static __attribute__((noipa)) uint64_t descend(unsigned frames, uint64_t x)
{
	x = frames > 1 ? descend(frames - 1, x) : work(x);
	__asm__ volatile("" : "+r"(x)); /* neither a tail call nor a loop */
	return x + 1;
}

int main(int argc, char **argv)
{
	unsigned frames = argc > 1 ? atoi(argv[1]) : 0;
	uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : UINT64_MAX;
	uint64_t x = 1;

	if (frames <= FRAMES_AROUND) {
		fprintf(stderr, "usage: deep FRAMES [ROUNDS], FRAMES > %d\n", FRAMES_AROUND);
		return 2;
	}
	for (uint64_t i = 0; i < rounds; i++)
		x = descend(frames - FRAMES_AROUND, x);
	return x == 0;
}
