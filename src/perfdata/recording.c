/* SPDX-License-Identifier: MIT */
/* Reads header, attributes and feature sections; see recording.h. */
#include "perfdata/recording.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTION_MAX (64u << 20)

void recording_warn(struct recording *r, const char *fmt, ...)
{
	va_list ap;

	if (r->warning)
		return;
	va_start(ap, fmt);
	if (vasprintf(&r->warning, fmt, ap) < 0)
		r->warning = NULL;
	va_end(ap);
}

/* --- features --- */

struct span {
	const unsigned char *at;
	size_t left;
};

static bool span_u32(struct span *s, uint32_t *ret)
{
	if (s->left < sizeof(*ret))
		return false;
	memcpy(ret, s->at, sizeof(*ret));
	s->at += sizeof(*ret);
	s->left -= sizeof(*ret);
	return true;
}

static bool span_skip(struct span *s, uint64_t size)
{
	if (size > s->left)
		return false;
	s->at += size;
	s->left -= size;
	return true;
}

/* A copy of the string, NULL if it is corrupt or there is no memory. */
static char *span_string(struct span *s)
{
	uint32_t len;
	const unsigned char *at;

	if (!span_u32(s, &len) || len > s->left)
		return NULL;
	at = s->at;
	span_skip(s, len);
	return strndup((const char *)at, len);
}

static bool read_event_names(struct recording *r, struct span s)
{
	uint32_t n, attr_size, n_ids;

	if (!span_u32(&s, &n) || !span_u32(&s, &attr_size))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		_cleanup_free_ char *name = NULL;

		if (!span_skip(&s, attr_size) || !span_u32(&s, &n_ids))
			return false;
		name = span_string(&s);
		if (!name || !span_skip(&s, (uint64_t)n_ids * 8) || i >= r->events.list.len)
			return false;
		event_table_set_name(&r->events, i, name);
	}
	return true;
}

static bool read_feature(struct recording *r, uint64_t feature, struct span s)
{
	_cleanup_free_ char *text = NULL;

	switch (feature) {
	case FORMAT_OSRELEASE:
		free(r->os_release);
		r->os_release = span_string(&s);
		return r->os_release;
	case FORMAT_VERSION:
		text = span_string(&s);
		if (text && !strncmp(text, "retour ", 7))
			r->events.ours = true;
		return text;
	case FORMAT_TRACING_DATA:
		return tracing_parse(&r->tracing, s.at, s.left);
	case FORMAT_EVENT_DESC:
		return read_event_names(r, s);
	case FORMAT_STATS:
		bytes_add(&r->stats, s.at, s.left);
		return !r->stats.bad;
	}
	return true;
}

static bool wanted(unsigned int feature)
{
	return feature == FORMAT_OSRELEASE || feature == FORMAT_VERSION || feature == FORMAT_EVENT_DESC ||
	       feature == FORMAT_TRACING_DATA || feature == FORMAT_STATS;
}

static bool read_section(struct recording *r, const struct source *source, unsigned int feature,
			 const struct format_section *section)
{
	_cleanup_free_ unsigned char *data = NULL;

	if (section->offset > source->size || section->size > source->size - section->offset)
		return false;
	if (!wanted(feature))
		return true;
	if (section->size > SECTION_MAX)
		return false;
	data = malloc(section->size + 1);
	return data && source_read(source, section->offset, data, section->size) &&
	       read_feature(r, feature, (struct span){ data, section->size });
}

static bool has_feature(const struct format_header *header, unsigned int feature)
{
	return header->features[feature / 64] >> feature % 64 & 1;
}

static void read_sections(struct recording *r, const struct source *source, const struct format_header *header)
{
	uint64_t at = header->data.offset + header->data.size;
	unsigned int bad = 0;

	for (unsigned int feature = 0; feature < FORMAT_N_FEATURES; feature++) {
		struct format_section section;

		if (!has_feature(header, feature))
			continue;
		if (!source_read(source, at, &section, sizeof(section))) {
			recording_warn(r, "the recording is cut: its feature sections are missing");
			return;
		}
		at += sizeof(section);
		bad += !read_section(r, source, feature, &section);
	}
	if (bad)
		recording_warn(r, "the recording is cut or damaged: %u of its feature sections cannot be read",
			       bad);
}

/* --- header and attributes --- */

