/* SPDX-License-Identifier: MIT */
/*
 * A BPF map that is changed all the time, by system calls: meanwhile the kernel
 * does not run the programs of events.  `updates` does only that; `faults`
 * touches --count (3000) new pages on the CPU on which a child does it.
 */
#include "program.h"

#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENTRIES = 10000, PAGE = 4096 };

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int create_map(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_HASH, .key_size = sizeof(uint32_t), .value_size = sizeof(uint64_t),
		.max_entries = ENTRIES,
	};

	return (int)bpf(BPF_MAP_CREATE, &attr);
}

/* All entries, in one system call. */
FRAME static void update(int map)
{
	static uint32_t keys[ENTRIES];
	static uint64_t values[ENTRIES];
	union bpf_attr attr = {
		.batch = { .keys = (uintptr_t)keys, .values = (uintptr_t)values, .count = ENTRIES, .map_fd = map },
	};

	for (uint32_t i = 0; i < ENTRIES; i++)
		keys[i] = i;
	must(bpf(BPF_MAP_UPDATE_BATCH, &attr) == 0, "bpf");
}

FRAME static void mode_updates(int map)
{
	while (running())
		update(map);
}

static pid_t update_beside(int map)
{
	pid_t child = fork();

	must(child >= 0, "fork");
	while (!child)
		update(map);
	return child;
}

FRAME static void touch(volatile char *page)
{
	*page = 1;
}

FRAME static void mode_faults(int map)
{
	const long n = program_count(3000);
	cpu_set_t first;
	pid_t child;
	char *pages;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	must(sched_setaffinity(0, sizeof(first), &first) == 0, "sched_setaffinity");
	pages = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(pages != MAP_FAILED, "mmap");
	madvise(pages, n * PAGE, MADV_NOHUGEPAGE);
	child = update_beside(map);
	for (long i = 0; i < n; i++) {
		touch(pages + i * PAGE);
		/* Now and then the child's turn, amid what it does. */
		if (i % 64 == 0)
			burn();
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
	int map;

	program_start(argc, argv);
	map = create_map();
	must(map >= 0, "BPF_MAP_CREATE");
	if (program_mode() && !strcmp(program_mode(), "faults"))
		mode_faults(map);
	else
		mode_updates(map);
	return 0;
}
