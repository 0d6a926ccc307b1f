/* SPDX-License-Identifier: MIT */
/*
 * The clock of records: the CPU's time stamp counter, a third of the price of
 * CLOCK_MONOTONIC, and its conversion.
 *
 * A counter and a time taken together are an anchor.  Writers keep the anchor of the
 * beginning, the reader takes another one later, and what lies between two
 * anchors is on the line through them: no rate needs to be known.
 */
#ifndef RETOUR_RUNTIME_RING_CLOCK_H
#define RETOUR_RUNTIME_RING_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct clock_anchor {
	uint64_t cycles;
	uint64_t ns;		/* CLOCK_MONOTONIC */
};

/* Is the counter of one rate and the same on all CPUs, as the kernel sees it? */
bool clock_has_cycles(void);

/* Only if it is. */
uint64_t clock_cycles(void);
struct clock_anchor clock_take_anchor(void);

/* The time of a counter value on the line through two anchors, whatever they are. */
uint64_t clock_convert(struct clock_anchor first, struct clock_anchor last, uint64_t cycles);

/* The same line as perf_event_mmap_page has it: ns = zero + (cycles * mult >> shift), in 128 bits. */
struct clock_scale {
	uint64_t zero;
	uint32_t mult;
	uint16_t shift;
};

/* Exact at the last anchor, and to a part in 2^30 of the distance from it.  False: the anchors are no line. */
bool clock_scale(struct clock_anchor first, struct clock_anchor last, struct clock_scale *scale);

#endif
