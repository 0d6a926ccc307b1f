/* SPDX-License-Identifier: MIT */
/*
 * Code of the C start-up files that has no table: the entry point, which is
 * the end of every stack, and .init and .fini, which every process runs.
 *
 * The latter two are pieced together by the linker around one frame of eight
 * bytes; they are known by their first and last instructions.
 */
#include "unwind/known_code.h"

#define ENTRY_BYTES 64u		/* of code from the entry point on, as far as nothing else covers it */
#define PIECES_MAX 4096u	/* bytes of .init or .fini */

static const unsigned char endbr[] = { 0xf3, 0x0f, 0x1e, 0xfa };

/* How the pieces begin and end: the C libraries differ. */
static const struct frame_pieces {
	unsigned char begin[4], begin_size, end[5], end_size;
} frames[] = {
	{ { 0x48, 0x83, 0xec, 0x08 }, 4, { 0x48, 0x83, 0xc4, 0x08, 0xc3 }, 5 },	/* sub $8, %rsp; add; ret */
	{ { 0x50 }, 1, { 0x58, 0xc3 }, 2 },					/* push %rax; pop; ret */
};

/* Where the frame is set up in a section of pieces, from its start; 0 if it is not known. */
static uint64_t find_prologue_end(const unsigned char *code, uint64_t size)
{
	uint64_t at = size >= sizeof(endbr) && !memcmp(code, endbr, sizeof(endbr)) ? sizeof(endbr) : 0;

	for (size_t i = 0; i < sizeof(frames) / sizeof(*frames); i++) {
		const struct frame_pieces *f = &frames[i];

		if (size >= at + f->begin_size + f->end_size && !memcmp(code + at, f->begin, f->begin_size) &&
		    !memcmp(code + size - f->end_size, f->end, f->end_size))
			return at + f->begin_size;
	}
	return 0;
}

static struct error *add_pieces(struct unwind_source *source, struct elf_file *file, const char *name)
{
	unsigned char code[PIECES_MAX];
	uint64_t offset, size, start, at;
	struct error *err;

	if (!elf_file_section_range(file, name, &offset, &size) || size > sizeof(code) ||
	    !elf_file_section_vaddr(file, name, &start) || !source_is_code(file, start) ||
	    !elf_file_read(file, offset, code, size))
		return NULL;
	at = find_prologue_end(code, size);
	if (!at)
		return NULL;
	err = known_code_add(source, start, start + at, KNOWN_ENTRY);
	if (!err)
		err = known_code_add(source, start + at, start + size - 1, KNOWN_ONE_WORD);
	if (!err)
		err = known_code_add(source, start + size - 1, start + size, KNOWN_ENTRY);
	return err;
}

struct error *known_code_start(struct elf_file *file, bool entry_known, struct unwind_source *ret)
{
	uint64_t entry = elf_file_entry(file);
	struct error *err = NULL;

	if (!entry_known && source_is_code(file, entry))
		err = known_code_add(ret, entry, entry + ENTRY_BYTES, KNOWN_OUTERMOST);
	if (!err)
		err = add_pieces(ret, file, ".init");
	if (!err)
		err = add_pieces(ret, file, ".fini");
	return err;
}
