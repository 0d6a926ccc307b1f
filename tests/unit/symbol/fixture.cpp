/* SPDX-License-Identifier: MIT */
/* Mangled names. */
#include <string>
#include <vector>

namespace outer {
template <typename T> struct box {
	T value;
	__attribute__((noinline)) void put(const T &v) { value = v; }
	__attribute__((noinline)) bool operator<(const box &other) const { return value < other.value; }
};
}

template struct outer::box<int>;
template struct outer::box<std::vector<std::string>>;

extern "C" int plain_c_name(void)
{
	return 7;
}
