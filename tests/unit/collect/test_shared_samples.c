/* SPDX-License-Identifier: MIT */
/* Samples that are filled in for several events: whose clock they have, and which is the second of two. */
#include "collect/shared_samples.h"

#include "base/clock.h"
#include "test.h"

enum { MAX_TAKEN = 16, ID = 7 };

static struct { uint64_t ip, time; } taken[MAX_TAKEN];
static unsigned int n_taken;

static void take(void *arg, const struct shared_sample *sample, uint32_t size)
{
	CHECK_U64(size, sizeof(*sample));
	CHECK(n_taken < MAX_TAKEN);
	taken[n_taken].ip = sample->ip;
	taken[n_taken++].time = sample->time;
}

static void add(struct shared_samples *s, uint64_t number, uint32_t cpu, uint32_t tid, uint64_t time)
{
	struct shared_sample sample = {
		.header = { PERF_RECORD_SAMPLE, 0, sizeof(sample) }, .id = ID, .ip = number, .pid = tid, .tid = tid,
		.time = time, .cpu = cpu,
	};

	CHECK(shared_samples_add(s, &sample, sizeof(sample)));
}

static void check_taken(unsigned int i, uint64_t number, uint64_t time)
{
	CHECK(i < n_taken);
	CHECK_U64(taken[i].ip, number);
	CHECK_U64(taken[i].time, time);
}

TEST(the_time_is_between_its_neighbours)
{
	struct shared_samples s = { .fn = take };

	shared_samples_next(&s, 1, 1000);
	add(&s, 1, 1, 5, 1500);
	add(&s, 2, 1, 5, 900);
	add(&s, 3, 1, 5, 5000);
	add(&s, 4, 0, 5, 500);
	CHECK_U64(n_taken, 0);
	shared_samples_next(&s, 1, 2000);
	CHECK_U64(n_taken, 3);
	check_taken(0, 1, 1500);
	check_taken(1, 2, 2000);
	check_taken(2, 3, 2000);
	shared_samples_next(&s, 0, 600);
	CHECK_U64(n_taken, 4);
	check_taken(3, 4, 500);
	shared_samples_free(&s);
}

TEST(what_nothing_follows_is_of_now)
{
	struct shared_samples s = { .fn = take };
	uint64_t now = clock_monotonic_ns();

	add(&s, 1, 0, 5, now);
	add(&s, 2, 0, 5, UINT64_MAX - 1);
	shared_samples_drained(&s);
	CHECK_U64(n_taken, 2);
	check_taken(0, 1, now);
	CHECK(taken[1].time >= now && taken[1].time <= clock_monotonic_ns());
	shared_samples_free(&s);
}

TEST(the_second_of_two_goes)
{
	struct shared_samples s = { .fn = take };

	add(&s, 1, 0, 5, 100);
	add(&s, 2, 0, 5, 100);
	/* Also behind an interrupt's record, and from the next drain. */
	add(&s, 3, 1, 5, 100);
	shared_samples_next(&s, 1, 150);
	shared_samples_drained(&s);
	add(&s, 4, 1, 5, 100);
	/* Another task's, or another time's, is another one. */
	add(&s, 5, 1, 6, 100);
	add(&s, 6, 1, 6, 101);
	shared_samples_next(&s, 0, 200);
	shared_samples_next(&s, 1, 200);
	CHECK_U64(n_taken, 4);
	shared_samples_free(&s);
}

TEST(a_cpu_that_cannot_be)
{
	struct shared_samples s = { .fn = take };
	struct shared_sample sample = { .header = { PERF_RECORD_SAMPLE, 0, sizeof(sample) }, .cpu = UINT32_MAX };

	CHECK(!shared_samples_add(&s, &sample, sizeof(sample)));
	shared_samples_next(&s, UINT32_MAX - 1, 100);
	shared_samples_drained(&s);
	CHECK_U64(n_taken, 0);
	shared_samples_free(&s);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
