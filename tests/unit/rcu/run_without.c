/* SPDX-License-Identifier: MIT */
/* run_without PROGRAM ARGUMENTS: with a seccomp filter that refuses membarrier and rseq. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "unit/filter.h"

int main(int argc, char **argv)
{
	if (argc < 2 || refuse_membarrier_and(SYS_rseq)) {
		perror("run_without");
		return 1;
	}
	execv(argv[1], argv + 1);
	perror(argv[1]);
	return 1;
}
