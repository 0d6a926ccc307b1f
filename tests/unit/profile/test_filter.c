/* SPDX-License-Identifier: MIT */
/* Filters: what they accept, what they refuse, how they combine. */
#include "test.h"

#include "profile/filter.h"

static bool refused(struct error *err)
{
	bool was_error = err;

	error_free(err);
	return was_error;
}

TEST(lets_everything_through_when_empty)
{
	struct filter filter = { 0 };

	CHECK(filter_match(&filter, "x", 1, 2, 3, 4));
}

TEST(lists_hold_numbers_and_ranges)
{
	struct filter filter = { 0 };

	CHECK_OK(filter_add_cpus(&filter, "0,4-6"));
	CHECK_OK(filter_add_cpus(&filter, "9"));
	CHECK(filter_match(&filter, "x", 1, 1, 0, 0));
	CHECK(filter_match(&filter, "x", 1, 1, 6, 0));
	CHECK(filter_match(&filter, "x", 1, 1, 9, 0));
	CHECK(!filter_match(&filter, "x", 1, 1, 7, 0));
	CHECK(!filter_match(&filter, "x", 1, 1, 1, 0));
	filter_deinit(&filter);
}

TEST(lists_combine)
{
	struct filter filter = { 0 };

	CHECK_OK(filter_add_comms(&filter, "sh,xz"));
	CHECK_OK(filter_add_pids(&filter, "10"));
	CHECK_OK(filter_add_tids(&filter, "10,11"));
	CHECK(filter_match(&filter, "xz", 10, 11, 0, 0));
	CHECK(!filter_match(&filter, "x", 10, 11, 0, 0));
	CHECK(!filter_match(&filter, "xz", 11, 11, 0, 0));
	CHECK(!filter_match(&filter, "xz", 10, 12, 0, 0));
	filter_deinit(&filter);
}

TEST(times_are_exact_to_the_nanosecond)
{
	struct filter filter = { 0 };

	CHECK_OK(filter_add_time(&filter, "1.000000001,2.5"));
	CHECK(!filter_match(&filter, "x", 1, 1, 0, 1000000000));
	CHECK(filter_match(&filter, "x", 1, 1, 0, 1000000001));
	CHECK(filter_match(&filter, "x", 1, 1, 0, 2500000000));
	CHECK(!filter_match(&filter, "x", 1, 1, 0, 2500000001));
	filter_deinit(&filter);
}

TEST(times_may_be_open)
{
	struct filter from = { 0 }, to = { 0 };

	CHECK_OK(filter_add_time(&from, "3,"));
	CHECK_OK(filter_add_time(&to, ",3"));
	CHECK(filter_match(&from, "x", 1, 1, 0, UINT64_MAX));
	CHECK(!filter_match(&from, "x", 1, 1, 0, 2999999999));
	CHECK(filter_match(&to, "x", 1, 1, 0, 0));
	CHECK(!filter_match(&to, "x", 1, 1, 0, 3000000001));
	filter_deinit(&from);
	filter_deinit(&to);
}

TEST(refuses_nonsense)
{
	static const char *const lists[] = { "", ",", "1,", "a", "-1", "1-", "3-2", "1 ", "99999999999999999999" };
	static const char *const times[] = { "", ",", "1", "a,", "1,b", "2,1", "1,2,3", "-1,", "99999999999999," };
	struct filter filter = { 0 };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		CHECK(refused(filter_add_pids(&filter, lists[i])));
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		CHECK(refused(filter_add_time(&filter, times[i])));
	CHECK(refused(filter_add_comms(&filter, "")));
	filter_deinit(&filter);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
