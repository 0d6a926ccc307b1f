/* SPDX-License-Identifier: MIT */
/*
 * How much of a stack to copy with a sample.  The kernel is asked for all that
 * fits a record, until walks have shown that much less would do; the first one
 * that it does not suffice for brings the whole size back, for longer each time.
 */
#ifndef RETOUR_COLLECT_COPY_SIZE_H
#define RETOUR_COLLECT_COPY_SIZE_H

#include <stdbool.h>
#include <stdint.h>

enum { COPY_WHOLE, COPY_SHORT, N_COPY_SIZES };

/* In bytes; the kernel shortens the first to what fits. */
extern const uint32_t copy_sizes[N_COPY_SIZES];

/* Starts as zeros. */
struct copy_size {
	unsigned int choice;		/* COPY_* */
	unsigned int surprises;		/* times that the short one did not do */
	uint64_t walks, reach;		/* since the choice was last thought over: their number, and the farthest */
};

/* A walk: the size of its copy, and how far it read, or would have.  True if the choice has changed. */
bool copy_size_learn(struct copy_size *size, uint64_t asked, uint64_t reach);

#endif
