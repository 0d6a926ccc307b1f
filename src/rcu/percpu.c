/* SPDX-License-Identifier: MIT */
/* Possible CPUs and struct rseq; see percpu.h. */
#include "rcu/percpu.h"

#include <fcntl.h>
#include <linux/rseq.h>
#include <stddef.h>

#include "retour/srcu_percpu.h"
#include "rcu/sys.h"

static unsigned int cpus;		/* 0: not yet known */

/* glibc's, from 2.35 on; other libraries leave registration to us. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
static __thread struct rseq own_rseq __attribute__((tls_model("initial-exec"), aligned(32))) = {
	.cpu_id = RSEQ_CPU_ID_UNINITIALIZED
};
long retour_rseq_offset;

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
	return n > 0 ? last + 1 : PERCPU_MAX;
}

static void find_rseq(void)
{
	char *thread = __builtin_thread_pointer();

	retour_rseq_offset = &__rseq_offset ? __rseq_offset : (char *)&own_rseq - thread;
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

void percpu_register_thread(void)
{
	if (!&__rseq_offset && own_rseq.cpu_id == (unsigned int)RSEQ_CPU_ID_UNINITIALIZED &&
	    sys_call(SYS_rseq, (long)&own_rseq, sizeof(own_rseq), 0, 0x53053053, 0, 0) != 0)
		own_rseq.cpu_id = RSEQ_CPU_ID_REGISTRATION_FAILED;
}
