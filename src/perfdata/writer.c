/* SPDX-License-Identifier: MIT */
/*
 * The writer: records go through a buffer that is flushed at record borders.
 *
 * A file's header says "no data, no features" until perfdata_writer_finish(),
 * which is how readers know a cut recording.  It then sets the size of the
 * data before the feature sections are written, and the feature bits after:
 * killed in between, no section is ever taken for records.
 */
#include "perfdata/writer.h"

#include "base/reason.h"
#include "perfdata/feature.h"
#include "perfdata/format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SIZE (1u << 20)

struct perfdata_writer {
	char *path;
	int fd;
	bool stream;		/* nothing can be patched in: perf's pipe mode */
	bool failed;		/* a write failed: stays a cut recording */
	bool deferred_records;
	struct perf_event_attr *attrs;
	char **names;
	size_t n_events;
	char **cmdline;		/* NULL-terminated */
	uint64_t data_start;
	uint64_t written;	/* bytes that left the buffer */
	uint64_t first_time, last_time;	/* of the samples */
	struct bytes stats;
	size_t used;
	unsigned char buffer[BUFFER_SIZE];
};

/* --- buffer --- */

static bool has_ids(const struct perfdata_writer *w)
{
	return w->n_events > 1;
}

static ssize_t write_all(int fd, const unsigned char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(fd, data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* How much of the first `size` bytes of the buffer are whole records. */
static size_t whole_records(const struct perfdata_writer *w, size_t size)
{
	struct perf_event_header header;
	size_t at = 0;

	while (at + sizeof(header) <= size) {
		memcpy(&header, w->buffer + at, sizeof(header));
		if (header.size < sizeof(header) || header.size > size - at)
			break;
		at += header.size;
	}
	return at;
}

struct error *perfdata_writer_flush(struct perfdata_writer *w)
{
	size_t done;
	int code;

	if (w->failed)
		return error_new(EIO, "%s: an earlier write had failed", w->path);
	done = (size_t)write_all(w->fd, w->buffer, w->used);
	if (done == w->used) {
		w->written += w->used;
		w->used = 0;
		return NULL;
	}
	code = errno;
	w->failed = true;
	if (!w->stream && w->data_start) {
		w->written += whole_records(w, done);
		/* Failing here leaves half a record, which readers drop. */
		if (ftruncate(w->fd, (off_t)w->written))
			w->written += done - whole_records(w, done);
	}
	w->used = 0;
	return error_errno(code, "%s: cannot write", w->path);
}

/* Room for size <= BUFFER_SIZE bytes, which the caller fills whole. */
static struct error *reserve(struct perfdata_writer *w, size_t size, unsigned char **ret)
{
	if (w->failed || size > BUFFER_SIZE - w->used) {
		struct error *err = perfdata_writer_flush(w);

		if (err)
			return err;
	}
	*ret = w->buffer + w->used;
	w->used += size;
	return NULL;
}

static struct error *append(struct perfdata_writer *w, const void *data, size_t size)
{
	const unsigned char *from = data;

	while (size) {
		size_t part = size < BUFFER_SIZE ? size : BUFFER_SIZE;
		unsigned char *to;
		struct error *err = reserve(w, part, &to);

		if (err)
			return err;
		memcpy(to, from, part);
		from += part;
		size -= part;
	}
	return NULL;
}

/* A position in a reserved record. */
struct put {
	unsigned char *at;
};

static void put_bytes(struct put *put, const void *data, size_t size)
{
	if (size)
		memcpy(put->at, data, size);
	put->at += size;
}

static void put_u32(struct put *put, uint32_t value)
{
	put_bytes(put, &value, sizeof(value));
}

static void put_u64(struct put *put, uint64_t value)
{
	put_bytes(put, &value, sizeof(value));
}

static void put_header(struct put *put, uint32_t type, uint16_t misc, size_t size)
{
	struct perf_event_header header = { .type = type, .misc = misc, .size = (uint16_t)size };

	put_bytes(put, &header, sizeof(header));
}

/* --- records --- */

static size_t trailer_size(const struct perfdata_writer *w)
{
	return has_ids(w) ? 32 : 24;
}

/* The sample_id fields after every record but samples. */
static void put_trailer(struct put *put, const struct perfdata_writer *w, uint32_t pid, uint32_t tid,
			uint64_t time, uint32_t cpu)
{
	put_u32(put, pid);
	put_u32(put, tid);
	put_u64(put, time);
	put_u32(put, cpu);
	put_u32(put, 0);
	if (has_ids(w))
		put_u64(put, 1);
}

/* The parts of a chain as they are written: how many words, and why fewer than there were. */
struct chain {
	size_t n_kernel, n_user;
	bool deferred;		/* marker and cookie stand for the user part */
	size_t words;
	uint16_t reason;
};

static size_t deferred_max(const struct perfdata_writer *w)
{
	return (FORMAT_RECORD_MAX - sizeof(struct perf_event_header) - 16 - trailer_size(w)) / 8;
}

static struct chain chain_fit(const struct perfdata_writer *w, const struct perfdata_sample *s, size_t max)
{
	struct chain c = { .n_kernel = s->n_kernel, .n_user = s->n_user, .reason = s->reason };
	size_t contexts = 4;	/* both markers, or one marker and two deferred words */
	size_t max_user;

	if (c.n_kernel > max - contexts)
		c.n_kernel = max - contexts;
	c.deferred = w->deferred_records && s->cookie;
	max_user = c.deferred ? deferred_max(w) : max - contexts - c.n_kernel;
	if (c.n_user > max_user) {
		c.n_user = max_user;
		c.reason = REASON_MAX_DEPTH;
	}
	c.words = (c.n_kernel ? 1 + c.n_kernel : 0);
	c.words += c.deferred ? 2 : c.n_user ? 1 + c.n_user : 0;
	return c;
}

static void put_chain(struct put *put, const struct chain *c, const struct perfdata_sample *s)
{
	put_u64(put, c->words);
	if (c->n_kernel) {
		put_u64(put, (uint64_t)PERF_CONTEXT_KERNEL);
		put_bytes(put, s->kernel, c->n_kernel * sizeof(*s->kernel));
	}
	if (c->deferred) {
		put_u64(put, PERFDATA_CONTEXT_USER_DEFERRED);
		put_u64(put, s->cookie);
	} else if (c->n_user) {
		put_u64(put, (uint64_t)PERF_CONTEXT_USER);
		put_bytes(put, s->user, c->n_user * sizeof(*s->user));
	}
}

struct error *perfdata_writer_sample(struct perfdata_writer *w, const struct perfdata_sample *s)
{
	struct perfdata_sample_extra extra = { .cookie = s->cookie, .return_cpu = s->return_cpu };
	size_t fixed = sizeof(struct perf_event_header) + (has_ids(w) ? 56 : 48) + sizeof(uint32_t) + sizeof(extra);
	struct chain chain = chain_fit(w, s, (FORMAT_RECORD_MAX - fixed) / 8);
	size_t size = fixed + chain.words * 8;
	struct put put;
	struct error *err = reserve(w, size, &put.at);

	if (err)
		return err;
	extra.reason = chain.reason;
	put_header(&put, PERF_RECORD_SAMPLE, s->user_mode ? PERF_RECORD_MISC_USER : PERF_RECORD_MISC_KERNEL, size);
	if (has_ids(w))
		put_u64(&put, s->event + 1);
	put_u64(&put, s->ip);
	put_u32(&put, s->pid);
	put_u32(&put, s->tid);
	put_u64(&put, s->time);
	put_u32(&put, s->cpu);
	put_u32(&put, 0);
	put_u64(&put, s->period);
	put_chain(&put, &chain, s);
	put_u32(&put, sizeof(extra));
	put_bytes(&put, &extra, sizeof(extra));
	if (!w->first_time || s->time < w->first_time)
		w->first_time = s->time;
	if (s->time > w->last_time)
		w->last_time = s->time;
	return NULL;
}

struct error *perfdata_writer_deferred(struct perfdata_writer *w, uint32_t pid, uint32_t tid, uint64_t time,
				       uint32_t cpu, uint64_t cookie, const uint64_t *user, size_t n_user)
{
	size_t n = n_user < deferred_max(w) ? n_user : deferred_max(w);
	size_t size = sizeof(struct perf_event_header) + 16 + n * 8 + trailer_size(w);
	struct put put;
	struct error *err;

	if (!w->deferred_records)
		return error_new(EINVAL, "%s: deferred records were not announced in its attributes", w->path);
	err = reserve(w, size, &put.at);
	if (err)
		return err;
	put_header(&put, PERFDATA_RECORD_CALLCHAIN_DEFERRED, PERF_RECORD_MISC_USER, size);
	put_u64(&put, cookie);
	put_u64(&put, n);
	put_bytes(&put, user, n * sizeof(*user));
	put_trailer(&put, w, pid, tid, time, cpu);
	return NULL;
}

struct error *perfdata_writer_record(struct perfdata_writer *w, uint32_t type, uint16_t misc, const void *body,
				     size_t size, uint32_t pid, uint32_t tid, uint64_t time, uint32_t cpu)
{
	size_t overhead = sizeof(struct perf_event_header) + trailer_size(w);
	size_t padding = -size % 8;
	struct put put;
	struct error *err;

	if (size > FORMAT_RECORD_MAX - overhead - padding)
		return error_new(EMSGSIZE, "%s: a record of type %u with %zu bytes is too long", w->path, type, size);
	err = reserve(w, overhead + size + padding, &put.at);
	if (err)
		return err;
	put_header(&put, type, misc, overhead + size + padding);
	put_bytes(&put, body, size);
	put_bytes(&put, &(uint64_t){ 0 }, padding);
	put_trailer(&put, w, pid, tid, time, cpu);
	return NULL;
}

/* --- header, attributes, features --- */

static struct perf_event_attr make_attr(const struct perfdata_event *event, const struct perfdata_writer *w,
					bool first)
{
	struct perf_event_attr attr = {
		.type = event->type,
		.size = PERF_ATTR_SIZE_VER5,
		.config = event->config,
		.sample_period = event->frequency ? event->frequency : event->period,
		.freq = event->frequency != 0,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU |
			       PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_RAW |
			       (has_ids(w) ? PERF_SAMPLE_IDENTIFIER : 0),
		.disabled = 1,
		.inherit = 1,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		/* As with perf, one event stands for the side-band records. */
		.mmap = first,
		.mmap2 = first,
		.comm = first,
		.comm_exec = first,
		.task = first,
		.build_id = first,
	};

	if (w->deferred_records) {
		size_t at = offsetof(struct perf_event_attr, read_format) + sizeof(attr.read_format);
		uint64_t flags;

		/* The struct of older kernel headers has no names for these bits. */
		memcpy(&flags, (char *)&attr + at, sizeof(flags));
		flags |= PERFDATA_ATTR_DEFER_CALLCHAIN | PERFDATA_ATTR_DEFER_OUTPUT;
		memcpy((char *)&attr + at, &flags, sizeof(flags));
	}
	return attr;
}

/* Attributes and their IDs as records. */
static struct error *write_stream_head(struct perfdata_writer *w)
{
	const uint64_t head[] = { FORMAT_MAGIC, FORMAT_STREAM_HEADER_SIZE };
	struct error *err = append(w, head, sizeof(head));

	for (size_t i = 0; !err && i < w->n_events; i++) {
		size_t size = sizeof(struct perf_event_header) + PERF_ATTR_SIZE_VER5 + (has_ids(w) ? 8 : 0);
		struct put put;

		err = reserve(w, size, &put.at);
		if (err)
			break;
		put_header(&put, FORMAT_RECORD_ATTR, 0, size);
		put_bytes(&put, &w->attrs[i], PERF_ATTR_SIZE_VER5);
		if (has_ids(w))
			put_u64(&put, i + 1);
	}
	return err;
}

static struct format_header make_header(const struct perfdata_writer *w)
{
	const size_t attr_size = PERF_ATTR_SIZE_VER5 + sizeof(struct format_section);
	size_t ids_size = has_ids(w) ? w->n_events * 8 : 0;

	return (struct format_header){
		.magic = FORMAT_MAGIC,
		.size = sizeof(struct format_header),
		.attr_size = attr_size,
		.attrs = { sizeof(struct format_header) + ids_size, w->n_events * attr_size },
		.data = { sizeof(struct format_header) + ids_size + w->n_events * attr_size, 0 },
	};
}

/* Header, IDs, attributes. */
static struct error *write_file_head(struct perfdata_writer *w)
{
	struct format_header header = make_header(w);
	struct error *err = append(w, &header, sizeof(header));

	for (uint64_t id = 1; !err && has_ids(w) && id <= w->n_events; id++)
		err = append(w, &id, sizeof(id));
	for (size_t i = 0; !err && i < w->n_events; i++) {
		struct format_section ids = { has_ids(w) ? sizeof(header) + i * 8 : 0, has_ids(w) ? 8 : 0 };

		err = append(w, &w->attrs[i], PERF_ATTR_SIZE_VER5);
		if (!err)
			err = append(w, &ids, sizeof(ids));
	}
	return err;
}

/* A section becomes a record; the statistics as many as they need. */
static struct error *write_stream_section(struct perfdata_writer *w, uint32_t type, uint64_t tag,
					  const struct bytes *section)
{
	const size_t overhead = sizeof(struct perf_event_header) + 8;
	size_t done = 0;

	do {
		size_t left = section->vec.len - done;
		size_t part = left < FORMAT_RECORD_MAX - overhead ? left : FORMAT_RECORD_MAX - overhead;
		size_t padding = -part % 8;
		struct put put;
		struct error *err = reserve(w, overhead + part + padding, &put.at);

		if (err)
			return err;
		/* Features pad their strings themselves; misc is free, and tells the padding. */
		put_header(&put, type, (uint16_t)padding, overhead + part + padding);
		put_u64(&put, tag);
		put_bytes(&put, section->vec.data + done, part);
		put_bytes(&put, &(uint64_t){ 0 }, padding);
		done += part;
	} while (done < section->vec.len);
	return NULL;
}

/* All features in the order of their bits, as a file wants them. */
struct sections {
	struct bytes content;
	VEC(struct format_section) table;	/* offsets count from the start of content */
	uint64_t features[4];
};

static void sections_free(struct sections *s)
{
	bytes_free(&s->content);
	vec_free(&s->table);
}

static bool build_section(const struct perfdata_writer *w, enum format_feature feature,
			  const struct feature_source *source, struct bytes *out)
{
	if (feature != FORMAT_STATS)
		return feature_build(feature, source, out);
	bytes_add(out, w->stats.vec.data, w->stats.vec.len);
	return w->stats.vec.len != 0;
}

static struct feature_source feature_source(const struct perfdata_writer *w)
{
	return (struct feature_source){
		.cmdline = (const char *const *)w->cmdline,
		.attrs = w->attrs,
		.names = (const char *const *)w->names,
		.n_events = w->n_events,
		.ids = has_ids(w),
		.first_time = w->first_time,
		.last_time = w->last_time,
	};
}

static struct error *build_sections(const struct perfdata_writer *w, struct sections *s)
{
	struct feature_source source = feature_source(w);

	for (unsigned int feature = 0; feature < FORMAT_N_FEATURES; feature++) {
		size_t start = s->content.vec.len;

		if (!build_section(w, feature, &source, &s->content)) {
			s->content.vec.len = start;
			continue;
		}
		s->features[feature / 64] |= 1ULL << feature % 64;
		if (!vec_push(&s->table, (struct format_section){ start, s->content.vec.len - start }))
			return error_nomem();
	}
	return s->content.bad ? error_nomem() : NULL;
}

static struct error *patch_header(const struct perfdata_writer *w, uint64_t data_size, const uint64_t *features)
{
	struct format_header header = make_header(w);

	header.data.size = data_size;
	if (features)
		memcpy(header.features, features, sizeof(header.features));
	if (pwrite(w->fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
		return error_errno(errno, "%s: cannot write the header", w->path);
	return NULL;
}

static struct error *finish_file(struct perfdata_writer *w)
{
	_cleanup_(sections_free) struct sections s = {0};
	uint64_t data_end = w->written;
	struct error *err = build_sections(w, &s);

	if (!err)
		err = patch_header(w, data_end - w->data_start, NULL);
	if (err)
		return err;
	vec_each(&s.table, section)
		section->offset += data_end + s.table.len * sizeof(*section);
	err = append(w, s.table.data, s.table.len * sizeof(*s.table.data));
	if (!err)
		err = append(w, s.content.vec.data, s.content.vec.len);
	if (!err)
		err = perfdata_writer_flush(w);
	return err ? err : patch_header(w, data_end - w->data_start, s.features);
}

static struct error *write_stream_features(struct perfdata_writer *w)
{
	struct feature_source source = feature_source(w);
	struct error *err = NULL;

	for (unsigned int feature = 0; !err && feature < FORMAT_STATS; feature++) {
		struct bytes section = {0};

		if (feature_build(feature, &source, &section))
			err = section.bad ? error_nomem() :
			      write_stream_section(w, FORMAT_RECORD_FEATURE, feature, &section);
		bytes_free(&section);
	}
	return err;
}

struct error *perfdata_writer_finish(struct perfdata_writer *w)
{
	struct error *err = NULL;

	if (w->stream)
		err = write_stream_section(w, FORMAT_RECORD_EVENT_TYPE, FORMAT_STATS_MAGIC, &w->stats);
	if (!err)
		err = perfdata_writer_flush(w);
	if (!err && !w->stream)
		err = finish_file(w);
	return err;
}

struct error *perfdata_writer_set_stats(struct perfdata_writer *w, const void *data, size_t size)
{
	struct bytes stats = {0};

	bytes_add(&stats, data, size);
	if (stats.bad) {
		bytes_free(&stats);
		return error_nomem();
	}
	bytes_free(&w->stats);
	w->stats = stats;
	return NULL;
}

uint64_t perfdata_writer_bytes(const struct perfdata_writer *w)
{
	return w->written + w->used;
}

/* --- life cycle --- */

static bool copy_options(struct perfdata_writer *w, const struct perfdata_writer_options *options)
{
	size_t n = 0;

	w->deferred_records = options->deferred_records;
	w->n_events = options->n_events;
	w->attrs = calloc(w->n_events, sizeof(*w->attrs));
	w->names = calloc(w->n_events, sizeof(*w->names));
	while (options->cmdline && options->cmdline[n])
		n++;
	w->cmdline = calloc(n + 1, sizeof(*w->cmdline));
	if (!w->attrs || !w->names || !w->cmdline)
		return false;
	for (size_t i = 0; i < w->n_events; i++) {
		w->attrs[i] = make_attr(&options->events[i], w, i == 0);
		w->names[i] = strdup(options->events[i].name);
		if (!w->names[i])
			return false;
	}
	for (size_t i = 0; i < n; i++) {
		w->cmdline[i] = strdup(options->cmdline[i]);
		if (!w->cmdline[i])
			return false;
	}
	return true;
}

static struct error *open_output(struct perfdata_writer *w)
{
	if (!strcmp(w->path, "-"))
		w->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	else
		w->fd = open(w->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (w->fd < 0)
		return error_errno(errno, "%s: cannot create", w->path);
	w->stream = !strcmp(w->path, "-") || lseek(w->fd, 0, SEEK_CUR) < 0;
	return NULL;
}

static struct error *write_head(struct perfdata_writer *w)
{
	struct error *err = w->stream ? write_stream_head(w) : write_file_head(w);

	if (!err && w->stream)
		err = write_stream_features(w);
	if (!err)
		err = perfdata_writer_flush(w);
	w->data_start = w->written;
	return err;
}

struct error *perfdata_writer_create(const char *path, const struct perfdata_writer_options *options,
				     struct perfdata_writer **ret)
{
	_cleanup_(perfdata_writer_closep) struct perfdata_writer *w = malloc(sizeof(*w));
	struct error *err;

	if (!w)
		return error_nomem();
	/* All but the buffer, whose pages are better left untouched. */
	memset(w, 0, offsetof(struct perfdata_writer, buffer));
	w->fd = -1;
	if (!options->n_events)
		return error_new(EINVAL, "%s: a recording needs an event", path);
	w->path = strdup(path);
	if (!w->path || !copy_options(w, options))
		return error_nomem();
	err = open_output(w);
	if (!err)
		err = write_head(w);
	if (err)
		return err;
	*ret = steal_ptr(w);
	return NULL;
}

void perfdata_writer_close(struct perfdata_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0) {
		/* Without finish, what is buffered still belongs to the cut recording. */
		if (w->used && !w->failed)
			error_free(perfdata_writer_flush(w));
		close(w->fd);
	}
	for (size_t i = 0; w->names && i < w->n_events; i++)
		free(w->names[i]);
	for (size_t i = 0; w->cmdline && w->cmdline[i]; i++)
		free(w->cmdline[i]);
	free(w->names);
	free(w->attrs);
	free(w->cmdline);
	free(w->path);
	bytes_free(&w->stats);
	free(w);
}
