/* SPDX-License-Identifier: MIT */
/*
 * The private section of a recording: what only the recorder can know.  The
 * recorder fills a struct perfdata_recorder_stats and stores it whole; what
 * can be counted from the samples is counted from them and not kept here.
 *
 * It grows at the end only.  A reader calls perfdata_recorder_stats_parse(),
 * which takes shorter (older) sections, whose missing fields are then 0, and
 * longer (newer) ones.
 */
#ifndef RETOUR_PERFDATA_RECORDER_STATS_H
#define RETOUR_PERFDATA_RECORDER_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/unsampled.h"

#define PERFDATA_RECORDER_STATS_VERSION 1

struct perfdata_recorder_stats {
	uint32_t version;		/* PERFDATA_RECORDER_STATS_VERSION */
	uint32_t size;			/* sizeof of the writer's struct */
	char backend[16];		/* "bpf", "native", "stack", "agent" */
	uint64_t start_ns;		/* on the clock of the records */
	uint64_t duration_ns;
	uint64_t requests;		/* chains asked for */
	uint64_t walks;			/* chains walked */
	uint64_t lost_samples;		/* a ring was full when an event fired */
	uint64_t lost_records;		/* other records lost to a full ring */
	uint64_t throttled;		/* times the kernel throttled an event */
	uint64_t rule_hits;		/* frames whose rule was in the kernel's cache */
	uint64_t rule_misses;
	uint64_t stack_copies;		/* walks finished in user space */
	uint64_t frames;		/* user frames walked */
	uint64_t walk_ns_total;
	uint64_t recorder_cpu_ns;	/* user and system time of the recorder */
	uint64_t recorder_rss_bytes;	/* its peak */
	uint64_t unsampled[UNSAMPLED_MAX];	/* threads without clocks, by enum unsampled */
} __attribute__((packed));

_Static_assert(sizeof(struct perfdata_recorder_stats) == 24 + (14 + UNSAMPLED_MAX) * 8, "no padding: this is a file format");

/* Fills in what identifies the layout. */
static inline void perfdata_recorder_stats_init(struct perfdata_recorder_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->version = PERFDATA_RECORDER_STATS_VERSION;
	stats->size = sizeof(*stats);
}

/* False if data cannot be such a section; ret is then untouched. */
static inline bool perfdata_recorder_stats_parse(const void *data, size_t size, struct perfdata_recorder_stats *ret)
{
	const size_t head = offsetof(struct perfdata_recorder_stats, start_ns);
	struct perfdata_recorder_stats stats = { 0 };

	if (!data || size < head)
		return false;
	memcpy(&stats, data, head);
	if (!stats.version || stats.size < head || stats.size > size)
		return false;
	memcpy(&stats, data, stats.size < sizeof(stats) ? stats.size : sizeof(stats));
	stats.backend[sizeof(stats.backend) - 1] = '\0';
	*ret = stats;
	return true;
}

#endif
