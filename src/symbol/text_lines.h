/* SPDX-License-Identifier: MIT */
/* Text files of one record a line, read from an fd in big pieces. */
#ifndef RETOUR_SYMBOL_TEXT_LINES_H
#define RETOUR_SYMBOL_TEXT_LINES_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* line is not terminated: end points behind its last byte, where the newline was. */
typedef struct error *(*text_line_fn)(const char *line, const char *end, void *arg);

/*
 * Calls fn for every whole line from the fd's position on, at most max_bytes;
 * lines longer than 64 KiB are left out.  *ret: bytes up to the last newline.
 */
ERROR_CHECK struct error *text_each_line(int fd, uint64_t max_bytes, text_line_fn fn, void *arg, uint64_t *ret);
/* A hexadecimal number at *p, which moves behind it; false if there is none or it is too large. */
bool text_hex(const char **p, const char *end, uint64_t *ret);

#endif
