/* SPDX-License-Identifier: MIT */
/*
 * ELF symbol tables: functions, indirect functions, and untyped labels in code
 * (hand-written assembly).  Everything else, and whatever lies outside the
 * executable segments, is left out.
 */
#include "symbol/elf_symbols.h"

#include <gelf.h>
#include <string.h>

struct section_range {
	uint64_t start, end;
	bool code;
};

struct table {
	struct elf_file *file;
	struct elf_section symbols, strings;
	VEC(struct section_range) sections;	/* by section index */
};

static bool read_sections(struct table *table, struct elf_file *source)
{
	Elf *elf = elf_file_handle(source);
	struct section_range none = {0};
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;

	if (!vec_push(&table->sections, none))
		return false;
	while ((scn = elf_nextscn(elf, scn))) {
		struct section_range range = {0};

		if (gelf_getshdr(scn, &shdr) && shdr.sh_size <= UINT64_MAX - shdr.sh_addr) {
			range.start = shdr.sh_addr;
			range.end = shdr.sh_addr + shdr.sh_size;
			range.code = shdr.sh_flags & SHF_EXECINSTR;
		}
		if (!vec_push(&table->sections, range))
			return false;
	}
	return true;
}

/* The name up to its version ("@@GLIBC_2.2.5"); its length, 0 for one that is not a function's. */
static size_t symbol_name(const struct table *table, const Elf64_Sym *sym, const char **ret)
{
	const char *name = (const char *)table->strings.data + sym->st_name;
	size_t len, version;

	if (sym->st_name >= table->strings.size)
		return 0;
	len = strnlen(name, table->strings.size - sym->st_name);
	/* Mapping symbols ("$x") and assembler-local labels. */
	if (!len || name[0] == '$' || (len > 1 && name[0] == '.' && name[1] == 'L'))
		return 0;
	version = (const char *)memchr(name, '@', len) - name;
	*ret = name;
	return memchr(name, '@', len) && version ? version : len;
}

/* Where the symbol's code is and how far it can reach; false if it is not code. */
static bool locate(const struct table *table, const Elf64_Sym *sym, uint64_t *offset, uint64_t *limit)
{
	const struct section_range *section = NULL;
	const struct elf_segment *segments;
	size_t n;

	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS)
		return false;
	if (sym->st_shndx < table->sections.len)
		section = &table->sections.data[sym->st_shndx];
	if (ELF64_ST_TYPE(sym->st_info) == STT_NOTYPE && !(section && section->code))
		return false;
	segments = elf_file_segments(table->file, &n);
	for (size_t i = 0; i < n; i++) {
		uint64_t into = sym->st_value - segments[i].vaddr;

		if (!segments[i].executable || into >= segments[i].size)
			continue;
		*offset = segments[i].offset + into;
		*limit = segments[i].size - into;
		if (section && section->end - sym->st_value < *limit)
			*limit = section->end - sym->st_value;
		return *limit > 0;
	}
	return false;
}

static unsigned int binding_rank(const Elf64_Sym *sym)
{
	switch (ELF64_ST_BIND(sym->st_info)) {
	case STB_LOCAL:
		return 0;
	case STB_WEAK:
		return 1;
	default:
		return 2;
	}
}

static bool is_function_type(unsigned int type)
{
	return type == STT_FUNC || type == STT_GNU_IFUNC;
}

static struct error *add_symbol(const struct table *table, const Elf64_Sym *sym, struct symtab *tab)
{
	bool function = is_function_type(ELF64_ST_TYPE(sym->st_info));
	struct symtab_entry entry = {0};
	const char *name;
	struct error *err;
	uint64_t limit;
	size_t len;

	if (!function && ELF64_ST_TYPE(sym->st_info) != STT_NOTYPE)
		return NULL;
	if (!locate(table, sym, &entry.start, &limit))
		return NULL;
	len = symbol_name(table, sym, &name);
	if (!len)
		return NULL;
	err = symtab_name(tab, name, len, &entry.name);
	if (err)
		return err;
	entry.sized = sym->st_size > 0;
	entry.size = entry.sized && sym->st_size < limit ? sym->st_size : limit;
	entry.rank = entry.sized << 3 | binding_rank(sym) << 1 | function;
	return symtab_add(tab, &entry);
}

struct error *elf_symbols_add(struct elf_file *file, struct elf_file *source, const char *symbols,
			      const char *strings, struct symtab *tab, bool *found)
{
	struct table table = { .file = file };
	struct error *err = NULL;
	Elf64_Sym sym;

	*found = elf_file_section(source, symbols, &table.symbols) &&
		 elf_file_section(source, strings, &table.strings);
	if (!*found)
		return NULL;
	if (!read_sections(&table, source))
		err = error_nomem();
	for (size_t at = 0; !err && table.symbols.size - at >= sizeof(sym); at += sizeof(sym)) {
		memcpy(&sym, table.symbols.data + at, sizeof(sym));
		err = add_symbol(&table, &sym, tab);
	}
	vec_free(&table.sections);
	return err;
}
