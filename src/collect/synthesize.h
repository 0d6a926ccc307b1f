/* SPDX-License-Identifier: MIT */
/*
 * What ran before the recording began: names and executable mappings of
 * existing tasks, read from /proc and told as the records that the kernel
 * would have written.
 */
#ifndef RETOUR_COLLECT_SYNTHESIZE_H
#define RETOUR_COLLECT_SYNTHESIZE_H

#include <stddef.h>
#include <stdint.h>

/* The body of a MMAP2 record; shorter by what the name does not need. */
struct synthesized_mmap2 {
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	uint32_t maj, min;
	uint64_t ino, ino_generation;
	uint32_t prot, flags;
	char filename[4096];
};

/* Body of a COMM, MMAP or MMAP2 record, without header and trailer; misc goes into the header. */
typedef void (*synthesize_fn)(void *arg, uint32_t type, uint16_t misc, uint32_t pid, uint32_t tid,
			      const void *body, size_t size);

/* Every process; those that vanish meanwhile are left out. */
void synthesize_all(synthesize_fn fn, void *arg);
void synthesize_process(uint32_t pid, synthesize_fn fn, void *arg);
/* The kernel's own mapping, as perf's readers need it to name kernel addresses. */
void synthesize_kernel(synthesize_fn fn, void *arg);
/* The process of a thread; 0 if there is no such thread. */
uint32_t thread_group_of(uint32_t tid);

#endif
