/* SPDX-License-Identifier: MIT */
/*
 * Runs a command under a seccomp filter that refuses one system call, as the
 * profile of a container or service does, or only those with a first argument:
 * refuse SYSCALL[:ARGUMENT] ERRNO|kill COMMAND…
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned int number_of(const char *name)
{
	const size_t n = strcspn(name, ":");

	if (!strncmp(name, "bpf", n))
		return SYS_bpf;
	if (!strncmp(name, "perf_event_open", n))
		return SYS_perf_event_open;
	if (!strncmp(name, "unshare", n))
		return SYS_unshare;
	fprintf(stderr, "refuse: unknown system call %s\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: refuse SYSCALL[:ARGUMENT] ERRNO|kill COMMAND...\n");
		return 2;
	}
	const char *argument = strchr(argv[1], ':');
	unsigned int refusal = !strcmp(argv[2], "kill") ? SECCOMP_RET_KILL_PROCESS
							 : SECCOMP_RET_ERRNO | (atoi(argv[2]) & SECCOMP_RET_DATA);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number_of(argv[1]), 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(argument ? BPF_JMP | BPF_JEQ | BPF_K : BPF_JMP | BPF_JGE | BPF_K,
			 argument ? (unsigned int)atoi(argument + 1) : 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, refusal),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	/* Root may filter without it, and keep what setuid programs and capabilities give. */
	if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		perror("refuse: no_new_privs");
		return 1;
	}
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("refuse: seccomp");
		return 1;
	}
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return 127;
}
