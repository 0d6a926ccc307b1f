/* SPDX-License-Identifier: MIT */
/*
 * Deferred call chains: who asked, and the walk at the end of the entry.
 *
 * What a thread owes is in its own state, which it shares with its signal
 * handlers only; those end before it goes on.  So nothing here is atomic
 * against other threads but the list of tracers.
 */
#include "runtime/unwind_deferred.h"

#include <errno.h>
#include <sched.h>

#include "rcu/percpu.h"
#include "retour/srcu.h"
#include "runtime/mutant.h"
#include "runtime/unwind_buffer.h"
#include "runtime/unwind_user.h"

#define PENDING 1ul
#define USED 2ul

__thread struct retour_runtime_task retour_runtime_task __attribute__((tls_model("initial-exec")));

/*
 * An entry is a section of this domain from its first request to its end.
 * When cancel's grace period is over nobody has the tracer's bit any more, and
 * the bit may be given to the next one.
 */
static struct retour_srcu_struct unwind_srcu = RETOUR_SRCU_INIT_("retour_unwind", RETOUR_SRCU_FAST);
static struct retour_unwind_work *tracers[64];
static unsigned long taken = PENDING | USED;

/* One word per CPU on a line of its own. */
static struct {
	unsigned int n;
} __attribute__((aligned(64))) entries[PERCPU_MAX];

__attribute__((constructor(101))) static void unwind_srcu_init(void)
{
	retour_srcu_module_coming(&unwind_srcu);
}

