/* SPDX-License-Identifier: MIT */
/*
 * How much of a stack to copy with a sample.  The kernel is asked for all that
 * fits a record, until walks have shown that less would do for nearly all; the
 * threads that need more are to get events of their own (deep_threads.h).  When
 * many are cut, or deep threads become the rule, all copies are whole again,
 * for longer each time.
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
	unsigned int surprises;		/* times that short ones did not do */
	uint64_t samples, deep, cut;	/* since the choice was last thought over */
};

/* Is a walk that read, or would have read, so far a deep one?  Those beyond all copies are not. */
bool copy_size_is_deep(uint64_t reach);

/*
 * A sample: is its thread one of the deep, and was the copy too short?  True if
 * the choice has changed.
 */
bool copy_size_learn(struct copy_size *size, bool deep, bool cut);
/* Short ones do not do. */
bool copy_size_give_up(struct copy_size *size);

#endif
