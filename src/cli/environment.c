/* SPDX-License-Identifier: MIT */
/* Reading /proc about oneself; see environment.h. */
#include "cli/environment.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

/* The inode numbers of the first namespaces are part of the ABI. */
#define INIT_CGROUP_NS	0xeffffffbU
#define INIT_PID_NS	0xeffffffcU
#define INIT_USER_NS	0xeffffffdU

bool environment_status(const char *key, char *ret, size_t size)
{
	_cleanup_fclose_ FILE *in = fopen("/proc/self/status", "re");
	const size_t n = strlen(key);
	char line[256];

	while (in && fgets(line, sizeof(line), in)) {
		if (strncmp(line, key, n) || line[n] != ':')
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(ret, size, "%s", line + n + 1 + strspn(line + n + 1, " \t"));
		return true;
	}
	return false;
}

static bool is_mounted(const char *path, long magic)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == magic;
}

bool environment_has_proc(void)
{
	return is_mounted("/proc", PROC_SUPER_MAGIC);
}

bool environment_has_sys(void)
{
	return is_mounted("/sys", SYSFS_MAGIC);
}

/* What cannot be looked at counts as the first one. */
static bool is_first_namespace(const char *path, uint32_t first)
{
	struct stat s;

	return stat(path, &s) || s.st_ino == first;
}

uint64_t environment_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	syscall(SYS_capget, &header, data);
	return (uint64_t)data[1].effective << 32 | data[0].effective;
}

bool environment_is_initial_user_namespace(void)
{
	return is_first_namespace("/proc/self/ns/user", INIT_USER_NS);
}

bool environment_is_initial_pid_namespace(void)
{
	return is_first_namespace("/proc/self/ns/pid", INIT_PID_NS);
}

/* The runtime whose name is part of the cgroup's path, or NULL. */
static const char *runtime_of_cgroup(void)
{
	static const char *const runtimes[] = { "docker", "libpod", "kubepods", "containerd", "lxc", "machine-" };
	_cleanup_fclose_ FILE *in = fopen("/proc/self/cgroup", "re");
	char line[4096];

	while (in && fgets(line, sizeof(line), in))
		for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++)
			if (strstr(line, runtimes[i]))
				return runtimes[i];
	return NULL;
}

/* The least limit of a group and those above it; a container may see its own one as the uppermost. */
static uint64_t least_limit(const char *hierarchy, char *group, const char *name)
{
	uint64_t least = UINT64_MAX, limit;
	char path[8192];

	for (;;) {
		_cleanup_fclose_ FILE *in = NULL;
		char *end = strrchr(group, '/');

		snprintf(path, sizeof(path), "%s%s/%s", hierarchy, group, name);
		in = fopen(path, "re");
		if (in && fscanf(in, "%" SCNu64, &limit) == 1 && limit < least)
			least = limit;
		if (!end)
			return least;
		*end = '\0';
	}
}

uint64_t environment_memory_limit(void)
{
	_cleanup_fclose_ FILE *in = fopen("/proc/self/cgroup", "re");
	uint64_t least = UINT64_MAX, limit = UINT64_MAX;
	char line[4096], *group;

	/* ID:CONTROLLERS:GROUP */
	while (in && fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		group = strchr(line, '/');
		if (group && !strncmp(line, "0::", 3))
			limit = least_limit("/sys/fs/cgroup", group, "memory.max");
		else if (group && strstr(line, ":memory:"))
			limit = least_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
		if (limit < least)
			least = limit;
	}
	return least;
}

static void append(char *text, size_t size, const char *what)
{
	size_t n = strlen(text);

	snprintf(text + n, size - n, "%s%s", n ? ", " : "", what);
}

bool environment_is_container(char *ret, size_t size)
{
	const char *runtime = runtime_of_cgroup();

	ret[0] = '\0';
	if (access("/run/.containerenv", F_OK) == 0)
		append(ret, size, "/run/.containerenv");
	if (runtime)
		append(ret, size, runtime);
	if (!environment_is_initial_pid_namespace())
		append(ret, size, "own process IDs");
	if (!is_first_namespace("/proc/self/ns/cgroup", INIT_CGROUP_NS))
		append(ret, size, "own cgroups");
	return ret[0] != '\0';
}

/* Without a look at the root of process 1: a root that is no mount point was entered by chroot. */
static bool root_is_mount_point(void)
{
	_cleanup_fclose_ FILE *in = fopen("/proc/self/mountinfo", "re");
	char line[4096], point[8];

	while (in && fgets(line, sizeof(line), in))
		if (sscanf(line, "%*s %*s %*s %*s %7s", point) == 1 && !strcmp(point, "/"))
			return true;
	return !in;
}

bool environment_is_chroot(void)
{
	struct stat here, there;

	if (stat("/", &here) == 0 && stat("/proc/1/root/", &there) == 0)
		return here.st_dev != there.st_dev || here.st_ino != there.st_ino;
	return !root_is_mount_point();
}

bool environment_may_gain_privileges(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}
