/* SPDX-License-Identifier: MIT */
/*
 * Programs without a C library: every frame up to _start is in their own file.  What they
 * run on is in memory before they begin (the file locked, the stack touched, for locking
 * it would split it), so that no fault depends on where it lies or on what others do.
 */
#ifndef TESTS_FREESTANDING_H
#define TESTS_FREESTANDING_H

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME __attribute__((noipa))

/* gcc leaves out the frame of a function that calls nothing, whatever it is told. */
#ifdef FRAME_POINTERS
#define LEAF() __asm__ volatile("" :: "r"(__builtin_frame_address(0)))
#else
#define LEAF() ((void)0)
#endif

enum { PAGE = 4096, TOUCHED = 8 /* pages of the stack */ };

/* ---- system calls, one frame each ------------------------------------------------ */

static inline __attribute__((always_inline)) long raw(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = 0;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

FRAME static long sys(long number, long a, long b, long c, long d)
{
	LEAF();
	return raw(number, a, b, c, d, 0);
}

/* ---- start ---------------------------------------------------------------------------- */

/* The program itself; stack: the number of arguments, then they. Does not return. */
static void main_(long *stack);

FRAME __attribute__((used)) static void start(long *stack)
{
	extern char __executable_start[], _end[];

	raw(__NR_mlock, (long)__executable_start, _end - __executable_start, 0, 0, 0);
	main_(stack);
}

__asm__(".text\n"
	".globl _start\n"
	".type _start, @function\n"
	"_start:\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined rip\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	mov %rsp, %rdx\n"
	"	mov $8 /* TOUCHED */, %ecx\n"
	"1:	sub $4096, %rdx\n"
	"	orq $0, (%rdx)\n"
	"	loop 1b\n"
	"	call start\n"
	"	hlt\n"
	"	.cfi_endproc\n"
	".size _start, . - _start\n");

#endif
