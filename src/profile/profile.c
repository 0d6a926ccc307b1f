/* SPDX-License-Identifier: MIT */
/* From a recording to call tree and quality figures; see profile.h. */
#include "profile/profile.h"

#include "profile/samples.h"

#include <stdio.h>
#include <stdlib.h>

/* Is the reason about the unwind information of the DSO where the chain stops? */
static bool reason_is_about_dso(unsigned int reason)
{
	return reason == REASON_NO_UNWIND_INFO || reason == REASON_BAD_UNWIND_INFO ||
	       reason == REASON_FILE_UNREADABLE || reason == REASON_FILE_CHANGED;
}

/* What stands in brackets as the outermost frame of a chain that is not whole. */
static struct error *note_function(struct frames *frames, const struct sample *sample, uint32_t *ret)
{
	const char *reason = reason_name(sample->reason);
	const char *dso = frames->strings.data[sample->stop_dso];
	char name[400];

	if (sample->outcome == SAMPLE_MISSING)
		snprintf(name, sizeof(name), "[missing: %s]", stats_reason_name(sample->reason));
	else if (reason_is_about_dso(sample->reason) && sample->stop_dso)
		snprintf(name, sizeof(name), "[%s: %s]", reason, frames_base_name(dso));
	else
		snprintf(name, sizeof(name), "[%s]", reason);
	return frames_function_named(frames, FRAME_NOTE, name, dso, ret);
}

/* Chains of other tools may or may not be whole: they carry no note. */
static bool needs_note(const struct sample *sample)
{
	return (sample->outcome == SAMPLE_TRUNCATED && sample->reason != REASON_NONE) ||
	       sample->outcome == SAMPLE_MISSING;
}

static struct error *add_task(struct frames *frames, struct tree *tree, const struct sample *sample,
			      bool per_process, uint32_t *node)
{
	uint32_t function, pid = 0;
	struct error *err = NULL;
	char text[16];

	if (per_process) {
		snprintf(text, sizeof(text), "%u", sample->pid);
		err = frames_string(frames, text, &pid);
	}
	if (!err)
		err = frames_function(frames, FRAME_TASK, sample->comm, pid, &function);
	return err ? err : tree_child(tree, TREE_ROOT, function, node);
}

static struct error *add_frames(const struct frames *frames, struct tree *tree, const struct sample_frame *chain,
				size_t n, uint32_t *node)
{
	struct error *err = NULL;

	while (!err && n-- > 0)
		err = tree_child(tree, *node, frames->locations.data[chain[n].location].function, node);
	return err;
}

struct error *profile_add_chain(struct frames *frames, struct tree *tree, const struct sample *sample,
				bool per_process)
{
	uint32_t node, note;
	struct error *err = add_task(frames, tree, sample, per_process, &node);

	if (!err && needs_note(sample)) {
		err = note_function(frames, sample, &note);
		if (!err)
			err = tree_child(tree, node, note, &node);
	}
	if (!err)
		err = add_frames(frames, tree, sample->user, sample->n_user, &node);
	if (!err)
		err = add_frames(frames, tree, sample->kernel, sample->n_kernel, &node);
	if (!err)
		tree->nodes.data[node].self++;
	return err;
}

struct pass {
	struct profile *profile;
	const struct profile_options *options;
};

static struct error *add_sample(const struct sample *sample, void *arg)
{
	const struct pass *pass = arg;
	struct profile *profile = pass->profile;
	struct error *err = stats_add(&profile->stats, sample);

	if (err || pass->options->stats_only)
		return err;
	return profile_add_chain(profile->frames, &profile->tree, sample, pass->options->per_process);
}

struct error *profile_load(const char *path, const struct profile_options *options, struct profile **ret)
{
	_cleanup_(profile_freep) struct profile *profile = calloc(1, sizeof(*profile));
	struct samples_options how = { .filter = options->filter, .skip_symbols = options->stats_only,
				       .no_inline = options->no_inline, .progress = options->progress,
				       .progress_arg = options->progress_arg };
	struct error *err;

	if (!profile)
		return error_nomem();
	err = samples_open(path, &how, &profile->samples);
	if (err)
		return err;
	profile->frames = samples_frames(profile->samples);
	err = tree_init(&profile->tree);
	if (!err)
		err = samples_each(profile->samples, add_sample, &(struct pass){ profile, options });
	if (!err)
		err = tree_finish(&profile->tree, NULL, NULL);
	if (err)
		return err;
	profile->has_recorder = samples_recorder_stats(profile->samples, &profile->recorder);
	*ret = steal_ptr(profile);
	return NULL;
}

void profile_free(struct profile *profile)
{
	if (!profile)
		return;
	tree_deinit(&profile->tree);
	stats_deinit(&profile->stats);
	samples_close(profile->samples);
	free(profile);
}

double profile_duration(const struct profile *profile)
{
	if (profile->has_recorder)
		return (double)profile->recorder.duration_ns / 1e9;
	return (double)(profile->stats.last_time - profile->stats.first_time) / 1e9;
}
