/* SPDX-License-Identifier: MIT */
/* A function with a frame of FRAME bytes: two builds of it differ in their rules only. */
void plugin_run(void (*fn)(void *), void *arg);

__attribute__((noinline)) void plugin_run(void (*fn)(void *), void *arg)
{
	volatile char frame[FRAME];

	frame[0] = 1;
	frame[FRAME - 1] = 1;
	fn(arg);
	frame[1] = frame[0];
}
