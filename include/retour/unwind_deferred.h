/* SPDX-License-Identifier: MIT */
/*
 * Call chains of the own process: walked at once, or deferred to the end of a
 * runtime section and then walked once for everybody who asked.
 *
 * The kernel's deferred unwinding (kernel/unwind/deferred.c) inside a process:
 * what there is a kernel entry is here a runtime section, an NMI is a signal
 * handler, and the return to user space is the end of the outermost section.
 * See docs/runtime.md.
 *
 * Functions are async-signal-safe, take no lock and leave errno alone, unless
 * they say otherwise.  A walk with all that is under it needs less than 2 KB of stack;
 * the loader more, the first time that a handler calls a function by a lazy binding (see ld's -z now).
 */
#ifndef RETOUR_UNWIND_DEFERRED_H
#define RETOUR_UNWIND_DEFERRED_H

#include <stdint.h>

#include "rcu_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Walking now ---- */

/* Where a walk begins.  By the numbers of DWARF; 16 is the program counter. */
struct retour_unwind_regs {
	unsigned long reg[17];
};

/* How a chain ends; the numbers are those that recordings have. */
enum retour_unwind_end {
	RETOUR_UNWIND_COMPLETE = 0,		/* the last frame says that it is the outermost one */
	RETOUR_UNWIND_NO_INFO = 50,		/* the code has no table and keeps no frame pointer */
	RETOUR_UNWIND_PAGE_UNREADABLE = 51,	/* a word of the stack could not be read */
	RETOUR_UNWIND_BACKWARDS = 52,		/* a frame does not lie above the one it called */
	RETOUR_UNWIND_MAX_DEPTH = 53,		/* there was no room for the rest */
	RETOUR_UNWIND_BAD_FRAME_POINTER = 54,
	RETOUR_UNWIND_LOST_REGISTER = 58,	/* a table asks for a register that is not followed */
	RETOUR_UNWIND_ZERO_RETURN = 63,		/* a return address is zero where there should be a caller */
};

/* The registers that a signal interrupted; ucontext is the third argument of its handler. */
RETOUR_API void retour_unwind_regs_of_signal(struct retour_unwind_regs *regs, const void *ucontext);

/*
 * The chain from *regs outwards: the program counter, then return addresses,
 * at most max.  Returns how many, at least 1 if max is; *end, unless NULL,
 * becomes how it ends.  The stack must be the calling thread's or one that
 * stands still; bad memory ends the chain.
 *
 * Rules come from .eh_frame_hdr of the loaded objects, and from frame pointers
 * in code outside of them.  glibc before 2.35 cannot say at any moment which objects
 * there are: see retour_unwind_update_objects().  x86-64 only: elsewhere chains have one entry.
 */
RETOUR_API unsigned int retour_unwind_user(const struct retour_unwind_regs *regs, unsigned long *entries,
					   unsigned int max, enum retour_unwind_end *end);

/* The chain of the caller: entries[0] lies in the calling function. */
RETOUR_API unsigned int retour_unwind_here(unsigned long *entries, unsigned int max, enum retour_unwind_end *end);

/*
 * Where glibc has no _dl_find_object() (before 2.35): what walks know of the
 * loaded objects is as of the library's start, of the last
 * retour_unwind_deferred_init(), or of this call, for after dlopen().  Elsewhere nothing
 * is needed, and nothing done.  From any thread, not from signal handlers: takes the
 * loader's lock, and allocates; without memory what was known stays.
 */
RETOUR_API void retour_unwind_update_objects(void);

/* ---- Runtime sections ---- */

struct retour_srcu_bank;

/* The calling thread's state; only the library and the inline functions below touch it. */
struct retour_runtime_task {
	unsigned int nesting;		/* sections the thread is in */
	unsigned int busy;		/* an entry is being begun or ended */
	unsigned long unwind_mask;	/* a bit per tracer that asked; the lowest two: pending, used */
	unsigned long unwind_completed;	/* tracers that were called in this entry */
	uint64_t cookie;		/* of this entry */
	struct retour_srcu_bank *bank;	/* an entry that owes a chain is an SRCU reader */
};

extern RETOUR_API __thread struct retour_runtime_task retour_runtime_task __attribute__((tls_model("initial-exec")));

/* The slow paths of leaving; not to be called directly. */
RETOUR_API void retour_runtime_return(void);
RETOUR_API void retour_runtime_return_from_signal(const void *ucontext);

/*
 * Begins a runtime section: what is requested until its end is deferred to it.
 * Sections nest, also those of handlers into those they interrupt, and end in
 * the thread and call in which they began.  A thread must not end in one, by
 * pthread_exit() or cancellation, nor leave it by longjmp(): if it owes a chain,
 * who cancels a tracer waits for it for ever.
 */
