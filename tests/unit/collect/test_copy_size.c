/* SPDX-License-Identifier: MIT */
/* The policy of copy_size.h. */
#include "collect/copy_size.h"
#include "test.h"

static struct copy_size size;

/* Walks that read so far in copies of the chosen size, until the choice changes. */
static uint64_t walks_until_change(uint64_t reach, uint64_t most)
{
	for (uint64_t n = 1; n <= most; n++)
		if (copy_size_learn(&size, copy_sizes[size.choice], reach))
			return n;
	return 0;
}

TEST(whole_at_first_and_short_where_it_does)
{
	size = (struct copy_size){ 0 };
	CHECK_U64(size.choice, COPY_WHOLE);
	CHECK_U64(walks_until_change(1000, 10000), 256);
	CHECK_U64(size.choice, COPY_SHORT);
	CHECK_U64(walks_until_change(copy_sizes[COPY_SHORT], 100000), 0);
}

TEST(whole_as_long_as_one_walk_needs_it)
{
	size = (struct copy_size){ 0 };
	for (int i = 0; i < 100; i++) {
		CHECK_U64(walks_until_change(1000, 200), 0);
		CHECK_U64(walks_until_change(copy_sizes[COPY_SHORT] / 2 + 8, 1), 0);
		CHECK_U64(walks_until_change(copy_sizes[COPY_WHOLE] + 8, 1), 0);
	}
	CHECK_U64(size.choice, COPY_WHOLE);
}

TEST(a_surprise_brings_the_whole_back_for_longer)
{
	uint64_t before = 0;

	size = (struct copy_size){ 0 };
	for (int i = 0; i < 5; i++) {
		uint64_t n = walks_until_change(1000, 1 << 20);

		CHECK(n > before);
		before = n;
		CHECK_U64(size.choice, COPY_SHORT);
		CHECK_U64(walks_until_change(copy_sizes[COPY_SHORT] + 8, 1), 1);
		CHECK_U64(size.choice, COPY_WHOLE);
		/* Short copies that were on their way do not count again. */
		CHECK(!copy_size_learn(&size, copy_sizes[COPY_SHORT], copy_sizes[COPY_SHORT] + 8));
		CHECK_U64(size.surprises, i + 1);
	}
}

TEST(another_stack_is_no_reason_for_more)
{
	size = (struct copy_size){ 0 };
	walks_until_change(1000, 1000);
	CHECK_U64(size.choice, COPY_SHORT);
	CHECK_U64(walks_until_change(1 << 30, 1000), 0);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
