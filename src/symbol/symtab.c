/* SPDX-License-Identifier: MIT */
/* Named address ranges: sorted, aliases settled, searched. */
#include "symbol/symtab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Symbols may nest; a hostile table nests them without end. */
#define MAX_NESTING 64

struct error *symtab_add(struct symtab *tab, const struct symtab_entry *entry)
{
	if (tab->entries.len >= SYMTAB_MAX_ENTRIES)
		return error_new(E2BIG, "more than %u symbols", SYMTAB_MAX_ENTRIES);
	return vec_push(&tab->entries, *entry) ? NULL : error_nomem();
}

struct error *symtab_name(struct symtab *tab, const char *name, size_t len, const char **ret)
{
	const char *copy;

	if (len >= SYMTAB_MAX_NAME_BYTES - tab->names.bytes)
		return error_new(E2BIG, "more than %u bytes of symbol names", SYMTAB_MAX_NAME_BYTES);
	copy = string_block_add(&tab->names, name, len);
	if (!copy)
		return error_nomem();
	*ret = copy;
	return NULL;
}

static size_t leading_underscores(const char *name)
{
	return strspn(name, "_");
}

/* Among equals the plain public name: fewer underscores, then shorter, then by the alphabet. */
static int compare_names(const char *a, const char *b)
{
	size_t under_a = leading_underscores(a), under_b = leading_underscores(b);
	size_t len_a, len_b;

	if (under_a != under_b)
		return under_a < under_b ? -1 : 1;
	len_a = strlen(a);
	len_b = strlen(b);
	if (len_a != len_b)
		return len_a < len_b ? -1 : 1;
	return strcmp(a, b);
}

/* By start; of one start the best first. */
static int compare_entries(const void *pa, const void *pb)
{
	const struct symtab_entry *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (!a->name != !b->name)
		return a->name ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank > b->rank ? -1 : 1;
	return a->name && a->name != b->name ? compare_names(a->name, b->name) : 0;
}

/* Input often comes in order (kallsyms, perf maps, a finished table): do not sort it again. */
static void sort(struct symtab *tab)
{
	for (size_t i = 1; i < tab->entries.len; i++) {
		if (compare_entries(&tab->entries.data[i - 1], &tab->entries.data[i]) > 0) {
			qsort(tab->entries.data, tab->entries.len, sizeof(*tab->entries.data), compare_entries);
			return;
		}
	}
}

/* Keeps the first of each start, cuts those without a size at the next start, drops the nameless. */
static void settle(struct symtab *tab)
{
	struct symtab_entry *e = tab->entries.data;
	size_t n = 0;

	for (size_t i = 0, next; i < tab->entries.len; i = next) {
		for (next = i + 1; next < tab->entries.len && e[next].start == e[i].start; next++)
			;
		if (!e[i].name)
			continue;
		if (!e[i].sized && next < tab->entries.len && e[next].start - e[i].start < e[i].size)
			e[i].size = e[next].start - e[i].start;
		if (e[i].size > UINT64_MAX - e[i].start)
			e[i].size = UINT64_MAX - e[i].start;
		e[n++] = e[i];
	}
	tab->entries.len = n;
}

/*
 * Links each symbol to the one it starts within, and drops labels.  The chain
 * of parents from the last entry is a stack of the symbols not ended yet.
 */
static void link_parents(struct symtab *tab)
{
	struct symtab_entry *e = tab->entries.data;
	uint32_t n = 0, top = 0;

	for (size_t i = 0; i < tab->entries.len; i++) {
		while (top && e[i].start - e[top - 1].start >= e[top - 1].size)
			top = e[top - 1].parent;
		if (top && e[top - 1].sized && !e[i].sized)
			continue;
		e[n] = e[i];
		e[n].parent = top;
		top = ++n;
	}
	tab->entries.len = n;
}

void symtab_finish(struct symtab *tab)
{
	sort(tab);
	settle(tab);
	link_parents(tab);
}

/* 1 + index of the last entry that starts at or before the address; 0: none. */
static uint32_t last_start(const struct symtab *tab, uint64_t address)
{
	size_t low = 0, high = tab->entries.len;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (tab->entries.data[mid].start <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct symtab_entry *symtab_lookup(const struct symtab *tab, uint64_t address)
{
	const struct symtab_entry *best = NULL;
	uint32_t at = last_start(tab, address);

	for (int depth = 0; at && depth < MAX_NESTING; depth++) {
		const struct symtab_entry *e = &tab->entries.data[at - 1];

		if (address - e->start < e->size && (!best || e->rank > best->rank)) {
			best = e;
			if (tab->overlap == SYMTAB_INNERMOST)
				break;
		}
		at = e->parent;
	}
	return best;
}

void symtab_free(struct symtab *tab)
{
	vec_free(&tab->entries);
	string_block_free(&tab->names);
}
