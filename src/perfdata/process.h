/* SPDX-License-Identifier: MIT */
/*
 * The processes of a recording as they are at the record last fed: mappings
 * and names of threads, from MMAP2, COMM, FORK and EXIT records in order of
 * time.
 *
 * A forked process shares its parent's mappings until either changes, so that
 * thousands of short-lived processes stay cheap.  A process that has exited is
 * kept until PROCESS_TRACKER_KEPT_EXITS later ones have, because samples may
 * come late.  Not thread-safe.
 */
#ifndef RETOUR_PERFDATA_PROCESS_H
#define RETOUR_PERFDATA_PROCESS_H

#include "base/cleanup.h"
#include "perfdata/reader.h"

#include <stdbool.h>
#include <stdint.h>

#define PROCESS_TRACKER_KEPT_EXITS 1024
/* The process that owns the kernel's mappings in perf.data. */
#define PROCESS_KERNEL_PID UINT32_MAX

struct process_mapping {
	uint64_t start, end, pgoff;
	uint32_t prot;
	const char *path;
	unsigned char build_id[20];
	uint32_t build_id_size;		/* 0: none */
	uint32_t maj, min;
	uint64_t ino;
	/*
	 * The consumer's; starts as NULL.  Copied when the mapping is split,
	 * seen by every process that shares it.
	 */
	void *user;
};

struct process_tracker;

/* NULL without memory. */
struct process_tracker *process_tracker_create(void);
void process_tracker_destroy(struct process_tracker *tracker);
DEFINE_CLEANUP(process_tracker_destroy, struct process_tracker *);

/* Records of other types are ignored.  False if there was no memory to take it in. */
bool process_tracker_feed(struct process_tracker *tracker, const struct perfdata_record *record);

/* The mapping at address, valid until the next feed; NULL if there is none. */
const struct process_mapping *process_tracker_find(struct process_tracker *tracker, uint32_t pid,
						   uint64_t address);

/* Does it hold the trampolines of uprobes, which stand in place of callers?  NULL does not. */
bool process_mapping_is_probe(const struct process_mapping *mapping);

/* As process_tracker_find(): sets the consumer's pointer. */
static inline void process_mapping_set_user(const struct process_mapping *mapping, void *user)
{
	((struct process_mapping *)mapping)->user = user;
}

/* The thread's name, else its process's, else ":TID"; valid until the next call on the tracker. */
const char *process_tracker_comm(struct process_tracker *tracker, uint32_t pid, uint32_t tid);

#endif
