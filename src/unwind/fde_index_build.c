/* SPDX-License-Identifier: MIT */
/* Building an index of function entries. */
#include "unwind/fde_index.h"

#include "base/vec.h"

struct entry {
	int32_t start, position;
};

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
