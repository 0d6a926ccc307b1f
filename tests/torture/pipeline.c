/* SPDX-License-Identifier: MIT */
/*
 * The pipeline of ages.
 *
 * Each updater has a pointer that readers follow, and replaces what it points
 * to.  An object that was replaced is 1 grace period old as soon as it is out
 * of reach, one more after each grace period of that updater's kind, and is
 * used again at AGES.  Nobody in a section may see more than 1.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "torture/torture.h"

#define AGES 10
#define PIPELINES 16
#define OBJECTS (AGES + 6)

struct object {
	struct retour_rcu_head head;
	unsigned int age;
	unsigned int alive;	/* before publication and after the end; no atomic, so that a race is one */
	unsigned int used;
	struct updater *updater;
};

struct pipeline {
	struct object *current __attribute__((aligned(64)));
	struct object objects[OBJECTS];
};

static struct pipeline pipelines[PIPELINES];
static unsigned int pipeline_count;
static __thread unsigned long seen[AGES + 1];
static unsigned long histogram[AGES + 1];

/* A callback that says it was called. */
struct note {
	struct retour_rcu_head head;
	bool called;
};

static void note_call(struct retour_rcu_head *head)
{
	struct note *note = (struct note *)head;

	__atomic_store_n(&note->called, true, __ATOMIC_RELEASE);
}

static void wait_synchronize(void)
{
	torture->synchronize();
}

static void wait_expedited(void)
{
	torture->expedited();
}

static void poll_until_over(unsigned long cookie)
{
	while (!torture->poll(cookie))
		one_in(4) ? sleep_us(torture_random() % 100) : sched_yield();
}

static void wait_poll(void)
{
	poll_until_over(torture->start_poll());
}

static void wait_poll_expedited(void)
{
	poll_until_over(torture->start_poll_expedited());
}

static void wait_with(void (*cond)(unsigned long cookie))
{
	unsigned long cookie = torture->get_state();

	if (one_in(2))
		sleep_us(torture_random() % 200);
	cond(cookie);
	if (!torture->poll(cookie))
		torture_fail("a cookie is not complete after cond_synchronize");
}

static void wait_cond(void)
{
	wait_with(torture->cond);
}

static void wait_cond_expedited(void)
{
	wait_with(torture->cond_expedited);
}

/* Grace periods of others count too, if they began late enough. */
static void wait_for_others(void)
{
	unsigned long cookie = torture->get_state();

	for (int i = 0; i < 100 && !torture->poll(cookie); i++)
		sched_yield();
	torture->cond(cookie);
}

static void wait_barrier(void)
{
	struct note note = { .called = false };

	torture->call(&note.head, note_call);
	torture->barrier();
	if (!__atomic_load_n(&note.called, __ATOMIC_ACQUIRE))
		torture_fail("barrier returned before a callback was called");
	/* The stack frame is the callback's until then. */
	while (!__atomic_load_n(&note.called, __ATOMIC_ACQUIRE))
		sleep_us(100);
}

static const struct {
	const char *name;
	void (*wait)(void);	/* NULL: by callbacks */
} kinds[] = {
	{ "synchronize", wait_synchronize }, { "call", NULL }, { "expedited", wait_expedited },
	{ "start_poll", wait_poll }, { "barrier", wait_barrier }, { "cond", wait_cond },
	{ "poll", wait_for_others }, { "start_poll_expedited", wait_poll_expedited },
	{ "cond_expedited", wait_cond_expedited },
};
const unsigned int updater_kinds = sizeof(kinds) / sizeof(*kinds);

const char *updater_name(unsigned int kind)
{
	return kinds[kind].name;
}

/* False if that was the end of it: then it may be in use again already. */
static bool grow_older(struct object *object)
{
	unsigned int age = __atomic_load_n(&object->age, __ATOMIC_RELAXED) + 1;

	__atomic_store_n(&object->age, age, __ATOMIC_RELAXED);
	if (age < AGES)
		return true;
	object->alive = 0;
	__atomic_store_n(&object->used, 0, __ATOMIC_RELEASE);
	return false;
}

static void called_back(struct retour_rcu_head *head)
{
	struct object *object = (struct object *)head;

	__atomic_fetch_add(&object->updater->rounds, 1, __ATOMIC_RELAXED);
	if (grow_older(object))
		torture->call(head, called_back);
}

static struct object *take_free(struct pipeline *pipeline)
{
	for (int i = 0; i < OBJECTS; i++)
		if (!__atomic_load_n(&pipeline->objects[i].used, __ATOMIC_ACQUIRE))
			return &pipeline->objects[i];
	return NULL;
}

/* Publishes a new object; returns the one that it replaced. */
static struct object *replace(struct updater *updater)
{
	struct object *fresh = take_free(updater->pipeline), *old = updater->pipeline->current;

	if (!fresh)
		return NULL;
	fresh->updater = updater;
	__atomic_store_n(&fresh->used, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&fresh->age, 0, __ATOMIC_RELAXED);
	fresh->alive = 1;
	retour_rcu_assign_pointer(updater->pipeline->current, fresh);
	__atomic_store_n(&old->age, 1, __ATOMIC_RELAXED);
	return old;
}

