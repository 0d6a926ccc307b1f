/* SPDX-License-Identifier: MIT */
/* Which file is taken for a mapping: by build ID, in the process's root, deleted or not. */
#include "command.h"

#include "elf/elf_file.h"
#include "symbol/symbol.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static struct symboliser *symboliser;
static char dir[] = "/tmp/retour-test-XXXXXX";
static pid_t child;
static pid_t creator;

static void clean_up(void)
{
	if (getpid() != creator)
		return;
	if (child > 0)
		kill(child, SIGKILL);
	command_run("rm -rf %s", dir);
}

static void set_up(void)
{
	CHECK(mkdtemp(dir));
	creator = getpid();
	atexit(clean_up);
	CHECK_OK(symboliser_create(&symboliser));
}

static struct symbol_dso *get_dso(const struct symbol_dso_key *key)
{
	struct symbol_dso *dso;

	CHECK_OK(symboliser_dso(symboliser, key, &dso));
	return dso;
}

/* A shared object with one function of that name. */
static void make_library(const char *path, const char *function)
{
	command_run("echo 'int %s(void) { return 1; }' | cc -x c -O1 -shared -fPIC -Wl,--build-id=sha1 -o %s/%s -",
		    function, dir, path);
}

static void read_build_id(const char *path, struct symbol_dso_key *key)
{
	struct elf_file *elf;
	char full[128];

	sprintf(full, "%s/%s", dir, path);
	CHECK_OK(elf_file_open(full, &elf));
	key->build_id_size = elf_file_build_id(elf, key->build_id);
	CHECK(key->build_id_size == 20);
	elf_file_close(elf);
}

/* Some executable offset has a function of that name. */
static bool has_function(struct symbol_dso *dso, const char *name)
{
	struct symbol symbol;

	for (uint64_t offset = 0; offset < 0x3000; offset++) {
		if (symbol_dso_lookup(dso, offset, &symbol) && !strcmp(symbol.name, name))
			return true;
	}
	return false;
}

/* A process that runs in_child() and then waits to be killed; returns when it is ready. */
static void start_child(void (*in_child)(void))
{
	char ready;
	int pipe_fds[2];

	CHECK(pipe(pipe_fds) == 0);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		in_child();
		ready = 'y';
		if (write(pipe_fds[1], &ready, 1) == 1)
			pause();
		_exit(1);
	}
	close(pipe_fds[1]);
	CHECK(read(pipe_fds[0], &ready, 1) == 1);
}

TEST(memory_without_file_has_no_symbols)
{
	static const char *const paths[] = { "//anon", "[heap]", "[stack]", "anon_inode:[perf_event]", "/memfd:x (deleted)",
					     "/dev/zero (deleted)", "/SYSV00000000 (deleted)", "[vsyscall]", "" };
	struct symbol symbol;

	CHECK_OK(symboliser_create(&symboliser));
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct symbol_dso_key key = { .path = paths[i] };

		CHECK_STR(symbol_dso_problem(get_dso(&key)), "not backed by a file");
		CHECK(!symbol_dso_lookup(get_dso(&key), 0, &symbol));
	}
	symboliser_destroy(symboliser);
}

TEST(missing_file_is_a_problem_not_an_error)
{
	struct symbol_dso_key key = { .path = "/nowhere/at all.so", .pid = getpid() };

	CHECK_OK(symboliser_create(&symboliser));
	CHECK_STR(symbol_dso_problem(get_dso(&key)), "file not found");
	symboliser_destroy(symboliser);
}

TEST(what_is_not_a_regular_elf_file_is_refused)
{
	char path[64];
	struct symbol_dso_key key = { .path = path };

	set_up();
	sprintf(path, "%s/fifo", dir);
	CHECK(mkfifo(path, 0600) == 0);
	CHECK_STR(symbol_dso_problem(get_dso(&key)), "not a regular file");
	sprintf(path, "%s/text", dir);
	command_write(path, "no ELF file");
	CHECK(strstr(symbol_dso_problem(get_dso(&key)), "not an ELF file"));
	key.path = "/dev/null";
	CHECK_STR(symbol_dso_problem(get_dso(&key)), "not a regular file");
	key.path = "/tmp";
	CHECK_STR(symbol_dso_problem(get_dso(&key)), "not a regular file");
}

