/* SPDX-License-Identifier: MIT */
/* The table of named ranges: aliases, sizes, nesting. */
#include "test.h"

#include "symbol/symtab.h"

static void add(struct symtab *tab, uint64_t start, uint64_t size, const char *name, unsigned int rank, bool sized)
{
	struct symtab_entry entry = { .start = start, .size = size, .rank = rank, .sized = sized };

	if (name)
		CHECK_OK(symtab_name(tab, name, strlen(name), &entry.name));
	CHECK_OK(symtab_add(tab, &entry));
}

static const char *at(const struct symtab *tab, uint64_t address)
{
	const struct symtab_entry *entry = symtab_lookup(tab, address);

	return entry ? entry->name : "none";
}

TEST(empty_table_finds_nothing)
{
	struct symtab tab = {0};

	symtab_finish(&tab);
	CHECK(!symtab_lookup(&tab, 0));
	CHECK(!symtab_lookup(&tab, UINT64_MAX));
}

TEST(ranges_have_exact_ends)
{
	struct symtab tab = {0};

	add(&tab, 0x200, 0x10, "second", 0, true);
	add(&tab, 0x100, 0x10, "first", 0, true);
	symtab_finish(&tab);
	CHECK_STR(at(&tab, 0xff), "none");
	CHECK_STR(at(&tab, 0x100), "first");
	CHECK_STR(at(&tab, 0x10f), "first");
	CHECK_STR(at(&tab, 0x110), "none");
	CHECK_STR(at(&tab, 0x20f), "second");
	symtab_free(&tab);
}

TEST(alias_of_the_highest_rank_stays)
{
	struct symtab tab = {0};

	add(&tab, 0x100, 0x10, "weak", 1, true);
	add(&tab, 0x100, 0x10, "global", 2, true);
	add(&tab, 0x100, 0x10, "local", 0, true);
	add(&tab, 0x200, 0x10, "__name", 1, true);
	add(&tab, 0x200, 0x10, "longer_name", 1, true);
	add(&tab, 0x200, 0x10, "name", 1, true);
	symtab_finish(&tab);
	CHECK_STR(at(&tab, 0x105), "global");
	CHECK_STR(at(&tab, 0x205), "name");
	symtab_free(&tab);
}

TEST(nested_symbols_are_innermost_first)
{
	struct symtab tab = {0};

	add(&tab, 0x100, 0x100, "outer", 0, true);
	add(&tab, 0x120, 0x40, "middle", 0, true);
	add(&tab, 0x130, 0x10, "inner", 0, true);
	symtab_finish(&tab);
	CHECK_STR(at(&tab, 0x11f), "outer");
	CHECK_STR(at(&tab, 0x12f), "middle");
	CHECK_STR(at(&tab, 0x13f), "inner");
	CHECK_STR(at(&tab, 0x140), "middle");
	CHECK_STR(at(&tab, 0x160), "outer");
	CHECK_STR(at(&tab, 0x200), "none");
	symtab_free(&tab);
}

TEST(next_symbol_ends_one_without_size)
{
	struct symtab tab = {0};

	add(&tab, 0x100, 0x1000, "assembly", 0, false);
	add(&tab, 0x140, 0x10, "sized", 0, true);
	add(&tab, 0x148, 0x100, "label", 0, false);
	add(&tab, 0x180, 0x20, "last", 0, false);
	symtab_finish(&tab);
	CHECK_STR(at(&tab, 0x13f), "assembly");
	CHECK_STR(at(&tab, 0x14f), "sized");
	CHECK_STR(at(&tab, 0x150), "none");
	CHECK_STR(at(&tab, 0x19f), "last");
	CHECK_STR(at(&tab, 0x1a0), "none");
	symtab_free(&tab);
}

TEST(nameless_entries_only_end_others)
{
	struct symtab tab = {0};

	add(&tab, 0x100, 0x1000, "text", 0, false);
	add(&tab, 0x180, 0, NULL, 0, false);
	symtab_finish(&tab);
	CHECK_STR(at(&tab, 0x17f), "text");
	CHECK_STR(at(&tab, 0x180), "none");
	symtab_free(&tab);
}

TEST(newest_wins_where_asked)
{
	struct symtab tab = { .overlap = SYMTAB_NEWEST };

	add(&tab, 0x100, 0x100, "old", 1, true);
	add(&tab, 0x180, 0x20, "old inner", 2, true);
	add(&tab, 0x140, 0x100, "new", 3, true);
	symtab_finish(&tab);
	CHECK_STR(at(&tab, 0x13f), "old");
	CHECK_STR(at(&tab, 0x150), "new");
	CHECK_STR(at(&tab, 0x190), "new");
	CHECK_STR(at(&tab, 0x230), "new");
	symtab_free(&tab);
}

TEST(table_may_grow_after_it_was_finished)
{
	struct symtab tab = {0};
	const char *name;

	add(&tab, 0x200, 0x10, "late", 0, true);
	symtab_finish(&tab);
	name = symtab_lookup(&tab, 0x200)->name;
	for (int i = 0; i < 10000; i++)
		add(&tab, 0x1000 + i * 16, 8, "filler", 0, true);
	add(&tab, 0x100, 0x10, "early", 0, true);
	symtab_finish(&tab);
	CHECK(symtab_lookup(&tab, 0x200)->name == name);
	CHECK_STR(at(&tab, 0x108), "early");
	CHECK_STR(at(&tab, 0x1000 + 9999 * 16 + 7), "filler");
	CHECK_STR(at(&tab, 0x1000 + 9999 * 16 + 8), "none");
	symtab_free(&tab);
}

TEST(sizes_that_wrap_are_cut)
{
	struct symtab tab = {0};

	add(&tab, UINT64_MAX - 0x10, UINT64_MAX, "top", 0, true);
	symtab_finish(&tab);
	CHECK_STR(at(&tab, UINT64_MAX - 1), "top");
	CHECK_STR(at(&tab, 5), "none");
	symtab_free(&tab);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
