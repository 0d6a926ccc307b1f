/* SPDX-License-Identifier: MIT */
/*
 * Names for PLT stubs on x86-64.  No layout is assumed: a stub is recognised
 * by its jump through the GOT (or, in the lazy half of an IBT PLT, by the
 * relocation index it pushes), and the relocation of that GOT slot names it.
 * So .plt, .plt.sec and .plt.got of GNU ld, gold and lld are all the same.
 */
#include "symbol/elf_symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define STUB_SIZE 16
#define STUB_ALIGN 8

/* What a GOT slot will hold: a dynamic symbol's address, or what the resolver at an address returns. */
struct slot {
	uint64_t address;
	uint32_t symbol;	/* index in .dynsym; 0: resolver */
	uint64_t resolver;	/* virtual address */
};

struct plt {
	struct elf_file *file;
	struct elf_section symbols, strings, lazy;	/* .dynsym, .dynstr, .rela.plt */
	VEC(struct slot) slots;
	/* Not in the table before all are found: adding ends look-ups in it. */
	VEC(struct symtab_entry) stubs;
};

static int compare_slots(const void *pa, const void *pb)
{
	const struct slot *a = pa, *b = pb;

	return a->address < b->address ? -1 : a->address > b->address;
}

static bool read_slots(struct plt *plt, const struct elf_section *relocations)
{
	Elf64_Rela rela;

	for (size_t at = 0; relocations->size - at >= sizeof(rela); at += sizeof(rela)) {
		struct slot slot = {0};

		memcpy(&rela, relocations->data + at, sizeof(rela));
		slot.address = rela.r_offset;
		switch (ELF64_R_TYPE(rela.r_info)) {
		case R_X86_64_JUMP_SLOT:
		case R_X86_64_GLOB_DAT:
			slot.symbol = ELF64_R_SYM(rela.r_info);
			break;
		case R_X86_64_IRELATIVE:
			slot.resolver = rela.r_addend;
			break;
		default:
			continue;
		}
		if (!vec_push(&plt->slots, slot))
			return false;
	}
	return true;
}

static const struct slot *find_slot(const struct plt *plt, uint64_t address)
{
	struct slot key = { .address = address };

	return plt->slots.len ? bsearch(&key, plt->slots.data, plt->slots.len, sizeof(key), compare_slots) : NULL;
}

/* The GOT slot a stub jumps through; false if these bytes are no stub. */
static bool stub_slot(const struct plt *plt, const unsigned char *code, size_t size, uint64_t vaddr, uint64_t *ret)
{
	static const unsigned char endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	size_t at = 0;
	uint32_t index;
	int32_t disp;

	if (size >= 4 && !memcmp(code, endbr64, 4))
		at = 4;
	if (size > at + 5 && code[at] == 0x68) {			/* push $index */
		memcpy(&index, code + at + 1, 4);
		if (index >= plt->lazy.size / sizeof(Elf64_Rela))
			return false;
		memcpy(ret, plt->lazy.data + index * sizeof(Elf64_Rela), sizeof(*ret));
		return true;
	}
	if (size > at && code[at] == 0xf2)				/* bnd */
		at++;
	if (size < at + 6 || code[at] != 0xff || code[at + 1] != 0x25)	/* jmp *disp(%rip) */
		return false;
	memcpy(&disp, code + at + 2, 4);
	*ret = vaddr + at + 6 + (int64_t)disp;
	return true;
}

/* The target's name, not terminated; its length, 0 for none. */
static size_t target_name(const struct plt *plt, const struct slot *slot, const struct symtab *tab, const char **ret)
{
	const struct symtab_entry *entry;
	Elf64_Sym sym;
	uint64_t offset;

	if (!slot->symbol) {
		if (!elf_file_to_offset(plt->file, slot->resolver, &offset))
			return 0;
		entry = symtab_lookup(tab, offset);
		if (!entry || entry->start != offset)
			return 0;
		*ret = entry->name;
		return strlen(entry->name);
	}
	if (slot->symbol >= plt->symbols.size / sizeof(sym))
		return 0;
	memcpy(&sym, plt->symbols.data + slot->symbol * sizeof(sym), sizeof(sym));
	if (sym.st_name >= plt->strings.size)
		return 0;
	*ret = (const char *)plt->strings.data + sym.st_name;
	return strnlen(*ret, plt->strings.size - sym.st_name);
}

static struct error *name_stub(struct plt *plt, uint64_t slot_address, struct symtab *tab,
			       struct symtab_entry *stub)
{
	static const char suffix[] = "@plt";
	const struct slot *slot = find_slot(plt, slot_address);
	const char *target;
	size_t len = slot ? target_name(plt, slot, tab, &target) : 0;
	char *name;

	if (!len || len >= SYMTAB_MAX_NAME_BYTES - sizeof(suffix) - tab->names.bytes)
		return NULL;
	name = string_block_alloc(&tab->names, len + sizeof(suffix));
	if (!name)
		return error_nomem();
	memcpy(name, target, len);
	memcpy(name + len, suffix, sizeof(suffix));
	stub->name = name;
	return vec_push(&plt->stubs, *stub) ? NULL : error_nomem();
}

static struct error *scan(struct plt *plt, const char *section_name, struct symtab *tab)
{
	struct elf_section section;
	struct error *err = NULL;
	uint64_t offset, slot;

	if (!elf_file_section(plt->file, section_name, &section) ||
	    !elf_file_to_offset(plt->file, section.vaddr, &offset))
		return NULL;
	for (size_t at = 0; !err && at < section.size; at += STUB_ALIGN) {
		size_t left = section.size - at;
		struct symtab_entry stub = {
			.start = offset + at,
			.size = left < STUB_SIZE ? left : STUB_SIZE,
		};

		if (stub_slot(plt, section.data + at, stub.size, section.vaddr + at, &slot))
			err = name_stub(plt, slot, tab, &stub);
	}
	return err;
}

static struct error *read_plt(struct plt *plt, struct symtab *tab)
{
	static const char *const sections[] = { ".plt", ".plt.sec", ".plt.got", ".iplt" };
	struct elf_section dynamic;
	struct error *err = NULL;

	if (!elf_file_section(plt->file, ".dynsym", &plt->symbols) ||
	    !elf_file_section(plt->file, ".dynstr", &plt->strings))
		plt->symbols.size = plt->strings.size = 0;
	if (!elf_file_section(plt->file, ".rela.plt", &plt->lazy))
		plt->lazy.size = 0;
	if (!read_slots(plt, &plt->lazy) ||
	    (elf_file_section(plt->file, ".rela.dyn", &dynamic) && !read_slots(plt, &dynamic)))
		return error_nomem();
	if (plt->slots.len)
		qsort(plt->slots.data, plt->slots.len, sizeof(*plt->slots.data), compare_slots);
	for (size_t i = 0; !err && i < sizeof(sections) / sizeof(*sections); i++)
		err = scan(plt, sections[i], tab);
	return err;
}

struct error *elf_plt_add(struct elf_file *file, struct symtab *tab)
{
	struct plt plt = { .file = file };
	struct error *err = read_plt(&plt, tab);

	for (size_t i = 0; !err && i < plt.stubs.len; i++)
		err = symtab_add(tab, &plt.stubs.data[i]);
	vec_free(&plt.slots);
	vec_free(&plt.stubs);
	return err;
}
