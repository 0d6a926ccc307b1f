/* SPDX-License-Identifier: MIT */
/* Filling the kernel's rule cache; see rule_cache.h. */
#include "collect/rule_cache.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/reason.h"

#include <string.h>

/* Of the walker, only the search in a block is used here. */
#define WALK_READ(arg, address, words, n) false
#define WALK_REG(arg, number) 0
#include "unwind/walk.h"

enum { RULE_ID_COMPLEX = 1 };	/* also for what finds no room in the dictionary */

struct known_rule {
	struct hash_node node;
	uint32_t id;
};

struct rule_cache {
	struct rule_set *sets;
	uint32_t n_sets;
	uint32_t clock;		/* picks the way to evict */
	struct unwind_rule *rules;
	uint32_t n_rules;
	bool owns_arrays;
	struct hash by_rule;
	struct known_rule known[MAX_RULES];
};

/* The number of a rule, which is entered if it is new. */
static uint32_t rule_id(struct rule_cache *c, const struct unwind_rule *rule)
{
	uint64_t hash = hash_bytes(rule, sizeof(*rule));
	struct known_rule *known;

	hash_each(&c->by_rule, hash, node) {
		known = container_of(node, struct known_rule, node);
		if (!memcmp(&c->rules[known->id], rule, sizeof(*rule)))
			return known->id;
	}
	if (c->n_rules >= MAX_RULES)
		return RULE_ID_COMPLEX;
	known = &c->known[c->n_rules];
	known->id = c->n_rules;
	if (!hash_insert(&c->by_rule, &known->node, hash))
		return RULE_ID_COMPLEX;
	/* Blocks that name the rule are published later, by (A). */
	c->rules[c->n_rules] = *rule;
	return c->n_rules++;
}

struct error *rule_cache_create(struct rule_set *sets, uint32_t n_sets, struct unwind_rule *rules,
				struct rule_cache **ret)
{
	const struct unwind_rule unloaded = { .cfa_kind = RULE_CFA_UNLOADED };
	const struct unwind_rule complex_rule = { .cfa_kind = RULE_CFA_COMPLEX };
	_cleanup_(rule_cache_destroyp) struct rule_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return error_nomem();
	c->owns_arrays = !sets;
	c->sets = sets ? sets : calloc(n_sets, sizeof(*sets));
	c->n_sets = n_sets;
	c->rules = rules ? rules : calloc(MAX_RULES, sizeof(*rules));
	if (!c->sets || !c->rules)
		return error_nomem();
	rule_id(c, &unloaded);		/* 0: what programs take for "not there" */
	rule_id(c, &complex_rule);
	*ret = steal_ptr(c);
	return NULL;
}

void rule_cache_destroy(struct rule_cache *c)
{
	if (!c)
		return;
	if (c->owns_arrays) {
		free(c->sets);
		free(c->rules);
	}
	hash_free(&c->by_rule);
	free(c);
}

static struct rule_set *set_of(const struct rule_cache *c, uint64_t key)
{
	return &c->sets[rule_block_hash(key) & (c->n_sets - 1)];
}

static struct rule_block *find_block(const struct rule_cache *c, uint64_t key)
{
	struct rule_set *set = set_of(c, key);

	for (int i = 0; i < BLOCK_WAYS; i++)
		if (set->way[i].key == key)
			return &set->way[i];
	return NULL;
}

bool rule_cache_find(struct rule_cache *c, uint32_t file, uint64_t offset, struct unwind_rule *ret)
{
	struct rule_block *block;
	uint32_t level = 0;

	do {
		block = find_block(c, rule_block_key(file, offset, level));
		if (!block)
			return false;
		if (!block->used)
			block->used = 1;
	} while (block->flags & BLOCK_DENSE && ++level < BLOCK_LEVELS);
	*ret = c->rules[block->rule[walk_block_row(block->start, offset & (rule_block_size(level) - 1))]];
	return true;
}

