/* SPDX-License-Identifier: MIT */
/* Recordings as other tools may lay them out: each test builds a stream word by word. */
#include "temp.h"

#include "base/reason.h"
#include "perfdata/format.h"
#include "perfdata/reader.h"

/* A stream being built in memory. */
static struct {
	unsigned char data[1 << 16];
	size_t len, record;	/* record: where the one being built begins */
} out;

static void u64(uint64_t value)
{
	CHECK(out.len + sizeof(value) <= sizeof(out.data));
	memcpy(out.data + out.len, &value, sizeof(value));
	out.len += sizeof(value);
}

static void u32_pair(uint32_t first, uint32_t second)
{
	u64(first | (uint64_t)second << 32);
}

/* Eight bytes at a time, with at least one zero at the end. */
static void text(const char *s)
{
	char padded[64] = "";

	snprintf(padded, sizeof(padded), "%s", s);
	for (size_t i = 0; i <= strlen(s); i += 8) {
		uint64_t word;

		memcpy(&word, padded + i, sizeof(word));
		u64(word);
	}
}

static void record(uint32_t type, uint16_t misc)
{
	out.record = out.len;
	u64(type | (uint64_t)misc << 32);
}

static void end_record(void)
{
	uint16_t size = (uint16_t)(out.len - out.record);

	memcpy(out.data + out.record + 6, &size, sizeof(size));
}

static void begin(void)
{
	out.len = 0;
	u64(FORMAT_MAGIC);
	u64(FORMAT_STREAM_HEADER_SIZE);
}

static void attr(uint32_t type, uint64_t sample_type, uint64_t read_format, bool sample_id_all, uint64_t id)
{
	struct perf_event_attr a = {
		.type = type, .size = PERF_ATTR_SIZE_VER5, .sample_type = sample_type,
		.read_format = read_format, .sample_id_all = sample_id_all,
	};

	record(FORMAT_RECORD_ATTR, 0);
	memcpy(out.data + out.len, &a, PERF_ATTR_SIZE_VER5);
	out.len += PERF_ATTR_SIZE_VER5;
	if (id)
		u64(id);
	end_record();
}

static struct perfdata_reader *open_built(void)
{
	const char *path = temp_path("built");
	struct perfdata_reader *reader;
	FILE *f = fopen(path, "w");

	CHECK(f && fwrite(out.data, 1, out.len, f) == out.len);
	fclose(f);
	CHECK_OK(perfdata_reader_open(path, &reader));
	CHECK(!perfdata_reader_warning(reader));
	return reader;
}

static struct perfdata_record next(struct perfdata_reader *reader, uint32_t type)
{
	struct perfdata_record r;

	CHECK(perfdata_reader_next(reader, &r));
	CHECK_U64(r.type, type);
	return r;
}

static void check_end(struct perfdata_reader *reader, uint64_t corrupt)
{
	struct perfdata_record r;

	CHECK(!perfdata_reader_next(reader, &r));
	CHECK_U64(perfdata_reader_corrupt(reader), corrupt);
	perfdata_reader_close(reader);
}

#define EVERYTHING (PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR | PERF_SAMPLE_READ | \
		    PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_ID | PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | \
		    PERF_SAMPLE_STREAM_ID | PERF_SAMPLE_RAW | PERF_SAMPLE_BRANCH_STACK | PERF_SAMPLE_IDENTIFIER)

static void put_everything(uint64_t time, unsigned int read_words, const uint64_t *read)
{
	record(PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER);
	u64(77);			/* identifier */
	u64(0x1111);			/* ip */
	u32_pair(5, 6);
	u64(time);
	u64(0xadd7);			/* addr */
	u64(77);			/* id */
	u64(78);			/* stream id */
	u32_pair(3, 0);
	u64(4000);			/* period */
	for (unsigned int i = 0; i < read_words; i++)
		u64(read[i]);
	u64(2);
	u64((uint64_t)PERF_CONTEXT_USER);
	u64(0x1111);
	u32_pair(4, 0);			/* raw */
	u64(0);				/* no branches */
	end_record();
}

TEST(every_field_before_the_chain_is_skipped_right)
{
	static const struct {
		uint64_t format;
		unsigned int n;
		uint64_t words[8];
	} reads[] = {
		{ 0, 1, { 1 } },
		{ PERF_FORMAT_ID, 2, { 1, 77 } },
		{ PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING | PERF_FORMAT_ID, 4,
		  { 1, 2, 3, 77 } },
		{ PERF_FORMAT_GROUP, 4, { 3, 1, 2, 3 } },
		{ PERF_FORMAT_GROUP | PERF_FORMAT_ID | PERF_FORMAT_TOTAL_TIME_ENABLED, 6, { 2, 9, 1, 77, 2, 78 } },
		{ PERF_FORMAT_ID | 1u << 4, 3, { 1, 77, 0 } },
	};

	for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++) {
		struct perfdata_reader *reader;
		struct perfdata_record r;

		begin();
		attr(PERF_TYPE_SOFTWARE, EVERYTHING, reads[i].format, true, 77);
		put_everything(10, reads[i].n, reads[i].words);
		reader = open_built();
		r = next(reader, PERF_RECORD_SAMPLE);
		CHECK_U64(r.sample.ip, 0x1111);
		CHECK_U64(r.pid, 5);
		CHECK_U64(r.tid, 6);
		CHECK_U64(r.time, 10);
		CHECK_U64(r.cpu, 3);
		CHECK_U64(r.sample.period, 4000);
		CHECK_U64(r.sample.n_user, 1);
		CHECK_U64(r.sample.user[0], 0x1111);
		CHECK(!r.sample.has_extra);
		check_end(reader, 0);
	}
}

