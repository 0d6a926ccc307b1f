/* SPDX-License-Identifier: MIT */
/*
 * Processes of a command that no agent records: nobody tells of them, so they
 * are looked for among what descends from the recorder.
 */
#ifndef RETOUR_COLLECT_AGENT_UNSEEN_H
#define RETOUR_COLLECT_AGENT_UNSEEN_H

#include "base/hash.h"

#include <stdbool.h>
#include <stdint.h>

struct agent_unseen {
	struct hash processes;
	uint64_t looks, next;		/* how many there were, and when the next one is due */
};

/*
 * Looks, if it is time.  Returns how many threads more there are in processes that have had no
 * agent for a few looks; negative where one has come after all.
 */
int64_t agent_unseen_look(struct agent_unseen *unseen, bool (*has_agent)(void *arg, uint32_t pid), void *arg);
void agent_unseen_free(struct agent_unseen *unseen);

#endif
