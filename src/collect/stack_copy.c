/* SPDX-License-Identifier: MIT */
/* Finishing walks from stack copies; see stack_copy.h. */
#include "collect/stack_copy.h"

#include "base/hash.h"
#include "collect/stack_walk.h"

#include <string.h>

enum { COPY_MAX = STACK_CHUNKS * STACK_CHUNK, PIECES_MAX = 4096 };	/* bounds against nonsense */

/* A piece of a stack; a task that migrates while it writes them spreads them over rings. */
struct piece {
	struct stack_record record;
	unsigned char *bytes;
};

/* One walk under assembly. */
struct copy {
	struct hash_node node;
	struct copy *next;		/* by age */
	uint64_t time;
	bool has_partial, done;
	struct deferred_record head;
	stack_ips ips;
	VEC(struct piece) pieces;
	size_t size;			/* of the pieces */
	size_t n_pieces;		/* 0: the last one is not here yet */
	struct stack_record stack;	/* of the first piece, once all are here */
	VEC(unsigned char) bytes;	/* of the stack, from stack.address on */
};

struct stack_copies {
	struct hash by_cookie;
	struct copy *oldest, **youngest;
	struct stack_walker walker;
	stack_copies_fn fn;
	void *arg;
};

struct error *stack_copies_create(struct dso_store *dsos, struct process_tracker *processes, uint32_t max_depth,
				  stack_copies_fn fn, void *arg, struct stack_copies **ret)
{
	struct stack_copies *c = calloc(1, sizeof(*c));

	if (!c)
		return error_nomem();
	*c = (struct stack_copies){ .walker = { dsos, processes, max_depth }, .fn = fn, .arg = arg };
	c->youngest = &c->oldest;
	*ret = c;
	return NULL;
}

static void free_pieces(struct copy *copy)
{
	vec_each(&copy->pieces, piece)
		free(piece->bytes);
	vec_free(&copy->pieces);
}

static void copy_free(struct copy *copy)
{
	free_pieces(copy);
	vec_free(&copy->ips);
	vec_free(&copy->bytes);
	free(copy);
}

void stack_copies_destroy(struct stack_copies *c)
{
	if (!c)
		return;
	while (c->oldest) {
		struct copy *copy = c->oldest;

		c->oldest = copy->next;
		copy_free(copy);
	}
	hash_free(&c->by_cookie);
	free(c);
}

static struct copy *copy_of(struct stack_copies *c, const struct deferred_record *r)
{
	uint64_t hash = hash_u64(r->cookie ^ (uint64_t)r->tid << 20);
	struct copy *copy;

	hash_each(&c->by_cookie, hash, node) {
		copy = container_of(node, struct copy, node);
		if (copy->head.cookie == r->cookie && copy->head.tid == r->tid)
			return copy;
	}
	copy = calloc(1, sizeof(*copy));
	if (!copy)
		return NULL;
	copy->head = *r;
	copy->time = r->time;
	if (!hash_insert(&c->by_cookie, &copy->node, hash)) {
		free(copy);
		return NULL;
	}
	*c->youngest = copy;
	c->youngest = &copy->next;
	return copy;
}

/* ---- assembly ------------------------------------------------------------ */

static void deliver(struct stack_copies *c, struct copy *copy, uint16_t reason)
{
	struct chain chain = {
		.time = copy->head.time, .cookie = copy->head.cookie, .pid = copy->head.pid, .tid = copy->head.tid,
		.cpu = copy->head.cpu, .reason = reason, .n = copy->ips.len, .ips = copy->ips.data,
	};

	c->fn(c->arg, &chain);
	copy->done = true;
}

static bool is_whole(const struct copy *copy)
{
	return copy->has_partial && copy->n_pieces && copy->pieces.len == copy->n_pieces && !copy->done;
}

bool stack_copies_partial(struct stack_copies *c, const struct deferred_record *r, uint32_t size)
{
	struct copy *copy;

	if (size < sizeof(*r) + r->n * sizeof(uint64_t))
		return false;
	copy = copy_of(c, r);
	if (!copy || copy->has_partial || !vec_reserve(&copy->ips, r->n))
		return false;
	copy->head = *r;
	memcpy(copy->ips.data, r + 1, r->n * sizeof(uint64_t));
	copy->ips.len = r->n;
	copy->has_partial = true;
	return is_whole(copy);
}

