/* SPDX-License-Identifier: MIT */
/*
 * Function entries of one section by start address, eight bytes each: the
 * layout of .eh_frame_hdr's search table, so that table is used in place.
 * An entry reaches at most to the start of the next one.
 */
#ifndef RETOUR_UNWIND_FDE_INDEX_H
#define RETOUR_UNWIND_FDE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fde_index {
	const unsigned char *entries;	/* pairs of int32_t: start - start_base, position - position_base */
	size_t n, cap;
	uint64_t start_base, position_base;
	bool owned;
};

/* Uses a table in place; false if its starts do not ascend. */
bool fde_index_borrow(struct fde_index *index, const unsigned char *entries, size_t n,
		      uint64_t start_base, uint64_t position_base);

enum fde_index_result { FDE_INDEX_OK, FDE_INDEX_OUT_OF_RANGE, FDE_INDEX_NO_MEMORY };

/* Building one: bases are set by the caller, then entries, then sort once. */
enum fde_index_result fde_index_add(struct fde_index *index, uint64_t start, uint64_t position);
void fde_index_sort(struct fde_index *index);

void fde_index_free(struct fde_index *index);

uint64_t fde_index_start(const struct fde_index *index, size_t i);
uint64_t fde_index_position(const struct fde_index *index, size_t i);
/* The first address that is the next entry's; UINT64_MAX for the last entry. */
uint64_t fde_index_limit(const struct fde_index *index, size_t i);
/* The last entry that starts at or before pc, or else 0. */
size_t fde_index_find(const struct fde_index *index, uint64_t pc);

#endif
