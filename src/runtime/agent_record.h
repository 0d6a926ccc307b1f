/* SPDX-License-Identifier: MIT */
/*
 * Writing the records of agent_protocol.h.  Async-signal-safe, but for
 * mappings; 0 or what retour_ring_reserve() says, which has counted the loss.
 */
#ifndef RETOUR_RUNTIME_AGENT_RECORD_H
#define RETOUR_RUNTIME_AGENT_RECORD_H

#include "runtime/recording.h"

/* What a walk with all around it may need of a stack. */
#define AGENT_STACK 2048u

struct sample_place {
	uint64_t ip, cookie, period;
	unsigned int event, reason;
};

int agent_write_sample(struct recording *recording, const struct sample_place *place);

/* The same with raw data: between the two the caller fills sample->raw, raw_size bytes. */
int agent_begin_sample(struct recording *recording, const struct sample_place *place, unsigned int raw_size,
		       struct retour_ring_record *record);
void agent_end_sample(struct recording *recording, const struct retour_ring_record *record);

/* A tracepoint of this recording, before its samples. */
int agent_write_tracepoint(struct recording *recording, const struct agent_tracepoint *tracepoint);
int agent_write_chain(struct recording *recording, const struct retour_unwind_stacktrace *trace, uint64_t cookie);

/* A thread's name, at the start of its program or a later one. */
void agent_write_comm(struct recording *recording, pid_t tid, const char *name, bool is_exec);
/* The calling thread was forked from a process. */
void agent_write_fork(struct recording *recording, pid_t parent);
/* A thread ends. */
void agent_write_exit(struct recording *recording, pid_t tid);

/* A thread has no clocks, for a reason of enum unsampled; change -1: it has them again. */
void agent_write_unsampled(struct recording *recording, pid_t tid, unsigned int why, int change);

struct agent_mapping {
	uint64_t start, end, offset, inode;
	unsigned int major, minor;
	const char *name;
};

void agent_write_mapping(struct recording *recording, const struct agent_mapping *mapping);

/* The process's id, as it is after forks. */
pid_t agent_pid(void);
void agent_forget_pid(void);

#endif
