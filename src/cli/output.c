/* SPDX-License-Identifier: MIT */
/* How verbs speak: errors, output files, terminals. */
#include "cli/cli.h"

#include "cli/limits.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void cli_error(const char *fmt, ...)
{
	va_list ap;

	fputs(cli_has_colour(stderr) ? "\033[1;31mretour:\033[0m " : "retour: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int cli_fail(struct error *err)
{
	const char *remedy = limit_remedy(err->code);

	if (remedy && !strstr(err->text, "(remedy: "))
		cli_error("%s (remedy: %s)", err->text, remedy);
	else
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

unsigned int cli_width(FILE *out)
{
	struct winsize size;

	return cli_is_terminal(out) && !ioctl(fileno(out), TIOCGWINSZ, &size) ? size.ws_col : 0;
}
