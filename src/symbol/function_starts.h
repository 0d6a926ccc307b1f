/* SPDX-License-Identifier: MIT */
/*
 * Where functions begin, from .eh_frame_hdr's search table: it is there in
 * stripped files too, so that code without a symbol can still be told apart by
 * function.
 */
#ifndef RETOUR_SYMBOL_FUNCTION_STARTS_H
#define RETOUR_SYMBOL_FUNCTION_STARTS_H

#include "base/vec.h"
#include "elf/elf_file.h"

struct function_starts {
	VEC(uint64_t) offsets;	/* in the file, ascending */
};

/* Reads the table of the file; a file without one, or with a corrupt one, has no starts. */
ERROR_CHECK struct error *function_starts_read(struct elf_file *file, struct function_starts *ret);
/* The last start at or before an offset; false if there is none. */
bool function_starts_find(const struct function_starts *starts, uint64_t offset, uint64_t *ret);
void function_starts_free(struct function_starts *starts);

#endif
