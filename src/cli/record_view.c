/* SPDX-License-Identifier: MIT */
/* The live line and the quality line of retour record. */
#include "cli/record_view.h"

#include "base/reason.h"
#include "collect/session.h"

#include <inttypes.h>
#include <stdio.h>

enum { TOP_REASONS = 3 };

/* In tenths, rounded down: 100.0 is said of nothing less. */
static double complete_percent(const struct session_stats *s)
{
	return s->with_user_context ? (double)(s->complete * 1000 / s->with_user_context) / 10 : 100;
}

/* Of no samples nothing is complete. */
static void print_samples(const struct session_stats *s)
{
	if (s->samples)
		fprintf(stderr, "%" PRIu64 " samples, %.1f %% complete, ", s->samples, complete_percent(s));
	else
		fputs("no samples, ", stderr);
}

void record_view_live(const struct session_stats *s)
{
	fputs("\r\033[K", stderr);
	print_samples(s);
	fprintf(stderr, "%" PRIu64 " lost", s->lost_samples + s->lost_records);
	fflush(stderr);
}

void record_view_clear_live(void)
{
	fputs("\r\033[K", stderr);
}

/* The most frequent reason with fewer samples than `below`, or as many and a higher number than `after`. */
static unsigned int next_reason(const struct session_stats *s, uint64_t below, unsigned int after)
{
	unsigned int best = REASON_NONE;

	for (unsigned int r = 1; r < REASON_MAX; r++) {
		enum reason_kind kind = reason_kind(r);
		uint64_t n = s->reasons[r];

		if (kind != REASON_KIND_MISSING && kind != REASON_KIND_TRUNCATED)
			continue;
		if (n && (n < below || (n == below && r > after)) && (!best || n > s->reasons[best]))
			best = r;
	}
	return best;
}

static void print_top_reasons(const struct session_stats *s)
{
	uint64_t below = UINT64_MAX;
	unsigned int reason = REASON_NONE;

	for (int i = 0; i < TOP_REASONS; i++) {
		reason = next_reason(s, below, reason);
		if (!reason)
			return;
		below = s->reasons[reason];
		fprintf(stderr, "  %" PRIu64 " %s: %s (%s)\n", below,
			reason_kind(reason) == REASON_KIND_MISSING ? "missing" : "truncated",
			reason_text(reason), reason_name(reason));
	}
}

static void print_unsampled(const struct session_stats *s)
{
	for (unsigned int i = 0; i < UNSAMPLED_MAX; i++)
		if (s->unsampled[i])
			fprintf(stderr, "  %" PRIu64 " threads without samples: %s (%s)\n", s->unsampled[i],
				unsampled_text(i), unsampled_name(i));
}

void record_view_quality(const struct session_stats *s)
{
	print_samples(s);
	fprintf(stderr, "%" PRIu64 " shared walks, %" PRIu64 " lost, %" PRIu64 " bytes a sample, backend %s\n",
		s->shared, s->lost_samples + s->lost_records, s->samples ? s->file_bytes / s->samples : 0, s->backend);
	print_top_reasons(s);
	print_unsampled(s);
}
