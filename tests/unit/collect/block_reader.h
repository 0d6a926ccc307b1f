/* SPDX-License-Identifier: MIT */
/*
 * The reader of the rule cache as the BPF programs have it: bpf/walker.h over
 * arrays of the test.
 */
#ifndef RETOUR_TESTS_COLLECT_BLOCK_READER_H
#define RETOUR_TESTS_COLLECT_BLOCK_READER_H

#include "../walk/bpf_shim.h"
#include "bpf/walker.h"

static struct rule_set *reader_sets;
static struct unwind_rule *reader_rules;

static void *bpf_map_lookup_elem(const void *map, const void *key)
{
	u32 index = *(const u32 *)key;

	if (map == &rule_sets)
		return &reader_sets[index];
	return map == &rules && index < MAX_RULES ? &reader_rules[index] : NULL;
}

/* Walks are no business of these tests. */
static long bpf_find_vma(struct task_struct *task, u64 address,
			 long (*fn)(struct task_struct *, struct vm_area_struct *, void *), void *arg, u64 flags)
{
	return -ENOENT;
}

static long shim_read(void *to, u32 size, u64 from)
{
	return -EFAULT;
}

#endif
