/* SPDX-License-Identifier: MIT */
/* Text for terminals; see text.h. */
#include "export/text.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"
#define ELLIPSIS "\xe2\x80\xa6"

/* The bytes of the next character; *safe: it may be shown. */
static size_t next_character(const char *s, bool *safe)
{
	size_t len = json_utf8_len(s, strlen(s) < 4 ? strlen(s) : 4);
	unsigned char c = (unsigned char)s[0];

	/* C0, DEL, and C1 (U+0080 to U+009F) can steer a terminal. */
	*safe = len > 0 && c >= 0x20 && c != 0x7f && !(c == 0xc2 && (unsigned char)s[1] < 0xa0);
	return len ? len : 1;
}

static unsigned int put(FILE *out, const char *s, unsigned int columns)
{
	unsigned int used = 0;

	while (*s && used < columns) {
		bool safe;
		size_t len = next_character(s, &safe);

		if (safe)
			fwrite(s, 1, len, out);
		else
			fputs(REPLACEMENT, out);
		s += len;
		used++;
	}
	return used;
}

static unsigned int count_columns(const char *s, unsigned int max)
{
	unsigned int n = 0;
	bool safe;

	for (; *s && n < max; n++)
		s += next_character(s, &safe);
	return n;
}

unsigned int text_put(FILE *out, const char *s)
{
	return put(out, s, UINT32_MAX);
}

void text_column(FILE *out, const char *s, unsigned int columns, int pad)
{
	unsigned int want = count_columns(s, columns + 1), used;

	if (want <= columns) {
		used = put(out, s, columns);
	} else if (columns > 0) {
		used = put(out, s, columns - 1) + 1;
		fputs(ELLIPSIS, out);
	} else {
		used = 0;
	}
	if (pad)
		fprintf(out, "%*s", (int)(columns - used), "");
}

static char *next_buffer(void)
{
	static char buffers[8][40];
	static unsigned int next;

	return buffers[next++ % 8];
}

const char *text_count(uint64_t n)
{
	char digits[24], *text = next_buffer(), *p = text;
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*p++ = ',';
		*p++ = digits[i];
	}
	*p = '\0';
	return text;
}

const char *text_bytes(uint64_t n)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double value = (double)n;
	char *text = next_buffer();
	size_t unit = 0;

	for (; value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		value /= 1000;
	snprintf(text, 40, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

double text_percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}
