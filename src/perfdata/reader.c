/* SPDX-License-Identifier: MIT */
/*
 * The reader: opens a recording, builds its index, and delivers its records in
 * that order.  A record is read and parsed again when its turn comes; memory
 * does not grow with the chains.
 */
#include "perfdata/reader.h"

#include "base/reason.h"
#include "perfdata/index.h"
#include "perfdata/parse.h"
#include "perfdata/recording.h"
#include "perfdata/source.h"

#include <stdlib.h>
#include <string.h>

struct perfdata_reader {
	struct source source;
	struct recording recording;
	struct index index;
	size_t next;			/* entry of the index */
	uint64_t unreadable;		/* entries whose bytes changed under us */
	struct parse_chains chains;	/* of the record delivered last */
	unsigned char raw[UINT16_MAX];	/* of a sample whose chain is another record */
};

static struct error *open_all(struct perfdata_reader *reader, const char *path)
{
	struct error *err = source_open(&reader->source, path);

	if (!err)
		err = recording_open(&reader->recording, &reader->source, path);
	if (!err)
		err = index_build(&reader->index, &reader->recording, &reader->source);
	/* The path is the caller's: it was for messages. */
	reader->recording.path = NULL;
	return err;
}

struct error *perfdata_reader_open(const char *path, struct perfdata_reader **ret)
{
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = calloc(1, sizeof(*reader));
	struct error *err;

	if (!reader)
		return error_nomem();
	err = open_all(reader, path);
	if (!err)
		*ret = steal_ptr(reader);
	return err;
}

void perfdata_reader_close(struct perfdata_reader *reader)
{
	if (!reader)
		return;
	index_free(&reader->index);
	recording_close(&reader->recording);
	source_close(&reader->source);
	free(reader);
}

const char *perfdata_reader_warning(const struct perfdata_reader *reader)
{
	return reader->recording.warning;
}

size_t perfdata_reader_events(const struct perfdata_reader *reader, const struct perfdata_reader_event **ret)
{
	*ret = reader->recording.events.list.data;
	return reader->recording.events.list.len;
}

const struct tracing_event *perfdata_reader_tracepoint(const struct perfdata_reader *reader, uint32_t event)
{
	const struct perfdata_reader_event *events;
	size_t n = perfdata_reader_events(reader, &events);

	return event < n && events[event].type == PERF_TYPE_TRACEPOINT
		       ? tracing_find(&reader->recording.tracing, events[event].config) : NULL;
}

bool perfdata_reader_stats(const struct perfdata_reader *reader, const void **data, size_t *size)
{
	const struct bytes *stats = &reader->recording.stats;

	if (!stats->vec.len)
		return false;
	*data = stats->vec.data;
	*size = stats->vec.len;
	return true;
}

uint64_t perfdata_reader_file_size(const struct perfdata_reader *reader)
{
	return reader->source.size;
}

const char *perfdata_reader_os_release(const struct perfdata_reader *reader)
{
	return reader->recording.os_release;
}

uint64_t perfdata_reader_corrupt(const struct perfdata_reader *reader)
{
	return reader->index.corrupt + reader->unreadable;
}

void perfdata_reader_rewind(struct perfdata_reader *reader)
{
	reader->next = 0;
}

/* False if the file is no longer what it was when it was indexed. */
static bool read_record(struct perfdata_reader *reader, struct index_place place, struct perfdata_record *ret,
			struct parse_result *result)
{
	const unsigned char *data = source_view(&reader->source, place.offset, place.size);
	struct perf_event_header header;

	if (!data)
		return false;
	memcpy(&header, data, sizeof(header));
	return header.size == place.size && header.type < FORMAT_RECORD_USER &&
	       parse_record(&reader->recording.events, data, place.size, &reader->chains, ret, result);
}

/* Gives a sample its deferred user chain, or the reason why it has none. */
static void merge_deferred(struct perfdata_reader *reader, struct perfdata_record *sample, uint64_t cookie)
{
	const struct index_deferred *found = index_find_deferred(&reader->index, sample->tid, cookie);
	struct perfdata_record deferred;
	struct parse_result result;

	sample->sample.cookie = cookie;
	sample->sample.n_user = 0;
	/* The other record takes its place in the view of the file. */
	if (sample->sample.raw_size)
		sample->sample.raw = memcpy(reader->raw, sample->sample.raw, sample->sample.raw_size);
	if (found && read_record(reader, found->place, &deferred, &result) &&
	    deferred.type == PERFDATA_RECORD_CALLCHAIN_DEFERRED && deferred.sample.n_user) {
		sample->sample.n_user = deferred.sample.n_user;
		if (!sample->sample.has_extra)
			sample->sample.return_cpu = (uint16_t)deferred.cpu;
		return;
	}
	switch (reason_kind(sample->sample.reason)) {
	case REASON_KIND_NO_USER:
	case REASON_KIND_MISSING:
		break;
	default:
		sample->sample.reason = REASON_RECORD_LOST;
	}
}

double perfdata_reader_progress(const struct perfdata_reader *reader)
{
	size_t n = reader->index.entries.len;

	return n ? (double)reader->next / (double)n : 1;
}

bool perfdata_reader_next(struct perfdata_reader *reader, struct perfdata_record *ret)
{
	while (reader->next < reader->index.entries.len) {
		const struct index_entry *entry = &reader->index.entries.data[reader->next++];
		struct parse_result result;

		if (!read_record(reader, entry->place, ret, &result)) {
			reader->unreadable++;
			continue;
		}
		/* Also the time that a record without one got from its place. */
		ret->time = entry->time;
		if (ret->type != PERF_RECORD_SAMPLE)
			return true;
		if (result.deferred)
			merge_deferred(reader, ret, result.cookie);
		ret->sample.kernel = reader->chains.kernel;
		ret->sample.user = reader->chains.user;
		return true;
	}
	return false;
}
