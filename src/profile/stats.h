/* SPDX-License-Identifier: MIT */
/*
 * The quality of a recording, counted from its samples.  Only what cannot be
 * derived is counted; with_user_context, stitched and truncated are sums, so
 * that the invariant (every sample has a chain, none to have, or a counted
 * reason) holds by construction.
 */
#ifndef RETOUR_PROFILE_STATS_H
#define RETOUR_PROFILE_STATS_H

#include "base/error.h"
#include "base/reason.h"
#include "base/vec.h"
#include "profile/id_map.h"
#include "profile/sample.h"

#include <stdint.h>

/* Counts of one comm or DSO. */
struct stats_group {
	uint32_t name;		/* a string of the recording's frames */
	uint64_t samples, with_user_context, complete, truncated;
};

struct stats_groups {
	VEC(struct stats_group) list;
	struct id_map by_name;
};

struct stats {
	uint64_t samples, no_user, complete;
	uint64_t missing_by[REASON_MAX], truncated_by[REASON_MAX];	/* [REASON_NONE]: not known */
	uint64_t walks;			/* distinct (tid, cookie) of stitched samples */
	uint64_t frames;		/* user frames of those walks */
	uint64_t max_depth;		/* of user chains */
	uint64_t first_time, last_time;
	struct stats_groups comms;
	struct stats_groups dsos;	/* where truncated chains stop */
	VEC(uint64_t) events;		/* samples of the event with that index */
	struct id_map seen_walks;
};

ERROR_CHECK struct error *stats_add(struct stats *stats, const struct sample *sample);
void stats_deinit(struct stats *stats);

uint64_t stats_missing(const struct stats *stats);
uint64_t stats_truncated(const struct stats *stats);
uint64_t stats_stitched(const struct stats *stats);
uint64_t stats_with_user_context(const struct stats *stats);
/* Stitched samples that used another sample's walk. */
uint64_t stats_shared(const struct stats *stats);
/* Complete chains in percent of the samples with user context; 100 if there are none. */
double stats_complete_percent(const struct stats *stats);

/* A copy of the groups from the biggest, to be freed. */
ERROR_CHECK struct error *stats_sorted_groups(const struct stats_groups *groups, struct stats_group **ret);

/* The name shown for an index of missing_by and truncated_by. */
const char *stats_reason_name(unsigned int reason);

#endif
