/* SPDX-License-Identifier: MIT */
/* The writers of rings, alive and dead; see ring_owner.h. */
#include "runtime/ring_owner.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "rcu/percpu.h"
#include "rcu/sys.h"
#include "runtime/mutant.h"

static uint64_t home_ns;	/* of the process that made the first rings, also in its children */
static __thread uint32_t tid __attribute__((tls_model("initial-exec")));	/* 0: not yet asked */

uint64_t owner_pid_ns(void)
{
	char text[64];
	long n = sys_call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/ns/pid", (long)text, sizeof(text), 0, 0);
	uint64_t inode = 0;

	/* pid:[4026531836] */
	for (long i = 0; i < n; i++)
		if (text[i] >= '0' && text[i] <= '9')
			inode = inode * 10 + (text[i] - '0');
	return inode;
}

static void forget_tid(void)
{
	tid = 0;
}

static void prepare(void)
{
	home_ns = owner_pid_ns();
	pthread_atfork(NULL, NULL, forget_tid);
}

void owner_prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, prepare);
}

uint32_t owner_tid(void)
{
	if (retour_unlikely(!tid)) {
		percpu_register_thread();
		tid = owner_pid_ns() == home_ns ? (uint32_t)sys_gettid() : RING_NOBODY;
	}
	return tid;
}

/* Writes value at the end of a buffer; returns where it begins. */
static char *put_number(char *end, uint64_t value, unsigned int base, unsigned int digits)
{
	do {
		*--end = "0123456789abcdef"[value % base];
		value /= base;
		digits -= digits > 0;
	} while (value || digits);
	return end;
}

/* How /proc/TID/maps names the file: " 00:01 1234 ". Returns where it begins in text. */
static const char *file_in_maps(char *text, size_t size, const struct ring_map *map)
{
	char *at = text + size;

	*--at = '\0';
	*--at = ' ';
	at = put_number(at, map->inode, 10, 0);
	*--at = ' ';
	at = put_number(at, minor(map->device), 16, 2);
	*--at = ':';
	at = put_number(at, major(map->device), 16, 2);
	*--at = ' ';
	return at;
}

/* Is text somewhere in a file?  Also if it cannot be read to the end. */
static bool file_may_contain(int fd, const char *text)
{
	char buffer[1024];
	size_t kept = 0, length = strlen(text);
	long n;

	while ((n = sys_call(SYS_read, fd, (long)(buffer + kept), sizeof(buffer) - kept, 0, 0, 0)) > 0) {
		if (memmem(buffer, kept + n, text, length))
			return true;
		n += kept;
		kept = (size_t)n < length ? (size_t)n : length;
		memmove(buffer, buffer + n - kept, kept);
	}
	return n < 0 && n != -ESRCH;
}

/* The mapping of a thread that does not exist any more is gone. */
static bool thread_may_map(uint32_t owner, const struct ring_map *map)
{
	static const char prefix[] = "/proc/", suffix[] = "/maps";
	char path[32], names[64], *at = path + sizeof(path) - sizeof(suffix);
	bool found;
	int maps;

	memcpy(at, suffix, sizeof(suffix));
	at = put_number(at, owner, 10, 0) - (sizeof(prefix) - 1);
	memcpy(at, prefix, sizeof(prefix) - 1);
	maps = sys_call(SYS_openat, AT_FDCWD, (long)at, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (maps < 0)
		return maps != -ESRCH;
	found = file_may_contain(maps, file_in_maps(names, sizeof(names), map));
	sys_call(SYS_close, maps, 0, 0, 0, 0, 0);
	return found;
}

static bool is_dead(const struct ring_map *map, uint32_t owner)
{
	uint64_t ns = ring_set(map)->pid_ns;

	if (mutant(ring_dead_block))
		return false;
	if (mutant(ring_bury_living))
		return true;
	if (!ns || owner == RING_NOBODY || ns != owner_pid_ns())
		return false;
	return sys_call(SYS_kill, owner, 0, 0, 0, 0, 0) == -ESRCH || !thread_may_map(owner, map);
}

bool owner_bury(const struct ring_map *map, uint64_t *header, uint64_t busy, bool certain)
{
	uint64_t grave = ring_header_word(RETOUR_RING_VOID, RETOUR_RING_ABANDONED, ring_header_size(busy));

	if (!certain && !is_dead(map, ring_header_type(busy) & ~RING_BUSY))
		return false;
	__atomic_compare_exchange_n(header, &busy, grave, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return true;
}

void owner_unlock_dead(const struct ring_map *map, struct ring_words *words, bool certain)
{
	uint32_t owner = __atomic_load_n(&words->lock, __ATOMIC_RELAXED);

	/* (M): on behalf of the dead. */
	if (owner && (certain || is_dead(map, owner)))
		__atomic_compare_exchange_n(&words->lock, &owner, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}
