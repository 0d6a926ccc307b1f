/* SPDX-License-Identifier: MIT */
/* The call tree and what is derived from it: totals, order, remapping, the table of functions. */
#include "test.h"

#include "profile/frames.h"
#include "profile/table.h"
#include "profile/tree.h"

static struct frames frames;
static struct tree tree;

static uint32_t function(enum frame_kind kind, const char *name)
{
	uint32_t f;

	CHECK_OK(frames_function_named(&frames, kind, name, "", &f));
	return f;
}

/* chain: "comm a b c", outermost first; names in upper case are kernel functions. */
static void add(const char *chain, uint64_t count)
{
	char text[256], *rest = text, *name;
	uint32_t node = TREE_ROOT;
	enum frame_kind kind = FRAME_TASK;

	snprintf(text, sizeof(text), "%s", chain);
	while ((name = strsep(&rest, " "))) {
		if (kind != FRAME_TASK)
			kind = name[0] >= 'A' && name[0] <= 'Z' ? FRAME_KERNEL : FRAME_USER;
		CHECK_OK(tree_child(&tree, node, function(kind, name), &node));
		kind = FRAME_USER;
	}
	tree.nodes.data[node].self += count;
}

static void begin(void)
{
	CHECK_OK(frames_init(&frames));
	CHECK_OK(tree_init(&tree));
}

/* The tree in pre-order: "name:self/total" at its depth. */
static const char *dump(const struct tree *t)
{
	static char text[4096];
	unsigned int depth = 0;
	uint32_t node = TREE_ROOT;
	size_t len = 0;

	text[0] = '\0';
	while ((node = tree_next(t, TREE_ROOT, node, false, &depth)) != ID_NONE) {
		const struct tree_node *n = &t->nodes.data[node];

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%u%s:%llu/%llu ", depth,
					frames_name(&frames, n->function), (unsigned long long)n->self,
					(unsigned long long)n->total);
	}
	return text;
}

TEST(strings_are_kept_once)
{
	uint32_t a, b, c;

	CHECK_OK(frames_init(&frames));
	CHECK_OK(frames_string(&frames, "abc", &a));
	CHECK_OK(frames_string(&frames, "abd", &b));
	CHECK_OK(frames_string(&frames, "abc", &c));
	CHECK(a == c && a != b && a != 0);
	CHECK_STR(frames.strings.data[0], "");
}

TEST(functions_differ_by_name_dso_and_kind)
{
	uint32_t f[5];

	CHECK_OK(frames_init(&frames));
	CHECK_OK(frames_function_named(&frames, FRAME_USER, "f", "a.so", &f[0]));
	CHECK_OK(frames_function_named(&frames, FRAME_USER, "f", "b.so", &f[1]));
	CHECK_OK(frames_function_named(&frames, FRAME_JIT, "f", "a.so", &f[2]));
	CHECK_OK(frames_function_named(&frames, FRAME_USER, "g", "a.so", &f[3]));
	CHECK_OK(frames_function_named(&frames, FRAME_USER, "f", "a.so", &f[4]));
	CHECK(f[0] == f[4]);
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < i; j++)
			CHECK(f[i] != f[j]);
}

TEST(ids_survive_growth)
{
	struct id_map map = { 0 };

	CHECK(id_map_get(&map, 7) == ID_NONE);
	for (uint32_t i = 0; i < 100000; i++)
		CHECK(id_map_put(&map, (uint64_t)i << 20, i));
	for (uint32_t i = 0; i < 100000; i++)
		CHECK_U64(id_map_get(&map, (uint64_t)i << 20), i);
	CHECK(id_map_get(&map, 1) == ID_NONE);
	id_map_free(&map);
}

