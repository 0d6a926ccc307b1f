/* SPDX-License-Identifier: MIT */
/* Two profiles compared by function; see diff.h. */
#include "profile/diff.h"

#include "profile/table.h"

#include <math.h>
#include <stdlib.h>

/* The row of a function of a profile; rows are in the order of the diff's functions until they are sorted. */
static struct error *find_row(struct diff *diff, const struct frames *frames, uint32_t function,
			      struct diff_row **ret)
{
	uint32_t id = 0;
	struct error *err = frames_function_named(&diff->frames, frames_kind(frames, function),
						  frames_name(frames, function),
						  frames_base_name(frames_dso(frames, function)), &id);

	if (err)
		return err;
	if (id == diff->rows.len && !vec_push(&diff->rows, (struct diff_row){ .function = id }))
		return error_nomem();
	*ret = &diff->rows.data[id];
	return NULL;
}

static struct error *add_profile(struct diff *diff, const struct profile *profile, bool after)
{
	double samples = (double)profile->stats.samples;
	struct table table;
	struct error *err = table_make(&profile->tree, profile->frames->functions.len, &table);

	if (err)
		return err;
	for (size_t i = 0; !err && i < table.rows.len; i++) {
		const struct table_row *counts = &table.rows.data[i];
		struct diff_row *row = NULL;

		err = find_row(diff, profile->frames, counts->function, &row);
		if (!err) {
			struct diff_share *share = after ? &row->after : &row->before;

			/* A function has a row for every task; a sample is of one task. */
			share->self += 100 * (double)counts->self / samples;
			share->total += 100 * (double)counts->total / samples;
		}
	}
	table_free(&table);
	return err;
}

static int compare_change(double a, double b)
{
	return fabs(a) == fabs(b) ? 0 : fabs(a) > fabs(b) ? -1 : 1;
}

static int compare_rows(const void *pa, const void *pb)
{
	const struct diff_row *a = pa, *b = pb;
	int c = compare_change(diff_self_change(a), diff_self_change(b));

	if (!c)
		c = compare_change(diff_total_change(a), diff_total_change(b));
	return c ? c : a->function < b->function ? -1 : a->function > b->function;
}

struct error *diff_make(const struct profile *before, const struct profile *after, struct diff *ret)
{
	struct diff diff = { 0 };
	struct error *err = frames_init(&diff.frames);

	if (!err)
		err = add_profile(&diff, before, false);
	if (!err)
		err = add_profile(&diff, after, true);
	if (err) {
		diff_free(&diff);
		return err;
	}
	if (diff.rows.len)
		qsort(diff.rows.data, diff.rows.len, sizeof(*diff.rows.data), compare_rows);
	*ret = diff;
	return NULL;
}

void diff_free(struct diff *diff)
{
	frames_deinit(&diff->frames);
	vec_free(&diff->rows);
}
