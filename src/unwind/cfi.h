/* SPDX-License-Identifier: MIT */
/*
 * The entries of .eh_frame and .debug_frame (CIEs and FDEs) and their programs.
 *
 * Parsing never looks outside the section; a program is run instruction by
 * instruction against a budget, so corrupt entries cost bounded time.
 */
#ifndef RETOUR_UNWIND_CFI_H
#define RETOUR_UNWIND_CFI_H

#include "unwind/cursor.h"
#include "unwind/frame_row.h"

struct cfi_section {
	const unsigned char *data;
	size_t size;
	uint64_t vaddr;
	bool debug_frame;	/* the layout of .debug_frame: no vaddr, other CIE references */
};

struct cfi_cie {
	uint64_t code_align;
	int64_t data_align;
	uint8_t fde_encoding;
	bool has_augmentation_data;
	bool signal_frame;
	struct cursor program;
};

struct cfi_fde {
	struct cfi_cie cie;
	uint64_t start, end;	/* virtual addresses */
	struct cursor program;
};

enum cfi_entry_kind { CFI_ENTRY_BAD, CFI_ENTRY_CIE, CFI_ENTRY_FDE, CFI_ENTRY_TERMINATOR };

/*
 * What the entry at an offset is; *next becomes the offset behind it, or the
 * section's size where nothing more can be found.
 */
enum cfi_entry_kind cfi_entry_kind(const struct cfi_section *section, uint64_t offset, uint64_t *next);

/* The FDE at an offset; false if there is none, or it or its CIE is corrupt. */
bool cfi_parse_fde(const struct cfi_section *section, uint64_t offset, struct cfi_fde *ret);

/*
 * Runs the FDE's program and gives every row in address order, the first one
 * at fde->start; stops early when emit says so.  False if the program is corrupt or
 * *budget, decremented per instruction, ran out: rows before that were given.
 */
bool cfi_run(const struct cfi_section *section, const struct cfi_fde *fde, uint64_t *budget,
	     frame_row_fn emit, void *arg);

#endif
