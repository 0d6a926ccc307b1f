/* SPDX-License-Identifier: MIT */
/* Parses the records of linux/perf_event.h; see parse.h. */
#include "perfdata/parse.h"

#include "base/reason.h"

#include <string.h>

/* What is left of a record.  Once a read goes beyond the end, bad stays set and reads give 0. */
struct cursor {
	const unsigned char *at;
	size_t left;
	bool bad;
};

static const unsigned char *take(struct cursor *c, uint64_t size)
{
	const unsigned char *at = c->at;

	if (c->bad || size > c->left) {
		c->bad = true;
		return NULL;
	}
	c->at += size;
	c->left -= size;
	return at;
}

static uint64_t take_u64(struct cursor *c)
{
	const unsigned char *at = take(c, 8);
	uint64_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return value;
}

static uint32_t take_u32(struct cursor *c)
{
	const unsigned char *at = take(c, 4);
	uint32_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return value;
}

static void take_pair(struct cursor *c, uint32_t *first, uint32_t *second)
{
	*first = take_u32(c);
	*second = take_u32(c);
}

static uint64_t peek_u64(const struct cursor *c)
{
	struct cursor copy = *c;

	return take_u64(&copy);
}

/* A string that ends within the record. */
static const char *take_string(struct cursor *c)
{
	const char *text = (const char *)c->at;
	const void *end = c->bad ? NULL : memchr(c->at, '\0', c->left);

	if (!end) {
		c->bad = true;
		return "";
	}
	return text;
}

/* --- which event, and when --- */

/* The size of fields that take a word each. */
static size_t words(uint64_t fields)
{
	return (size_t)__builtin_popcountll(fields);
}

/* Where the ID is in samples, counted from the start, and in trailers, from the end. */
static size_t id_words_before(uint64_t type)
{
	if (type & PERF_SAMPLE_IDENTIFIER)
		return 0;
	return words(type & (PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR));
}

static size_t id_words_after(uint64_t type)
{
	if (type & PERF_SAMPLE_IDENTIFIER)
		return 0;
	return words(type & (PERF_SAMPLE_CPU | PERF_SAMPLE_STREAM_ID));
}

/*
 * The event of a sample.  Where the ID stands depends on the event, so the
 * writer must have put it in the same place for all: the first event tells.
 */
static bool sample_event(const struct event_table *events, const struct cursor *body, uint32_t *ret)
{
	uint64_t type = events->layouts.data[0].sample_type;
	struct cursor c = *body;

	*ret = 0;
	if (events->layouts.len == 1)
		return true;
	if (!(type & (PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_ID)))
		return true;
	take(&c, id_words_before(type) * 8);
	return event_table_find(events, take_u64(&c), ret) && !c.bad;
}

static void trailer_event(const struct event_table *events, const struct cursor *body, uint32_t *ret)
{
	uint64_t type = events->layouts.data[0].sample_type;
	size_t back = (id_words_after(type) + 1) * 8;
	uint64_t id;

	*ret = 0;
	if (!(type & (PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_ID)) || back > body->left)
		return;
	memcpy(&id, body->at + body->left - back, sizeof(id));
	/* Records that the writer made up itself carry ID 0 and are laid out as the first event's. */
	event_table_find(events, id, ret);
}

#define TRAILER_FIELDS (PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID | \
			PERF_SAMPLE_CPU | PERF_SAMPLE_IDENTIFIER)

/* Takes the sample_id trailer off the end of the body. */
static void parse_trailer(const struct event_layout *layout, struct cursor *body, struct perfdata_record *ret,
			  struct parse_result *result)
{
	uint64_t type = layout->sample_type & TRAILER_FIELDS;
	size_t size = words(type) * 8;
	struct cursor c;

	if (!layout->sample_id_all)
		return;
	if (size > body->left) {
		body->bad = true;
		return;
	}
	body->left -= size;
	c = (struct cursor){ .at = body->at + body->left, .left = size };
	if (type & PERF_SAMPLE_TID)
		take_pair(&c, &ret->pid, &ret->tid);
	if (type & PERF_SAMPLE_TIME)
		ret->time = take_u64(&c);
	result->has_time = type & PERF_SAMPLE_TIME;
	take(&c, words(type & (PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID)) * 8);
	if (type & PERF_SAMPLE_CPU)
		ret->cpu = take_u32(&c);
}

/* --- samples --- */

