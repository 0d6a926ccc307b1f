/* SPDX-License-Identifier: MIT */
/*
 * Lines and inlined functions of every instruction of small programs, against
 * the tool of the compiler's makers: each misreads some of what the other's
 * compiler writes.
 */
#include "command.h"

#include "base/cleanup.h"
#include "elf/elf_file.h"
#include "symbol/lines.h"
#include "symbol/target_file.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

static char dir[] = "/tmp/retour-test-XXXXXX";

static void remove_dir(void)
{
	command_run("rm -rf %s", dir);
}

/* Compiles a fixture to "program" in a directory of its own; skips the test without the compiler. */
static void build(const char *compiler, const char *options, const char *fixture)
{
	const char *source = fixture_path(fixture);

	if (command_status("command -v %s >/dev/null", compiler))
		SKIP("the compiler is not installed");
	CHECK(mkdtemp(dir));
	atexit(remove_dir);
	command_run("cd %s && %s -O2 %s -Wl,--build-id -o program %s", dir, compiler, options, source);
}

static struct lines *open_program(struct elf_file **ret_elf)
{
	_cleanup_close_ int root = target_root_open(0);
	struct elf_file *file;
	struct lines *lines;
	char path[64];

	snprintf(path, sizeof(path), "%s/program", dir);
	CHECK_OK(elf_file_open(path, ret_elf));
	CHECK_OK(elf_file_open(path, &file));
	CHECK_OK(lines_open(file, path, root, &lines));
	return lines;
}

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path ? path : "??";
}

/* One line of the tool's, without its newline; false at the end. */
static bool read_line(FILE *file, char *line, size_t size)
{
	if (!fgets(line, (int)size, file))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

/* "dir/file.c:12": the file's name and the line. */
static const char *split_place(char *place, uint32_t *line)
{
	char *colon = strrchr(place, ':');

	CHECK(colon);
	*colon = '\0';
	*line = (uint32_t)strtoul(colon + 1, NULL, 10);
	return base_name(place);
}

struct tally {
	size_t addresses, inlined, deepest;
};

/* The frames of an address: pairs of lines up to the next address. */
static bool check_address(FILE *expected, const struct source_frame *frames, size_t n, char *name, char *place)
{
	size_t depth = 0;
	uint32_t line;

	while (read_line(expected, name, 4096) && strncmp(name, "0x", 2)) {
		const char *file;

		CHECK(read_line(expected, place, 4096));
		file = split_place(place, &line);
		if (n == 0) {
			CHECK_U64(line, 0);	/* names are from the symbol table then */
			continue;
		}
		CHECK(depth < n);
		/* Padding between functions has a line but no function. */
		CHECK_STR(frames[depth].function ? frames[depth].function : "??", name);
		CHECK_U64(frames[depth].line, line);
		if (line)	/* not every tool names the file of line 0 */
			CHECK_STR(base_name(frames[depth].file), file);
		depth++;
	}
	CHECK_U64(depth, n);
	return !feof(expected);
}

#define GNU_TOOL "eu-addr2line -a -f -i -e program | sed -E 's/ inlined at .*//; s/(:[0-9]+):[0-9]+$/\\1/'"
#define LLVM_TOOL "llvm-symbolizer --output-style=GNU -a -f -i --no-demangle -e program"

/* Every instruction of the text section; the tool prints its address, then its frames. */
static struct tally check_program(const char *tool)
{
	static struct source_frame frames[SOURCE_MAX_FRAMES];
	struct tally tally = { 0 };
	struct elf_file *elf;
	struct lines *lines = open_program(&elf);
	char name[4096], place[4096];
	FILE *expected;
	bool more;

	CHECK(lines);
	expected = command_open("cd %s && objdump -d -j .text --no-show-raw-insn program | "
				"sed -n 's/^ *\\([0-9a-f]*\\):.*/0x\\1/p' | %s", dir, tool);
	CHECK(read_line(expected, name, sizeof(name)));
	do {
		uint64_t offset;
		size_t n;

		CHECK(elf_file_to_offset(elf, strtoull(name, NULL, 16), &offset));
		n = lines_find(lines, offset, frames);
		more = check_address(expected, frames, n, name, place);
		tally.addresses += n > 0;
		tally.inlined += n > 1;
		if (n > tally.deepest)
			tally.deepest = n;
	} while (more);
	CHECK(pclose(expected) == 0);
	lines_close(lines);
	elf_file_close(elf);
	printf("# %zu addresses, %zu in inlined functions, up to %zu deep\n", tally.addresses, tally.inlined,
	       tally.deepest);
	return tally;
}

static void check_fixture(const char *compiler, const char *options, const char *fixture, const char *tool)
{
	struct tally tally;

	if (command_status("command -v %.*s >/dev/null", (int)strcspn(tool, " "), tool))
		SKIP("the tool to compare with is not installed");
	build(compiler, options, fixture);
	tally = check_program(tool);
	CHECK(tally.addresses > 50 && tally.inlined > 20 && tally.deepest >= 4);
}

TEST(c)
{
	check_fixture("gcc", "-g", "INLINED_C", GNU_TOOL);
}

TEST(c_with_dwarf_4)
{
	check_fixture("gcc", "-gdwarf-4", "INLINED_C", GNU_TOOL);
}

TEST(c_in_compressed_sections)
{
	check_fixture("gcc", "-g -gz", "INLINED_C", GNU_TOOL);
}

TEST(c_by_clang)
{
	check_fixture("clang", "-g", "INLINED_C", LLVM_TOOL);
}

TEST(cxx)
{
	check_fixture("g++", "-g", "INLINED_CXX", GNU_TOOL);
}

TEST(cxx_by_clang)
{
	check_fixture("clang++", "-g", "INLINED_CXX", LLVM_TOOL);
}

TEST(debug_file)
{
	struct tally whole, separate;

	build("gcc", "-g", "INLINED_C");
	whole = check_program(GNU_TOOL);
	command_run("cd %s && mkdir .debug && objcopy --only-keep-debug program .debug/program.debug && "
		    "strip program && cd .debug && objcopy --add-gnu-debuglink=program.debug ../program", dir);
	separate = check_program(GNU_TOOL);
	CHECK_U64(separate.addresses, whole.addresses);
	CHECK_U64(separate.inlined, whole.inlined);
}

static void check_none(const char *options)
{
	struct elf_file *elf;
	struct lines *lines;
	struct source_frame frames[SOURCE_MAX_FRAMES];

	build("gcc", options, "INLINED_C");
	lines = open_program(&elf);
	if (lines) {
		size_t n;
		const struct elf_segment *segments = elf_file_segments(elf, &n);

		for (size_t i = 0; i < n; i++)
			for (uint64_t at = 0; at < segments[i].size; at++)
				CHECK_U64(lines_find(lines, segments[i].offset + at, frames), 0);
	}
	lines_close(lines);
	elf_file_close(elf);
}

TEST(none_without_debug_information)
{
	check_none("-g0");
}

TEST(none_from_files_that_are_named)
{
	check_none("-g -gsplit-dwarf");
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
