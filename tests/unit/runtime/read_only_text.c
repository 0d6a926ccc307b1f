/* SPDX-License-Identifier: MIT */
/* read_only_text PROGRAM ARGUMENTS: with a seccomp filter under which text cannot be written. */
#include <stdio.h>

#include "unit/filter.h"

int main(int argc, char **argv)
{
	if (argc < 2 || refuse_writable_text()) {
		perror("read_only_text");
		return 1;
	}
	execv(argv[1], argv + 1);
	perror(argv[1]);
	return 1;
}
