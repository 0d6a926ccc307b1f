/* SPDX-License-Identifier: MIT */
/* Header, attributes and features, as a file or as a stream has them; see container.h. */
#include "perfdata/container.h"

#include "base/cleanup.h"

#include <string.h>

static size_t first_tracepoint(const struct session *s)
{
	return s->n_events - s->tracing.events.len;
}

/* --- records of our own --- */

#define TAGGED_OVERHEAD (sizeof(struct perf_event_header) + sizeof(uint64_t))
#define TAGGED_MAX (FORMAT_RECORD_MAX - TAGGED_OVERHEAD)

/* A record of bytes behind a tag. */
static struct error *write_tagged(struct output *output, uint32_t type, uint16_t misc, uint64_t tag,
				  const unsigned char *data, size_t size)
{
	size_t padding = -size % 8;
	struct put put;
	struct error *err = output_reserve(output, TAGGED_OVERHEAD + size + padding, &put.at);

	if (err)
		return err;
	put_header(&put, type, misc, TAGGED_OVERHEAD + size + padding);
	put_u64(&put, tag);
	put_bytes(&put, data, size);
	put_bytes(&put, &(uint64_t){ 0 }, padding);
	return NULL;
}

/* One that does not fit a record is left out. */
static struct error *write_tracepoint(struct output *output, const struct session *s, size_t i)
{
	struct bytes section = {0};
	struct error *err = NULL;
	uint64_t event = i;

	bytes_add(&section, &event, sizeof(event));
	tracing_build(&s->tracing, i - first_tracepoint(s), 1, &section);
	if (section.bad)
		err = error_nomem();
	else if (section.vec.len <= TAGGED_MAX)
		err = write_tagged(output, FORMAT_RECORD_EVENT_TYPE, 0, FORMAT_SIGNATURE_TRACEPOINT, section.vec.data,
				   section.vec.len);
	bytes_free(&section);
	return err;
}

/* --- file --- */

#define ATTR_SIZE (PERF_ATTR_SIZE_VER5 + sizeof(struct format_section))

/* There is room for all attributes that may come. */
static struct format_header make_header(const struct session *s)
{
	size_t ids_size = session_has_ids(s) ? s->max_events * sizeof(uint64_t) : 0;
	uint64_t attrs = FORMAT_SIGNATURE_OFFSET + sizeof(uint64_t) + ids_size;

	return (struct format_header){
		.magic = FORMAT_MAGIC,
		.size = sizeof(struct format_header),
		.attr_size = ATTR_SIZE,
		.attrs = { attrs, s->n_events * ATTR_SIZE },
		.data = { attrs + s->max_events * ATTR_SIZE, 0 },
	};
}

static struct perf_event_attr attr_of(const struct session *s, size_t i, bool described)
{
	struct perf_event_attr attr = s->attrs[i];

	if (attr.type == PERF_TYPE_TRACEPOINT && !described) {
		attr.type = PERF_TYPE_SOFTWARE;
		attr.config = PERF_COUNT_SW_DUMMY;
	}
	return attr;
}

/* An attribute with the section of its ID, as it stands in a file. */
static void put_attr(struct put *put, const struct session *s, size_t i, bool described)
{
	struct perf_event_attr attr = attr_of(s, i, described);
	struct format_section ids = {0};

	if (session_has_ids(s))
		ids = (struct format_section){ FORMAT_SIGNATURE_OFFSET + (1 + i) * sizeof(uint64_t), sizeof(uint64_t) };
	put_bytes(put, &attr, PERF_ATTR_SIZE_VER5);
	put_bytes(put, &ids, sizeof(ids));
}

/* Header, signature, IDs, attributes. */
static struct error *begin_file(struct output *output, const struct session *s)
{
	struct format_header header = make_header(s);
	struct put put;
	struct error *err = output_reserve(output, header.data.offset, &put.at);

	if (err)
		return err;
	put_bytes(&put, &header, sizeof(header));
	put_u64(&put, FORMAT_SIGNATURE);
	for (uint64_t id = 1; session_has_ids(s) && id <= s->max_events; id++)
		put_u64(&put, id);
	for (size_t i = 0; i < s->n_events; i++)
		put_attr(&put, s, i, false);
	memset(put.at, 0, (s->max_events - s->n_events) * ATTR_SIZE);
	return NULL;
}