static bool read_ids(struct recording *r, const struct source *source, const struct format_section *ids)
{
	uint32_t event = (uint32_t)r->events.list.len - 1;

	for (uint64_t done = 0; done + 8 <= ids->size; done += 8) {
		uint64_t id;

		if (ids->offset > UINT64_MAX - done ||
		    !source_read(source, ids->offset + done, &id, sizeof(id)) ||
		    !event_table_add_id(&r->events, id, event))
			return false;
	}
	return true;
}

static struct error *read_attrs(struct recording *r, const struct source *source,
				const struct format_header *header)
{
	struct format_section ids;
	_cleanup_free_ unsigned char *attr = NULL;
	uint64_t size = header->attr_size;

	if (size < PERF_ATTR_SIZE_VER0 + sizeof(ids) || size > 4096)
		return error_new(EINVAL, "%s: attributes of %llu bytes make no sense", r->path,
				 (unsigned long long)size);
	attr = malloc(size);
	if (!attr)
		return error_nomem();
	for (uint64_t done = 0; done + size <= header->attrs.size; done += size) {
		if (header->attrs.offset > UINT64_MAX - done ||
		    !source_read(source, header->attrs.offset + done, attr, size))
			return error_new(EINVAL, "%s: cut within its attributes", r->path);
		memcpy(&ids, attr + size - sizeof(ids), sizeof(ids));
		if (!event_table_add(&r->events, attr, size - sizeof(ids)) || !read_ids(r, source, &ids))
			return error_new(EINVAL, "%s: its attributes are cut or corrupt", r->path);
	}
	if (!r->events.list.len)
		return error_new(EINVAL, "%s: has no events", r->path);
	event_table_finish(&r->events);
	return NULL;
}

static uint64_t count_features(const struct format_header *header)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < 4; i++)
		n += (uint64_t)__builtin_popcountll(header->features[i]);
	return n;
}

/*
 * A recording without records is told from an unfinished one by its sections,
 * if they are where they must be: perf sets the feature bits at the start.
 */
static bool finished_empty(const struct source *source, const struct format_header *header)
{
	uint64_t n = count_features(header), table;
	struct format_section first;

	table = header->data.offset + n * sizeof(first);
	return n && source_read(source, header->data.offset, &first, sizeof(first)) &&
	       first.offset == table && first.size <= source->size - first.offset;
}

static void find_data(struct recording *r, const struct source *source, struct format_header *header)
{
	uint64_t room = source->size - header->data.offset;

	uint64_t signature = 0;

	r->events.ours = header->attrs.offset >= FORMAT_SIGNATURE_OFFSET + sizeof(signature) &&
			 source_read(source, FORMAT_SIGNATURE_OFFSET, &signature, sizeof(signature)) &&
			 signature == FORMAT_SIGNATURE;
	r->data_start = header->data.offset;
	if (!header->data.size && !finished_empty(source, header)) {
		r->data_end = source->size;
		recording_warn(r, "the recording was not finished: it is read up to its last whole record");
	} else if (header->data.size > room) {
		r->data_end = source->size;
		recording_warn(r, "the recording is cut: %llu of %llu bytes of its records are missing",
			       (unsigned long long)(header->data.size - room),
			       (unsigned long long)header->data.size);
	} else {
		r->data_end = header->data.offset + header->data.size;
		read_sections(r, source, header);
	}
	if (!count_features(header))
		recording_warn(r, "the recording was not finished: its feature sections are missing");
}

static struct error *read_header(struct recording *r, const struct source *source, struct format_header *header)
{
	if (source->size == 0)
		return error_new(EINVAL, "%s: is empty", r->path);
	if (!source_read(source, 0, header, FORMAT_STREAM_HEADER_SIZE))
		return error_new(EINVAL, "%s: is not a perf.data file", r->path);
	if (header->magic == FORMAT_MAGIC_SWAPPED)
		return error_new(ENOTSUP, "%s: was recorded on a machine of the other byte order", r->path);
	if (header->magic != FORMAT_MAGIC)
		return error_new(EINVAL, "%s: is not a perf.data file", r->path);
	r->stream = header->size == FORMAT_STREAM_HEADER_SIZE;
	if (r->stream)
		return NULL;
	if (header->size != sizeof(*header))
		return error_new(EINVAL, "%s: a header of %llu bytes makes no sense", r->path,
				 (unsigned long long)header->size);
	if (!source_read(source, 0, header, sizeof(*header)))
		return error_new(EINVAL, "%s: cut within its header", r->path);
	if (header->data.offset > source->size || header->data.size > UINT64_MAX - header->data.offset)
		return error_new(EINVAL, "%s: cut before its records, or corrupt", r->path);
	return NULL;
}

