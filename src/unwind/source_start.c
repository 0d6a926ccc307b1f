/* SPDX-License-Identifier: MIT */
/*
 * Code of the C start-up files that has no table: the entry point, which is
 * the end of every stack, and .init and .fini, which every process runs.
 *
 * The latter two are pieced together by the linker around one frame of eight
 * bytes; they are known by their first and last instructions.
 */
#include "unwind/source.h"

#define ENTRY_BYTES 64u		/* of code from the entry point on, as far as nothing else covers it */
#define PIECES_MAX 4096u	/* bytes of .init or .fini */

/* An entry's position in the index: 0 for the entry point, or else the two lengths. */
static uint64_t pieces_position(uint64_t size, uint64_t prologue)
{
	return size << 8 | prologue;
}

static bool start_rows(const struct unwind_source *source, size_t i, uint64_t *budget, frame_row_fn emit,
		       void *arg)
{
	uint64_t start = fde_index_start(&source->index, i), position = fde_index_position(&source->index, i);
	uint64_t pushed = start + (position & 0xff), ret = start + (position >> 8) - 1;
	struct frame_row row = {0};

	if (!position) {
		row.reg[UNWIND_RIP].kind = FRAME_UNDEFINED;
		emit(arg, start, start + ENTRY_BYTES, &row);
		return true;
	}
	row.cfa = (struct frame_rule){ .kind = FRAME_REGISTER, .reg = UNWIND_RSP, .offset = 8 };
	row.reg[UNWIND_RIP] = (struct frame_rule){ .kind = FRAME_OFFSET, .offset = -8 };
	if (!emit(arg, start, pushed, &row))
		return true;
	row.cfa.offset = 16;
	if (!emit(arg, pushed, ret, &row))
		return true;
	row.cfa.offset = 8;
	emit(arg, ret, ret + 1, &row);
	return true;
}

static struct error *add(struct unwind_source *source, uint64_t start, uint64_t position)
{
	return fde_index_add(&source->index, start, position) == FDE_INDEX_NO_MEMORY ? error_nomem() : NULL;
}

static struct error *add_pieces(struct unwind_source *source, struct elf_file *file, const char *name)
{
	static const unsigned char endbr[] = { 0xf3, 0x0f, 0x1e, 0xfa }, sub[] = { 0x48, 0x83, 0xec, 0x08 };
	static const unsigned char add_ret[] = { 0x48, 0x83, 0xc4, 0x08, 0xc3 };
	unsigned char code[PIECES_MAX];
	uint64_t offset, size, start, at;

	if (!elf_file_section_range(file, name, &offset, &size) || size > sizeof(code) ||
	    !elf_file_section_vaddr(file, name, &start) || !source_is_code(file, start) ||
	    !elf_file_read(file, offset, code, size))
		return NULL;
	at = size >= sizeof(endbr) && !memcmp(code, endbr, sizeof(endbr)) ? sizeof(endbr) : 0;
	if (size < at + sizeof(sub) + sizeof(add_ret) || memcmp(code + at, sub, sizeof(sub)) ||
	    memcmp(code + size - sizeof(add_ret), add_ret, sizeof(add_ret)))
		return NULL;
	return add(source, start, pieces_position(size, at + sizeof(sub)));
}

struct error *source_open_start(struct elf_file *file, bool entry_known, struct unwind_source *ret)
{
	uint64_t entry = elf_file_entry(file);
	struct error *err = NULL;

	ret->rows = start_rows;
	ret->index.start_base = source_start_base(file);
	if (!entry_known && source_is_code(file, entry))
		err = add(ret, entry, 0);
	if (!err)
		err = add_pieces(ret, file, ".init");
	if (!err)
		err = add_pieces(ret, file, ".fini");
	fde_index_sort(&ret->index);
	return err;
}
