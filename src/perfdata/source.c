/* SPDX-License-Identifier: MIT */
/* Bytes by pread, with read-ahead; see source.h. */
#include "perfdata/source.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW_SIZE (1u << 20)

static struct error *spool(int from, const char *path, int *ret)
{
	const char *dir = getenv("TMPDIR") ?: "/tmp";
	_cleanup_close_ int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	_cleanup_free_ unsigned char *buffer = malloc(WINDOW_SIZE);
	ssize_t n;

	if (fd < 0)
		return error_errno(errno, "%s: cannot create a temporary file for it in %s", path, dir);
	if (!buffer)
		return error_nomem();
	while ((n = read(from, buffer, WINDOW_SIZE)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(errno, "%s: cannot read", path);
		for (ssize_t done = 0, part; done < n; done += part) {
			part = write(fd, buffer + done, (size_t)(n - done));
			if (part < 0)
				return error_errno(errno, "%s: cannot write its temporary copy", path);
		}
	}
	*ret = steal_fd(&fd);
	return NULL;
}

struct error *source_open(struct source *source, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (!strcmp(path, "-"))
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	else
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return error_errno(errno, "%s: cannot open", path);
	if (S_ISDIR(st.st_mode))
		return error_new(EISDIR, "%s: is a directory, not a recording", path);
	if (!S_ISREG(st.st_mode)) {
		int copy = -1;
		struct error *err = spool(fd, path, &copy);

		if (err)
			return err;
		close(fd);
		fd = copy;
		if (fstat(fd, &st))
			return error_errno(errno, "%s: cannot read its temporary copy", path);
	}
	unsigned char *window = malloc(WINDOW_SIZE);
	unsigned char *single = malloc(SOURCE_VIEW_MAX);

	if (!window || !single) {
		free(window);
		free(single);
		return error_nomem();
	}
	*source = (struct source){
		.fd = steal_fd(&fd), .size = (uint64_t)st.st_size, .window = window, .single = single,
	};
	return NULL;
}

void source_close(struct source *source)
{
	if (source->window)
		close(source->fd);
	free(source->window);
	free(source->single);
	*source = (struct source){ .fd = -1 };
}

static size_t read_some(const struct source *source, uint64_t offset, unsigned char *buffer, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(source->fd, buffer + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

bool source_read(const struct source *source, uint64_t offset, void *buffer, size_t size)
{
	if (offset > source->size || size > source->size - offset)
		return false;
	return read_some(source, offset, buffer, size) == size;
}

static bool in_window(const struct source *source, uint64_t offset, size_t size)
{
	return offset >= source->window_start && size <= source->window_len &&
	       offset - source->window_start <= source->window_len - size;
}

/*
 * Records in order of time come mostly in order of offset too.  A view a
 * little ahead of the last one moves the window there; a jump reads what it
 * needs and no more, so that any order costs one small read a record at most.
 */
const unsigned char *source_view(struct source *source, uint64_t offset, size_t size)
{
	bool near = offset - source->last < WINDOW_SIZE;

	if (size > SOURCE_VIEW_MAX || offset > source->size || size > source->size - offset)
		return NULL;
	source->last = offset;
	if (!in_window(source, offset, size) && near) {
		source->window_start = offset;
		source->window_len = read_some(source, offset, source->window, WINDOW_SIZE);
	}
	if (in_window(source, offset, size))
		return source->window + (offset - source->window_start);
	return read_some(source, offset, source->single, size) == size ? source->single : NULL;
}
