/* SPDX-License-Identifier: MIT */
/*
 * Source lines and inlined functions of an ELF file, from its DWARF.  Units
 * are found by one index of their address ranges; the functions and the line
 * table of a unit are read when the first address in it is asked for.
 *
 * Damaged DWARF gives fewer answers, never an error: an address then has no
 * lines.  So have units whose DWARF lies in files of its own (-gsplit-dwarf).
 */
#ifndef RETOUR_SYMBOL_LINES_H
#define RETOUR_SYMBOL_LINES_H

#include "base/cleanup.h"
#include "base/error.h"
#include "elf/elf_file.h"
#include "symbol/symbol.h"

#include <stddef.h>
#include <stdint.h>

struct lines;

/*
 * file: consumed, also on failure.  root: where its separate debug file is
 * looked for under `path`, as target_root_open() gives it.  NULL in *ret: there
 * is no debug information.
 */
ERROR_CHECK struct error *lines_open(struct elf_file *file, const char *path, int root, struct lines **ret);
void lines_close(struct lines *lines);
DEFINE_CLEANUP(lines_close, struct lines *);

/*
 * As symbol_dso_source(), but names are those in the file, mangled; strings
 * live as long as the lines.
 */
size_t lines_find(struct lines *lines, uint64_t offset, struct source_frame frames[static SOURCE_MAX_FRAMES]);

#endif
