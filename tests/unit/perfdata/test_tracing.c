/* SPDX-License-Identifier: MIT */
/* Descriptions of tracepoints: written and read again, in files, streams and cut recordings, damaged ones too. */
#include "temp.h"

#include "perfdata/bytes.h"
#include "perfdata/reader.h"
#include "perfdata/tracing.h"

/* A field of each kind and size, at natural places. */
static const struct tracing_field fields[] = {
	{ "s8", "signed char", 8, 1, TRACING_SIGNED },
	{ "u8", "unsigned char", 9, 1, TRACING_UNSIGNED },
	{ "s16", "short", 10, 2, TRACING_SIGNED },
	{ "u16", "my_u16 (odd)", 12, 2, TRACING_UNSIGNED },
	{ "s32", "int", 16, 4, TRACING_SIGNED },
	{ "u32", "unsigned int", 20, 4, TRACING_UNSIGNED },
	{ "s64", "long long", 24, 8, TRACING_SIGNED },
	{ "u64", "std::uint64_t", 32, 8, TRACING_UNSIGNED },
	{ "single", "my_float", 40, 4, TRACING_FLOAT },
	{ "real", "double", 48, 8, TRACING_FLOAT },
	{ "pointer", "struct thing *", 56, 8, TRACING_POINTER },
	{ "text", "const char *", 64, 4, TRACING_STRING },
};

enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]), RAW_SIZE = 76 };

static void make_event(struct tracing_event *ret, uint64_t id, const char *name)
{
	*ret = (struct tracing_event){ .id = id, .system = "app" };
	strcpy(ret->name, name);
	for (size_t i = 0; i < N_FIELDS; i++)
		CHECK(vec_push(&ret->fields, fields[i]));
}

/* Two events, built. */
static void build(struct bytes *section)
{
	struct tracing t = { 0 };
	struct tracing_event event;

	*section = (struct bytes){ 0 };
	make_event(&event, 7, "all");
	CHECK(tracing_add(&t, &event));
	event = (struct tracing_event){ .id = 9, .system = "other", .name = "none" };
	CHECK(tracing_add(&t, &event));
	tracing_build(&t, 0, 2, section);
	CHECK(!section->bad);
	tracing_free(&t);
}

TEST(what_is_built_is_parsed)
{
	struct tracing t = { 0 };
	const struct tracing_event *all, *none;
	struct bytes section;

	build(&section);
	CHECK(tracing_parse(&t, section.vec.data, section.vec.len));
	CHECK_U64(t.events.len, 2);
	all = tracing_find(&t, 7);
	none = tracing_find(&t, 9);
	CHECK(all && none && !tracing_find(&t, 8));
	CHECK_STR(all->system, "app");
	CHECK_STR(all->name, "all");
	CHECK_STR(none->system, "other");
	CHECK_STR(none->name, "none");
	CHECK_U64(none->fields.len, 0);
	CHECK_U64(all->fields.len, N_FIELDS);
	for (size_t i = 0; i < N_FIELDS; i++) {
		const struct tracing_field *f = &all->fields.data[i];

		CHECK_STR(f->name, fields[i].name);
		CHECK_U64(f->kind, fields[i].kind);
		CHECK_U64(f->offset, fields[i].offset);
		CHECK_U64(f->size, fields[i].size);
	}
	tracing_free(&t);
	bytes_free(&section);
}

TEST(events_from_the_middle_are_built_alone)
{
	struct tracing t = { 0 }, again = { 0 };
	struct bytes section = { 0 };
	struct tracing_event event;

	for (uint64_t id = 1; id <= 3; id++) {
		event = (struct tracing_event){ .id = id, .system = "app", .name = "one" };
		CHECK(tracing_add(&t, &event));
	}
	tracing_build(&t, 1, 1, &section);
	CHECK(tracing_parse(&again, section.vec.data, section.vec.len));
	CHECK(again.events.len == 1 && again.events.data[0].id == 2);
	tracing_free(&t);
	tracing_free(&again);
	bytes_free(&section);
}

/* Data in which every field has its extreme. */
static void fill(unsigned char raw[RAW_SIZE])
{
	const struct {
		size_t offset;
		const void *value;
		size_t size;
	} values[] = {
		{ 8, &(int8_t){ INT8_MIN }, 1 }, { 9, &(uint8_t){ UINT8_MAX }, 1 },
		{ 10, &(int16_t){ INT16_MIN }, 2 }, { 12, &(uint16_t){ UINT16_MAX }, 2 },
		{ 16, &(int32_t){ INT32_MIN }, 4 }, { 20, &(uint32_t){ UINT32_MAX }, 4 },
		{ 24, &(int64_t){ INT64_MIN }, 8 }, { 32, &(uint64_t){ UINT64_MAX }, 8 },
		{ 40, &(float){ -0.5f }, 4 }, { 48, &(double){ 1e300 }, 8 },
		{ 56, &(uint64_t){ 0x7fff12345678 }, 8 }, { 64, &(uint32_t){ 68 | 8 << 16 }, 4 }, { 68, "a\n\xff\"b", 6 },
	};

	memset(raw, 0, RAW_SIZE);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		memcpy(raw + values[i].offset, values[i].value, values[i].size);
}

