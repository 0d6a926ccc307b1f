// SPDX-License-Identifier: MIT
// Templates, methods, lambdas and name spaces inlined into each other.
#define INLINED inline __attribute__((always_inline))

volatile unsigned int sink;

namespace outer {

template <typename T> struct box {
	T value;

	INLINED T mixed(T other) const
	{
		sink = sink + 1;
		return value * 31 ^ other;
	}
};

namespace {

template <typename T, typename F> INLINED T apply(const box<T> &b, T n, F change)
{
	T sum = change(b.mixed(n));

	if (sum & 1)
		sum += b.mixed(sum);
	return sum;
}

}

class work {
public:
	__attribute__((noinline)) unsigned long run(unsigned long n);

private:
	INLINED unsigned long part(unsigned long n)
	{
		box<unsigned long> b{n};

		return apply(b, n, [this](unsigned long x) __attribute__((always_inline)) { return x + total++; });
	}

	unsigned long total = 0;
};

unsigned long work::run(unsigned long n)
{
	struct local {
		static INLINED unsigned long step(work &w, unsigned long n)
		{
			return w.part(n) + w.part(n + 1);
		}
	};
	unsigned long sum = 0;

	for (unsigned long i = 0; i < n; i++)
		sum += local::step(*this, i);
	return sum;
}

}

int main(int argc, char **)
{
	outer::work w;

	return static_cast<int>(w.run(static_cast<unsigned long>(argc))) & 1;
}
