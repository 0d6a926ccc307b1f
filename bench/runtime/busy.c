/* SPDX-License-Identifier: MIT */
/*
 * Work at the bottom of 20 and some frames, and what CPU time it took: busy ROUNDS [HZ]
 *
 * With a frequency a timer of its CPU time interrupts it, whose handler does
 * nothing: the least that sampling can cost here.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FRAMES 20
#define STEPS_PER_ROUND 10000

static __attribute__((noipa)) uint64_t work(uint64_t x)
{
	for (int i = 0; i < STEPS_PER_ROUND; i++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	return x;
}

static __attribute__((noipa)) uint64_t descend(unsigned int frames, uint64_t x)
{
	x = frames > 1 ? descend(frames - 1, x) : work(x);
	__asm__ volatile("" : "+r"(x)); /* neither a tail call nor a loop */
	return x + 1;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void do_nothing(int signal)
{
}

static int interrupt_at(long hz)
{
	struct sigaction action = { .sa_handler = do_nothing, .sa_flags = SA_RESTART };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	struct itimerspec period = { { 0, 1000000000 / hz }, { 0, 1000000000 / hz } };
	timer_t timer;

	return sigaction(SIGRTMIN, &action, NULL) || timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) ||
	       timer_settime(timer, 0, &period, NULL);
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 1;
	double begin = cpu_seconds();
	volatile uint64_t x = 1;

	if (argc > 2 && interrupt_at(atol(argv[2])))
		return 1;
	for (long i = 0; i < rounds; i++)
		x = descend(FRAMES, x);
	printf("%.6f\n", cpu_seconds() - begin);
	return 0;
}
