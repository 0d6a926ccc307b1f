/* SPDX-License-Identifier: MIT */
/* Finishing walks from stack copies; see stack_copy.h. */
#include "collect/stack_copy.h"

#include "base/hash.h"
#include "unwind/unwind.h"

#include <string.h>
#include <sys/mman.h>

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
	VEC(uint64_t) ips;
	VEC(struct piece) pieces;
	size_t size;			/* of the pieces */
	size_t n_pieces;		/* 0: the last one is not here yet */
	struct stack_record stack;	/* of the first piece, once all are here */
	VEC(unsigned char) bytes;	/* of the stack, from stack.address on */
};

struct stack_copies {
	struct hash by_cookie;
	struct copy *oldest, **youngest;
	struct dso_store *dsos;
	struct process_tracker *processes;
	uint32_t max_depth;
	stack_copies_fn fn;
	void *arg;
};

struct error *stack_copies_create(struct dso_store *dsos, struct process_tracker *processes, uint32_t max_depth,
				  stack_copies_fn fn, void *arg, struct stack_copies **ret)
{
	struct stack_copies *c = calloc(1, sizeof(*c));

	if (!c)
		return error_nomem();
	*c = (struct stack_copies){ .dsos = dsos, .processes = processes, .max_depth = max_depth,
				    .fn = fn, .arg = arg };
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

/* ---- the walk ------------------------------------------------------------ */

struct finish {
	struct stack_copies *c;
	struct copy *copy;
};

static bool read_stack(struct finish *f, uint64_t address, unsigned long long *words, unsigned int n)
{
	uint64_t start = f->copy->stack.address, offset = address - start;
	size_t len = f->copy->bytes.len;

	if (address < start || offset > len || len - offset < n * 8)
		return false;
	memcpy(words, f->copy->bytes.data + offset, n * 8);
	return true;
}

static bool read_word(void *arg, uint64_t address, uint64_t *ret)
{
	unsigned long long word;

	if (!read_stack(arg, address, &word, 1))
		return false;
	*ret = word;
	return true;
}

#define WALK_READ(arg, address, words, n) read_stack((arg), (address), (words), (n))
#define WALK_REG(arg, number) (((struct finish *)(arg))->copy->stack.regs[(number) % 17])
#include "unwind/walk.h"

/* The file of the code at an address; *bias turns the address into a file offset. */
static enum reason find_code(struct finish *f, uint64_t at, struct dso **dso, uint64_t *bias)
{
	const struct stack_record *st = &f->copy->stack;
	uint32_t pid = f->copy->head.pid;
	const struct process_mapping *m = process_tracker_find(f->c->processes, pid, at);

	if (at >= st->mapping.start && at < st->mapping.end && st->mapping.file != FILE_ANON) {
		*bias = st->mapping.bias;
		*dso = st->mapping.file != FILE_UNKNOWN ? dso_by_number(f->c->dsos, st->mapping.file) :
		       dso_by_key(f->c->dsos, &st->key, pid, st->mapping.start, st->mapping.end, m);
		return *dso ? (*dso)->reason : REASON_FILE_UNREADABLE;
	}
	if (!m)
		return REASON_NO_MAPPING;
	if (!(m->prot & PROT_EXEC))
		return REASON_NOT_EXECUTABLE;
	*dso = NULL;
	*bias = m->start - m->pgoff;
	if (m->path[0] == '[' ? strcmp(m->path, "[vdso]") : m->path[0] != '/' || m->path[1] == '/')
		return REASON_NONE;	/* anonymous: frame pointers */
	if (!strcmp(m->path, "[vdso]"))
		*bias = m->start;
	*dso = dso_by_mapping(f->c->dsos, pid, m);
	return *dso ? (*dso)->reason : REASON_FILE_UNREADABLE;
}

/* A rule that needs the whole register file. */
static int step_full(struct finish *f, struct dso *dso, uint64_t offset, struct walk_frame *frame)
{
	struct unwind_regs regs = { .valid = 1u << UNWIND_RSP | 1u << UNWIND_RIP };
	bool signal_frame = false, outermost = false;
	enum reason reason;

	if (frame->innermost) {
		memcpy(regs.value, f->copy->stack.regs, sizeof(regs.value));
		regs.valid = (1u << UNWIND_N_REGS) - 1;
	}
	regs.value[UNWIND_RSP] = frame->sp;
	regs.value[UNWIND_RBP] = frame->bp;
	regs.value[UNWIND_RIP] = frame->pc;
	regs.valid |= frame->bp_lost ? 0 : 1u << UNWIND_RBP;
	reason = unwind_step_full(dso->table, offset, &regs, read_word, f, &signal_frame, &outermost);
	if (outermost)
		return WALK_OUTERMOST;
	if (reason)
		return reason;
	/* An interrupted frame may have its return address in a register, and no frame. */
	if (!signal_frame && regs.value[UNWIND_RSP] < frame->sp + !frame->exact)
		return REASON_BACKWARDS;
	*frame = (struct walk_frame){
		.bx_at = RULE_RBX_LOST,		/* its value is known now, but not its place */
		.pc = regs.value[UNWIND_RIP], .sp = regs.value[UNWIND_RSP], .bp = regs.value[UNWIND_RBP],
		.exact = signal_frame, .bp_lost = !(regs.valid & 1u << UNWIND_RBP),
	};
	return frame->pc ? WALK_UP : REASON_ZERO_RETURN;
}

static int step(struct finish *f, struct dso *dso, uint64_t offset, struct walk_frame *frame)
{
	struct unwind_rule rule = { .cfa_kind = RULE_CFA_FP };
	int ret;

	if (dso)
		rule = dso_rule(f->c->dsos, dso, offset);
	ret = walk_apply(&rule, frame, f);
	if (ret == WALK_MISS)
		ret = dso ? step_full(f, dso, offset, frame) : REASON_NO_UNWIND_INFO;
	/* What lies beyond the copy is not unreadable, it is not here. */
	if (ret == REASON_PAGE_UNREADABLE && f->copy->stack.reason != REASON_PAGE_UNREADABLE)
		ret = REASON_STACK_COPY_SHORT;
	return ret;
}

/* From the frame whose rule was missing, which is the last one in ips. */
static uint16_t walk_rest(struct finish *f)
{
	const struct stack_record *st = &f->copy->stack;
	struct walk_frame frame = { .pc = st->pc, .sp = st->sp, .bp = st->bp, .bx_at = st->bx_at,
				    .exact = st->exact,
				    .innermost = st->innermost, .second = st->second, .bp_lost = st->bp_lost, .by_fp = st->by_fp };
	bool first = true;

	for (;; first = false) {
		uint64_t at = frame.exact ? frame.pc : frame.pc - 1, bias = 0;
		struct dso *dso = NULL;
		enum reason reason = find_code(f, at, &dso, &bias);
		int ret;

		if (reason == REASON_NO_MAPPING || reason == REASON_NOT_EXECUTABLE)
			return frame.by_fp ? REASON_BAD_FRAME_POINTER : reason;
		if (!first && !vec_push(&f->copy->ips, frame.pc))
			return REASON_MAX_DEPTH;
		if (reason)
			return reason;
		ret = step(f, dso, at - bias, &frame);
		if (ret == WALK_OUTERMOST)
			return REASON_NONE;
		if (f->copy->ips.len >= f->c->max_depth)
			return REASON_MAX_DEPTH;
		if (ret != WALK_UP)
			return ret;
	}
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

/* As far as the pieces go. */
static void finish_walk(struct stack_copies *c, struct copy *copy)
{
	struct finish f = { c, copy };
	bool whole = is_whole(copy);
	uint16_t reason = REASON_COPY_LOST;

	join_pieces(copy);
	if (copy->has_partial && copy->bytes.len)
		reason = walk_rest(&f);
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
