/* SPDX-License-Identifier: MIT */
/* The table's inside, for the full step. */
#ifndef RETOUR_UNWIND_TABLE_INTERNAL_H
#define RETOUR_UNWIND_TABLE_INTERNAL_H

#include "unwind/source.h"
#include "unwind/table.h"

enum {
	SOURCE_CORRECTIONS, SOURCE_GO, SOURCE_EH_FRAME, SOURCE_DEBUG_FRAME, SOURCE_SFRAME, SOURCE_KNOWN,
	UNWIND_N_SOURCES,
};

struct unwind_table {
	struct elf_file *file;
	struct unwind_source source[UNWIND_N_SOURCES];	/* in order of precedence */
	uint64_t n_bad;
};

/* The virtual address of a file offset in an executable segment. */
bool table_code_vaddr(const struct unwind_table *table, uint64_t offset, uint64_t *ret);

#endif
