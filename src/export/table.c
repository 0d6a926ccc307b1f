/* SPDX-License-Identifier: MIT */
/*
 * The profile as text for people: quality, functions by self and total, tasks,
 * and the call tree.  What is too small to matter is left out and the number
 * of what was left out is said.
 */
#include "export/export.h"

#include "export/text.h"
#include "profile/table.h"

#include <string.h>

#define MAX_FUNCTIONS 40	/* rows */
#define MAX_TASKS 20
#define MIN_FUNCTION_PERCENT 0.1
#define MIN_TREE_PERCENT 1.0
#define MIN_NAME_COLUMNS 20
#define COMM_COLUMNS 15		/* TASK_COMM_LEN - 1 */
#define DSO_COLUMNS 20

struct writer {
	const struct profile *profile;
	FILE *out;
	unsigned int width;
	const char *bold, *dim, *red, *blue, *green, *plain;
};

static struct writer make_writer(const struct profile *profile, const struct export_options *options, FILE *out)
{
	struct writer w = { profile, out, options->width ? options->width : 4096, "", "", "", "", "", "" };

	if (options->colour) {
		w.bold = "\033[1m";
		w.dim = "\033[2m";
		w.red = "\033[31m";
		w.blue = "\033[34m";
		w.green = "\033[32m";
		w.plain = "\033[0m";
	}
	return w;
}

static const char *colour_of(const struct writer *w, enum frame_kind kind)
{
	switch (kind) {
	case FRAME_KERNEL:
		return w->blue;
	case FRAME_JIT:
		return w->green;
	case FRAME_NOTE:
		return w->red;
	case FRAME_TASK:
		return w->bold;
	default:
		return "";
	}
}

static unsigned int columns_left(const struct writer *w, unsigned int used)
{
	return w->width > used + MIN_NAME_COLUMNS ? w->width - used : MIN_NAME_COLUMNS;
}

static void write_name(const struct writer *w, uint32_t function, unsigned int used)
{
	const struct frames *frames = w->profile->frames;
	enum frame_kind kind = frames_kind(frames, function);
	const char *colour = colour_of(w, kind), *note = kind == FRAME_INLINED ? " (inlined)" : "";

	fputs(colour, w->out);
	text_column(w->out, frames_name(frames, function), columns_left(w, used + (unsigned int)strlen(note)), 0);
	fputs(note, w->out);
	if (*colour)
		fputs(w->plain, w->out);
	putc('\n', w->out);
}

static double percent(const struct writer *w, uint64_t count)
{
	return text_percent(count, w->profile->stats.samples);
}

static void write_quality(const struct writer *w)
{
	const struct perfdata_recorder_stats *recorder = &w->profile->recorder;
	const struct stats *stats = &w->profile->stats;

	fprintf(w->out, "%s samples in %.1f s, %.2f %% complete", text_count(stats->samples),
		profile_duration(w->profile), stats_complete_percent(stats));
	fprintf(w->out, " (of %s with user context: %s truncated, %s missing), %s lost\n",
		text_count(stats_with_user_context(stats)), text_count(stats_truncated(stats)),
		text_count(stats_missing(stats)), text_count(recorder->lost_samples + recorder->lost_records));
}

static void write_functions(const struct writer *w, const struct table *table)
{
	const struct frames *frames = w->profile->frames;
	const unsigned int used = 2 + 8 + 8 + 2 + COMM_COLUMNS + 2 + DSO_COLUMNS + 2;
	size_t n = 0;

	fprintf(w->out, "\n%s%9s %8s  %-*s  %-*s  %s%s\n", w->bold, "SELF %", "TOTAL %", COMM_COLUMNS, "COMM",
		DSO_COLUMNS, "DSO", "FUNCTION", w->plain);
	for (; n < table->rows.len && n < MAX_FUNCTIONS; n++) {
		const struct table_row *row = &table->rows.data[n];

		if (percent(w, row->self) < MIN_FUNCTION_PERCENT)
			break;
		fprintf(w->out, "%9.2f %8.2f  ", percent(w, row->self), percent(w, row->total));
		text_column(w->out, frames_name(frames, row->task), COMM_COLUMNS, 1);
		fputs("  ", w->out);
		text_column(w->out, frames_base_name(frames_dso(frames, row->function)), DSO_COLUMNS, 1);
		fputs("  ", w->out);
		write_name(w, row->function, used);
	}
	if (n < table->rows.len)
		fprintf(w->out, "%s%19s%s more functions%s\n", w->dim, "", text_count(table->rows.len - n), w->plain);
}

