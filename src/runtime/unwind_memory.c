/* SPDX-License-Identifier: MIT */
/* Reading one's own memory; see unwind_memory.h. */
#include "runtime/unwind_memory.h"

#include <signal.h>
#include <sys/uio.h>

#include "rcu/sys.h"
#include "retour/rcu_types.h"

#define PAGE 4096ul
/* From one frame to the next; what is farther away is no stack, or another one. */
#define REACH (1ul << 24)

void unwind_memory_stack(struct unwind_memory *memory, unsigned long sp)
{
	/* Nobody runs on a stack whose page at sp is not there; the one below may not be. */
	memory->start = memory->end = sp & ~(PAGE - 1);
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

static bool read_by_kernel(unsigned long address, unsigned long long *words, unsigned int n)
{
	struct iovec to = { words, n * sizeof(*words) }, from = { (void *)address, n * sizeof(*words) };
	long pid = sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);

	return sys_call(SYS_process_vm_readv, pid, (long)&to, 1, (long)&from, 1, 0) == (long)to.iov_len;
}

/* The stack goes on upwards; memory is unmapped under nobody's own stack, so one question is enough. */
static bool extend(struct unwind_memory *memory, unsigned long start, unsigned long end)
{
	if (start < memory->start || (start > memory->end && start - memory->end > REACH))
		return false;
	start &= ~(PAGE - 1);
	if (start > memory->end)
		memory->start = memory->end = start;
	while (memory->end < end) {
		if (!page_is_readable(memory->end))
			return false;
		memory->end += PAGE;
	}
	return true;
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
	if (retour_unlikely(address < memory->start || end > memory->end) && !extend(memory, address, end))
		return read_by_kernel(address, words, n);
	words[0] = load(address);
	if (n > 1)
		words[1] = load(address + sizeof(*words));
	return true;
}
