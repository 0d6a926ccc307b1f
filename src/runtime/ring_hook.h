/* SPDX-License-Identifier: MIT */
/* Hook points on the slow paths of rings, for their tracepoints. */
#ifndef RETOUR_RUNTIME_RING_HOOK_H
#define RETOUR_RUNTIME_RING_HOOK_H

struct retour_ring;

enum ring_event {
	RING_FULL,		/* a record found no room */
	RING_WAKE,		/* a sleeping reader was woken */
};

/* Called with the number of the ring in its set; it may write to rings itself, which then calls nobody. */
extern void (*ring_hook)(const struct retour_ring *ring, enum ring_event event, unsigned int index);

#endif
