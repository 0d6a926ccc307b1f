/* SPDX-License-Identifier: MIT */
/* At any time the samples of a deep thread are those of one event; the events themselves are pretended. */
#include "collect/deep_threads.h"

#include "base/clock.h"

#include "../test.h"

enum { GROUPS = 2, OWN_GROUPS = 40, PID = 10, REFUSED = 99 };

static bool in_use[GROUPS + OWN_GROUPS];

uint32_t perf_events_groups(const struct perf_events *events)
{
	return GROUPS;
}

uint32_t perf_events_own_groups(const struct perf_events *events)
{
	return OWN_GROUPS;
}

bool perf_events_add_thread(struct perf_events *events, pid_t tid, uint32_t group)
{
	CHECK(group >= GROUPS && group < GROUPS + OWN_GROUPS && !in_use[group]);
	in_use[group] = tid != REFUSED;
	return in_use[group];
}

void perf_events_remove_group(struct perf_events *events, uint32_t group)
{
	CHECK(in_use[group]);
	in_use[group] = false;
}

static unsigned int n_in_use(void)
{
	unsigned int n = 0;

	for (int i = 0; i < GROUPS + OWN_GROUPS; i++)
		n += in_use[i];
	return n;
}

/* Whose samples count before, while and after the thread has events of its own. */
TEST(one_group_counts_at_a_time)
{
	struct deep_threads deep = { 0 };
	uint64_t before = clock_monotonic_ns(), since;

	CHECK_U64(deep_threads_group(&deep, 11, before, 1), 1);
	CHECK(deep_threads_add(&deep, PID, 11, 1));
	CHECK(deep_threads_add(&deep, PID, 11, 1));
	CHECK_U64(n_in_use(), 1);
	since = deep.threads.data[0].since;
	CHECK_U64(deep_threads_group(&deep, 11, since, 1), 1);
	CHECK_U64(deep_threads_group(&deep, 11, since + 1, 1), GROUPS);
	CHECK_U64(deep_threads_group(&deep, 12, since + 1, 1), 1);
	deep_threads_exit(&deep, 11, since + 100);
	CHECK_U64(deep_threads_group(&deep, 11, since + 100, 1), GROUPS);
	CHECK_U64(deep_threads_group(&deep, 11, since + 101, 1), 1);
	CHECK(!deep_threads_has(&deep, 11));
	deep_threads_expire(&deep, since + 100);
	CHECK_U64(n_in_use(), 1);
	deep_threads_expire(&deep, since + 101);
	CHECK_U64(n_in_use(), 0);
	deep_threads_free(&deep);
}

/* The old events still have samples in the rings. */
TEST(a_thread_that_is_deep_again_has_new_events)
{
	struct deep_threads deep = { 0 };

	CHECK(deep_threads_add(&deep, PID, 11, 0));
	deep_threads_give_back(&deep, 1);
	CHECK(deep_threads_has(&deep, 11));
	deep_threads_give_back(&deep, 0);
	CHECK(!deep_threads_has(&deep, 11));
	CHECK(deep_threads_add(&deep, PID, 11, 0));
	CHECK_U64(deep_threads_group(&deep, 11, UINT64_MAX, 0), GROUPS + 1);
	CHECK_U64(deep_threads_group(&deep, 11, deep.threads.data[0].until, 0), GROUPS);
	deep_threads_expire(&deep, UINT64_MAX);
	CHECK_U64(n_in_use(), 1);
	deep_threads_free(&deep);
}

TEST(a_new_program_is_served_as_before)
{
	struct deep_threads deep = { 0 };
	uint64_t time;

	CHECK(deep_threads_add(&deep, PID, 11, 0));
	CHECK(deep_threads_add(&deep, PID, 12, 0));
	CHECK(deep_threads_add(&deep, PID + 1, 13, 0));
	time = clock_monotonic_ns();
	deep_threads_exec(&deep, PID, time);
	CHECK_U64(deep_threads_group(&deep, 11, time + 1, 0), 0);
	CHECK_U64(deep_threads_group(&deep, 12, time + 1, 0), 0);
	CHECK(deep_threads_has(&deep, 13));
	deep_threads_free(&deep);
}

TEST(suspects_are_those_that_were_deep_once)
{
	struct deep_threads deep = { 0 };

	CHECK(!deep_threads_suspect(&deep, PID, 11, 0, false));
	CHECK(deep_threads_suspect(&deep, PID, 11, 0, true));
	CHECK(deep_threads_suspect(&deep, PID, 11, 0, false));
	CHECK(deep_threads_suspect(&deep, PID, 12, 1, true));
	CHECK(deep_threads_add_suspects(&deep, 1));
	CHECK(deep_threads_has(&deep, 12) && !deep_threads_has(&deep, 11));
	CHECK(deep_threads_suspect(&deep, PID, 11, 0, false));
	deep_threads_clear_suspects(&deep, 0);
	CHECK(!deep_threads_suspect(&deep, PID, 11, 0, false));
	CHECK(deep_threads_suspect(&deep, PID, REFUSED, 0, true));
	CHECK(!deep_threads_add_suspects(&deep, 0));
	for (uint32_t tid = 100; tid < 100 + DEEP_SUSPECTS; tid++)
		CHECK(deep_threads_suspect(&deep, PID, tid, 1, true));
	CHECK(!deep_threads_add_suspects(&deep, 1));
	CHECK(!deep_threads_has(&deep, 100));
	deep_threads_free(&deep);
}

TEST(there_are_only_so_many)
{
	struct deep_threads deep = { 0 };

	for (uint32_t i = 0; i < OWN_GROUPS; i++)
		CHECK(deep_threads_add(&deep, PID, 100 + i, 0));
	CHECK(!deep_threads_add(&deep, PID, 11, 0));
	deep_threads_exit(&deep, 105, 1);
	deep_threads_expire(&deep, 2);
	CHECK(deep_threads_add(&deep, PID, 11, 0));
	deep_threads_free(&deep);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