/* An empty way, else one that nobody has used, else any: then all must prove themselves again. */
static struct rule_block *way_to_fill(struct rule_cache *c, struct rule_set *set)
{
	struct rule_block *unused = NULL;

	for (int i = 0; i < BLOCK_WAYS; i++) {
		if (!set->way[i].key)
			return &set->way[i];
		if (!set->way[i].used)
			unused = &set->way[i];
	}
	if (unused)
		return unused;
	for (int i = 0; i < BLOCK_WAYS; i++)
		set->way[i].used = 0;
	return &set->way[c->clock++ % BLOCK_WAYS];
}

static void put_block(struct rule_cache *c, const struct rule_block *block)
{
	struct rule_block *way = way_to_fill(c, set_of(c, block->key));
	const size_t from = offsetof(struct rule_block, rule), to = offsetof(struct rule_block, generation);

	/* (A) pairs with (B), block_lookup() in bpf/walker.h: the key goes first and comes last. */
	__atomic_store_n(&way->key, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&way->generation, way->generation + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy((char *)way + from, (const char *)block + from, to - from);
	__atomic_store_n(&way->key, block->key, __ATOMIC_RELEASE);
}

/* The rows from *at on that begin before end, *at being the one in force at start. False: more than fit. */
static bool fill_block(struct rule_cache *c, const unwind_rows *rows, size_t at, uint64_t start, uint64_t end,
		       bool use_fp, struct rule_block *block)
{
	static const struct unwind_rule fp = { .cfa_kind = RULE_CFA_FP };
	unsigned int n = 0;

	for (; at < rows->len && rows->data[at].start < end; at++) {
		const struct unwind_row *row = &rows->data[at];
		bool none = row->rule.cfa_kind == RULE_CFA_NONE;

		if (n == BLOCK_ROWS)
			return false;
		block->start[n] = row->start > start ? row->start - start : 0;
		block->rule[n++] = rule_id(c, none && use_fp ? &fp : &row->rule);
	}
	for (unsigned int i = n; n && i < BLOCK_ROWS; i++) {
		block->start[i] = block->start[n - 1];
		block->rule[i] = block->rule[n - 1];
	}
	return true;
}

static size_t row_at(const unwind_rows *rows, size_t from, uint64_t offset)
{
	while (from + 1 < rows->len && rows->data[from + 1].start <= offset)
		from++;
	return from;
}

/* The block at start, whose first row is at or before rows[at]; where it is dense, its parts. */
static void load_block(struct rule_cache *c, uint32_t file, const unwind_rows *rows, size_t at, uint64_t start,
		       uint32_t level, bool use_fp)
{
	struct rule_block block = { .key = rule_block_key(file, start, level) };
	const struct rule_block *loaded = find_block(c, block.key);
	const uint64_t end = start + rule_block_size(level);

	/* Of a dense block parts may have been evicted. */
	if (loaded && !(loaded->flags & BLOCK_DENSE))
		return;
	at = row_at(rows, at, start);
	if (!fill_block(c, rows, at, start, end, use_fp, &block)) {
		/* The parts first: a program that sees the dense block looks for them. */
		for (uint64_t part = start; part < end; part += rule_block_size(level + 1))
			load_block(c, file, rows, at, part, level + 1, use_fp);
		block.flags = BLOCK_DENSE;
	}
	if (!loaded)
		put_block(c, &block);
}

struct error *rule_cache_load(struct rule_cache *c, uint32_t file, struct unwind_table *table, uint64_t start,
			      uint64_t end)
{
	const uint64_t size = rule_block_size(0);
	struct unwind_table_info info;
	unwind_rows rows = { 0 };
	struct error *err;
	size_t at = 0;

	start &= ~(size - 1);
	end = (end + size - 1) & ~(size - 1);
	unwind_table_info(table, &info);
	err = unwind_table_rows(table, start, end, &rows);
	for (; !err && start < end && rows.len; start += size) {
		at = row_at(&rows, at, start);
		load_block(c, file, &rows, at, start, 0, !info.n_fdes);
	}
	vec_free(&rows);
	return err;
}