bool stack_copies_piece(struct stack_copies *c, const struct deferred_record *r, uint32_t size)
{
	const struct stack_record *st = (const struct stack_record *)(r + 1);
	struct piece piece;
	struct copy *copy;

	if (size < sizeof(*r) + sizeof(*st) || st->size > size - sizeof(*r) - sizeof(*st))
		return false;
	copy = copy_of(c, r);
	if (!copy || copy->done || copy->size + st->size > COPY_MAX || copy->pieces.len >= PIECES_MAX)
		return false;
	piece.record = *st;
	piece.bytes = malloc(st->size + 1);
	if (!piece.bytes)
		return false;
	memcpy(piece.bytes, st + 1, st->size);
	copy->size += st->size;
	if (!vec_push(&copy->pieces, piece)) {
		free(piece.bytes);
		return false;
	}
	if (st->last)
		copy->n_pieces = st->index + 1;
	return is_whole(copy);
}

static int by_index(const void *a, const void *b)
{
	return ((const struct piece *)a)->record.index - ((const struct piece *)b)->record.index;
}

/* The stack as far as the pieces follow on each other without a gap. */
static void join_pieces(struct copy *copy)
{
	if (!copy->pieces.len)
		return;
	qsort(copy->pieces.data, copy->pieces.len, sizeof(*copy->pieces.data), by_index);
	copy->stack = copy->pieces.data[0].record;
	if (copy->stack.index)
		copy->pieces.data[0].record.address = ~copy->stack.address;	/* the first one is lost */
	vec_each(&copy->pieces, piece) {
		const struct stack_record *st = &piece->record;

		if (st->address != copy->stack.address + copy->bytes.len ||
		    !vec_reserve(&copy->bytes, copy->bytes.len + st->size))
			break;
		memcpy(copy->bytes.data + copy->bytes.len, piece->bytes, st->size);
		copy->bytes.len += st->size;
		copy->stack.reason = st->reason;
	}
	free_pieces(copy);
}

/* From the frame whose rule was missing. */
static enum reason walk_rest(struct stack_copies *c, struct copy *copy)
{
	const struct stack_record *st = &copy->stack;
	struct stack_image image = {
		.pid = copy->head.pid,
		.frame = { .pc = st->pc, .sp = st->sp, .bp = st->bp, .bx_at = st->bx_at, .exact = st->exact,
			   .innermost = st->innermost, .second = st->second, .bp_lost = st->bp_lost,
			   .by_fp = st->by_fp },
		.regs = (const uint64_t *)st->regs,
		.address = st->address, .bytes = copy->bytes.data, .size = copy->bytes.len,
		.end = st->reason == REASON_PAGE_UNREADABLE ? UINT64_MAX : 0,
		.mapping = &st->mapping, .key = &st->key, .returns = st->returns,
	};

	return stack_walk(&c->walker, &image, &copy->ips, NULL);
}

/* As far as the pieces go. */
static void finish_walk(struct stack_copies *c, struct copy *copy)
{
	bool whole = is_whole(copy);
	uint16_t reason = REASON_COPY_LOST;

	join_pieces(copy);
	if (copy->has_partial && copy->bytes.len)
		reason = walk_rest(c, copy);
	else if (whole && copy->stack.reason)
		reason = copy->stack.reason;	/* nothing could be read */
	deliver(c, copy, reason == REASON_STACK_COPY_SHORT && !whole ? REASON_COPY_LOST : reason);
}

void stack_copies_finish(struct stack_copies *c, const struct deferred_record *r)
{
	struct copy *copy = copy_of(c, r);

	if (!copy || !is_whole(copy))
		return;
	finish_walk(c, copy);
	vec_free(&copy->bytes);
	vec_free(&copy->ips);
}

void stack_copies_expire(struct stack_copies *c, uint64_t time)
{
	while (c->oldest && c->oldest->time <= time) {
		struct copy *copy = c->oldest;

		if (!copy->done)
			finish_walk(c, copy);
		c->oldest = copy->next;
		if (!c->oldest)
			c->youngest = &c->oldest;
		hash_remove(&c->by_cookie, &copy->node);
		copy_free(copy);
	}
}
