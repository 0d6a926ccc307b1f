/* SPDX-License-Identifier: MIT */
/*
 * Addresses to names.  A symboliser holds DSOs (found by path and build ID),
 * the kernel's symbols and perf maps; each is read on the first look-up that
 * needs it.  Files are hostile; names are given as they stand in them, so they
 * may hold any byte but NUL.  Not thread-safe.
 */
#ifndef RETOUR_SYMBOL_SYMBOL_H
#define RETOUR_SYMBOL_SYMBOL_H

#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symboliser;
struct symbol_dso;

struct symbol {
	const char *name;	/* demangled; lives as long as the symboliser */
	const char *raw;	/* as in the file */
	uint64_t start, size;	/* in the units of the look-up */
};

/* Strings live as long as the symboliser. */
struct source_frame {
	const char *function;	/* demangled; NULL: not known */
	const char *file;	/* NULL: not known */
	uint32_t line;		/* 0: not known */
};

#define SOURCE_MAX_FRAMES 64	/* calls inlined any deeper are shown as one function */

/* Where a DSO comes from; strings are copied. */
struct symbol_dso_key {
	const char *path;		/* as in the mapping: "/usr/lib/libc.so.6", "[vdso]", "//anon" */
	unsigned char build_id[20];
	uint32_t build_id_size;		/* 0: not known, the path's file is taken as it is */
	uint32_t pid;			/* a process that maps it, for /proc/PID/root and perf-PID.map; 0: none */
};

ERROR_CHECK struct error *symboliser_create(struct symboliser **ret);
void symboliser_destroy(struct symboliser *symboliser);
DEFINE_CLEANUP(symboliser_destroy, struct symboliser *);

/* Finds or makes the DSO; never fails for a file that is missing: look-ups in it then find nothing. */
ERROR_CHECK struct error *symboliser_dso(struct symboliser *symboliser, const struct symbol_dso_key *key,
					 struct symbol_dso **ret);
/* Why the DSO has no symbols ("file not found", "build ID differs", …); NULL if it has. */
const char *symbol_dso_problem(struct symbol_dso *dso);

/* The function at a file offset.  False if none covers it. */
bool symbol_dso_lookup(struct symbol_dso *dso, uint64_t offset, struct symbol *ret);
/*
 * The file offset where the function around an offset starts, by the unwind
 * tables, for code without a symbol.  False if they have none before it.
 */
bool symbol_dso_function_start(struct symbol_dso *dso, uint64_t offset, uint64_t *ret);
/*
 * What the source says about a file offset, innermost first: the functions
 * that were inlined there, then the one that holds them.  Returns how many
 * frames there are; 0 without debug information.
 */
size_t symbol_dso_source(struct symbol_dso *dso, uint64_t offset, struct source_frame ret[static SOURCE_MAX_FRAMES]);
/* The kernel function or module function at an address. False if kallsyms is hidden or has none. */
bool symboliser_kernel(struct symboliser *symboliser, uint64_t address, struct symbol *ret);
/* "vmlinux", or the module as kallsyms writes it: "[ext4]", "[bpf]"; NULL where symboliser_kernel() is false. */
const char *symboliser_kernel_module(struct symboliser *symboliser, uint64_t address);
/* JIT code, from /tmp/perf-PID.map in the mount namespace of the process. */
bool symboliser_jit(struct symboliser *symboliser, uint32_t pid, uint64_t address, struct symbol *ret);

#endif
