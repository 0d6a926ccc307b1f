/* SPDX-License-Identifier: MIT */
/* Searching and building the index of function entries. */
#include "unwind/fde_index.h"

#include "base/vec.h"

#include <string.h>

struct entry {
	int32_t start, position;
};

static struct entry entry_at(const struct fde_index *index, size_t i)
{
	struct entry e;

	memcpy(&e, index->entries + i * sizeof(e), sizeof(e));
	return e;
}

uint64_t fde_index_start(const struct fde_index *index, size_t i)
{
	return index->start_base + (uint64_t)(int64_t)entry_at(index, i).start;
}

uint64_t fde_index_position(const struct fde_index *index, size_t i)
{
	return index->position_base + (uint64_t)(int64_t)entry_at(index, i).position;
}

uint64_t fde_index_limit(const struct fde_index *index, size_t i)
{
	return i + 1 < index->n ? fde_index_start(index, i + 1) : UINT64_MAX;
}

bool fde_index_borrow(struct fde_index *index, const unsigned char *entries, size_t n,
		      uint64_t start_base, uint64_t position_base)
{
	struct fde_index borrowed = {
		.entries = entries, .n = n, .start_base = start_base, .position_base = position_base,
	};

	/* Addresses, not the relative numbers: the bases may wrap around. */
	for (size_t i = 1; i < n; i++)
		if (fde_index_start(&borrowed, i - 1) > fde_index_start(&borrowed, i))
			return false;
	*index = borrowed;
	return true;
}

enum fde_index_result fde_index_add(struct fde_index *index, uint64_t start, uint64_t position)
{
	int64_t s = (int64_t)(start - index->start_base), p = (int64_t)(position - index->position_base);
	struct entry e = { (int32_t)s, (int32_t)p };
	struct entry *entries = (struct entry *)index->entries;

	if (s != e.start || p != e.position)
		return FDE_INDEX_OUT_OF_RANGE;
	if (index->n == index->cap) {
		if (!vec_grow(&entries, &index->cap, index->n + 1, sizeof(e)))
			return FDE_INDEX_NO_MEMORY;
		index->entries = (const unsigned char *)entries;
		index->owned = true;
	}
	entries[index->n++] = e;
	return FDE_INDEX_OK;
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->position < y->position ? -1 : x->position > y->position;
}

/* An owned index has its start_base at the file's first address: no wrapping. */
void fde_index_sort(struct fde_index *index)
{
	if (index->n)
		qsort((void *)index->entries, index->n, sizeof(struct entry), compare_entries);
}

void fde_index_free(struct fde_index *index)
{
	if (index->owned)
		free((void *)index->entries);
	*index = (struct fde_index){0};
}

size_t fde_index_find(const struct fde_index *index, uint64_t pc)
{
	size_t low = 0, high = index->n;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (fde_index_start(index, middle) <= pc)
			low = middle;
		else
			high = middle;
	}
	return low;
}
