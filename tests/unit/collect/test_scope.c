/* SPDX-License-Identifier: MIT */
/* Which processes are recorded, and what exists already when recording begins. */
#include "collect/scope.h"
#include "collect/synthesize.h"
#include "test.h"

#include <inttypes.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static bool feed(struct scope *scope, uint32_t type, uint32_t pid, uint32_t parent)
{
	struct perfdata_record record = { .type = type, .pid = pid, .tid = pid };

	if (type == PERF_RECORD_FORK)
		record.task.ppid = parent;
	return scope_feed(scope, &record);
}

TEST(follows_forks)
{
	struct scope scope = { 0 };

	scope_add(&scope, 10);
	CHECK(feed(&scope, PERF_RECORD_COMM, 10, 0));
	CHECK(!feed(&scope, PERF_RECORD_COMM, 11, 0));
	CHECK(feed(&scope, PERF_RECORD_FORK, 11, 10));
	CHECK(feed(&scope, PERF_RECORD_FORK, 12, 11));
	CHECK(feed(&scope, PERF_RECORD_MMAP2, 12, 0));
	CHECK(!feed(&scope, PERF_RECORD_FORK, 21, 20));
	CHECK(!scope_has(&scope, 21));
	scope_free(&scope);
}

TEST(all_is_all)
{
	struct scope scope = { .all = true };

	CHECK(feed(&scope, PERF_RECORD_COMM, 1, 0));
	CHECK(feed(&scope, PERF_RECORD_FORK, 3, 2));
	CHECK_U64(scope.pids.len, 0);
	scope_free(&scope);
}

TEST(many_processes)
{
	struct scope scope = { 0 };

	for (uint32_t pid = 1; pid < 20000; pid += 2)
		scope_add(&scope, pid);
	scope_add(&scope, 1);
	CHECK_U64(scope.pids.len, 10000);
	for (uint32_t pid = 1; pid < 20000; pid++)
		CHECK(scope_has(&scope, pid) == (pid % 2 == 1));
	scope_free(&scope);
}

/* ---- synthesize ------------------------------------------------------------ */

/* The fixed part of the ABI's MMAP2 body; the file name follows. */
struct mmap2 {
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	uint32_t maj, min;
	uint64_t ino, ino_generation;
	uint32_t prot, flags;
};

static char told[1 << 18];
static unsigned int n_comms, n_named;

static void on_record(void *arg, uint32_t type, uint16_t misc, uint32_t pid, uint32_t tid, const void *body,
		      size_t size)
{
	const char *name = (const char *)body + (type == PERF_RECORD_COMM ? 8 : sizeof(struct mmap2));
	const struct mmap2 *m = body;

	CHECK_U64(size % 8, 0);
	CHECK(memchr(name, 0, size - (name - (const char *)body)));
	CHECK_U64(pid, getpid());
	CHECK_U64(m->pid, pid);
	CHECK_U64(m->tid, tid);
	if (type == PERF_RECORD_COMM) {
		n_comms++;
		n_named += !strcmp(name, "a thread") && tid != pid;
		CHECK(tid == pid || n_comms > 1);	/* the process's own name first */
		return;
	}
	CHECK_U64(type, PERF_RECORD_MMAP2);
	CHECK_U64(misc, PERF_RECORD_MISC_USER);
	sprintf(told + strlen(told), "%" PRIx64 "-%" PRIx64 " %c%c%c%c %" PRIx64 " %x:%x %" PRIu64 " %s\n", m->addr,
		m->addr + m->len, m->prot & PROT_READ ? 'r' : '-', m->prot & PROT_WRITE ? 'w' : '-',
		m->prot & PROT_EXEC ? 'x' : '-', m->flags & MAP_SHARED ? 's' : 'p', m->pgoff, m->maj, m->min, m->ino,
		name);
}

/* The executable lines of our own maps, in the same form. */
static void read_maps(char *text)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[4300], perms[5];
	uint64_t start, end, pgoff, ino;
	unsigned int maj, min;
	int at;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		at = 0;
		CHECK(sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &start, &end, perms,
			     &pgoff, &maj, &min, &ino, &at) == 7);
		if (perms[2] == 'x')
			text += sprintf(text, "%" PRIx64 "-%" PRIx64 " %s %" PRIx64 " %x:%x %" PRIu64 " %s\n", start, end,
					perms, pgoff, maj, min, ino, at && line[at] ? line + at : "//anon");
	}
	fclose(f);
}

static void *named_thread(void *arg)
{
	pthread_barrier_t *barrier = arg;

	prctl(PR_SET_NAME, "a thread");
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	return NULL;
}

TEST(own_process)
{
	static char want[1 << 18];
	pthread_barrier_t barrier;
	pthread_t thread;
	void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(code != MAP_FAILED);
	pthread_barrier_init(&barrier, NULL, 2);
	CHECK(!pthread_create(&thread, NULL, named_thread, &barrier));
	pthread_barrier_wait(&barrier);
	synthesize_process(getpid(), on_record, NULL);
	read_maps(want);
	CHECK_STR(told, want);
	CHECK(strstr(told, "//anon") && strstr(told, "[vdso]"));
	CHECK_U64(n_comms, 2);
	CHECK_U64(n_named, 1);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
}

static unsigned int n_any, n_own;

static void count(void *arg, uint32_t type, uint16_t misc, uint32_t pid, uint32_t tid, const void *body,
		  size_t size)
{
	n_any++;
	n_own += pid == (uint32_t)getpid();
}

TEST(every_process)
{
	synthesize_all(count, NULL);
	CHECK(n_own > 2 && n_any > n_own);
}

TEST(no_such_process)
{
	synthesize_process(0x7fffffff, count, NULL);
	CHECK_U64(n_any, 0);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