TEST(values_are_those_of_the_data)
{
	static const int64_t numbers[] = {
		INT8_MIN, UINT8_MAX, INT16_MIN, UINT16_MAX, INT32_MIN, UINT32_MAX, INT64_MIN, -1, 0, 0, 0x7fff12345678, 0,
	};
	unsigned char raw[RAW_SIZE];
	struct tracing_value value;

	fill(raw);
	for (size_t i = 0; i < N_FIELDS; i++) {
		CHECK(tracing_value(&fields[i], raw, RAW_SIZE, &value));
		CHECK_U64(value.kind, fields[i].kind);
		if (fields[i].kind <= TRACING_POINTER)
			CHECK_U64(value.number, numbers[i]);
	}
	CHECK(value.len == 5 && !memcmp(value.text, "a\n\xff\"b", 5));
	CHECK(tracing_value(&fields[8], raw, RAW_SIZE, &value) && value.real == -0.5);
	CHECK(tracing_value(&fields[9], raw, RAW_SIZE, &value) && value.real == 1e300);
}

TEST(values_beyond_the_data_are_none)
{
	unsigned char raw[RAW_SIZE];
	struct tracing_value value;

	fill(raw);
	for (size_t i = 0; i < N_FIELDS; i++)
		CHECK(!tracing_value(&fields[i], raw, fields[i].offset + fields[i].size - 1, &value));
	/* A text that ends behind them, and one without a 0. */
	CHECK(!tracing_value(&fields[11], raw, RAW_SIZE - 1, &value));
	memset(raw + 68, 'x', 8);
	CHECK(tracing_value(&fields[11], raw, RAW_SIZE, &value) && value.len == 8);
}

TEST(a_section_that_is_cut_anywhere_is_told)
{
	struct bytes section;

	build(&section);
	/* What follows the events, two words, is nobody's. */
	for (size_t size = 0; size < section.vec.len - 8; size++) {
		unsigned char *copy = malloc(size + 1);
		struct tracing t = { 0 };

		memcpy(copy, section.vec.data, size);
		CHECK(!tracing_parse(&t, copy, size));
		tracing_free(&t);
		free(copy);
	}
	bytes_free(&section);
}

/* ---- in recordings ----------------------------------------------------------------------- */

static void check_hit(struct perfdata_reader *reader, const struct perfdata_record *r, int id)
{
	const struct perfdata_reader_event *events;
	const struct tracing_event *tp = perfdata_reader_tracepoint(reader, r->sample.event);
	struct tracing_value value;
	bool late;

	perfdata_reader_events(reader, &events);
	CHECK(tp);
	late = !strcmp(tp->name, "late");
	CHECK_STR(events[r->sample.event].name, late ? "app:late" : "app:request");
	CHECK_U64(tp->fields.len, late ? 1 : 2);
	CHECK(tracing_value(&tp->fields.data[0], r->sample.raw, r->sample.raw_size, &value));
	CHECK_U64(value.number, id);
	if (late)
		return;
	CHECK(tracing_value(&tp->fields.data[1], r->sample.raw, r->sample.raw_size, &value));
	CHECK(value.len == strlen(SAMPLE_FILE_TEXT_OF_PATH) && !memcmp(value.text, SAMPLE_FILE_TEXT_OF_PATH, value.len));
}

static void check_recording(const char *path)
{
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	struct perfdata_record r;
	int hits = 0;

	CHECK_OK(perfdata_reader_open(path, &reader));
	while (perfdata_reader_next(reader, &r)) {
		if (r.type != PERF_RECORD_SAMPLE || r.time < 3000 || r.time > 3300)
			continue;
		check_hit(reader, &r, hits % 3 - 1);
		hits++;
	}
	CHECK_U64(hits, 9);
	CHECK_U64(perfdata_reader_corrupt(reader), 0);
}

TEST(tracepoints_are_read_from_files_and_streams)
{
	for (size_t n_events = 1; n_events <= 2; n_events++) {
		struct sample_file_options options = { .n_events = n_events, .tracepoints = true };

		CHECK_OK(sample_file_write(temp_path("file"), &options));
		check_recording(temp_path("file"));
		temp_write_stream(temp_path("stream"), &options);
		check_recording(temp_path("stream"));
	}
}

TEST(tracepoints_are_read_from_recordings_that_were_cut)
{
	struct sample_file_options options = { .n_events = 1, .tracepoints = true, .unfinished = true };

	CHECK_OK(sample_file_write(temp_path("cut"), &options));
	check_recording(temp_path("cut"));
	temp_write_stream(temp_path("cut"), &options);
	check_recording(temp_path("cut"));
}

int main(int argc, char **argv)
{
	int status;

	temp_init();
	status = test_main(argc, argv);
	temp_remove();
	return status;
}
