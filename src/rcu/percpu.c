/* SPDX-License-Identifier: MIT */
/* Possible CPUs and struct rseq; see percpu.h. */
#include "rcu/percpu.h"

#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>

#include "retour/srcu_percpu.h"
#include "rcu/mutant.h"
#include "rcu/sys.h"

#ifdef __aarch64__
#define RSEQ_SIGNATURE 0xd428bc00
#else
#define RSEQ_SIGNATURE 0x53053053
#endif
#define RSEQ_UNREGISTER 1

/*
 * The kernel's struct rseq in its first size, which every kernel takes.  Of
 * libc's, too, only cpu_id is used, negative where nothing is registered: what
 * __rseq_size says, and how, differs between versions.
 */
struct first_rseq {
	unsigned int cpu_id_start;
	int cpu_id;
	unsigned long rseq_cs;
	unsigned int flags[4];
} __attribute__((aligned(32)));

_Static_assert(sizeof(struct first_rseq) == 32, "the first size");

static unsigned int cpus;		/* 0: not yet known */

/* glibc's, from 2.35 on; other libraries leave registration to us. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
static __thread struct first_rseq own_rseq __attribute__((tls_model("initial-exec"))) = { .cpu_id = -1 };
static __thread bool register_tried __attribute__((tls_model("initial-exec")));
long retour_rseq_offset;

/* pthread_setspecific() of one of the first keys stores two words; of a later one it may allocate. */
#define FIRST_KEYS 32
static pthread_key_t exit_key;
static bool exit_key_usable;

/* Without /sys: to the next 64, for a mask in which not all have a bit is refused. */
static unsigned int ask_possible_cpus(void)
{
	static unsigned long mask[PERCPU_MAX / 64];
	unsigned int n = 64;

	while (n < PERCPU_MAX && sys_call(SYS_sched_getaffinity, 0, n / 8, (long)mask, 0, 0, 0) == -EINVAL)
		n += 64;
	return n;
}

/* The last number of the kernel's list of possible CPUs, "0-7", plus one. */
static unsigned int read_possible_cpus(void)
{
	char text[64];
	long fd = sys_call(SYS_openat, AT_FDCWD, (long)"/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC, 0, 0, 0);
	long n = fd < 0 ? fd : sys_call(SYS_read, fd, (long)text, sizeof(text), 0, 0, 0);
	unsigned int last = 0, seen = 0;

	if (fd >= 0)
		sys_call(SYS_close, fd, 0, 0, 0, 0, 0);
	for (long i = 0; i < n; i++) {
		if (text[i] >= '0' && text[i] <= '9') {
			last = seen++ ? last * 10 + (text[i] - '0') : (unsigned int)(text[i] - '0');
			if (last >= PERCPU_MAX)
				return PERCPU_MAX;
		} else {
			seen = 0;
		}
	}
	return n > 0 ? last + 1 : ask_possible_cpus();
}

static void find_rseq(void)
{
	char *thread = __builtin_thread_pointer();
	long offset = &__rseq_offset ? __rseq_offset : (char *)&own_rseq - thread;

	/* Threads that come first together find the same; others may read it already, plainly. */
	if (__atomic_load_n(&retour_rseq_offset, __ATOMIC_RELAXED) != offset)
		__atomic_store_n(&retour_rseq_offset, offset, __ATOMIC_RELAXED);
}

unsigned int percpu_possible(void)
{
	/* (j) pairs with (i): the offset of rseq. */
	unsigned int n = __atomic_load_n(&cpus, __ATOMIC_ACQUIRE);

	if (!n) {
		find_rseq();
		n = read_possible_cpus();
		/* (i) pairs with (j). */
		__atomic_store_n(&cpus, n, __ATOMIC_RELEASE);
	}
	return n;
}

static long sys_rseq(int flags)
{
	return sys_call(SYS_rseq, (long)&own_rseq, sizeof(own_rseq), flags, RSEQ_SIGNATURE, 0, 0);
}

/*
 * Once for each thread, so not again in a handler after its destructors.  If
 * it cannot be undone at the thread's end it is not done.
 */
static __attribute__((noinline)) void register_thread(void)
{
	if (register_tried || !exit_key_usable)
		return;
	register_tried = true;
	if (sys_rseq(0) == 0)
		pthread_setspecific(exit_key, &own_rseq);
}

void percpu_register_thread(void)
{
	if (!&__rseq_offset)
		register_thread();
}

/*
 * The destructor of exit_key.  libc may unmap a thread's memory in that thread,
 * and the kernel, which writes to what is registered, would kill the process.
 */
static void unregister_thread(void *rseq)
{
	(void)rseq;
	if (!mutant(rseq_stays))
		sys_rseq(RSEQ_UNREGISTER);
}

__attribute__((constructor(101))) static void percpu_init(void)
{
	if (!&__rseq_offset)
		exit_key_usable = pthread_key_create(&exit_key, unregister_thread) == 0 && exit_key < FIRST_KEYS;
}
