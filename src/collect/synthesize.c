/* SPDX-License-Identifier: MIT */
/* Records for what exists already; see synthesize.h. */
#include "collect/synthesize.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct comm_body {
	uint32_t pid, tid;
	char comm[16];
};

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static void one_comm(uint32_t pid, uint32_t tid, synthesize_fn fn, void *arg)
{
	struct comm_body body = { .pid = pid, .tid = tid };
	_cleanup_fclose_ FILE *f = NULL;
	char path[64];
	size_t n;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/task/%" PRIu32 "/comm", pid, tid);
	f = fopen(path, "re");
	if (!f)
		return;
	n = fread(body.comm, 1, sizeof(body.comm) - 1, f);
	if (n && body.comm[n - 1] == '\n')
		body.comm[n - 1] = '\0';
	fn(arg, PERF_RECORD_COMM, 0, pid, tid, &body, offsetof(struct comm_body, comm) + ((strlen(body.comm) + 8) & ~7u));
}

static void comms(uint32_t pid, synthesize_fn fn, void *arg)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/task", pid);
	dir = opendir(path);
	/* The main thread's name first: it is the process's. */
	one_comm(pid, pid, fn, arg);
	while (dir && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]) && (uint32_t)atoi(entry->d_name) != pid)
			one_comm(pid, atoi(entry->d_name), fn, arg);
}

/* One line of /proc/PID/maps; false if it is not of executable code. */
static bool parse_line(char *line, struct synthesized_mmap2 *body)
{
	char perms[5] = "";
	uint64_t end;
	int name_at = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %" SCNx32 ":%" SCNx32 " %" SCNu64 " %n", &body->addr,
		   &end, perms, &body->pgoff, &body->maj, &body->min, &body->ino, &name_at) < 7)
		return false;
	if (perms[2] != 'x' || end <= body->addr)
		return false;
	body->len = end - body->addr;
	body->prot = PROT_EXEC | (perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0);
	body->flags = perms[3] == 's' ? MAP_SHARED : MAP_PRIVATE;
	snprintf(body->filename, sizeof(body->filename), "%s", name_at && line[name_at] ? line + name_at : "//anon");
	return true;
}

static void mappings(uint32_t pid, synthesize_fn fn, void *arg)
{
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	struct synthesized_mmap2 body = { .pid = pid, .tid = pid };
	char path[32];
	size_t cap = 0;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/maps", pid);
	f = fopen(path, "re");
	while (f && getline(&line, &cap, f) > 0) {
		size_t len;

		if (!parse_line(line, &body))
			continue;
		len = strlen(body.filename);
		memset(body.filename + len, 0, len + 8 < sizeof(body.filename) ? 8 : sizeof(body.filename) - len);
		fn(arg, PERF_RECORD_MMAP2, PERF_RECORD_MISC_USER, pid, pid, &body,
		   offsetof(struct synthesized_mmap2, filename) + ((len + 8) & ~(size_t)7));
	}
}

void synthesize_process(uint32_t pid, synthesize_fn fn, void *arg)
{
	comms(pid, fn, arg);
	mappings(pid, fn, arg);
}

void synthesize_all(synthesize_fn fn, void *arg)
{
	_cleanup_(closedirp) DIR *dir = opendir("/proc");
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			synthesize_process(atoi(entry->d_name), fn, arg);
}

uint32_t thread_group_of(uint32_t tid)
{
	_cleanup_fclose_ FILE *f = NULL;
	char line[128];
	uint32_t tgid = 0;

	snprintf(line, sizeof(line), "/proc/%" PRIu32 "/status", tid);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Tgid: %" SCNu32, &tgid) == 1)
			break;
	return tgid;
}

/* The addresses of _text and _etext; false where they are hidden. */
static bool kernel_text(uint64_t *start, uint64_t *end)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/kallsyms", "re");
	char line[512], name[64];
	uint64_t address;

	*start = *end = 0;
	while (f && !*end && fgets(line, sizeof(line), f)) {
		if (!strstr(line, " _") || sscanf(line, "%" SCNx64 " %*c %63s", &address, name) != 2)
			continue;
		if (!strcmp(name, "_text"))
			*start = address;
		else if (!strcmp(name, "_etext"))
			*end = address;
	}
	return *start && *end > *start;
}

void synthesize_kernel(synthesize_fn fn, void *arg)
{
	/* perf relocates by the symbol after the underscore: the offset is its address. */
	struct {
		uint32_t pid, tid;
		uint64_t addr, len, pgoff;
		char filename[24];
	} body = { .pid = UINT32_MAX, .filename = "[kernel.kallsyms]_text" };
	uint64_t end;

	if (!kernel_text(&body.addr, &end))
		return;
	body.len = end - body.addr;
	body.pgoff = body.addr;
	fn(arg, PERF_RECORD_MMAP, PERF_RECORD_MISC_KERNEL, body.pid, 0, &body, sizeof(body));
}
