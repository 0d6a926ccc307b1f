/* SPDX-License-Identifier: MIT */
/* Joining samples and chains; see stitch.h. */
#include "collect/stitch.h"

#include "base/hash.h"
#include "base/reason.h"

#include <string.h>

enum { KEEP_CHAINS = 16 << 20, KEEP_SAMPLES = 32 << 20 };	/* bytes */

struct waiting {
	struct waiting *next;
	uint32_t size;
	struct sample_record sample;	/* size bytes of it */
};

/* A kernel entry that was asked for: waiting samples, or the chain, never both. */
struct entry {
	struct hash_node node;
	struct entry *next, **prev;	/* by age, in the list of its state */
	uint32_t tid;
	bool used;			/* a sample has used the chain */
	struct waiting *first, **last;
	size_t bytes;
	struct chain chain;
	uint64_t cookie;
	uint64_t *ips;
	bool has_chain;
};

struct age_list {
	struct entry *oldest, **youngest;
	size_t bytes;
};

struct stitcher {
	struct hash by_cookie;
	struct age_list waiting, done;
	uint64_t n_waiting;
	stitch_fn fn;
	void *arg;
};

struct error *stitcher_create(stitch_fn fn, void *arg, struct stitcher **ret)
{
	struct stitcher *s = calloc(1, sizeof(*s));

	if (!s)
		return error_nomem();
	s->fn = fn;
	s->arg = arg;
	s->waiting.youngest = &s->waiting.oldest;
	s->done.youngest = &s->done.oldest;
	*ret = s;
	return NULL;
}

static uint64_t hash_of(uint32_t tid, uint64_t cookie)
{
	return hash_u64(cookie ^ (uint64_t)tid << 20);
}

static struct entry *find(const struct stitcher *s, uint32_t tid, uint64_t cookie)
{
	hash_each(&s->by_cookie, hash_of(tid, cookie), node) {
		struct entry *e = container_of(node, struct entry, node);

		if (e->cookie == cookie && e->tid == tid)
			return e;
	}
	return NULL;
}

static void append(struct age_list *list, struct entry *e)
{
	e->next = NULL;
	e->prev = list->youngest;
	*list->youngest = e;
	list->youngest = &e->next;
	list->bytes += e->bytes;
}

static void leave(struct age_list *list, struct entry *e)
{
	*e->prev = e->next;
	if (e->next)
		e->next->prev = e->prev;
	else
		list->youngest = e->prev;
	list->bytes -= e->bytes;
}

static struct entry *pop(struct age_list *list)
{
	struct entry *e = list->oldest;

	leave(list, e);
	return e;
}

static struct entry *new_entry(struct stitcher *s, uint32_t tid, uint64_t cookie)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->tid = tid;
	e->cookie = cookie;
	e->bytes = sizeof(*e);
	e->last = &e->first;
	if (!hash_insert(&s->by_cookie, &e->node, hash_of(tid, cookie))) {
		free(e);
		return NULL;
	}
	return e;
}

/* Delivers the entry's samples, with its chain if it has one. */
static void deliver(struct stitcher *s, struct entry *e, uint16_t reason)
{
	while (e->first) {
		struct waiting *w = e->first;

		e->first = w->next;
		s->fn(s->arg, &w->sample, w->size, e->has_chain ? &e->chain : NULL, reason, e->used);
		e->used = true;
		s->n_waiting--;
		free(w);
	}
	e->last = &e->first;
}

static void entry_free(struct stitcher *s, struct entry *e)
{
	hash_remove(&s->by_cookie, &e->node);
	free(e->ips);
	free(e);
}

static void trim(struct stitcher *s)
{
	while (s->done.oldest && s->done.bytes > KEEP_CHAINS)
		entry_free(s, pop(&s->done));
	while (s->waiting.oldest && s->waiting.bytes > KEEP_SAMPLES) {
		struct entry *e = pop(&s->waiting);

		deliver(s, e, REASON_DISCARDED);
		entry_free(s, e);
	}
}

void stitcher_sample(struct stitcher *s, const struct sample_record *sample, uint32_t size)
{
	struct entry *e;
	struct waiting *w;

	if (!sample->cookie) {
		s->fn(s->arg, sample, size, NULL, sample->reason, false);
		return;
	}
	e = find(s, sample->tid, sample->cookie);
	if (e && e->has_chain) {
		s->fn(s->arg, sample, size, &e->chain, e->chain.reason, e->used);
		e->used = true;
		return;
	}
	w = malloc(offsetof(struct waiting, sample) + size);
	if (!e && w) {
		e = new_entry(s, sample->tid, sample->cookie);
		if (e)
			append(&s->waiting, e);
	}
	if (!e || !w) {
		free(w);
		s->fn(s->arg, sample, size, NULL, REASON_DISCARDED, false);
		return;
	}
	w->next = NULL;
	w->size = size;
	memcpy(&w->sample, sample, size);
	*e->last = w;
	e->last = &w->next;
	e->bytes += offsetof(struct waiting, sample) + size;
	s->waiting.bytes += offsetof(struct waiting, sample) + size;
	s->n_waiting++;
	trim(s);
}

void stitcher_chain(struct stitcher *s, const struct chain *chain)
{
	struct entry *e = find(s, chain->tid, chain->cookie);

	if (e && e->has_chain)
		return;		/* walked twice: once from outside, once by the task itself */
	if (e)
		leave(&s->waiting, e);
	else
		e = new_entry(s, chain->tid, chain->cookie);
	if (!e)
		return;
	e->ips = malloc(chain->n * sizeof(*e->ips) + 1);
	e->chain = *chain;
	e->chain.ips = e->ips;
	if (!e->ips)
		e->chain.n = 0;
	if (e->chain.n)
		memcpy(e->ips, chain->ips, e->chain.n * sizeof(*e->ips));
	e->has_chain = true;
	deliver(s, e, chain->reason);
	e->bytes = sizeof(*e) + chain->n * sizeof(*e->ips);
	append(&s->done, e);
	trim(s);
}

uint64_t stitcher_waiting(const struct stitcher *s)
{
	return s->n_waiting;
}

void stitcher_give_up(struct stitcher *s, stitch_reason_fn why, void *arg)
{
	while (s->waiting.oldest) {
		struct entry *e = pop(&s->waiting);

		deliver(s, e, why(arg, e->tid, e->cookie));
		entry_free(s, e);
	}
}

void stitcher_destroy(struct stitcher *s)
{
	if (!s)
		return;
	hash_each_all(&s->by_cookie, node) {
		struct entry *e = container_of(node, struct entry, node);

		while (e->first) {
			struct waiting *w = e->first;

			e->first = w->next;
			free(w);
		}
		free(e->ips);
		free(e);
	}
	hash_free(&s->by_cookie);
	free(s);
}
