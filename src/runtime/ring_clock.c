/* SPDX-License-Identifier: MIT */
/* Counter and time; see ring_clock.h. */
#include "runtime/ring_clock.h"

#include <fcntl.h>
#include <string.h>

#include "rcu/sys.h"

#if defined(__x86_64__)

uint64_t clock_cycles(void)
{
	return __builtin_ia32_rdtsc();
}

/* The kernel takes the counter off the list when it finds it unstable. */
bool clock_has_cycles(void)
{
	char text[256], *name, *rest;
	long fd = sys_call(SYS_openat, AT_FDCWD, (long)"/sys/devices/system/clocksource/clocksource0/available_clocksource",
			   O_RDONLY | O_CLOEXEC, 0, 0, 0), n;

	if (fd < 0)
		return false;
	n = sys_call(SYS_read, fd, (long)text, sizeof(text) - 1, 0, 0, 0);
	sys_call(SYS_close, fd, 0, 0, 0, 0, 0);
	text[n > 0 ? n : 0] = '\0';
	for (name = strtok_r(text, " \n", &rest); name; name = strtok_r(NULL, " \n", &rest))
		if (!strcmp(name, "tsc"))
			return true;
	return false;
}

#else

uint64_t clock_cycles(void)
{
	return 0;
}

bool clock_has_cycles(void)
{
	return false;
}

#endif

/* The best of a few: the thread may be preempted between the two clocks. */
struct clock_anchor clock_take_anchor(void)
{
	struct clock_anchor best = { 0, 0 };
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		uint64_t before = clock_cycles(), ns = now_ns(CLOCK_MONOTONIC), gap = clock_cycles() - before;

		if (gap < least) {
			least = gap;
			best = (struct clock_anchor){ before + gap / 2, ns };
		}
	}
	return best;
}

uint64_t clock_convert(struct clock_anchor first, struct clock_anchor last, uint64_t cycles)
{
	__int128 since = (int64_t)(cycles - first.cycles), span = last.cycles - first.cycles;

	return span ? first.ns + (uint64_t)(since * (int64_t)(last.ns - first.ns) / span) : first.ns;
}

bool clock_scale(struct clock_anchor first, struct clock_anchor last, struct clock_scale *scale)
{
	uint64_t cycles = last.cycles - first.cycles, ns = last.ns - first.ns;
	unsigned __int128 mult;

	if ((int64_t)cycles <= 0 || (int64_t)ns <= 0)
		return false;
	scale->shift = 32;
	while ((mult = ((unsigned __int128)ns << scale->shift) / cycles) > UINT32_MAX && scale->shift)
		scale->shift--;
	if (!mult || mult > UINT32_MAX)
		return false;
	scale->mult = (uint32_t)mult;
	scale->zero = last.ns - (uint64_t)((unsigned __int128)last.cycles * scale->mult >> scale->shift);
	return true;
}
