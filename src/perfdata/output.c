/* SPDX-License-Identifier: MIT */
/* The buffer between records and file; see output.h. */
#include "perfdata/output.h"

#include "base/cleanup.h"
#include "perfdata/format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct error *output_open(struct output *output, const char *path)
{
	bool standard = !strcmp(path, "-");

	*output = (struct output){ .fd = -1, .path = strdup(path), .buffer = malloc(OUTPUT_BUFFER_SIZE) };
	if (!output->path || !output->buffer)
		return error_nomem();
	if (standard)
		output->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	else
		output->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (output->fd < 0)
		return error_errno(errno, "%s: cannot create", path);
	output->stream = standard || lseek(output->fd, 0, SEEK_CUR) < 0;
	return NULL;
}

void output_close(struct output *output)
{
	closep(&output->fd);
	free(output->path);
	free(output->buffer);
}

static size_t write_all(int fd, const unsigned char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(fd, data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* How much of the first `size` bytes of the buffer are whole records. */
static size_t whole_records(const struct output *output, size_t size)
{
	struct perf_event_header header;
	size_t at = 0;

	while (at + sizeof(header) <= size) {
		memcpy(&header, output->buffer + at, sizeof(header));
		if (header.size < sizeof(header) || header.size > size - at)
			break;
		at += header.size;
	}
	return at;
}

static struct error *patch_size(const struct output *output)
{
	uint64_t size = output->written - output->data_start;

	if (output->stream || !output->data_start)
		return NULL;
	return output_patch(output, offsetof(struct format_header, data.size), &size, sizeof(size));
}

struct error *output_flush(struct output *output)
{
	size_t size = output->used, done;
	int code;

	if (output->failed)
		return error_new(EIO, "%s: an earlier write had failed", output->path);
	done = write_all(output->fd, output->buffer, size);
	code = errno;
	output->written += done;
	output->used = 0;
	if (done == size)
		return size ? patch_size(output) : NULL;
	output->failed = true;
	if (!output->stream && output->data_start) {
		uint64_t end = output->written - done + whole_records(output, done);

		/* If this fails too, readers drop the half record. */
		if (!ftruncate(output->fd, (off_t)end))
			output->written = end;
		error_free(patch_size(output));
	}
	return error_errno(code, "%s: cannot write", output->path);
}

struct error *output_reserve(struct output *output, size_t size, unsigned char **ret)
{
	if (output->failed || size > OUTPUT_BUFFER_SIZE - output->used) {
		struct error *err = output_flush(output);

		if (err)
			return err;
	}
	*ret = output->buffer + output->used;
	output->used += size;
	return NULL;
}

struct error *output_append(struct output *output, const void *data, size_t size)
{
	const unsigned char *from = data;

	while (size) {
		size_t part = size < OUTPUT_BUFFER_SIZE ? size : OUTPUT_BUFFER_SIZE;
		unsigned char *to;
		struct error *err = output_reserve(output, part, &to);

		if (err)
			return err;
		memcpy(to, from, part);
		from += part;
		size -= part;
	}
	return NULL;
}

struct error *output_patch(const struct output *output, uint64_t offset, const void *data, size_t size)
{
	if (pwrite(output->fd, data, size, (off_t)offset) != (ssize_t)size)
		return error_errno(errno, "%s: cannot write the header", output->path);
	return NULL;
}

void put_header(struct put *put, uint32_t type, uint16_t misc, size_t size)
{
	struct perf_event_header header = { .type = type, .misc = misc, .size = (uint16_t)size };

	put_bytes(put, &header, sizeof(header));
}
