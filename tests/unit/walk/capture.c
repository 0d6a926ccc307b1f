/* SPDX-License-Identifier: MIT */
/* Stopping programs and taking what a walk needs; see capture.h. */
#include "capture.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

/* BELOW: a signal's stack may lie above the frames that it interrupted. */
enum { STACK_MAX = 1 << 20, BELOW = 32768 };

static bool wait_stop(struct traced *t)
{
	int status;

	if (waitpid(t->pid, &status, 0) != t->pid || !WIFSTOPPED(status)) {
		t->running = false;
		return false;
	}
	t->signal = WSTOPSIG(status);
	return true;
}

/* The trap of the tracer itself and the stop asked for are not the program's. */
static void drop_signal(struct traced *t)
{
	if (t->signal == SIGTRAP || t->signal == SIGSTOP)
		t->signal = 0;
}

bool traced_start(struct traced *t, char *const argv[])
{
	*t = (struct traced){ .pid = fork() };
	if (t->pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (!ptrace(PTRACE_TRACEME, 0, 0, 0))
			execvp(argv[0], argv);
		_exit(127);
	}
	t->running = t->pid > 0;
	if (!t->running || !wait_stop(t))
		return false;
	drop_signal(t);
	return !ptrace(PTRACE_SETOPTIONS, t->pid, 0, PTRACE_O_EXITKILL);
}

void traced_end(struct traced *t)
{
	if (t->running) {
		kill(t->pid, SIGKILL);
		waitpid(t->pid, NULL, 0);
	}
	while (t->maps) {
		struct snapshot_maps *maps = t->maps;

		t->maps = maps->next;
		vec_free(&maps->list);
		free(maps->vdso);
		free(maps->text);
		free(maps);
	}
}

static bool is_int3(struct traced *t)
{
	siginfo_t info;

	return t->signal == SIGTRAP && !ptrace(PTRACE_GETSIGINFO, t->pid, 0, &info) && info.si_code == SI_KERNEL;
}

bool traced_run_to_trap(struct traced *t)
{
	for (;;) {
		if (ptrace(PTRACE_CONT, t->pid, 0, t->signal) || !wait_stop(t))
			return false;
		if (is_int3(t))
			break;
		drop_signal(t);
	}
	drop_signal(t);
	return true;
}

bool traced_step(struct traced *t, bool *trap)
{
	if (ptrace(PTRACE_SINGLESTEP, t->pid, 0, t->signal) || !wait_stop(t))
		return false;
	*trap = is_int3(t);
	drop_signal(t);
	return true;
}

bool traced_run_for(struct traced *t, unsigned int microseconds)
{
	if (ptrace(PTRACE_CONT, t->pid, 0, t->signal))
		return false;
	usleep(microseconds);
	kill(t->pid, SIGSTOP);
	while (wait_stop(t)) {
		if (t->signal == SIGSTOP) {
			t->signal = 0;
			return true;
		}
		if (ptrace(PTRACE_CONT, t->pid, 0, t->signal))
			return false;
	}
	return false;
}

/* ---- what is taken ------------------------------------------------------- */

static bool read_memory(const struct traced *t, uint64_t address, void *data, size_t size)
{
	struct iovec local = { data, size }, remote = { (void *)address, size };

	return process_vm_readv(t->pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

static char *read_maps(const struct traced *t)
{
	_cleanup_fclose_ FILE *f = NULL;
	VEC(char) text = { 0 };
	char path[32];
	size_t n = 1;

	snprintf(path, sizeof(path), "/proc/%d/maps", t->pid);
	f = fopen(path, "re");
	while (f && n && vec_reserve(&text, text.len + 4097)) {
		n = fread(text.data + text.len, 1, 4096, f);
		text.len += n;
	}
	if (text.data)
		text.data[text.len] = '\0';
	return text.data;
}

static void parse_maps(const struct traced *t, struct snapshot_maps *maps)
{
	for (const char *line = maps->text; *line; line += strcspn(line, "\n") + 1) {
		struct snapshot_mapping m = { 0 };
		unsigned int maj, min;
		char perms[5];

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 "%*[ ]%255[^\n]", &m.start,
			   &m.end, perms, &m.pgoff, &maj, &min, &m.ino, m.path) < 7)
			continue;
		m.dev = makedev(maj, min);
		m.executable = perms[2] == 'x';
		(void)vec_push(&maps->list, m);
		if (strcmp(m.path, "[vdso]"))
			continue;
		maps->vdso_size = m.end - m.start;
		maps->vdso = malloc(maps->vdso_size);
		if (maps->vdso && !read_memory(t, m.start, maps->vdso, maps->vdso_size))
			maps->vdso_size = 0;
	}
}

static const struct snapshot_maps *current_maps(struct traced *t)
{
	_cleanup_free_ char *text = read_maps(t);
	struct snapshot_maps *maps;

	if (!text || (t->maps && !strcmp(t->maps->text, text)))
		return t->maps;
	maps = calloc(1, sizeof(*maps));
	if (!maps)
		return NULL;
	maps->text = steal_ptr(text);
	parse_maps(t, maps);
	maps->next = t->maps;
	t->maps = maps;
	return maps;
}

static void take_stack(const struct traced *t, uint64_t start, uint64_t end, struct snapshot_memory *ret)
{
	size_t size = end - start < STACK_MAX ? end - start : STACK_MAX;

	*ret = (struct snapshot_memory){ start, size, malloc(size) };
	if (!ret->data || !read_memory(t, start, ret->data, size))
		ret->size = 0;
}

uint64_t traced_pc(const struct traced *t)
{
	return ptrace(PTRACE_PEEKUSER, t->pid, offsetof(struct user_regs_struct, rip), 0);
}

bool traced_snapshot(struct traced *t, struct snapshot *ret)
{
	const struct snapshot_mapping *m;
	struct user_regs_struct r;
	uint64_t sp;

	*ret = (struct snapshot){ .maps = current_maps(t) };
	if (!ret->maps || ptrace(PTRACE_GETREGS, t->pid, 0, &r))
		return false;
	memcpy(ret->regs, (const uint64_t[]){ r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9,
	       r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip }, sizeof(ret->regs));
	sp = r.rsp & ~7ULL;
	m = snapshot_find(ret, sp);
	if (m)
		take_stack(t, sp - m->start > BELOW ? sp - BELOW : m->start, m->end, &ret->stack[0]);
	if (m && !strcmp(m->path, "[stack]"))
		return true;
	vec_each(&ret->maps->list, own)
		if (!strcmp(own->path, "[stack]"))
			take_stack(t, own->start, own->end, &ret->stack[1]);
	return true;
}

const struct snapshot_mapping *snapshot_find(const struct snapshot *s, uint64_t address)
{
	vec_each(&s->maps->list, m)
		if (address >= m->start && address < m->end)
			return m;
	return NULL;
}

void snapshot_free(struct snapshot *s)
{
	for (int i = 0; i < SNAPSHOT_STACKS; i++)
		free(s->stack[i].data);
}
