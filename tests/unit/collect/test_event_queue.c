/* SPDX-License-Identifier: MIT */
/* Events of several rings in order of time, up to the horizon. */
#include "collect/event_queue.h"
#include "test.h"

struct seen {
	uint64_t time, number;
	uint32_t size;
};

static struct seen seen[20000];
static size_t n_seen;

struct payload {
	uint64_t time, number;
	unsigned char fill[240];
};

static void on_event(void *arg, uint32_t kind, const void *data, uint32_t size)
{
	const struct payload *p = data;

	CHECK((uintptr_t)data % 8 == 0);
	CHECK_U64(kind, p->number % 7);
	for (uint32_t i = 16; i < size; i++)
		CHECK(((const unsigned char *)data)[i] == (unsigned char)p->number);
	seen[n_seen++] = (struct seen){ p->time, p->number, size };
}

static void push(struct event_queue *q, uint64_t time, uint64_t number)
{
	struct payload p = { time, number, { 0 } };

	memset(p.fill, (int)number, sizeof(p.fill));
	CHECK(event_queue_push(q, number % 7, time, &p, 16 + number % 240));
}

TEST(horizon)
{
	struct event_queue q = { 0 };

	event_queue_take(&q, UINT64_MAX, on_event, NULL);
	push(&q, 30, 0);
	push(&q, 10, 1);
	push(&q, 20, 2);
	event_queue_take(&q, 9, on_event, NULL);
	CHECK_U64(n_seen, 0);
	event_queue_take(&q, 20, on_event, NULL);
	CHECK_U64(n_seen, 2);
	CHECK_U64(seen[0].number, 1);
	CHECK_U64(seen[1].number, 2);
	event_queue_take(&q, UINT64_MAX, on_event, NULL);
	CHECK_U64(n_seen, 3);
	event_queue_take(&q, UINT64_MAX, on_event, NULL);
	CHECK_U64(n_seen, 3);
	event_queue_free(&q);
}

/* Two rings, each in order; the drain of one sees events from after the drain of the other. */
TEST(rings_interleave)
{
	struct event_queue q = { 0 };
	uint64_t now = 0, number = 0;

	srand(1);
	while (number < 19000) {
		uint64_t begin = now;

		for (int ring = 0; ring < 2; ring++) {
			uint64_t time = begin;

			for (int i = rand() % 50; i; i--) {
				time += rand() % 3;
				push(&q, time, number++);
				now = time > now ? time : now;
			}
		}
		event_queue_take(&q, begin ? begin - 1 : 0, on_event, NULL);
	}
	event_queue_take(&q, UINT64_MAX, on_event, NULL);
	CHECK_U64(n_seen, number);
	for (size_t i = 1; i < n_seen; i++) {
		CHECK(seen[i - 1].time <= seen[i].time);
		/* Of one time, in the order of arrival. */
		CHECK(seen[i - 1].time < seen[i].time || seen[i - 1].number < seen[i].number);
		CHECK_U64(seen[i].size, 16 + seen[i].number % 240);
	}
	event_queue_free(&q);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
