/* SPDX-License-Identifier: MIT */
/*
 * The linker's stubs: a jump through a pointer, and where binding is lazy, a
 * push of the symbol's number and a jump to the first stub, which pushes another word.
 *
 * Some linkers give them no table, and none does in a program without dynamic linker.
 */
#include "unwind/known_code.h"

#include <stdlib.h>

#define SECTION_SIZE_MAX (1u << 20)

/* In code "?" is any byte.  Where frames change: up to three in a stub. */
static const struct stub {
	const char *code;
	unsigned int size;
	struct {
		unsigned char at, frame;
	} rows[3];
} stubs[] = {
	/* jmp *GOT; the same with a landing pad, or the prefix of MPX, or both */
	{ "\xff\x25????\x66\x90", 8, { { 0, KNOWN_ENTRY } } },
	{ "\xf2\xff\x25????\x90", 8, { { 0, KNOWN_ENTRY } } },
	{ "\xf3\x0f\x1e\xfa\xff\x25????\x66\x0f\x1f\x44\0\0", 16, { { 0, KNOWN_ENTRY } } },
	{ "\xf3\x0f\x1e\xfa\xff\x25????\xcc\xcc\xcc\xcc\xcc\xcc", 16, { { 0, KNOWN_ENTRY } } },
	{ "\xf3\x0f\x1e\xfa\xf2\xff\x25????\x0f\x1f\x44\0\0", 16, { { 0, KNOWN_ENTRY } } },
	/* jmp *GOT; push n; jmp to the first */
	{ "\xff\x25????\x68????\xe9????", 16, { { 0, KNOWN_LAZY_PLT } } },
	{ "\xf3\x0f\x1e\xfa\x68????\xe9????\x66\x90", 16, { { 0, KNOWN_LAZY_PLT_IBT } } },
	{ "\xf3\x0f\x1e\xfa\x68????\xf2\xe9????\x90", 16, { { 0, KNOWN_LAZY_PLT_IBT } } },
	/* The first one: push GOT+8; jmp *GOT+16 */
	{ "\xff\x35????\xff\x25????\x0f\x1f\x40\0", 16, { { 0, KNOWN_ONE_WORD }, { 6, KNOWN_TWO_WORDS } } },
	{ "\xff\x35????\xf2\xff\x25????\x0f\x1f\0", 16, { { 0, KNOWN_ONE_WORD }, { 6, KNOWN_TWO_WORDS } } },
	/* The number in r11, which the first one pushes */
	{ "\xf3\x0f\x1e\xfa\x41\xbb????\xff\x25????", 16, { { 0, KNOWN_ENTRY } } },
	{ "\xf3\x0f\x1e\xfa\x41\x53\xff\x35????\xff\x25????", 18,
	  { { 0, KNOWN_ENTRY }, { 6, KNOWN_ONE_WORD }, { 12, KNOWN_TWO_WORDS } } },
};

static bool matches(const struct stub *stub, const unsigned char *code)
{
	for (unsigned int i = 0; i < stub->size; i++)
		if (stub->code[i] != '?' && (unsigned char)stub->code[i] != code[i])
			return false;
	return true;
}

static const struct stub *find_stub(const unsigned char *code, size_t size)
{
	for (size_t i = 0; i < sizeof(stubs) / sizeof(*stubs); i++)
		if (stubs[i].size <= size && matches(&stubs[i], code))
			return &stubs[i];
	return NULL;
}

/* Stubs of one frame in a row are one range. */
struct run {
	uint64_t start, end;
	enum known_frame frame;
};

static struct error *extend(struct run *run, uint64_t start, uint64_t end, enum known_frame frame,
			    struct unwind_source *ret)
{
	struct error *err = NULL;

	if (start != run->end || frame != run->frame) {
		if (run->frame)
			err = known_code_add(ret, run->start, run->end, run->frame);
		*run = (struct run){ .start = start, .frame = frame };
	}
	run->end = end;
	return err;
}

static struct error *add_stub(struct run *run, const struct stub *stub, uint64_t start, struct unwind_source *ret)
{
	const unsigned int n = sizeof(stub->rows) / sizeof(*stub->rows);
	struct error *err = NULL;

	for (unsigned int i = 0; i < n && stub->rows[i].frame && !err; i++) {
		bool last = i + 1 == n || !stub->rows[i + 1].frame;
		uint64_t end = last ? stub->size : stub->rows[i + 1].at;

		err = extend(run, start + stub->rows[i].at, start + end, stub->rows[i].frame, ret);
	}
	return err;
}

static struct error *add_section(struct elf_file *file, const char *name, struct unwind_source *ret)
{
	_cleanup_free_ unsigned char *code = NULL;
	uint64_t offset, size, vaddr, at = 0;
	struct error *err = NULL;
	struct run run = {0};

	if (!elf_file_section_range(file, name, &offset, &size) || size > SECTION_SIZE_MAX ||
	    !elf_file_section_vaddr(file, name, &vaddr) || !source_is_code(file, vaddr))
		return NULL;
	code = malloc(size + 1);
	if (!code)
		return error_nomem();
	if (!elf_file_read(file, offset, code, size))
		return NULL;
	while (at < size && !err) {
		const struct stub *stub = find_stub(code + at, size - at);

		/* The rule of lazy stubs goes by the address, which is a multiple of 16. */
		if (stub && (stub->size == 8 || !((vaddr + at) & 15)))
			err = add_stub(&run, stub, vaddr + at, ret);
		else
			stub = NULL;
		at += stub ? (stub->size + 7) & ~7u : 8;
	}
	return err ? err : extend(&run, 0, 0, KNOWN_NOTHING, ret);
}

struct error *known_code_plt(struct elf_file *file, struct unwind_source *ret)
{
	static const char *const names[] = { ".plt", ".plt.sec", ".plt.got", ".iplt" };
	struct error *err = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !err; i++)
		err = add_section(file, names[i], ret);
	return err;
}
