/* SPDX-License-Identifier: MIT */
/* The functions an ELF file names, by file offset. */
#ifndef RETOUR_SYMBOL_ELF_SYMBOLS_H
#define RETOUR_SYMBOL_ELF_SYMBOLS_H

#include "elf/elf_file.h"
#include "symbol/symtab.h"

/*
 * Adds the functions of a symbol table (".symtab" with ".strtab", ".dynsym"
 * with ".dynstr") of source, which is the file itself or holds its debug data.
 * Offsets are those of file.  *found: source has such a table.
 */
ERROR_CHECK struct error *elf_symbols_add(struct elf_file *file, struct elf_file *source, const char *symbols,
					  const char *strings, struct symtab *tab, bool *found);
/* Adds "name@plt" for the stubs in the file's PLTs; tab must be finished, and is to be finished again. */
ERROR_CHECK struct error *elf_plt_add(struct elf_file *file, struct symtab *tab);

#endif
