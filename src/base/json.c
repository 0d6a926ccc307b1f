/* SPDX-License-Identifier: MIT */
/* The JSON writer; see json.h. */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define INDENTED_LEVELS 2

static void new_line(struct json *json)
{
	if (!json->indent || json->depth > INDENTED_LEVELS)
		return;
	putc_unlocked('\n', json->out);
	for (unsigned int i = 0; i < json->depth * json->indent; i++)
		putc_unlocked(' ', json->out);
}

/* What stands before any value or key. */
static void separate(struct json *json)
{
	if (json->after_key) {
		json->after_key = false;
		return;
	}
	if (json->has_item)
		putc_unlocked(',', json->out);
	if (json->depth)
		new_line(json);
	json->has_item = true;
}

static void open_bracket(struct json *json, char c)
{
	separate(json);
	putc_unlocked(c, json->out);
	json->depth++;
	json->has_item = false;
}

static void close_bracket(struct json *json, char c)
{
	bool was_indented = json->depth <= INDENTED_LEVELS;

	json->depth--;
	if (json->has_item && was_indented)
		new_line(json);
	putc_unlocked(c, json->out);
	json->has_item = true;	/* the bracket itself */
}

void json_object(struct json *json)
{
	open_bracket(json, '{');
}

void json_end_object(struct json *json)
{
	close_bracket(json, '}');
}

void json_array(struct json *json)
{
	open_bracket(json, '[');
}

void json_end_array(struct json *json)
{
	close_bracket(json, ']');
}

size_t json_utf8_len(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and what lies above U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
		return 0;
	return len;
}

/* One ASCII character of a string. */
static void write_ascii(const struct json *json, unsigned char c)
{
	static const char short_escapes[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
					      ['"'] = '"', ['\\'] = '\\' };
	bool markup = json->in_html && (c == '<' || c == '>' || c == '&');

	if (c < sizeof(short_escapes) && short_escapes[c])
		fprintf(json->out, "\\%c", short_escapes[c]);
	else if (c < 0x20 || c == 0x7f || markup)
		fprintf(json->out, "\\u%04x", c);
	else
		putc_unlocked(c, json->out);
}

static void write_string(const struct json *json, const char *s)
{
	size_t left = strlen(s), len;

	putc_unlocked('"', json->out);
	for (; left; s += len, left -= len) {
		len = json_utf8_len(s, left);
		if (len == 0) {
			fputs("\xef\xbf\xbd", json->out);
			len = 1;
		} else if (len == 1) {
			write_ascii(json, (unsigned char)*s);
		} else {
			fwrite_unlocked(s, 1, len, json->out);
		}
	}
	putc_unlocked('"', json->out);
}

void json_key(struct json *json, const char *key)
{
	separate(json);
	write_string(json, key);
	putc_unlocked(':', json->out);
	if (json->indent)
		putc_unlocked(' ', json->out);
	json->after_key = true;
}

void json_string(struct json *json, const char *s)
{
	if (!s) {
		json_null(json);
		return;
	}
	separate(json);
	write_string(json, s);
}

/* As printf would, several times faster: scripts get one number a frame. */
static void write_number(FILE *out, uint64_t value, unsigned int base)
{
	char text[24], *p = text + sizeof(text);

	do {
		*--p = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	fwrite_unlocked(p, 1, (size_t)(text + sizeof(text) - p), out);
}

void json_u64(struct json *json, uint64_t value)
{
	separate(json);
	write_number(json->out, value, 10);
}

void json_hex(struct json *json, uint64_t value)
{
	separate(json);
	putc_unlocked('"', json->out);
	write_number(json->out, value, 16);
	putc_unlocked('"', json->out);
}

void json_i64(struct json *json, int64_t value)
{
	separate(json);
	fprintf(json->out, "%" PRId64, value);
}

void json_real(struct json *json, double value)
{
	if (!isfinite(value)) {
		json_null(json);
		return;
	}
	separate(json);
	fprintf(json->out, "%.17g", value);
}

void json_double(struct json *json, double value, int digits)
{
	char text[352];
	size_t len;

	if (!isfinite(value)) {
		json_null(json);
		return;
	}
	separate(json);
	snprintf(text, sizeof(text), "%.*f", digits, value);
	len = strlen(text);
	if (strchr(text, '.')) {
		while (text[len - 1] == '0')
			len--;
		if (text[len - 1] == '.')
			len--;
	}
	fwrite(text, 1, len, json->out);
}

void json_bool(struct json *json, bool value)
{
	separate(json);
	fputs(value ? "true" : "false", json->out);
}

void json_null(struct json *json)
{
	separate(json);
	fputs("null", json->out);
}
