/* SPDX-License-Identifier: MIT */
/* Copies get shorter when that has long done for nearly all, and whole again when it does not. */
#include "collect/copy_size.h"

#include "../test.h"

enum { KB = 1024 };

/* Samples without a surprise until the choice changes. */
static unsigned int samples_until_change(struct copy_size *size)
{
	for (unsigned int n = 1; n < 1 << 24; n++)
		if (copy_size_learn(size, false, false))
			return n;
	return 0;
}

TEST(a_copy_is_deep_that_needs_half_of_a_short_one)
{
	CHECK(!copy_size_is_deep(0));
	CHECK(!copy_size_is_deep(8 * KB));
	CHECK(copy_size_is_deep(8 * KB + 8));
	CHECK(copy_size_is_deep(80 * KB));
	CHECK(!copy_size_is_deep(16384 * KB));		/* another stack: no copy would do */
}

TEST(short_ones_are_chosen_after_a_while)
{
	struct copy_size size = { 0 };

	CHECK_U64(samples_until_change(&size), 256);
	CHECK_U64(size.choice, COPY_SHORT);
	CHECK_U64(samples_until_change(&size), 0);
}

TEST(a_few_deep_threads_do_not_keep_them_whole_but_many_do)
{
	struct copy_size size = { 0 };

	for (int i = 1; i < 256; i++)
		CHECK(!copy_size_learn(&size, i % 4 == 0, false));
	CHECK(copy_size_learn(&size, true, false));
	CHECK_U64(size.choice, COPY_SHORT);
	size = (struct copy_size){ 0 };
	for (int i = 0; i < 4096; i++)
		CHECK(!copy_size_learn(&size, i % 3 == 0, false));
	CHECK_U64(size.choice, COPY_WHOLE);
}

TEST(a_few_cuts_change_nothing_and_each_period_forgets_them)
{
	struct copy_size size = { .choice = COPY_SHORT };

	for (int i = 0; i < 20 * 4096; i++)
		CHECK(!copy_size_learn(&size, false, i % 4096 < 8));
	CHECK_U64(size.choice, COPY_SHORT);
}

TEST(many_cuts_make_them_whole_for_longer_each_time)
{
	struct copy_size size = { 0 };

	for (unsigned int i = 0; i < 10; i++) {
		unsigned int expected = 256 << 2 * (i < 6 ? i : 6);

		CHECK_U64(samples_until_change(&size), expected);
		for (int k = 0; k < 8; k++)
			CHECK(!copy_size_learn(&size, true, true));
		CHECK(copy_size_learn(&size, true, true));
		CHECK_U64(size.choice, COPY_WHOLE);
	}
}

TEST(when_most_are_deep_the_short_ones_are_given_up)
{
	struct copy_size size = { .choice = COPY_SHORT };

	for (int i = 1; i < 4096; i++)
		CHECK(!copy_size_learn(&size, i % 3 != 0, false));
	CHECK(copy_size_learn(&size, true, false));
	CHECK_U64(size.choice, COPY_WHOLE);
	CHECK_U64(size.surprises, 1);
	CHECK(!copy_size_give_up(&size));
	CHECK_U64(size.surprises, 1);		/* it is whole already */
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