struct error *recording_open(struct recording *r, struct source *source, const char *path)
{
	struct format_header header = {0};
	struct error *err;

	*r = (struct recording){ .path = path };
	err = read_header(r, source, &header);
	if (err)
		return err;
	if (r->stream) {
		r->data_start = FORMAT_STREAM_HEADER_SIZE;
		r->data_end = source->size;
		return NULL;
	}
	err = read_attrs(r, source, &header);
	if (!err)
		find_data(r, source, &header);
	return err;
}

void recording_close(struct recording *r)
{
	event_table_free(&r->events);
	free(r->warning);
	free(r->os_release);
	bytes_free(&r->stats);
	tracing_free(&r->tracing);
}

/* --- records of a stream --- */

static bool stream_attr(struct recording *r, struct span s)
{
	uint32_t size;

	if (s.left < PERF_ATTR_SIZE_VER0)
		return false;
	memcpy(&size, s.at + offsetof(struct perf_event_attr, size), sizeof(size));
	if (size < PERF_ATTR_SIZE_VER0 || size > s.left || !event_table_add(&r->events, s.at, size))
		return false;
	for (span_skip(&s, size); s.left >= 8; span_skip(&s, 8)) {
		uint64_t id;

		memcpy(&id, s.at, sizeof(id));
		if (!event_table_add_id(&r->events, id, (uint32_t)r->events.list.len - 1))
			return false;
	}
	event_table_finish(&r->events);
	return true;
}

static bool stream_stats(struct recording *r, uint64_t tag, uint16_t misc, struct span s)
{
	size_t padding = misc & ~FORMAT_STATS_MORE;

	if (tag != FORMAT_SIGNATURE)
		return true;
	if (padding > s.left || r->stats.vec.len + s.left > SECTION_MAX)
		return false;
	r->stats_seen = !(misc & FORMAT_STATS_MORE);
	s.left -= padding;
	return read_feature(r, FORMAT_STATS, s);
}

void recording_tracing(struct recording *r, const struct source *source, uint64_t offset, uint64_t size)
{
	_cleanup_free_ unsigned char *data = size <= SECTION_MAX ? malloc(size + 1) : NULL;

	if (data && source_read(source, offset, data, size))
		tracing_parse(&r->tracing, data, size);
}

/* In files, too: a cut one has no section that describes it. */
static bool tracepoint(struct recording *r, struct span s)
{
	const struct tracing_event *last;
	char name[sizeof(last->system) + sizeof(last->name) + 1];
	uint64_t event;

	if (s.left < sizeof(event))
		return false;
	memcpy(&event, s.at, sizeof(event));
	span_skip(&s, sizeof(event));
	if (!tracing_parse(&r->tracing, s.at, s.left) || !r->tracing.events.len)
		return false;
	last = &r->tracing.events.data[r->tracing.events.len - 1];
	snprintf(name, sizeof(name), "%s:%s", last->system, last->name);
	return event_table_set_tracepoint(&r->events, event, name, last->id);
}

static bool own_record(struct recording *r, uint64_t tag, uint16_t misc, struct span s)
{
	if (tag == FORMAT_SIGNATURE_TRACEPOINT)
		return tracepoint(r, s);
	return !r->stream || stream_stats(r, tag, misc, s);
}

bool recording_user_record(struct recording *r, const unsigned char *data, size_t size)
{
	struct perf_event_header header;
	struct span s = { data + sizeof(header), size - sizeof(header) };
	uint64_t tag;

	memcpy(&header, data, sizeof(header));
	if (r->stream && header.type == FORMAT_RECORD_ATTR)
		return stream_attr(r, s);
	if (header.type != FORMAT_RECORD_EVENT_TYPE && (!r->stream || header.type != FORMAT_RECORD_FEATURE))
		return true;
	if (s.left < sizeof(tag))
		return header.type == FORMAT_RECORD_EVENT_TYPE;
	memcpy(&tag, s.at, sizeof(tag));
	span_skip(&s, sizeof(tag));
	if (header.type == FORMAT_RECORD_EVENT_TYPE)
		return own_record(r, tag, header.misc, s);
	return tag == FORMAT_STATS || read_feature(r, tag, s);
}
