/* SPDX-License-Identifier: MIT */
/*
 * A small program to be single-stepped between its two int3: leaf functions,
 * saved registers, variable and aligned frames, calls through the PLT (bound
 * on first use), callbacks from libc, recursion, a signal on its own stack,
 * longjmp, the vdso.  SIGALRM may interrupt it anywhere; its handler's stack
 * lies above what it interrupts.
 */
#include <alloca.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOINLINE __attribute__((noinline, noclone))

volatile long sink;

static NOINLINE long leaf(long a, long b)
{
	long local[4] = { a, b, a ^ b, a + b };

	return local[sink & 3] + local[(sink + 1) & 3];
}

static NOINLINE long saves_many(long a, long b, long c, long d, long e, long f)
{
	long x = leaf(a, b), y = leaf(c, d), z = leaf(e, f);

	sink += x + y + z;
	return x * y + z * leaf(x, y) + a + b + c + d + e + f;
}

static NOINLINE long variable_frame(size_t n)
{
	char *p = alloca(n);

	memset(p, (int)n, n);
	sink += p[n / 2];
	return leaf(p[0], p[n - 1]);
}

static NOINLINE long aligned_frame(long a)
{
	_Alignas(64) volatile char buffer[128];

	for (unsigned int i = 0; i < sizeof(buffer); i += 16)
		buffer[i] = (char)(a + i);
	return saves_many(buffer[0], buffer[16], buffer[32], a, a, a);
}

static NOINLINE long big_frame(long a)
{
	volatile char buffer[20000];

	buffer[0] = (char)a;
	buffer[19999] = (char)leaf(a, a);
	return buffer[0] + buffer[19999];
}

static NOINLINE long recurse(int depth)
{
	if (!depth)
		return leaf(sink, depth);
	return recurse(depth - 1) + depth;
}

static NOINLINE long many_arguments(const char *format, ...)
{
	char text[64];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return (long)strlen(text);
}

static int by_value(const void *a, const void *b)
{
	return (int)leaf(*(const int *)a, 0) - (int)leaf(*(const int *)b, 0);
}

static void on_signal(int number)
{
	sink += leaf(number, 1);
}

static NOINLINE void signals(void)
{
	static char stack[16384];
	stack_t alternative = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	sigaltstack(&alternative, NULL);
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &action, NULL);
	raise(SIGUSR2);
}

static jmp_buf out;

static NOINLINE void jump(int depth)
{
	if (depth)
		jump(depth - 1);
	else if (sink != -1)
		longjmp(out, 1);
	sink++;
}

static void handle_alarm(char *stack, size_t size)
{
	stack_t above = { .ss_sp = stack, .ss_size = size };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	sigaltstack(&above, NULL);
	sigaction(SIGALRM, &action, NULL);
}

int main(void)
{
	char stack[16384];
	int numbers[] = { 5, 3, 9, 1, 7 };
	struct timespec now;

	handle_alarm(stack, sizeof(stack));
	__asm__ volatile("int3");
	sink = saves_many(1, 2, 3, 4, 5, 6);
	sink += variable_frame(100 + (sink & 7));
	sink += aligned_frame(7) + big_frame(3) + recurse(12);
	sink += many_arguments("%d %s %lx", 1, "two", 3L);
	qsort(numbers, 5, sizeof(numbers[0]), by_value);
	signals();
	if (!setjmp(out))
		jump(3);
	clock_gettime(CLOCK_MONOTONIC, &now);
	free(malloc((size_t)(now.tv_nsec & 127) + 1));
	__asm__ volatile("int3");
	return 0;
}
