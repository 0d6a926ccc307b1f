/* SPDX-License-Identifier: MIT */
/* Builds the feature sections that describe the machine and the session; see feature.h. */
#include "perfdata/feature.h"

#include "base/cleanup.h"
#include "perfdata/tracing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void add_u32(struct bytes *out, uint32_t value)
{
	bytes_add(out, &value, sizeof(value));
}

static void add_u64(struct bytes *out, uint64_t value)
{
	bytes_add(out, &value, sizeof(value));
}

/* A string in this format is a length, the text, and zeros up to the alignment. */
static void add_string(struct bytes *out, const char *text)
{
	static const char zeros[FORMAT_STRING_ALIGN];
	size_t len = strlen(text) + 1;
	size_t padding = -len % FORMAT_STRING_ALIGN;

	add_u32(out, (uint32_t)(len + padding));
	bytes_add(out, text, len);
	bytes_add(out, zeros, padding);
}

static bool add_cpu_description(struct bytes *out)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/cpuinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;

	while (f && getline(&line, &cap, f) > 0) {
		char *value = strchr(line, ':');

		if (!value || strncmp(line, "model name", 10))
			continue;
		value += 1 + strspn(value + 1, " \t");
		value[strcspn(value, "\n")] = '\0';
		add_string(out, value);
		return true;
	}
	return false;
}

static bool add_cmdline(struct bytes *out, char **cmdline)
{
	uint32_t n = 0;

	while (cmdline[n])
		n++;
	add_u32(out, n);
	for (uint32_t i = 0; i < n; i++)
		add_string(out, cmdline[i]);
	return n > 0;
}

static bool add_event_description(struct bytes *out, const struct session *session)
{
	add_u32(out, (uint32_t)session->n_events);
	add_u32(out, PERF_ATTR_SIZE_VER5);
	for (size_t i = 0; i < session->n_events; i++) {
		bytes_add(out, &session->attrs[i], PERF_ATTR_SIZE_VER5);
		add_u32(out, session_has_ids(session));
		add_string(out, session->names[i]);
		if (session_has_ids(session))
			add_u64(out, i + 1);
	}
	return true;
}

static bool add_clock_resolution(struct bytes *out)
{
	struct timespec ts;

	if (clock_getres(CLOCK_MONOTONIC, &ts))
		return false;
	add_u64(out, (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec);
	return true;
}

static bool add_uts_name(struct bytes *out, enum format_feature feature)
{
	struct utsname uts;

	if (uname(&uts))
		return false;
	add_string(out, feature == FORMAT_HOSTNAME ? uts.nodename :
		   feature == FORMAT_OSRELEASE ? uts.release : uts.machine);
	return true;
}

bool feature_build(enum format_feature feature, const struct session *session, struct bytes *out)
{
	switch (feature) {
	case FORMAT_HOSTNAME:
	case FORMAT_OSRELEASE:
	case FORMAT_ARCH:
		return add_uts_name(out, feature);
	case FORMAT_VERSION:
		add_string(out, "retour " RETOUR_VERSION);
		return true;
	case FORMAT_NRCPUS:
		add_u32(out, (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
		add_u32(out, (uint32_t)sysconf(_SC_NPROCESSORS_ONLN));
		return true;
	case FORMAT_CPUDESC:
		return add_cpu_description(out);
	case FORMAT_TOTAL_MEM:
		add_u64(out, (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 1024);
		return true;
	case FORMAT_CMDLINE:
		return add_cmdline(out, session->cmdline);
	case FORMAT_EVENT_DESC:
		return add_event_description(out, session);
	case FORMAT_SAMPLE_TIME:
		add_u64(out, session->first_time);
		add_u64(out, session->last_time);
		return session->last_time != 0;
	case FORMAT_CLOCKID:
		return add_clock_resolution(out);
	case FORMAT_TRACING_DATA:
		tracing_build(&session->tracing, 0, session->tracing.events.len, out);
		return session->tracing.events.len != 0;
	case FORMAT_STATS:
		break;
	}
	return false;
}
