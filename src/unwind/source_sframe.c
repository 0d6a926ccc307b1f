/* SPDX-License-Identifier: MIT */
/*
 * .sframe, versions 2 and 3, as a source.
 *
 * It says where the CFA, the return address and rbp are and nothing of other
 * registers.  A function has row entries (FREs), each a start relative to the
 * function, an info byte, and data words: offsets, or, in version 3's flexible
 * functions, pairs of a control word and an offset.
 */
#include "unwind/source.h"

#define SFRAME_MAGIC 0xdee2
#define SFRAME_ABI_AMD64 3
#define SFRAME_FLAG_PCREL 0x4
#define HEADER_SIZE 28u
#define FUNCTION_SIZE_V2 20u
#define FUNCTION_SIZE_V3 16u
#define WORDS_MAX 15u	/* a four-bit count */

struct header {
	uint8_t version, flags;
	int8_t fixed_fp, fixed_ra;
	uint32_t n_functions;
	uint64_t functions, rows;	/* offsets in the section */
};

struct function {
	uint64_t start, size;
	uint32_t n_rows;
	uint8_t info, info2, rep_size;
	struct cursor rows;
};

struct row_entry {
	uint64_t start;
	uint8_t info;
	unsigned int n_words;
	uint8_t word_size;
	const unsigned char *words;
};

static bool parse_header(const struct cfi_section *s, struct header *ret)
{
	struct cursor c = { s->data, s->data + s->size, false };
	struct header h = {0};
	uint16_t magic = cursor_u16(&c);
	uint8_t abi, aux;
	uint64_t body;

	h.version = cursor_u8(&c);
	h.flags = cursor_u8(&c);
	abi = cursor_u8(&c);
	h.fixed_fp = cursor_s8(&c);
	h.fixed_ra = cursor_s8(&c);
	aux = cursor_u8(&c);
	h.n_functions = cursor_u32(&c);
	cursor_skip(&c, 8);	/* the number and the bytes of all rows */
	body = HEADER_SIZE + (uint64_t)aux;
	h.functions = body + cursor_u32(&c);
	h.rows = body + cursor_u32(&c);
	*ret = h;
	return !c.failed && magic == SFRAME_MAGIC && (h.version == 2 || h.version == 3) &&
	       abi == SFRAME_ABI_AMD64 && h.fixed_ra == -8 && h.functions <= s->size && h.rows <= s->size;
}

static unsigned int function_size(const struct header *h)
{
	return h->version == 2 ? FUNCTION_SIZE_V2 : FUNCTION_SIZE_V3;
}

static bool parse_function(const struct cfi_section *s, const struct header *h, uint64_t offset,
			   struct function *ret)
{
	struct cursor c = { s->data, s->data + s->size, false };
	uint64_t base = s->vaddr + (h->flags & SFRAME_FLAG_PCREL ? offset : 0);
	struct function f = {0};
	uint32_t rows;

	cursor_skip(&c, offset);
	f.start = base + (uint64_t)(h->version == 2 ? cursor_s32(&c) : cursor_s64(&c));
	f.size = cursor_u32(&c);
	rows = cursor_u32(&c);
	f.rows = (struct cursor){ s->data + h->rows, s->data + s->size, false };
	cursor_skip(&f.rows, rows);
	if (h->version == 2) {
		f.n_rows = cursor_u32(&c);
		f.info = cursor_u8(&c);
		f.rep_size = cursor_u8(&c);
	} else {
		f.n_rows = cursor_u16(&f.rows);
		f.info = cursor_u8(&f.rows);
		f.info2 = cursor_u8(&f.rows);
		f.rep_size = cursor_u8(&f.rows);
	}
	*ret = f;
	return !c.failed && !f.rows.failed && f.size && f.size <= UINT64_MAX - f.start;
}

static bool parse_row(struct cursor *c, unsigned int address_type, struct row_entry *ret)
{
	struct row_entry r = {0};

	switch (address_type) {
	case 0:
		r.start = cursor_u8(c);
		break;
	case 1:
		r.start = cursor_u16(c);
		break;
	case 2:
		r.start = cursor_u32(c);
		break;
	default:
		return false;
	}
	r.info = cursor_u8(c);
	r.n_words = r.info >> 1 & 0xf;
	r.word_size = (uint8_t)(1u << (r.info >> 5 & 3));
	r.words = cursor_skip(c, (uint64_t)r.n_words * r.word_size);
	*ret = r;
	return !c->failed && r.word_size <= 4;
}

static int64_t offset_word(const struct row_entry *r, unsigned int i)
{
	struct cursor c = { r->words + i * r->word_size, r->words + (i + 1) * r->word_size, false };

	return r->word_size == 1 ? cursor_s8(&c) : r->word_size == 2 ? cursor_s16(&c) : cursor_s32(&c);
}

static uint64_t control_word(const struct row_entry *r, unsigned int i)
{
	return (uint64_t)offset_word(r, i) & (~0ULL >> (64 - 8 * r->word_size));
}

/* Bit 0: relative to a register, not to the CFA; bit 1: the address of the value; above: the register. */
static bool flexible_rule(const struct row_entry *r, unsigned int i, struct frame_rule *ret)
{
	uint64_t control = control_word(r, i), reg = control >> 3;
	bool by_register = control & 1, deref = control & 2;

	if (reg >= UNWIND_N_REGS)
		return false;
	*ret = (struct frame_rule){ .reg = (uint8_t)reg, .offset = offset_word(r, i + 1) };
	if (by_register)
		ret->kind = deref ? FRAME_DEREF : FRAME_REGISTER;
	else
		ret->kind = deref ? FRAME_OFFSET : FRAME_VAL_OFFSET;
	return true;
}

