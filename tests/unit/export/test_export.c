/* SPDX-License-Identifier: MIT */
/* What the exporters write about the synthetic recording. */
#include "test.h"

#include "synthetic.h"

#include "export/diff.h"
#include "export/export.h"
#include "export/script.h"
#include "export/text.h"

#define K "[kernel+0xffff800000000020]_[k];[kernel+0xffff800000000010]_[k]"

static char path[64];

static struct profile *load(const struct profile_options *options)
{
	struct profile *profile;

	snprintf(path, sizeof(path), "/tmp/retour-test-export-%d.data", getpid());
	synthetic_write(path);
	CHECK_OK(profile_load(path, options, &profile));
	unlink(path);
	return profile;
}

/* The texts of a test stay until its process ends. */
static char *keep(char *text)
{
	static char *texts[8];
	static size_t n;

	CHECK(n < sizeof(texts) / sizeof(texts[0]));
	return texts[n++] = text;
}

static char *export_with(export_fn fn, const struct profile *profile, const struct export_options *options)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CHECK_OK(fn(profile, options, out));
	fclose(out);
	return keep(text);
}

static char *export(export_fn fn)
{
	_cleanup_(profile_freep) struct profile *profile = load(&(struct profile_options){ 0 });

	return export_with(fn, profile, &(struct export_options){ .title = "t" });
}

TEST(folded_is_exact)
{
	CHECK_STR(export(export_folded),
		  "</script>:<b>;[<img src=x onerror=alert(1)> \"\xff.so+0x50] 4\n"
		  "kworker/0:1;" K " 3\n"
		  "prog;[missing: exec];" K " 5\n"
		  "prog;[no unwind info: libfoo.so];[libfoo.so+0x40];[prog+0x30] 10\n"
		  "prog;[prog+0x200];[prog+0x100];[prog+0x10] 60\n"
		  "prog;[prog+0x200];[prog+0x20];" K " 20\n");
}

TEST(folded_is_filtered)
{
	struct filter filter = { .no_kernel = true };
	struct profile *profile;

	CHECK_OK(filter_add_pids(&filter, "2,200"));
	profile = load(&(struct profile_options){ .filter = &filter });
	CHECK_STR(export_with(export_folded, profile, &(struct export_options){ 0 }),
		  "</script>:<b>;[<img src=x onerror=alert(1)> \"\xff.so+0x50] 4\n"
		  "kworker/0:1 3\n");
	profile_free(profile);
	filter_deinit(&filter);
}

TEST(stats_are_counted)
{
	struct profile *profile = load(&(struct profile_options){ .stats_only = true });
	const struct stats *stats = &profile->stats;

	CHECK_U64(stats->samples, SYNTHETIC_SAMPLES);
	CHECK_U64(stats->no_user, 3);
	CHECK_U64(stats->complete, 84);
	CHECK_U64(stats->missing_by[REASON_EXEC], 5);
	CHECK_U64(stats->truncated_by[REASON_NO_UNWIND_INFO], 10);
	CHECK_U64(stats_with_user_context(stats), 99);
	CHECK_U64(stats_shared(stats), 10);
	CHECK_U64(stats->max_depth, 3);
	CHECK(!profile->has_recorder);
	profile_free(profile);
}

TEST(stats_json_has_the_figures)
{
	static const char *const parts[] = {
		"\"samples\": 102,", "\"no_user\": 3,", "\"with_user_context\": 99,", "\"stitched\": 94,",
		"\"complete\": 84,", "\"truncated\": 10,", "\"exec\": 5", "\"no unwind info\": 10",
		"\"shared\": 10,", "\"requests\": null,", "\"max_depth\": 3,",
		"{\"dso\": \"/nonexistent/libfoo.so\",\"truncated\": 10}",
		"{\"comm\": \"prog\",\"samples\": 95,\"with_user_context\": 95,\"complete\": 80}",
		"{\"name\": \"cpu-clock\",\"samples\": 102}",
	};
	const char *text = export(export_stats_json);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!strstr(text, parts[i]))
			printf("# no %s in %s\n", parts[i], text);
		CHECK(strstr(text, parts[i]));
	}
}

TEST(stats_text_explains_reasons)
{
	const char *text = export(export_stats);

	CHECK(strstr(text, "the program was replaced by execve before the stack could be walked"));
	CHECK(strstr(text, "/nonexistent/libfoo.so"));
	CHECK(strstr(text, "84.85 %"));
}

TEST(html_escapes_hostile_names)
{
	const char *text = export(export_html), *data = strstr(text, "type=\"application/json\""), *end;

	CHECK(data);
	end = strstr(data, "</script>");
	CHECK(end);
	CHECK(!memmem(data, (size_t)(end - data), "<img", 4));
	CHECK(memmem(data, (size_t)(end - data), "\\u003c/script\\u003e;\\u003cb\\u003e", 30));
	CHECK(strstr(end, "window.retour"));
	CHECK(!strstr(text, "http://") && !strstr(text, "https://"));
}

TEST(table_fits_the_width_and_cleans_names)
{
	struct profile *profile = load(&(struct profile_options){ 0 });
	char *text = export_with(export_table, profile, &(struct export_options){ .width = 90 }), *rest = text, *line;

	CHECK(strstr(text, "102 samples"));
	CHECK(!strchr(text, '\033'));
	CHECK(strstr(text, "\xef\xbf\xbd"));
	strsep(&rest, "\n");	/* the quality line may be longer */
	while ((line = strsep(&rest, "\n"))) {
		size_t columns = 0;

		for (const char *p = line; *p; p++)
			columns += ((unsigned char)*p & 0xc0) != 0x80;
		CHECK(columns <= 90);
	}
	CHECK(strchr(export_with(export_table, profile, &(struct export_options){ .colour = true }), '\033'));
	profile_free(profile);
}

