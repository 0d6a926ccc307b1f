/* SPDX-License-Identifier: MIT */
/* Tracepoints with fields of every kind: fires them with their extremes, and says with what. */
#include "program.h"

#include "retour/tracepoint.h"

#include <float.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum colour { RED, GREEN = 200 };
typedef short level;

RETOUR_TRACEPOINT(app, integers, (int8_t, s8), (uint8_t, u8), (int16_t, s16), (uint16_t, u16), (int32_t, s32),
		  (uint32_t, u32), (int64_t, s64), (uint64_t, u64), (long, l), (unsigned long long, ull));
RETOUR_TRACEPOINT(app, others, (bool, yes), (char, c), (enum colour, colour), (level, typedefed), (const volatile int, qualified),
		  (void *, pointer), (const struct colours *, other_pointer));
RETOUR_TRACEPOINT(app, reals, (float, single), (double, real), (long double, wide));
RETOUR_TRACEPOINT(app, strings, (const char *, first), (unsigned char, between), (char *, second), (char *const, third));
RETOUR_TRACEPOINT(app, twelve, (char, a), (char *, b), (short, c), (int, d), (char, e), (long, f), (char, g), (char, h),
		  (short, i), (const char *, j), (char, k), (bool, l));
RETOUR_TRACEPOINT(app, none);

static void say_string(const char *name, const char *text)
{
	printf(", \"%s\": \"", name);
	for (; *text; text++)
		printf("%02x", (unsigned char)*text);
	putchar('"');
}

static FRAME void integers(int64_t s, uint64_t u)
{
	trace_app_integers((int8_t)s, (uint8_t)u, (int16_t)s, (uint16_t)u, (int32_t)s, (uint32_t)u, s, u, s, u);
	printf("{\"event\": \"app:integers\", \"s8\": %d, \"u8\": %u, \"s16\": %d, \"u16\": %u, \"s32\": %d, \"u32\": %u, "
	       "\"s64\": %lld, \"u64\": %llu, \"l\": %lld, \"ull\": %llu}\n", (int8_t)s, (uint8_t)u, (int16_t)s, (uint16_t)u,
	       (int32_t)s, (uint32_t)u, (long long)s, (unsigned long long)u, (long long)s, (unsigned long long)u);
}

static FRAME void others(bool yes, char c, enum colour colour, void *pointer)
{
	trace_app_others(yes, c, colour, (level)-c, -c, pointer, pointer);
	printf("{\"event\": \"app:others\", \"yes\": %d, \"c\": %d, \"colour\": %d, \"typedefed\": %d, \"qualified\": %d, "
	       "\"pointer\": \"0x%llx\", \"other_pointer\": \"0x%llx\"}\n", yes, c, colour, -c, -c,
	       (unsigned long long)(uintptr_t)pointer, (unsigned long long)(uintptr_t)pointer);
}

static FRAME void reals(double real)
{
	float single = real > (double)FLT_MAX ? FLT_MAX : (float)real;

	trace_app_reals(single, real, real);
	printf("{\"event\": \"app:reals\", \"single\": %.17g, \"real\": %.17g, \"wide\": %.17g}\n", (double)single, real, real);
}

static FRAME void strings(const char *first, unsigned char between, const char *text)
{
	char second[5001];

	strcpy(second, text);
	trace_app_strings(first, between, second, NULL);
	printf("{\"event\": \"app:strings\", \"between\": %u, \"third\": \"%s\"", between, "286e756c6c29");
	say_string("first", first);
	say_string("second", second);
	puts("}");
}

static FRAME void twelve(long n, const char *text, const char *j)
{
	char b[100];

	strcpy(b, text);
	trace_app_twelve((char)n, b, (short)-n, (int)n, (char)n, -n, (char)n, (char)-n, (short)n, j, (char)n, n & 1);
	printf("{\"event\": \"app:twelve\", \"a\": %d, \"c\": %d, \"d\": %d, \"e\": %d, \"f\": %ld, \"g\": %d, \"h\": %d, "
	       "\"i\": %d, \"k\": %d, \"l\": %d", (char)n, (short)-n, (int)n, (char)n, -n, (char)n, (char)-n, (short)n, (char)n,
	       (int)(n & 1));
	say_string("b", b);
	say_string("j", j);
	puts("}");
}

static FRAME void long_string(size_t length)
{
	static char text[5001];

	memset(text, 'x', length);
	text[length] = '\0';
	strings("", (unsigned char)length, text);
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	for (int shift = 0; shift < 64; shift++)
		integers((int64_t)(UINT64_MAX << shift), UINT64_MAX >> shift);
	integers(INT64_MAX, 0);
	integers(0x7f7f7f7f7f7f7f7f, 0x8080808080808080);
	others(false, -128, RED, NULL);
	others(true, 127, GREEN, (void *)0xfedcba9876543210);
	reals(0);
	reals(-0.1);
	reals(DBL_MAX);
	reals(-DBL_MIN);
	reals(0x1.123456789abcdp-7);
	strings("", 255, "plain");
	strings("tab\t, quotes \"'`, 100% %s %d \\n {}[]=,;", 0, "\x01\x1b[31m\x7f\xff\xc0\x80 \xc3\xa9 \xe2\x82\xac");
	strings("two\nlines", 1, " ");
	for (size_t length = 0; length < 10; length++)
		long_string(length);
	long_string(4095);
	long_string(4096);
	long_string(5000);
	twelve(-100, "b", "");
	twelve(101, "", "a longer string");
	trace_app_none();
	puts("{\"event\": \"app:none\"}");
	return 0;
}
