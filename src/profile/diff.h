/* SPDX-License-Identifier: MIT */
/*
 * Two profiles compared by function.  Recordings differ in length, so that
 * shares of the samples are compared, not counts.  Functions are the same if
 * name, kind and file name of the DSO are.
 */
#ifndef RETOUR_PROFILE_DIFF_H
#define RETOUR_PROFILE_DIFF_H

#include "base/error.h"
#include "base/vec.h"
#include "profile/frames.h"
#include "profile/profile.h"

struct diff_share {
	double self, total;	/* percent of the recording's samples */
};

struct diff_row {
	uint32_t function;	/* of the diff's frames */
	struct diff_share before, after;
};

struct diff {
	struct frames frames;
	VEC(struct diff_row) rows;	/* by change of self, then of total, from the biggest */
};

ERROR_CHECK struct error *diff_make(const struct profile *before, const struct profile *after, struct diff *ret);
void diff_free(struct diff *diff);

static inline double diff_self_change(const struct diff_row *row)
{
	return row->after.self - row->before.self;
}

static inline double diff_total_change(const struct diff_row *row)
{
	return row->after.total - row->before.total;
}

#endif
