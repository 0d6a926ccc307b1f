/* SPDX-License-Identifier: MIT */
/*
 * Go's own function table as a source: .gopclntab of Go 1.18 and later.
 *
 * The runtime unwinds by it, so every Go program has it, stripped or not, and
 * it says what Go's .debug_frame does not: where a stack ends.  Per function there is a
 * record with flags and a reference to the distances of rsp from the frame's top.
 *
 * The table is megabytes in large programs; only the index stays in memory,
 * and the record and distances of a function are read when it is compiled.
 */
#include "unwind/source.h"

#include <stdlib.h>

#define PCLNTAB_MAX (256u << 20)
#define HEADER_SIZE 72u
#define RECORD_SIZE 42u
#define DISTANCES_CHUNK 512u	/* most functions have fewer bytes */
#define READ_BUDGET (8 * SOURCE_BUDGET_ENTRY)

/*
 * The first marks the bottom of a stack; the second that rsp is set to another
 * stack, where Go's own unwinder stops too.
 */
enum { FLAG_TOP_FRAME = 1, FLAG_SP_WRITE = 2 };

struct header {
	uint64_t n_functions, text_start, names, distances, functions;
	unsigned int flag_offset;	/* of the flag byte in a function's record */
};

static bool parse_header(const unsigned char *data, uint64_t size, struct header *ret)
{
	struct cursor c = { data, data + HEADER_SIZE, false };
	struct header h = {0};
	uint32_t magic = cursor_u32(&c);

	/* Go 1.18; Go 1.20, whose records have a line number more. */
	if (magic != 0xfffffff0 && magic != 0xfffffff1)
		return false;
	h.flag_offset = magic == 0xfffffff0 ? 37 : 41;
	/* Two zeros, the unit of addresses, the size of a pointer. */
	if (cursor_u32(&c) != 0x08010000)
		return false;
	h.n_functions = cursor_u64(&c);
	cursor_skip(&c, 8);
	h.text_start = cursor_u64(&c);
	h.names = cursor_u64(&c);
	cursor_skip(&c, 16);
	h.distances = cursor_u64(&c);
	h.functions = cursor_u64(&c);
	*ret = h;
	/* Pairs of 32-bit words, and one that ends the last function. */
	return h.names < size && h.distances < size && h.functions < size &&
	       h.n_functions < (size - h.functions) / 8;
}

static bool read_table(const struct go_table *t, uint64_t at, void *buf, uint64_t size)
{
	return at <= t->size && size <= t->size - at && elf_file_read(t->file, t->offset + at, buf, size);
}

/*
 * A frame of `distance` bytes below the return address; rbp is saved on top of
 * it.  Below zero the return address was popped to who knows where: no rule.
 */
static void distance_row(struct frame_row *row, int64_t distance)
{
	if (distance < 0)
		return;
	frame_row_forget(row);
	row->cfa = (struct frame_rule){ .kind = FRAME_REGISTER, .reg = UNWIND_RSP, .offset = distance + 8 };
	row->reg[UNWIND_RIP] = (struct frame_rule){ .kind = FRAME_OFFSET, .offset = -8 };
	if (distance)
		row->reg[UNWIND_RBP] = (struct frame_rule){ .kind = FRAME_OFFSET, .offset = -16 };
}

/* The distances of one function, of unknown length, read piece by piece. */
struct distances {
	const struct go_table *table;
	uint64_t at;	/* of what is in the buffer */
	struct cursor c;
	unsigned char buf[DISTANCES_CHUNK];
};

/* Makes sure that the buffer has two whole numbers, unless the table ends before. */
static bool refill(struct distances *d)
{
	uint64_t left;

	if (cursor_left(&d->c) >= 2 * (LEB_BITS_MAX / 7 + 1))
		return true;
	d->at += (uint64_t)(d->c.pos - d->buf);
	left = d->table->size - d->at;
	d->c.pos = d->buf;
	d->c.end = d->buf + (left < sizeof(d->buf) ? left : sizeof(d->buf));
	return read_table(d->table, d->at, d->buf, cursor_left(&d->c));
}

/* Pairs of numbers: by how much the distance changes, for how many bytes it then holds; 0 ends them. */
static bool distance_rows(const struct go_table *t, uint64_t at, uint64_t pc, uint64_t *budget,
			  frame_row_fn emit, void *arg)
{
	struct distances d = { .table = t, .at = at, .c = { d.buf, d.buf, false } };
	int64_t distance = -1;

	for (bool first = true; refill(&d); first = false) {
		uint32_t change = (uint32_t)cursor_uleb(&d.c);
		uint64_t bytes;
		struct frame_row row = {0};

		if (!change && !first)
			return !d.c.failed;
		distance += change & 1 ? -(int64_t)(change >> 1) - 1 : (int64_t)(change >> 1);
		bytes = cursor_uleb(&d.c);
		if (d.c.failed || !bytes || bytes > UINT64_MAX - pc || !*budget)
			return false;
		--*budget;
		distance_row(&row, distance);
		if (!emit(arg, pc, pc + bytes, &row))
			return true;
		pc += bytes;
	}
	return false;
}

