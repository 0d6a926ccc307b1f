/* SPDX-License-Identifier: MIT */
/*
 * What the RCU domains of libretour share: callback heads, the state of a
 * domain, reports, hook points, and the few compiler helpers of inline readers.
 *
 * Include <retour/rcu.h> or <retour/srcu.h>, not this.  Fields are here so that
 * domains can be defined statically; only the library touches them.
 */
#ifndef RETOUR_RCU_TYPES_H
#define RETOUR_RCU_TYPES_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RETOUR_API __attribute__((visibility("default")))
/* What readers and handlers call is bound when an object is loaded: later it would take long, and much of a small stack. */
#if defined(__GNUC__) && !defined(__clang__)
#define RETOUR_SLOW_API RETOUR_API __attribute__((noplt))
#else
#define RETOUR_SLOW_API RETOUR_API
#endif
/* Readers are always inlined, so no tool that instruments function entries finds one. */
#define RETOUR_INLINE static __inline__ __attribute__((always_inline, no_instrument_function, unused))
#define retour_unlikely(x) __builtin_expect(!!(x), 0)
#define RETOUR_JOIN__(a, b) a##b
#define RETOUR_JOIN_(a, b) RETOUR_JOIN__(a, b)
#define retour_barrier() __asm__ volatile("" ::: "memory")

#if defined(__SANITIZE_THREAD__)
#define RETOUR_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RETOUR_TSAN 1
#endif
#endif

/* ThreadSanitizer knows neither membarrier nor inline assembly: it is told what happens before what. */
#ifdef RETOUR_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define retour_tsan_acquire(p) __tsan_acquire((void *)(p))
#define retour_tsan_release(p) __tsan_release((void *)(p))
#else
#define retour_tsan_acquire(p) ((void)(p))
#define retour_tsan_release(p) ((void)(p))
#endif

/* Torture tests define RETOUR_TORTURE and this function, which sleeps, yields or spins at random. */
#ifdef RETOUR_TORTURE
void retour_torture_delay(void);
#else
#define retour_torture_delay() ((void)0)
#endif

/*
 * One callback: embed it in the object to be freed; it belongs to the library
 * from call to callback.  A forked child calls what was queued too, so a head
 * on a stack must be called before another thread forks a child that goes on
 * using the library: there that stack is not kept.
 */
struct retour_rcu_head {
	struct retour_rcu_head *next;
	void (*func)(struct retour_rcu_head *head);
};

/* A sequence word, its low two bits the state; see docs/rcu.md, section 3. */
struct retour_rcu_seq {
	unsigned long value;
};

struct retour_rcu_ops;

/* Everything of a domain but its read side. */
struct retour_rcu_domain {
	const struct retour_rcu_ops *ops;
	const char *name;
	/* grace periods */
	struct retour_rcu_seq gp;
	unsigned long gp_wanted;	/* the newest cookie of start_poll */
	unsigned long gp_expedited;	/* the newest cookie that somebody is in a hurry for */
	unsigned int gp_last_wait;	/* for a reader: enum gp_last_wait */
	unsigned int gp_leader;		/* PI futex: locked by a leader that sleeps for readers */
	/* callbacks: producers push on queue, the worker moves them to batch */
	unsigned int idle;		/* futex: 1 while the worker sleeps */
	struct retour_rcu_head *queue;
	struct retour_rcu_head *batch;
	struct retour_rcu_seq rounds;
	unsigned long rounds_wanted;	/* the newest round a barrier waits for */
	unsigned int worker;		/* enum worker_state */
	unsigned int stop;
	unsigned long thread;		/* pthread_t of the worker */
	/* list of domains, for fork */
	struct retour_rcu_domain *next;
};

#define RETOUR_RCU_DOMAIN_INIT(ops, name) \
	{ ops, name, { 0 }, 0, 0, 0, 0, 0, NULL, NULL, { 0 }, 0, 0, 0, 0, NULL }

/* A polled grace period of the _full forms. */
struct retour_rcu_gp_oldstate {
	unsigned long seq;
};

/* A cookie that every poll finds complete. */
#define RETOUR_RCU_GET_STATE_COMPLETED 1UL

/*
 * Reports: what the library has to tell and cannot return.  The callback runs
 * in the thread that found it, possibly in a signal handler and with the
 * program's locks held: it should only copy the report.  Readers are allowed;
 * what they do wrong is not reported.
 */
enum retour_rcu_report_kind {
	RETOUR_RCU_STALL,		/* a grace period waits for long: tid or 0, duration_ms */
	RETOUR_RCU_DEAD_READER,		/* a thread ended inside a section: tid */
	RETOUR_RCU_DEADLOCK,		/* barrier or cleanup in a callback, synchronize or barrier in a section of this thread */
	RETOUR_RCU_NO_WORKER,		/* the thread for callbacks cannot be created: error */
	RETOUR_RCU_WRONG_FLAVOUR,	/* a reader, the domain's first such one, in debug builds any, is of another flavour */
	/* from here on only from code compiled with RETOUR_RCU_DEBUG */
	RETOUR_RCU_DEREFERENCE,		/* dereference outside a section */
	RETOUR_RCU_UNBALANCED,		/* unlock without lock */
	RETOUR_RCU_WRONG_DOMAIN,	/* unlock of another domain than the innermost lock's */
	RETOUR_RCU_BLOCKING,		/* retour_rcu_might_block() in a section that may not */
	RETOUR_RCU_NOT_WATCHING,	/* reader in a thread torn down, or in a child before its repair */
};

