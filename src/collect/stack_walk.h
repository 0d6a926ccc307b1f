/* SPDX-License-Identifier: MIT */
/*
 * Walks over a copy of a stack: the same walker and the same rules as in the
 * kernel, and what the walker leaves to user space, rules that need the whole
 * register file.
 */
#ifndef RETOUR_COLLECT_STACK_WALK_H
#define RETOUR_COLLECT_STACK_WALK_H

#include "base/reason.h"
#include "base/vec.h"
#include "collect/dso.h"
#include "perfdata/process.h"

struct stack_walker {
	struct dso_store *dsos;
	struct process_tracker *processes;	/* as they were at the time of the copy */
	uint32_t max_depth;
};

/* A stack as it was at a moment, and where a walk of it stands. */
struct stack_image {
	uint32_t pid;
	struct walk_frame frame;
	const uint64_t *regs;			/* UNWIND_N_REGS of the innermost frame, in DWARF order */
	uint64_t address;			/* of the first byte */
	const unsigned char *bytes;
	size_t size;
	uint64_t end;				/* up to here was to be copied: what lacks could not be read */
	/* Of frame.pc, where the kernel side has seen it; else NULL. */
	const struct walk_mapping *mapping;
	const struct file_key *key;
	const struct saved_return *returns;	/* STACK_RETURNS, of pending return probes; NULL: not known */
};

typedef VEC(uint64_t) stack_ips;

/*
 * Appends the frames above the image's own, which is the last one of ips.
 * *reach becomes how many bytes of stack were needed for it (may be NULL).
 * REASON_NONE: the chain is complete.
 */
enum reason stack_walk(const struct stack_walker *walker, const struct stack_image *image, stack_ips *ips,
		       uint64_t *reach);

#endif
