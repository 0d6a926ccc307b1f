/* SPDX-License-Identifier: MIT */
/*
 * One page fault after the other, each at a place and under a call chain that
 * the tests know, so that an event per fault gives the same chains every time.
 *
 * The first letter of its argument says what is done.
 */
#include "freestanding.h"

enum { FAULTS = 20, DEEP = 600 };

/* Fresh pages: the first touch of each is a fault. */
static char *next_page;

/* ---- work ---------------------------------------------------------------------- */

/* Faults that follow each other too fast would raise the period of an event with a frequency. */
FRAME static void pause_(void)
{
	struct { long s, ns; } t = { 0, 200000 };

	sys(__NR_nanosleep, (long)&t, 0, 0, 0);
}

static char *page(void)
{
	char *p = next_page;

	next_page += PAGE;
	return p;
}

FRAME static void touch(char *p)
{
	LEAF();
	*(volatile char *)p = 1;
}

FRAME static void inner(void)
{
	for (int i = 0; i < FAULTS; i++) {
		pause_();
		touch(page());
	}
}

FRAME static void middle(void)
{
	inner();
}

FRAME static void outer(void)
{
	middle();
}

/* The kernel faults, on our behalf: it writes the time to a fresh page. */
FRAME static void in_kernel(void)
{
	for (int i = 0; i < FAULTS; i++) {
		pause_();
		sys(__NR_clock_gettime, 1, (long)page(), 0, 0);
	}
}

FRAME static void deep(int n)
{
	if (n)
		deep(n - 1);
	else
		inner();
}

/* The mask that moves us to CPU 1 is read from a page that is mapped anew: asked on CPU 0, back on CPU 1. */
FRAME static void migrate(void)
{
	long cpu0 = 1, cpu1 = 2;
	int fd = (int)sys(__NR_memfd_create, (long)"", 0, 0, 0);

	sys(__NR_write, fd, (long)&cpu1, sizeof(cpu1), 0);
	for (int i = 0; i < FAULTS; i++) {
		long mask = raw(__NR_mmap, 0, PAGE, 1, 2, fd);

		pause_();
		sys(__NR_sched_setaffinity, 0, sizeof(cpu0), (long)&cpu0, 0);
		sys(__NR_sched_setaffinity, 0, sizeof(cpu1), mask, 0);
		sys(__NR_munmap, mask, PAGE, 0, 0);
	}
}

/* ---- work that is asked for in one kernel entry and runs in another --------------------- */

/* The same instruction and the same stack pointer in the kernel's eyes, but other callers. */
FRAME static void asks(void)
{
	sys(__NR_clock_gettime, 1, (long)page(), 0, 0);
}

FRAME static void sleeps(void)
{
	static const struct { long s, ns; } t = { 0, 2000000 };

	sys(__NR_nanosleep, (long)&t, 0, 0, 0);
}

FRAME static void late(void)
{
	for (int i = 0; i < FAULTS; i++) {
		asks();
		sleeps();
	}
}

/* ---- signals: a sample after the record of its own entry --------------------------- */

struct action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

__asm__(".text\n"
	"restorer:\n"
	"	mov $15, %eax\n"
	"	syscall\n");
void restorer(void);

FRAME static void handler(int number)
{
}

/*
 * The kernel faults on the information of a signal that it reads, and takes the
 * request.  On the way back it walks, and only then writes the signal's frame:
 * onto a stack of fresh pages, which faults again.
 */
FRAME static void signalled(void)
{
	struct action a = { handler, 0x0c000000 /* SA_RESTORER | SA_ONSTACK */, restorer, 0 };
	long pid = sys(__NR_getpid, 0, 0, 0, 0);

	sys(__NR_rt_sigaction, 10, (long)&a, 0, 8);
	for (int i = 0; i < FAULTS; i++) {
		struct { char *sp; int flags; size_t size; } stack = { next_page, 0, 8 * PAGE };

		next_page += 8 * PAGE;
		pause_();
		sys(__NR_sigaltstack, (long)&stack, 0, 0, 0);
		sys(__NR_rt_sigqueueinfo, pid, 10, (long)page(), 0);
	}
}

