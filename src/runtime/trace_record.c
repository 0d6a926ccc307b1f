/* SPDX-License-Identifier: MIT */
/*
 * Recording tracepoints; see trace_record.h.
 *
 * One probe fits all: sites give the arguments as an array of values, and what
 * is kept of a tracepoint says where in the raw data each has its place.  Fields
 * lie at growing offsets, so a value is stored as eight bytes, of which the next
 * one overwrites what is too much, as long as the eight are the record's.
 */
#include "runtime/trace_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/reason.h"
#include "runtime/agent_chain.h"
#include "runtime/agent_pattern.h"
#include "runtime/agent_record.h"
#include "runtime/mutant.h"
#include "runtime/ring_layout.h"
#include "runtime/tracepoint.h"
#include "runtime/unwind_deferred.h"
#include "runtime/unwind_user.h"

enum {
	HEAD = 8,		/* what the raw data of all events begin with */
	MAX_STRING = 4096,	/* with the 0 */
	TOLD_AT_ONCE = 64,	/* tracepoints; the others when they are hit, lest they fill the rings */
};

struct recorded_tracepoint {
	struct retour_tracepoint_recorder recorder;	/* first */
	struct recording *recording;
	struct recorded_tracepoint *next;
	uint64_t period, hits;
	unsigned int event, n_fields, raw_size;	/* raw_size: without strings */
	unsigned int n_wide;	/* so many fields can be stored as eight bytes */
	bool has_strings;
	bool is_told;			/* the recorder has the description */
	uint16_t offsets[AGENT_MAX_FIELDS];
	struct agent_tracepoint told;
};

/* Recordings with tracepoints, and theirs: under the lock of the sites. */
static struct recording *tracing;

/* ---- when one fires ----------------------------------------------------------- */

/* Behind it may be another's record. */
static void put_narrow(unsigned char *at, const uint64_t *value, unsigned int size)
{
	if (size == 8)
		memcpy(at, value, 8);
	else if (size == 4)
		memcpy(at, value, 4);
	else if (size == 2)
		memcpy(at, value, 2);
	else
		*at = (unsigned char)*value;
}

static void put(struct agent_sample *sample, const struct recorded_tracepoint *tp, const uint64_t *values)
{
	unsigned char *raw = sample->raw;
	unsigned int i = 0;
	struct {
		uint16_t type;
		uint8_t flags, preempt_count;
		int32_t pid;
	} head = { .type = tp->told.id, .pid = (int32_t)sample->tid };

	memcpy(raw, &head, HEAD);
	for (; i < tp->n_wide; i++)
		memcpy(raw + tp->offsets[i], &values[i], sizeof(values[i]));
	for (; i < tp->n_fields; i++)
		put_narrow(raw + tp->offsets[i], &values[i], tp->told.fields[i].size);
}

struct strings {
	const char *text[AGENT_MAX_FIELDS];
	uint16_t length[AGENT_MAX_FIELDS];	/* with the 0 */
};

/*
 * Replaces the strings' values by their places behind the fields; returns the end of the last one.
 * There is always room for the 0 of each that is to come.
 */
static unsigned int place_strings(const struct recorded_tracepoint *tp, const uint64_t *values, uint64_t *placed,
				  struct strings *strings)
{
	unsigned int end = tp->raw_size, room;

	for (unsigned int i = 0; i < tp->n_fields; i++) {
		placed[i] = values[i];
		if (tp->told.fields[i].kind != RETOUR_FIELD_STRING)
			continue;
		strings->text[i] = values[i] ? (const char *)values[i] : "(null)";
		room = AGENT_MAX_RAW - (tp->n_fields - 1 - i) - end;
		strings->length[i] = strnlen(strings->text[i], (room < MAX_STRING ? room : MAX_STRING) - 1) + 1;
		placed[i] = end | (uint32_t)strings->length[i] << 16;
		end += strings->length[i];
	}
	return end;
}

static void put_strings(struct agent_sample *sample, const struct recorded_tracepoint *tp, const struct strings *strings)
{
	unsigned char *at = sample->raw + tp->raw_size;

	for (unsigned int i = 0; i < tp->n_fields; i++) {
		if (tp->told.fields[i].kind != RETOUR_FIELD_STRING)
			continue;
		/* Whatever has become of the string meanwhile. */
		memcpy(at, strings->text[i], strings->length[i] - 1);
		at[strings->length[i] - 1] = '\0';
		at += strings->length[i];
	}
}

static void write_with_strings(struct recorded_tracepoint *tp, const struct sample_place *place,
			       const uint64_t *values)
{
	uint64_t placed[AGENT_MAX_FIELDS];
	struct strings strings;
	unsigned int size = place_strings(tp, values, placed, &strings);
	struct retour_ring_record record;

	if (agent_begin_sample(tp->recording, place, size, &record))
		return;
	put(record.data, tp, placed);
	put_strings(record.data, tp, &strings);
	agent_end_sample(tp->recording, &record);
}

