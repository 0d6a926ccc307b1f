/* SPDX-License-Identifier: MIT */
/* Self and total per function; see table.h. */
#include "profile/table.h"

#include "base/cleanup.h"

#include <stdlib.h>

/* Of one task, by function. */
struct count {
	uint64_t self, total;
	uint32_t on_chain;	/* how often it is on the chain from the task to the current node */
};

static void leave(const struct tree *tree, struct count *counts, uint32_t node)
{
	counts[tree->nodes.data[node].function].on_chain--;
}

static void enter(const struct tree *tree, struct count *counts, uint32_t node)
{
	const struct tree_node *n = &tree->nodes.data[node];
	struct count *count = &counts[n->function];

	count->self += n->self;
	if (count->on_chain++ == 0)
		count->total += n->total;
}

static void count_task(const struct tree *tree, uint32_t task, struct count *counts)
{
	unsigned int depth = 0, next_depth = 0;

	for (uint32_t node = task; node != ID_NONE; depth = next_depth) {
		uint32_t next;

		enter(tree, counts, node);
		next = tree_next(tree, task, node, false, &next_depth);
		/* On the way up to the next node's parent; at the end, to above the task. */
		for (unsigned int up = depth + 1 - next_depth; up > 0; up--) {
			leave(tree, counts, node);
			node = tree->nodes.data[node].parent;
		}
		node = next;
	}
}

/* Moves what was counted to rows and clears it. */
static struct error *take_counts(struct table *table, uint32_t task, struct count *counts, size_t n)
{
	for (size_t f = 0; f < n; f++) {
		if (!counts[f].total || f == task)
			continue;
		if (!vec_push(&table->rows, (struct table_row){ task, (uint32_t)f, counts[f].self, counts[f].total }))
			return error_nomem();
	}
	for (size_t f = 0; f < n; f++)
		counts[f] = (struct count){ 0 };
	return NULL;
}

static int compare_rows(const void *pa, const void *pb)
{
	const struct table_row *a = pa, *b = pb;

	if (a->self != b->self)
		return a->self > b->self ? -1 : 1;
	if (a->total != b->total)
		return a->total > b->total ? -1 : 1;
	if (a->task != b->task)
		return a->task < b->task ? -1 : 1;
	return a->function < b->function ? -1 : a->function > b->function;
}

struct error *table_make(const struct tree *tree, size_t n_functions, struct table *ret)
{
	_cleanup_free_ struct count *counts = calloc(n_functions + 1, sizeof(*counts));
	uint32_t task = tree->nodes.data[TREE_ROOT].first_child;
	struct error *err = counts ? NULL : error_nomem();
	struct table table = { 0 };

	for (; !err && task != ID_NONE; task = tree->nodes.data[task].next_sibling) {
		count_task(tree, task, counts);
		err = take_counts(&table, tree->nodes.data[task].function, counts, n_functions);
	}
	if (err) {
		table_free(&table);
		return err;
	}
	if (table.rows.len)
		qsort(table.rows.data, table.rows.len, sizeof(*table.rows.data), compare_rows);
	*ret = table;
	return NULL;
}

void table_free(struct table *table)
{
	vec_free(&table->rows);
}
