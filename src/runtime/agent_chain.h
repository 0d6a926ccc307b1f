/* SPDX-License-Identifier: MIT */
/* The chains of samples: asked for, walked at once where that is not possible, and written. */
#ifndef RETOUR_RUNTIME_AGENT_CHAIN_H
#define RETOUR_RUNTIME_AGENT_CHAIN_H

#include "runtime/agent_record.h"

/*
 * Asks for the chain of a sample, in a section: its cookie, or why there is none, goes
 * to *place.  False: not possible just now; the caller walks at once.
 */
bool agent_request_chain(struct recording *recording, struct sample_place *place);

/* Walks, and writes the chain under a name that no entry has: an even one. */
void agent_walk_now(struct recording *recording, const struct retour_unwind_regs *regs, unsigned int skip,
		    struct sample_place *place);

/* The callback of a recording's tracer. */
void agent_chain_comes(struct retour_unwind_work *work, const struct retour_unwind_stacktrace *trace, uint64_t cookie);

#endif
