/* SPDX-License-Identifier: MIT */
/* Running tools whose answers ours are compared with, and files for tests. */
#ifndef RETOUR_TESTS_COMMAND_H
#define RETOUR_TESTS_COMMAND_H

#include "test.h"

#include <stdarg.h>

__attribute__((format(printf, 2, 0)))
static inline void command_format(char *ret, const char *fmt, va_list args)
{
	CHECK(vsnprintf(ret, 4096, fmt, args) < 4096);
}

/* A pipe from a shell command. */
__attribute__((format(printf, 1, 2)))
static inline FILE *command_open(const char *fmt, ...)
{
	char command[4096];
	va_list args;
	FILE *pipe;

	va_start(args, fmt);
	command_format(command, fmt, args);
	va_end(args);
	pipe = popen(command, "r");
	CHECK(pipe);
	return pipe;
}

/* The exit status of a shell command, 0 if it succeeded. */
__attribute__((format(printf, 1, 2)))
static inline int command_status(const char *fmt, ...)
{
	char command[4096];
	va_list args;

	va_start(args, fmt);
	command_format(command, fmt, args);
	va_end(args);
	return system(command);
}

/* A shell command that must succeed. */
__attribute__((format(printf, 1, 2)))
static inline void command_run(const char *fmt, ...)
{
	char command[4096];
	va_list args;

	va_start(args, fmt);
	command_format(command, fmt, args);
	va_end(args);
	CHECK(system(command) == 0);
}

static inline void command_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	CHECK(file);
	CHECK(fputs(text, file) >= 0);
	CHECK(fclose(file) == 0);
}

/* The test program's environment names the files that the build made for it. */
static inline const char *fixture_path(const char *variable)
{
	const char *path = getenv(variable);

	if (!path)
		SKIP("the compiler for this fixture is not installed");
	return path;
}

#endif
