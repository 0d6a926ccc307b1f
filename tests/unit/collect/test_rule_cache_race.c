/* SPDX-License-Identifier: MIT */
/*
 * The cache's writer against a reader at the same time: a row that is found is
 * a row of the key that was asked for.  The test is turned on itself as well:
 * with RACE_MUTANT the writer does not clear a key before it overwrites the
 * block, and the reader must notice.
 */
#include "block_reader.h"
#include "test.h"

#include "open_rule_cache.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

enum { N_KEYS = 64, SECONDS = 2, PATIENCE = 60, ENOUGH = 1000 };

static bool stop_writer;
static uint64_t n_written;

static u64 key_of(u32 i)
{
	return rule_block_key(FILE_FIRST + i, (u64)i << 12, 0);
}

static u32 rule_of(u32 i)
{
	return 100 + i * 37;
}

static void *write_blocks(void *arg)
{
	for (u32 i = 0; !__atomic_load_n(&stop_writer, __ATOMIC_RELAXED); i = (i + 1) % N_KEYS) {
		struct rule_block block = { .key = key_of(i) };

		for (u32 row = 0; row < BLOCK_ROWS; row++)
			block.rule[row] = rule_of(i);
		open_put_block(arg, &block);
		__atomic_store_n(&n_written, n_written + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* A busy machine may take its time, and who looks for the deliberate bug has it. */
static bool is_enough(double seconds, uint64_t found)
{
#ifdef RACE_MUTANT
	return seconds > PATIENCE;
#else
	return seconds > PATIENCE ||
	       (seconds > SECONDS && found > ENOUGH && __atomic_load_n(&n_written, __ATOMIC_RELAXED) > ENOUGH);
#endif
}

TEST(reader_sees_rows_of_its_key)
{
	uint64_t found = 0, wrong = 0, asked = 0;
	double start = now();
	struct rule_cache *cache;
	pthread_t writer;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP("one processor only: nothing runs at the same time");
	config.rule_set_mask = 0;
	reader_sets = calloc(1, sizeof(*reader_sets));
	reader_rules = calloc(MAX_RULES, sizeof(*reader_rules));
	CHECK(reader_sets && reader_rules);
	CHECK_OK(rule_cache_create(reader_sets, 1, reader_rules, &cache));
	CHECK(!pthread_create(&writer, NULL, write_blocks, cache));
	while (!is_enough(now() - start, found) && !wrong) {
		for (int i = 0; i < 1000; i++, asked++) {
			u32 id = block_lookup(key_of(asked % N_KEYS), asked & 255);

			found += id != 0;
			wrong += id && id != rule_of(asked % N_KEYS);
		}
	}
	__atomic_store_n(&stop_writer, true, __ATOMIC_RELAXED);
	pthread_join(writer, NULL);
	printf("# %llu written, %llu asked, %llu found, %llu wrong\n", (unsigned long long)n_written,
	       (unsigned long long)asked, (unsigned long long)found, (unsigned long long)wrong);
	fflush(stdout);
	rule_cache_destroy(cache);
	free(reader_sets);
	free(reader_rules);
#ifdef RACE_MUTANT
	CHECK(wrong > 0);
#else
	CHECK(found > ENOUGH && n_written > ENOUGH);
	CHECK_U64(wrong, 0);
#endif
}

/* What finds no room in the dictionary is left to user space, never given another rule. */
TEST(full_dictionary)
{
	struct rule_cache *cache;

	reader_sets = calloc(1, sizeof(*reader_sets));
	reader_rules = calloc(MAX_RULES, sizeof(*reader_rules));
	CHECK(reader_sets && reader_rules);
	CHECK_OK(rule_cache_create(reader_sets, 1, reader_rules, &cache));
	for (int i = 0; i < MAX_RULES + 100; i++) {
		struct unwind_rule rule = { .cfa_kind = RULE_CFA_RSP, .cfa_off = i };
		u32 id = open_rule_id(cache, &rule);

		CHECK(id > 0 && id < MAX_RULES);
		if (id == OPEN_RULE_COMPLEX)
			CHECK(reader_rules[id].cfa_kind == RULE_CFA_COMPLEX && i >= MAX_RULES - 2);
		else
			CHECK(!memcmp(&reader_rules[id], &rule, sizeof(rule)));
		CHECK_U64(open_rule_id(cache, &rule), id);
	}
	rule_cache_destroy(cache);
	free(reader_sets);
	free(reader_rules);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
