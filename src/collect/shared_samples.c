/* SPDX-License-Identifier: MIT */
/* Samples that are filled in once for several events; see shared_samples.h. */
#include "collect/shared_samples.h"

#include "collect/kernel_clock.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_CPUS = 65536 };

#define EVERY_CPU UINT32_MAX

/* NULL: no CPU has that number, or there is no memory. */
static struct shared_cpu *find_cpu(struct shared_samples *s, uint32_t cpu)
{
	while (s->cpus.len <= cpu && cpu < MAX_CPUS && vec_push(&s->cpus, (struct shared_cpu){ 0 }))
		;
	return cpu < s->cpus.len ? &s->cpus.data[cpu] : NULL;
}

/* An interrupt may have come in between, but that leaves no shared sample. */
static bool is_second(const struct shared_cpu *cpu, const struct shared_sample *sample)
{
	return cpu->sample_time == sample->time && cpu->sample_id == sample->id && cpu->sample_tid == sample->tid;
}

bool shared_samples_add(struct shared_samples *s, const struct shared_sample *sample, uint32_t size)
{
	struct shared_cpu *cpu = find_cpu(s, sample->cpu);
	struct held_sample held = { NULL, size };

	if (!cpu)
		return false;
	if (is_second(cpu, sample))
		return true;
	cpu->sample_time = sample->time;
	cpu->sample_id = sample->id;
	cpu->sample_tid = sample->tid;
	held.sample = malloc(size);
	if (!held.sample || !vec_push(&s->held, held)) {
		free(held.sample);
		return false;
	}
	memcpy(held.sample, sample, size);
	return true;
}

static void release(struct shared_samples *s, uint32_t cpu, uint64_t next)
{
	size_t kept = 0;

	vec_each(&s->held, held) {
		struct shared_sample *sample = held->sample;
		const uint64_t last = s->cpus.data[sample->cpu].time;

		if (cpu != EVERY_CPU && sample->cpu != cpu) {
			s->held.data[kept++] = *held;
			continue;
		}
		if (sample->time > next || sample->time < last)
			sample->time = next;
		s->fn(s->arg, sample, held->size);
		free(sample);
	}
	s->held.len = kept;
}

void shared_samples_next(struct shared_samples *s, uint32_t cpu, uint64_t time)
{
	struct shared_cpu *last = find_cpu(s, cpu);

	release(s, cpu, time);
	if (last)
		last->time = time;
}

void shared_samples_drained(struct shared_samples *s)
{
	if (s->held.len)
		release(s, EVERY_CPU, kernel_clock_ns());
}

void shared_samples_free(struct shared_samples *s)
{
	vec_each(&s->held, held)
		free(held->sample);
	vec_free(&s->held);
	vec_free(&s->cpus);
}