static char *script(struct error *(*fn)(struct samples *, FILE *))
{
	struct samples *samples;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	snprintf(path, sizeof(path), "/tmp/retour-test-export-%d.data", getpid());
	synthetic_write(path);
	CHECK_OK(samples_open(path, &(struct samples_options){ 0 }, &samples));
	unlink(path);
	CHECK_OK(fn(samples, out));
	fclose(out);
	samples_close(samples);
	return keep(text);
}

TEST(script_json_has_a_line_a_sample)
{
	char *text = script(export_script_json), *rest = text, *first = strsep(&rest, "\n");
	int lines = 1;

	CHECK_STR(first, "{\"time\":5.001001004,\"cpu\":1,\"return_cpu\":1,\"pid\":100,\"tid\":100,\"comm\":\"prog\","
		  "\"event\":\"cpu-clock\",\"period\":1001001,\"cookie\":\"1\",\"kernel\":[],\"user\":["
		  "{\"ip\":\"400010\",\"sym\":\"[prog+0x10]\",\"off\":0,\"dso\":\"/nonexistent/prog\",\"file\":null,"
		  "\"line\":null,\"inline\":false},"
		  "{\"ip\":\"400101\",\"sym\":\"[prog+0x100]\",\"off\":1,\"dso\":\"/nonexistent/prog\",\"file\":null,"
		  "\"line\":null,\"inline\":false},"
		  "{\"ip\":\"400201\",\"sym\":\"[prog+0x200]\",\"off\":1,\"dso\":\"/nonexistent/prog\",\"file\":null,"
		  "\"line\":null,\"inline\":false}],\"complete\":true,\"reason\":null}");
	while ((first = strsep(&rest, "\n")))
		lines += *first == '{';
	CHECK_U64(lines, SYNTHETIC_SAMPLES);
}

TEST(script_text_says_why_chains_end)
{
	const char *text = script(export_script);

	CHECK(strstr(text, "[missing: exec]"));
	CHECK(strstr(text, "[no unwind info]"));
	CHECK(strstr(text, "400101 [prog+0x100] (/nonexistent/prog)"));
	CHECK(!strchr(text, '\xff'));
}

static const struct diff_row *find_change(const struct diff *diff, const char *name)
{
	vec_each(&diff->rows, row)
		if (!strcmp(frames_name(&diff->frames, row->function), name))
			return row;
	return NULL;
}

/* All 102 samples, and of them the 95 of one process. */
static struct diff make_diff(void)
{
	struct filter filter = { 0 };
	struct profile *all = load(&(struct profile_options){ 0 }), *some;
	struct diff diff;

	CHECK_OK(filter_add_pids(&filter, "100"));
	some = load(&(struct profile_options){ .filter = &filter });
	CHECK_OK(diff_make(all, some, &diff));
	profile_free(all);
	profile_free(some);
	filter_deinit(&filter);
	return diff;
}

static bool near(double a, double b)
{
	return a - b < 1e-9 && b - a < 1e-9;
}

TEST(diff_compares_shares)
{
	struct diff diff = make_diff();
	const struct diff_row *row = find_change(&diff, "[prog+0x10]");

	CHECK(row && near(row->before.self, 6000.0 / 102) && near(row->after.self, 6000.0 / 95));
	/* in two tasks before, in one after */
	row = find_change(&diff, "[kernel+0xffff800000000010]");
	CHECK(row && near(row->before.total, 2800.0 / 102) && near(row->after.total, 2500.0 / 95));
	row = find_change(&diff, "[<img src=x onerror=alert(1)>\n\"\xff.so+0x50]");
	CHECK(row && near(row->before.self, 400.0 / 102) && row->after.self == 0);
	CHECK_STR(frames_name(&diff.frames, diff.rows.data[0].function), "[prog+0x10]");
	diff_free(&diff);
}

TEST(diff_is_written_as_table_and_json)
{
	struct diff diff = make_diff();
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CHECK_OK(export_diff_table(&diff, &(struct export_options){ 0 }, out));
	fflush(out);
	CHECK(strstr(text, "    58.82    63.16    +4.33    +4.33  prog                  [prog+0x10]\n"));
	rewind(out);
	CHECK_OK(export_diff_json(&diff, &(struct export_options){ 0 }, out));
	fclose(out);
	CHECK(strstr(text, "\"name\": \"[prog+0x10]\",\"dso\": \"prog\",\"before\": {\"self\": 58.823529,"));
	free(text);
	diff_free(&diff);
}

TEST(formats_are_found_by_name_and_suffix)
{
	CHECK_STR(export_format_of_file("a/b.html")->name, "html");
	CHECK_STR(export_format_of_file("x.folded")->name, "folded");
	CHECK_STR(export_format_of_file("x.json")->name, "json");
	CHECK(!export_format_of_file("x.txt"));
	CHECK(!export_format_of_file(""));
	CHECK_STR(export_format_named("table")->name, "table");
	CHECK(!export_format_named("no such"));
}

TEST(counts_are_readable)
{
	CHECK_STR(text_count(0), "0");
	CHECK_STR(text_count(999), "999");
	CHECK_STR(text_count(1234567), "1,234,567");
	CHECK_STR(text_count(UINT64_MAX), "18,446,744,073,709,551,615");
	CHECK_STR(text_bytes(512), "512 B");
	CHECK_STR(text_bytes(1500000), "1.5 MB");
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
