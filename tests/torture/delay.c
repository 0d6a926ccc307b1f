/* SPDX-License-Identifier: MIT */
/* Randomness of threads and their handlers, and the delays that the library takes in a torture build. */
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "torture/torture.h"

static __thread uint64_t state;
static __thread unsigned int sluggish;
static bool noisy;

/* xorshift64*; a handler in between repeats a value, which does no harm. */
uint64_t torture_random(void)
{
	struct timespec t;

	if (!state) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		state = (uint64_t)t.tv_nsec << 32 ^ (uintptr_t)&state ^ 1;
	}
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull >> 16;
}

void spin(unsigned int n)
{
	while (n--)
		__asm__ volatile("" ::: "memory");
}

void sleep_us(unsigned long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };
	int saved = errno;

	nanosleep(&t, NULL);
	errno = saved;
}

double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void set_noisy(bool on)
{
	__atomic_store_n(&noisy, on, __ATOMIC_RELAXED);
}

bool is_noisy(void)
{
	return __atomic_load_n(&noisy, __ATOMIC_RELAXED);
}

void be_sluggish(unsigned int n)
{
	sluggish = n;
}

void retour_torture_delay(void)
{
	uint64_t r;

	if (sluggish && one_in(sluggish))
		sleep_us(torture_random() % 300);
	if (!is_noisy())
		return;
	r = torture_random();
	if (r % 32)
		return;
	r /= 32;
	if (r % 16 == 0)
		sleep_us(r / 16 % 300);
	else if (r % 16 == 1)
		sched_yield();
	else
		spin(r / 16 % 2000);
}
