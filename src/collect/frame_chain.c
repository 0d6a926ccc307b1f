/* SPDX-License-Identifier: MIT */
/* Frame-pointer chains beside the unwind tables; see frame_chain.h. */
#include "collect/frame_chain.h"

#include <sys/mman.h>

/* What the table says of a frame whose caller was found through rbp. */
enum verdict { UNKNOWN, BY_FRAME_POINTER, OTHERWISE, OUTERMOST };

static enum verdict verdict_of(struct unwind_rule rule)
{
	switch (rule.cfa_kind) {
	case RULE_CFA_OUTERMOST:
		return OUTERMOST;
	case RULE_CFA_NONE:
	case RULE_CFA_FP:
		return UNKNOWN;
	case RULE_CFA_RBP:
		if (rule.cfa_off == 16 && rule.ra_kind == RULE_RA_CFA && rule.rbp_kind == RULE_RBP_CFA &&
		    rule.rbp_off == -16)
			return BY_FRAME_POINTER;
		return OTHERWISE;
	default:
		return OTHERWISE;
	}
}

static enum verdict look_up(const struct frame_chain *fc, uint32_t pid, const struct process_mapping *mapping,
			    uint64_t pc)
{
	struct dso *dso = dso_by_mapping(fc->dsos, pid, mapping);

	if (!dso || !dso->table)
		return UNKNOWN;
	return verdict_of(dso_rule(fc->dsos, dso, pc - mapping->start + mapping->pgoff));
}

/* Why an address cannot be a frame's. */
static enum reason refuse(const struct process_mapping *mapping)
{
	if (!mapping)
		return REASON_NO_MAPPING;
	return mapping->prot & PROT_EXEC ? REASON_NONE : REASON_NOT_EXECUTABLE;
}

enum reason frame_chain_check(const struct frame_chain *fc, uint32_t pid, const uint64_t *ips, size_t *n)
{
	for (size_t i = 0; i < *n; i++) {
		/* A return address may lie behind its function's end: the call is before it.  A probe's is its own. */
		uint64_t pc = i ? ips[i] - 1 : ips[i];
		bool probe = process_mapping_is_probe(process_tracker_find(fc->processes, pid, ips[i]));
		const struct process_mapping *mapping = process_tracker_find(fc->processes, pid, pc);
		enum reason reason = probe ? REASON_URETPROBE : refuse(mapping);
		enum verdict verdict;

		if (reason) {
			*n = i ? i : 1;		/* the task did stand at the innermost one */
			return reason;
		}
		verdict = look_up(fc, pid, mapping, pc);
		if (verdict == OUTERMOST || verdict == OTHERWISE) {
			*n = i + 1;
			return verdict == OUTERMOST ? REASON_NONE : REASON_NO_FRAME_POINTER;
		}
	}
	return *n >= fc->limit ? REASON_MAX_DEPTH : REASON_BAD_FRAME_POINTER;
}
