/* SPDX-License-Identifier: MIT */
/* The running kernel's text symbols: its own, its modules', and its BPF programs'. */
#ifndef RETOUR_SYMBOL_KALLSYMS_H
#define RETOUR_SYMBOL_KALLSYMS_H

#include "symbol/symtab.h"

/*
 * Reads a file in the form of /proc/kallsyms into an empty table and finishes
 * it.  Fails with EPERM if all its addresses are hidden.  Every name is
 * followed, behind its NUL, by the module as a second string: "[ext4]" or "".
 */
ERROR_CHECK struct error *kallsyms_read(const char *path, struct symtab *ret);
/* "[ext4]", or "vmlinux". */
const char *kallsyms_module(const struct symtab_entry *entry);

#endif