RETOUR_INLINE void retour_runtime_enter(void)
{
	unsigned int *nesting = &retour_runtime_task.nesting;

	__atomic_store_n(nesting, __atomic_load_n(nesting, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
	/* (y) pairs with (z): handlers that interrupt the section see it. */
	retour_barrier();
}

/* Counts the end of a section; true if it was the outermost one and owes a chain. */
RETOUR_INLINE bool retour_runtime_leave_(void)
{
	unsigned int *nesting = &retour_runtime_task.nesting;

	/* (z) pairs with (y): the section is over before it is not seen any more. */
	retour_barrier();
	__atomic_store_n(nesting, __atomic_load_n(nesting, __ATOMIC_RELAXED) - 1, __ATOMIC_RELAXED);
	/* (z) pairs with (y): a handler that still saw the section left its request for us to see. */
	retour_barrier();
	return retour_unlikely(__atomic_load_n(&retour_runtime_task.unwind_mask, __ATOMIC_RELAXED)) &&
	       !__atomic_load_n(nesting, __ATOMIC_RELAXED);
}

/* Ends a section.  The outermost one walks the caller's stack, if somebody asked, and calls who asked. */
RETOUR_INLINE void retour_runtime_leave(void)
{
	if (retour_runtime_leave_())
		retour_runtime_return();
}

/*
 * The same at the end of a signal handler that began with retour_runtime_enter():
 * the chain is that of the interrupted code.  Where the signal interrupted a
 * section, the chain is left to that section's end.
 */
RETOUR_INLINE void retour_runtime_leave_handler(const void *ucontext)
{
	if (retour_runtime_leave_())
		retour_runtime_return_from_signal(ucontext);
}

/* ---- Deferred chains ---- */

/* As deep as the kernel's. */
#define RETOUR_UNWIND_MAX_ENTRIES 510

struct retour_unwind_stacktrace {
	unsigned int nr;		/* 0: there was no memory to walk into */
	const unsigned long *entries;	/* innermost first; gone when the callback returns */
	enum retour_unwind_end end;
};

struct retour_unwind_work;

/*
 * Called once for each entry in which the tracer asked, in the thread that
 * asked, as it leaves its outermost section; perhaps in a signal handler.  It
 * may request, which counts for the entry that ends; it may not cancel.
 */
typedef void (*retour_unwind_callback_t)(struct retour_unwind_work *work, const struct retour_unwind_stacktrace *trace,
					 uint64_t cookie);

/* A tracer.  It belongs to the library from init to the return of cancel. */
struct retour_unwind_work {
	retour_unwind_callback_t func;
	int bit;			/* -1: cancelled */
};

/*
 * Makes *work a tracer.  0, or -EBUSY: there are 62.  From any thread, not from
 * signal handlers.
 */
RETOUR_API int retour_unwind_deferred_init(struct retour_unwind_work *work, retour_unwind_callback_t func);

/*
 * Asks for the chain of this entry: of the outermost section that the calling
 * thread is in.  *cookie names the entry: the same for all who ask in it, odd,
 * and not seen again for 2^31 entries of a CPU (as in the kernel: the CPU, and a count).
 *
 * 0: the callback will be called.  1: the tracer asked before in this entry;
 * its callback will be, or was already, called with this cookie.
 * -EINVAL: the thread is in no section, so nothing ends that could call back.
 * -ENOENT: the work is cancelled.
 * -EAGAIN: a handler interrupted an entry as it began or ended; who needs the
 * chain calls retour_unwind_user() now.
 */
RETOUR_API int retour_unwind_deferred_request(struct retour_unwind_work *work, uint64_t *cookie);

/*
 * Ends a tracer: requests that are pending may be dropped, callbacks in flight
 * are waited for, and so are sections of all threads in which somebody has asked.
 * 0, or -EDEADLK, nothing done: the caller is in a section itself.  From any
 * thread, once, not from signal handlers.
 */
RETOUR_API int retour_unwind_deferred_cancel(struct retour_unwind_work *work);

/* ---- Events ---- */

/* What is asked and delivered on behalf of one thread, or on one CPU on behalf of one session. */
struct retour_unwind_event;

#define RETOUR_UNWIND_TASK (-1)

struct retour_unwind_event_attr {
	unsigned long session;	/* per-CPU events: those with the same number make up a session */
	int cpu;		/* or RETOUR_UNWIND_TASK: of the calling thread */
	/* Gets the record; as a retour_unwind_callback_t. */
	void (*deliver)(void *data, const struct retour_unwind_stacktrace *trace, uint64_t cookie);
	void *data;
};

/*
 * Opens an event.  0, or: -ENOMEM; -EBUSY: there are 62 tracers, of which a
 * session is one and all task-bound events together one for good; -EINVAL: no such CPU.
 * From any thread, not from signal handlers.
 */
RETOUR_API int retour_unwind_event_open(const struct retour_unwind_event_attr *attr, struct retour_unwind_event **ret);

/*
 * As retour_unwind_deferred_request().  A task-bound event gets the record
 * itself, and its request is -EPERM from any other thread than the opener.  For a
 * per-CPU event the record goes to the CPU on which the thread leaves, and there to the
 * session's first open event.
 *
 * The caller keeps the event from being freed: it is not closed meanwhile, or
 * was found through a pointer under retour_rcu_read_lock() that was cleared before its close.
 */
RETOUR_API int retour_unwind_event_request(struct retour_unwind_event *event, uint64_t *cookie);

/* Records of the event's session that came to CPUs where it has no event. */
RETOUR_API unsigned long retour_unwind_event_missed(const struct retour_unwind_event *event);

/*
 * Closes an event: when this returns nothing is delivered to it, and it is
 * freed after a grace period of retour_rcu.  The last one closes its session,
 * as retour_unwind_deferred_cancel() does.  0, or -EDEADLK, nothing done: the
 * caller is in a section.  From any thread, not from signal handlers.
 */
RETOUR_API int retour_unwind_event_close(struct retour_unwind_event *event);

#ifdef __cplusplus
}
#endif
#endif
