/* SPDX-License-Identifier: MIT */
/*
 * Which file is the one that was mapped.  A path alone says little: the file
 * may be replaced or deleted since, or may lie in another root.  The build ID
 * decides where it is known; a wrong file would give wrong names.
 */
#include "symbol/dso_file.h"

#include "symbol/target_file.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#define DELETED " (deleted)"

/* What the kernel calls a mapping that no file we could open is behind. */
static bool is_anonymous(const char *path)
{
	static const char *const prefixes[] = {
		"//anon", "/memfd:", "/dev/zero", "/SYSV", "/anon_hugepage", "/[aio]", "/i915",
	};

	if (path[0] != '/')
		return true;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		if (!strncmp(path, prefixes[i], strlen(prefixes[i])))
			return true;
	}
	return false;
}

/* IDs are compared with zeros behind them: perf.data stores short ones so. */
static struct error *check_build_id(const struct symbol_dso_key *key, const struct elf_file *file)
{
	unsigned char wanted[20] = {0}, found[20] = {0};

	if (!key->build_id_size)
		return NULL;
	memcpy(wanted, key->build_id, key->build_id_size < 20 ? key->build_id_size : 20);
	if (elf_file_build_id(file, found) && !memcmp(wanted, found, sizeof(wanted)))
		return NULL;
	return error_new(ESTALE, "file changed (build ID differs)");
}

/* fd: consumed; negative: -errno. */
static struct error *open_checked(int fd, const char *path, const struct symbol_dso_key *key,
				  struct elf_file **ret)
{
	_cleanup_(elf_file_closep) struct elf_file *file = NULL;
	struct error *err;

	switch (fd) {
	case -ENOENT:
		return error_new(ENOENT, "file not found");
	case -EINVAL:
		return error_new(EINVAL, "not a regular file");
	}
	if (fd < 0)
		return error_errno(-fd, "file not readable");
	err = elf_file_open_fd(fd, path, &file);
	if (!err)
		err = check_build_id(key, file);
	if (!err)
		*ret = steal_ptr(file);
	return err;
}

static int open_on_host(const char *path)
{
	_cleanup_close_ int root = target_root_open(0);

	return root < 0 ? root : target_file_open(root, path);
}

/* Keeps the error that says most: a file that changed over one that is not there. */
static void keep_worse(struct error **kept, struct error *err)
{
	if (*kept && ((*kept)->code == ESTALE || err->code != ESTALE)) {
		error_free(err);
		return;
	}
	error_free(*kept);
	*kept = err;
}

/* With a build ID there is no risk in trying several places. */
static struct error *open_path(const struct symbol_dso_key *key, const char *path, int root,
			       struct elf_file **ret)
{
	struct error *kept = NULL;
	int places = key->build_id_size && key->pid ? 3 : 1;

	for (int place = 0; place < places; place++) {
		int fd = place == 0 ? target_file_open(root, path) :
			 place == 1 ? target_mapped_file_open(key->pid, path) : open_on_host(path);
		struct error *err = open_checked(fd, path, key, ret);

		if (!err) {
			error_free(kept);
			return NULL;
		}
		keep_worse(&kept, err);
	}
	return kept;
}

static size_t vdso_size(uintptr_t start)
{
	_cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "re");
	_cleanup_free_ char *line = NULL;
	unsigned long from, to;
	size_t size = 0;

	while (maps && getline(&line, &size, maps) > 0) {
		if (sscanf(line, "%lx-%lx", &from, &to) == 2 && from == start)
			return to - from;
	}
	return 0;
}

/* Our own: every process of a boot and word size has the same. */
static struct error *open_vdso(const struct symbol_dso_key *key, struct elf_file **ret)
{
	_cleanup_(elf_file_closep) struct elf_file *file = NULL;
	uintptr_t start = getauxval(AT_SYSINFO_EHDR);
	size_t size = start ? vdso_size(start) : 0;
	struct error *err;

	if (!size)
		return error_new(ENOENT, "no vdso here");
	err = elf_file_open_memory((const void *)start, size, key->path, &file);
	if (!err)
		err = check_build_id(key, file);
	if (!err)
		*ret = steal_ptr(file);
	return err;
}

struct error *dso_file_open(const struct symbol_dso_key *key, int root, struct elf_file **ret)
{
	_cleanup_free_ char *path = strdup(key->path);
	size_t len;

	if (!path)
		return error_nomem();
	if (!strcmp(path, "[vdso]"))
		return open_vdso(key, ret);
	if (is_anonymous(path))
		return error_new(ENOENT, "not backed by a file");
	len = strlen(path);
	if (len > strlen(DELETED) && !strcmp(path + len - strlen(DELETED), DELETED)) {
		if (!key->build_id_size)
			return error_new(ENOENT, "file deleted");
		path[len - strlen(DELETED)] = '\0';
	}
	return open_path(key, path, root, ret);
}
