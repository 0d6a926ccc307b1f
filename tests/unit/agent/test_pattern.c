/* SPDX-License-Identifier: MIT */
/* Patterns of tracepoints, with fnmatch() as the oracle. */
#include "unit/test.h"

#include <fnmatch.h>

#include "runtime/agent_pattern.h"

static void fill(char *text, unsigned int max, const char *alphabet)
{
	unsigned int n = rand() % max;

	for (unsigned int i = 0; i < n; i++)
		text[i] = alphabet[rand() % strlen(alphabet)];
	text[n] = '\0';
}

/* Without sets in sets, which mean classes of characters there. */
TEST(agrees_with_fnmatch)
{
	unsigned int n_matches = 0;

	srand(1);
	for (int i = 0; i < 300000; i++) {
		char pattern[12], name[8];

		fill(pattern, sizeof(pattern), "aab**?[]!-\\^");
		fill(name, sizeof(name), "aab-]:");
		if (strstr(pattern, "[["))
			continue;
		if (agent_pattern_matches(pattern, name) != !fnmatch(pattern, name, 0)) {
			printf("# pattern %s, name %s\n", pattern, name);
			CHECK(!"they agree");
		}
		n_matches += agent_pattern_matches(pattern, name);
	}
	CHECK(n_matches > 1000);
}

TEST(names)
{
	CHECK(agent_pattern_matches("app:*", "app:request") && !agent_pattern_matches("app:*", "apple:request"));
	CHECK(agent_pattern_matches("app:re[a-p]*", "app:reply") && !agent_pattern_matches("app:re[!a-p]*", "app:reply"));
	CHECK(agent_pattern_matches("*:*_*_b", "x:a_b_c_b") && !agent_pattern_matches("", "x") && agent_pattern_matches("*", ""));
}

/* Each * could take any part of the name: fnmatch() tries them all. */
TEST(patterns_made_to_take_long)
{
	char pattern[128], name[255];

	alarm(20);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (unsigned int i = 0; i + 3 < sizeof(pattern); i += 2)
		memcpy(pattern + i, "*a", 2);
	strcpy(pattern + sizeof(pattern) - 2, "b");
	CHECK(!agent_pattern_matches(pattern, name));
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
