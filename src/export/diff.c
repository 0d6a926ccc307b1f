/* SPDX-License-Identifier: MIT */
/* What changed between two profiles; see diff.h. */
#include "export/diff.h"

#include "base/json.h"
#include "export/text.h"

#include <math.h>

#define MAX_ROWS 50
#define MIN_CHANGE 0.05		/* percentage points; what is shown as 0.0 is not shown */
#define DSO_COLUMNS 20
#define MIN_NAME_COLUMNS 20

static bool is_shown(const struct diff_row *row)
{
	return fabs(diff_self_change(row)) >= MIN_CHANGE || fabs(diff_total_change(row)) >= MIN_CHANGE;
}

static void write_row(const struct diff *diff, const struct diff_row *row, const struct export_options *options,
		      FILE *out)
{
	const unsigned int used = 4 * 9 + 2 + DSO_COLUMNS + 2;
	unsigned int width = options->width ? options->width : 4096;
	bool worse = diff_self_change(row) > 0;

	fprintf(out, "%9.2f%9.2f", row->before.self, row->after.self);
	if (options->colour)
		fputs(worse ? "\033[31m" : "\033[32m", out);
	fprintf(out, "%+9.2f%+9.2f", diff_self_change(row), diff_total_change(row));
	if (options->colour)
		fputs("\033[0m", out);
	fputs("  ", out);
	text_column(out, frames_dso(&diff->frames, row->function), DSO_COLUMNS, 1);
	fputs("  ", out);
	text_column(out, frames_name(&diff->frames, row->function),
		    width > used + MIN_NAME_COLUMNS ? width - used : MIN_NAME_COLUMNS, 0);
	putc('\n', out);
}

struct error *export_diff_table(const struct diff *diff, const struct export_options *options, FILE *out)
{
	size_t shown = 0, more = 0;

	fprintf(out, "%9s%9s%9s%9s  %-*s  %s\n", "BEFORE %", "AFTER %", "SELF +-", "TOTAL +-", DSO_COLUMNS, "DSO",
		"FUNCTION");
	vec_each(&diff->rows, row) {
		if (!is_shown(row))
			continue;
		if (shown == MAX_ROWS) {
			more++;
			continue;
		}
		write_row(diff, row, options, out);
		shown++;
	}
	if (more)
		fprintf(out, "%38s%s more functions changed\n", "", text_count(more));
	if (!shown)
		fprintf(out, "no function changed by %.2f percentage points or more\n", MIN_CHANGE);
	return NULL;
}

static void write_share(struct json *json, const char *key, const struct diff_share *share)
{
	json_key(json, key), json_object(json);
	json_key(json, "self"), json_double(json, share->self, 6);
	json_key(json, "total"), json_double(json, share->total, 6);
	json_end_object(json);
}

struct error *export_diff_json(const struct diff *diff, const struct export_options *options, FILE *out)
{
	struct json json = { .out = out, .indent = 1 };

	json_object(&json);
	json_key(&json, "unit"), json_string(&json, "percent of samples");
	json_key(&json, "functions"), json_array(&json);
	vec_each(&diff->rows, row) {
		json_object(&json);
		json_key(&json, "name"), json_string(&json, frames_name(&diff->frames, row->function));
		json_key(&json, "dso"), json_string(&json, frames_dso(&diff->frames, row->function));
		write_share(&json, "before", &row->before);
		write_share(&json, "after", &row->after);
		json_end_object(&json);
	}
	json_end_array(&json);
	json_end_object(&json);
	putc('\n', out);
	return NULL;
}
