/* SPDX-License-Identifier: MIT */
/*
 * The symboliser: its DSOs, the kernel's table and the perf maps, each read on
 * the first look-up that needs it, and the demangled names.  Not thread-safe.
 */
#include "symbol/symbol.h"

#include "base/hash.h"
#include "base/log.h"
#include "symbol/demangle.h"
#include "symbol/dso_file.h"
#include "symbol/elf_symbols.h"
#include "symbol/function_starts.h"
#include "symbol/kallsyms.h"
#include "symbol/lines.h"
#include "symbol/perf_map.h"
#include "symbol/target_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define KALLSYMS "/proc/kallsyms"

struct symbol_dso {
	struct hash_node node;
	struct symboliser *owner;
	struct symbol_dso_key key;
	char *path;		/* key.path */
	struct stat root;	/* without a build ID a path means something in one root only */
	bool loaded;
	struct symtab tab;
	struct function_starts starts;
	struct error *problem;	/* why tab is empty */
	bool lines_loaded;
	struct lines *lines;	/* NULL: no debug information */
};

struct jit {
	struct hash_node node;
	struct perf_map map;
};

/* By the raw name's address: raw names never move. */
struct demangled {
	struct hash_node node;
	const char *raw, *name;
};

struct symboliser {
	struct hash dsos, jits, demangled;
	struct string_block names;
	bool kernel_loaded;
	struct symtab kernel;
};

struct error *symboliser_create(struct symboliser **ret)
{
	struct symboliser *s = calloc(1, sizeof(*s));

	if (!s)
		return error_nomem();
	*ret = s;
	return NULL;
}

static void dso_destroy(struct symbol_dso *dso)
{
	symtab_free(&dso->tab);
	function_starts_free(&dso->starts);
	lines_close(dso->lines);
	error_free(dso->problem);
	free(dso->path);
	free(dso);
}
DEFINE_CLEANUP(dso_destroy, struct symbol_dso *);

void symboliser_destroy(struct symboliser *s)
{
	if (!s)
		return;
	hash_each_all(&s->dsos, node)
		dso_destroy(container_of(node, struct symbol_dso, node));
	hash_each_all(&s->jits, node) {
		struct jit *jit = container_of(node, struct jit, node);

		perf_map_free(&jit->map);
		free(jit);
	}
	hash_each_all(&s->demangled, node)
		free(container_of(node, struct demangled, node));
	hash_free(&s->dsos);
	hash_free(&s->jits);
	hash_free(&s->demangled);
	string_block_free(&s->names);
	symtab_free(&s->kernel);
	free(s);
}

static bool same_dso(const struct symbol_dso *dso, const struct symbol_dso_key *key, const struct stat *root)
{
	return !strcmp(dso->path, key->path) && dso->key.build_id_size == key->build_id_size &&
	       !memcmp(dso->key.build_id, key->build_id, key->build_id_size) &&
	       dso->root.st_dev == root->st_dev && dso->root.st_ino == root->st_ino;
}

/* All zero where the build ID says which file it is. */
static void root_of(const struct symbol_dso_key *key, struct stat *ret)
{
	_cleanup_close_ int fd = key->build_id_size ? -1 : target_root_open(key->pid);

	memset(ret, 0, sizeof(*ret));
	if (fd >= 0 && fstat(fd, ret))
		memset(ret, 0, sizeof(*ret));
}

struct error *symboliser_dso(struct symboliser *s, const struct symbol_dso_key *wanted, struct symbol_dso **ret)
{
	_cleanup_(dso_destroyp) struct symbol_dso *dso = NULL;
	struct symbol_dso_key key = *wanted;
	uint64_t h = hash_string(key.path);
	struct stat root;

	if (key.build_id_size > sizeof(key.build_id))
		key.build_id_size = sizeof(key.build_id);
	root_of(&key, &root);
	hash_each(&s->dsos, h, node) {
		struct symbol_dso *known = container_of(node, struct symbol_dso, node);

		if (!same_dso(known, &key, &root))
			continue;
		if (key.pid)	/* the later process is more likely to be there still */
			known->key.pid = key.pid;
		*ret = known;
		return NULL;
	}
	dso = calloc(1, sizeof(*dso));
	if (!dso)
		return error_nomem();
	dso->owner = s;
	dso->path = strdup(key.path);
	if (!dso->path)
		return error_nomem();
	dso->key = key;
	dso->key.path = dso->path;
	dso->root = root;
	if (!hash_insert(&s->dsos, &dso->node, h))
		return error_nomem();
	*ret = steal_ptr(dso);
	return NULL;
}

/* Data that may be missing or bad without harm to the rest. */
static void tolerate(const struct symbol_dso *dso, struct error *err)
{
	if (err)
		log_debug("%s: %s", dso->path, err->text);
	error_free(err);
}

/* A stripped file: its debug file's table, or what it exports and carries packed. */
static struct error *read_stripped(struct symbol_dso *dso, struct elf_file *file, int root)
{
	_cleanup_(elf_file_closep) struct elf_file *debug = NULL;
	_cleanup_(elf_file_closep) struct elf_file *packed = NULL;
	struct error *err;
	bool found = false;

	tolerate(dso, dso_debug_file_open(file, dso->path, root, &debug));
	if (debug)
		tolerate(dso, elf_symbols_add(file, debug, ".symtab", ".strtab", &dso->tab, &found));
	if (found)
		return NULL;
	err = elf_symbols_add(file, file, ".dynsym", ".dynstr", &dso->tab, &found);
	if (err)
		return err;
	tolerate(dso, dso_debugdata_open(file, &packed));
	if (packed)
		tolerate(dso, elf_symbols_add(file, packed, ".symtab", ".strtab", &dso->tab, &found));
	return NULL;
}

