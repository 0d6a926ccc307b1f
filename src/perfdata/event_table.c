/* SPDX-License-Identifier: MIT */
/* Attributes, IDs and names of the events; see event_table.h. */
#include "perfdata/event_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_EVENTS 4096
#define MAX_IDS (1u << 20)	/* an ID per event and CPU */

static char *default_name(uint32_t type, uint64_t config)
{
	static const char *const software[] = {
		"cpu-clock", "task-clock", "page-faults", "context-switches", "cpu-migrations",
		"minor-faults", "major-faults", "alignment-faults", "emulation-faults", "dummy",
		"bpf-output", "cgroup-switches",
	};
	static const char *const hardware[] = {
		"cycles", "instructions", "cache-references", "cache-misses", "branches",
		"branch-misses", "bus-cycles", "stalled-cycles-frontend", "stalled-cycles-backend",
		"ref-cycles",
	};
	char *name = NULL;

	if (type == PERF_TYPE_SOFTWARE && config < sizeof(software) / sizeof(*software))
		return strdup(software[config]);
	if (type == PERF_TYPE_HARDWARE && config < sizeof(hardware) / sizeof(*hardware))
		return strdup(hardware[config]);
	return asprintf(&name, "event %u:%#llx", type, (unsigned long long)config) < 0 ? NULL : name;
}

bool event_table_add(struct event_table *table, const void *data, size_t size)
{
	struct perf_event_attr attr = {0};
	char *name;

	if (size < PERF_ATTR_SIZE_VER0 || table->list.len >= MAX_EVENTS)
		return false;
	memcpy(&attr, data, size < sizeof(attr) ? size : sizeof(attr));
	if (!vec_reserve(&table->layouts, table->layouts.len + 1) ||
	    !vec_reserve(&table->list, table->list.len + 1))
		return false;
	name = default_name(attr.type, attr.config);
	if (!name)
		return false;
	table->layouts.data[table->layouts.len++] = (struct event_layout){
		.sample_type = attr.sample_type,
		.read_format = attr.read_format,
		.sample_id_all = attr.sample_id_all,
	};
	table->list.data[table->list.len++] = (struct perfdata_reader_event){
		.name = name,
		.type = attr.type,
		.config = attr.config,
		.frequency = attr.freq ? attr.sample_freq : 0,
	};
	return true;
}

bool event_table_add_id(struct event_table *table, uint64_t id, uint32_t event)
{
	return table->ids.len < MAX_IDS && vec_push(&table->ids, (struct event_id){ id, event });
}

bool event_table_set_name(struct event_table *table, size_t event, const char *name)
{
	char *copy = event < table->list.len ? strdup(name) : NULL;

	if (!copy)
		return false;
	free((char *)table->list.data[event].name);
	table->list.data[event].name = copy;
	return true;
}

bool event_table_set_tracepoint(struct event_table *table, size_t event, const char *name, uint64_t id)
{
	if (!event_table_set_name(table, event, name))
		return false;
	table->list.data[event].type = PERF_TYPE_TRACEPOINT;
	table->list.data[event].config = id;
	return true;
}

static int compare_ids(const void *a, const void *b)
{
	const struct event_id *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

void event_table_finish(struct event_table *table)
{
	if (table->ids.len)
		qsort(table->ids.data, table->ids.len, sizeof(*table->ids.data), compare_ids);
}

void event_table_free(struct event_table *table)
{
	vec_each(&table->list, event)
		free((char *)event->name);
	vec_free(&table->layouts);
	vec_free(&table->list);
	vec_free(&table->ids);
}

bool event_table_find(const struct event_table *table, uint64_t id, uint32_t *ret)
{
	struct event_id key = { .id = id };
	const struct event_id *found = NULL;

	if (table->ids.len)
		found = bsearch(&key, table->ids.data, table->ids.len, sizeof(key), compare_ids);
	if (found)
		*ret = found->event;
	return found;
}

uint64_t event_read_size(const struct event_layout *layout, uint64_t first)
{
	uint64_t format = layout->read_format;
	uint64_t times = !!(format & PERF_FORMAT_TOTAL_TIME_ENABLED) +
			 !!(format & PERF_FORMAT_TOTAL_TIME_RUNNING);
	uint64_t value = 1 + !!(format & PERF_FORMAT_ID) + !!(format & (1u << 4) /* PERF_FORMAT_LOST */);

	if (!(format & PERF_FORMAT_GROUP))
		return (times + value) * 8;
	return first <= UINT16_MAX ? (1 + times + first * value) * 8 : 0;
}
