/* SPDX-License-Identifier: MIT */
/*
 * Stopped moments of real programs: a child is traced, and at a stop its
 * registers, the memory of its stacks and its mappings are taken.
 */
#ifndef RETOUR_TESTS_WALK_CAPTURE_H
#define RETOUR_TESTS_WALK_CAPTURE_H

#include "base/vec.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct snapshot_mapping {
	uint64_t start, end, pgoff, ino;
	uint32_t dev;
	bool executable;
	char path[256];
};

/* The mappings of a process while they did not change. */
struct snapshot_maps {
	struct snapshot_maps *next;
	char *text;			/* of /proc/PID/maps */
	VEC(struct snapshot_mapping) list;
	unsigned char *vdso;
	size_t vdso_size;
};

struct snapshot_memory {
	uint64_t start;
	size_t size;
	unsigned char *data;
};

enum { SNAPSHOT_STACKS = 2 };		/* the one in use, and the thread's own */

struct snapshot {
	uint64_t regs[17];		/* in DWARF order */
	struct snapshot_memory stack[SNAPSHOT_STACKS];
	const struct snapshot_maps *maps;	/* of the traced process, as long as it lives */
};

struct traced {
	pid_t pid;
	bool running;
	int signal;			/* to be delivered at the next step */
	struct snapshot_maps *maps;	/* newest first */
};

/* Starts a program, stopped before its first instruction.  False if it cannot be traced. */
bool traced_start(struct traced *traced, char *const argv[]);
void traced_end(struct traced *traced);

/* These are false once the program has ended. */
bool traced_run_to_trap(struct traced *traced);		/* an int3 in the program */
bool traced_step(struct traced *traced, bool *trap);	/* one instruction, a signal delivered on the way */
bool traced_run_for(struct traced *traced, unsigned int microseconds);

uint64_t traced_pc(const struct traced *traced);
bool traced_snapshot(struct traced *traced, struct snapshot *ret);
const struct snapshot_mapping *snapshot_find(const struct snapshot *snapshot, uint64_t address);
void snapshot_free(struct snapshot *snapshot);

#endif
