/* SPDX-License-Identifier: MIT */
/*
 * Lines over libdw; see lines.h.  libdw stays inside the sections, but follows
 * whatever they say: loops in the tree, chains of references, and sizes are
 * bounded here.  It would also open files that the DWARF names, so units and
 * files that need others are left out.
 */
#include "symbol/lines.h"

#include "base/vec.h"
#include "symbol/dso_file.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <string.h>

#define MAX_DEBUG_BYTES (1ull << 30)	/* of all debug sections, inflated */
#define MAX_UNITS (1u << 18)
#define MAX_RANGES (1u << 22)		/* of one index */
#define MAX_LINE_BYTES (64u << 20)	/* of all line programs read; a byte can make a row in memory */
#define MAX_NESTING 64			/* of name spaces and classes */
#define MAX_REFERENCES 16		/* from a function to what says its name */
#define MAX_STEPS (1u << 17)		/* of one search in a function */

/* Code addresses [low, high) of something with a number. */
struct range {
	uint64_t low, high, what;
};

struct ranges {
	VEC(struct range) list;		/* by low, once it is sorted */
};

struct unit {
	Dwarf_Die die;
	bool loaded, has_lines;
	struct ranges functions;	/* by DIE offset */
};

struct lines {
	struct elf_file *file;
	struct elf_file *debug;		/* NULL: file has its own */
	Dwarf *dwarf;
	VEC(struct unit) units;
	struct ranges unit_ranges;	/* by index in units */
	size_t line_bytes;		/* of line programs read */
};

/* False beyond the limit. */
static bool add_range(struct ranges *ranges, uint64_t low, uint64_t high, uint64_t what)
{
	return low >= high || (ranges->list.len < MAX_RANGES && vec_push(&ranges->list, (struct range){ low, high, what }));
}

/* False if there were too many. */
static bool add_ranges_of(struct ranges *ranges, Dwarf_Die *die, uint64_t what)
{
	Dwarf_Addr base, low, high;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &low, &high)) > 0)
		if (!add_range(ranges, low, high, what))
			return false;
	return true;
}

static int compare_ranges(const void *pa, const void *pb)
{
	const struct range *a = pa, *b = pb;

	return a->low < b->low ? -1 : a->low > b->low;
}

static void sort_ranges(struct ranges *ranges)
{
	if (ranges->list.len)
		qsort(ranges->list.data, ranges->list.len, sizeof(struct range), compare_ranges);
}

/* The range that begins last before the address, if it reaches so far. */
static const struct range *find_range(const struct ranges *ranges, uint64_t address)
{
	size_t low = 0, high = ranges->list.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->list.data[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || ranges->list.data[low - 1].high <= address)
		return NULL;
	return &ranges->list.data[low - 1];
}

/* The next sibling; a tree is written forwards, so going back is a loop. */
static bool next_sibling(Dwarf_Die *die)
{
	Dwarf_Die next;

	if (dwarf_siblingof(die, &next) || (char *)next.addr <= (char *)die->addr)
		return false;
	*die = next;
	return true;
}

/* Is this what functions are declared in? */
static bool holds_functions(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_module || tag == DW_TAG_class_type ||
	       tag == DW_TAG_structure_type || tag == DW_TAG_union_type;
}

/* Indexes the functions of a unit that have code. */
static void index_functions(struct unit *unit)
{
	Dwarf_Die path[MAX_NESTING];
	int depth = 0;

	if (dwarf_child(&unit->die, &path[0]))
		return;
	for (;;) {
		Dwarf_Die *die = &path[depth];
		int tag = dwarf_tag(die);

		if (tag == DW_TAG_subprogram && !add_ranges_of(&unit->functions, die, dwarf_dieoffset(die)))
			return;
		if (holds_functions(tag) && depth + 1 < MAX_NESTING && !dwarf_child(die, &path[depth + 1])) {
			depth++;
			continue;
		}
		while (!next_sibling(&path[depth]))
			if (depth-- == 0)
				return;
	}
}

/* The length of the unit's line program, by its first field. */
static bool line_program_size(struct lines *lines, Dwarf_Die *unit, uint64_t *ret)
{
	struct elf_section section;
	Dwarf_Attribute attribute;
	Dwarf_Word at;
	uint32_t size;

	if (!dwarf_attr(unit, DW_AT_stmt_list, &attribute) || dwarf_formudata(&attribute, &at) ||
	    !elf_file_section(lines->debug ? lines->debug : lines->file, ".debug_line", &section) ||
	    at > section.size || section.size - at < sizeof(size))
		return false;
	memcpy(&size, section.data + at, sizeof(size));
	*ret = size;	/* in the 64-bit format this is the largest number, and too large */
	return true;
}

