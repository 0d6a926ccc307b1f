/* SPDX-License-Identifier: MIT */
/*
 * The unit test harness.  A test program is
 *
 *	#include "test.h"
 *	TEST(adds_up) { CHECK(1 + 1 == 2); CHECK_STR(name, "x"); }
 *	int main(int argc, char **argv) { return test_main(argc, argv); }
 *
 * Every TEST runs in a forked child, so that a crash or a hang fails that one
 * test only.  Output is TAP.  SKIP("why") ends a test as skipped.
 *
 * `program --list` names the tests, `program --here NAME` runs one in this
 * process: emulators do not bear threads in a forked child.
 */
#ifndef RETOUR_TEST_H
#define RETOUR_TEST_H

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct test_case {
	const char *name;
	void (*run)(void);
	struct test_case *next;
};

static struct test_case *test_first, **test_tail __attribute__((unused)) = &test_first;

#define TEST(id)                                                              \
	static void test_##id(void);                                          \
	static struct test_case case_##id = { #id, test_##id, NULL };         \
	__attribute__((constructor)) static void add_##id(void)               \
	{                                                                     \
		*test_tail = &case_##id;                                      \
		test_tail = &case_##id.next;                                  \
	}                                                                     \
	static void test_##id(void)

#define CHECK(cond)                                                           \
	do {                                                                  \
		if (!(cond)) {                                                \
			printf("# %s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
			fflush(stdout);                                       \
			_exit(1);                                             \
		}                                                             \
	} while (0)

#define CHECK_U64(a, b)                                                       \
	do {                                                                  \
		uint64_t a_ = (a), b_ = (b);                                  \
		if (a_ != b_) {                                               \
			printf("# %s:%d: %s is %#llx, want %s = %#llx\n", __FILE__, __LINE__, #a, \
			       (unsigned long long)a_, #b, (unsigned long long)b_); \
			fflush(stdout);                                       \
			_exit(1);                                             \
		}                                                             \
	} while (0)

#define CHECK_STR(a, b)                                                       \
	do {                                                                  \
		const char *a_ = (a), *b_ = (b);                              \
		if (!a_ || !b_ || strcmp(a_, b_)) {                           \
			printf("# %s:%d: %s is \"%s\", want \"%s\"\n", __FILE__, __LINE__, #a, \
			       a_ ? a_ : "(null)", b_ ? b_ : "(null)");       \
			fflush(stdout);                                       \
			_exit(1);                                             \
		}                                                             \
	} while (0)

/* A function that returns struct error * must succeed. */
#define CHECK_OK(expr)                                                        \
	do {                                                                  \
		struct error *e_ = (expr);                                    \
		if (e_) {                                                     \
			printf("# %s:%d: %s: %s\n", __FILE__, __LINE__, #expr, e_->text); \
			fflush(stdout);                                       \
			_exit(1);                                             \
		}                                                             \
	} while (0)

#define SKIP(why)                                                             \
	do {                                                                  \
		printf("# skip: %s\n", why);                                  \
		fflush(stdout);                                               \
		_exit(77);                                                    \
	} while (0)

#ifdef __SANITIZE_ADDRESS__
/*
 * The address sanitizer's allocator is not made for fork(): a child that was forked while another thread, such as a
 * library's that has just begun, allocated waits for ever.  Those that sleep do not.
 */
static inline bool test_others_sleep(void)
{
	DIR *dir = opendir("/proc/self/task");
	bool sleep = true;

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		char path[300], line[512] = "", *state;
		FILE *file;

		if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/stat", entry->d_name);
		file = fopen(path, "re");
		state = file && fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
		sleep &= !state || state[2] == 'S';
		if (file)
			fclose(file);
	}
	if (dir)
		closedir(dir);
	return sleep;
}
#endif

static inline int test_run_one(struct test_case *t)
{
	int status;
	pid_t pid;

#ifdef __SANITIZE_ADDRESS__
	for (int i = 0; i < 10000 && !test_others_sleep(); i++)
		usleep(1000);
#endif
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(120);
		t->run();
		fflush(stdout);
		exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("# killed by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static inline int test_list(void)
{
	for (struct test_case *t = test_first; t; t = t->next)
		puts(t->name);
	return 0;
}

static inline int test_run_here(const char *name)
{
	for (struct test_case *t = test_first; t; t = t->next) {
		if (strcmp(t->name, name))
			continue;
		printf("1..1\n");
		fflush(stdout);
		t->run();
		printf("ok 1 %s\n", name);
		return 0;
	}
	return 2;
}

static inline int test_main(int argc, char **argv)
{
	int n = 0, failed = 0;

	if (argc > 1 && !strcmp(argv[1], "--list"))
		return test_list();
	if (argc > 2 && !strcmp(argv[1], "--here"))
		return test_run_here(argv[2]);
	for (struct test_case *t = test_first; t; t = t->next)
		n++;
	printf("1..%d\n", n);
	n = 0;
	for (struct test_case *t = test_first; t; t = t->next) {
		if (argc > 1 && strcmp(argv[1], t->name))
			continue;
		int status = test_run_one(t);

		if (status == 77)
			printf("ok %d %s # SKIP see above\n", ++n, t->name);
		else
			printf("%sok %d %s\n", status ? "not " : "", ++n, t->name);
		failed += status != 0 && status != 77;
	}
	return failed != 0;
}

#endif