static struct error *dso_read(struct symbol_dso *dso)
{
	_cleanup_close_ int root = target_root_open(dso->key.pid);
	_cleanup_(elf_file_closep) struct elf_file *file = NULL;
	struct error *err;
	bool found;

	err = dso_file_open(&dso->key, root, &file);
	if (err)
		return err;
	err = elf_symbols_add(file, file, ".symtab", ".strtab", &dso->tab, &found);
	if (!err && !found)
		err = read_stripped(dso, file, root);
	symtab_finish(&dso->tab);
	tolerate(dso, err);
	tolerate(dso, elf_plt_add(file, &dso->tab));
	tolerate(dso, function_starts_read(file, &dso->starts));
	symtab_finish(&dso->tab);
	return dso->tab.entries.len ? NULL : error_new(ENODATA, "no symbols");
}

static void dso_load(struct symbol_dso *dso)
{
	if (dso->loaded)
		return;
	dso->loaded = true;
	dso->problem = dso_read(dso);
}

const char *symbol_dso_problem(struct symbol_dso *dso)
{
	dso_load(dso);
	return dso->problem ? dso->problem->text : NULL;
}

/* The raw name where there is nothing to demangle, or no memory for it. */
static const char *demangled_name(struct symboliser *s, const char *raw)
{
	uint64_t h = hash_u64((uintptr_t)raw);
	_cleanup_free_ char *text = NULL;
	struct demangled *new;

	if (!demangle_wanted(raw))
		return raw;
	hash_each(&s->demangled, h, node) {
		struct demangled *d = container_of(node, struct demangled, node);

		if (d->raw == raw)
			return d->name;
	}
	text = demangle(raw);
	new = malloc(sizeof(*new));
	if (!new)
		return raw;
	new->raw = raw;
	new->name = text ? string_block_add(&s->names, text, strlen(text)) : raw;
	if (!new->name || !hash_insert(&s->demangled, &new->node, h)) {
		free(new);
		return raw;
	}
	return new->name;
}

static bool fill(struct symboliser *s, const struct symtab_entry *entry, struct symbol *ret)
{
	if (!entry)
		return false;
	ret->raw = entry->name;
	ret->name = demangled_name(s, entry->name);
	ret->start = entry->start;
	ret->size = entry->size;
	return true;
}

bool symbol_dso_lookup(struct symbol_dso *dso, uint64_t offset, struct symbol *ret)
{
	dso_load(dso);
	return fill(dso->owner, symtab_lookup(&dso->tab, offset), ret);
}

bool symbol_dso_function_start(struct symbol_dso *dso, uint64_t offset, uint64_t *ret)
{
	dso_load(dso);
	return function_starts_find(&dso->starts, offset, ret);
}

static struct error *open_lines(struct symbol_dso *dso)
{
	_cleanup_close_ int root = target_root_open(dso->key.pid);
	struct elf_file *file;
	struct error *err = dso_file_open(&dso->key, root, &file);

	return err ? err : lines_open(file, dso->path, root, &dso->lines);
}

size_t symbol_dso_source(struct symbol_dso *dso, uint64_t offset, struct source_frame ret[static SOURCE_MAX_FRAMES])
{
	size_t n;

	if (!dso->lines_loaded) {
		dso->lines_loaded = true;
		tolerate(dso, open_lines(dso));
	}
	n = dso->lines ? lines_find(dso->lines, offset, ret) : 0;
	for (size_t i = 0; i < n; i++)
		if (ret[i].function)
			ret[i].function = demangled_name(dso->owner, ret[i].function);
	return n;
}

static const struct symtab_entry *kernel_entry(struct symboliser *s, uint64_t address)
{
	if (!s->kernel_loaded) {
		struct error *err = kallsyms_read(KALLSYMS, &s->kernel);

		s->kernel_loaded = true;
		if (err)
			log_info("no kernel symbols: %s", err->text);
		error_free(err);
	}
	return symtab_lookup(&s->kernel, address);
}

bool symboliser_kernel(struct symboliser *s, uint64_t address, struct symbol *ret)
{
	return fill(s, kernel_entry(s, address), ret);
}

const char *symboliser_kernel_module(struct symboliser *s, uint64_t address)
{
	const struct symtab_entry *entry = kernel_entry(s, address);

	return entry ? kallsyms_module(entry) : NULL;
}

static struct jit *find_jit(struct symboliser *s, uint32_t pid)
{
	uint64_t h = hash_u64(pid);
	struct jit *jit;

	hash_each(&s->jits, h, node) {
		jit = container_of(node, struct jit, node);
		if (jit->map.pid == pid)
			return jit;
	}
	jit = malloc(sizeof(*jit));
	if (!jit)
		return NULL;
	perf_map_init(&jit->map, pid);
	if (hash_insert(&s->jits, &jit->node, h))
		return jit;
	free(jit);
	return NULL;
}

bool symboliser_jit(struct symboliser *s, uint32_t pid, uint64_t address, struct symbol *ret)
{
	struct jit *jit = find_jit(s, pid);
	const struct symtab_entry *entry = jit ? perf_map_lookup(&jit->map, address) : NULL;

	if (!entry)
		return false;
	/* Runtimes write names for people. */
	*ret = (struct symbol){ .name = entry->name, .raw = entry->name, .start = entry->start, .size = entry->size };
	return true;
}