TEST(chains_share_their_beginning)
{
	begin();
	add("xz main a b", 3);
	add("xz main a c", 5);
	add("xz main a", 1);
	add("sh main", 2);
	CHECK_OK(tree_finish(&tree, NULL, NULL));
	CHECK_STR(dump(&tree), "1xz:0/9 2main:0/9 3a:1/9 4c:5/5 4b:3/3 1sh:0/2 2main:2/2 ");
	CHECK_U64(tree.nodes.data[TREE_ROOT].total, 11);
}

TEST(traversal_skips_what_it_is_told_to)
{
	unsigned int depth = 0;
	uint32_t node;

	begin();
	add("xz a b", 3);
	add("xz c", 1);
	CHECK_OK(tree_finish(&tree, NULL, NULL));
	node = tree_next(&tree, TREE_ROOT, TREE_ROOT, false, &depth);
	node = tree_next(&tree, TREE_ROOT, node, false, &depth);
	CHECK_STR(frames_name(&frames, tree.nodes.data[node].function), "a");
	CHECK_U64(depth, 2);
	node = tree_next(&tree, TREE_ROOT, node, true, &depth);
	CHECK_STR(frames_name(&frames, tree.nodes.data[node].function), "c");
	CHECK(tree_next(&tree, TREE_ROOT, node, false, &depth) == ID_NONE);
	CHECK_U64(depth, 0);
}

TEST(remapping_merges_and_removes)
{
	struct tree other;
	uint32_t *map;

	begin();
	add("xz a K1 K2", 3);
	add("xz b K1", 2);
	add("xz b c", 1);
	map = calloc(frames.functions.len, sizeof(*map));
	for (uint32_t f = 0; f < frames.functions.len; f++)
		map[f] = frames_kind(&frames, f) == FRAME_KERNEL ? ID_NONE : f;
	map[function(FRAME_USER, "b")] = function(FRAME_USER, "a");
	CHECK_OK(tree_remap(&tree, map, &other));
	CHECK_OK(tree_finish(&other, NULL, NULL));
	CHECK_STR(dump(&other), "1xz:0/6 2a:5/6 3c:1/1 ");
	tree_deinit(&other);
	free(map);
}

static const struct table_row *find_row(const struct table *table, const char *task, const char *name)
{
	vec_each(&table->rows, row)
		if (!strcmp(frames_name(&frames, row->task), task) && !strcmp(frames_name(&frames, row->function), name))
			return row;
	return NULL;
}

TEST(total_counts_recursion_once)
{
	const struct table_row *row;
	struct table table;

	begin();
	add("xz main f g f g f", 4);
	add("xz main g", 1);
	add("xz main", 2);
	add("sh main f", 8);
	CHECK_OK(tree_finish(&tree, NULL, NULL));
	CHECK_OK(table_make(&tree, frames.functions.len, &table));
	CHECK_U64(table.rows.len, 5);
	row = find_row(&table, "xz", "f");
	CHECK(row && row->self == 4 && row->total == 4);
	row = find_row(&table, "xz", "g");
	CHECK(row && row->self == 1 && row->total == 5);
	row = find_row(&table, "xz", "main");
	CHECK(row && row->self == 2 && row->total == 7);
	row = find_row(&table, "sh", "main");
	CHECK(row && row->self == 0 && row->total == 8);
	CHECK_STR(frames_name(&frames, table.rows.data[0].task), "sh");
	table_free(&table);
}

TEST(deep_chains_need_no_stack)
{
	uint32_t node, f;
	struct table table;

	begin();
	CHECK_OK(tree_child(&tree, TREE_ROOT, function(FRAME_TASK, "deep"), &node));
	f = function(FRAME_USER, "f");
	for (int i = 0; i < 1000000; i++)
		CHECK_OK(tree_child(&tree, node, f, &node));
	tree.nodes.data[node].self = 1;
	CHECK_OK(tree_finish(&tree, NULL, NULL));
	CHECK_OK(table_make(&tree, frames.functions.len, &table));
	CHECK_U64(table.rows.len, 1);
	CHECK_U64(table.rows.data[0].total, 1);
	table_free(&table);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
