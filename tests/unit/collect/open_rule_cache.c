/* SPDX-License-Identifier: MIT */
/*
 * The source of the rule cache, opened; and broken with RACE_MUTANT: the
 * writer then does not clear a key before it overwrites the block.
 */
#ifdef RACE_MUTANT
/* A store of zero is left out. */
#define __atomic_store_n(at, value, order)                         \
	do {                                                       \
		__typeof__(*(at)) value_ = (value);                \
		if (value_)                                        \
			__atomic_store((at), &value_, (order));    \
	} while (0)
#endif
#include "collect/rule_cache.c"

#include "open_rule_cache.h"

_Static_assert((int)OPEN_RULE_COMPLEX == (int)RULE_ID_COMPLEX, "the test knows the number");

uint32_t open_rule_id(struct rule_cache *cache, const struct unwind_rule *rule)
{
	return rule_id(cache, rule);
}

void open_put_block(struct rule_cache *cache, const struct rule_block *block)
{
	put_block(cache, block);
}
