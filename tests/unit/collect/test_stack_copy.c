/* SPDX-License-Identifier: MIT */
/*
 * Walks finished from stack copies: this test copies its own stack, and what
 * comes out must be what the C run time's backtrace() says.
 */
#include "collect/stack_copy.h"
#include "collect/synthesize.h"
#include "test.h"

#include <execinfo.h>
#include <linux/perf_event.h>
#include <sys/uio.h>
#include <ucontext.h>

enum { MAX_COPY = 1 << 18, MAX_BACKTRACE = 100, DEPTH = 30, MAX_DEPTH = 1024 };

/* A moment of this program. */
struct moment {
	uint64_t regs[17];
	uint64_t address;
	size_t size;
	unsigned char stack[MAX_COPY];
	void *trace[MAX_BACKTRACE];
	int n_trace;
};

static struct moment moment;

static struct process_tracker *processes;
static struct rule_cache *cache;
static struct dso_store *dsos;
static struct stack_copies *copies;

static struct chain got;
static uint64_t got_ips[UINT16_MAX];
static unsigned int n_got;

static void on_chain(void *arg, const struct chain *chain)
{
	got = *chain;
	if (chain->n)
		memcpy(got_ips, chain->ips, chain->n * sizeof(*got_ips));
	n_got++;
}

static void on_record(void *arg, uint32_t type, uint16_t misc, uint32_t pid, uint32_t tid, const void *body,
		      size_t size)
{
	const struct {
		uint32_t pid, tid;
		uint64_t addr, len, pgoff;
		uint32_t maj, min;
		uint64_t ino, ino_generation;
		uint32_t prot, flags;
		char filename[];
	} *m = body;
	struct perfdata_record record = { .type = type, .misc = misc, .pid = pid, .tid = tid };

	if (type != PERF_RECORD_MMAP2)
		return;
	record.mmap.start = m->addr;
	record.mmap.len = m->len;
	record.mmap.pgoff = m->pgoff;
	record.mmap.prot = m->prot;
	record.mmap.maj = m->maj;
	record.mmap.min = m->min;
	record.mmap.ino = m->ino;
	record.mmap.filename = m->filename;
	CHECK(process_tracker_feed(processes, &record));
}

static void begin(void)
{
	struct rule_set *sets = calloc(1024, sizeof(*sets));
	struct unwind_rule *rules = calloc(MAX_RULES, sizeof(*rules));

	CHECK(sets && rules);
	processes = process_tracker_create();
	CHECK(processes);
	synthesize_process(getpid(), on_record, NULL);
	CHECK_OK(rule_cache_create(sets, 1024, rules, &cache));
	/* There is no kernel side. */
	CHECK_OK(dso_store_create(-1, cache, &dsos));
	CHECK_OK(stack_copies_create(dsos, processes, MAX_DEPTH, on_chain, NULL, &copies));
}

static void end(void)
{
	stack_copies_destroy(copies);
	dso_store_destroy(dsos);
	rule_cache_destroy(cache);
	process_tracker_destroy(processes);
}

/* The stack from address to its end, in a way that sanitizers do not mistake for an overflow. */
static void copy_stack(void)
{
	struct iovec to = { moment.stack, 0 }, from = { (void *)moment.address, 0 };

	for (moment.size = 0; moment.size < MAX_COPY - 4096; moment.size += to.iov_len) {
		to.iov_base = moment.stack + moment.size;
		from.iov_base = (void *)(moment.address + moment.size);
		to.iov_len = from.iov_len = 4096 - (uintptr_t)from.iov_base % 4096;
		if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != (ssize_t)to.iov_len)
			break;
	}
}

static __attribute__((noinline)) void take_moment(void)
{
	ucontext_t u;
	const greg_t *g = u.uc_mcontext.gregs;

	CHECK(!getcontext(&u));
	memcpy(moment.regs, (const uint64_t[]){ g[REG_RAX], g[REG_RDX], g[REG_RCX], g[REG_RBX], g[REG_RSI],
	       g[REG_RDI], g[REG_RBP], g[REG_RSP], g[REG_R8], g[REG_R9], g[REG_R10], g[REG_R11], g[REG_R12],
	       g[REG_R13], g[REG_R14], g[REG_R15], g[REG_RIP] }, sizeof(moment.regs));
	moment.address = moment.regs[7] & ~7ULL;
	copy_stack();
	moment.n_trace = backtrace(moment.trace, MAX_BACKTRACE);
	/* Sanitizers put a frame of theirs below ours. */
	while (moment.n_trace > 1 && moment.trace[1] != __builtin_return_address(0))
		memmove(moment.trace, moment.trace + 1, --moment.n_trace * sizeof(moment.trace[0]));
}

