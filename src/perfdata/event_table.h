/* SPDX-License-Identifier: MIT */
/*
 * The events of a recording as its attributes describe them: how their samples
 * are laid out, and which sample belongs to which.
 */
#ifndef RETOUR_PERFDATA_EVENT_TABLE_H
#define RETOUR_PERFDATA_EVENT_TABLE_H

#include "base/error.h"
#include "base/vec.h"
#include "perfdata/reader.h"

#include <stdbool.h>
#include <stdint.h>

struct event_layout {
	uint64_t sample_type, read_format;
	bool sample_id_all;
};

struct event_id {
	uint64_t id;
	uint32_t event;
};

struct event_table {
	VEC(struct event_layout) layouts;
	VEC(struct perfdata_reader_event) list;		/* of the same length */
	VEC(struct event_id) ids;			/* sorted by event_table_finish() */
	bool ours;					/* raw data is a struct perfdata_sample_extra */
};

/* attr is untrusted, of size bytes.  False: too many events or IDs, or no memory. */
bool event_table_add(struct event_table *table, const void *attr, size_t size);
bool event_table_add_id(struct event_table *table, uint64_t id, uint32_t event);
bool event_table_set_name(struct event_table *table, size_t event, const char *name);
/* The event is a tracepoint, whatever its attribute says.  False: there is none such, or no memory. */
bool event_table_set_tracepoint(struct event_table *table, size_t event, const char *name, uint64_t id);
void event_table_finish(struct event_table *table);
void event_table_free(struct event_table *table);

/* The index of the event with this ID; false if there is none. */
bool event_table_find(const struct event_table *table, uint64_t id, uint32_t *ret);

/* The size of what PERF_SAMPLE_READ holds, given its first word; 0 if that is absurd. */
uint64_t event_read_size(const struct event_layout *layout, uint64_t first);

#endif
