/* SPDX-License-Identifier: MIT */
/* Counting the quality of a recording; see stats.h. */
#include "profile/stats.h"

#include "base/hash.h"

#include <stdlib.h>

#define MAX_EVENTS 4096	/* an index above is a corrupt record's */

static struct error *find_group(struct stats_groups *groups, uint32_t name, struct stats_group **ret)
{
	uint32_t id = id_map_get(&groups->by_name, name);

	if (id == ID_NONE) {
		id = (uint32_t)groups->list.len;
		if (!vec_push(&groups->list, (struct stats_group){ .name = name }))
			return error_nomem();
		if (!id_map_put(&groups->by_name, name, id)) {
			groups->list.len--;
			return error_nomem();
		}
	}
	*ret = &groups->list.data[id];
	return NULL;
}

static struct error *count_group(struct stats_groups *groups, uint32_t name, enum sample_outcome outcome)
{
	struct stats_group *group = NULL;
	struct error *err = find_group(groups, name, &group);

	if (err)
		return err;
	group->samples++;
	group->with_user_context += outcome != SAMPLE_NO_USER;
	group->complete += outcome == SAMPLE_COMPLETE;
	group->truncated += outcome == SAMPLE_TRUNCATED;
	return NULL;
}

static struct error *count_event(struct stats *stats, uint32_t event)
{
	if (event >= MAX_EVENTS)
		return NULL;
	while (stats->events.len <= event)
		if (!vec_push(&stats->events, 0))
			return error_nomem();
	stats->events.data[event]++;
	return NULL;
}

/* Samples of one kernel entry share a walk.  Without a cookie every sample had its own. */
static struct error *count_walk(struct stats *stats, const struct sample *sample)
{
	uint64_t key = hash_u64(sample->cookie) ^ sample->tid;

	if (sample->cookie) {
		if (id_map_get(&stats->seen_walks, key) != ID_NONE)
			return NULL;
		if (!id_map_put(&stats->seen_walks, key, 0))
			return error_nomem();
	}
	stats->walks++;
	stats->frames += sample->depth;
	return NULL;
}

static void count_outcome(struct stats *stats, const struct sample *sample)
{
	unsigned int reason = reason_kind(sample->reason) == REASON_KIND_NONE ? REASON_NONE : sample->reason;

	switch (sample->outcome) {
	case SAMPLE_NO_USER:
		stats->no_user++;
		break;
	case SAMPLE_MISSING:
		stats->missing_by[reason]++;
		break;
	case SAMPLE_TRUNCATED:
		stats->truncated_by[reason]++;
		break;
	case SAMPLE_COMPLETE:
		stats->complete++;
		break;
	}
}

struct error *stats_add(struct stats *stats, const struct sample *sample)
{
	bool stitched = sample->outcome == SAMPLE_TRUNCATED || sample->outcome == SAMPLE_COMPLETE;
	struct error *err = NULL;

	if (!stats->samples || sample->time < stats->first_time)
		stats->first_time = sample->time;
	if (sample->time > stats->last_time)
		stats->last_time = sample->time;
	stats->samples++;
	count_outcome(stats, sample);
	if (stitched && sample->depth > stats->max_depth)
		stats->max_depth = sample->depth;

	err = count_group(&stats->comms, sample->comm, sample->outcome);
	if (!err && sample->outcome == SAMPLE_TRUNCATED)
		err = count_group(&stats->dsos, sample->stop_dso, sample->outcome);
	if (!err && stitched)
		err = count_walk(stats, sample);
	return err ? err : count_event(stats, sample->event);
}

void stats_deinit(struct stats *stats)
{
	vec_free(&stats->comms.list);
	id_map_free(&stats->comms.by_name);
	vec_free(&stats->dsos.list);
	id_map_free(&stats->dsos.by_name);
	vec_free(&stats->events);
	id_map_free(&stats->seen_walks);
}

static uint64_t sum(const uint64_t *counts)
{
	uint64_t total = 0;

	for (unsigned int i = 0; i < REASON_MAX; i++)
		total += counts[i];
	return total;
}

uint64_t stats_missing(const struct stats *stats)
{
	return sum(stats->missing_by);
}

uint64_t stats_truncated(const struct stats *stats)
{
	return sum(stats->truncated_by);
}

uint64_t stats_stitched(const struct stats *stats)
{
	return stats->complete + stats_truncated(stats);
}

uint64_t stats_with_user_context(const struct stats *stats)
{
	return stats_stitched(stats) + stats_missing(stats);
}

uint64_t stats_shared(const struct stats *stats)
{
	return stats_stitched(stats) - stats->walks;
}

double stats_complete_percent(const struct stats *stats)
{
	uint64_t all = stats_with_user_context(stats);

	return all ? 100.0 * (double)stats->complete / (double)all : 100.0;
}

static int compare_groups(const void *pa, const void *pb)
{
	const struct stats_group *a = pa, *b = pb;

	if (a->samples != b->samples)
		return a->samples > b->samples ? -1 : 1;
	return a->name < b->name ? -1 : a->name > b->name;
}

struct error *stats_sorted_groups(const struct stats_groups *groups, struct stats_group **ret)
{
	struct stats_group *copy = calloc(groups->list.len + 1, sizeof(*copy));

	if (!copy)
		return error_nomem();
	for (size_t i = 0; i < groups->list.len; i++)
		copy[i] = groups->list.data[i];
	qsort(copy, groups->list.len, sizeof(*copy), compare_groups);
	*ret = copy;
	return NULL;
}

const char *stats_reason_name(unsigned int reason)
{
	return reason == REASON_NONE ? "unknown" : reason_name(reason);
}
