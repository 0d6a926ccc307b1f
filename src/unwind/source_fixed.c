/* SPDX-License-Identifier: MIT */
/*
 * Stretches of code whose rule is known without any table: the entry point,
 * and in Go programs the functions that the runtime marks as the top of a stack
 * and the one to which signal handlers return.
 *
 * Go's functions come from its own table, which also a stripped program has:
 * .gopclntab of Go 1.18 and later.
 */
#include "unwind/source.h"

#include <stdlib.h>

#define ENTRY_BYTES 64u		/* of code from the entry point on, as far as nothing else covers it */
#define PCLNTAB_MAX (256u << 20)

/* An entry's position in the index: what it is, and how long. */
enum { FIXED_OUTERMOST, FIXED_SIGNAL };
#define FIXED_LENGTH_MAX ((1u << 24) - 1)

static struct frame_rule word_above_rsp(int64_t offset)
{
	return (struct frame_rule){ .kind = FRAME_DEREF, .reg = UNWIND_RSP, .offset = offset };
}

/* The kernel's struct rt_sigframe seen from the restorer: ucontext at rsp, its registers at 40. */
static void signal_row(struct frame_row *row)
{
	static const unsigned char order[UNWIND_N_REGS] = {
		8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16,	/* r8 to r15, rdi, rsi, … */
	};

	for (unsigned int i = 0; i < UNWIND_N_REGS; i++)
		row->reg[order[i]] = word_above_rsp(40 + 8 * (int64_t)i);
	row->cfa = row->reg[UNWIND_RSP];
	row->signal_frame = true;
}

static bool fixed_rows(const struct unwind_source *source, size_t i, uint64_t *budget, frame_row_fn emit,
		       void *arg)
{
	uint64_t start = fde_index_start(&source->index, i), position = fde_index_position(&source->index, i);
	struct frame_row row = {0};

	if (position >> 24 == FIXED_SIGNAL)
		signal_row(&row);
	else
		row.reg[UNWIND_RIP].kind = FRAME_UNDEFINED;
	emit(arg, start, start + (position & FIXED_LENGTH_MAX), &row);
	return true;
}

static struct error *add(struct unwind_source *source, unsigned int kind, uint64_t start, uint64_t end)
{
	uint64_t length = end - start < FIXED_LENGTH_MAX ? end - start : FIXED_LENGTH_MAX;

	if (fde_index_add(&source->index, start, (uint64_t)kind << 24 | length) == FDE_INDEX_NO_MEMORY)
		return error_nomem();
	return NULL;
}

struct error *source_open_entry(struct elf_file *file, struct unwind_source *ret)
{
	uint64_t entry = elf_file_entry(file);

	ret->rows = fixed_rows;
	if (!source_is_code(file, entry))
		return NULL;
	ret->index.start_base = entry;
	return add(ret, FIXED_OUTERMOST, entry, entry + ENTRY_BYTES);
}

struct pclntab {
	const unsigned char *data;
	size_t size;
	uint64_t text_start, n_functions, names, functions;
	unsigned int flag_offset;	/* of the flag byte in a function's record */
};

static uint64_t word_at(const struct pclntab *p, uint64_t offset, unsigned int size)
{
	struct cursor c = { p->data, p->data + p->size, false };

	cursor_skip(&c, offset);
	return size == 4 ? cursor_u32(&c) : size == 8 ? cursor_u64(&c) : cursor_u8(&c);
}

static bool parse_pclntab(struct pclntab *p)
{
	switch (word_at(p, 0, 4)) {
	case 0xfffffff0:	/* Go 1.18, 1.19 */
		p->flag_offset = 37;
		break;
	case 0xfffffff1:	/* Go 1.20: a line number before it */
		p->flag_offset = 41;
		break;
	default:
		return false;
	}
	p->n_functions = word_at(p, 8, 8);
	p->text_start = word_at(p, 24, 8);
	p->names = word_at(p, 32, 8);
	p->functions = word_at(p, 64, 8);
	/* Pairs of 32-bit words and one that ends the last function. */
	return word_at(p, 7, 1) == 8 && p->names < p->size && p->functions < p->size &&
	       p->n_functions < (p->size - p->functions) / 8;
}

static bool name_is(const struct pclntab *p, uint64_t function, const char *want)
{
	uint64_t at = p->names + word_at(p, function + 4, 4);

	return at < p->size && p->size - at > strlen(want) && !memcmp(p->data + at, want, strlen(want));
}

static struct error *add_functions(struct unwind_source *source, struct elf_file *file, const struct pclntab *p)
{
	struct error *err = NULL;

	for (uint64_t i = 0; i < p->n_functions && !err; i++) {
		uint64_t pair = p->functions + i * 8;
		uint64_t start = p->text_start + word_at(p, pair, 4);
		uint64_t end = p->text_start + word_at(p, pair + 8, 4);
		uint64_t function = p->functions + word_at(p, pair + 4, 4);

		if (end <= start || !source_is_code(file, start))
			continue;
		/* The program's very first code only jumps to one that is marked. */
		if (word_at(p, function + p->flag_offset, 1) & 1 || name_is(p, function, "_rt0_amd64"))
			err = add(source, FIXED_OUTERMOST, start, end);
		/* A handler's return address minus one lies before the restorer. */
		else if (name_is(p, function, "runtime.sigreturn"))
			err = add(source, FIXED_SIGNAL, start - 1, end);
	}
	fde_index_sort(&source->index);
	return err;
}

struct error *source_open_go(struct elf_file *file, struct unwind_source *ret)
{
	_cleanup_free_ unsigned char *data = NULL;
	struct pclntab p = {0};
	uint64_t offset, size;

	ret->rows = fixed_rows;
	if ((!elf_file_section_range(file, ".gopclntab", &offset, &size) &&
	     !elf_file_section_range(file, ".data.rel.ro.gopclntab", &offset, &size)) || size > PCLNTAB_MAX)
		return NULL;
	data = malloc(size ? size : 1);
	if (!data)
		return error_nomem();
	if (!elf_file_read(file, offset, data, size))
		return NULL;
	p.data = data;
	p.size = size;
	if (!parse_pclntab(&p))
		return NULL;
	/* In a position-independent program the field may be left to the dynamic linker. */
	if (!source_is_code(file, p.text_start) && !elf_file_section_vaddr(file, ".text", &p.text_start))
		return NULL;
	ret->index.start_base = source_start_base(file);
	return add_functions(ret, file, &p);
}