TEST(build_id_must_agree)
{
	char path[64];
	struct symbol_dso_key key = { .path = path };

	set_up();
	sprintf(path, "%s/lib.so", dir);
	make_library("lib.so", "before");
	read_build_id("lib.so", &key);
	CHECK(has_function(get_dso(&key), "before"));
	make_library("lib.so", "after");
	CHECK(has_function(get_dso(&key), "before"));	/* it was read already */
	key.build_id[0] ^= 1;
	CHECK_STR(symbol_dso_problem(get_dso(&key)), "file changed (build ID differs)");
	CHECK(!has_function(get_dso(&key), "after"));
	key.build_id_size = 0;
	CHECK(has_function(get_dso(&key), "after"));
}

TEST(same_key_is_same_dso)
{
	struct symbol_dso_key key = { .path = "/nowhere", .build_id = { 1, 2 }, .build_id_size = 20, .pid = 1 };
	struct symbol_dso *first;

	CHECK_OK(symboliser_create(&symboliser));
	first = get_dso(&key);
	key.pid = getpid();
	CHECK(get_dso(&key) == first);
	key.build_id[19] = 1;
	CHECK(get_dso(&key) != first);
	symboliser_destroy(symboliser);
}

static void map_library(void)
{
	char path[64];

	sprintf(path, "%s/lib.so", dir);
	if (!dlopen(path, RTLD_NOW))
		_exit(1);
}

TEST(deleted_file_is_found_through_its_mapping)
{
	char path[64], deleted[80];
	struct symbol_dso_key key = { .path = deleted };

	if (geteuid())
		SKIP("needs root: /proc/PID/map_files");
	set_up();
	sprintf(path, "%s/lib.so", dir);
	sprintf(deleted, "%s (deleted)", path);
	make_library("lib.so", "before");
	read_build_id("lib.so", &key);
	start_child(map_library);
	key.pid = child;
	CHECK(unlink(path) == 0);
	make_library("lib.so", "after");
	CHECK(has_function(get_dso(&key), "before"));
	/* Mapped before it was deleted: the recording has the plain path. */
	key.path = path;
	CHECK(has_function(get_dso(&key), "before"));
	CHECK(!has_function(get_dso(&key), "after"));
	key.path = deleted;
	key.build_id_size = 0;
	CHECK_STR(symbol_dso_problem(get_dso(&key)), "file deleted");
}

static void enter_root(void)
{
	if (chroot(dir) || chdir("/"))
		_exit(1);
}

TEST(paths_are_those_of_the_process)
{
	struct symbol_dso_key key = { .path = "/lib.so" };

	if (geteuid())
		SKIP("needs root: chroot");
	set_up();
	make_library("lib.so", "in_its_root");
	start_child(enter_root);
	key.pid = child;
	CHECK(has_function(get_dso(&key), "in_its_root"));
	key.pid = 0;
	CHECK_STR(symbol_dso_problem(get_dso(&key)), "file not found");
}

TEST(links_do_not_lead_out_of_the_root)
{
	char outside[] = "/tmp/retour-outside-XXXXXX.so";
	struct symbol_dso_key key = { .path = "/absolute.so" };

	if (geteuid())
		SKIP("needs root: chroot");
	set_up();
	make_library("lib.so", "inside");
	make_library("other.so", "outside");
	close(mkstemps(outside, 3));
	command_run("cd %s && mv other.so %s && ln -s %s absolute.so && ln -s ../../../../../../%s relative.so && "
		    "ln -s /../../lib.so inside.so", dir, outside, outside, outside);
	start_child(enter_root);
	key.pid = child;
	bool absolute = has_function(get_dso(&key), "outside");

	key.path = "/relative.so";
	bool relative = has_function(get_dso(&key), "outside");

	key.path = "/inside.so";
	bool inside = has_function(get_dso(&key), "inside");

	unlink(outside);
	CHECK(!absolute && !relative && inside);
}

TEST(vdso_is_read_from_memory)
{
	struct symbol_dso_key key = { .path = "[vdso]" };

	CHECK_OK(symboliser_create(&symboliser));
	CHECK(!symbol_dso_problem(get_dso(&key)));
	CHECK(has_function(get_dso(&key), "__vdso_clock_gettime"));
	key.build_id[0] = 1;
	key.build_id_size = 20;
	CHECK_STR(symbol_dso_problem(get_dso(&key)), "file changed (build ID differs)");
	symboliser_destroy(symboliser);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
