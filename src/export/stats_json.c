/* SPDX-License-Identifier: MIT */
/* The quality of a recording for scripts.  What only the recorder knew, and did not write, is null. */
#include "export/export.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "perfdata/reader.h"
#include "profile/samples.h"

#include <string.h>

static void put_count(struct json *json, const char *key, uint64_t value)
{
	json_key(json, key);
	json_u64(json, value);
}

static void put_recorded(struct json *json, const char *key, const struct profile *profile, uint64_t value)
{
	json_key(json, key);
	if (profile->has_recorder)
		json_u64(json, value);
	else
		json_null(json);
}

static void put_head(struct json *json, const struct profile *profile)
{
	const struct perfdata_reader *reader = samples_reader(profile->samples);
	const char *warning = perfdata_reader_warning(reader);

	json_key(json, "backend");
	json_string(json, profile->has_recorder ? profile->recorder.backend : NULL);
	json_key(json, "kernel"), json_string(json, perfdata_reader_os_release(reader));
	json_key(json, "duration_s"), json_double(json, profile_duration(profile), 9);
	json_key(json, "warning"), json_string(json, warning);
	json_key(json, "events"), json_array(json);
	for (size_t i = 0; i < profile->stats.events.len; i++) {
		const char *name = samples_event_name(profile->samples, (uint32_t)i);

		/* It never fires. */
		if (!strcmp(name, "dummy"))
			continue;
		json_object(json);
		json_key(json, "name"), json_string(json, name);
		put_count(json, "samples", profile->stats.events.data[i]);
		json_end_object(json);
	}
	json_end_array(json);
}

static void put_reasons(struct json *json, const char *key, const uint64_t *counts)
{
	json_key(json, key), json_object(json);
	for (unsigned int r = 0; r < REASON_MAX; r++)
		if (counts[r])
			put_count(json, stats_reason_name(r), counts[r]);
	json_end_object(json);
}

static void put_samples(struct json *json, const struct stats *stats)
{
	put_count(json, "samples", stats->samples);
	put_count(json, "no_user", stats->no_user);
	put_count(json, "with_user_context", stats_with_user_context(stats));
	put_count(json, "stitched", stats_stitched(stats));
	put_count(json, "complete", stats->complete);
	put_count(json, "truncated", stats_truncated(stats));
	put_reasons(json, "missing", stats->missing_by);
	put_reasons(json, "truncated_by", stats->truncated_by);
}

static void put_unsampled(struct json *json, const struct perfdata_recorder_stats *r)
{
	json_key(json, "unsampled_threads"), json_object(json);
	for (unsigned int i = 0; i < UNSAMPLED_MAX; i++)
		if (r->unsampled[i] && unsampled_name(i))
			put_count(json, unsampled_name(i), r->unsampled[i]);
	json_end_object(json);
}

static void put_recorder(struct json *json, const struct profile *profile)
{
	const struct perfdata_recorder_stats *r = &profile->recorder;

	put_recorded(json, "requests", profile, r->requests);
	put_recorded(json, "walks", profile, r->walks);
	put_count(json, "shared", stats_shared(&profile->stats));
	put_count(json, "lost_samples", r->lost_samples);
	put_count(json, "lost_records", r->lost_records);
	put_count(json, "throttled", r->throttled);
	put_unsampled(json, r);
	put_recorded(json, "rule_hits", profile, r->rule_hits);
	put_recorded(json, "rule_misses", profile, r->rule_misses);
	put_recorded(json, "stack_copies", profile, r->stack_copies);
	put_count(json, "frames", profile->has_recorder ? r->frames : profile->stats.frames);
	put_count(json, "max_depth", profile->stats.max_depth);
	put_recorded(json, "walk_ns_total", profile, r->walk_ns_total);
	json_key(json, "recorder_cpu_s");
	if (profile->has_recorder)
		json_double(json, (double)r->recorder_cpu_ns / 1e9, 9);
	else
		json_null(json);
	put_recorded(json, "recorder_rss_bytes", profile, r->recorder_rss_bytes);
	put_count(json, "file_bytes", perfdata_reader_file_size(samples_reader(profile->samples)));
}

static struct error *put_comms(struct json *json, const struct profile *profile)
{
	const struct stats_groups *comms = &profile->stats.comms;
	_cleanup_free_ struct stats_group *sorted = NULL;
	struct error *err = stats_sorted_groups(comms, &sorted);

	if (err)
		return err;
	json_key(json, "by_comm"), json_array(json);
	for (size_t i = 0; i < comms->list.len; i++) {
		json_object(json);
		json_key(json, "comm"), json_string(json, profile->frames->strings.data[sorted[i].name]);
		put_count(json, "samples", sorted[i].samples);
		put_count(json, "with_user_context", sorted[i].with_user_context);
		put_count(json, "complete", sorted[i].complete);
		json_end_object(json);
	}
	json_end_array(json);
	return NULL;
}

static struct error *put_dsos(struct json *json, const struct profile *profile)
{
	const struct stats_groups *dsos = &profile->stats.dsos;
	_cleanup_free_ struct stats_group *sorted = NULL;
	struct error *err = stats_sorted_groups(dsos, &sorted);

	if (err)
		return err;
	json_key(json, "by_dso"), json_array(json);
	for (size_t i = 0; i < dsos->list.len; i++) {
		json_object(json);
		json_key(json, "dso"), json_string(json, profile->frames->strings.data[sorted[i].name]);
		put_count(json, "truncated", sorted[i].truncated);
		json_end_object(json);
	}
	json_end_array(json);
	return NULL;
}

struct error *export_stats_json(const struct profile *profile, const struct export_options *options, FILE *out)
{
	struct json json = { .out = out, .indent = 2 };
	struct error *err;

	json_object(&json);
	put_head(&json, profile);
	put_samples(&json, &profile->stats);
	put_recorder(&json, profile);
	err = put_comms(&json, profile);
	if (!err)
		err = put_dsos(&json, profile);
	json_end_object(&json);
	putc('\n', out);
	return err;
}
