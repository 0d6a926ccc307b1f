/* SPDX-License-Identifier: MIT */
/*
 * A source of unwind information: function entries by address, each able to
 * give its rows.  A table asks its sources in the order of their precedence.
 */
#ifndef RETOUR_UNWIND_SOURCE_H
#define RETOUR_UNWIND_SOURCE_H

#include "base/error.h"
#include "elf/elf_file.h"
#include "unwind/cfi.h"
#include "unwind/fde_index.h"
#include "unwind/frame_row.h"

/* What running one table look-up may cost, in call frame instructions. */
#define SOURCE_BUDGET_BASE (1u << 20)
#define SOURCE_BUDGET_PER_BYTE 64u
#define SOURCE_BUDGET_ENTRY 8u	/* parsing an entry costs as much as this many */

/* Where Go's function table lies in the file, see source_go.c. */
struct go_table {
	const struct elf_file *file;
	uint64_t offset, size;
	uint64_t text_start, text_end;	/* addresses */
	uint64_t distances;		/* an offset into the table */
	unsigned int flag_offset;	/* into a function's record */
};

struct unwind_source {
	struct fde_index index;
	/*
	 * Gives the rows of entry i in address order, the first one at the
	 * entry's start.  False if it is corrupt: what was not given is not known.
	 */
	bool (*rows)(const struct unwind_source *source, size_t i, uint64_t *budget, frame_row_fn emit,
		     void *arg);
	union {
		struct cfi_section section;
		struct go_table go;
	};
	uint64_t n_bad;		/* entries refused when the index was built */
};

static inline void unwind_source_close(struct unwind_source *source)
{
	fde_index_free(&source->index);
}

/*
 * Each fills *ret, which is zeroed, and leaves it without entries if the file
 * has nothing of the kind; they fail only without memory.
 */
ERROR_CHECK struct error *source_open_eh_frame(struct elf_file *file, struct unwind_source *ret);
ERROR_CHECK struct error *source_open_debug_frame(struct elf_file *file, struct unwind_source *ret);
ERROR_CHECK struct error *source_open_sframe(struct elf_file *file, struct unwind_source *ret);
/* Go's own function table, which also knows where its stacks end and what its signal frames are. */
ERROR_CHECK struct error *source_open_go(struct elf_file *file, struct unwind_source *ret);
/* Code that is known by its bytes although, or because, a table has something else for it. */
ERROR_CHECK struct error *source_open_corrections(struct elf_file *file, struct unwind_source *ret);
/* Code that is known by its bytes, see known_code.h; the entry point is, unless another source knows it. */
ERROR_CHECK struct error *source_open_known(struct elf_file *file, bool entry_known, struct unwind_source *ret);

/* Whether an address lies in an executable segment; what starts elsewhere is no function. */
bool source_is_code(const struct elf_file *file, uint64_t vaddr);
/* The base that reaches most of a file's code: for indexes that are built. */
uint64_t source_start_base(const struct elf_file *file);

#endif
