/* SPDX-License-Identifier: MIT */
/*
 * A streaming JSON writer.  Values are written as they come; commas and
 * escapes are its business, balanced brackets the caller's.  Bytes that are
 * not UTF-8 become U+FFFD, so the output is valid whatever the names are.
 *
 *	struct json j = { .out = f };
 *	json_object(&j);
 *	json_key(&j, "samples"), json_u64(&j, 42);
 *	json_end_object(&j);
 */
#ifndef RETOUR_BASE_JSON_H
#define RETOUR_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	bool in_html;		/* '<', '>' and '&' are escaped: the text may stand inside <script> */
	unsigned int indent;	/* spaces a level down to depth 2; 0: one line */
	/* private */
	unsigned int depth;
	bool has_item;		/* in the innermost open bracket */
	bool after_key;
};

void json_object(struct json *json);
void json_end_object(struct json *json);
void json_array(struct json *json);
void json_end_array(struct json *json);
/* The key of the value that comes next. */
void json_key(struct json *json, const char *key);

/* NULL is written as null. */
void json_string(struct json *json, const char *s);
void json_u64(struct json *json, uint64_t value);
void json_i64(struct json *json, int64_t value);
/* A string of hex digits without 0x: JSON numbers are exact to 2^53 only. */
void json_hex(struct json *json, uint64_t value);
/* At most `digits` after the point; what JSON cannot say (NaN, infinity) is null. */
void json_double(struct json *json, double value, int digits);
/* With as many digits as tell it from every other; null as above. */
void json_real(struct json *json, double value);
void json_bool(struct json *json, bool value);
void json_null(struct json *json);

/* The length of the valid UTF-8 sequence at s, at most n bytes; 0 if there is none. */
size_t json_utf8_len(const char *s, size_t n);

#endif
