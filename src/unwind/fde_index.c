/* SPDX-License-Identifier: MIT */
/* Searching the index of function entries. */
#include "unwind/fde_index.h"

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
