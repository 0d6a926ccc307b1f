/* SPDX-License-Identifier: MIT */
/* The rule cache as the programs read it: every position of libc, small caches, a full dictionary. */
#include "block_reader.h"
#include "test.h"

#include "collect/rule_cache.h"
#include "elf/elf_file.h"
#include "unwind/table.h"

#include <dlfcn.h>

/* So many that no five blocks meet in a set. */
enum { FILE_A = FILE_FIRST, FILE_B, ROOMY = 1 << 17 };

struct fixture {
	struct rule_cache *cache;
	struct elf_file *elf;
	struct unwind_table *table;
	struct unwind_table_info info;
	unwind_rows rows;
};

static void begin(struct fixture *f, u32 n_sets)
{
	Dl_info libc;

	config.rule_set_mask = n_sets - 1;
	reader_sets = calloc(n_sets, sizeof(*reader_sets));
	reader_rules = calloc(MAX_RULES, sizeof(*reader_rules));
	CHECK(reader_sets && reader_rules);
	CHECK_OK(rule_cache_create(reader_sets, n_sets, reader_rules, &f->cache));
	CHECK(dladdr((void *)(uintptr_t)getppid, &libc));
	CHECK_OK(elf_file_open(libc.dli_fname, &f->elf));
	CHECK_OK(unwind_table_open(f->elf, &f->table));
	unwind_table_info(f->table, &f->info);
	CHECK_OK(unwind_table_rows(f->table, f->info.text_start, f->info.text_end, &f->rows));
	CHECK(f->rows.len > 1000);
}

static void end(struct fixture *f)
{
	vec_free(&f->rows);
	unwind_table_close(f->table);
	elf_file_close(f->elf);
	rule_cache_destroy(f->cache);
	free(reader_sets);
	free(reader_rules);
}

static bool same(const struct unwind_rule *a, const struct unwind_rule *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Goes through all of the text; how many positions are there.  None may have a wrong rule. */
static uint64_t check_text(const struct fixture *f, u32 file)
{
	uint64_t found = 0;
	size_t row = 0;

	for (uint64_t at = f->info.text_start; at < f->info.text_end; at++) {
		const struct unwind_rule *rule = rule_lookup(file, at);

		while (row + 1 < f->rows.len && f->rows.data[row + 1].start <= at)
			row++;
		if (rule)
			CHECK(same(rule, &f->rows.data[row].rule));
		found += rule != NULL;
	}
	return found;
}

static unsigned int dense_blocks(u32 n_sets)
{
	unsigned int n = 0;

	for (u32 i = 0; i < n_sets * BLOCK_WAYS; i++)
		n += reader_sets[i / BLOCK_WAYS].way[i % BLOCK_WAYS].flags & BLOCK_DENSE;
	return n;
}

TEST(every_position_of_libc)
{
	struct fixture f = { 0 };

	begin(&f, ROOMY);
	CHECK(!rule_lookup(FILE_A, f.info.text_start));
	CHECK_OK(rule_cache_load(f.cache, FILE_A, f.table, f.info.text_start, f.info.text_end));
	CHECK_U64(check_text(&f, FILE_A), f.info.text_end - f.info.text_start);
	CHECK(dense_blocks(ROOMY) > 0);
	/* Another file has nothing of it. */
	CHECK_U64(check_text(&f, FILE_B), 0);
	for (uint64_t at = f.info.text_start; at < f.info.text_end; at += 97) {
		struct unwind_rule rule = unwind_table_rule(f.table, at);

		CHECK(same(rule_lookup(FILE_A, at), &rule));
	}
	end(&f);
}

/* Pieces that begin and end anywhere say the same as the whole. */
TEST(loaded_in_pieces)
{
	struct fixture f = { 0 };

	begin(&f, ROOMY);
	for (uint64_t at = f.info.text_start; at < f.info.text_end; at += 12347)
		CHECK_OK(rule_cache_load(f.cache, FILE_A, f.table, at, at + 12347));
	CHECK_U64(check_text(&f, FILE_A), f.info.text_end - f.info.text_start);
	end(&f);
}

TEST(small_caches_forget_but_do_not_lie)
{
	for (u32 n_sets = 1; n_sets <= 256; n_sets *= 16) {
		struct fixture f = { 0 };
		uint64_t last;

		begin(&f, n_sets);
		last = (f.info.text_end - 1) & ~255ULL;
		CHECK_OK(rule_cache_load(f.cache, FILE_A, f.table, f.info.text_start, f.info.text_end));
		CHECK_OK(rule_cache_load(f.cache, FILE_B, f.table, last, last + 1));
		CHECK(rule_lookup(FILE_B, last));
		CHECK(check_text(&f, FILE_A) <= n_sets * BLOCK_WAYS * 256ULL);
		end(&f);
	}
}

TEST(files_do_not_mix)
{
	struct fixture f = { 0 };

	begin(&f, ROOMY);
	CHECK_OK(rule_cache_load(f.cache, FILE_A, f.table, f.info.text_start, f.info.text_end));
	for (uint64_t at = f.info.text_start; at < f.info.text_start + 65536; at += 256)
		CHECK(!rule_lookup(FILE_B, at));
	CHECK_OK(rule_cache_load(f.cache, FILE_B, f.table, f.info.text_start, f.info.text_start + 256));
	CHECK(rule_lookup(FILE_B, f.info.text_start));
	CHECK(!rule_lookup(FILE_B, f.info.text_start + 4096));
	end(&f);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
