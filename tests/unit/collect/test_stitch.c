/* SPDX-License-Identifier: MIT */
/* Joining samples with chains, beside a naive model, and within its bounds. */
#include "collect/stitch.h"
#include "test.h"

#include "base/reason.h"

#include <stddef.h>

enum { MAX_SAMPLES = 4000, N_TIDS = 5, N_COOKIES = 40, NEVER = 999 };

/* What became of a sample; its number is in period. */
struct delivery {
	unsigned int times;
	bool has_chain, shared;
	uint16_t reason;
	uint64_t ip;		/* the chain's first */
};

static struct delivery delivered[MAX_SAMPLES];
static unsigned int n_delivered, n_discarded;
static uint64_t oldest_kept;

static void on_sample(void *arg, const struct sample_record *sample, uint32_t size, const struct chain *chain,
		      uint16_t reason, bool shared)
{
	struct delivery *d = &delivered[sample->period];

	CHECK(arg == delivered && sample->period < MAX_SAMPLES);
	d->times++;
	d->has_chain = chain;
	d->shared = shared;
	d->reason = reason;
	d->ip = chain && chain->n ? chain->ips[0] : 0;
	n_delivered++;
}

static void feed_sample(struct stitcher *s, uint64_t number, uint32_t tid, uint64_t cookie, uint16_t reason)
{
	struct sample_record sample = { .type = RECORD_SAMPLE, .tid = tid, .cookie = cookie, .period = number,
					.reason = reason };

	stitcher_sample(s, &sample, offsetof(struct sample_record, kernel));
}

static void feed_chain(struct stitcher *s, uint32_t tid, uint64_t cookie, uint64_t ip, uint16_t reason)
{
	uint64_t ips[2] = { ip, 7 };
	struct chain chain = { .tid = tid, .cookie = cookie, .reason = reason, .n = 2, .ips = ips };

	stitcher_chain(s, &chain);
	ips[0] = ips[1] = 0;	/* it must have copied them */
}

static uint16_t never(void *arg, uint32_t tid, uint64_t cookie)
{
	return NEVER + tid;
}

TEST(sample_first)
{
	_cleanup_(stitcher_destroyp) struct stitcher *s = NULL;

	CHECK_OK(stitcher_create(on_sample, delivered, &s));
	feed_sample(s, 0, 1, 10, 0);
	CHECK_U64(stitcher_waiting(s), 1);
	CHECK_U64(n_delivered, 0);
	feed_chain(s, 1, 10, 0x123, REASON_MAX_DEPTH);
	CHECK_U64(stitcher_waiting(s), 0);
	CHECK_U64(n_delivered, 1);
	CHECK(delivered[0].has_chain && !delivered[0].shared);
	CHECK_U64(delivered[0].ip, 0x123);
	CHECK_U64(delivered[0].reason, REASON_MAX_DEPTH);
}

TEST(chain_first_and_shared)
{
	_cleanup_(stitcher_destroyp) struct stitcher *s = NULL;

	CHECK_OK(stitcher_create(on_sample, delivered, &s));
	feed_chain(s, 1, 10, 0x123, 0);
	feed_sample(s, 0, 1, 10, 0);
	feed_sample(s, 1, 1, 10, 0);
	CHECK(delivered[0].has_chain && !delivered[0].shared);
	CHECK(delivered[1].has_chain && delivered[1].shared);
	/* Neither another task nor another entry has that chain. */
	feed_sample(s, 2, 2, 10, 0);
	feed_sample(s, 3, 1, 11, 0);
	CHECK_U64(n_delivered, 2);
	CHECK_U64(stitcher_waiting(s), 2);
}

TEST(second_chain_is_ignored)
{
	_cleanup_(stitcher_destroyp) struct stitcher *s = NULL;

	CHECK_OK(stitcher_create(on_sample, delivered, &s));
	feed_chain(s, 1, 10, 0x1, 0);
	feed_chain(s, 1, 10, 0x2, 0);
	feed_sample(s, 0, 1, 10, 0);
	CHECK_U64(delivered[0].ip, 0x1);
}

TEST(no_user_part_goes_through)
{
	_cleanup_(stitcher_destroyp) struct stitcher *s = NULL;

	CHECK_OK(stitcher_create(on_sample, delivered, &s));
	feed_sample(s, 0, 1, 0, REASON_KERNEL_THREAD);
	CHECK_U64(n_delivered, 1);
	CHECK(!delivered[0].has_chain);
	CHECK_U64(delivered[0].reason, REASON_KERNEL_THREAD);
}

/* The model: what is known of one kernel entry. */
struct model {
	bool has_chain, used;
	uint64_t ip;
	uint16_t reason;
	uint64_t waiting[64];
	unsigned int n_waiting;
};

static struct delivery expected[MAX_SAMPLES];

static void expect(struct model *m, uint64_t number, bool has_chain, uint16_t reason)
{
	expected[number] = (struct delivery){ 1, has_chain, m->used, reason, has_chain ? m->ip : 0 };
	m->used = true;
}

static void model_chain(struct model *m, uint64_t ip, uint16_t reason)
{
	if (m->has_chain)
		return;
	m->has_chain = true;
	m->ip = ip;
	m->reason = reason;
	for (unsigned int i = 0; i < m->n_waiting; i++)
		expect(m, m->waiting[i], true, reason);
	m->n_waiting = 0;
}

