/* SPDX-License-Identifier: MIT */
/* What reports are made of: the call tree of a recording and its quality. */
#ifndef RETOUR_PROFILE_PROFILE_H
#define RETOUR_PROFILE_PROFILE_H

#include "base/cleanup.h"
#include "base/error.h"
#include "perfdata/recorder_stats.h"
#include "profile/filter.h"
#include "profile/frames.h"
#include "profile/samples.h"
#include "profile/stats.h"
#include "profile/tree.h"

#include <stdbool.h>
#include <stdint.h>


struct profile_options {
	const struct filter *filter;	/* NULL: every sample */
	bool per_process;		/* one root for each process's tasks of a name, not one for each name */
	bool stats_only;		/* no tree, no symbols */
	bool no_inline;			/* inlined functions count as what holds them */
	samples_progress_fn progress;	/* of reading, or NULL */
	const void *progress_arg;
};

struct profile {
	struct samples *samples;
	struct frames *frames;		/* the recording's */
	struct tree tree;		/* finished, siblings by total */
	struct stats stats;
	struct perfdata_recorder_stats recorder;
	bool has_recorder;		/* recorder is whole; otherwise see samples_recorder_stats() */
};

ERROR_CHECK struct error *profile_load(const char *path, const struct profile_options *options,
				       struct profile **ret);
void profile_free(struct profile *profile);
DEFINE_CLEANUP(profile_free, struct profile *);

/* Adds the chain of one sample to a tree that is not finished. */
ERROR_CHECK struct error *profile_add_chain(struct frames *frames, struct tree *tree, const struct sample *sample,
					    bool per_process);

/* The time the recording covers, in seconds. */
double profile_duration(const struct profile *profile);

#endif
