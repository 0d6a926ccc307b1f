/* SPDX-License-Identifier: MIT */
/*
 * One agent as the recorder sees it: the process that it came with, those forked
 * from that, which write into the same rings, and what is believed of what the
 * rings say.  They may speak of themselves only, and who is one of them is for
 * the kernel to say; all else is counted and dropped.
 */
#ifndef RETOUR_COLLECT_AGENT_PROCESS_H
#define RETOUR_COLLECT_AGENT_PROCESS_H

#include "base/error.h"
#include "base/hash.h"
#include "base/unsampled.h"
#include "base/vec.h"
#include "collect/recorder.h"
#include "runtime/agent_protocol.h"

#include <stdbool.h>
#include <stdint.h>

struct retour_ring_reader;

enum agent_process_state {
	AGENT_PROCESS_NEW,		/* HELLO is awaited */
	AGENT_PROCESS_ASKED,		/* RINGS are awaited */
	AGENT_PROCESS_RECORDED,
	AGENT_PROCESS_ENDED,		/* its last events wait for their turn */
};

/* A tracepoint of the process, and its place among those of the recording (agent_tracepoints.h). */
struct agent_process_tracepoint {
	uint32_t id, number;
};

/* A process that has the rings, or that they speak of. */
struct agent_member {
	struct agent_process *of;
	struct hash_node node;		/* by said */
	uint32_t said, pid;		/* its id as it sees it itself, and ours */
	int pidfd;			/* -1: it has ended, or was never seen with the rings */
	bool has_rings;			/* it is watched until it ends or is another program */
	bool believed;			/* without being watched, in this drain */
	uint64_t looked;		/* the drain of this */
};

struct agent_process {
	enum agent_process_state state;
	uint32_t pid;			/* of the first member */
	bool same_namespace;		/* its ids are ours */
	uint64_t pid_namespace;		/* inode */
	uint64_t looks;			/* at its threads */
	uint64_t drains, searched;	/* how many there were, and which last looked for unknown processes */
	bool attached;			/* it was there before: its socket stays open */
	bool is_further;		/* another agent of its first member is recorded, which tells of threads */
	int socket;			/* -1: closed */
	int watch;			/* an epoll that is to see members end, the caller's */
	uint64_t secret;		/* its cookies are nobody else's, nor of an earlier program in it */
	uint64_t since;			/* when it came; no record is older */
	uint64_t ended;			/* when the last member left */
	uint64_t unknown_code;		/* since when a chain leads through it; 0: there is none */
	uint32_t unknown_code_pid;
	uint64_t updated;		/* when it was last looked for */
	uint64_t looked;		/* when its threads were last looked at */
	struct retour_ring_reader *rings;
	uint64_t rings_inode;
	struct hash members, tasks;
	uint32_t n_alive;		/* of the members */
	VEC(struct agent_process_tracepoint) tracepoints;
	uint64_t samples, lost, foreign;	/* taken over, lost in rings, dropped */
	uint64_t unsampled[UNSAMPLED_MAX], counted[UNSAMPLED_MAX];	/* threads without clocks, and of those the backend's */
};

/* What is queued for a sample and for a description, in front of it; a chain is a struct agent_chain. */
struct agent_queued {
	struct agent_process *process;
	uint32_t tracepoint;		/* of a sample: its id */
	uint32_t reserved;
};

/*
 * A process by the descriptor of its connection, which is then its, also on
 * failure; pid is who the kernel says is at the other end.  watch is an epoll
 * that gets the pidfds of members with an agent_member_tag().
 */
ERROR_CHECK struct error *agent_process_create(int socket, uint32_t pid, int watch, struct agent_process **ret);
void agent_process_destroy(struct agent_process *process);

/* Opens the rings behind a descriptor that stays the caller's. */
ERROR_CHECK struct error *agent_process_open_rings(struct agent_process *process, int fd);

/* In an epoll's data a member is told from other pointers by its lowest bit. */
static inline void *agent_member_tag(struct agent_member *member)
{
	return (char *)member + 1;
}

static inline struct agent_member *agent_member_of_tag(void *tag)
{
	return (uintptr_t)tag & 1 ? (struct agent_member *)((char *)tag - 1) : NULL;
}

/* Does a process have the rings in its memory?  If its program has them it is not another one. */
bool agent_process_is_mapped(const struct agent_process *process, uint32_t pid);

/* Has it ended?  Then, or if it has become another program, it is no member any more. */
bool agent_member_has_ended(const struct agent_member *member);
void agent_member_leave(struct agent_member *member);
/* NULL if there is no living member of this id. */
struct agent_member *agent_process_member(struct agent_process *process, uint32_t pid);

/* Queues what is in the rings; the last time once no member is left. */
void agent_process_drain(struct agent_process *process, struct recorder *recorder, bool last);

/*
 * Looks for threads that nobody told of; whoever says nothing of himself until a few
 * looks later is counted.  After a drain, lest there is more to hear.
 */
void agent_process_look(struct agent_process *process);

/* By the parents that there are now: who has lost one of them descends from nobody. */
bool agent_process_descends(uint32_t pid, uint32_t ancestor);

/* NULL if it was not described. */
struct agent_process_tracepoint *agent_process_tracepoint(struct agent_process *process, uint32_t id);

#endif
