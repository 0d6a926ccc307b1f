/* SPDX-License-Identifier: MIT */
/* Text for terminals: names from recordings are hostile, and columns are counted in characters. */
#ifndef RETOUR_EXPORT_TEXT_H
#define RETOUR_EXPORT_TEXT_H

#include <stdint.h>
#include <stdio.h>

/* Writes s without control characters, each bad byte as U+FFFD; returns the columns. */
unsigned int text_put(FILE *out, const char *s);
/* As text_put(), at most `columns` wide, the end cut off with an ellipsis, and padded up to it if pad. */
void text_column(FILE *out, const char *s, unsigned int columns, int pad);
/* 1234567 as "1,234,567", in static storage of a few calls. */
const char *text_count(uint64_t n);
/* "12.3 kB", likewise. */
const char *text_bytes(uint64_t n);
double text_percent(uint64_t part, uint64_t whole);

#endif
