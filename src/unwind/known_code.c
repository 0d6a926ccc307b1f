/* SPDX-License-Identifier: MIT */
/* The list of known code that the finders add to. */
#include "unwind/known_code.h"

struct error *known_code_add(struct unwind_source *source, uint64_t start, uint64_t end, enum known_frame frame)
{
	if (fde_index_add(&source->index, start, frame) == FDE_INDEX_NO_MEMORY ||
	    fde_index_add(&source->index, end, KNOWN_NOTHING) == FDE_INDEX_NO_MEMORY)
		return error_nomem();
	return NULL;
}