/* 0 outside of what is there. */
static uint32_t word_at(const unsigned char *data, uint64_t size, uint64_t at)
{
	uint32_t word = 0;

	if (at < size && size - at >= sizeof(word))
		memcpy(&word, data + at, sizeof(word));
	return word;
}

/* A handler returns to the restorer's first byte; one before that is where its rule is looked up. */
static bool is_signal_restorer(const unsigned char *data, uint64_t size, const struct header *h,
			       uint64_t record)
{
	static const char want[] = "runtime.sigreturn";
	uint64_t name = h->names + word_at(data, size, record + 4);

	return name < size && size - name >= sizeof(want) && !memcmp(data + name, want, sizeof(want) - 1);
}

static bool go_rows(const struct unwind_source *source, size_t i, uint64_t *budget, frame_row_fn emit,
		    void *arg)
{
	const struct go_table *t = &source->go;
	uint64_t start = fde_index_start(&source->index, i), end = fde_index_limit(&source->index, i), at;
	unsigned char record[RECORD_SIZE];
	struct frame_row row = {0};
	bool restorer;

	if (*budget < READ_BUDGET || !read_table(t, fde_index_position(&source->index, i), record, sizeof(record)))
		return false;
	*budget -= READ_BUDGET;
	restorer = t->text_start + word_at(record, sizeof(record), 0) != start;
	if (restorer)
		frame_row_signal(&row);
	else
		row.reg[UNWIND_RIP].kind = FRAME_UNDEFINED;
	if (restorer || record[t->flag_offset] & (FLAG_TOP_FRAME | FLAG_SP_WRITE)) {
		emit(arg, start, end < t->text_end ? end : t->text_end, &row);
		return true;
	}

	at = word_at(record, sizeof(record), 16);
	if (!at || at >= t->size - t->distances)
		return true;
	return distance_rows(t, t->distances + at, start, budget, emit, arg);
}

static struct error *build_index(struct unwind_source *source, struct elf_file *file, const unsigned char *data,
				 uint64_t size, const struct header *h)
{
	uint64_t text = source->go.text_start;

	source->index.start_base = source_start_base(file);
	for (uint64_t i = 0; i < h->n_functions; i++) {
		uint64_t pair = h->functions + i * 8;
		uint64_t start = text + word_at(data, size, pair);
		uint64_t record = h->functions + word_at(data, size, pair + 4);

		if (is_signal_restorer(data, size, h, record))
			start--;
		if (!source_is_code(file, start))
			source->n_bad++;
		else if (fde_index_add(&source->index, start, record) == FDE_INDEX_NO_MEMORY)
			return error_nomem();
	}
	source->go.text_end = text + word_at(data, size, h->functions + h->n_functions * 8);
	fde_index_sort(&source->index);
	return NULL;
}

/* Linkers other than Go's (lld) leave the table inside a section of theirs. */
static bool find_inside(struct elf_file *file, const char *section, uint64_t *offset, uint64_t *size)
{
	static const unsigned char magic[] = { 0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8 };
	unsigned char chunk[16384];
	uint64_t start, left;

	if (!elf_file_section_range(file, section, &start, &left))
		return false;
	/* It is aligned to 32 bytes, so no chunk cuts the magic. */
	for (; left >= HEADER_SIZE; left -= left < sizeof(chunk) ? left : sizeof(chunk), start += sizeof(chunk)) {
		size_t n = left < sizeof(chunk) ? left : sizeof(chunk);

		if (!elf_file_read(file, start, chunk, n))
			return false;
		for (size_t at = -start & 31; at + sizeof(magic) <= n; at += 32) {
			if (memcmp(chunk + at, magic, sizeof(magic)))
				continue;
			*offset = start + at;
			*size = left - at < PCLNTAB_MAX ? left - at : PCLNTAB_MAX;
			return true;
		}
	}
	return false;
}

static bool find_table(struct elf_file *file, uint64_t *offset, uint64_t *size)
{
	uint64_t mark, mark_size;

	if (elf_file_section_range(file, ".gopclntab", offset, size) ||
	    elf_file_section_range(file, ".data.rel.ro.gopclntab", offset, size))
		return true;
	return elf_file_section_range(file, ".go.buildinfo", &mark, &mark_size) &&
	       (find_inside(file, ".rodata", offset, size) || find_inside(file, ".data.rel.ro", offset, size));
}

struct error *source_open_go(struct elf_file *file, struct unwind_source *ret)
{
	_cleanup_free_ unsigned char *data = NULL;
	uint64_t offset, size, text;
	struct header h;

	if (!find_table(file, &offset, &size) || size < HEADER_SIZE || size > PCLNTAB_MAX)
		return NULL;
	data = malloc(size);
	if (!data)
		return error_nomem();
	if (!elf_file_read(file, offset, data, size) || !parse_header(data, size, &h))
		return NULL;
	/* In a position-independent program the field may be left to the dynamic linker. */
	text = h.text_start;
	if (!source_is_code(file, text) && !elf_file_section_vaddr(file, ".text", &text))
		return NULL;
	ret->rows = go_rows;
	ret->go = (struct go_table){
		.file = file, .offset = offset, .size = size, .text_start = text, .distances = h.distances,
		.flag_offset = h.flag_offset,
	};
	return build_index(ret, file, data, size, &h);
}