static struct error *patch_attr(const struct output *output, const struct session *s, size_t i, bool described)
{
	unsigned char attr[ATTR_SIZE];
	struct put put = { attr };

	put_attr(&put, s, i, described);
	return output_patch(output, make_header(s).attrs.offset + i * ATTR_SIZE, attr, sizeof(attr));
}

/* The attribute goes where room was left for it, then the header knows of it. */
static struct error *add_to_file(struct output *output, const struct session *s)
{
	struct format_header header = make_header(s);
	struct error *err = patch_attr(output, s, s->n_events - 1, false);

	if (!err)
		err = output_patch(output, offsetof(struct format_header, attrs), &header.attrs, sizeof(header.attrs));
	return err ? err : write_tracepoint(output, s, s->n_events - 1);
}

/* All features in the order of their bits. */
struct sections {
	struct bytes content;
	VEC(struct format_section) table;	/* offsets count from the start of content */
	uint64_t features[4];
};

static void sections_free(struct sections *sections)
{
	bytes_free(&sections->content);
	vec_free(&sections->table);
}

static bool build_section(enum format_feature feature, const struct session *s, const struct bytes *stats,
			  struct bytes *out)
{
	if (feature != FORMAT_STATS)
		return feature_build(feature, s, out);
	bytes_add(out, stats->vec.data, stats->vec.len);
	return stats->vec.len != 0;
}

static struct error *build_sections(const struct session *s, const struct bytes *stats, struct sections *ret)
{
	for (unsigned int feature = 0; feature < FORMAT_N_FEATURES; feature++) {
		size_t start = ret->content.vec.len;

		if (!build_section(feature, s, stats, &ret->content)) {
			ret->content.vec.len = start;
			continue;
		}
		ret->features[feature / 64] |= 1ULL << feature % 64;
		if (!vec_push(&ret->table, (struct format_section){ start, ret->content.vec.len - start }))
			return error_nomem();
	}
	return ret->content.bad ? error_nomem() : NULL;
}

static struct error *patch_header(const struct output *output, const struct session *s, uint64_t data_end,
				  const uint64_t features[4])
{
	struct format_header header = make_header(s);

	header.data.size = data_end - header.data.offset;
	memcpy(header.features, features, sizeof(header.features));
	return output_patch(output, 0, &header, sizeof(header));
}

static struct error *finish_file(struct output *output, const struct session *s, const struct bytes *stats)
{
	_cleanup_(sections_free) struct sections sections = {0};
	uint64_t data_end = output->written;
	struct error *err = build_sections(s, stats, &sections);

	if (err)
		return err;
	output->data_start = 0;
	vec_each(&sections.table, section)
		section->offset += data_end + sections.table.len * sizeof(*section);
	err = output_append(output, sections.table.data, sections.table.len * sizeof(*sections.table.data));
	if (!err)
		err = output_append(output, sections.content.vec.data, sections.content.vec.len);
	if (!err)
		err = output_flush(output);
	if (!err)
		err = patch_header(output, s, data_end, sections.features);
	for (size_t i = first_tracepoint(s); !err && i < s->n_events; i++)
		err = patch_attr(output, s, i, true);
	return err;
}

/* --- stream --- */

/* As many records as they need.  misc says that more follow, or in the last how much of it is padding. */
static struct error *write_stats(struct output *output, const struct bytes *stats)
{
	const unsigned char *data = stats->vec.data;
	size_t left = stats->vec.len;
	struct error *err = NULL;

	for (; !err && left > TAGGED_MAX; left -= TAGGED_MAX, data += TAGGED_MAX)
		err = write_tagged(output, FORMAT_RECORD_EVENT_TYPE, FORMAT_STATS_MORE, FORMAT_SIGNATURE,
				   data, TAGGED_MAX);
	if (err)
		return err;
	return write_tagged(output, FORMAT_RECORD_EVENT_TYPE, (uint16_t)(-left % 8), FORMAT_SIGNATURE, data, left);
}