enum part { PART_KERNEL, PART_USER, PART_OTHER };

static enum part part_of_mode(uint16_t misc)
{
	switch (misc & PERF_RECORD_MISC_CPUMODE_MASK) {
	case PERF_RECORD_MISC_KERNEL:
		return PART_KERNEL;
	case PERF_RECORD_MISC_USER:
		return PART_USER;
	}
	return PART_OTHER;
}

static enum part part_of_context(uint64_t context)
{
	switch (context) {
	case (uint64_t)PERF_CONTEXT_KERNEL:
		return PART_KERNEL;
	case (uint64_t)PERF_CONTEXT_USER:
		return PART_USER;
	}
	return PART_OTHER;
}

static void add_frame(struct parse_chains *chains, struct perfdata_record *ret, enum part part, uint64_t ip)
{
	if (part == PART_KERNEL && ret->sample.n_kernel < PARSE_CHAIN_MAX)
		chains->kernel[ret->sample.n_kernel++] = ip;
	else if (part == PART_USER && ret->sample.n_user < PARSE_CHAIN_MAX)
		chains->user[ret->sample.n_user++] = ip;
}

static void parse_chain(struct cursor *c, struct parse_chains *chains, struct perfdata_record *ret,
			struct parse_result *result)
{
	uint64_t n = take_u64(c);
	enum part part = part_of_mode(ret->misc);
	const unsigned char *from = n <= PARSE_CHAIN_MAX ? take(c, n * 8) : NULL;

	if (!from) {
		c->bad = true;
		return;
	}
	for (uint64_t i = 0; chains && i < n; i++) {
		uint64_t word;

		memcpy(&word, from + i * 8, sizeof(word));
		if (word == PERFDATA_CONTEXT_USER_DEFERRED && i + 1 < n) {
			memcpy(&result->cookie, from + ++i * 8, sizeof(result->cookie));
			result->deferred = true;
			part = PART_OTHER;
		} else if (word >= (uint64_t)PERF_CONTEXT_MAX) {
			part = part_of_context(word);
		} else {
			add_frame(chains, ret, part, word);
		}
	}
}

static void parse_raw(struct cursor *c, bool ours, struct perfdata_record *ret)
{
	struct perfdata_sample_extra extra;
	uint32_t size = take_u32(c);
	const unsigned char *raw = take(c, size);

	if (!raw)
		return;
	if (ours && size >= sizeof(extra))
		size -= sizeof(extra);
	ret->sample.raw = raw;
	ret->sample.raw_size = size;
	if (!ours || c->at != raw + size + sizeof(extra))
		return;
	memcpy(&extra, raw + size, sizeof(extra));
	ret->sample.has_extra = true;
	ret->sample.cookie = extra.cookie;
	ret->sample.reason = extra.reason;
	ret->sample.return_cpu = extra.return_cpu;
}

static void skip_read(const struct event_layout *layout, struct cursor *c)
{
	uint64_t size = event_read_size(layout, peek_u64(c));

	if (!size)
		c->bad = true;
	take(c, size);
}

static bool parse_sample(const struct event_table *events, struct cursor *c, struct parse_chains *chains,
			 struct perfdata_record *ret, struct parse_result *result)
{
	const struct event_layout *layout;
	uint64_t type;

	if (!sample_event(events, c, &ret->sample.event))
		return false;
	layout = &events->layouts.data[ret->sample.event];
	type = layout->sample_type;
	ret->sample.return_cpu = PERFDATA_NO_CPU;
	if (type & PERF_SAMPLE_IDENTIFIER)
		take_u64(c);
	if (type & PERF_SAMPLE_IP)
		ret->sample.ip = take_u64(c);
	if (type & PERF_SAMPLE_TID)
		take_pair(c, &ret->pid, &ret->tid);
	if (type & PERF_SAMPLE_TIME)
		ret->time = take_u64(c);
	result->has_time = type & PERF_SAMPLE_TIME;
	take(c, words(type & (PERF_SAMPLE_ADDR | PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID)) * 8);
	if (type & PERF_SAMPLE_CPU)
		ret->cpu = (uint32_t)take_u64(c);
	if (type & PERF_SAMPLE_PERIOD)
		ret->sample.period = take_u64(c);
	if (type & PERF_SAMPLE_READ)
		skip_read(layout, c);
	if (type & PERF_SAMPLE_CALLCHAIN)
		parse_chain(c, chains, ret, result);
	else if (chains)
		add_frame(chains, ret, part_of_mode(ret->misc), ret->sample.ip);
	if (type & PERF_SAMPLE_RAW)
		parse_raw(c, events->ours, ret);
	return !c->bad;
}

