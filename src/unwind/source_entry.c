/* SPDX-License-Identifier: MIT */
/* The entry point as the end of every stack, for files that do not say what it is. */
#include "unwind/source.h"

#define ENTRY_BYTES 64u		/* of code from the entry point on, as far as nothing else covers it */

static bool entry_rows(const struct unwind_source *source, size_t i, uint64_t *budget, frame_row_fn emit,
		       void *arg)
{
	const struct frame_row row = { .reg[UNWIND_RIP] = { .kind = FRAME_UNDEFINED } };
	uint64_t start = fde_index_start(&source->index, i);

	emit(arg, start, start + ENTRY_BYTES, &row);
	return true;
}

struct error *source_open_entry(struct elf_file *file, struct unwind_source *ret)
{
	uint64_t entry = elf_file_entry(file);

	ret->rows = entry_rows;
	ret->index.start_base = entry;
	if (source_is_code(file, entry) && fde_index_add(&ret->index, entry, 0) == FDE_INDEX_NO_MEMORY)
		return error_nomem();
	return NULL;
}
