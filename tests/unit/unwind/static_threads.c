/* SPDX-License-Identifier: MIT */
/* A static program that has the C library's clone: for its bytes, it is not run. */
#include <pthread.h>
#include <stddef.h>

static void *thread(void *arg)
{
	return arg;
}

int main(void)
{
	pthread_t t;

	return pthread_create(&t, NULL, thread, NULL) || pthread_join(t, NULL);
}
