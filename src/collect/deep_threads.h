/* SPDX-License-Identifier: MIT */
/*
 * Threads whose stacks need larger copies than those of the others that an
 * event serves, be it all of a CPU or what a process has started.  They get
 * events of their own with the whole copy, and at any time their samples are
 * those of the one or of the other, so that none is missing or there twice.
 */
#ifndef RETOUR_COLLECT_DEEP_THREADS_H
#define RETOUR_COLLECT_DEEP_THREADS_H

#include "base/vec.h"
#include "collect/perf_events.h"

#include <stdbool.h>
#include <stdint.h>

enum { DEEP_SUSPECTS = 32 };

struct deep_thread {
	uint32_t pid, tid;
	uint32_t group;		/* of its own events */
	uint32_t of;		/* the group that serves it otherwise */
	uint64_t since, until;	/* its own events count */
};

struct deep_threads {
	struct perf_events *events;
	VEC(struct deep_thread) threads;
	struct { uint32_t pid, tid, of; } suspects[DEEP_SUSPECTS];	/* deep while all copies were whole */
	unsigned int n_suspects;
};

/* Starts as zeros; set events. */
void deep_threads_free(struct deep_threads *deep);

/* Is the thread one of those that have been deep since the suspects were cleared?  From now on it is, if deep. */
bool deep_threads_suspect(struct deep_threads *deep, uint32_t pid, uint32_t tid, uint32_t of, bool is_deep);
void deep_threads_clear_suspects(struct deep_threads *deep, uint32_t of);
/* Gives the suspects of a group, or one thread, events of their own; false: not all can have them. */
bool deep_threads_add_suspects(struct deep_threads *deep, uint32_t of);
bool deep_threads_add(struct deep_threads *deep, uint32_t pid, uint32_t tid, uint32_t of);

/* The group whose samples of the thread and time count: that of its own events, or else the one that is given. */
uint32_t deep_threads_group(const struct deep_threads *deep, uint32_t tid, uint64_t time, uint32_t otherwise);
/* Has the thread events of its own now? */
bool deep_threads_has(const struct deep_threads *deep, uint32_t tid);
/* The thread has ended. */
void deep_threads_exit(struct deep_threads *deep, uint32_t tid, uint64_t time);
/* The process has another program: its threads are gone, and so are their events if that has more rights. */
void deep_threads_exec(struct deep_threads *deep, uint32_t pid, uint64_t time);
/* All of a group go back to it. */
void deep_threads_give_back(struct deep_threads *deep, uint32_t of);
/* What ended before time has nothing in the rings any more. */
void deep_threads_expire(struct deep_threads *deep, uint64_t time);

#endif
