/* SPDX-License-Identifier: MIT */
/* Reading one's own memory; see unwind_memory.h. */
#include "runtime/unwind_memory.h"

#include <signal.h>
#include <sys/uio.h>

#include "rcu/sys.h"
#include "retour/rcu_types.h"

#define PAGE 4096ul
/* A stack is looked at in these bounds, and by so many pages at once. */
#define REACH (1ul << 24)
#define PAGES_AT_ONCE 256

extern void *__libc_stack_end __attribute__((weak));

/*
 * The stack of this thread, as far as it has been looked at: from low up to top.  It
 * goes on to be true, in forked children as well.  top 0: not asked yet.
 */
static __thread struct {
	unsigned long low, top;
} own __attribute__((tls_model("initial-exec")));

/*
 * libc puts the variables of a thread above its frames, on the same stack; the first thread's
 * are elsewhere, but its stack is known.  A handler in between comes to the same.
 */
static void find_own_stack(void)
{
	unsigned long top = (unsigned long)&own;

	if (sys_gettid() == sys_getpid())
		top = &__libc_stack_end ? (unsigned long)__libc_stack_end & ~7ul : PAGE;
	own.low = top & ~(PAGE - 1);
	retour_barrier();	/* (j) pairs with (j): a handler that finds the upper end finds the lower one. */
	own.top = top;
}

/*
 * Asks for a word of the page by a system call that reads it and then refuses
 * its first argument: cheaper than process_vm_readv(), and no sandbox forbids it.
 * Not the first word: a null pointer is nothing to read.
 */
static bool page_is_readable(unsigned long page)
{
	return sys_call(SYS_rt_sigprocmask, -1, (long)page + 8, 0, _NSIG / 8, 0, 0) != -EFAULT;
}

/* Is sp on the stack of this thread?  Then nothing lies between it and the top that is not: stacks have a guard. */
static bool is_own(unsigned long sp)
{
	if (retour_unlikely(!own.top))
		find_own_stack();
	if (sp >= own.top || own.top - sp > REACH)
		return false;
	for (int n = 0; own.low > sp && n < PAGES_AT_ONCE; n++) {
		if (!page_is_readable(own.low - PAGE))
			return false;
		own.low -= PAGE;
	}
	return own.low <= sp;
}

void unwind_memory_stack(struct unwind_memory *memory, unsigned long sp)
{
	memory->start = memory->end = 0;
	if (!is_own(sp))
		return;
	memory->start = sp & ~(PAGE - 1);
	memory->end = own.top;
}

static bool read_by_kernel(unsigned long address, unsigned long long *words, unsigned int n)
{
	struct iovec to = { words, n * sizeof(*words) }, from = { (void *)address, n * sizeof(*words) };
	long pid = sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);

	return sys_call(SYS_process_vm_readv, pid, (long)&to, 1, (long)&from, 1, 0) == (long)to.iov_len;
}

/* A load that no sanitizer takes for the program's: the words are other functions' frames. */
__attribute__((no_sanitize("address", "thread", "undefined")))
static inline unsigned long long load(unsigned long address)
{
	return *(const volatile unsigned long long *)address;
}

__attribute__((no_sanitize("address", "thread", "undefined")))
bool unwind_memory_read(struct unwind_memory *memory, unsigned long address, unsigned long long *words,
			unsigned int n)
{
	unsigned long end = address + n * sizeof(*words);

	if (end < address)
		return false;
	if (retour_unlikely(address < memory->start || end > memory->end))
		return read_by_kernel(address, words, n);
	words[0] = load(address);
	if (n > 1)
		words[1] = load(address + sizeof(*words));
	return true;
}
