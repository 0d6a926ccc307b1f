/* SPDX-License-Identifier: MIT */
/* Seccomp filters that take away what containers and services take away, and one that counts. */
#ifndef TEST_FILTER_H
#define TEST_FILTER_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILTER_LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define FILTER_AND(mask) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask)
#define FILTER_JUMP(value, if_equal, if_not) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, if_equal, if_not)
#define FILTER_RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)

static inline int filter_install(struct sock_filter *code, unsigned short n, unsigned int flags)
{
	struct sock_fprog program = { n, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* The code finds the call's number loaded, and what falls through it meets `otherwise`.  0 or -1. */
#define FILTER(flags, otherwise, ...)                                          \
	({                                                                     \
		struct sock_filter code_[] = { FILTER_LOAD(nr), __VA_ARGS__, FILTER_RETURN(otherwise) }; \
		filter_install(code_, sizeof(code_) / sizeof(code_[0]), flags); \
	})

/* As containers do.  For all threads of the process, and what it executes.  0 or -1. */
static inline int refuse_membarrier_and(int other)
{
	return FILTER(SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_RET_ALLOW,
		      FILTER_JUMP(SYS_membarrier, 1, 0),
		      FILTER_JUMP(other, 0, 1),
		      FILTER_RETURN(SECCOMP_RET_ERRNO | EPERM));
}

/* As MemoryDenyWriteExecute= does.  For all threads of the process, and what it executes.  0 or -1. */
static inline int refuse_writable_text(void)
{
	return FILTER(SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_RET_ALLOW,
		      FILTER_JUMP(SYS_mprotect, 0, 4),
		      FILTER_LOAD(args[2]),
		      FILTER_AND(PROT_WRITE | PROT_EXEC),
		      FILTER_JUMP(PROT_WRITE | PROT_EXEC, 0, 1),
		      FILTER_RETURN(SECCOMP_RET_ERRNO | EPERM));
}

/* The calling thread waits in it until another one lets it.  A file descriptor, see seccomp_unotify(2), or -1. */
static inline int stop_at_system_call(int call)
{
	return FILTER(SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_RET_ALLOW,
		      FILTER_JUMP(call, 0, 1),
		      FILTER_RETURN(SECCOMP_RET_USER_NOTIF));
}

/* False if none comes within a moment. */
static inline bool let_system_call(int listener, void (*look)(void))
{
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	struct seccomp_notif notif = { .id = 0 };
	struct seccomp_notif_resp resp = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	if (poll(&ready, 1, 20) != 1 || ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notif))
		return false;
	look();
	resp.id = notif.id;
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) == 0;
}

static volatile int system_calls;

static inline void count_system_call(int sig)
{
	system_calls++;
}

/* From now on system_calls counts this thread's, none of which reaches the kernel but write and exit.  0 or -1. */
static inline int count_system_calls(void)
{
	if (signal(SIGSYS, count_system_call) == SIG_ERR)
		return -1;
	return FILTER(0, SECCOMP_RET_TRAP,
		      FILTER_JUMP(SYS_rt_sigreturn, 2, 0),
		      FILTER_JUMP(SYS_write, 1, 0),
		      FILTER_JUMP(SYS_exit_group, 0, 1),
		      FILTER_RETURN(SECCOMP_RET_ALLOW));
}

#endif