static void load_unit(struct lines *lines, struct unit *unit)
{
	uint64_t size;

	unit->loaded = true;
	index_functions(unit);
	sort_ranges(&unit->functions);
	unit->has_lines = line_program_size(lines, &unit->die, &size) && size <= MAX_LINE_BYTES - lines->line_bytes;
	if (unit->has_lines)
		lines->line_bytes += size;
}

static struct unit *unit_at(struct lines *lines, uint64_t address)
{
	const struct range *range = find_range(&lines->unit_ranges, address);
	struct unit *unit = range ? &lines->units.data[range->what] : NULL;

	if (unit && !unit->loaded)
		load_unit(lines, unit);
	return unit;
}

/* dwarf_haspc() that gives up when the steps are used up. */
static bool has_address(Dwarf_Die *die, uint64_t address, unsigned int *steps)
{
	Dwarf_Addr base, low, high;
	ptrdiff_t at = 0;

	while (*steps && (at = dwarf_ranges(die, at, &base, &low, &high)) > 0) {
		--*steps;
		if (address >= low && address < high)
			return true;
	}
	return false;
}

/* Moves die to its child with code at the address. */
static bool enter_block(Dwarf_Die *die, uint64_t address, unsigned int *steps)
{
	Dwarf_Die child;

	if (dwarf_child(die, &child))
		return false;
	do {
		int tag = dwarf_tag(&child);

		if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block) &&
		    has_address(&child, address, steps)) {
			*die = child;
			return true;
		}
	} while (*steps && --*steps && next_sibling(&child));
	return false;
}

/* The function at the address, then what is inlined in it, inwards.  Returns how many. */
static size_t find_calls(struct lines *lines, const struct unit *unit, uint64_t address, Dwarf_Die *calls)
{
	const struct range *range = find_range(&unit->functions, address);
	unsigned int steps = MAX_STEPS;
	Dwarf_Die die;
	size_t n = 0;

	if (!range || !dwarf_offdie(lines->dwarf, range->what, &die))
		return 0;
	calls[n++] = die;
	while (enter_block(&die, address, &steps)) {
		if (dwarf_tag(&die) != DW_TAG_inlined_subroutine)
			continue;
		if (n == SOURCE_MAX_FRAMES)
			return 1;
		calls[n++] = die;
	}
	return steps ? n : 1;
}

static const char *string_of(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attribute;

	return dwarf_attr(die, name, &attribute) ? dwarf_formstring(&attribute) : NULL;
}

static bool follow(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attribute;
	Dwarf_Die to;

	if (!dwarf_attr(die, name, &attribute) || !dwarf_formref_die(&attribute, &to))
		return false;
	*die = to;
	return true;
}

/* The linkage name of a function or, if that has none, its plain one. */
static const char *function_name(Dwarf_Die die)
{
	const char *plain = NULL;

	for (int i = 0; i < MAX_REFERENCES; i++) {
		const char *linkage = string_of(&die, DW_AT_linkage_name);

		if (!linkage)
			linkage = string_of(&die, DW_AT_MIPS_linkage_name);
		if (linkage)
			return linkage;
		if (!plain)
			plain = string_of(&die, DW_AT_name);
		if (!follow(&die, DW_AT_abstract_origin) && !follow(&die, DW_AT_specification))
			break;
	}
	return plain;
}

static void set_line(const struct unit *unit, uint64_t address, struct source_frame *frame)
{
	Dwarf_Die die = unit->die;
	Dwarf_Line *line = unit->has_lines ? dwarf_getsrc_die(&die, address) : NULL;
	int number;

	if (!line || dwarf_lineno(line, &number) || number < 0)
		return;
	frame->file = dwarf_linesrc(line, NULL, NULL);
	frame->line = (uint32_t)number;
}

static bool number_of(Dwarf_Die *die, unsigned int name, Dwarf_Word *ret)
{
	Dwarf_Attribute attribute;

	return dwarf_attr(die, name, &attribute) && !dwarf_formudata(&attribute, ret);
}

/* Where an inlined function is called. */
static void set_call_line(const struct unit *unit, Dwarf_Die *call, struct source_frame *frame)
{
	Dwarf_Die die = unit->die;
	Dwarf_Word file, line;
	Dwarf_Files *files;
	size_t n;

	if (!number_of(call, DW_AT_call_line, &line) || line > INT32_MAX)
		return;
	frame->line = (uint32_t)line;
	if (unit->has_lines && number_of(call, DW_AT_call_file, &file) && !dwarf_getsrcfiles(&die, &files, &n) && file < n)
		frame->file = dwarf_filesrc(files, file, NULL, NULL);
}

