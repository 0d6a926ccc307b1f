/* SPDX-License-Identifier: MIT */
/* A recording sample by sample; see script.h. */
#include "export/script.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "export/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct script {
	struct samples *samples;
	const struct frames *frames;
	FILE *out;
};

/* Without a reader of our output it is no use to go on. */
static struct error *check_output(FILE *out)
{
	return ferror(out) ? error_errno(errno ? errno : EIO, "cannot write the output") : NULL;
}

/* Was this location found in a symbol table? */
static bool has_symbol(const char *name)
{
	return name[0] != '[';
}

static void text_frames(const struct script *s, const struct sample_frame *chain, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct location *location = &s->frames->locations.data[chain[i].location];
		const char *name = frames_name(s->frames, location->function);

		fprintf(s->out, "\t%16" PRIx64 " ", chain[i].ip);
		text_put(s->out, name);
		if (location->caller != ID_NONE) {
			fputs(" (inlined)\n", s->out);
			continue;
		}
		if (has_symbol(name))
			fprintf(s->out, "+0x%" PRIx64, samples_frame_offset(location, &chain[i]));
		fputs(" (", s->out);
		text_put(s->out, frames_dso(s->frames, location->function));
		fputs(")\n", s->out);
	}
}

/* ---- fields of tracepoints ------------------------------------------------------ */

/* What is no number, as text; the caller's, NULL without memory. */
static char *value_text(const struct tracing_value *value)
{
	char *text = NULL;

	if (value->kind == TRACING_STRING || value->kind == TRACING_CHARS)
		return strndup(value->text, value->len);
	if (value->kind == TRACING_POINTER)
		return asprintf(&text, "0x%" PRIx64, (uint64_t)value->number) < 0 ? NULL : text;
	text = malloc(2 * value->len + 1);
	for (size_t i = 0; text && i < value->len; i++)
		sprintf(text + 2 * i, "%02x", (unsigned char)value->text[i]);
	if (text)
		text[2 * value->len] = '\0';
	return text;
}

static void text_value(FILE *out, const struct tracing_value *value)
{
	_cleanup_free_ char *text = NULL;

	switch (value->kind) {
	case TRACING_SIGNED:
		fprintf(out, "%" PRId64, value->number);
		break;
	case TRACING_UNSIGNED:
		fprintf(out, "%" PRIu64, (uint64_t)value->number);
		break;
	case TRACING_FLOAT:
		fprintf(out, "%.17g", value->real);
		break;
	default:
		text = value_text(value);
		text_put(out, text ? text : "?");
	}
}

static void json_value(struct json *json, const struct tracing_value *value)
{
	_cleanup_free_ char *text = NULL;

	switch (value->kind) {
	case TRACING_SIGNED:
		json_i64(json, value->number);
		break;
	case TRACING_UNSIGNED:
		json_u64(json, (uint64_t)value->number);
		break;
	case TRACING_FLOAT:
		json_real(json, value->real);
		break;
	default:
		text = value_text(value);
		json_string(json, text);
	}
}

static const struct tracing_event *description_of(const struct script *s, const struct sample *sample)
{
	return sample->raw_size ? perfdata_reader_tracepoint(samples_reader(s->samples), sample->event) : NULL;
}

static void text_fields(const struct script *s, const struct sample *sample)
{
	const struct tracing_event *event = description_of(s, sample);
	struct tracing_value value;

	if (!event)
		return;
	vec_each(&event->fields, field) {
		putc(' ', s->out);
		text_put(s->out, field->name);
		putc('=', s->out);
		if (tracing_value(field, sample->raw, sample->raw_size, &value))
			text_value(s->out, &value);
		else
			putc('?', s->out);
	}
}

static void json_fields(struct json *json, const struct script *s, const struct sample *sample)
{
	const struct tracing_event *event = description_of(s, sample);
	struct tracing_value value;

	if (!event)
		return;
	json_key(json, "fields"), json_object(json);
	vec_each(&event->fields, field) {
		json_key(json, field->name);
		if (tracing_value(field, sample->raw, sample->raw_size, &value))
			json_value(json, &value);
		else
			json_null(json);
	}
	json_end_object(json);
}

