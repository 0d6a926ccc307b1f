/* SPDX-License-Identifier: MIT */
/*
 * The flame graph: one page that needs nothing else.  The call tree goes into
 * it as JSON of flat arrays (see viewer/flame.js): strings, functions as
 * (name, DSO, kind), and nodes in pre-order as (distance to the parent,
 * function, self).
 */
#include "export/export.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "export/page.h"
#include "perfdata/reader.h"
#include "profile/samples.h"

#include <stdlib.h>

/*
 * Beyond this many nodes a page gets slow, so that the smallest subtrees are
 * shown as their topmost function only; no sample is lost.
 */
#define MAX_NODES 200000

/* Processes with a smaller share of the samples have no tree of their own: there may be thousands. */
#define MIN_PROCESS_PERCENT 0.5

/* Numbers in the order of their first use. */
struct numbering {
	uint32_t *number;	/* by old id, ID_NONE: not used */
	VEC(uint32_t) used;
};

struct page {
	const struct profile *profile;
	struct tree tree;	/* the profile's, with small processes merged */
	struct numbering strings, functions;
	uint64_t min_total;	/* nodes below it are not shown */
};

static struct error *numbering_init(struct numbering *numbering, size_t n)
{
	numbering->number = malloc((n + 1) * sizeof(*numbering->number));
	if (!numbering->number)
		return error_nomem();
	for (size_t i = 0; i < n; i++)
		numbering->number[i] = ID_NONE;
	return NULL;
}

static void numbering_deinit(struct numbering *numbering)
{
	free(numbering->number);
	vec_free(&numbering->used);
}

static struct error *number(struct numbering *numbering, uint32_t id)
{
	if (numbering->number[id] != ID_NONE)
		return NULL;
	if (!vec_push(&numbering->used, id))
		return error_nomem();
	numbering->number[id] = (uint32_t)numbering->used.len - 1;
	return NULL;
}

static struct error *number_function(struct page *page, uint32_t id)
{
	const struct function *function = &page->profile->frames->functions.data[id];
	struct error *err = number(&page->functions, id);

	if (!err)
		err = number(&page->strings, function->name);
	return err ? err : number(&page->strings, function->dso);
}

/* A small process joins the others of its name. */
static struct error *task_of(const struct profile *profile, const struct tree_node *node, uint32_t *ret)
{
	const struct function *function = &profile->frames->functions.data[node->function];
	double share = 100.0 * (double)node->total / (double)profile->stats.samples;

	if (share < MIN_PROCESS_PERCENT)
		return frames_function(profile->frames, FRAME_TASK, function->name, 0, ret);
	*ret = node->function;
	return NULL;
}

static struct error *merge_small_processes(const struct profile *profile, struct tree *ret)
{
	const struct tree_node *nodes = profile->tree.nodes.data;
	size_t n = profile->frames->functions.len;
	_cleanup_free_ uint32_t *map = malloc((n + 1) * sizeof(*map));
	uint32_t task = nodes[TREE_ROOT].first_child;
	struct error *err = map ? NULL : error_nomem();

	for (size_t f = 0; !err && f < n; f++)
		map[f] = (uint32_t)f;
	for (; !err && task != ID_NONE; task = nodes[task].next_sibling)
		err = task_of(profile, &nodes[task], &map[nodes[task].function]);
	if (err)
		return err;
	err = tree_remap(&profile->tree, map, ret);
	if (err)
		return err;
	err = tree_finish(ret, NULL, NULL);
	if (err)
		tree_deinit(ret);
	return err;
}

/* The smallest total for which no more than MAX_NODES nodes are shown. */
static uint64_t choose_min_total(const struct tree *tree)
{
	uint64_t min = 1;
	size_t n;

	for (;; min *= 2) {
		n = 0;
		vec_each(&tree->nodes, node)
			n += node->total >= min;
		if (n <= MAX_NODES)
			return min;
	}
}

/* The next node that is shown. */
static uint32_t next_shown(const struct page *page, uint32_t node, unsigned int *depth)
{
	const struct tree *tree = &page->tree;
	bool skip = false;

	while ((node = tree_next(tree, TREE_ROOT, node, skip, depth)) != ID_NONE) {
		skip = tree->nodes.data[node].total < page->min_total;
		if (!skip)
			break;
	}
	return node;
}

/* What is counted at a node: its own samples and those of what is not shown below. */
static uint64_t shown_self(const struct page *page, uint32_t id)
{
	const struct tree_node *nodes = page->tree.nodes.data;
	uint64_t self = nodes[id].self;

	for (uint32_t c = nodes[id].first_child; c != ID_NONE; c = nodes[c].next_sibling)
		if (nodes[c].total < page->min_total)
			self += nodes[c].total;
	return self;
}