size_t lines_find(struct lines *lines, uint64_t offset, struct source_frame frames[static SOURCE_MAX_FRAMES])
{
	Dwarf_Die calls[SOURCE_MAX_FRAMES];
	const struct unit *unit;
	uint64_t address;
	size_t n;

	if (!elf_file_to_vaddr(lines->file, offset, &address))
		return 0;
	unit = unit_at(lines, address);
	if (!unit)
		return 0;
	n = find_calls(lines, unit, address, calls);
	memset(frames, 0, (n ? n : 1) * sizeof(*frames));
	set_line(unit, address, &frames[0]);
	for (size_t i = 0; i < n; i++) {
		Dwarf_Die *call = &calls[n - 1 - i];

		frames[i].function = function_name(*call);
		if (i + 1 < n)
			set_call_line(unit, call, &frames[i + 1]);
	}
	return n ? n : frames[0].file != NULL;
}

/* Units whose DWARF is here. */
static void index_units(struct lines *lines)
{
	Dwarf_CU *cu = NULL;
	uint8_t type;
	Dwarf_Die die;

	while (lines->units.len < MAX_UNITS && !dwarf_get_units(lines->dwarf, cu, &cu, NULL, &type, &die, NULL)) {
		if (type != DW_UT_compile)
			continue;
		if (!add_ranges_of(&lines->unit_ranges, &die, lines->units.len) ||
		    !vec_push(&lines->units, (struct unit){ .die = die }))
			break;
	}
	/* A range may have come in without its unit. */
	while (lines->unit_ranges.list.len &&
	       lines->unit_ranges.list.data[lines->unit_ranges.list.len - 1].what >= lines->units.len)
		lines->unit_ranges.list.len--;
	sort_ranges(&lines->unit_ranges);
}

/* The bytes that a section takes in memory; UINT64_MAX for what is not to be read. */
static uint64_t debug_bytes(Elf_Scn *section, const char *name)
{
	GElf_Shdr header;
	GElf_Chdr packed;

	if (!name || !strncmp(name, ".zdebug_", 8) || !strcmp(name, ".gnu_debugaltlink") ||
	    !gelf_getshdr(section, &header))
		return UINT64_MAX;
	if (strncmp(name, ".debug_", 7) || header.sh_type == SHT_NOBITS)
		return 0;
	if (!(header.sh_flags & SHF_COMPRESSED))
		return header.sh_size;
	return gelf_getchdr(section, &packed) ? packed.ch_size : UINT64_MAX;
}

static const char *section_name(Elf *elf, size_t names, Elf_Scn *section)
{
	GElf_Shdr header;

	return gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;
}

/* May libdw have the file? */
static bool is_readable(struct elf_file *file)
{
	Elf *elf = elf_file_handle(file);
	Elf_Scn *section = NULL;
	uint64_t total = 0;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((section = elf_nextscn(elf, section))) {
		uint64_t bytes = debug_bytes(section, section_name(elf, names, section));

		if (bytes > MAX_DEBUG_BYTES - total)
			return false;
		total += bytes;
	}
	return true;
}

static bool has_dwarf(struct elf_file *file)
{
	uint64_t offset, size;

	return elf_file_section_range(file, ".debug_info", &offset, &size);
}

struct error *lines_open(struct elf_file *file, const char *path, int root, struct lines **ret)
{
	_cleanup_(lines_closep) struct lines *lines = calloc(1, sizeof(*lines));
	struct elf_file *source = file;
	struct error *err = NULL;

	*ret = NULL;
	if (!lines) {
		elf_file_close(file);
		return error_nomem();
	}
	lines->file = file;
	if (!has_dwarf(file)) {
		err = dso_debug_file_open(file, path, root, &lines->debug);
		source = lines->debug;
	}
	if (err || !source || !has_dwarf(source) || !is_readable(source))
		return err;
	lines->dwarf = dwarf_begin_elf(elf_file_handle(source), DWARF_C_READ, NULL);
	if (!lines->dwarf)
		return NULL;
	index_units(lines);
	*ret = steal_ptr(lines);
	return NULL;
}

void lines_close(struct lines *lines)
{
	if (!lines)
		return;
	vec_each(&lines->units, unit)
		vec_free(&unit->functions.list);
	vec_free(&lines->units);
	vec_free(&lines->unit_ranges.list);
	dwarf_end(lines->dwarf);
	elf_file_close(lines->debug);
	elf_file_close(lines->file);
	free(lines);
}