/* CFA, return address (one word of 0 where it is CFA - 8), rbp: pairs, the latter two optional. */
static bool flexible_row(const struct row_entry *r, struct frame_row *row)
{
	unsigned int i = 2;

	if (r->n_words < 2 || !flexible_rule(r, 0, &row->cfa) ||
	    (row->cfa.kind != FRAME_REGISTER && row->cfa.kind != FRAME_DEREF))
		return false;
	if (i < r->n_words && control_word(r, i) == 0) {
		i++;
	} else if (i < r->n_words) {
		if (i + 2 > r->n_words || !flexible_rule(r, i, &row->reg[UNWIND_RIP]))
			return false;
		i += 2;
	}
	if (i == r->n_words)
		return true;
	return i + 2 == r->n_words && flexible_rule(r, i, &row->reg[UNWIND_RBP]);
}

static bool default_row(const struct header *h, const struct row_entry *r, struct frame_row *row)
{
	if (r->n_words > 2)
		return false;
	row->cfa = (struct frame_rule){
		.kind = FRAME_REGISTER,
		.reg = r->info & 1 ? UNWIND_RSP : UNWIND_RBP,
		.offset = offset_word(r, 0),
	};
	if (h->fixed_fp || r->n_words == 2)
		row->reg[UNWIND_RBP] = (struct frame_rule){
			.kind = FRAME_OFFSET,
			.offset = h->fixed_fp ? h->fixed_fp : offset_word(r, 1),
		};
	return true;
}

static bool make_row(const struct header *h, const struct function *f, const struct row_entry *r,
		     struct frame_row *row)
{
	*row = (struct frame_row){ .signal_frame = h->version == 3 && f->info & 0x80 };
	frame_row_forget(row);
	row->reg[UNWIND_RIP] = (struct frame_rule){ .kind = FRAME_OFFSET, .offset = h->fixed_ra };
	if (!r->n_words) {
		row->reg[UNWIND_RIP].kind = FRAME_UNDEFINED;
		return true;
	}
	switch (f->info2 & 0x1f) {
	case 0:
		return default_row(h, r, row);
	case 1:
		return flexible_row(r, row);
	default:
		return false;
	}
}

/* The function's rows once, relative to base: all of it, or one of its repeated blocks. */
static bool block_rows(const struct header *h, const struct function *f, uint64_t base, uint64_t end,
		       uint64_t *budget, frame_row_fn emit, void *arg, bool *stopped)
{
	struct cursor c = f->rows;
	struct row_entry entry, next;
	struct frame_row row;

	/* Without a row from the start on there is nothing to say about the start. */
	if (!f->n_rows || !parse_row(&c, f->info & 0xf, &entry) || entry.start)
		return false;
	for (uint32_t i = 1; !*stopped; i++) {
		bool last = i == f->n_rows;
		uint64_t from = base + entry.start, to = end;

		if (!last && (!parse_row(&c, f->info & 0xf, &next) || next.start <= entry.start))
			return false;
		if (!last && end - base > next.start)
			to = base + next.start;
		if (!*budget || from >= end || !make_row(h, f, &entry, &row))
			return from >= end;
		--*budget;
		*stopped = !emit(arg, from, to, &row);
		if (last)
			break;
		entry = next;
	}
	return true;
}

static bool sframe_rows(const struct unwind_source *source, size_t i, uint64_t *budget, frame_row_fn emit,
			void *arg)
{
	const struct cfi_section *s = &source->section;
	struct header h;
	struct function f;
	bool repeated, stopped = false, ok = true;

	if (*budget < SOURCE_BUDGET_ENTRY || !parse_header(s, &h) ||
	    !parse_function(s, &h, fde_index_position(&source->index, i), &f))
		return false;
	*budget -= SOURCE_BUDGET_ENTRY;
	repeated = f.info & 0x10;
	if (repeated && !f.rep_size)
		return false;
	for (uint64_t base = f.start, end = f.start + f.size; base < end && ok && !stopped;) {
		uint64_t size = repeated && f.rep_size < end - base ? f.rep_size : end - base;

		ok = block_rows(&h, &f, base, base + size, budget, emit, arg, &stopped);
		base += size;
	}
	return ok;
}

struct error *source_open_sframe(struct elf_file *file, struct unwind_source *ret)
{
	struct elf_section section;
	struct header h;

	if (!elf_file_section(file, ".sframe", &section))
		return NULL;
	ret->rows = sframe_rows;
	ret->section = (struct cfi_section){ section.data, section.size, section.vaddr, false };
	if (!parse_header(&ret->section, &h))
		return NULL;
	ret->index.start_base = source_start_base(file);
	for (uint32_t i = 0; i < h.n_functions; i++) {
		uint64_t at = h.functions + (uint64_t)i * function_size(&h);
		struct function f;

		if (at >= section.size)
			break;
		if (!parse_function(&ret->section, &h, at, &f) || !source_is_code(file, f.start)) {
			ret->n_bad++;
			continue;
		}
		switch (fde_index_add(&ret->index, f.start, at)) {
		case FDE_INDEX_OK:
			break;
		case FDE_INDEX_OUT_OF_RANGE:
			ret->n_bad++;
			break;
		case FDE_INDEX_NO_MEMORY:
			return error_nomem();
		}
	}
	fde_index_sort(&ret->index);
	return NULL;
}
