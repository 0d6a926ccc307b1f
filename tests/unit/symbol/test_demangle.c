/* SPDX-License-Identifier: MIT */
/* C++ and Rust names, and names that are traps. */
#include "test.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "symbol/demangle.h"

static void check(const char *raw, const char *want)
{
	_cleanup_free_ char *name = demangle(raw);

	CHECK_STR(name, want);
}

TEST(cxx_names_have_no_parameters)
{
	check("_ZN5outer3boxIiE3putERKi", "outer::box<int>::put");
	check("_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int> >::push_back");
	check("_ZN5outer3boxIiEC2Ev", "outer::box<int>::box");
	check("_ZlsRSoi", "operator<<");
	check("_Z3foov.cold", "foo");
}

TEST(rust_names_have_no_hash)
{
	check("_ZN5alloc3vec12Vec$LT$T$GT$4push17h0123456789abcdefE", "alloc::vec::Vec<T>::push");
	check("_RNvCs1234_7mycrate3foo", "mycrate::foo");
	check("_RINvNtC3std3mem8align_ofjE", "std::mem::align_of::<usize>");
}

TEST(other_names_are_left_alone)
{
	CHECK(!demangle("main"));
	CHECK(!demangle(""));
	CHECK(!demangle("_Z"));
	CHECK(!demangle("_start"));
	CHECK(!demangle("_ZZZZZZ"));
}

/*
 * Each level names the one before it twice: 2^levels copies of the first.  The
 * n-th level is substitution 1 + 2n, written to the base 36.
 */
static void doubling_name(char *ret, int levels)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	ret += sprintf(ret, "_Z1fI1AIiiE");
	for (int i = 0; i < levels; i++) {
		int id = 1 + 2 * i;
		char seq[8] = { 'S', digits[id / 36], digits[id % 36], '_' };

		if (id < 36)
			sprintf(seq, "S%c_", digits[id]);
		ret += sprintf(ret, "1BI%s%sE", seq, seq);
	}
	sprintf(ret, "EvT_");
}

TEST(exponential_names_end_soon)
{
	uint64_t start = clock_monotonic_ns();
	char raw[4096];

	for (int levels = 1; levels < 60; levels++) {
		_cleanup_free_ char *name = NULL;

		doubling_name(raw, levels);
		name = demangle(raw);
		if (levels == 8)
			CHECK(name && strlen(name) > 1000);
		CHECK(!name || strlen(name) <= 16384);
		CHECK(!name || levels < 20);
	}
	CHECK(clock_monotonic_ns() - start < 5000000000u);
}

TEST(deep_names_do_not_exhaust_the_stack)
{
	static char raw[1 << 20];

	for (size_t len = 16; len < sizeof(raw) - 16; len *= 2) {
		memset(raw, 'P', len);
		memcpy(raw, "_Z1f", 4);
		strcpy(raw + len, "i");
		free(demangle(raw));
		memset(raw + 4, 'N', len - 4);
		free(demangle(raw));
		memcpy(raw, "_RN", 3);
		free(demangle(raw));
	}
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
