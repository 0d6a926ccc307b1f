/* SPDX-License-Identifier: MIT */
/* The time-ordered queue of events; see event_queue.h. */
#include "collect/event_queue.h"

#include <string.h>

enum { KEEP_BYTES = 4 << 20 };	/* of an emptied buffer */

bool event_queue_push(struct event_queue *q, uint32_t kind, uint64_t time, const void *data, uint32_t size)
{
	size_t offset = (q->bytes.len + 7) & ~(size_t)7;

	if (!vec_reserve(&q->bytes, offset + size) ||
	    !vec_push(&q->events, (struct queued_event){ time, offset, size, kind }))
		return false;
	memcpy(q->bytes.data + offset, data, size);
	q->bytes.len = offset + size;
	return true;
}

static int by_time(const void *a, const void *b)
{
	const struct queued_event *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Moves the events from first on to the front of new buffers. */
static void keep_from(struct event_queue *q, size_t first)
{
	struct event_queue kept = { 0 };

	for (size_t i = first; i < q->events.len; i++) {
		struct queued_event *e = &q->events.data[i];

		if (!event_queue_push(&kept, e->kind, e->time, q->bytes.data + e->offset, e->size))
			break;
	}
	if (!kept.events.len && q->bytes.cap <= KEEP_BYTES) {
		q->events.len = q->bytes.len = 0;
		return;
	}
	event_queue_free(q);
	*q = kept;
}

void event_queue_take(struct event_queue *q, uint64_t horizon, event_queue_fn fn, void *arg)
{
	size_t i = 0;

	if (!q->events.len)
		return;
	qsort(q->events.data, q->events.len, sizeof(*q->events.data), by_time);
	for (; i < q->events.len && q->events.data[i].time <= horizon; i++) {
		struct queued_event *e = &q->events.data[i];

		fn(arg, e->kind, q->bytes.data + e->offset, e->size);
	}
	if (i)
		keep_from(q, i);
}

void event_queue_free(struct event_queue *q)
{
	vec_free(&q->events);
	vec_free(&q->bytes);
}
