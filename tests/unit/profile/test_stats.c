/* SPDX-License-Identifier: MIT */
/* Quality figures: every sample is counted once, whatever the recording says. */
#include "test.h"

#include "perfdata/recorder_stats.h"
#include "profile/stats.h"

static void check_sums(const struct stats *stats)
{
	uint64_t by_comm = 0, by_dso = 0;

	CHECK_U64(stats->samples, stats->no_user + stats_with_user_context(stats));
	CHECK_U64(stats_with_user_context(stats), stats_stitched(stats) + stats_missing(stats));
	CHECK_U64(stats_stitched(stats), stats->complete + stats_truncated(stats));
	vec_each(&stats->comms.list, comm)
		by_comm += comm->samples;
	vec_each(&stats->dsos.list, dso)
		by_dso += dso->truncated;
	CHECK_U64(by_comm, stats->samples);
	CHECK_U64(by_dso, stats_truncated(stats));
}

static struct sample sample(bool other_tool, unsigned int reason, size_t n_user)
{
	return (struct sample){ .tid = 1, .comm = 1, .reason = reason, .n_user = n_user, .depth = n_user,
				.outcome = sample_outcome(other_tool, reason, n_user) };
}

TEST(outcomes_follow_the_reason)
{
	CHECK(sample_outcome(false, REASON_NONE, 5) == SAMPLE_COMPLETE);
	CHECK(sample_outcome(false, REASON_KERNEL_THREAD, 0) == SAMPLE_NO_USER);
	CHECK(sample_outcome(false, REASON_EXEC, 0) == SAMPLE_MISSING);
	CHECK(sample_outcome(false, REASON_NO_UNWIND_INFO, 3) == SAMPLE_TRUNCATED);
	CHECK(sample_outcome(false, REASON_NO_UNWIND_INFO, 0) == SAMPLE_TRUNCATED);
}

TEST(outcomes_of_other_tools_are_never_complete)
{
	CHECK(sample_outcome(true, REASON_NONE, 5) == SAMPLE_TRUNCATED);
	CHECK(sample_outcome(true, REASON_NONE, 0) == SAMPLE_NO_USER);
}

TEST(contradictions_are_never_complete)
{
	CHECK(sample_outcome(false, REASON_NONE, 0) == SAMPLE_MISSING);
	CHECK(sample_outcome(false, REASON_EXEC, 7) == SAMPLE_MISSING);
	CHECK(sample_outcome(false, 0xffff, 7) == SAMPLE_TRUNCATED);
	CHECK(sample_outcome(false, 99, 0) == SAMPLE_MISSING);
}

TEST(sums_hold_for_any_reason)
{
	struct stats stats = { 0 };
	struct sample s;

	for (unsigned int reason = 0; reason < 300; reason++)
		for (size_t n_user = 0; n_user < 3; n_user++)
			for (int other = 0; other < 2; other++) {
				s = sample(other, reason, n_user);
				s.comm = reason % 7;
				s.stop_dso = (uint32_t)n_user;
				CHECK_OK(stats_add(&stats, &s));
				check_sums(&stats);
			}
	CHECK_U64(stats.samples, 1800);
	CHECK(stats.complete == 2);
	stats_deinit(&stats);
}

TEST(samples_of_one_kernel_entry_share_a_walk)
{
	struct stats stats = { 0 };
	struct sample s = sample(false, REASON_NONE, 10);

	s.cookie = 77;
	CHECK_OK(stats_add(&stats, &s));
	CHECK_OK(stats_add(&stats, &s));
	s.tid = 2;
	CHECK_OK(stats_add(&stats, &s));
	s.cookie = 78;
	s.reason = REASON_MAX_DEPTH;
	s.outcome = SAMPLE_TRUNCATED;
	CHECK_OK(stats_add(&stats, &s));
	CHECK_U64(stats.walks, 3);
	CHECK_U64(stats_shared(&stats), 1);
	CHECK_U64(stats.frames, 30);
	s = sample(false, REASON_EXEC, 0);
	s.cookie = 77;
	CHECK_OK(stats_add(&stats, &s));
	CHECK_U64(stats_shared(&stats), 1);
	/* without a cookie every chain is its own */
	s = sample(false, REASON_NONE, 4);
	CHECK_OK(stats_add(&stats, &s));
	CHECK_OK(stats_add(&stats, &s));
	CHECK_U64(stats_shared(&stats), 1);
	CHECK_U64(stats.max_depth, 10);
	check_sums(&stats);
	stats_deinit(&stats);
}

TEST(counts_events_and_ignores_absurd_ones)
{
	struct stats stats = { 0 };
	struct sample s = sample(false, REASON_NONE, 1);

	s.event = 2;
	CHECK_OK(stats_add(&stats, &s));
	s.event = UINT32_MAX;
	CHECK_OK(stats_add(&stats, &s));
	CHECK_U64(stats.events.len, 3);
	CHECK_U64(stats.events.data[2], 1);
	check_sums(&stats);
	stats_deinit(&stats);
}

TEST(recorder_section_may_be_older_or_newer)
{
	struct perfdata_recorder_stats stats, parsed;
	unsigned char longer[sizeof(stats) + 16] = { 0 };

	perfdata_recorder_stats_init(&stats);
	strcpy(stats.backend, "bpf");
	stats.requests = 5;
	stats.walks = 4;
	CHECK(perfdata_recorder_stats_parse(&stats, sizeof(stats), &parsed));
	CHECK(!memcmp(&stats, &parsed, sizeof(stats)));

	stats.size = sizeof(stats) + 16;
	memcpy(longer, &stats, sizeof(stats));
	CHECK(perfdata_recorder_stats_parse(longer, sizeof(longer), &parsed) && parsed.walks == 4);

	stats.size = offsetof(struct perfdata_recorder_stats, walks);
	CHECK(perfdata_recorder_stats_parse(&stats, stats.size, &parsed));
	CHECK(parsed.requests == 5 && parsed.walks == 0);

	CHECK(!perfdata_recorder_stats_parse(&stats, stats.size - 1, &parsed));
	CHECK(!perfdata_recorder_stats_parse(&stats, 3, &parsed));
	CHECK(!perfdata_recorder_stats_parse(NULL, 0, &parsed));
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
