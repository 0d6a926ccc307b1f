/* SPDX-License-Identifier: MIT */
/*
 * A table of named address ranges with look-up by address: the one form in
 * which ELF symbols, kallsyms and perf maps are kept.
 *
 * Add in any order, then finish; finishing sorts, settles aliases (symbols of
 * one start) by rank, gives symbols without a size one, and drops those that
 * start within a symbol that has one: they are labels in it.  More may be added
 * later and the table finished again: names never move.
 */
#ifndef RETOUR_SYMBOL_SYMTAB_H
#define RETOUR_SYMBOL_SYMTAB_H

#include "base/error.h"
#include "base/vec.h"
#include "symbol/string_block.h"

#include <stdbool.h>
#include <stdint.h>

/* Which of the symbols that cover an address is its name. */
enum symtab_overlap {
	SYMTAB_INNERMOST,	/* the one that starts last: a function nested in another */
	SYMTAB_NEWEST,		/* the one of the highest rank: JIT code that replaced other code */
};

struct symtab_entry {
	uint64_t start, size;
	const char *name;	/* NULL: ends the symbols before it, is none itself */
	uint32_t rank : 31;	/* of two aliases the higher one stays */
	uint32_t sized : 1;	/* 0: size is the most it can be, the next symbol ends it */
	uint32_t parent;	/* 1 + index of the symbol that this one starts within; 0: none */
};

struct symtab {
	VEC(struct symtab_entry) entries;
	struct string_block names;
	enum symtab_overlap overlap;
};

/* The bounds of one table, so that no file makes us use all memory. */
#define SYMTAB_MAX_ENTRIES (8u << 20)
#define SYMTAB_MAX_NAME_BYTES (512u << 20)

/* name must come from names; ENOMEM, or E2BIG at the bounds above. */
ERROR_CHECK struct error *symtab_add(struct symtab *tab, const struct symtab_entry *entry);
/* A copy of a name in the table's block. */
ERROR_CHECK struct error *symtab_name(struct symtab *tab, const char *name, size_t len, const char **ret);
void symtab_finish(struct symtab *tab);
/* Valid after symtab_finish(), until the next one; NULL if none covers the address. */
const struct symtab_entry *symtab_lookup(const struct symtab *tab, uint64_t address);
void symtab_free(struct symtab *tab);

#endif
