/* SPDX-License-Identifier: MIT */
/* The experiments; see probe.h. */
#include "cli/probe.h"

#include "base/cleanup.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum {
	RING_PAGES = 4,
	/* ns, or cycles: much longer than a sample takes, or an emulated machine on a busy one does nothing else. */
	CLOCK_PERIOD = 1000000,
	PATIENCE_NS = 2000000000,	/* of this thread's CPU time; enough for emulated machines */
	SPIN_NS = 60000,
	STACK_BYTES = 512,
	FLAGS_AT = offsetof(struct perf_event_attr, wakeup_events) - sizeof(uint64_t),
};

/* Newer than the headers of many distributions. */
#define DEFER_CALLCHAIN		(1ULL << 38)
#define CONTEXT_USER_DEFERRED	((uint64_t)-640)

/* ---- system calls ----------------------------------------------------------- */

/*
 * In a child, as a filter may kill.  The arguments are wrong in a way that the
 * kernel finds before it looks at rights: any other answer is the filter's.
 */
static int call_in_child(long number, long a, long b, long c, long d, long e, int kernel_says)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return errno;
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		syscall(number, a, b, c, d, e);
		_exit(errno == kernel_says ? 0 : errno);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int probe_bpf_call(void)
{
	return call_in_child(SYS_bpf, -1, 0, 1 << 30, 0, 0, E2BIG);
}

int probe_perf_event_open_call(void)
{
	const int answer = call_in_child(SYS_perf_event_open, 0, 0, -1, -1, -1, EINVAL);

	if (answer)
		return answer;
	/* The filter may say the same.  With flags that exist the kernel says that there are no attributes, or no rights. */
	return call_in_child(SYS_perf_event_open, 0, 0, -1, -1, 0, EFAULT) == EINVAL ? EINVAL : 0;
}

int probe_bpf_program(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	_cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_PERF_EVENT, "retour_probe", "GPL", insns, 2, NULL);

	return fd < 0 ? -fd : 0;
}

/* ---- events ------------------------------------------------------------------ */

static int open_event(struct perf_event_attr *attr, pid_t pid, int cpu)
{
	attr->size = sizeof(*attr);
	attr->disabled = 1;
	return (int)syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

int probe_cpu_event(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_CPU_CLOCK, .sample_period = 1000000,
	};
	_cleanup_close_ int fd = open_event(&attr, -1, sched_getcpu());

	return fd < 0 ? errno : 0;
}

static uint64_t thread_time_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A bit of what every event counts: a page fault, a switch to another task, time. */
static void work(void)
{
	long page = sysconf(_SC_PAGESIZE);
	volatile char *fresh = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t start = thread_time_ns();

	if (fresh != MAP_FAILED) {
		fresh[0] = 1;
		munmap((void *)fresh, page);
	}
	nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);	/* long enough not to be over before it begins */
	while (thread_time_ns() - start < SPIN_NS)
		for (volatile int i = 0; i < 10000; i++)
			;
}

/* What follows the header of a sample, in words. */
typedef bool (*sample_test)(const uint64_t *words, size_t n);

/* Has one of the samples that the ring holds from its beginning on passed the test? */
static bool ring_has(const unsigned char *ring, size_t page, sample_test test)
{
	const struct perf_event_mmap_page *control = (const void *)ring;
	uint64_t head = __atomic_load_n(&control->data_head, __ATOMIC_ACQUIRE), at = 0;

	while (at + sizeof(struct perf_event_header) <= head && head <= RING_PAGES * page) {
		const struct perf_event_header *header = (const void *)(ring + page + at);

		if (header->size < sizeof(*header) || header->size > head - at)
			return false;
		if (header->type == PERF_RECORD_SAMPLE &&
		    test((const uint64_t *)(header + 1), (header->size - sizeof(*header)) / sizeof(uint64_t)))
			return true;
		at += header->size;
	}
	return false;
}

/* 0, errno, or ETIME. */
static int try_event(const struct perf_event_attr *wanted, bool user_only, sample_test test)
{
	const size_t page = sysconf(_SC_PAGESIZE), size = (RING_PAGES + 1) * page;
	struct perf_event_attr attr = *wanted;
	_cleanup_close_ int fd = -1;
	uint64_t start = thread_time_ns();
	bool seen = false;
	void *ring;

	attr.exclude_kernel = attr.exclude_hv = attr.exclude_callchain_kernel = user_only;
	fd = open_event(&attr, 0, -1);
	if (fd < 0)
		return errno;
	ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		return errno == EPERM ? ENOBUFS : errno;
	ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
	while (!seen && thread_time_ns() - start < PATIENCE_NS) {
		work();
		seen = ring_has(ring, page, test);
	}
	munmap(ring, size);
	return seen ? 0 : ETIME;
}

static struct probe_result try_both(const struct perf_event_attr *attr, sample_test test)
{
	int error = try_event(attr, false, test);

	if (error != EACCES && error != EPERM)
		return (struct probe_result){ .error = error };
	return (struct probe_result){ .error = try_event(attr, true, test), .user_only = true };
}

static bool any_sample(const uint64_t *words, size_t n)
{
	return true;
}

static bool is_clock(const struct cli_event *event)
{
	return event->type == PERF_TYPE_HARDWARE || event->config == PERF_COUNT_SW_CPU_CLOCK ||
	       event->config == PERF_COUNT_SW_TASK_CLOCK;
}

struct probe_result probe_event(const struct cli_event *event)
{
	struct perf_event_attr attr = {
		.type = event->type, .config = event->config, .sample_type = PERF_SAMPLE_IP,
		.sample_period = is_clock(event) ? CLOCK_PERIOD : 1,
	};

	return try_both(&attr, any_sample);
}

/* abi, ip, sp, size, stack[size], bytes of it that were read */
static bool has_stack_copy(const uint64_t *words, size_t n)
{
	const size_t size_at = 3, copied_at = size_at + 1 + STACK_BYTES / sizeof(uint64_t);

	return n > copied_at && words[0] && words[size_at] == STACK_BYTES && words[copied_at];
}

struct probe_result probe_stack_copies(void)
{
	const unsigned int sp = 7, ip = 8;	/* PERF_REG_X86_SP and _IP */
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_CPU_CLOCK, .sample_period = CLOCK_PERIOD,
		.sample_type = PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.sample_regs_user = 1ULL << sp | 1ULL << ip, .sample_stack_user = STACK_BYTES,
	};

	return try_both(&attr, has_stack_copy);
}

/* n, addresses and markers */
static bool has_deferred_chain(const uint64_t *words, size_t n)
{
	for (size_t i = 1; i < n && i <= words[0]; i++)
		if (words[i] == CONTEXT_USER_DEFERRED)
			return true;
	return false;
}

struct probe_result probe_deferred_chains(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_CPU_CLOCK, .sample_period = CLOCK_PERIOD,
		.sample_type = PERF_SAMPLE_CALLCHAIN,
	};
	uint64_t flags;

	memcpy(&flags, (char *)&attr + FLAGS_AT, sizeof(flags));
	flags |= DEFER_CALLCHAIN;
	memcpy((char *)&attr + FLAGS_AT, &flags, sizeof(flags));
	return try_both(&attr, has_deferred_chain);
}
