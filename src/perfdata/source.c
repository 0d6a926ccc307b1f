/* SPDX-License-Identifier: MIT */
/*
 * Bytes by pread through a cache of blocks; see source.h.
 *
 * Records in order of time jump to and fro between the chunks that each CPU's
 * ring was written in: a cache with a block for each of many CPUs makes that
 * as cheap as reading in order.
 */
#include "perfdata/source.h"

#include "base/cleanup.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPOOL_SIZE (1u << 16)

static struct error *spool(int from, const char *path, int *ret)
{
	const char *dir = getenv("TMPDIR") ?: "/tmp";
	_cleanup_close_ int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	_cleanup_free_ unsigned char *buffer = malloc(SPOOL_SIZE);
	ssize_t n;

	if (fd < 0)
		return error_errno(errno, "%s: cannot create a temporary file for it in %s", path, dir);
	if (!buffer)
		return error_nomem();
	while ((n = read(from, buffer, SPOOL_SIZE)) != 0) {
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

	*source = (struct source){ .fd = -1 };
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
	source->view = malloc(SOURCE_VIEW_MAX);
	if (!source->view)
		return error_nomem();
	source->fd = steal_fd(&fd);
	source->size = (uint64_t)st.st_size;
	return NULL;
}

void source_close(struct source *source)
{
	if (source->view)
		close(source->fd);
	for (size_t i = 0; i < SOURCE_SETS * SOURCE_WAYS; i++)
		free(source->blocks[i / SOURCE_WAYS][i % SOURCE_WAYS].data);
	free(source->view);
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

/* The cached block, or the least recently used of its set with the new content; NULL without memory. */
static const struct source_block *get_block(struct source *source, uint64_t number)
{
	struct source_block *set = source->blocks[hash_u64(number) % SOURCE_SETS], *victim = set;

	for (struct source_block *block = set; block < set + SOURCE_WAYS; block++) {
		if (block->data && block->number == number) {
			block->last_use = ++source->clock;
			return block;
		}
		if (block->last_use < victim->last_use)
			victim = block;
	}
	if (!victim->data)
		victim->data = malloc(SOURCE_BLOCK_SIZE);
	if (!victim->data)
		return NULL;
	victim->number = number;
	victim->last_use = ++source->clock;
	victim->len = read_some(source, number * SOURCE_BLOCK_SIZE, victim->data, SOURCE_BLOCK_SIZE);
	return victim;
}

const unsigned char *source_view(struct source *source, uint64_t offset, size_t size)
{
	if (size > SOURCE_VIEW_MAX || offset > source->size || size > source->size - offset)
		return NULL;
	for (size_t done = 0, part; done < size; done += part) {
		const struct source_block *block = get_block(source, (offset + done) / SOURCE_BLOCK_SIZE);
		size_t at = (offset + done) % SOURCE_BLOCK_SIZE;

		if (!block || at >= block->len)
			return NULL;
		part = block->len - at < size - done ? block->len - at : size - done;
		memcpy(source->view + done, block->data + at, part);
	}
	return source->view;
}