TEST(a_group_that_claims_too_many_members_is_corrupt)
{
	static const uint64_t words[] = { UINT64_MAX / 8, 1 };

	begin();
	attr(PERF_TYPE_SOFTWARE, EVERYTHING, PERF_FORMAT_GROUP, true, 77);
	put_everything(10, 2, words);
	check_end(open_built(), 1);
}

static void put_id_sample(uint64_t ip, uint64_t id)
{
	record(PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL);
	u64(ip);
	u64(id);
	end_record();
}

TEST(samples_find_their_event_by_id_without_an_identifier)
{
	struct perfdata_reader *reader;

	begin();
	attr(PERF_TYPE_SOFTWARE, PERF_SAMPLE_IP | PERF_SAMPLE_ID, 0, false, 100);
	attr(PERF_TYPE_HARDWARE, PERF_SAMPLE_IP | PERF_SAMPLE_ID, 0, false, 200);
	put_id_sample(1, 200);
	put_id_sample(2, 100);
	put_id_sample(3, 300);		/* nobody's */
	reader = open_built();
	CHECK_U64(next(reader, PERF_RECORD_SAMPLE).sample.event, 1);
	CHECK_U64(next(reader, PERF_RECORD_SAMPLE).sample.event, 0);
	check_end(reader, 1);
}

static void put_chain(uint16_t misc, unsigned int n, const uint64_t *words)
{
	record(PERF_RECORD_SAMPLE, misc);
	u64(n);
	for (unsigned int i = 0; i < n; i++)
		u64(words[i]);
	end_record();
}

TEST(context_markers_divide_a_chain)
{
	static const uint64_t mixed[] = {
		(uint64_t)PERF_CONTEXT_HV, 1, (uint64_t)PERF_CONTEXT_GUEST_KERNEL, 2,
		(uint64_t)PERF_CONTEXT_KERNEL, 3, 4,
		(uint64_t)PERF_CONTEXT_GUEST_USER, 5, (uint64_t)PERF_CONTEXT_USER, 6, 7,
	};
	static const uint64_t bare[] = { 8, 9 };
	static const uint64_t dangling[] = { (uint64_t)PERF_CONTEXT_KERNEL, 3, PERFDATA_CONTEXT_USER_DEFERRED };
	struct perfdata_reader *reader;
	struct perfdata_record r;

	begin();
	attr(PERF_TYPE_SOFTWARE, PERF_SAMPLE_CALLCHAIN, 0, false, 0);
	put_chain(PERF_RECORD_MISC_USER, 12, mixed);
	put_chain(PERF_RECORD_MISC_USER, 2, bare);
	put_chain(PERF_RECORD_MISC_KERNEL, 3, dangling);
	reader = open_built();
	r = next(reader, PERF_RECORD_SAMPLE);
	CHECK(r.sample.n_kernel == 2 && r.sample.kernel[0] == 3 && r.sample.kernel[1] == 4);
	CHECK(r.sample.n_user == 2 && r.sample.user[0] == 6 && r.sample.user[1] == 7);
	r = next(reader, PERF_RECORD_SAMPLE);
	CHECK(r.sample.n_kernel == 0 && r.sample.n_user == 2 && r.sample.user[1] == 9);
	r = next(reader, PERF_RECORD_SAMPLE);
	CHECK(r.sample.n_kernel == 1 && r.sample.n_user == 0 && r.sample.reason == REASON_NONE);
	check_end(reader, 0);
}

TEST(native_deferred_samples_merge_and_miss)
{
	static const uint64_t first[] = { (uint64_t)PERF_CONTEXT_KERNEL, 3, PERFDATA_CONTEXT_USER_DEFERRED, 0xc1 };
	static const uint64_t second[] = { PERFDATA_CONTEXT_USER_DEFERRED, 0xc2 };
	struct perfdata_reader *reader;
	struct perfdata_record r;

	begin();
	attr(PERF_TYPE_SOFTWARE, PERF_SAMPLE_CALLCHAIN, 0, true, 0);
	put_chain(PERF_RECORD_MISC_KERNEL, 4, first);
	put_chain(PERF_RECORD_MISC_USER, 2, second);
	record(PERFDATA_RECORD_CALLCHAIN_DEFERRED, PERF_RECORD_MISC_USER);
	u64(0xc1);
	u64(2);
	u64(10);
	u64(11);
	end_record();
	reader = open_built();
	r = next(reader, PERF_RECORD_SAMPLE);
	CHECK(r.sample.n_kernel == 1 && r.sample.kernel[0] == 3);
	CHECK(r.sample.n_user == 2 && r.sample.user[0] == 10 && r.sample.user[1] == 11);
	CHECK(!r.sample.has_extra && r.sample.reason == REASON_NONE && r.sample.cookie == 0xc1);
	r = next(reader, PERF_RECORD_SAMPLE);
	CHECK(r.sample.n_user == 0 && r.sample.reason == REASON_RECORD_LOST);
	check_end(reader, 0);
}

