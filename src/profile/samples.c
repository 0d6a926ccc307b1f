/* SPDX-License-Identifier: MIT */
/* Going through a recording; see samples.h. */
#include "profile/samples.h"

#include "profile/resolve.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

struct samples {
	const struct filter *filter;
	bool skip_symbols;
	samples_progress_fn progress;
	const void *progress_arg;
	struct perfdata_reader *reader;
	struct resolver *resolver;
	struct frames frames;
	VEC(struct sample_frame) kernel, user;	/* of the current sample */
	uint64_t lost_samples, lost_records, throttled;
};

enum { PROGRESS_RECORDS = 4096 };	/* between two reports of the progress */

static const struct filter no_filter;

/* Addresses of another kernel must not get this kernel's names. */
static bool is_this_kernel(const struct perfdata_reader *reader)
{
	const char *release = perfdata_reader_os_release(reader);
	struct utsname uts;

	return !release || uname(&uts) || !strcmp(uts.release, release);
}

struct error *samples_open(const char *path, const struct samples_options *options, struct samples **ret)
{
	_cleanup_(samples_closep) struct samples *samples = calloc(1, sizeof(*samples));
	struct resolver_options how = { .inlined = !options->no_inline };
	struct error *err;

	if (!samples)
		return error_nomem();
	samples->filter = options->filter ? options->filter : &no_filter;
	samples->skip_symbols = options->skip_symbols;
	samples->progress = options->progress;
	samples->progress_arg = options->progress_arg;
	err = perfdata_reader_open(path, &samples->reader);
	if (!err)
		err = frames_init(&samples->frames);
	if (!err)
		how.kernel = is_this_kernel(samples->reader);
	if (!err)
		err = resolver_create(&samples->frames, &how, &samples->resolver);
	if (err)
		return err;
	*ret = steal_ptr(samples);
	return NULL;
}

void samples_close(struct samples *samples)
{
	if (!samples)
		return;
	resolver_destroy(samples->resolver);
	if (samples->reader)
		perfdata_reader_close(samples->reader);
	frames_deinit(&samples->frames);
	vec_free(&samples->kernel);
	vec_free(&samples->user);
	free(samples);
}

static struct error *resolve_kernel(struct samples *samples, const uint64_t *ips, size_t n)
{
	struct error *err = NULL;

	if (!vec_reserve(&samples->kernel, n))
		return error_nomem();
	for (size_t i = 0; !err && i < n; i++) {
		struct sample_frame *frame = &samples->kernel.data[i];

		*frame = (struct sample_frame){ ips[i], ID_NONE, i > 0 };
		if (!samples->skip_symbols)
			err = resolver_kernel(samples->resolver, ips[i] - (i > 0), &frame->location);
	}
	samples->kernel.len = n;
	return err;
}

/* Adds a frame of the user stack, after those of the functions inlined into it. */
static struct error *add_user(struct samples *samples, struct sample_frame frame)
{
	uint32_t location = frame.location;

	do {
		frame.location = location;
		if (!vec_push(&samples->user, frame))
			return error_nomem();
		if (location != ID_NONE)
			location = samples->frames.locations.data[location].caller;
	} while (location != ID_NONE);
	return NULL;
}

static struct error *resolve_user(struct samples *samples, uint32_t pid, const uint64_t *ips, size_t n)
{
	struct error *err = NULL;

	samples->user.len = 0;
	for (size_t i = 0; !err && i < n; i++) {
		struct sample_frame frame = { ips[i], ID_NONE, i > 0 };

		if (!samples->skip_symbols)
			err = resolver_user(samples->resolver, pid, ips[i] - frame.is_return, &frame.location);
		if (!err)
			err = add_user(samples, frame);
	}
	return err;
}

/* A recording without chains (perf record without -g) still has the address of every sample. */
static void use_ip_as_chain(struct perfdata_record *record)
{
	unsigned int mode = record->misc & PERF_RECORD_MISC_CPUMODE_MASK;

	if (record->sample.has_extra || record->sample.n_kernel || record->sample.n_user || !record->sample.ip)
		return;
	if (mode == PERF_RECORD_MISC_KERNEL) {
		record->sample.kernel = &record->sample.ip;
		record->sample.n_kernel = 1;
	} else if (mode == PERF_RECORD_MISC_USER) {
		record->sample.user = &record->sample.ip;
		record->sample.n_user = 1;
	}
}

