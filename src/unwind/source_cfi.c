/* SPDX-License-Identifier: MIT */
/*
 * .eh_frame and .debug_frame as sources.
 *
 * .eh_frame_hdr's search table is the index where it is valid; otherwise one
 * scan over the section builds one.  What the table says is not trusted: an entry whose
 * FDE does not start where the table has it is corrupt.
 */
#include "unwind/source.h"

#include <elf.h>

#define SECTION_MAX (64u << 20)	/* many times what the largest browsers have */

bool source_is_code(const struct elf_file *file, uint64_t vaddr)
{
	size_t n;
	const struct elf_segment *s = elf_file_segments(file, &n);

	for (size_t i = 0; i < n; i++)
		if (s[i].executable && vaddr >= s[i].vaddr && vaddr - s[i].vaddr < s[i].size)
			return true;
	return false;
}

uint64_t source_start_base(const struct elf_file *file)
{
	size_t n;
	const struct elf_segment *s = elf_file_segments(file, &n);
	uint64_t base = UINT64_MAX;

	for (size_t i = 0; i < n; i++)
		if (s[i].executable && s[i].vaddr < base)
			base = s[i].vaddr;
	return base;
}

static bool cfi_rows(const struct unwind_source *source, size_t i, uint64_t *budget, frame_row_fn emit,
		     void *arg)
{
	struct cfi_fde fde;

	if (*budget < SOURCE_BUDGET_ENTRY)
		return false;
	*budget -= SOURCE_BUDGET_ENTRY;
	return cfi_parse_fde(&source->section, fde_index_position(&source->index, i), &fde) &&
	       fde.start == fde_index_start(&source->index, i) &&
	       cfi_run(&source->section, &fde, budget, emit, arg);
}

static struct error *scan(const struct elf_file *file, struct unwind_source *source)
{
	uint64_t next;

	source->index.start_base = source_start_base(file);
	for (uint64_t at = 0; at < source->section.size; at = next) {
		struct cfi_fde fde;

		if (cfi_entry_kind(&source->section, at, &next) != CFI_ENTRY_FDE)
			continue;
		/* A function that the linker dropped leaves an FDE at address 0 behind: not corrupt. */
		if (!cfi_parse_fde(&source->section, at, &fde)) {
			source->n_bad++;
			continue;
		}
		if (!source_is_code(file, fde.start))
			continue;
		switch (fde_index_add(&source->index, fde.start, at)) {
		case FDE_INDEX_OK:
			break;
		case FDE_INDEX_OUT_OF_RANGE:
			source->n_bad++;
			break;
		case FDE_INDEX_NO_MEMORY:
			return error_nomem();
		}
	}
	fde_index_sort(&source->index);
	return NULL;
}

/* The header's search table, if it is of the only form linkers write and belongs to this section. */
static bool use_header(struct unwind_source *source, const struct elf_section *header)
{
	struct cursor c = { header->data, header->data + header->size, false };
	uint8_t version, frame_encoding, count_encoding, table_encoding;
	uint64_t frame, count;

	version = cursor_u8(&c);
	frame_encoding = cursor_u8(&c);
	count_encoding = cursor_u8(&c);
	table_encoding = cursor_u8(&c);
	frame = cursor_pointer(&c, frame_encoding, header->vaddr + 4, header->vaddr);
	count = cursor_pointer_format(&c, count_encoding);
	if (c.failed || version != 1 || frame != source->section.vaddr || !count ||
	    table_encoding != (POINTER_DATAREL | POINTER_SDATA4) || count > cursor_left(&c) / 8)
		return false;
	return fde_index_borrow(&source->index, c.pos, count, header->vaddr,
				header->vaddr - source->section.vaddr);
}

/* A section of sane size: it stays in memory for as long as the table does. */
static bool find_section(struct elf_file *file, const char *name, struct elf_section *ret)
{
	uint64_t offset, size;

	return (!elf_file_section_range(file, name, &offset, &size) || size <= SECTION_MAX) &&
	       elf_file_section(file, name, ret);
}

static bool find_header(struct elf_file *file, struct elf_section *ret)
{
	uint64_t vaddr, size;

	if (find_section(file, ".eh_frame_hdr", ret))
		return true;
	if (!elf_file_phdr(file, PT_GNU_EH_FRAME, &vaddr, &size) || size > SECTION_MAX)
		return false;
	*ret = (struct elf_section){ elf_file_at(file, vaddr, size), size, vaddr };
	return ret->data;
}

/* Without section headers .eh_frame is where its header says, up to its segment's end at most. */
static bool find_unsized(struct elf_file *file, const struct elf_section *header, struct elf_section *ret)
{
	struct cursor c = { header->data, header->data + header->size, false };
	const struct elf_segment *s;
	uint8_t encoding;
	uint64_t vaddr, size;
	size_t n;

	cursor_u8(&c);
	encoding = cursor_u8(&c);
	cursor_skip(&c, 2);
	vaddr = cursor_pointer(&c, encoding, header->vaddr + 4, header->vaddr);
	s = elf_file_segments(file, &n);
	for (size_t i = 0; i < n && !c.failed; i++) {
		if (vaddr < s[i].vaddr || vaddr - s[i].vaddr >= s[i].size)
			continue;
		size = s[i].size - (vaddr - s[i].vaddr);
		if (size > SECTION_MAX)
			size = SECTION_MAX;
		*ret = (struct elf_section){ elf_file_at(file, vaddr, size), size, vaddr };
		return ret->data;
	}
	return false;
}

struct error *source_open_eh_frame(struct elf_file *file, struct unwind_source *ret)
{
	struct elf_section section, header;
	bool has_header = find_header(file, &header);

	if (!find_section(file, ".eh_frame", &section) &&
	    !(has_header && find_unsized(file, &header, &section)))
		return NULL;
	ret->rows = cfi_rows;
	ret->section = (struct cfi_section){ section.data, section.size, section.vaddr, false };
	if (has_header && use_header(ret, &header))
		return NULL;
	return scan(file, ret);
}

struct error *source_open_debug_frame(struct elf_file *file, struct unwind_source *ret)
{
	struct elf_section section;

	if (!find_section(file, ".debug_frame", &section))
		return NULL;
	ret->rows = cfi_rows;
	ret->section = (struct cfi_section){ section.data, section.size, 0, true };
	return scan(file, ret);
}
