/* SPDX-License-Identifier: MIT */
/*
 * Events of all rings in order of time.  The rings are drained one after the
 * other, so an early event may sit in a ring drained late: only what is older
 * than the beginning of the drain (the horizon) is complete and may be taken.
 */
#ifndef RETOUR_COLLECT_EVENT_QUEUE_H
#define RETOUR_COLLECT_EVENT_QUEUE_H

#include "base/vec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queued_event {
	uint64_t time;
	size_t offset;		/* of its bytes */
	uint32_t size;
	uint32_t kind;
};

struct event_queue {
	VEC(struct queued_event) events;
	VEC(unsigned char) bytes;
};

/* Copies the data.  False without memory. */
bool event_queue_push(struct event_queue *queue, uint32_t kind, uint64_t time, const void *data, uint32_t size);

typedef void (*event_queue_fn)(void *arg, uint32_t kind, const void *data, uint32_t size);

/* Hands the events up to the horizon to fn in order of time (then of arrival), and forgets them. */
void event_queue_take(struct event_queue *queue, uint64_t horizon, event_queue_fn fn, void *arg);
void event_queue_free(struct event_queue *queue);

#endif
