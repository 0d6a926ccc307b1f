/* SPDX-License-Identifier: MIT */
/* The error object; see error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct error out_of_memory = { ENOMEM, (char *)"out of memory" };

struct error *error_nomem(void)
{
	return &out_of_memory;
}

/* Takes ownership of text, which may be NULL. */
static struct error *error_make(int code, char *text)
{
	struct error *err = text ? malloc(sizeof(*err)) : NULL;

	if (!err) {
		free(text);
		return error_nomem();
	}
	*err = (struct error){ .code = code, .text = text };
	return err;
}

static char *vformat(const char *fmt, va_list ap)
{
	char *text = NULL;

	return vasprintf(&text, fmt, ap) < 0 ? NULL : text;
}

/* "a: b", consuming a; NULL without memory. */
static char *join(char *a, const char *b)
{
	char *text = NULL;

	if (a && asprintf(&text, "%s: %s", a, b) < 0)
		text = NULL;
	free(a);
	return text;
}

struct error *error_new(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *text = vformat(fmt, ap);
	va_end(ap);
	return error_make(code, text);
}

struct error *error_errno(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *text = vformat(fmt, ap);
	va_end(ap);
	return error_make(code, join(text, strerror(code)));
}

struct error *error_wrap(struct error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *text = join(vformat(fmt, ap), err->text);
	va_end(ap);

	struct error *wrapped = error_make(err->code, text);

	error_free(err);
	return wrapped;
}

void error_free(struct error *err)
{
	if (!err || err == &out_of_memory)
		return;
	free(err->text);
	free(err);
}
