/* SPDX-License-Identifier: MIT */
/*
 * The unwind table: a stack of sources.  A range is filled from the first
 * source; every hole it leaves is filled from the next one, and what is left
 * at the end has no rule.
 */
#include "unwind/table_internal.h"

#include <stdlib.h>
#include <string.h>

static struct error *(*const open_source[SOURCE_KNOWN])(struct elf_file *, struct unwind_source *) = {
	[SOURCE_CORRECTIONS] = source_open_corrections,
	[SOURCE_GO] = source_open_go,
	[SOURCE_EH_FRAME] = source_open_eh_frame,
	[SOURCE_DEBUG_FRAME] = source_open_debug_frame,
	[SOURCE_SFRAME] = source_open_sframe,
};

/* The entry point ends the stack, unless the file itself says what it is. */
static struct error *open_known(struct unwind_table *table)
{
	uint64_t offset;
	bool known = elf_file_to_offset(table->file, elf_file_entry(table->file), &offset) &&
		     unwind_table_rule(table, offset).cfa_kind != RULE_CFA_NONE;

	return source_open_known(table->file, known, &table->source[SOURCE_KNOWN]);
}

struct error *unwind_table_open(struct elf_file *file, struct unwind_table **ret)
{
	_cleanup_(unwind_table_closep) struct unwind_table *table = calloc(1, sizeof(*table));
	struct error *err = NULL;

	if (!table)
		return error_nomem();
	table->file = file;
	for (size_t i = 0; i < SOURCE_KNOWN && !err; i++)
		err = open_source[i](file, &table->source[i]);
	if (!err)
		err = open_known(table);
	if (err)
		return error_wrap(err, "%s", elf_file_name(file));
	*ret = steal_ptr(table);
	return NULL;
}

void unwind_table_close(struct unwind_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < UNWIND_N_SOURCES; i++)
		unwind_source_close(&table->source[i]);
	free(table);
}

void unwind_table_info(const struct unwind_table *table, struct unwind_table_info *ret)
{
	struct unwind_table_info info = { .n_bad_fdes = table->n_bad };
	const struct elf_segment *s;
	size_t n;

	s = elf_file_segments(table->file, &n);
	for (size_t i = 0; i < n; i++) {
		if (!s[i].executable)
			continue;
		if (info.text_end == 0 || s[i].offset < info.text_start)
			info.text_start = s[i].offset;
		if (s[i].offset + s[i].size > info.text_end)
			info.text_end = s[i].offset + s[i].size;
	}
	for (size_t i = SOURCE_GO; i < SOURCE_KNOWN; i++) {
		info.n_fdes += table->source[i].index.n;
		info.n_bad_fdes += table->source[i].n_bad;
	}
	*ret = info;
}

/* Filling a range of virtual addresses that one segment maps. */
struct fill {
	struct unwind_table *table;
	uint64_t pos;		/* the first address without a row */
	uint64_t limit;		/* of the entry being emitted */
	uint64_t to_offset;	/* virtual address to file offset */
	uint64_t budget;
	size_t first;		/* rows before this one belong to the caller */
	unwind_rows *rows;
	bool no_memory;
};

static void append(struct fill *f, uint64_t end, const struct unwind_rule *rule)
{
	const struct unwind_row *last = f->rows->len > f->first ? &f->rows->data[f->rows->len - 1] : NULL;

	if (!last || memcmp(&last->rule, rule, sizeof(*rule)))
		f->no_memory |= !vec_push(f->rows, (struct unwind_row){ f->pos + f->to_offset, *rule });
	f->pos = end;
}

static bool emit(void *arg, uint64_t start, uint64_t end, const struct frame_row *row)
{
	struct fill *f = arg;

	if (end > f->limit)
		end = f->limit;
	if (end > f->pos) {
		struct unwind_rule rule = frame_row_compile(row);

		append(f, end, &rule);
	}
	return f->pos < f->limit && !f->no_memory;
}

static void fill(struct fill *f, unsigned int level, uint64_t end);

/* Rows of the source's entry at f->pos, up to the next entry; false if it has none there. */
static uint64_t fill_entry(struct fill *f, const struct unwind_source *source, uint64_t end)
{
	size_t i = fde_index_find(&source->index, f->pos);
	uint64_t limit;

	if (fde_index_start(&source->index, i) > f->pos) {
		limit = fde_index_start(&source->index, i);
		return limit < end ? limit : end;
	}
	limit = fde_index_limit(&source->index, i);
	f->limit = limit < end ? limit : end;
	limit = f->limit;
	f->table->n_bad += !source->rows(source, i, &f->budget, emit, f);
	return limit;
}

static void fill(struct fill *f, unsigned int level, uint64_t end)
{
	const struct unwind_rule none = { .cfa_kind = RULE_CFA_NONE };
	const struct unwind_source *source = &f->table->source[level];

	if (level == UNWIND_N_SOURCES) {
		append(f, end, &none);
		return;
	}
	while (f->pos < end && !f->no_memory) {
		uint64_t hole_end = source->index.n ? fill_entry(f, source, end) : end;

		if (f->pos < hole_end)
			fill(f, level + 1, hole_end);
	}
}

/* The executable segment that has offset, or else the next one behind it. */
static const struct elf_segment *segment_at(const struct elf_file *file, uint64_t offset)
{
	const struct elf_segment *next = NULL, *s;
	size_t n;

	s = elf_file_segments(file, &n);
	for (size_t i = 0; i < n; i++) {
		if (!s[i].executable)
			continue;
		if (offset >= s[i].offset && offset - s[i].offset < s[i].size)
			return &s[i];
		if (s[i].offset > offset && (!next || s[i].offset < next->offset))
			next = &s[i];
	}
	return next;
}

bool table_code_vaddr(const struct unwind_table *table, uint64_t offset, uint64_t *ret)
{
	const struct elf_segment *s = segment_at(table->file, offset);

	if (!s || s->offset > offset)
		return false;
	*ret = s->vaddr + (offset - s->offset);
	return true;
}

/* Rows from offset on, as far as one segment or the hole before it goes; returns how far. */
static uint64_t fill_segment(struct fill *f, uint64_t offset, uint64_t end)
{
	const struct elf_segment *s = segment_at(f->table->file, offset);
	uint64_t stop;

	if (!s || s->offset > offset) {
		stop = s && s->offset < end ? s->offset : end;
		f->to_offset = 0;
		f->pos = offset;
		fill(f, UNWIND_N_SOURCES, stop);
		return stop;
	}
	stop = end - s->offset < s->size ? end : s->offset + s->size;
	f->to_offset = s->offset - s->vaddr;
	f->pos = offset - f->to_offset;
	f->budget = SOURCE_BUDGET_BASE + (stop - offset) * SOURCE_BUDGET_PER_BYTE;
	fill(f, 0, stop - f->to_offset);
	return stop;
}

struct error *unwind_table_rows(struct unwind_table *table, uint64_t start, uint64_t end, unwind_rows *rows)
{
	struct fill f = { .table = table, .rows = rows, .first = rows->len };

	while (start < end && !f.no_memory)
		start = fill_segment(&f, start, end);
	return f.no_memory ? error_nomem() : NULL;
}

struct unwind_rule unwind_table_rule(struct unwind_table *table, uint64_t offset)
{
	struct unwind_row storage[1];
	unwind_rows rows = { .data = storage, .cap = 1 };

	/* One byte has one row, so the storage is never grown. */
	error_free(unwind_table_rows(table, offset, offset + 1, &rows));
	return rows.len ? storage[0].rule : (struct unwind_rule){ .cfa_kind = RULE_CFA_NONE };
}
