/* SPDX-License-Identifier: MIT */
/* How verbs speak: errors with hints, output files, terminals, JSON strings. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_line(const char *prefix, const char *fmt, va_list ap)
{
	fputs(prefix, stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void cli_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(cli_has_colour(stderr) ? "\033[1;31mretour:\033[0m " : "retour: ", fmt, ap);
	va_end(ap);
}

void cli_hint(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line("  hint: ", fmt, ap);
	va_end(ap);
}

int cli_fail(struct error *err)
{
	cli_error("%s", err->text);
	error_free(err);
	return CLI_FAILED;
}

struct error *cli_open_output(const char *path, FILE **ret)
{
	FILE *out;

	if (!strcmp(path, "-")) {
		*ret = stdout;
		return NULL;
	}
	out = fopen(path, "we");
	if (!out)
		return error_errno(errno, "cannot write %s", path);
	*ret = out;
	return NULL;
}

struct error *cli_close_output(const char *path, FILE *out)
{
	bool failed = ferror(out);
	int code = 0;

	if ((out == stdout ? fflush(out) : fclose(out)) != 0) {
		failed = true;
		code = errno;
	}
	return failed ? error_errno(code ? code : EIO, "cannot write %s", path) : NULL;
}

bool cli_is_terminal(FILE *out)
{
	const char *term = getenv("TERM");

	return isatty(fileno(out)) && term && strcmp(term, "dumb");
}

bool cli_has_colour(FILE *out)
{
	const char *no_colour = getenv("NO_COLOR");

	return cli_is_terminal(out) && !(no_colour && *no_colour);
}

/* The length of the UTF-8 sequence at s, 0 if it is none. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

void cli_json_string(FILE *out, const char *s)
{
	if (!s) {
		fputs("null", out);
		return;
	}
	putc('"', out);
	for (const unsigned char *p = (const unsigned char *)s; *p;) {
		size_t n = utf8_length(p);

		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p < 0x20)
			fprintf(out, "\\u%04x", *p);
		else if (n)
			fwrite(p, 1, n, out);
		else
			fputs("\\ufffd", out);
		p += n ? n : 1;
	}
	putc('"', out);
}
