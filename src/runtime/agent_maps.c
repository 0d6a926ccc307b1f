/* SPDX-License-Identifier: MIT */
/*
 * Executable mappings; see agent_maps.h.  Neither the allocator nor stdio is
 * used: this also runs amid the program's own calls of the loader.
 */
#include "runtime/agent_maps.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "rcu/sys.h"

/* Of more mappings than these the rest is always new. */
#define KNOWN 2048

static uint64_t known[KNOWN], seen[KNOWN];	/* fingerprints */
static size_t n_known, n_seen;
static char buffer[8192];

static uint64_t fingerprint(const struct agent_mapping *m)
{
	uint64_t words[] = { m->start, m->end, m->offset, m->inode }, hash = 0;

	for (size_t i = 0; i < 4; i++)
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ull ^ hash >> 29;
	return hash;
}

static bool is_known(uint64_t print)
{
	size_t i = 0;

	while (i < n_known && known[i] != print)
		i++;
	return i < n_known;
}

/* "start-end perms offset major:minor inode   name"; false: not executable, or not such a line. */
static bool parse(char *line, struct agent_mapping *m)
{
	char *at, *perms;

	m->start = strtoull(line, &at, 16);
	if (*at++ != '-')
		return false;
	m->end = strtoull(at, &at, 16);
	perms = at + 1;
	if (*at != ' ' || strlen(perms) < 5 || perms[2] != 'x')
		return false;
	m->offset = strtoull(perms + 5, &at, 16);
	m->major = strtoul(at, &at, 16);
	if (*at++ != ':')
		return false;
	m->minor = strtoul(at, &at, 16);
	m->inode = strtoull(at, &at, 10);
	m->name = at + strspn(at, " ");
	if (!*m->name)
		m->name = "//anon";
	return true;
}

/* The lines that are whole; what is left of the buffer moves to its beginning.  Returns how much that is. */
static size_t take_lines(size_t n, void (*fn)(const struct agent_mapping *, bool, void *), void *arg)
{
	char *line = buffer, *end;

	while ((end = memchr(line, '\n', buffer + n - line))) {
		struct agent_mapping mapping;

		*end = '\0';
		if (parse(line, &mapping)) {
			uint64_t print = fingerprint(&mapping);

			fn(&mapping, !is_known(print), arg);
			if (n_seen < KNOWN)
				seen[n_seen++] = print;
		}
		line = end + 1;
	}
	n -= line - buffer;
	memmove(buffer, line, n);
	return n;
}

int agent_maps_read(void (*fn)(const struct agent_mapping *mapping, bool is_new, void *arg), void *arg)
{
	long fd = sys_call(SYS_openat, AT_FDCWD, (long)"/proc/self/maps", O_RDONLY | O_CLOEXEC, 0, 0, 0), n;
	size_t left = 0;

	if (fd < 0)
		return fd;
	n_seen = 0;
	while ((n = sys_call(SYS_read, fd, (long)(buffer + left), sizeof(buffer) - left, 0, 0, 0)) > 0)
		left = take_lines(left + n, fn, arg);
	sys_call(SYS_close, fd, 0, 0, 0, 0, 0);
	memcpy(known, seen, n_seen * sizeof(seen[0]));
	n_known = n_seen;
	return n;
}
