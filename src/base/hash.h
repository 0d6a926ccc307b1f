/* SPDX-License-Identifier: MIT */
/*
 * A chained hash table of intrusive nodes: the user embeds a struct hash_node,
 * computes the hash, and compares keys itself while walking a bucket.
 *
 *	hash_each(&table, hash, node) {
 *		struct thing *t = container_of(node, struct thing, node);
 *		if (t->key == key)
 *			return t;
 *	}
 *
 * The table never owns its nodes.  Not thread-safe.
 */
#ifndef RETOUR_BASE_HASH_H
#define RETOUR_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef container_of
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#endif

struct hash_node {
	struct hash_node *next;
	uint64_t hash;
};

struct hash {
	struct hash_node **buckets;
	size_t n_buckets;	/* a power of two, or 0 before the first insert */
	size_t len;
};

/* False without memory for the very first insert; growth failing is harmless. */
bool hash_insert(struct hash *table, struct hash_node *node, uint64_t hash);
/* The node must be in the table. */
void hash_remove(struct hash *table, struct hash_node *node);
/* Frees the bucket array, not the nodes. */
void hash_free(struct hash *table);

struct hash_node *hash_first(const struct hash *table, uint64_t hash);
struct hash_node *hash_next(const struct hash_node *node);

#define hash_each(table, h, node) \
	for (struct hash_node *node = hash_first((table), (h)); node; node = hash_next(node))

/* Every node; `node` may be removed (and freed) inside the loop. */
#define hash_each_all(table, node)                                                      \
	for (size_t i_##node = 0; i_##node < (table)->n_buckets; i_##node++)            \
		for (struct hash_node *node = (table)->buckets[i_##node], *next_##node; \
		     node && ((next_##node = node->next), 1); node = next_##node)

/* A good 64-bit mix (the finaliser of MurmurHash3). */
static inline uint64_t hash_u64(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ (x >> 33);
}

uint64_t hash_bytes(const void *data, size_t len);
uint64_t hash_string(const char *s);

#endif
