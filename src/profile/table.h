/* SPDX-License-Identifier: MIT */
/*
 * Self and total of every function of a call tree, per task.  Total counts a
 * sample once however often a recursive function is on its chain.
 */
#ifndef RETOUR_PROFILE_TABLE_H
#define RETOUR_PROFILE_TABLE_H

#include "base/error.h"
#include "base/vec.h"
#include "profile/tree.h"

#include <stdint.h>

struct table_row {
	uint32_t task, function;	/* functions; task is the FRAME_TASK above */
	uint64_t self, total;
};

struct table {
	VEC(struct table_row) rows;	/* by self, then total, from the biggest */
};

/* Rows for every function that is on a chain; the tree must be finished. */
ERROR_CHECK struct error *table_make(const struct tree *tree, size_t n_functions, struct table *ret);
void table_free(struct table *table);

#endif
