/* SPDX-License-Identifier: MIT */
/* Parsing and applying filters; see filter.h. */
#include "profile/filter.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000u

struct error *filter_add_comms(struct filter *filter, const char *list)
{
	while (*list) {
		size_t len = strcspn(list, ",");
		char *comm = strndup(list, len);

		if (!comm || !vec_push(&filter->comms, comm)) {
			free(comm);
			return error_nomem();
		}
		list += len + (list[len] == ',');
	}
	return filter->comms.len ? NULL : error_new(EINVAL, "an empty list of names");
}

/* A decimal number at *p; moves *p behind it. */
static bool parse_number(const char **p, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)**p))
		return false;
	errno = 0;
	*ret = strtoull(*p, &end, 10);
	*p = end;
	return errno == 0;
}

static bool parse_range(const char **p, struct filter_range *ret)
{
	if (!parse_number(p, &ret->first))
		return false;
	ret->last = ret->first;
	if (**p == '-') {
		++*p;
		if (!parse_number(p, &ret->last))
			return false;
	}
	return ret->first <= ret->last;
}

static struct error *add_ranges(filter_ranges *to, const char *list)
{
	const char *p = list;

	for (;;) {
		struct filter_range range;

		if (!parse_range(&p, &range) || (*p && *p != ','))
			return error_new(EINVAL, "'%s' is not a list of numbers like 1,2,7-9", list);
		if (!vec_push(to, range))
			return error_nomem();
		if (!*p)
			return NULL;
		p++;
	}
}

struct error *filter_add_pids(struct filter *filter, const char *list)
{
	return add_ranges(&filter->pids, list);
}

struct error *filter_add_tids(struct filter *filter, const char *list)
{
	return add_ranges(&filter->tids, list);
}

struct error *filter_add_cpus(struct filter *filter, const char *list)
{
	return add_ranges(&filter->cpus, list);
}

/* Seconds as decimal text to nanoseconds, exactly; digits beyond the ninth are dropped. */
static bool parse_seconds(const char **p, uint64_t *ret)
{
	uint64_t seconds, unit = NS_PER_S / 10, ns = 0;

	if (!parse_number(p, &seconds) || seconds > UINT64_MAX / NS_PER_S - 1)
		return false;
	if (**p == '.')
		for (++*p; isdigit((unsigned char)**p); ++*p, unit /= 10)
			ns += (uint64_t)(**p - '0') * unit;
	*ret = seconds * NS_PER_S + ns;
	return true;
}

struct error *filter_add_time(struct filter *filter, const char *range)
{
	struct filter_range times = { 0, UINT64_MAX };
	const char *p = range;
	bool valid = *p == ',' || parse_seconds(&p, &times.first);

	valid = valid && *p == ',' && strlen(range) > 1;
	p += valid;
	valid = valid && (!*p || parse_seconds(&p, &times.last));
	if (!valid || *p || times.first > times.last)
		return error_new(EINVAL, "'%s' is not a range of seconds like 10.5,12 or 10.5, or ,12", range);
	return vec_push(&filter->times, times) ? NULL : error_nomem();
}

void filter_deinit(struct filter *filter)
{
	vec_each(&filter->comms, comm)
		free(*comm);
	vec_free(&filter->comms);
	vec_free(&filter->pids);
	vec_free(&filter->tids);
	vec_free(&filter->cpus);
	vec_free(&filter->times);
}

static bool in_ranges(const filter_ranges *ranges, uint64_t value)
{
	vec_each(ranges, range)
		if (value >= range->first && value <= range->last)
			return true;
	return ranges->len == 0;
}

static bool in_comms(const struct filter *filter, const char *comm)
{
	vec_each(&filter->comms, wanted)
		if (!strcmp(*wanted, comm))
			return true;
	return filter->comms.len == 0;
}

bool filter_match(const struct filter *filter, const char *comm, uint32_t pid, uint32_t tid, uint32_t cpu,
		  uint64_t time)
{
	return in_ranges(&filter->pids, pid) && in_ranges(&filter->tids, tid) && in_ranges(&filter->cpus, cpu) &&
	       in_ranges(&filter->times, time) && in_comms(filter, comm);
}
