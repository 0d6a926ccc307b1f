/* SPDX-License-Identifier: MIT */
/*
 * Events in runtime sections so many frames deep: chain FRAMES BATCHES HOW
 *
 * Nanoseconds an event, and the frames of the last chain (HOW: chain).
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "impl/retour.h"
#include "on.h"
#include <retour/unwind_deferred.h>

static __attribute__((noipa)) void sections(int events)
{
	for (int i = 0; i < events; i++) {
		retour_runtime_enter();
		FIRE(i, events);
		retour_runtime_leave();
	}
}

static __attribute__((noipa)) void descend(unsigned int more, int events)
{
	if (more)
		descend(more - 1, events);
	else
		sections(events);
	__asm__ volatile("");
}

int measure_chain(int argc, char **argv)
{
	enum { EVENTS = 200 };
	static double times[MAX_BATCHES];
	int n = argc == 4 ? atoi(argv[2]) : 0;
	unsigned long entries[64];
	/* This function has so many frames already, and two more are sections() and the innermost descend(). */
	unsigned int here = retour_unwind_here(entries, 64, NULL) + 2, want = n ? atoi(argv[1]) : 0;

	if (want < here || on_begin(argv[3]))
		return 1;
	stay_on_cpu(0);
	for (int i = 0; i < n && i < MAX_BATCHES; i++) {
		double begin = now_ns();

		descend(want - here, EVENTS);
		times[i] = (now_ns() - begin) / EVENTS;
	}
	printf("%.6g %u\n", median(times, n), on_frames);
	return 0;
}
