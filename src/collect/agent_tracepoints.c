/* SPDX-License-Identifier: MIT */
/* Tracepoints of many processes as events of one recording; see agent_tracepoints.h. */
#include "collect/agent_tracepoints.h"

#include "retour/tracepoint.h"

#include <string.h>

enum { MAX_OF_PROCESS = 4096 };

static enum tracing_kind kind_of(const struct agent_field *f)
{
	switch (f->kind) {
	case RETOUR_FIELD_SIGNED:
		return TRACING_SIGNED;
	case RETOUR_FIELD_UNSIGNED:
		return TRACING_UNSIGNED;
	case RETOUR_FIELD_FLOAT:
		return f->size <= sizeof(double) ? TRACING_FLOAT : TRACING_BYTES;
	case RETOUR_FIELD_STRING:
		return TRACING_STRING;
	case RETOUR_FIELD_POINTER:
		return TRACING_POINTER;
	}
	return TRACING_BYTES;
}

static bool describe(const struct agent_tracepoint *from, struct tracing_event *to)
{
	strcpy(to->system, from->provider);
	strcpy(to->name, from->name);
	for (uint32_t i = 0; i < from->n_fields; i++) {
		const struct agent_field *f = &from->fields[i];
		struct tracing_field field = { .offset = f->offset, .size = f->size, .kind = kind_of(f) };

		strcpy(field.name, f->name);
		strcpy(field.type, f->type);
		if (!vec_push(&to->fields, field))
			return false;
	}
	return true;
}

/* But for their numbers; what is not used of them is zero. */
static bool is_same(const struct agent_tracepoint *a, const struct agent_tracepoint *b)
{
	return !strcmp(a->provider, b->provider) && !strcmp(a->name, b->name) && a->n_fields == b->n_fields &&
	       !memcmp(a->fields, b->fields, a->n_fields * sizeof(a->fields[0]));
}

static struct agent_tracepoint_event *find_or_add(struct agent_tracepoints *t, struct recorder *recorder,
						  const struct agent_tracepoint *description)
{
	struct agent_tracepoint_event new = { .description = *description };
	struct tracing_event event = { 0 };
	bool added;

	vec_each(&t->events, known)
		if (is_same(&known->description, description))
			return known;
	added = vec_reserve(&t->events, t->events.len + 1) && describe(description, &event) &&
		recorder_add_tracepoint(recorder, &event, &new.event);
	new.id = event.id;
	vec_free(&event.fields);
	if (!added)
		return NULL;
	vec_push(&t->events, new);
	return &t->events.data[t->events.len - 1];
}

void agent_tracepoints_add(struct agent_tracepoints *t, struct recorder *recorder, struct agent_process *p,
			   const struct agent_tracepoint *description)
{
	struct agent_tracepoint_event *known;

	if (p->tracepoints.len >= MAX_OF_PROCESS || agent_process_tracepoint(p, description->id))
		return;
	known = find_or_add(t, recorder, description);
	if (known)
		vec_push(&p->tracepoints, (struct agent_process_tracepoint){ description->id,
									      (uint32_t)(known - t->events.data) });
}

bool agent_tracepoints_convert(const struct agent_tracepoints *t, struct agent_process *p, uint32_t id,
			       struct sample_record *sample, uint32_t size)
{
	const struct agent_process_tracepoint *of_process = agent_process_tracepoint(p, id);
	const struct agent_tracepoint_event *known = of_process ? &t->events.data[of_process->number] : NULL;
	unsigned char *raw = (unsigned char *)sample->kernel;
	uint32_t raw_size = size - (uint32_t)offsetof(struct sample_record, kernel);
	uint16_t common_type;

	if (!known || raw_size < 8)
		return false;
	for (uint32_t i = 0; i < known->description.n_fields; i++) {
		const struct agent_field *f = &known->description.fields[i];
		struct tracing_field field = { .offset = f->offset, .size = f->size, .kind = kind_of(f) };
		struct tracing_value value;

		if (!tracing_value(&field, raw, raw_size, &value))
			return false;
	}
	common_type = (uint16_t)known->id;
	memcpy(raw, &common_type, sizeof(common_type));
	memcpy(raw + 4, &sample->tid, sizeof(sample->tid));
	sample->event = (uint16_t)known->event;
	return true;
}