/* --- the other records --- */

static void parse_mmap(struct cursor *c, struct perfdata_record *ret, bool mmap2)
{
	take_pair(c, &ret->pid, &ret->tid);
	ret->mmap.start = take_u64(c);
	ret->mmap.len = take_u64(c);
	ret->mmap.pgoff = take_u64(c);
	if (!mmap2) {
		/* Without PROT bits: perf sets this flag for what is not executable. */
		ret->mmap.prot = ret->misc & PERF_RECORD_MISC_MMAP_DATA ? 1 : 1 | 4;
	} else if (ret->misc & PERF_RECORD_MISC_MMAP_BUILD_ID) {
		const unsigned char *id = take(c, 24);

		if (id && id[0] <= sizeof(ret->mmap.build_id)) {
			ret->mmap.build_id_size = id[0];
			memcpy(ret->mmap.build_id, id + 4, id[0]);
		}
		ret->mmap.prot = take_u32(c);
		take_u32(c);
	} else {
		take_pair(c, &ret->mmap.maj, &ret->mmap.min);
		ret->mmap.ino = take_u64(c);
		take_u64(c);	/* inode generation */
		ret->mmap.prot = take_u32(c);
		take_u32(c);	/* MAP_ flags */
	}
	ret->mmap.filename = take_string(c);
	if (ret->mmap.len > UINT64_MAX - ret->mmap.start)
		c->bad = true;
	ret->type = PERF_RECORD_MMAP2;
}

static void parse_task(struct cursor *c, struct perfdata_record *ret, struct parse_result *result)
{
	take_pair(c, &ret->pid, &ret->task.ppid);
	take_pair(c, &ret->tid, &ret->task.ptid);
	ret->time = take_u64(c);
	result->has_time = true;
}

static void parse_deferred(struct cursor *c, struct parse_chains *chains, struct perfdata_record *ret,
			   struct parse_result *result)
{
	uint64_t n;
	const unsigned char *from;

	result->cookie = take_u64(c);
	n = take_u64(c);
	from = n <= PARSE_CHAIN_MAX ? take(c, n * 8) : NULL;
	if (!from) {
		c->bad = true;
		return;
	}
	if (chains)
		memcpy(chains->user, from, n * 8);
	ret->sample.n_user = n;
}

static void parse_body(struct cursor *c, struct parse_chains *chains, struct perfdata_record *ret,
		       struct parse_result *result)
{
	switch (ret->type) {
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		parse_mmap(c, ret, ret->type == PERF_RECORD_MMAP2);
		break;
	case PERF_RECORD_COMM:
		take_pair(c, &ret->pid, &ret->tid);
		ret->comm.exec = ret->misc & PERF_RECORD_MISC_COMM_EXEC;
		ret->comm.comm = take_string(c);
		break;
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		parse_task(c, ret, result);
		break;
	case PERF_RECORD_LOST:
		take_u64(c);	/* event ID */
		ret->lost.lost = take_u64(c);
		break;
	case PERF_RECORD_LOST_SAMPLES:
		ret->lost.lost = take_u64(c);
		break;
	case PERFDATA_RECORD_CALLCHAIN_DEFERRED:
		parse_deferred(c, chains, ret, result);
		break;
	}
}

bool parse_record(const struct event_table *events, const unsigned char *data, size_t size,
		  struct parse_chains *chains, struct perfdata_record *ret, struct parse_result *result)
{
	struct perf_event_header header;
	struct cursor c;
	uint32_t event;

	if (size < sizeof(header) || !events->layouts.len)
		return false;
	memcpy(&header, data, sizeof(header));
	c = (struct cursor){ .at = data + sizeof(header), .left = size - sizeof(header) };
	*ret = (struct perfdata_record){ .type = header.type, .misc = header.misc };
	*result = (struct parse_result){0};
	if (header.type == PERF_RECORD_SAMPLE)
		return parse_sample(events, &c, chains, ret, result);
	trailer_event(events, &c, &event);
	parse_trailer(&events->layouts.data[event], &c, ret, result);
	parse_body(&c, chains, ret, result);
	return !c.bad;
}
