/* SPDX-License-Identifier: MIT */
/* Calls inlined over four levels, at several places, in loops and branches. */
#define INLINED static inline __attribute__((always_inline))

volatile unsigned int sink;
unsigned int alone(unsigned int n);
unsigned int twice(unsigned int n);
unsigned int in_loop(unsigned int n);
int main(int argc, char **argv);

INLINED unsigned int innermost(unsigned int n)
{
	sink += n;
	return n * 2654435761u ^ sink;
}

INLINED unsigned int third(unsigned int n)
{
	unsigned int sum = innermost(n);

	if (sum & 1)
		sum += innermost(sum + 1);
	return sum;
}

INLINED unsigned int second(unsigned int n)
{
	for (unsigned int i = 0; i < 3; i++) {
		unsigned int part = third(n + i);

		n ^= part >> 7;
	}
	return n;
}

INLINED unsigned int first(unsigned int n)
{
	return second(n) + third(n * 3);
}

__attribute__((noinline)) unsigned int alone(unsigned int n)
{
	return sink + n;
}

__attribute__((noinline)) unsigned int twice(unsigned int n)
{
	return first(n) - first(n + sink);
}

__attribute__((noinline)) unsigned int in_loop(unsigned int n)
{
	unsigned int sum = 0;

	while (n--)
		sum += n & 1 ? first(n) : second(alone(n));
	return sum;
}

int main(int argc, char **argv)
{
	(void)argv;
	return (int)(twice((unsigned int)argc) + in_loop(5)) & 1;
}