/* Frames so large that the stack fills several pieces. */
static __attribute__((noinline, noclone)) int deepen(int depth)
{
	volatile char frame[1000];

	frame[depth] = 1;
	if (depth)
		return deepen(depth - 1) + frame[depth];
	take_moment();
	return frame[0];
}

/* ---- records ---------------------------------------------------------------- */

struct piece {
	struct deferred_record head;
	struct stack_record stack;
	unsigned char bytes[STACK_CHUNK];
};

static struct deferred_record head_of(uint64_t cookie, uint32_t type)
{
	return (struct deferred_record){ .type = type, .cookie = cookie, .pid = getpid(), .tid = getpid(),
					 .time = cookie, .flags = type == RECORD_DEFERRED ? DEFERRED_PARTIAL : 0 };
}

static bool feed_partial(uint64_t cookie)
{
	struct {
		struct deferred_record head;
		uint64_t ip;
	} record = { head_of(cookie, RECORD_DEFERRED), moment.regs[16] };

	record.head.n = 1;
	return stack_copies_partial(copies, &record.head, sizeof(record));
}

/* Up to max bytes of the stack. */
static struct piece piece_of(uint64_t cookie, size_t from, size_t max)
{
	struct piece p = { .head = head_of(cookie, RECORD_STACK) };
	size_t size = moment.size - from < max ? moment.size - from : max;

	p.stack.pc = moment.regs[16];
	p.stack.sp = moment.regs[7];
	p.stack.bp = moment.regs[6];
	p.stack.exact = p.stack.innermost = 1;
	memcpy(p.stack.regs, moment.regs, sizeof(p.stack.regs));
	p.stack.address = moment.address + from;
	p.stack.size = size;
	p.stack.index = from / max;
	p.stack.last = from + size >= moment.size;
	memcpy(p.bytes, moment.stack + from, size);
	return p;
}

static bool feed(const struct piece *p)
{
	return stack_copies_piece(copies, &p->head, sizeof(p->head) + sizeof(p->stack) + p->stack.size);
}

static void finish(uint64_t cookie)
{
	struct deferred_record head = head_of(cookie, RECORD_STACK);

	stack_copies_finish(copies, &head);
}

/* The innermost addresses differ: getcontext() and backtrace() return to different places. */
static void check_chain(unsigned int n)
{
	CHECK(got.n >= 1);
	CHECK_U64(got_ips[0], moment.regs[16]);
	for (unsigned int i = 1; i < n; i++)
		CHECK_U64(got_ips[i], (uintptr_t)moment.trace[i]);
}

TEST(whole_in_any_size_of_piece)
{
	begin();
	deepen(DEPTH);
	CHECK(moment.n_trace > DEPTH && moment.n_trace < MAX_BACKTRACE);
	for (size_t size = 512; size <= STACK_CHUNK; size *= 2) {
		bool partial_first = size & 0x5555, whole = false;

		if (partial_first)
			CHECK(!feed_partial(size));
		for (size_t from = 0; from < moment.size; from += size) {
			struct piece p = piece_of(size, from, size);

			CHECK(!whole);
			whole = feed(&p);
		}
		CHECK(whole == partial_first);
		if (!partial_first)
			CHECK(feed_partial(size));
		n_got = 0;
		finish(size);
		CHECK_U64(n_got, 1);
		CHECK_U64(got.reason, 0);
		CHECK_U64(got.cookie, size);
		CHECK_U64(got.n, moment.n_trace);
		check_chain(got.n);
		finish(size);		/* once only */
		CHECK_U64(n_got, 1);
	}
	stack_copies_expire(copies, UINT64_MAX);
	CHECK_U64(n_got, 1);
	end();
}

/* What follows a lost piece is of no use; what came before is. */
TEST(lost_pieces)
{
	begin();
	deepen(DEPTH);
	for (size_t lost = 4096; lost < 5 * 4096; lost += 4096) {
		n_got = 0;
		feed_partial(lost);
		for (size_t from = 0; from < moment.size; from += 4096) {
			struct piece p = piece_of(lost, from, 4096);

			if (from != lost)
				feed(&p);
		}
		finish(lost);
		CHECK_U64(n_got, 0);
		stack_copies_expire(copies, UINT64_MAX);
		CHECK_U64(n_got, 1);
		CHECK_U64(got.reason, REASON_COPY_LOST);
		CHECK(got.n > 1 && got.n < moment.n_trace);
		check_chain(got.n);
	}
	end();
}

