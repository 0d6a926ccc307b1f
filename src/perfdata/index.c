/* SPDX-License-Identifier: MIT */
/* One pass over the records, then sorting; see index.h. */
#include "perfdata/index.h"

#include "perfdata/parse.h"

#include <errno.h>
#include <string.h>

struct pass {
	struct index *index;
	struct recording *recording;
	struct source *source;
	uint64_t time;		/* of the last record that had one: records without keep their place */
};

static struct error *add_record(struct pass *p, const unsigned char *data, struct index_place place)
{
	struct perfdata_record record;
	struct parse_result result;

	if (!p->recording->events.list.len)
		return error_new(EINVAL, "%s: has records before its attributes", p->recording->path);
	if (!parse_record(&p->recording->events, data, place.size, NULL, &record, &result)) {
		p->index->corrupt++;
		return NULL;
	}
	if (result.has_time)
		p->time = record.time;
	if (record.type == PERFDATA_RECORD_CALLCHAIN_DEFERRED) {
		struct index_deferred deferred = { result.cookie, record.tid, place };

		return vec_push(&p->index->deferred, deferred) ? NULL : error_nomem();
	}
	return vec_push(&p->index->entries, (struct index_entry){ p->time, place }) ? NULL : error_nomem();
}

/* Bytes after the record that belong to it: AUX traces and the formats of tracepoints. */
static uint64_t appendix_size(uint32_t type, const unsigned char *data, size_t size)
{
	uint64_t aux;
	uint32_t tracing;

	if (type == FORMAT_RECORD_AUXTRACE && size >= 16) {
		memcpy(&aux, data + 8, sizeof(aux));
		return aux;
	}
	if (type == FORMAT_RECORD_TRACING_DATA && size >= 12) {
		memcpy(&tracing, data + 8, sizeof(tracing));
		return ((uint64_t)tracing + 7) & ~7ULL;
	}
	return 0;
}

static struct error *add_user_record(struct pass *p, uint32_t type, const unsigned char *data, size_t size)
{
	if (type == FORMAT_RECORD_COMPRESSED || type == FORMAT_RECORD_COMPRESSED2)
		return error_new(ENOTSUP, "%s: its records are compressed; record without -z",
				 p->recording->path);
	/* It would change how earlier records read; our own all read alike. */
	if (type == FORMAT_RECORD_ATTR && !p->recording->events.ours && p->index->entries.len + p->index->deferred.len)
		p->index->corrupt++;
	else if (!recording_user_record(p->recording, data, size))
		p->index->corrupt++;
	return NULL;
}

/* *at moves behind the record; it becomes the end of the data where no record begins. */
static struct error *scan_record(struct pass *p, uint64_t *at)
{
	struct recording *r = p->recording;
	uint64_t left = r->data_end - *at, appendix = 0;
	struct perf_event_header header;
	const unsigned char *data = left < sizeof(header) ? NULL : source_view(p->source, *at, sizeof(header));
	struct index_place place = { .offset = *at };
	struct error *err;

	if (data)
		memcpy(&header, data, sizeof(header));
	*at = r->data_end;
	if (!data || header.size > left) {
		recording_warn(r, "the recording is cut: its last record is not whole");
		return NULL;
	}
	if (header.size < sizeof(header)) {
		p->index->corrupt++;
		recording_warn(r, "the recording is damaged: no record can be found from byte %llu on",
			       (unsigned long long)place.offset);
		return NULL;
	}
	place.size = header.size;
	data = source_view(p->source, place.offset, place.size);
	if (!data) {
		recording_warn(r, "the recording became shorter while it was read");
		return NULL;
	}
	if (header.type >= FORMAT_RECORD_USER) {
		appendix = appendix_size(header.type, data, place.size);
		if (header.type == FORMAT_RECORD_TRACING_DATA && appendix <= left - header.size)
			recording_tracing(r, p->source, place.offset + header.size, appendix);
		err = add_user_record(p, header.type, data, place.size);
	} else {
		err = add_record(p, data, place);
	}
	if (appendix > left - header.size)
		recording_warn(r, "the recording is cut: its last record is not whole");
	else
		*at = place.offset + header.size + appendix;
	return err;
}

static int compare_entries(const void *a, const void *b)
{
	const struct index_entry *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->place.offset < y->place.offset ? -1 : x->place.offset > y->place.offset;
}

static int compare_keys(const struct index_deferred *x, const struct index_deferred *y)
{
	if (x->tid != y->tid)
		return x->tid < y->tid ? -1 : 1;
	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static int compare_deferred(const void *a, const void *b)
{
	const struct index_deferred *x = a, *y = b;
	int by_key = compare_keys(x, y);

	return by_key ? by_key : x->place.offset < y->place.offset ? -1 : x->place.offset > y->place.offset;
}

static void sort_entries(struct index *index)
{
	for (size_t i = 1; i < index->entries.len; i++) {
		if (index->entries.data[i - 1].time <= index->entries.data[i].time)
			continue;
		qsort(index->entries.data, index->entries.len, sizeof(*index->entries.data), compare_entries);
		return;
	}
}

static void sort_deferred(struct index *index)
{
	if (index->deferred.len)
		qsort(index->deferred.data, index->deferred.len, sizeof(*index->deferred.data),
		      compare_deferred);
}

struct error *index_build(struct index *index, struct recording *recording, struct source *source)
{
	struct pass p = { index, recording, source, 0 };
	uint64_t at = recording->data_start;
	struct error *err = NULL;

	*index = (struct index){0};
	if (recording->data_end >> 48)
		return error_new(EFBIG, "%s: is too big", recording->path);
	while (!err && at < recording->data_end)
		err = scan_record(&p, &at);
	if (err)
		return err;
	if (!recording->events.list.len)
		return error_new(EINVAL, "%s: has no events", recording->path);
	if (recording->stream && recording->events.ours && !recording->stats_seen)
		recording_warn(recording, "the recording is cut: its statistics are missing");
	sort_entries(index);
	sort_deferred(index);
	return NULL;
}

void index_free(struct index *index)
{
	vec_free(&index->entries);
	vec_free(&index->deferred);
}

const struct index_deferred *index_find_deferred(const struct index *index, uint32_t tid, uint64_t cookie)
{
	struct index_deferred key = { .tid = tid, .cookie = cookie };
	size_t low = 0, high = index->deferred.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_keys(&index->deferred.data[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == index->deferred.len || compare_keys(&index->deferred.data[low], &key))
		return NULL;
	return &index->deferred.data[low];
}
