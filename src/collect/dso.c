/* SPDX-License-Identifier: MIT */
/* Files by identity, and the loading of their rules; see dso.h. */
#include "collect/dso.h"

#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { FIRST_WINDOW = 32 << 10, MAX_WINDOW = 128 << 10, VDSO_MAX = 64 << 10 };

struct stored_dso {
	struct dso dso;
	struct hash_node node;
	struct file_key key;
	struct elf_file *elf;
};

struct dso_store {
	int files_fd;
	struct rule_cache *cache;
	struct hash by_key;
	struct stored_dso *vdso;
	struct stored_dso *by_number[MAX_FILES];
	uint32_t next_file;
	bool told;		/* that there are too many open files */
	struct dso_rule_counts counts;
};

struct error *dso_store_create(int files_fd, struct rule_cache *cache, struct dso_store **ret)
{
	struct dso_store *store = calloc(1, sizeof(*store));

	if (!store)
		return error_nomem();
	store->files_fd = files_fd;
	store->cache = cache;
	store->next_file = FILE_FIRST;
	*ret = store;
	return NULL;
}

bool dso_read(const struct dso *dso, uint64_t offset, void *buf, size_t size)
{
	const struct stored_dso *stored = container_of(dso, const struct stored_dso, dso);

	return stored->elf && elf_file_read(stored->elf, offset, buf, size);
}

static void stored_dso_destroy(struct stored_dso *d)
{
	if (!d)
		return;
	unwind_table_close(d->dso.table);
	elf_file_close(d->elf);
	free(d);
}

void dso_store_destroy(struct dso_store *store)
{
	if (!store)
		return;
	hash_each_all(&store->by_key, node)
		stored_dso_destroy(container_of(node, struct stored_dso, node));
	hash_free(&store->by_key);
	stored_dso_destroy(store->vdso);
	free(store);
}

static struct file_key key_of(const struct stat *st)
{
	return (struct file_key){
		.ino = st->st_ino,
		.size = st->st_size,
		.ctime_sec = st->st_ctim.tv_sec,
		.ctime_nsec = st->st_ctim.tv_nsec,
		.dev = major(st->st_dev) << 20 | minor(st->st_dev),
	};
}

