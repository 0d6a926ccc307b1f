/* SPDX-License-Identifier: MIT */
/*
 * /tmp/perf-PID.map.  The runtime appends while it runs, and reuses memory:
 * later lines win.  Anybody may write to /tmp, so the file counts only if it
 * belongs to the process's user or to root.
 */
#include "symbol/perf_map.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "symbol/target_file.h"
#include "symbol/text_lines.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define CHECK_INTERVAL_NS 100000000u
#define MAX_FILE (256u << 20)

void perf_map_init(struct perf_map *map, uint32_t pid)
{
	*map = (struct perf_map){ .pid = pid, .tab.overlap = SYMTAB_NEWEST };
}

void perf_map_free(struct perf_map *map)
{
	symtab_free(&map->tab);
}

/* The pid in the innermost pid namespace, by which the runtime names the file. */
static uint32_t namespace_pid(uint32_t pid)
{
	_cleanup_fclose_ FILE *status = NULL;
	_cleanup_free_ char *line = NULL;
	const char *last;
	size_t size = 0;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/status", pid);
	status = fopen(path, "re");
	while (status && getline(&line, &size, status) > 0) {
		if (strncmp(line, "NSpid:", 6))
			continue;
		last = strrchr(line, '\t');
		return last ? strtoul(last, NULL, 10) : pid;
	}
	return pid;
}

/* The user of the process; ours once it is gone. */
static uid_t owner(uint32_t pid)
{
	struct stat st;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%" PRIu32, pid);
	return stat(path, &st) ? geteuid() : st.st_uid;
}

static int open_map(const struct perf_map *map, struct stat *st)
{
	_cleanup_close_ int root = target_root_open(map->pid);
	_cleanup_close_ int fd = -1;
	char path[48];

	if (root < 0)
		return -1;
	snprintf(path, sizeof(path), "/tmp/perf-%" PRIu32 ".map", namespace_pid(map->pid));
	fd = target_file_open(root, path);
	if (fd < 0 || fstat(fd, st) || (st->st_uid && st->st_uid != owner(map->pid)))
		return -1;
	return steal_fd(&fd);
}

/* Lines of another form are passed over: the file may be cut, or not be what it seems. */
static struct error *parse_line(const char *line, const char *end, void *arg)
{
	struct perf_map *map = arg;
	struct symtab_entry entry = { .sized = 1 };
	struct error *err;

	if (end - line > 2 && line[0] == '0' && line[1] == 'x')
		line += 2;
	if (!text_hex(&line, end, &entry.start) || line == end || *line++ != ' ')
		return NULL;
	if (end - line > 2 && line[0] == '0' && line[1] == 'x')
		line += 2;
	if (!text_hex(&line, end, &entry.size) || !entry.size || line == end || *line++ != ' ')
		return NULL;
	while (line < end && *line == ' ')
		line++;
	while (line < end && (end[-1] == ' ' || end[-1] == '\r'))
		end--;
	if (line == end || memchr(line, '\0', end - line))
		return NULL;
	err = symtab_name(&map->tab, line, end - line, &entry.name);
	if (err)
		return err;
	entry.rank = ++map->n_read;
	return symtab_add(&map->tab, &entry);
}

static void read_more(struct perf_map *map)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	uint64_t more = 0;

	fd = open_map(map, &st);
	if (fd < 0 || (uint64_t)st.st_size == map->read_bytes || map->read_bytes >= MAX_FILE)
		return;
	if ((uint64_t)st.st_size < map->read_bytes)
		map->read_bytes = 0;	/* another file */
	if (lseek(fd, map->read_bytes, SEEK_SET) < 0)
		return;
	/* What was read before an error (bounds, memory) stays usable. */
	error_free(text_each_line(fd, MAX_FILE - map->read_bytes, parse_line, map, &more));
	map->read_bytes += more;
	symtab_finish(&map->tab);
}

const struct symtab_entry *perf_map_lookup(struct perf_map *map, uint64_t address)
{
	const struct symtab_entry *entry = symtab_lookup(&map->tab, address);
	uint64_t now;

	if (entry)
		return entry;
	now = clock_monotonic_ns();
	if (map->checked_ns && now - map->checked_ns < CHECK_INTERVAL_NS)
		return NULL;
	map->checked_ns = now;
	read_more(map);
	return symtab_lookup(&map->tab, address);
}
