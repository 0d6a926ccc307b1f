/* SPDX-License-Identifier: MIT */
/* The intrusive hash table; see hash.h. */
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

static void resize(struct hash *table, size_t n)
{
	struct hash_node **buckets = calloc(n, sizeof(*buckets));

	if (!buckets)
		return;
	hash_each_all(table, node) {
		struct hash_node **slot = &buckets[node->hash & (n - 1)];

		node->next = *slot;
		*slot = node;
	}
	free(table->buckets);
	table->buckets = buckets;
	table->n_buckets = n;
}

bool hash_insert(struct hash *table, struct hash_node *node, uint64_t hash)
{
	if (table->len >= table->n_buckets)
		resize(table, table->n_buckets ? table->n_buckets * 2 : 64);
	if (!table->n_buckets)
		return false;

	struct hash_node **slot = &table->buckets[hash & (table->n_buckets - 1)];

	node->hash = hash;
	node->next = *slot;
	*slot = node;
	table->len++;
	return true;
}

void hash_remove(struct hash *table, struct hash_node *node)
{
	struct hash_node **slot = &table->buckets[node->hash & (table->n_buckets - 1)];

	while (*slot != node)
		slot = &(*slot)->next;
	*slot = node->next;
	table->len--;
}

void hash_free(struct hash *table)
{
	free(table->buckets);
	*table = (struct hash){ 0 };
}

static struct hash_node *same_hash(struct hash_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct hash_node *hash_first(const struct hash *table, uint64_t hash)
{
	if (!table->n_buckets)
		return NULL;
	return same_hash(table->buckets[hash & (table->n_buckets - 1)], hash);
}

struct hash_node *hash_next(const struct hash_node *node)
{
	return same_hash(node->next, node->hash);
}

uint64_t hash_bytes(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t h = 0x9e3779b97f4a7c15ULL ^ len, word;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		h = hash_u64(h ^ word);
	}
	word = 0;
	memcpy(&word, p, len);
	return hash_u64(h ^ word);
}

uint64_t hash_string(const char *s)
{
	return hash_bytes(s, strlen(s));
}