/* With all that it calls in one piece, which is quicker. */
__attribute__((flatten)) static void write_sample(struct recorded_tracepoint *tp, const struct sample_place *place, const uint64_t *values)
{
	struct retour_ring_record record;

	if (tp->has_strings) {
		write_with_strings(tp, place, values);
	} else if (!agent_begin_sample(tp->recording, place, tp->raw_size, &record)) {
		put(record.data, tp, values);
		agent_end_sample(tp->recording, &record);
	}
}

/* Two threads may both do it. */
static bool tell(struct recorded_tracepoint *tp)
{
	bool is_told = !agent_write_tracepoint(tp->recording, &tp->told);

	if (is_told)
		__atomic_store_n(&tp->is_told, true, __ATOMIC_RELAXED);
	return is_told;
}

/* Chains begin where the tracepoint is: without the function that this is part of and the one that called it. */
__attribute__((always_inline)) static inline void walk_from_site(void)
{
	struct retour_unwind_regs regs;

	memset(&regs, 0, sizeof(regs));
	unwind_regs_here(&regs);
	unwind_deferred_return(&regs, 2);
}

static void record_hit(struct retour_tracepoint_recorder *recorder, const uint64_t *values, const void *site)
{
	struct recorded_tracepoint *tp = (struct recorded_tracepoint *)recorder;
	struct sample_place place = { .ip = (uintptr_t)site, .period = tp->period, .event = tp->event };
	struct retour_unwind_regs regs;

	retour_torture_delay();
	if (!recording_runs(tp->recording))
		return;
	if (tp->period > 1 && __atomic_add_fetch(&tp->hits, 1, __ATOMIC_RELAXED) % tp->period)
		return;
	/* The refused description is counted in its place. */
	if (retour_unlikely(!__atomic_load_n(&tp->is_told, __ATOMIC_RELAXED)) && !tell(tp))
		return;
	if (!tp->recording->wanted.max_depth) {
		place.reason = REASON_NOT_ASKED;
		write_sample(tp, &place, values);
		return;
	}
	retour_runtime_enter();
	if (!agent_request_chain(tp->recording, &place)) {
		memset(&regs, 0, sizeof(regs));
		unwind_regs_here(&regs);
		agent_walk_now(tp->recording, &regs, 2, &place);
	}
	write_sample(tp, &place, values);
	/* Inside: a handler behind the end of the section would walk for us, from here. */
	if (__atomic_load_n(&retour_runtime_task.nesting, __ATOMIC_RELAXED) == 1 &&
	    __atomic_load_n(&retour_runtime_task.unwind_mask, __ATOMIC_RELAXED))
		walk_from_site();
	if (retour_runtime_leave_())
		walk_from_site();
}

/* ---- which --------------------------------------------------------------------- */

static void copy_name(char *to, size_t size, const char *from)
{
	size_t n = strnlen(from, size - 1);

	memset(to, 0, size);
	memcpy(to, from, n);
}

/* Fields at their natural alignment, strings as their __data_loc. Returns where they end. */
static unsigned int describe(const struct retour_tracepoint *tp, struct agent_tracepoint *told)
{
	unsigned int end = HEAD;

	memset(told, 0, sizeof(*told));
	copy_name(told->provider, sizeof(told->provider), tp->provider);
	copy_name(told->name, sizeof(told->name), tp->name);
	for (const struct retour_tracepoint_field *f = tp->fields; f->name && told->n_fields < AGENT_MAX_FIELDS; f++) {
		struct agent_field *field = &told->fields[told->n_fields++];
		unsigned int size = f->kind == RETOUR_FIELD_STRING ? 4 : f->size < 8 ? f->size : 8;

		copy_name(field->name, sizeof(field->name), f->name);
		copy_name(field->type, sizeof(field->type), f->type);
		end = (end + size - 1) / size * size;
		field->offset = end;
		field->size = size;
		field->kind = f->kind;
		end += size;
	}
	return end;
}

static bool matches(const struct retour_tracepoint *tp, const struct agent_event *event)
{
	char name[2 * AGENT_MAX_NAME];

	if (event->kind != AGENT_TRACEPOINTS)
		return false;
	snprintf(name, sizeof(name), "%s:%s", tp->provider, tp->name);
	return agent_pattern_matches(event->pattern, name);
}

/* What was recorded of a tracepoint that has gone, for the same one that comes again. */
static struct recorded_tracepoint *find(const struct recording *recording, const struct agent_tracepoint *told)
{
	struct recorded_tracepoint *r = recording->tracepoints;
	size_t from = offsetof(struct agent_tracepoint, event);