static const struct stats_group *find_comm(const struct stats *stats, uint32_t name)
{
	uint32_t id = id_map_get(&stats->comms.by_name, name);

	return id == ID_NONE ? NULL : &stats->comms.list.data[id];
}

static void write_tasks(const struct writer *w)
{
	const struct tree *tree = &w->profile->tree;
	uint32_t node = tree->nodes.data[TREE_ROOT].first_child;
	size_t n = 0, more = 0;

	fprintf(w->out, "\n%s%9s %10s %12s  %s%s\n", w->bold, "TOTAL %", "SAMPLES", "COMPLETE %", "COMM", w->plain);
	for (; node != ID_NONE; node = tree->nodes.data[node].next_sibling) {
		uint32_t function = tree->nodes.data[node].function;
		const struct stats_group *comm = find_comm(&w->profile->stats,
							   w->profile->frames->functions.data[function].name);

		if (n++ >= MAX_TASKS || !comm) {
			more++;
			continue;
		}
		fprintf(w->out, "%9.2f %10s ", percent(w, comm->samples), text_count(comm->samples));
		if (comm->with_user_context)
			fprintf(w->out, "%12.2f  ", text_percent(comm->complete, comm->with_user_context));
		else
			fprintf(w->out, "%12s  ", "-");
		write_name(w, function, 37);
	}
	if (more)
		fprintf(w->out, "%s%19s%s more tasks%s\n", w->dim, "", text_count(more), w->plain);
}

/* The children big enough to be shown. */
static unsigned int count_shown(const struct writer *w, uint32_t node)
{
	const struct tree_node *nodes = w->profile->tree.nodes.data;
	unsigned int n = 0;

	for (uint32_t c = nodes[node].first_child; c != ID_NONE; c = nodes[c].next_sibling)
		n += percent(w, nodes[c].total) >= MIN_TREE_PERCENT;
	return n;
}

/*
 * Lines are indented where the tree branches only, so that long chains of
 * single calls stay readable.
 */
static struct error *write_tree(const struct writer *w)
{
	const struct tree *tree = &w->profile->tree;
	VEC(unsigned int) indents = { 0 };	/* by depth, of the children's lines */
	unsigned int depth = 0;
	uint32_t node = TREE_ROOT;
	bool skip = false, memory = vec_push(&indents, 0);

	fprintf(w->out, "\n%s%9s %8s  CALL TREE (from %.0f %%)%s\n", w->bold, "TOTAL %", "SELF %", MIN_TREE_PERCENT,
		w->plain);
	while (memory && (node = tree_next(tree, TREE_ROOT, node, skip, &depth)) != ID_NONE) {
		const struct tree_node *n = &tree->nodes.data[node];
		unsigned int indent = indents.data[depth - 1];

		skip = percent(w, n->total) < MIN_TREE_PERCENT;
		if (skip)
			continue;
		fprintf(w->out, "%9.2f %8.2f  %*s", percent(w, n->total), percent(w, n->self), (int)indent, "");
		write_name(w, n->function, 20 + indent);
		indents.len = depth;
		memory = vec_push(&indents, indent + (depth == 1 || count_shown(w, node) > 1 ? 2 : 0));
	}
	vec_free(&indents);
	return memory ? NULL : error_nomem();
}

struct error *export_table(const struct profile *profile, const struct export_options *options, FILE *out)
{
	struct writer w = make_writer(profile, options, out);
	struct table table;
	struct error *err = table_make(&profile->tree, profile->frames->functions.len, &table);

	if (err)
		return err;
	write_quality(&w);
	write_functions(&w, &table);
	table_free(&table);
	write_tasks(&w);
	return write_tree(&w);
}
