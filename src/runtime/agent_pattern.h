/* SPDX-License-Identifier: MIT */
/*
 * Patterns of tracepoints: *, ?, [set], [!set] and \, as fnmatch(3) has them.
 *
 * That function takes exponential time for patterns made for it, and ours are matched
 * with locks held.  Here only the last * is ever tried again: what an earlier one
 * could take instead, the last can take, too.
 */
#ifndef RETOUR_RUNTIME_AGENT_PATTERN_H
#define RETOUR_RUNTIME_AGENT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* What follows a set that begins here; NULL if it has no end. */
static inline const char *agent_pattern_set(const char *at, char c, bool *matches)
{
	bool negated = *++at == '!' || *at == '^', found = false;
	const char *first = at += negated;

	for (; *at && (*at != ']' || at == first); at++) {
		char low, high;

		at += *at == '\\' && at[1];
		low = high = *at;
		if (at[1] == '-' && at[2] && at[2] != ']') {
			at += 2;
			at += *at == '\\' && at[1];
			high = *at;
		}
		found |= low <= c && c <= high;
	}
	*matches = found != negated;
	return *at ? at + 1 : NULL;
}

/* What follows the first element of a pattern if that is the character, or NULL. */
static inline const char *agent_pattern_step(const char *at, char c)
{
	const char *after;
	bool matches;

	if (*at == '?')
		return at + 1;
	after = *at == '[' ? agent_pattern_set(at, c, &matches) : NULL;
	if (after)
		return matches ? after : NULL;
	at += *at == '\\' && at[1];
	return *at == c ? at + 1 : NULL;
}

/* Of PROVIDER:NAME.  Async-signal-safe; time at most the product of the lengths. */
static inline bool agent_pattern_matches(const char *pattern, const char *name)
{
	const char *star = NULL, *taken = name, *next;

	while (*name || *pattern == '*') {
		if (*pattern == '*') {
			star = ++pattern;
			taken = name;
			continue;
		}
		next = agent_pattern_step(pattern, *name);
		if (next) {
			pattern = next;
			name++;
		} else if (star) {
			pattern = star;
			name = ++taken;
		} else {
			return false;
		}
	}
	return !*pattern;
}

#endif
