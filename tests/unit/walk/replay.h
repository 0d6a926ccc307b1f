/* SPDX-License-Identifier: MIT */
/*
 * Walks of snapshots: by the very source of the BPF walker, its rule cache
 * filled on demand as the recorder fills it, and by the full unwinder.
 */
#ifndef RETOUR_TESTS_WALK_REPLAY_H
#define RETOUR_TESTS_WALK_REPLAY_H

#include "base/cleanup.h"
#include "base/error.h"
#include "capture.h"

enum { REPLAY_FRAMES = 4096 };

struct replay_chain {
	uint64_t ips[REPLAY_FRAMES];
	uint32_t n;
	uint64_t at;			/* of the rule of the last frame */
	uint16_t reason;
	bool complete;
	bool miss;			/* the walker leaves the last frame to user space */
};

struct rule_set;
struct unwind_rule;
struct replay;

ERROR_CHECK struct error *replay_create(uint32_t n_sets, struct replay **ret);
void replay_destroy(struct replay *replay);
DEFINE_CLEANUP(replay_destroy, struct replay *);

/* mode: a walk_mode, 0 to 2. */
void replay_walk(struct replay *replay, const struct snapshot *snapshot, int mode, uint32_t max_depth,
		 struct replay_chain *ret);
void replay_walk_full(struct replay *replay, const struct snapshot *snapshot, struct replay_chain *ret);

/* The kind of rule (enum rule_cfa_kind) in force at an address of the snapshot. */
unsigned int replay_rule_kind(struct replay *replay, const struct snapshot *snapshot, uint64_t at);

/* For damage: the cache's memory. */
struct rule_set *replay_sets(struct replay *replay, uint32_t *n);
struct unwind_rule *replay_rules(struct replay *replay);

#endif
