/* SPDX-License-Identifier: MIT */
/* Files as a process sees them, without trusting it. */
#include "symbol/target_file.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

int target_root_open(uint32_t pid)
{
	char path[32];
	int fd = -1;

	if (pid) {
		snprintf(path, sizeof(path), "/proc/%" PRIu32 "/root", pid);
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int only_regular(int fd)
{
	struct stat st;
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -EINVAL;
	if (!err)
		return fd;
	close(fd);
	return err;
}

int target_file_open(int root, const char *path)
{
	/* Links, absolute ones too, are followed as the process would, and never leave its root. */
	struct open_how how = { .flags = OPEN_FLAGS, .resolve = RESOLVE_IN_ROOT };

	return only_regular(syscall(SYS_openat2, root, path, &how, sizeof(how)));
}

/* "start-end perms offset dev inode   path": the path, or NULL. */
static const char *maps_path(char *line, unsigned long *start, unsigned long *end)
{
	int at = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", start, end, &at) < 2 || !at || line[at] != '/')
		return NULL;
	return line + at;
}

int target_mapped_file_open(uint32_t pid, const char *path)
{
	_cleanup_fclose_ FILE *maps = NULL;
	_cleanup_free_ char *line = NULL;
	unsigned long start, end;
	size_t size = 0, len = strlen(path);
	char name[80];

	snprintf(name, sizeof(name), "/proc/%" PRIu32 "/maps", pid);
	maps = fopen(name, "re");
	if (!maps)
		return -errno;
	while (getline(&line, &size, maps) > 0) {
		const char *mapped = maps_path(line, &start, &end);

		if (!mapped || strncmp(mapped, path, len) || (mapped[len] && strcmp(mapped + len, " (deleted)")))
			continue;
		snprintf(name, sizeof(name), "/proc/%" PRIu32 "/map_files/%lx-%lx", pid, start, end);
		return only_regular(open(name, OPEN_FLAGS));
	}
	return -ENOENT;
}
