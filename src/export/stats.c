/* SPDX-License-Identifier: MIT */
/* The quality of a recording as text; every reason comes with its explanation. */
#include "export/export.h"

#include "base/cleanup.h"
#include "export/text.h"
#include "perfdata/reader.h"
#include "profile/samples.h"

#define MAX_GROUPS 20

static void write_count(FILE *out, unsigned int indent, const char *name, uint64_t count)
{
	fprintf(out, "%*s%-*s %14s", (int)indent, "", (int)(30 - indent), name, text_count(count));
}

static void write_share(FILE *out, unsigned int indent, const char *name, uint64_t count, uint64_t whole)
{
	write_count(out, indent, name, count);
	fprintf(out, "  %6.2f %%\n", text_percent(count, whole));
}

static void write_reasons(FILE *out, const uint64_t *counts, uint64_t whole, const char *unknown)
{
	for (unsigned int r = 0; r < REASON_MAX; r++) {
		if (!counts[r])
			continue;
		write_count(out, 6, stats_reason_name(r), counts[r]);
		fprintf(out, "  %6.2f %%  %s\n", text_percent(counts[r], whole),
			r == REASON_NONE ? unknown : reason_text(r));
	}
}

static void write_samples(const struct stats *stats, FILE *out)
{
	uint64_t all = stats_with_user_context(stats);

	write_count(out, 0, "samples", stats->samples);
	putc('\n', out);
	write_count(out, 2, "no user part", stats->no_user);
	fputs("            kernel threads, idle tasks\n", out);
	write_count(out, 2, "with user context", all);
	putc('\n', out);
	write_share(out, 4, "complete", stats->complete, all);
	write_share(out, 4, "truncated", stats_truncated(stats), all);
	write_reasons(out, stats->truncated_by, all, "the recording does not say whether the chain is whole");
	write_share(out, 4, "missing", stats_missing(stats), all);
	write_reasons(out, stats->missing_by, all, "the recording gives no reason");
	write_count(out, 2, "shared another sample's walk", stats_shared(stats));
	putc('\n', out);
	write_count(out, 2, "deepest user chain", stats->max_depth);
	fputs("            frames\n", out);
}

static void write_unsampled(const struct perfdata_recorder_stats *r, FILE *out)
{
	for (unsigned int i = 0; i < UNSAMPLED_MAX; i++) {
		if (!r->unsampled[i] || !unsampled_name(i))
			continue;
		write_count(out, 0, "threads without samples", r->unsampled[i]);
		fprintf(out, "            %s: %s\n", unsampled_name(i), unsampled_text(i));
	}
}

static void write_recorder(const struct profile *profile, FILE *out)
{
	const struct perfdata_recorder_stats *r = &profile->recorder;

	write_count(out, 0, "lost samples", r->lost_samples);
	putc('\n', out);
	write_count(out, 0, "lost records", r->lost_records);
	putc('\n', out);
	write_count(out, 0, "throttled", r->throttled);
	putc('\n', out);
	if (!profile->has_recorder) {
		fputs("\nThe recorder's own figures are not in the file: it was cut short, or recorded by another tool.\n",
		      out);
		return;
	}
	write_count(out, 0, "walks", r->walks);
	fprintf(out, "            of %s requests\n", text_count(r->requests));
	write_count(out, 2, "frames", r->frames);
	if (r->frames)
		fprintf(out, "            %.0f ns a frame", (double)r->walk_ns_total / (double)r->frames);
	putc('\n', out);
	write_unsampled(r, out);
	write_count(out, 2, "stack copies", r->stack_copies);
	fprintf(out, "            %s rule hits, %s misses\n", text_count(r->rule_hits), text_count(r->rule_misses));
	fprintf(out, "recorder: %.2f s of CPU time, %s of memory\n", (double)r->recorder_cpu_ns / 1e9,
		text_bytes(r->recorder_rss_bytes));
}

static struct error *write_comms(const struct profile *profile, FILE *out)
{
	const struct stats_groups *comms = &profile->stats.comms;
	_cleanup_free_ struct stats_group *sorted = NULL;
	struct error *err = stats_sorted_groups(comms, &sorted);

	if (err)
		return err;
	fprintf(out, "\n%-24s %14s %14s %12s\n", "comm", "samples", "user context", "complete");
	for (size_t i = 0; i < comms->list.len && i < MAX_GROUPS; i++) {
		text_column(out, profile->frames->strings.data[sorted[i].name], 24, 1);
		fprintf(out, " %14s %14s", text_count(sorted[i].samples), text_count(sorted[i].with_user_context));
		if (sorted[i].with_user_context)
			fprintf(out, " %10.2f %%\n", text_percent(sorted[i].complete, sorted[i].with_user_context));
		else
			fprintf(out, " %12s\n", "-");
	}
	if (comms->list.len > MAX_GROUPS)
		fprintf(out, "%s more\n", text_count(comms->list.len - MAX_GROUPS));
	return NULL;
}

static struct error *write_dsos(const struct profile *profile, FILE *out)
{
	const struct stats_groups *dsos = &profile->stats.dsos;
	_cleanup_free_ struct stats_group *sorted = NULL;
	struct error *err = stats_sorted_groups(dsos, &sorted);

	if (err || !dsos->list.len)
		return err;
	fprintf(out, "\n%14s  where truncated chains stop\n", "truncated");
	for (size_t i = 0; i < dsos->list.len && i < MAX_GROUPS; i++) {
		const char *dso = profile->frames->strings.data[sorted[i].name];

		fprintf(out, "%14s  ", text_count(sorted[i].truncated));
		text_put(out, *dso ? dso : "(no frame)");
		putc('\n', out);
	}
	if (dsos->list.len > MAX_GROUPS)
		fprintf(out, "%14s  more\n", text_count(dsos->list.len - MAX_GROUPS));
	return NULL;
}

static void write_head(const struct profile *profile, FILE *out)
{
	const struct perfdata_reader *reader = samples_reader(profile->samples);
	const char *release = perfdata_reader_os_release(reader);
	uint64_t bytes = perfdata_reader_file_size(reader), samples = profile->stats.samples;

	fprintf(out, "%.1f s", profile_duration(profile));
	if (profile->has_recorder) {
		fputs(", backend ", out);
		text_put(out, profile->recorder.backend);
	}
	if (release) {
		fputs(", Linux ", out);
		text_put(out, release);
	}
	fprintf(out, ", %s", text_bytes(bytes));
	if (samples)
		fprintf(out, " (%s bytes a sample)", text_count(bytes / samples));
	fputs("\n\n", out);
}

struct error *export_stats(const struct profile *profile, const struct export_options *options, FILE *out)
{
	struct error *err;

	write_head(profile, out);
	write_samples(&profile->stats, out);
	write_recorder(profile, out);
	err = write_comms(profile, out);
	return err ? err : write_dsos(profile, out);
}