static void put_raw(void)
{
	record(PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER);
	u32_pair(12, 1);
	u64(2);
	end_record();
}

TEST(raw_data_of_another_tool_is_not_ours)
{
	struct perfdata_reader *reader;

	begin();
	attr(PERF_TYPE_TRACEPOINT, PERF_SAMPLE_RAW, 0, false, 0);
	put_raw();
	reader = open_built();
	CHECK(!next(reader, PERF_RECORD_SAMPLE).sample.has_extra);
	check_end(reader, 0);
}

TEST(an_old_mmap_record_is_delivered_as_mmap2)
{
	struct perfdata_reader *reader;
	struct perfdata_record r;

	begin();
	attr(PERF_TYPE_SOFTWARE, PERF_SAMPLE_TID | PERF_SAMPLE_TIME, 0, true, 0);
	record(PERF_RECORD_MMAP, PERF_RECORD_MISC_USER);
	u32_pair(5, 6);
	u64(0x1000);
	u64(0x2000);
	u64(0x3000);
	text("/lib/old.so");
	u32_pair(5, 6);
	u64(99);
	end_record();
	reader = open_built();
	r = next(reader, PERF_RECORD_MMAP2);
	CHECK_U64(r.time, 99);
	CHECK(r.mmap.start == 0x1000 && r.mmap.len == 0x2000 && r.mmap.pgoff == 0x3000);
	CHECK(r.mmap.prot & 4);
	CHECK_STR(r.mmap.filename, "/lib/old.so");
	check_end(reader, 0);
}

TEST(corrupt_records_are_counted_and_skipped)
{
	struct perfdata_reader *reader;

	begin();
	attr(PERF_TYPE_SOFTWARE, PERF_SAMPLE_TID, 0, true, 0);
	record(PERF_RECORD_COMM, 0);		/* a name without an end */
	u32_pair(5, 5);
	u64(UINT64_MAX);
	u32_pair(5, 5);
	end_record();
	record(PERF_RECORD_COMM, 0);		/* shorter than its trailer */
	end_record();
	record(PERF_RECORD_MMAP2, 0);		/* round the end of the address space */
	u32_pair(5, 5);
	u64(UINT64_MAX - 4095);
	u64(8192);
	for (int i = 0; i < 5; i++)
		u64(0);
	text("x");
	u32_pair(5, 5);
	end_record();
	record(PERF_RECORD_LOST_SAMPLES, 0);	/* a good one */
	u64(12);
	u32_pair(5, 5);
	end_record();
	reader = open_built();
	CHECK_U64(next(reader, PERF_RECORD_LOST_SAMPLES).lost.lost, 12);
	check_end(reader, 3);
}

TEST(what_follows_aux_and_tracing_records_is_no_record)
{
	struct perfdata_reader *reader;

	begin();
	attr(PERF_TYPE_SOFTWARE, PERF_SAMPLE_IP, 0, false, 0);
	record(FORMAT_RECORD_TRACING_DATA, 0);
	u32_pair(13, 0);
	end_record();
	text("thirteen byte");
	record(FORMAT_RECORD_AUXTRACE, 0);
	u64(24);
	for (int i = 0; i < 4; i++)
		u64(0);
	end_record();
	for (int i = 0; i < 3; i++)
		u64(UINT64_MAX);
	record(PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER);
	u64(0x77);
	end_record();
	reader = open_built();
	CHECK_U64(next(reader, PERF_RECORD_SAMPLE).sample.ip, 0x77);
	check_end(reader, 0);
}

TEST(records_without_time_stay_behind_the_one_before_them)
{
	static const uint64_t times[] = { 20, 10 };
	struct perfdata_reader *reader;

	begin();
	attr(PERF_TYPE_SOFTWARE, PERF_SAMPLE_TIME, 0, false, 0);
	for (int i = 0; i < 2; i++) {
		record(PERF_RECORD_SAMPLE, 0);
		u64(times[i]);
		end_record();
		record(PERF_RECORD_COMM, 0);
		u32_pair((uint32_t)times[i], 1);
		text("c");
		end_record();
	}
	reader = open_built();
	for (uint64_t time = 10; time <= 20; time += 10) {
		CHECK_U64(next(reader, PERF_RECORD_SAMPLE).time, time);
		CHECK_U64(next(reader, PERF_RECORD_COMM).pid, time);
	}
	check_end(reader, 0);
}

int main(int argc, char **argv)
{
	int status;

	temp_init();
	status = test_main(argc, argv);
	temp_remove();
	return status;
}
