/* SPDX-License-Identifier: MIT */
/* An object of the subject's that begins a thread before the agent's constructor, if it is to. */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>

extern volatile bool early_enough;
volatile bool early_enough;

static pthread_t thread;

static void *work(void *arg)
{
	volatile unsigned long x = 1;

	prctl(PR_SET_NAME, "early");
	while (!early_enough)
		x = x * 3 + 1;
	return NULL;
}

__attribute__((constructor)) static void begin(void)
{
	if (getenv("EARLY") && pthread_create(&thread, NULL, work, NULL))
		abort();
}

__attribute__((destructor)) static void end(void)
{
	early_enough = true;
	if (getenv("EARLY"))
		pthread_join(thread, NULL);
}
