/* SPDX-License-Identifier: MIT */
/*
 * Tasks inside the kernel: `blocked` has --count (20) more threads that nap
 * and, after SIGUSR1, read from a pipe into which nobody writes; `naps` sleeps again
 * and again; `migrates` reads /dev/zero, slowly, while another thread moves it
 * from CPU to CPU; `faults` touches new memory.
 */
#include "program.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE (16 << 20)
#define MOVED 100
#define NAPS 200

static volatile sig_atomic_t told;

static void on_signal(int number)
{
	told = true;
}

FRAME static void naps(useconds_t microseconds)
{
	usleep(microseconds);
}

FRAME static void reads_for_ever(int fd)
{
	char byte;

	must(read(fd, &byte, 1) == 0, "read");
}

FRAME static void *naps_and_blocks(void *arg)
{
	while (!told)
		naps(10000);
	reads_for_ever(*(int *)arg);
	return NULL;
}

FRAME static void mode_blocked(void)
{
	pthread_t thread;
	int ends[2];

	signal(SIGUSR1, on_signal);
	must(!pipe(ends), "pipe");
	for (long i = 0; i < program_count(20); i++)
		must(!pthread_create(&thread, NULL, naps_and_blocks, ends), "pthread_create");
	naps_and_blocks(ends);
}

FRAME static void mode_naps(void)
{
	for (long i = 0; time_left() || i < NAPS; i++)
		naps(500);
}

FRAME static void pin(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(!pthread_setaffinity_np(thread, sizeof(set), &set), "pthread_setaffinity_np");
}

/* The pause has nothing to do with the length of a read, so the reader is moved at any point of one. */
FRAME static void *mover(void *arg)
{
	pthread_t reader = *(pthread_t *)arg;

	for (int cpu = 0; ; cpu = !cpu) {
		pin(reader, cpu);
		usleep(700);
	}
	return NULL;
}

FRAME static void reads_zeros(int fd, char *buffer)
{
	must(read(fd, buffer, LARGE) == LARGE, "read");
}

FRAME static void mode_migrates(void)
{
	pthread_t self = pthread_self(), thread;
	int fd = open("/dev/zero", O_RDONLY), moved = 0;
	char *buffer = malloc(LARGE);

	must(fd >= 0 && buffer, "setup");
	must(!pthread_create(&thread, NULL, mover, &self), "pthread_create");
	while (running() || moved < MOVED) {
		int cpu = sched_getcpu();

		reads_zeros(fd, buffer);
		moved += sched_getcpu() != cpu;
	}
}

FRAME static void touches(char *memory)
{
	for (long i = 0; i < LARGE; i += 4096)
		memory[i] = 1;
}

FRAME static void mode_faults(void)
{
	while (running()) {
		char *memory = map_stack(LARGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

		touches(memory);
		munmap(memory, LARGE);
	}
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	must(program_mode() != NULL, "a mode");
	if (!strcmp(program_mode(), "blocked"))
		mode_blocked();
	else if (!strcmp(program_mode(), "naps"))
		mode_naps();
	else if (!strcmp(program_mode(), "migrates"))
		mode_migrates();
	else
		mode_faults();
	return 0;
}