/* ---- samples ----------------------------------------------------------------------- */

static struct error *text_sample(const struct sample *sample, void *arg)
{
	const struct script *s = arg;

	text_column(s->out, s->frames->strings.data[sample->comm], 16, 1);
	fprintf(s->out, " %5u/%-5u [%03u] %5" PRIu64 ".%06" PRIu64 ": %10" PRIu64 " ", sample->pid, sample->tid,
		sample->cpu, sample->time / 1000000000, sample->time / 1000 % 1000000, sample->period);
	text_put(s->out, samples_event_name(s->samples, sample->event));
	putc(':', s->out);
	text_fields(s, sample);
	putc('\n', s->out);
	text_frames(s, sample->kernel, sample->n_kernel);
	text_frames(s, sample->user, sample->n_user);
	if (sample->reason != REASON_NONE)
		fprintf(s->out, "\t%16s [%s%s]\n", "", sample->outcome == SAMPLE_MISSING ? "missing: " : "",
			reason_name(sample->reason));
	putc('\n', s->out);
	return check_output(s->out);
}

struct error *export_script(struct samples *samples, FILE *out)
{
	struct script script = { samples, samples_frames(samples), out };

	return samples_each(samples, text_sample, &script);
}

static void json_place(struct json *json, const struct frames *frames, const struct location *location)
{
	json_key(json, "file");
	json_string(json, location->file ? frames->strings.data[location->file] : NULL);
	json_key(json, "line");
	if (location->line)
		json_u64(json, location->line);
	else
		json_null(json);
}

static void json_frames(struct json *json, const struct script *s, const struct sample_frame *chain, size_t n)
{
	json_array(json);
	for (size_t i = 0; i < n; i++) {
		const struct location *location = &s->frames->locations.data[chain[i].location];

		json_object(json);
		json_key(json, "ip"), json_hex(json, chain[i].ip);
		json_key(json, "sym"), json_string(json, frames_name(s->frames, location->function));
		json_key(json, "off"), json_u64(json, samples_frame_offset(location, &chain[i]));
		json_key(json, "dso"), json_string(json, frames_dso(s->frames, location->function));
		json_place(json, s->frames, location);
		json_key(json, "inline"), json_bool(json, location->caller != ID_NONE);
		json_end_object(json);
	}
	json_end_array(json);
}

static struct error *json_sample(const struct sample *sample, void *arg)
{
	const struct script *s = arg;
	struct json json = { .out = s->out };

	json_object(&json);
	json_key(&json, "time"), json_double(&json, (double)sample->time / 1e9, 9);
	json_key(&json, "cpu"), json_u64(&json, sample->cpu);
	json_key(&json, "return_cpu");
	if (sample->return_cpu == PERFDATA_NO_CPU)
		json_null(&json);
	else
		json_u64(&json, sample->return_cpu);
	json_key(&json, "pid"), json_u64(&json, sample->pid);
	json_key(&json, "tid"), json_u64(&json, sample->tid);
	json_key(&json, "comm"), json_string(&json, s->frames->strings.data[sample->comm]);
	json_key(&json, "event"), json_string(&json, samples_event_name(s->samples, sample->event));
	json_key(&json, "period"), json_u64(&json, sample->period);
	json_fields(&json, s, sample);
	json_key(&json, "cookie"), json_hex(&json, sample->cookie);
	json_key(&json, "kernel"), json_frames(&json, s, sample->kernel, sample->n_kernel);
	json_key(&json, "user"), json_frames(&json, s, sample->user, sample->n_user);
	json_key(&json, "complete"), json_bool(&json, sample->outcome == SAMPLE_COMPLETE);
	json_key(&json, "reason");
	json_string(&json, sample->reason == REASON_NONE ? NULL : reason_name(sample->reason));
	json_end_object(&json);
	putc('\n', s->out);
	return check_output(s->out);
}

struct error *export_script_json(struct samples *samples, FILE *out)
{
	struct script script = { samples, samples_frames(samples), out };

	return samples_each(samples, json_sample, &script);
}
