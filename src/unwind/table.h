/* SPDX-License-Identifier: MIT */
/*
 * The unwind table of one DSO: rules by file offset, compiled on demand from
 * .eh_frame, .debug_frame, .sframe, Go's function table, and code known by its bytes.
 *
 * Nothing is compiled when a table is opened but an index of the FDEs; a range
 * of text is compiled when asked for.  Corrupt input yields rules of kind
 * RULE_CFA_NONE for what it covers and a count, never a crash or a hang.
 */
#ifndef RETOUR_UNWIND_TABLE_H
#define RETOUR_UNWIND_TABLE_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/vec.h"
#include "elf/elf_file.h"
#include "unwind/rule.h"

#include <stdint.h>

struct unwind_table;

/* A rule from start (a file offset) up to the next row. */
struct unwind_row {
	uint64_t start;
	struct unwind_rule rule;
};

typedef VEC(struct unwind_row) unwind_rows;

struct unwind_table_info {
	uint64_t text_start, text_end;	/* file offsets: hull of the executable segments */
	uint64_t n_fdes;		/* functions that something is known of */
	uint64_t n_bad_fdes;		/* times that one was skipped as corrupt so far */
};

/*
 * Opens the table of a file; the file object must outlive it.  A file without
 * any unwind information is no error: all its rules are RULE_CFA_NONE.
 */
ERROR_CHECK struct error *unwind_table_open(struct elf_file *file, struct unwind_table **ret);
void unwind_table_close(struct unwind_table *table);
DEFINE_CLEANUP(unwind_table_close, struct unwind_table *);

void unwind_table_info(const struct unwind_table *table, struct unwind_table_info *ret);

/*
 * Appends the rows that cover the file offsets [start, end), ascending, the
 * first one at start exactly; equal neighbours are merged; holes are rows of
 * RULE_CFA_NONE.  Fails only without memory.
 */
ERROR_CHECK struct error *unwind_table_rows(struct unwind_table *table, uint64_t start, uint64_t end,
					    unwind_rows *rows);

/* The rule at one file offset. */
struct unwind_rule unwind_table_rule(struct unwind_table *table, uint64_t offset);

#endif