static struct error *put_nodes(struct json *json, struct page *page)
{
	const struct tree *tree = &page->tree;
	_cleanup_free_ uint32_t *position = malloc(tree->nodes.len * sizeof(*position));
	uint32_t node = TREE_ROOT, n = 0;
	struct error *err = position ? NULL : error_nomem();
	unsigned int depth = 0;

	json_key(json, "nodes"), json_array(json);
	while (!err && (node = next_shown(page, node, &depth)) != ID_NONE) {
		const struct tree_node *tn = &tree->nodes.data[node];

		err = number_function(page, tn->function);
		position[node] = n;
		/* One more than there are nodes before: a task, which has no parent. */
		json_u64(json, tn->parent == TREE_ROOT ? n + 1 : n - position[tn->parent]);
		json_u64(json, page->functions.number[tn->function]);
		json_u64(json, shown_self(page, node));
		n++;
	}
	json_end_array(json);
	return err;
}

static void put_functions(struct json *json, const struct page *page)
{
	const struct frames *frames = page->profile->frames;

	json_key(json, "functions"), json_array(json);
	vec_each(&page->functions.used, id) {
		const struct function *function = &frames->functions.data[*id];

		json_u64(json, page->strings.number[function->name]);
		json_u64(json, page->strings.number[function->dso]);
		json_u64(json, function->kind);
	}
	json_end_array(json);
	json_key(json, "strings"), json_array(json);
	vec_each(&page->strings.used, id)
		json_string(json, frames->strings.data[*id]);
	json_end_array(json);
}

static void put_reasons(struct json *json, const char *key, const uint64_t *counts)
{
	json_key(json, key), json_array(json);
	for (unsigned int r = 0; r < REASON_MAX; r++) {
		if (!counts[r])
			continue;
		json_array(json);
		json_string(json, stats_reason_name(r));
		json_u64(json, counts[r]);
		json_string(json, r == REASON_NONE ? "not known why" : reason_text(r));
		json_end_array(json);
	}
	json_end_array(json);
}

static void put_quality(struct json *json, const struct profile *profile)
{
	const struct stats *stats = &profile->stats;

	json_key(json, "quality"), json_object(json);
	json_key(json, "samples"), json_u64(json, stats->samples);
	json_key(json, "no_user"), json_u64(json, stats->no_user);
	json_key(json, "complete"), json_u64(json, stats->complete);
	json_key(json, "truncated"), json_u64(json, stats_truncated(stats));
	json_key(json, "missing"), json_u64(json, stats_missing(stats));
	json_key(json, "lost"), json_u64(json, profile->recorder.lost_samples + profile->recorder.lost_records);
	put_reasons(json, "truncated_by", stats->truncated_by);
	put_reasons(json, "missing_by", stats->missing_by);
	json_end_object(json);
}

static void put_head(struct json *json, const struct profile *profile, const char *title)
{
	const struct stats *stats = &profile->stats;

	json_key(json, "title"), json_string(json, title ? title : "");
	json_key(json, "backend"), json_string(json, profile->has_recorder ? profile->recorder.backend : NULL);
	json_key(json, "kernel"), json_string(json, perfdata_reader_os_release(samples_reader(profile->samples)));
	json_key(json, "duration"), json_double(json, profile_duration(profile), 3);
	/* Chains of which nobody said whether they are whole. */
	json_key(json, "foreign");
	json_bool(json, stats->truncated_by[REASON_NONE] && stats->truncated_by[REASON_NONE] == stats_stitched(stats));
	json_key(json, "events"), json_array(json);
	for (size_t i = 0; i < stats->events.len; i++)
		if (stats->events.data[i])
			json_string(json, samples_event_name(profile->samples, (uint32_t)i));
	json_end_array(json);
}

static struct error *write_page(struct page *page, const struct export_options *options, FILE *out)
{
	struct json json = { .out = out, .in_html = true };
	struct error *err = numbering_init(&page->strings, page->profile->frames->strings.len);

	if (!err)
		err = numbering_init(&page->functions, page->profile->frames->functions.len);
	if (err)
		return err;
	fwrite(page_before_data, 1, page_before_data_size, out);
	json_object(&json);
	put_head(&json, page->profile, options->title);
	put_quality(&json, page->profile);
	err = put_nodes(&json, page);
	put_functions(&json, page);
	json_end_object(&json);
	fwrite(page_after_data, 1, page_after_data_size, out);
	return err;
}

struct error *export_html(const struct profile *profile, const struct export_options *options, FILE *out)
{
	struct page page = { .profile = profile };
	struct error *err = merge_small_processes(profile, &page.tree);

	if (err)
		return err;
	page.min_total = choose_min_total(&page.tree);
	err = write_page(&page, options, out);
	numbering_deinit(&page.strings);
	numbering_deinit(&page.functions);
	tree_deinit(&page.tree);
	return err;
}
