/* SPDX-License-Identifier: MIT */
/* Two private functions of the rule cache, for tests. */
#ifndef RETOUR_TESTS_COLLECT_OPEN_RULE_CACHE_H
#define RETOUR_TESTS_COLLECT_OPEN_RULE_CACHE_H

#include "collect/rule_cache.h"

enum { OPEN_RULE_COMPLEX = 1 };

uint32_t open_rule_id(struct rule_cache *cache, const struct unwind_rule *rule);
void open_put_block(struct rule_cache *cache, const struct rule_block *block);

#endif