static void age_all(struct pipeline *pipeline)
{
	for (int i = 0; i < OBJECTS; i++)
		if (pipeline->objects[i].used && __atomic_load_n(&pipeline->objects[i].age, __ATOMIC_RELAXED))
			grow_older(&pipeline->objects[i]);
}

void update_until_stopped(struct updater *updater)
{
	unsigned int at = __atomic_fetch_add(&pipeline_count, 1, __ATOMIC_RELAXED);

	updater->pipeline = &pipelines[at % PIPELINES];
	updater->pipeline->current->updater = updater;
	while (!stopping()) {
		struct object *old = replace(updater);

		if (!kinds[updater->kind].wait) {
			if (old)
				torture->call(&old->head, called_back);
			else
				sleep_us(torture_random() % 200);
			continue;
		}
		kinds[updater->kind].wait();
		age_all(updater->pipeline);
		__atomic_fetch_add(&updater->rounds, 1, __ATOMIC_RELAXED);
		if (one_in(16))
			sleep_us(torture_random() % 500);
	}
}

void pipelines_init(void)
{
	memset(pipelines, 0, sizeof(pipelines));
	pipeline_count = 0;
	for (int i = 0; i < PIPELINES; i++) {
		struct object *first = &pipelines[i].objects[0];

		first->used = first->alive = 1;
		pipelines[i].current = first;
	}
}

/* After all updaters: what is on its way comes to its end. */
void pipelines_finish(void)
{
	for (int i = 0; i < AGES; i++)
		torture->barrier();
}

static void look(const struct object *object)
{
	unsigned int age = __atomic_load_n(&object->age, __ATOMIC_RELAXED);

	seen[age > AGES ? AGES : age]++;
	if (age > 1)
		torture_fail("a reader holds an object that a grace period has passed");
	if (!object->alive)
		torture_fail("a reader holds an object that is not initialised, or not any more");
}

static void linger(void)
{
	uint64_t r = torture_random();

	if (r % (is_noisy() ? 64 : 4096) == 0)
		sleep_us(r / 4096 % 2000);
	else if (r % 256 == 0)
		sched_yield();
	else if (r % 4 == 0)
		spin(r / 4 % 8192);
}

/* Sections that begin here and end elsewhere: each reader leaves its own and takes the one before. */
struct baton {
	struct object *object;
	void *cookie;
};
static struct baton batons[64];
static void *handed_over;

static struct object *pick(void)
{
	unsigned int n = __atomic_load_n(&pipeline_count, __ATOMIC_RELAXED);

	return retour_rcu_dereference_raw(pipelines[torture_random() % (n ? n : 1)].current);
}

void read_nested(unsigned int depth)
{
	bool notrace = one_in(4);
	void *cookie = notrace ? torture->lock_notrace() : torture->lock();
	struct object *object = pick();

	linger();
	if (depth)
		read_nested(depth - 1);
	look(object);
	(notrace ? torture->unlock_notrace : torture->unlock)(cookie);
}

static struct baton *free_baton(void)
{
	static unsigned int hint;
	struct object *none;
	struct baton *baton;

	for (unsigned int i = 0; i < sizeof(batons) / sizeof(*batons); i++) {
		baton = &batons[__atomic_fetch_add(&hint, 1, __ATOMIC_RELAXED) % (sizeof(batons) / sizeof(*batons))];
		none = NULL;
		if (__atomic_compare_exchange_n(&baton->object, &none, (struct object *)baton, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return baton;
	}
	return NULL;
}

static void finish_baton(struct baton *baton)
{
	void *cookie = baton->cookie;

	look(__atomic_load_n(&baton->object, __ATOMIC_RELAXED));
	__atomic_store_n(&baton->object, NULL, __ATOMIC_RELEASE);
	torture->unlock(cookie);
}

static void hand_over(void)
{
	struct baton *baton = free_baton();

	if (!baton) {
		read_nested(0);
		return;
	}
	baton->cookie = torture->lock();
	__atomic_store_n(&baton->object, pick(), __ATOMIC_RELAXED);
	linger();
	baton = __atomic_exchange_n(&handed_over, baton, __ATOMIC_ACQ_REL);
	if (baton)
		finish_baton(baton);
}

void readers_finish(void)
{
	struct baton *baton = __atomic_exchange_n(&handed_over, NULL, __ATOMIC_ACQ_REL);

	if (baton)
		finish_baton(baton);
}

void read_once(void)
{
	if (torture->handed_over && !one_in(4))
		hand_over();
	else
		read_nested(one_in(8) ? torture_random() % 4 : 0);
}

void histogram_add(void)
{
	for (int i = 0; i <= AGES; i++)
		__atomic_fetch_add(&histogram[i], __atomic_exchange_n(&seen[i], 0, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

void histogram_print(void)
{
	printf("# ages seen:");
	for (int i = 0; i <= AGES; i++)
		printf(" %lu", __atomic_load_n(&histogram[i], __ATOMIC_RELAXED));
	printf("\n");
}
