/* SPDX-License-Identifier: MIT */
/* Text files of one record a line. */
#include "symbol/text_lines.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

#define BUFFER_SIZE (64u << 10)

struct line_buffer {
	char *data;
	size_t len;
	bool overlong;		/* what is in data so far is the rest of a line that was too long */
};

/* Hands out the whole lines and keeps the rest. */
static struct error *take_lines(struct line_buffer *buffer, text_line_fn fn, void *arg, uint64_t *used)
{
	char *line = buffer->data, *end = buffer->data + buffer->len, *newline;

	while ((newline = memchr(line, '\n', end - line))) {
		struct error *err = buffer->overlong ? NULL : fn(line, newline, arg);

		if (err)
			return err;
		buffer->overlong = false;
		line = newline + 1;
	}
	*used = line - buffer->data;
	buffer->len = end - line;
	memmove(buffer->data, line, buffer->len);
	return NULL;
}

struct error *text_each_line(int fd, uint64_t max_bytes, text_line_fn fn, void *arg, uint64_t *ret)
{
	_cleanup_free_ char *data = malloc(BUFFER_SIZE);
	struct line_buffer buffer = { .data = data };
	uint64_t total = 0, whole = 0, used;
	ssize_t n;

	if (!data)
		return error_nomem();
	while (total < max_bytes && (n = read(fd, data + buffer.len, BUFFER_SIZE - buffer.len))) {
		uint64_t before = total - buffer.len;

		if (n < 0)
			return error_errno(errno, "read");
		total += n;
		buffer.len += n;
		struct error *err = take_lines(&buffer, fn, arg, &used);

		if (err)
			return err;
		if (used)
			whole = before + used;
		if (buffer.len == BUFFER_SIZE) {
			buffer.overlong = true;
			buffer.len = 0;
		}
	}
	*ret = whole;
	return NULL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_hex(const char **p, const char *end, uint64_t *ret)
{
	const char *at = *p;
	uint64_t value = 0;
	int digit;

	for (; at < end && (digit = hex_digit(*at)) >= 0; at++) {
		if (value >> 60)
			return false;
		value = value << 4 | (unsigned int)digit;
	}
	if (at == *p)
		return false;
	*p = at;
	*ret = value;
	return true;
}