static bool same_key(const struct file_key *a, const struct file_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* What a stacked file system shows alike to the kernel's mapping and to stat. */
static bool same_content(const struct file_key *key, const struct stat *st)
{
	return key->size == (uint64_t)st->st_size && key->ctime_sec == (uint64_t)st->st_ctim.tv_sec &&
	       key->ctime_nsec == (uint32_t)st->st_ctim.tv_nsec;
}

/* ---- tables ------------------------------------------------------------ */

static void open_table(struct stored_dso *d)
{
	struct unwind_table_info info;
	struct error *err = unwind_table_open(d->elf, &d->dso.table);

	if (err) {
		log_debug("%s: %s", elf_file_name(d->elf), err->text);
		error_free(err);
		d->dso.reason = REASON_BAD_UNWIND_INFO;
		return;
	}
	unwind_table_info(d->dso.table, &info);
	d->dso.has_fdes = info.n_fdes > 0;
	d->dso.text_start = info.text_start;
	d->dso.text_end = info.text_end;
	d->dso.window = FIRST_WINDOW;
	d->dso.reason = REASON_NONE;
}

/* Consumes fd. */
static void open_elf(struct stored_dso *d, int fd, const char *name)
{
	struct error *err = elf_file_open_fd(fd, name, &d->elf);

	if (err) {
		log_debug("%s", err->text);
		error_free(err);
		d->dso.reason = REASON_NO_UNWIND_INFO;
		return;
	}
	open_table(d);
}

/* ---- opening ------------------------------------------------------------ */

/* Files are opened without blocking on what is no regular file. */
static int open_regular(const char *path, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -1;
	if (fstat(fd, st) || !S_ISREG(st->st_mode)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int open_mapped(uint32_t pid, uint64_t start, uint64_t end, struct stat *st)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/map_files/%" PRIx64 "-%" PRIx64, pid, start, end);
	return open_regular(path, st);
}

/* By the mapping's path: in the process's root, else in ours, where the process may have been too. */
static int open_by_path(uint32_t pid, const char *path, const struct file_key *key, struct stat *st,
			bool *changed)
{
	char in_root[4200];
	struct file_key found;
	int fd;

	if (path[0] != '/' || path[1] == '/')
		return -1;
	snprintf(in_root, sizeof(in_root), "/proc/%" PRIu32 "/root%s", pid, path);
	for (int i = 0; i < 2; i++) {
		fd = open_regular(i ? path : in_root, st);
		if (fd < 0)
			continue;
		found = key_of(st);
		if (!key || same_key(key, &found))
			return fd;
		*changed = true;
		close(fd);
	}
	return -1;
}

/* Is it the limit?  Once: there are many files. */
static void tell_unopened(struct dso_store *store)
{
	if (store->told || files_left(1))
		return;
	store->told = true;
	log_warning("not every file whose code runs could be opened: too many open files (remedy: " FILES_REMEDY ")");
}

/* ---- the store ----------------------------------------------------------- */

static struct stored_dso *find_key(struct dso_store *store, const struct file_key *key)
{
	hash_each(&store->by_key, hash_bytes(key, sizeof(*key)), node) {
		struct stored_dso *d = container_of(node, struct stored_dso, node);

		if (same_key(&d->key, key))
			return d;
	}
	return NULL;
}

/* From now on the kernel side knows the file by number. */
static void announce(struct dso_store *store, struct stored_dso *d)
{
	if (!store->cache || !d->dso.table || d->dso.file || store->next_file >= MAX_FILES)
		return;
	d->dso.file = store->next_file++;
	store->by_number[d->dso.file] = d;
	if (store->files_fd >= 0 && bpf_map_update_elem(store->files_fd, &d->key, &d->dso.file, BPF_ANY))
		d->dso.file = 0;
}

static struct stored_dso *new_dso(struct dso_store *store, const struct file_key *key)
{
	struct stored_dso *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->key = *key;
	d->dso.reason = REASON_FILE_UNREADABLE;
	if (!hash_insert(&store->by_key, &d->node, hash_bytes(key, sizeof(*key)))) {
		free(d);
		return NULL;
	}
	return d;
}

/* Our own vdso is every 64-bit process's. */
static struct dso *vdso(struct dso_store *store)
{
	const void *image = (const void *)getauxval(AT_SYSINFO_EHDR);
	_cleanup_free_ unsigned char *copy = NULL;
	struct stored_dso *d;
	struct error *err;
	size_t size = 0, page = sysconf(_SC_PAGESIZE);
	unsigned char resident;

	if (store->vdso)
		return &store->vdso->dso;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	store->vdso = d;
	d->dso.reason = REASON_NO_UNWIND_INFO;
	while (image && size < VDSO_MAX && !mincore((char *)image + size, page, &resident))
		size += page;
	copy = size ? malloc(size) : NULL;
	if (!copy)
		return &d->dso;
	memcpy(copy, image, size);
	err = elf_file_open_memory(copy, size, "[vdso]", &d->elf);
	if (err) {
		log_debug("%s", err->text);
		error_free(err);
		return &d->dso;
	}
	open_table(d);
	if (d->dso.table)
		d->dso.file = FILE_VDSO;
	return &d->dso;
}

struct dso *dso_by_number(struct dso_store *store, uint32_t file)
{
	if (file == FILE_VDSO)
		return vdso(store);
	return file < MAX_FILES && store->by_number[file] ? &store->by_number[file]->dso : NULL;
}

static bool to_be_opened(const struct stored_dso *d)
{
	return d->dso.reason == REASON_FILE_UNREADABLE || d->dso.reason == REASON_FILE_CHANGED;
}

struct dso *dso_by_key(struct dso_store *store, const struct file_key *key, uint32_t pid, uint64_t start,
		       uint64_t end, const struct process_mapping *mapping)
{
	struct stored_dso *d = find_key(store, key);
	bool changed = false;
	struct stat st;
	int fd;

	if (!d)
		d = new_dso(store, key);
	/* A file that could not be had may be had through another process. */
	if (!d || !to_be_opened(d))
		return d ? &d->dso : NULL;
	fd = open_mapped(pid, start, end, &st);
	if (fd >= 0 && !same_content(key, &st)) {
		close(fd);	/* another file was mapped there meanwhile */
		fd = -1;
	}
	if (fd < 0 && mapping)
		fd = open_by_path(pid, mapping->path, key, &st, &changed);
	if (fd >= 0)
		open_elf(d, fd, mapping ? mapping->path : "mapped file");
	else
		d->dso.reason = changed ? REASON_FILE_CHANGED : REASON_FILE_UNREADABLE;
	if (fd < 0)
		tell_unopened(store);
	announce(store, d);
	return &d->dso;
}

/* Addresses and paths are reused: is this the file that the record meant? */
static bool is_mapped_file(const struct stored_dso *d, const struct process_mapping *mapping)
{
	unsigned char id[20] = { 0 };

	if (mapping->build_id_size)
		return d->elf && elf_file_build_id(d->elf, id) == mapping->build_id_size &&
		       !memcmp(id, mapping->build_id, mapping->build_id_size);
	return d->key.ino == mapping->ino && d->key.dev == (mapping->maj << 20 | mapping->min);
}

/* The file behind fd (consumed, may be -1), entered into the store, if it is the mapping's. */
static struct stored_dso *take_if_same(struct dso_store *store, int fd, const struct stat *st,
				       const struct process_mapping *mapping)
{
	struct stored_dso *d;
	struct file_key key;

	if (fd < 0)
		return NULL;
	key = key_of(st);
	d = find_key(store, &key);
	if (!d)
		d = new_dso(store, &key);
	if (d && to_be_opened(d))
		open_elf(d, steal_fd(&fd), mapping->path);
	if (fd >= 0)
		close(fd);
	return d && is_mapped_file(d, mapping) ? d : NULL;
}

struct dso *dso_by_mapping(struct dso_store *store, uint32_t pid, const struct process_mapping *mapping)
{
	struct stored_dso *d;
	bool changed = false;
	struct stat st;
	int fd;

	if (mapping->user)
		return mapping->user;
	if (!strcmp(mapping->path, "[vdso]"))
		return vdso(store);
	fd = open_mapped(pid, mapping->start, mapping->end, &st);
	d = take_if_same(store, fd, &st, mapping);
	if (!d)
		d = take_if_same(store, open_by_path(pid, mapping->path, NULL, &st, &changed), &st,
				 mapping);
	if (!d)
		tell_unopened(store);
	if (!d)
		return NULL;
	/* Where the kernel shows another inode than stat (overlay), this number is not used. */
	announce(store, d);
	process_mapping_set_user(mapping, &d->dso);
	return &d->dso;
}

static void load_around(struct dso_store *store, struct dso *dso, uint64_t offset)
{
	uint64_t start, end;
	struct error *err;

	/* Most of the window ahead: calls go both ways, but first visits mostly ascend. */
	start = offset > dso->window / 4 ? offset - dso->window / 4 : 0;
	end = start + dso->window;
	if (start < dso->text_start)
		start = dso->text_start;
	if (end > dso->text_end)
		end = dso->text_end;
	if (end <= offset)
		end = offset + 1;
	if (start > offset)
		start = offset;
	err = rule_cache_load(store->cache, dso->file, dso->table, start, end);
	if (err) {
		log_warning("cannot load unwind rules: %s", err->text);
		error_free(err);
	}
	if (dso->window < MAX_WINDOW)
		dso->window *= 2;
}

struct unwind_rule dso_rule(struct dso_store *store, struct dso *dso, uint64_t offset)
{
	struct unwind_rule rule;

	if (store->cache && dso->file) {
		if (rule_cache_find(store->cache, dso->file, offset, &rule)) {
			store->counts.hits++;
			return rule;
		}
		load_around(store, dso, offset);
	}
	store->counts.misses++;
	rule = unwind_table_rule(dso->table, offset);
	if (rule.cfa_kind == RULE_CFA_NONE && !dso->has_fdes)
		rule.cfa_kind = RULE_CFA_FP;
	return rule;
}

struct dso_rule_counts dso_rule_counts(const struct dso_store *store)
{
	return store->counts;
}