	while (r && memcmp((char *)&r->told + from, (const char *)told + from, sizeof(*told) - from))
		r = r->next;
	return r;
}

static struct recorded_tracepoint *new_recorded(struct recording *recording, unsigned int event,
						const struct agent_tracepoint *told, unsigned int raw_size)
{
	/* Children of forks write to the same rings, and each has its own tracepoints from then on. */
	uint32_t id = ring_take_number(recording->ring);
	struct recorded_tracepoint *r = id <= UINT16_MAX ? calloc(1, sizeof(*r)) : NULL;

	if (!r)
		return NULL;
	r->recorder.record = record_hit;
	r->recording = recording;
	r->period = recording->wanted.events[event].period;
	r->event = event;
	r->n_fields = told->n_fields;
	r->raw_size = raw_size;
	r->told = *told;
	r->told.id = id;
	for (unsigned int i = 0; i < told->n_fields; i++) {
		r->offsets[i] = told->fields[i].offset;
		r->n_wide += r->offsets[i] + sizeof(uint64_t) <= raw_size;
		r->has_strings |= told->fields[i].kind == RETOUR_FIELD_STRING;
	}
	r->next = recording->tracepoints;
	__atomic_store_n(&recording->tracepoints, r, __ATOMIC_RELAXED);
	if (r->told.id <= TOLD_AT_ONCE)
		tell(r);
	return r;
}

/* Under the lock. */
static void record(struct recording *recording, struct retour_tracepoint *tp)
{
	for (unsigned int i = 0; i < recording->wanted.n_events; i++) {
		struct recorded_tracepoint *r;
		struct agent_tracepoint told;
		unsigned int raw_size;

		if (!matches(tp, &recording->wanted.events[i]))
			continue;
		raw_size = describe(tp, &told);
		told.event = i;
		r = find(recording, &told);
		if (!r)
			r = new_recorded(recording, i, &told, raw_size);
		if (r)
			tracepoint_add_probe(tp, RETOUR_TRACEPOINT_RECORD, r);
	}
}

/* Under the lock: a tracepoint comes. */
static void came(struct retour_tracepoint *tp)
{
	for (struct recording *r = tracing; r; r = r->next_tracing)
		record(r, tp);
}

static bool wants_tracepoints(const struct recording *recording)
{
	for (unsigned int i = 0; i < recording->wanted.n_events; i++)
		if (recording->wanted.events[i].kind == AGENT_TRACEPOINTS)
			return true;
	return false;
}

void trace_record_start(struct recording *recording)
{
	sigset_t saved;

	if (!wants_tracepoints(recording))
		return;
	retour_static_key_batch_begin();
	sites_lock(&saved);
	tracepoint_came = came;
	recording->next_tracing = tracing;
	tracing = recording;
	for (struct retour_tracepoint *tp = tracepoint_first(); tp; tp = tracepoint_next(tp))
		record(recording, tp);
	sites_unlock(&saved);
	retour_static_key_batch_end();
}

static void unlink_recording(const struct recording *recording)
{
	struct recording **at = &tracing;

	while (*at && *at != recording)
		at = &(*at)->next_tracing;
	if (*at)
		*at = recording->next_tracing;
}

void trace_record_stop(struct recording *recording)
{
	struct recorded_tracepoint *gone;
	sigset_t saved;

	if (!wants_tracepoints(recording))
		return;
	retour_static_key_batch_begin();
	sites_lock(&saved);
	unlink_recording(recording);
	for (struct retour_tracepoint *tp = tracepoint_first(); tp; tp = tracepoint_next(tp))
		for (struct recorded_tracepoint *r = recording->tracepoints; r; r = r->next)
			tracepoint_remove_probe(tp, RETOUR_TRACEPOINT_RECORD, r);
	sites_unlock(&saved);
	retour_static_key_batch_end();
	if (!mutant(agent_no_probe_wait))
		retour_tracepoint_synchronize_unregister();
	while ((gone = recording->tracepoints)) {
		recording->tracepoints = gone->next;
		free(gone);
	}
}

unsigned int trace_record_list(struct agent_tracepoint **ret)
{
	struct agent_tracepoint *list = NULL, *more;
	unsigned int n = 0, room = 0;
	sigset_t saved;

	sites_lock(&saved);
	for (struct retour_tracepoint *tp = tracepoint_first(); tp && n < UINT16_MAX; tp = tracepoint_next(tp)) {
		if (n == room) {
			room = room ? 2 * room : 64;
			more = realloc(list, room * sizeof(*list));
			if (!more)
				break;
			list = more;
		}
		describe(tp, &list[n]);
		list[n].id = n + 1;
		n++;
	}
	sites_unlock(&saved);
	*ret = list;
	return n;
}