/* ---- kernel entries that do not end in user space ------------------------------------- */

/* Becomes itself, n times; the kernel faults on an argument. */
FRAME static void replace(char *self, const char *mode)
{
	char next[] = { mode[0], (char)(mode[1] - 1), 0 }, *argv[] = { self, next, page(), NULL };

	pause_();
	sys(__NR_execve, (long)self, (long)argv, 0, 0);
}

/* The same, where the stack ends here and there at the beginning of a page, and the one below is fresh. */
FRAME static void at_edge(char *self, const char *mode)
{
	uintptr_t room = (uintptr_t)__builtin_frame_address(0) % PAGE + (TOUCHED + 2) * PAGE;
	char *hole = __builtin_alloca(room - 40 * (size_t)(mode[1] - '0'));

	__asm__ volatile("" :: "r"(hole));
	replace(self, mode);
}

/* The kernel faults on what to wait for: the other end of standard input is closed, or nothing, for ever. */
FRAME static void block(void)
{
	sys(__NR_poll, (long)page(), 1, -1, 0);
}

/* A byte on standard input, into memory that is there. */
FRAME static void wait_for_byte(char *byte)
{
	sys(__NR_read, 0, (long)byte, 1, 0);
}

FRAME static void leave(void)
{
	sys(__NR_exit_group, 0, 0, 0, 0);
}

/* Children that are stopped, so that there is a context switch, when they have begun to exit. */
FRAME static void stop_in_exit(void)
{
	enum { TRACEME = 0, CONT = 7, SETOPTIONS = 0x4200, TRACEEXIT = 0x40, SIGNAL_STOP = 19 };

	for (int i = 0; i < FAULTS; i++) {
		long pid = sys(__NR_fork, 0, 0, 0, 0);
		int status = 0;

		if (!pid) {
			sys(__NR_ptrace, TRACEME, 0, 0, 0);
			sys(__NR_kill, sys(__NR_getpid, 0, 0, 0, 0), SIGNAL_STOP, 0, 0);
			leave();
		}
		sys(__NR_wait4, pid, (long)&status, 0, 0);
		sys(__NR_ptrace, SETOPTIONS, pid, 0, TRACEEXIT);
		do
			sys(__NR_ptrace, CONT, pid, 0, 0);
		while (sys(__NR_wait4, pid, (long)&status, 0, 0) == pid && status & 0x7f);
	}
}

/* ---- start ---------------------------------------------------------------------------- */

FRAME static void main_(long *stack)
{
	char **argv = (char **)(stack + 1), *mode = stack[0] > 1 ? argv[1] : NULL;

	next_page = (char *)raw(__NR_mmap, 0, 1024 * PAGE, 3, 0x22, -1);
	raw(__NR_madvise, (long)next_page, 1024 * PAGE, 15 /* MADV_NOHUGEPAGE */, 0, 0);
	switch (mode ? mode[0] : 0) {
	case 'c':	/* chains: from user space, and from the kernel */
		inner();
		outer();
		in_kernel();
		break;
	case 'w':	/* begins when it is told to, and owes a chain until its input is closed */
		wait_for_byte(mode);
		block();
		inner();
		in_kernel();
		break;
	case 'd':	/* more frames than the kernel walks */
		deep(DEEP);
		break;
	case 'm':
		migrate();
		break;
	case 'l':
		late();
		break;
	case 's':
		signalled();
		break;
	case 'e':
		if (mode[1] > '0')
			replace(argv[0], mode);
		break;
	case 'h':
		if (mode[1] > '0')
			at_edge(argv[0], mode);
		break;
	case 'b':
		block();
		break;
	case 'x':
		stop_in_exit();
		break;
	}
	leave();
}
