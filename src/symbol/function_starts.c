/* SPDX-License-Identifier: MIT */
/* Reading .eh_frame_hdr for the starts of functions; see function_starts.h. */
#include "symbol/function_starts.h"

#include <elf.h>
#include <string.h>

/*
 * The header as every linker writes it: version 1, encoding of the pointer to
 * .eh_frame, of the count, and of the table; then these three.
 */
enum { VERSION = 1, PTR_PCREL_SDATA4 = 0x1b, COUNT_UDATA4 = 0x03, TABLE_DATAREL_SDATA4 = 0x3b };
enum { HEADER_SIZE = 12, COUNT_AT = 8, ENTRY_SIZE = 8 };

static bool find_header(struct elf_file *file, struct elf_section *ret)
{
	uint64_t vaddr, size;

	if (elf_file_section(file, ".eh_frame_hdr", ret))
		return true;
	if (!elf_file_phdr(file, PT_GNU_EH_FRAME, &vaddr, &size))
		return false;
	*ret = (struct elf_section){ elf_file_at(file, vaddr, size), size, vaddr };
	return ret->data;
}

static bool is_usual(const struct elf_section *header)
{
	static const unsigned char usual[] = { VERSION, PTR_PCREL_SDATA4, COUNT_UDATA4, TABLE_DATAREL_SDATA4 };

	return header->size >= HEADER_SIZE && !memcmp(header->data, usual, sizeof(usual));
}

/* No more than there is room for. */
static size_t count_entries(const struct elf_section *header)
{
	size_t room = (header->size - HEADER_SIZE) / ENTRY_SIZE;
	uint32_t count;

	memcpy(&count, header->data + COUNT_AT, sizeof(count));
	return count < room ? count : room;
}

static int compare_offsets(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

struct error *function_starts_read(struct elf_file *file, struct function_starts *ret)
{
	struct function_starts starts = { 0 };
	struct elf_section header;
	size_t n;

	if (!find_header(file, &header) || !is_usual(&header))
		return NULL;
	n = count_entries(&header);
	if (!vec_reserve(&starts.offsets, n))
		return error_nomem();
	for (size_t i = 0; i < n; i++) {
		uint64_t offset;
		int32_t start;

		memcpy(&start, header.data + HEADER_SIZE + i * ENTRY_SIZE, sizeof(start));
		if (elf_file_to_offset(file, header.vaddr + (uint64_t)(int64_t)start, &offset))
			starts.offsets.data[starts.offsets.len++] = offset;
	}
	/* By address, the table is sorted; by offset it need not be. */
	if (starts.offsets.len)
		qsort(starts.offsets.data, starts.offsets.len, sizeof(uint64_t), compare_offsets);
	*ret = starts;
	return NULL;
}

bool function_starts_find(const struct function_starts *starts, uint64_t offset, uint64_t *ret)
{
	size_t low = 0, high = starts->offsets.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (starts->offsets.data[middle] <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return false;
	*ret = starts->offsets.data[low - 1];
	return true;
}

void function_starts_free(struct function_starts *starts)
{
	vec_free(&starts->offsets);
}
