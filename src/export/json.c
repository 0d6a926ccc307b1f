/* SPDX-License-Identifier: MIT */
/*
 * The profile as one JSON object: the call tree as an array of nodes, each
 * with the index of its parent (an earlier one), because nested objects of a
 * thousand levels break most parsers; and the table of functions.
 */
#include "export/export.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "profile/table.h"

#include <stdlib.h>

static const char *kind_name(enum frame_kind kind)
{
	static const char *const names[] = {
		[FRAME_USER] = "user", [FRAME_KERNEL] = "kernel", [FRAME_JIT] = "jit",
		[FRAME_INLINED] = "inlined", [FRAME_NOTE] = "note", [FRAME_TASK] = "task",
	};

	return names[kind];
}

static void write_node(struct json *json, const struct profile *profile, const struct tree_node *node,
		       const uint32_t *position)
{
	enum frame_kind kind = frames_kind(profile->frames, node->function);

	json_object(json);
	json_key(json, "parent");
	if (node->parent == TREE_ROOT)
		json_null(json);
	else
		json_u64(json, position[node->parent]);
	json_key(json, "name"), json_string(json, frames_name(profile->frames, node->function));
	if (kind != FRAME_TASK)
		json_key(json, "dso"), json_string(json, frames_dso(profile->frames, node->function));
	json_key(json, "kind"), json_string(json, kind_name(kind));
	json_key(json, "self"), json_u64(json, node->self);
	json_key(json, "total"), json_u64(json, node->total);
	json_end_object(json);
}

static struct error *write_tree(struct json *json, const struct profile *profile)
{
	const struct tree *tree = &profile->tree;
	_cleanup_free_ uint32_t *position = malloc(tree->nodes.len * sizeof(*position));
	uint32_t node = TREE_ROOT, n = 0;
	unsigned int depth = 0;

	if (!position)
		return error_nomem();
	json_array(json);
	while ((node = tree_next(tree, TREE_ROOT, node, false, &depth)) != ID_NONE) {
		position[node] = n++;
		write_node(json, profile, &tree->nodes.data[node], position);
	}
	json_end_array(json);
	return NULL;
}

static struct error *write_functions(struct json *json, const struct profile *profile)
{
	const struct frames *frames = profile->frames;
	struct table table;
	struct error *err = table_make(&profile->tree, frames->functions.len, &table);

	if (err)
		return err;
	json_array(json);
	vec_each(&table.rows, row) {
		json_object(json);
		json_key(json, "comm"), json_string(json, frames_name(frames, row->task));
		json_key(json, "name"), json_string(json, frames_name(frames, row->function));
		json_key(json, "dso"), json_string(json, frames_dso(frames, row->function));
		json_key(json, "kind"), json_string(json, kind_name(frames_kind(frames, row->function)));
		json_key(json, "self"), json_u64(json, row->self);
		json_key(json, "total"), json_u64(json, row->total);
		json_end_object(json);
	}
	json_end_array(json);
	table_free(&table);
	return NULL;
}

struct error *export_json(const struct profile *profile, const struct export_options *options, FILE *out)
{
	struct json json = { .out = out, .indent = 1 };
	struct error *err;

	json_object(&json);
	json_key(&json, "samples"), json_u64(&json, profile->stats.samples);
	json_key(&json, "duration_s"), json_double(&json, profile_duration(profile), 9);
	json_key(&json, "functions");
	err = write_functions(&json, profile);
	if (!err) {
		json_key(&json, "tree");
		err = write_tree(&json, profile);
	}
	json_end_object(&json);
	putc('\n', out);
	return err;
}