static unsigned long get(const unsigned long *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void set(unsigned long *word, unsigned long value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static void set_busy(struct retour_runtime_task *task, unsigned int busy)
{
	/* (n) pairs with (o): a handler sees the entry as it was, or that it is in pieces. */
	retour_barrier();
	__atomic_store_n(&task->busy, busy && !mutant(unwind_not_busy), __ATOMIC_RELAXED);
	/* (n) pairs with (o) */
	retour_barrier();
}

/* CPU and count, as the kernel's; odd, so that others can have names of their own. */
static uint64_t new_cookie(void)
{
	unsigned int cpu = (unsigned int)sched_getcpu() % PERCPU_MAX;
	uint64_t n = __atomic_add_fetch(&entries[cpu].n, 2, __ATOMIC_RELAXED) | 1;

	return n << 32 | (2 * cpu + 1);
}

/* Unless it has begun, perhaps by a handler just now. */
static void begin_entry(struct retour_runtime_task *task)
{
	set_busy(task, 1);
	if (!(get(&task->unwind_mask) & USED) || mutant(unwind_begin_blindly)) {
		task->bank = retour_srcu_read_lock_fast_notrace(&unwind_srcu);
		task->cookie = new_cookie();
		task->unwind_completed = 0;
		set(&task->unwind_mask, USED);
	}
	set_busy(task, 0);
}

/* False: somebody has asked again. */
static bool end_entry(struct retour_runtime_task *task)
{
	bool over;

	set_busy(task, 1);
	over = !(get(&task->unwind_mask) & PENDING);
	if (over) {
		set(&task->unwind_mask, 0);
		retour_srcu_read_unlock_fast_notrace(&unwind_srcu, task->bank);
	}
	set_busy(task, 0);
	return over;
}

/* The bit of a tracer, in an entry that has begun; 0: it is cancelled. */
static unsigned long bit_of(const struct retour_unwind_work *work)
{
	int n = __atomic_load_n(&work->bit, __ATOMIC_RELAXED);

	return n < 0 || __atomic_load_n(&tracers[n], __ATOMIC_RELAXED) != work ? 0 : 1ul << n;
}

int retour_unwind_deferred_request(struct retour_unwind_work *work, uint64_t *cookie)
{
	struct retour_runtime_task *task = &retour_runtime_task;
	unsigned long bit;

	if (!__atomic_load_n(&task->nesting, __ATOMIC_RELAXED))
		return -EINVAL;
	if (__atomic_load_n(&task->busy, __ATOMIC_RELAXED))
		return -EAGAIN;
	/* (o) pairs with (n): the entry is whole. */
	retour_barrier();
	if (!(get(&task->unwind_mask) & USED))
		begin_entry(task);
	bit = bit_of(work);
	if (!bit)
		return -ENOENT;
	*cookie = task->cookie;
	if (get(&task->unwind_mask) & bit)
		return 1;
	/* A handler may come between, and ask for the same tracer. */
	return !!(__atomic_fetch_or(&task->unwind_mask, PENDING | bit, __ATOMIC_RELAXED) & bit);
}

int unwind_deferred_request_again(struct retour_unwind_work *work, uint64_t *cookie)
{
	struct retour_runtime_task *task = &retour_runtime_task;
	int ret = retour_unwind_deferred_request(work, cookie);

	if (ret == 1) {
		__atomic_fetch_and(&task->unwind_completed, ~bit_of(work), __ATOMIC_RELAXED);
		__atomic_fetch_or(&task->unwind_mask, PENDING, __ATOMIC_RELAXED);
	}
	return ret < 0 ? ret : 0;
}

static void call_tracers(const struct retour_runtime_task *task, unsigned long bits,
			 const struct retour_unwind_stacktrace *trace)
{
	for (; bits; bits &= bits - 1) {
		/* (q) pairs with (p): the work behind its pointer. */
		struct retour_unwind_work *work = __atomic_load_n(&tracers[__builtin_ctzl(bits)], __ATOMIC_ACQUIRE);

		retour_torture_delay();
		if (work)
			work->func(work, trace, task->cookie);
	}
}

/* Where the chain of an entry begins: at registers of which skip frames are the library's, or behind a signal. */
struct origin {
	const struct retour_unwind_regs *regs;
	unsigned int skip;
	const void *ucontext;
};

static void walk(const struct origin *origin, struct unwind_buffer *buffer, struct retour_unwind_stacktrace *trace)
{
	const struct retour_unwind_regs *regs = origin->regs;

	if (!regs) {
		retour_unwind_regs_of_signal(&buffer->regs, origin->ucontext);
		regs = &buffer->regs;
	}
	trace->entries = buffer->entries;
	trace->nr = unwind_user(regs, origin->skip, buffer->entries, RETOUR_UNWIND_MAX_ENTRIES, &trace->end);
}

/* One walk for all, however often they ask. */
static void deliver(struct retour_runtime_task *task, const struct origin *origin)
{
	struct retour_unwind_stacktrace trace = { 0, NULL, RETOUR_UNWIND_MAX_DEPTH };
	struct unwind_buffer *buffer = unwind_buffer_get();

	do {
		unsigned long bits = __atomic_and_fetch(&task->unwind_mask, ~PENDING, __ATOMIC_RELAXED);

		bits &= ~(USED | get(&task->unwind_completed));
		__atomic_fetch_or(&task->unwind_completed, bits, __ATOMIC_RELAXED);
		if (bits && buffer && !trace.nr)
			walk(origin, buffer, &trace);
		call_tracers(task, bits, &trace);
	} while (!end_entry(task));
	unwind_buffer_put(buffer);
}

/*
 * The entry ends inside a section of its own, so what handlers ask meanwhile
 * is its business.  A handler on the way there may have ended it already.
 */
static void end_by(const struct origin *origin)
{
	do {
		retour_runtime_enter();
		if (get(&retour_runtime_task.unwind_mask))
			deliver(&retour_runtime_task, origin);
	} while (retour_runtime_leave_() && !mutant(unwind_no_last_look));
}

void unwind_deferred_return(const struct retour_unwind_regs *regs, unsigned int skip)
{
	end_by(&(struct origin){ .regs = regs, .skip = skip });
}

void retour_runtime_return(void)
{
	struct retour_unwind_regs regs = { { 0 } };

	unwind_regs_here(&regs);
	unwind_deferred_return(&regs, 1);
}

void retour_runtime_return_from_signal(const void *ucontext)
{
	end_by(&(struct origin){ .ucontext = ucontext });
}

int retour_unwind_deferred_init(struct retour_unwind_work *work, retour_unwind_callback_t func)
{
	unsigned long old = get(&taken);
	int bit;

	retour_unwind_update_objects();
	do {
		if (!~old)
			return -EBUSY;
		bit = __builtin_ctzl(~old);
		/* (t) pairs with (s): the bit's last owner is gone. */
	} while (!__atomic_compare_exchange_n(&taken, &old, old | 1ul << bit, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	work->func = func;
	__atomic_store_n(&work->bit, bit, __ATOMIC_RELAXED);
	/* (p) pairs with (q): the work before the pointer to it. */
	__atomic_store_n(&tracers[bit], work, __ATOMIC_RELEASE);
	return 0;
}

void unwind_deferred_synchronize(void)
{
	retour_synchronize_srcu(&unwind_srcu);
}

int retour_unwind_deferred_cancel(struct retour_unwind_work *work)
{
	int bit = work->bit;

	if (retour_runtime_task.nesting)
		return -EDEADLK;
	if (bit < 0)
		return 0;
	__atomic_store_n(&tracers[bit], NULL, __ATOMIC_RELAXED);
	if (!mutant(unwind_cancel_no_wait))
		unwind_deferred_synchronize();
	/* Last: a child of a fork until here can cancel it itself. */
	__atomic_store_n(&work->bit, -1, __ATOMIC_RELAXED);
	/* (s) pairs with (t): nobody has the bit any more. */
	__atomic_fetch_and(&taken, ~(1ul << bit), __ATOMIC_RELEASE);
	return 0;
}