struct retour_rcu_report {
	enum retour_rcu_report_kind kind;
	const char *text;		/* one sentence, static */
	const char *domain;		/* its name */
	int tid;			/* the thread it is about; 0: not known */
	int error;			/* an errno value or 0 */
	unsigned long duration_ms;
	unsigned long sections;		/* that are waited for: of the thread, or if that is not known of all */
	const void *where;		/* call site or program counter; NULL: not known */
	const void *section;		/* where the section began that it is about; NULL: not known, or none */
};

typedef void (*retour_rcu_report_fn)(const struct retour_rcu_report *report, void *arg);

/*
 * fn may be NULL: reports vanish.  Any thread, also while others report: those
 * have the function and the argument of one call, and may still be at it after
 * this one.  Not from signal handlers.
 */
RETOUR_API void retour_rcu_set_report(retour_rcu_report_fn fn, void *arg);

/* After how many milliseconds a grace period is reported as stalled; 0: never.  Default 21,000, as in the kernel. */
RETOUR_API void retour_rcu_set_stall_timeout(unsigned long ms);

/*
 * Hook points on the slow paths.  A hook may use every reader and every call
 * that does not wait.  A thread runs one hook at a time: what a hook triggers
 * itself is not shown to hooks.
 */
enum retour_rcu_event {
	RETOUR_RCU_EVENT_READER_CLAIM,	/* first reader of a thread; arg: tid */
	RETOUR_RCU_EVENT_GP_START,	/* arg: sequence */
	RETOUR_RCU_EVENT_GP_MEMBARRIER,	/* arg: sequence */
	RETOUR_RCU_EVENT_GP_WAIT,	/* sleeps for a reader; arg: tid or 0 */
	RETOUR_RCU_EVENT_GP_END,	/* arg: sequence */
	RETOUR_RCU_EVENT_QS_REPORT,	/* a reader reports its quiescent state; arg: tid or 0 */
	RETOUR_RCU_EVENT_CALL,		/* arg: head */
	RETOUR_RCU_EVENT_INVOKE,	/* arg: head */
	RETOUR_RCU_EVENTS
};

typedef void (*retour_rcu_hook_fn)(const struct retour_rcu_domain *domain, unsigned long arg);

/* Fills or clears (NULL) a hook point; returns what was there. */
RETOUR_API retour_rcu_hook_fn retour_rcu_set_hook(enum retour_rcu_event event, retour_rcu_hook_fn fn);

/*
 * Starts the thread that creates the threads for callbacks, unless it runs: a
 * signal handler can create none.  Code compiled with these headers does this
 * at load time, if it uses a call function.  Where it was not done, or failed,
 * which is reported, callbacks wait until it succeeds or for a barrier.
 */
RETOUR_API void retour_rcu_start_worker(void);

#if defined(__aarch64__)
#define RETOUR_ASM_POINTER ".xword"
#else
#define RETOUR_ASM_POINTER ".quad"
#endif
#define retour_rcu_worker_at_load()                                            \
	__asm__ volatile(".pushsection .init_array,\"aw\"\n\t"                 \
			 ".balign 8\n\t"                                       \
			 RETOUR_ASM_POINTER " retour_rcu_start_worker\n\t"     \
			 ".popsection")

/* The checks of code compiled with RETOUR_RCU_DEBUG. */
RETOUR_API void retour_rcu_debug_lock(const struct retour_rcu_domain *domain, const void *cookie);
RETOUR_API void retour_rcu_debug_unlock(const struct retour_rcu_domain *domain, const void *cookie);
RETOUR_API void retour_rcu_debug_dereference(const struct retour_rcu_domain *domain);
RETOUR_API bool retour_rcu_debug_held(const struct retour_rcu_domain *domain);

/* Reports if the calling thread is in a section that may not block (debug sections of all domains but tasks-trace). */
RETOUR_API void retour_rcu_might_block(void);

/* Publication.  (i) pairs with (j): the object before the pointer to it. */
#define retour_rcu_assign_pointer(p, v)                                        \
	do {                                                                   \
		__typeof__(p) retour_value_ = (v);                             \
		retour_torture_delay();                                        \
		__atomic_store_n(&(p), retour_value_, __ATOMIC_RELEASE);       \
	} while (0)
#define RETOUR_RCU_INIT_POINTER(p, v) ((void)((p) = (v)))

/*
 * A load that what depends on it follows.  Consume is what is meant; compilers
 * make it an acquire, a plain load on x86-64.  (j) pairs with (i).
 */
#define retour_rcu_dereference_raw_notrace(p) __atomic_load_n(&(p), __ATOMIC_CONSUME)
#define retour_rcu_dereference_raw(p) retour_rcu_dereference_raw_notrace(p)
/* The caller's lock protects p. */
#define retour_rcu_dereference_protected(p) __atomic_load_n(&(p), __ATOMIC_RELAXED)
/* Only the value counts, it is not followed. */
#define retour_rcu_access_pointer(p) __atomic_load_n(&(p), __ATOMIC_RELAXED)

/* `allowed` is looked at in debug builds only. */
#ifdef RETOUR_RCU_DEBUG
#define retour_rcu_dereference_if_(p, allowed, domain)                         \
	(__extension__({                                                       \
		if (!(allowed))                                                \
			retour_rcu_debug_dereference(domain);                  \
		retour_rcu_dereference_raw_notrace(p);                         \
	}))
#else
#define retour_rcu_dereference_if_(p, allowed, domain) retour_rcu_dereference_raw_notrace(p)
#endif

#ifdef __cplusplus
}
#endif
#endif