static struct error *fill_sample(struct samples *samples, struct perfdata_record *record, struct sample *ret)
{
	bool other_tool = !record->sample.has_extra;
	struct error *err = NULL;

	use_ip_as_chain(record);
	ret->time = record->time;
	ret->period = record->sample.period;
	ret->cookie = record->sample.cookie;
	ret->pid = record->pid;
	ret->tid = record->tid;
	ret->cpu = record->cpu;
	ret->raw = record->sample.raw;
	ret->raw_size = record->sample.raw_size;
	ret->event = record->sample.event;
	ret->return_cpu = other_tool ? PERFDATA_NO_CPU : record->sample.return_cpu;
	ret->reason = other_tool ? REASON_NONE : record->sample.reason;
	ret->outcome = sample_outcome(other_tool, ret->reason, record->sample.n_user);

	if (ret->outcome == SAMPLE_TRUNCATED && record->sample.n_user)
		err = resolver_dso(samples->resolver, record->pid,
				   record->sample.user[record->sample.n_user - 1], &ret->stop_dso);
	if (!err && !samples->filter->no_kernel)
		err = resolve_kernel(samples, record->sample.kernel, record->sample.n_kernel);
	if (!err && !samples->filter->no_user)
		err = resolve_user(samples, record->pid, record->sample.user, record->sample.n_user);
	ret->kernel = samples->kernel.data;
	ret->n_kernel = samples->kernel.len;
	ret->user = samples->user.data;
	ret->n_user = samples->user.len;
	ret->depth = samples->filter->no_user ? 0 : record->sample.n_user;
	return err;
}

static struct error *pass_sample(struct samples *samples, struct perfdata_record *record, samples_fn fn,
				 void *arg)
{
	struct sample sample = { 0 };
	struct error *err = resolver_comm(samples->resolver, record->pid, record->tid, &sample.comm);

	if (err || !filter_match(samples->filter, samples->frames.strings.data[sample.comm], record->pid,
				 record->tid, record->cpu, record->time))
		return err;
	err = fill_sample(samples, record, &sample);
	return err ? err : fn(&sample, arg);
}

static struct error *pass_other(struct samples *samples, const struct perfdata_record *record)
{
	switch (record->type) {
	case PERF_RECORD_LOST:
		samples->lost_records += record->lost.lost;
		return NULL;
	case PERF_RECORD_LOST_SAMPLES:
		samples->lost_samples += record->lost.lost;
		return NULL;
	case PERF_RECORD_THROTTLE:
		samples->throttled++;
		return NULL;
	default:
		return resolver_feed(samples->resolver, record);
	}
}

struct error *samples_each(struct samples *samples, samples_fn fn, void *arg)
{
	struct perfdata_record record;
	struct error *err = NULL;

	for (unsigned int n = 1; !err && perfdata_reader_next(samples->reader, &record); n++) {
		err = record.type == PERF_RECORD_SAMPLE ? pass_sample(samples, &record, fn, arg)
							: pass_other(samples, &record);
		if (samples->progress && n % PROGRESS_RECORDS == 0)
			samples->progress(samples->progress_arg,
						  perfdata_reader_progress(samples->reader));
	}
	if (samples->progress)
		samples->progress(samples->progress_arg, 1);
	return err;
}

struct frames *samples_frames(struct samples *samples)
{
	return &samples->frames;
}

const struct perfdata_reader *samples_reader(const struct samples *samples)
{
	return samples->reader;
}

const char *samples_event_name(const struct samples *samples, uint32_t event)
{
	const struct perfdata_reader_event *events;
	size_t n = perfdata_reader_events(samples->reader, &events);

	return event < n && events[event].name ? events[event].name : "unknown";
}

bool samples_recorder_stats(const struct samples *samples, struct perfdata_recorder_stats *ret)
{
	const void *data;
	size_t size;

	if (perfdata_reader_stats(samples->reader, &data, &size) && perfdata_recorder_stats_parse(data, size, ret))
		return true;
	memset(ret, 0, sizeof(*ret));
	ret->lost_samples = samples->lost_samples;
	ret->lost_records = samples->lost_records;
	ret->throttled = samples->throttled;
	return false;
}