static struct error *write_attr(struct output *output, const struct session *s, size_t i, bool described)
{
	size_t size = sizeof(struct perf_event_header) + PERF_ATTR_SIZE_VER5 + (session_has_ids(s) ? 8 : 0);
	struct perf_event_attr attr = attr_of(s, i, described);
	struct put put;
	struct error *err = output_reserve(output, size, &put.at);

	if (err)
		return err;
	put_header(&put, FORMAT_RECORD_ATTR, 0, size);
	put_bytes(&put, &attr, PERF_ATTR_SIZE_VER5);
	if (session_has_ids(s))
		put_u64(&put, i + 1);
	return NULL;
}

/* One that does not fit a record, as of a very long command line, is left out. */
static struct error *write_feature(struct output *output, const struct session *s, enum format_feature feature)
{
	struct bytes section = {0};
	struct error *err = NULL;

	if (feature_build(feature, s, &section) && !section.bad && section.vec.len <= TAGGED_MAX)
		err = write_tagged(output, FORMAT_RECORD_FEATURE, 0, feature, section.vec.data, section.vec.len);
	bytes_free(&section);
	return err;
}

/* The descriptions of all tracepoints: a record that is followed by bytes beyond its size. */
static struct error *write_tracing(struct output *output, const struct session *s)
{
	struct bytes section = {0};
	struct error *err;
	struct put put;

	tracing_build(&s->tracing, 0, s->tracing.events.len, &section);
	bytes_add(&section, &(uint64_t){ 0 }, -section.vec.len % 8);
	err = section.bad ? error_nomem() : output_reserve(output, 16, &put.at);
	if (!err) {
		put_header(&put, FORMAT_RECORD_TRACING_DATA, 0, 16);
		put_u32(&put, (uint32_t)section.vec.len);
		put_u32(&put, 0);
		err = output_append(output, section.vec.data, section.vec.len);
	}
	bytes_free(&section);
	return err;
}

/* What has come since the last time.  Only the first tracepoints can be described to perf. */
static struct error *announce(struct output *output, struct session *s)
{
	bool described = s->n_announced == first_tracepoint(s);
	struct error *err = NULL;

	for (size_t i = s->n_announced; !err && i < s->n_events; i++)
		err = write_attr(output, s, i, described);
	if (!err)
		err = write_feature(output, s, FORMAT_EVENT_DESC);
	if (!err && described)
		err = write_tracing(output, s);
	for (size_t i = s->n_announced; !err && i < s->n_events; i++)
		err = write_tracepoint(output, s, i);
	s->n_announced = s->n_events;
	return err;
}

static struct error *begin_stream(struct output *output, struct session *s)
{
	const uint64_t head[] = { FORMAT_MAGIC, FORMAT_STREAM_HEADER_SIZE };
	struct error *err = output_append(output, head, sizeof(head));

	for (size_t i = 0; !err && i < s->n_events; i++)
		err = write_attr(output, s, i, false);
	for (unsigned int feature = 0; !err && feature < FORMAT_STATS; feature++)
		err = write_feature(output, s, feature);
	s->n_announced = s->n_events;
	return err;
}

/* --- both --- */

struct error *container_begin(struct output *output, struct session *session)
{
	struct error *err = output->stream ? begin_stream(output, session) : begin_file(output, session);

	if (!err)
		err = output_flush(output);
	output->data_start = output->written;
	return err;
}

struct error *container_add_event(struct output *output, const struct session *session)
{
	return output->stream ? NULL : add_to_file(output, session);
}

struct error *container_begin_sample(struct output *output, struct session *session, uint32_t event)
{
	return output->stream && event >= session->n_announced ? announce(output, session) : NULL;
}

struct error *container_finish(struct output *output, const struct session *session, const struct bytes *stats)
{
	struct error *err = NULL;

	if (output->stream)
		err = write_stats(output, stats);
	if (!err)
		err = output_flush(output);
	if (!err && !output->stream)
		err = finish_file(output, session, stats);
	return err;
}
