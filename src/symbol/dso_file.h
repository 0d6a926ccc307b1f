/* SPDX-License-Identifier: MIT */
/* The ELF file behind a mapping's path: found, and proved to be that file where a build ID is known. */
#ifndef RETOUR_SYMBOL_DSO_FILE_H
#define RETOUR_SYMBOL_DSO_FILE_H

#include "elf/elf_file.h"
#include "symbol/symbol.h"

/*
 * Fails with a short sentence to be shown beside the path: "file not found",
 * "file changed (build ID differs)", "not backed by a file", …
 * root: as target_root_open() gives it for key->pid.
 */
ERROR_CHECK struct error *dso_file_open(const struct symbol_dso_key *key, int root, struct elf_file **ret);
/*
 * The separate debug file of an ELF file, by build ID or .gnu_debuglink, within
 * the root, then within ours; NULL if there is none.
 */
ERROR_CHECK struct error *dso_debug_file_open(struct elf_file *file, const char *path, int root,
					      struct elf_file **ret);
/* The image in .gnu_debugdata; NULL if there is none. */
ERROR_CHECK struct error *dso_debugdata_open(struct elf_file *file, struct elf_file **ret);

#endif