static uint64_t one_round(struct stitcher *s, struct model model[N_TIDS][N_COOKIES])
{
	uint64_t n_samples = 0, n_waiting = 0;

	for (unsigned int step = 0; step < MAX_SAMPLES; step++) {
		uint32_t tid = rand() % N_TIDS, cookie = rand() % N_COOKIES;
		struct model *m = &model[tid][cookie];
		uint16_t reason = rand() % 2 ? REASON_BACKWARDS : 0;

		if (rand() % 8 == 0) {
			feed_chain(s, tid, 1 + cookie, step, reason);
			model_chain(m, step, reason);
		} else if (m->has_chain || m->n_waiting < 64) {
			feed_sample(s, n_samples, tid, 1 + cookie, 0);
			if (m->has_chain)
				expect(m, n_samples, true, m->reason);
			else
				m->waiting[m->n_waiting++] = n_samples;
			n_samples++;
		}
	}
	for (unsigned int i = 0; i < N_TIDS * N_COOKIES; i++)
		n_waiting += model[i / N_COOKIES][i % N_COOKIES].n_waiting;
	CHECK_U64(stitcher_waiting(s), n_waiting);
	stitcher_give_up(s, never, NULL);
	for (unsigned int i = 0; i < N_TIDS * N_COOKIES; i++) {
		struct model *m = &model[i / N_COOKIES][i % N_COOKIES];

		for (unsigned int j = 0; j < m->n_waiting; j++)
			expect(m, m->waiting[j], false, NEVER + i / N_COOKIES);
	}
	return n_samples;
}

TEST(random_interleavings)
{
	for (unsigned int seed = 1; seed <= 50; seed++) {
		_cleanup_(stitcher_destroyp) struct stitcher *s = NULL;
		static struct model model[N_TIDS][N_COOKIES];
		uint64_t n;

		srand(seed);
		memset(model, 0, sizeof(model));
		memset(delivered, 0, sizeof(delivered));
		CHECK_OK(stitcher_create(on_sample, delivered, &s));
		n = one_round(s, model);
		CHECK_U64(stitcher_waiting(s), 0);
		for (uint64_t i = 0; i < n; i++) {
			CHECK_U64(delivered[i].times, 1);
			CHECK_U64(delivered[i].ip, expected[i].ip);
			CHECK_U64(delivered[i].reason, expected[i].reason);
			CHECK(delivered[i].has_chain == expected[i].has_chain);
			CHECK(delivered[i].shared == expected[i].shared);
		}
	}
}

/* In the order of age: what is discarded is always older than what is kept. */
static void on_discard(void *arg, const struct sample_record *sample, uint32_t size, const struct chain *chain,
		       uint16_t reason, bool shared)
{
	if (reason == REASON_DISCARDED) {
		CHECK(!chain);
		CHECK_U64(sample->period, n_discarded);
		n_discarded++;
	} else {
		CHECK(sample->period >= n_discarded);
		oldest_kept = sample->period;
	}
}

TEST(waiting_samples_are_bounded)
{
	_cleanup_(stitcher_destroyp) struct stitcher *s = NULL;
	const uint64_t n = 200000;

	CHECK_OK(stitcher_create(on_discard, NULL, &s));
	for (uint64_t i = 0; i < n; i++)
		feed_sample(s, i, 1, i + 1, 0);
	CHECK(n_discarded > 0);
	CHECK_U64(stitcher_waiting(s), n - n_discarded);
	CHECK(stitcher_waiting(s) * offsetof(struct sample_record, kernel) <= 32 << 20);
	/* The youngest one is still there. */
	feed_chain(s, 1, n, 0x99, 0);
	CHECK_U64(oldest_kept, n - 1);
	CHECK_U64(stitcher_waiting(s), n - n_discarded - 1);
}

TEST(one_entry_cannot_hold_without_bound)
{
	_cleanup_(stitcher_destroyp) struct stitcher *s = NULL;

	CHECK_OK(stitcher_create(on_discard, NULL, &s));
	for (uint64_t i = 0; i < 800000; i++)
		feed_sample(s, i, 1, 1, 0);
	CHECK(n_discarded > 0);
	CHECK(stitcher_waiting(s) * offsetof(struct sample_record, kernel) <= 32 << 20);
}

TEST(kept_chains_are_bounded)
{
	_cleanup_(stitcher_destroyp) struct stitcher *s = NULL;
	static uint64_t ips[MAX_FRAMES];
	const uint64_t n = 2000;	/* 64 MB of chains */

	CHECK_OK(stitcher_create(on_sample, delivered, &s));
	for (uint64_t i = 0; i < n; i++) {
		struct chain chain = { .tid = 1, .cookie = i + 1, .n = MAX_FRAMES, .ips = ips };

		ips[0] = i;
		stitcher_chain(s, &chain);
	}
	feed_sample(s, 0, 1, n, 0);		/* the youngest is there */
	CHECK(delivered[0].has_chain);
	CHECK_U64(delivered[0].ip, n - 1);
	feed_sample(s, 1, 1, 1, 0);		/* the oldest is not */
	CHECK_U64(stitcher_waiting(s), 1);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
