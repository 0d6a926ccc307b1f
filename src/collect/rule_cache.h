/* SPDX-License-Identifier: MIT */
/*
 * User space's side of the rule cache (bpf/shared.h): a dictionary of distinct
 * rules and a set-associative table of blocks, both written through a memory
 * map.  The cache is bounded; what is evicted is loaded again on its next miss.
 */
#ifndef RETOUR_COLLECT_RULE_CACHE_H
#define RETOUR_COLLECT_RULE_CACHE_H

#include "base/cleanup.h"
#include "base/error.h"
#include "unwind/table.h"

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "bpf/shared.h"

struct rule_cache;

/* n_sets is a power of two; both arrays outlive the cache.  NULL: it has its own, for no other reader. */
ERROR_CHECK struct error *rule_cache_create(struct rule_set *sets, uint32_t n_sets, struct unwind_rule *rules,
					    struct rule_cache **ret);
void rule_cache_destroy(struct rule_cache *cache);
DEFINE_CLEANUP(rule_cache_destroy, struct rule_cache *);

/* The rule at a position as the programs would find it; false if its block is not loaded. */
bool rule_cache_find(struct rule_cache *cache, uint32_t file, uint64_t offset, struct unwind_rule *ret);

/*
 * Loads the blocks of [start, end) of a file from its table.  A table without
 * any FDE gets frame-pointer rules where it has none.
 */
ERROR_CHECK struct error *rule_cache_load(struct rule_cache *cache, uint32_t file, struct unwind_table *table,
					  uint64_t start, uint64_t end);

#endif
