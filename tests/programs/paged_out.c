/* SPDX-License-Identifier: MIT */
/*
 * Work whose outer frames are not in memory: before every piece of it the pages
 * above are given to MADV_PAGEOUT, to swap (mode `swap`, anonymous stack) or to
 * the file that backs the stack (mode `file`).  It prints how many of the pages
 * were really out.
 */
#include "program.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096
#define STACK (64 * PAGE)

static char *stack;
static long tried, out;
static ucontext_t outside, inside;

/* Bit 63 of a pagemap entry: the page is mapped and present. */
FRAME static long count_present(int pagemap, char *from, long pages)
{
	uint64_t entry[STACK / PAGE];
	long present = 0;

	must(pread(pagemap, entry, pages * 8, (uintptr_t)from / PAGE * 8) == pages * 8, "pagemap");
	for (long i = 0; i < pages; i++)
		present += entry[i] >> 63;
	return present;
}

FRAME static void page_out(int pagemap, char *from, char *to)
{
	long pages = (to - from) / PAGE;

	msync(from, to - from, MS_SYNC);	/* only clean pages of a file are given up */
	madvise(from, to - from, MADV_PAGEOUT);
	tried += pages;
	out += pages - count_present(pagemap, from, pages);
}

FRAME static void works(void)
{
	char page[2 * PAGE];
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	char *above = (char *)(((uintptr_t)page + 3 * PAGE) & ~(uintptr_t)(PAGE - 1));

	asm volatile("" : : "r"(page) : "memory");
	must(pagemap >= 0, "pagemap");
	while (running()) {
		page_out(pagemap, above, stack + STACK);
		for (int i = 0; i < 20; i++)
			burn();
	}
	asm volatile("" : : "r"(page) : "memory");
}

FRAME static void deeper(int depth)
{
	char page[PAGE];

	asm volatile("" : : "r"(page) : "memory");
	if (depth > 1)
		deeper(depth - 1);
	else
		works();
	asm volatile("" : : "r"(page) : "memory");
}

FRAME static void coroutine(void)
{
	deeper(16);
}

FRAME static int stack_file(void)
{
	char path[] = "/var/tmp/retour-stack-XXXXXX";
	int fd = mkstemp(path);

	must(fd >= 0, "mkstemp");
	unlink(path);
	must(!ftruncate(fd, STACK), "ftruncate");
	return fd;
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	must(program_mode() != NULL, "swap or file");
	if (!strcmp(program_mode(), "file"))
		stack = map_stack(STACK, MAP_SHARED, stack_file());
	else
		stack = map_stack(STACK, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	must(!getcontext(&inside), "getcontext");
	inside.uc_stack.ss_sp = stack;
	inside.uc_stack.ss_size = STACK;
	inside.uc_link = &outside;
	makecontext(&inside, coroutine, 0);
	swapcontext(&outside, &inside);
	printf("{\"pages\": %ld, \"out\": %ld}\n", tried, out);
	return 0;
}
