/* SPDX-License-Identifier: MIT */
/*
 * The tracepoints of a recording by agents: one event for all processes that
 * have the same one, whatever number it has in each.
 */
#ifndef RETOUR_COLLECT_AGENT_TRACEPOINTS_H
#define RETOUR_COLLECT_AGENT_TRACEPOINTS_H

#include "collect/agent_process.h"

struct agent_tracepoint_event {
	struct agent_tracepoint description;	/* of the process that had it first */
	uint32_t event;				/* of the recording */
	uint64_t id;				/* in its samples' data */
};

struct agent_tracepoints {
	VEC(struct agent_tracepoint_event) events;
};

/* A process has described one. */
void agent_tracepoints_add(struct agent_tracepoints *tracepoints, struct recorder *recorder,
			   struct agent_process *process, const struct agent_tracepoint *description);
/*
 * Makes a sample of a process one of the recording's: its event, and its data
 * complete with the recording's number.  False: it was not described, or has not the data of its description.
 */
bool agent_tracepoints_convert(const struct agent_tracepoints *tracepoints, struct agent_process *process,
			       uint32_t id, struct sample_record *sample, uint32_t size);

#endif
