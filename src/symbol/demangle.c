/* SPDX-License-Identifier: MIT */
/*
 * Demangling over libiberty, fenced in: a mangled name of a few hundred bytes
 * can stand for gigabytes of text (substitutions of substitutions), and deep
 * nesting costs stack.
 */
#include "symbol/demangle.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

/* libiberty's own recursion limit refuses C++ names above 1 KiB; this is ours in its place. */
#define MAX_RAW 4096
#define MAX_TEXT 16384

struct text {
	size_t len;
	jmp_buf too_long;
	char data[MAX_TEXT + 1];
};

/*
 * There is no way to ask libiberty to stop, and the rest may take years: leave
 * by longjmp().  Its callback interface keeps everything on the stack, so
 * nothing leaks.
 */
static void append(const char *s, size_t len, void *arg)
{
	struct text *text = arg;

	if (len > MAX_TEXT - text->len)
		longjmp(text->too_long, 1);
	if (len)	/* s may be NULL otherwise */
		memcpy(text->data + text->len, s, len);
	text->len += len;
}

bool demangle_wanted(const char *raw)
{
	return raw[0] == '_' && (raw[1] == 'Z' || raw[1] == 'R' || !strncmp(raw, "_GLOBAL_", 8));
}

char *demangle(const char *raw)
{
	struct text text;

	if (!demangle_wanted(raw) || strnlen(raw, MAX_RAW + 1) > MAX_RAW)
		return NULL;
	if (setjmp(text.too_long))
		return NULL;
	text.len = 0;
	if (!rust_demangle_callback(raw, DMGL_NO_OPTS, append, &text)) {
		text.len = 0;
		if (!cplus_demangle_v3_callback(raw, DMGL_NO_RECURSE_LIMIT, append, &text))
			return NULL;
	}
	text.data[text.len] = '\0';
	return text.len ? strdup(text.data) : NULL;
}
