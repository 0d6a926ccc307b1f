/* SPDX-License-Identifier: MIT */
/* Reading one's own memory while others unmap it. */
#include "unit/test.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <time.h>

#include "runtime/unwind_memory.h"

#define PAGE 4096ul

static unsigned long long *region;
static bool over;

static void *map_and_unmap(void *arg)
{
	char *above = (char *)region + PAGE;

	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		CHECK(mmap(above, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == above);
		CHECK(!munmap(above, PAGE));
	}
	return NULL;
}

/* As of a coroutine, whose rules are wrong: behind its stack is what another thread takes away. */
TEST(memory_above_a_stack_that_goes)
{
	unsigned int n_read = 0;
	pthread_t thread;

	region = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(region != MAP_FAILED);
	region[8] = 42;
	CHECK(!pthread_create(&thread, NULL, map_and_unmap, NULL));
	for (int i = 0; i < 100000; i++) {
		struct unwind_memory memory;
		unsigned long long words[2];

		unwind_memory_stack(&memory, (unsigned long)(region + 8));
		CHECK(unwind_memory_read(&memory, (unsigned long)(region + 8), words, 1) && words[0] == 42);
		n_read += unwind_memory_read(&memory, (unsigned long)region + PAGE + 16, words, 2);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	printf("# %u reads found it\n", n_read);
}

/* Deep enough that it is looked at in several pieces. */
__attribute__((noinline)) static void check_own_stack(void)
{
	volatile unsigned long long frame[2 << 17];
	struct unwind_memory memory;
	unsigned long long word;

	frame[0] = 1;
	for (int i = 0; i < 3; i++)
		unwind_memory_stack(&memory, (unsigned long)&frame[0]);
	CHECK(memory.start <= (unsigned long)&frame[0] && memory.end > (unsigned long)__builtin_frame_address(0));
	CHECK(unwind_memory_read(&memory, (unsigned long)&frame[0], &word, 1) && word == 1);
	CHECK(!unwind_memory_read(&memory, -8ul, &word, 2) && !unwind_memory_read(&memory, 0, &word, 1));
}

static void *run_in_thread(void *arg)
{
	check_own_stack();
	return NULL;
}

/* By plain loads, which no filter of system calls forbids. */
TEST(own_stacks)
{
	pthread_t thread;

	check_own_stack();
	CHECK(!pthread_create(&thread, NULL, run_in_thread, NULL) && !pthread_join(thread, NULL));
}

/* A child of a thread has the thread's stack. */
static void *fork_in_thread(void *arg)
{
	int status;
	pid_t child;

	check_own_stack();
	child = fork();
	if (!child) {
		check_own_stack();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && !status);
	return NULL;
}

TEST(stack_of_a_forked_child)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, fork_in_thread, NULL) && !pthread_join(thread, NULL));
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
