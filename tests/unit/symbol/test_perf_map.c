/* SPDX-License-Identifier: MIT */
/* Perf maps of JIT code: this process's own, as a runtime in it would write it. */
#include "command.h"

#include "base/error.h"
#include "symbol/symbol.h"

#include <sys/stat.h>

static char path[64];
static struct symboliser *symboliser;

static void remove_map(void)
{
	unlink(path);
}

static void set_up(const char *text)
{
	sprintf(path, "/tmp/perf-%d.map", getpid());
	atexit(remove_map);
	if (text)
		command_write(path, text);
	CHECK_OK(symboliser_create(&symboliser));
}

static void append(const char *text)
{
	FILE *file = fopen(path, "a");

	CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
	usleep(150000);		/* the file is looked at ten times a second at most */
}

static const char *at(uint64_t address)
{
	static struct symbol symbol;

	return symboliser_jit(symboliser, getpid(), address, &symbol) ? symbol.name : "none";
}

TEST(map_is_read)
{
	set_up("7f0000001000 40 py::main:/x.py\n"
	       "0x7f0000002000 0x10 LazyCompile:~f a file.js:1\n");
	CHECK_STR(at(0x7f0000000fff), "none");
	CHECK_STR(at(0x7f0000001000), "py::main:/x.py");
	CHECK_STR(at(0x7f000000103f), "py::main:/x.py");
	CHECK_STR(at(0x7f0000001040), "none");
	CHECK_STR(at(0x7f000000200f), "LazyCompile:~f a file.js:1");
	symboliser_destroy(symboliser);
}

TEST(map_grows_and_later_lines_win)
{
	const char *kept;

	set_up("1000 100 old\n2000 10 half a li");
	kept = at(0x1000);
	CHECK_STR(kept, "old");
	CHECK_STR(at(0x2000), "none");
	append("ne\n1000 80 new\n1090 20 newer\n");
	CHECK_STR(at(0x2000), "half a line");
	CHECK_STR(at(0x1010), "new");
	CHECK_STR(at(0x1095), "newer");
	CHECK_STR(kept, "old");
	symboliser_destroy(symboliser);
}

TEST(map_may_come_late)
{
	set_up(NULL);
	CHECK_STR(at(0x1000), "none");
	append("1000 100 late\n");
	CHECK_STR(at(0x1000), "late");
	symboliser_destroy(symboliser);
}

TEST(junk_is_passed_over)
{
	set_up("\n\n \nxyz\n1000\n1000 \n1000 10\n1000 10 \n1000 0 empty\n-1 10 negative\n"
	       "10000000000000000000 10 too large\n"
	       "fffffffffffffff0 ffffffffffffffff wraps\n"
	       "3000 10 good  \r\n");
	CHECK_STR(at(0x1000), "none");
	CHECK_STR(at(0x3000), "good");
	CHECK_STR(at(0xfffffffffffffff8), "wraps");
	CHECK_STR(at(0x8), "none");
	symboliser_destroy(symboliser);
}

TEST(map_of_another_user_is_not_believed)
{
	if (geteuid())
		SKIP("needs root: chown");
	set_up("1000 10 planted\n");
	CHECK(chown(path, 12345, 12345) == 0);
	CHECK_STR(at(0x1000), "none");
	CHECK(chown(path, 0, 0) == 0);
	usleep(150000);
	CHECK_STR(at(0x1000), "planted");
	symboliser_destroy(symboliser);
}

TEST(what_is_not_a_file_does_not_block)
{
	set_up(NULL);
	CHECK(mkfifo(path, 0600) == 0);
	CHECK_STR(at(0x1000), "none");
	symboliser_destroy(symboliser);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