TEST(lost_ends)
{
	struct piece p;

	begin();
	deepen(DEPTH);
	/* Without the last piece. */
	feed_partial(1);
	p = piece_of(1, 0, 4096);
	CHECK(!feed(&p));
	finish(1);
	CHECK_U64(n_got, 0);
	/* Without the chain so far. */
	p = piece_of(2, 0, 4096);
	p.stack.last = 1;
	CHECK(!feed(&p));
	stack_copies_expire(copies, 1);
	CHECK_U64(n_got, 1);
	CHECK_U64(got.cookie, 1);
	CHECK_U64(got.reason, REASON_COPY_LOST);
	check_chain(got.n);
	stack_copies_expire(copies, 2);
	CHECK_U64(n_got, 2);
	CHECK_U64(got.cookie, 2);
	CHECK_U64(got.reason, REASON_COPY_LOST);
	end();
}

TEST(unreadable_page)
{
	struct piece p;

	begin();
	deepen(DEPTH);
	feed_partial(1);
	p = piece_of(1, 0, 4096);
	p.stack.last = 1;
	p.stack.reason = REASON_PAGE_UNREADABLE;
	CHECK(feed(&p));
	finish(1);
	CHECK_U64(got.reason, REASON_PAGE_UNREADABLE);
	check_chain(got.n);
	end();
}

TEST(depth_is_bounded)
{
	struct stack_copies *shallow;
	struct piece p;

	begin();
	deepen(DEPTH);
	CHECK_OK(stack_copies_create(dsos, processes, 5, on_chain, NULL, &shallow));
	stack_copies_destroy(copies);
	copies = shallow;
	feed_partial(1);
	p = piece_of(1, 0, STACK_CHUNK);
	p.stack.last = 1;
	feed(&p);
	finish(1);
	CHECK_U64(got.n, 5);
	CHECK_U64(got.reason, REASON_MAX_DEPTH);
	check_chain(5);
	end();
}

TEST(sizes_that_lie)
{
	struct piece p;

	begin();
	deepen(DEPTH);
	p = piece_of(1, 0, 64);
	p.stack.last = 1;
	feed_partial(1);
	/* Cut anywhere, and with more bytes promised than the record has. */
	for (uint32_t size = 0; size < sizeof(p.head) + sizeof(p.stack) + 64; size++)
		CHECK(!stack_copies_piece(copies, &p.head, size));
	p.stack.size = UINT32_MAX;
	CHECK(!stack_copies_piece(copies, &p.head, sizeof(p)));
	p.head.n = UINT16_MAX;
	CHECK(!stack_copies_partial(copies, &p.head, sizeof(p.head) + 8));
	CHECK_U64(n_got, 0);
	end();
}

static void damage(struct piece *p)
{
	uint64_t word = rand() % 3 ? moment.address + rand() % (moment.size + 64) :
				     (uint64_t)(uintptr_t)moment.trace[rand() % moment.n_trace];

	switch (rand() % 8) {
	case 0: p->stack.sp = word; break;
	case 1: p->stack.bp = word; break;
	case 2: p->stack.pc = word; break;
	case 3: p->stack.address = rand() % 2 ? word : UINT64_MAX - rand() % 4096; break;
	case 4: p->stack.innermost = 0; break;
	case 5: p->stack.mapping = (struct walk_mapping){ .end = UINT64_MAX, .file = rand(), .bias = word }; break;
	}
	for (int n = rand() % 20; n && p->stack.size; n--)
		memcpy(p->bytes + rand() % p->stack.size / 8 * 8, &word, 8);
}

/* Every copy is answered exactly once, with a reason unless it is complete. */
TEST(damaged_copies)
{
	begin();
	deepen(DEPTH);
	srand(1);
	for (uint64_t cookie = 1; cookie <= 3000; cookie++) {
		unsigned int before = n_got;

		for (size_t from = 0; from < 16384 && from < moment.size; from += 8192) {
			struct piece p = piece_of(cookie, from, 8192);

			p.stack.last = from >= 8192;
			damage(&p);
			if (rand() % 10)
				feed(&p);
		}
		if (rand() % 10)
			feed_partial(cookie);
		finish(cookie);
		stack_copies_expire(copies, cookie);
		CHECK(n_got <= before + 1);
		if (n_got == before)
			continue;	/* nothing of it had come */
		CHECK_U64(got.cookie, cookie);
		CHECK(got.n <= MAX_DEPTH);
		CHECK(!got.reason || reason_kind(got.reason) == REASON_KIND_TRUNCATED);
	}
	end();
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
