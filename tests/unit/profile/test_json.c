/* SPDX-License-Identifier: MIT */
/* The JSON writer: commas, escapes, numbers. */
#include "test.h"

#include "base/json.h"

#include <math.h>

static char *text;
static size_t text_size;

static struct json begin(void)
{
	free(text);
	return (struct json){ .out = open_memstream(&text, &text_size) };
}

static const char *end(const struct json *j)
{
	fclose(j->out);
	return text;
}

TEST(places_commas)
{
	struct json j = begin();

	json_object(&j);
	json_key(&j, "a"), json_u64(&j, 1);
	json_key(&j, "b"), json_array(&j);
	json_object(&j), json_end_object(&j);
	json_array(&j), json_end_array(&j);
	json_bool(&j, true);
	json_null(&j);
	json_end_array(&j);
	json_key(&j, "c"), json_string(&j, NULL);
	json_end_object(&j);
	CHECK_STR(end(&j), "{\"a\":1,\"b\":[{},[],true,null],\"c\":null}");
}

TEST(escapes_strings)
{
	struct json j = begin();

	json_string(&j, "q\" b\\ n\n t\t \x01 \x7f </script>");
	CHECK_STR(end(&j), "\"q\\\" b\\\\ n\\n t\\t \\u0001 \\u007f </script>\"");
	j = begin();
	j.in_html = true;
	json_string(&j, "</script><!--&");
	CHECK_STR(end(&j), "\"\\u003c/script\\u003e\\u003c!--\\u0026\"");
}

TEST(replaces_what_is_not_utf8)
{
	struct json j = begin();

	/* valid 2, 3, 4 bytes; stray continuation; overlong; surrogate; too high; cut */
	json_string(&j, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\xa5|\x80|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82");
#define R "\xef\xbf\xbd"
	CHECK_STR(end(&j), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\xa5|" R "|" R R "|" R R R "|" R R R R "|" R R "\"");
}

TEST(writes_numbers)
{
	struct json j = begin();

	json_array(&j);
	json_u64(&j, 0);
	json_u64(&j, UINT64_MAX);
	json_hex(&j, 0xdeadbeefcafe);
	json_real(&j, -0x1p-1022);
	json_real(&j, 0.1);
	json_real(&j, INFINITY);
	json_double(&j, 5.0, 3);
	json_double(&j, 100, 0);
	json_double(&j, 0.125, 9);
	json_double(&j, NAN, 3);
	json_double(&j, -INFINITY, 3);
	json_end_array(&j);
	CHECK_STR(end(&j), "[0,18446744073709551615,\"deadbeefcafe\",-2.2250738585072014e-308,0.10000000000000001,null,5,100,0.125,null,null]");
}

TEST(indents_the_upper_levels)
{
	struct json j = begin();

	j.indent = 2;
	json_object(&j);
	json_key(&j, "a"), json_array(&j);
	json_array(&j), json_u64(&j, 1), json_u64(&j, 2), json_end_array(&j);
	json_end_array(&j);
	json_key(&j, "b"), json_object(&j), json_end_object(&j);
	json_end_object(&j);
	CHECK_STR(end(&j), "{\n  \"a\": [\n    [1,2]\n  ],\n  \"b\": {}\n}");
}

TEST(nests_deep)
{
	struct json j = begin();

	for (int i = 0; i < 200; i++)
		json_array(&j);
	for (int i = 0; i < 200; i++)
		json_end_array(&j);
	end(&j);
	CHECK(text_size == 400);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
