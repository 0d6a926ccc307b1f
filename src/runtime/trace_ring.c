/* SPDX-License-Identifier: MIT */
/* The rings' hook points fire tracepoints, which may be recorded into the same rings. */
#include "retour/trace_ring.h"

#include "runtime/ring_hook.h"

static void on_event(const struct retour_ring *ring, enum ring_event event, unsigned int index)
{
	if (event == RING_FULL)
		trace_retour_ring_full(ring, index);
	else
		trace_retour_ring_wake(ring, index);
}

__attribute__((constructor(103))) static void fill_hook(void)
{
	ring_hook = on_event;
}
