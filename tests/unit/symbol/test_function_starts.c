/* SPDX-License-Identifier: MIT */
/* Starts of functions from the unwind tables: of this very program, and of damaged copies. */
#include "test.h"

#include "symbol/function_starts.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>

__attribute__((noinline)) static int odd(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x * 3 + 1;
}

__attribute__((noinline)) static int even(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x / 2;
}

static uint64_t offset_of(const struct elf_file *file, int (*function)(int))
{
	const struct link_map *self = dlopen(NULL, RTLD_NOW);
	uint64_t offset;

	CHECK(elf_file_to_offset(file, (uint64_t)(uintptr_t)function - self->l_addr, &offset));
	return offset;
}

TEST(finds_functions_of_this_program)
{
	struct function_starts starts = { 0 };
	struct elf_file *file;
	uint64_t found;

	CHECK_OK(elf_file_open("/proc/self/exe", &file));
	CHECK_OK(function_starts_read(file, &starts));
	CHECK(starts.offsets.len > 10);
	CHECK(odd(1) + even(2) == 5);
	CHECK(function_starts_find(&starts, offset_of(file, odd), &found));
	CHECK_U64(found, offset_of(file, odd));
	CHECK(function_starts_find(&starts, offset_of(file, even) + 3, &found));
	CHECK_U64(found, offset_of(file, even));
	CHECK(!function_starts_find(&starts, starts.offsets.data[0] - 1, &found));
	function_starts_free(&starts);
	elf_file_close(file);
}

TEST(has_none_without_a_table)
{
	struct function_starts starts = { 0 };
	uint64_t found;

	CHECK(!function_starts_find(&starts, 0, &found));
	CHECK(!function_starts_find(&starts, UINT64_MAX, &found));
}

/* The program's image with one byte of the header changed. */
static size_t starts_after_damage(size_t at, unsigned char value)
{
	struct function_starts starts = { 0 };
	struct elf_file *file, *damaged;
	static unsigned char image[16 << 20];
	uint64_t offset, size;
	size_t n;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, image, sizeof(image));

	CHECK(len > 0 && len < (ssize_t)sizeof(image));
	CHECK_OK(elf_file_open("/proc/self/exe", &file));
	CHECK(elf_file_section_range(file, ".eh_frame_hdr", &offset, &size));
	image[offset + at] = value;
	CHECK_OK(elf_file_open_memory(image, (size_t)len, "damaged", &damaged));
	CHECK_OK(function_starts_read(damaged, &starts));
	for (size_t i = 1; i < starts.offsets.len; i++)
		CHECK(starts.offsets.data[i - 1] <= starts.offsets.data[i]);
	n = starts.offsets.len;
	function_starts_free(&starts);
	elf_file_close(damaged);
	elf_file_close(file);
	close(fd);
	return n;
}

TEST(refuses_other_headers_and_bounds_the_count)
{
	CHECK_U64(starts_after_damage(0, 2), 0);	/* version */
	CHECK_U64(starts_after_damage(3, 0x1b), 0);	/* encoding of the table */
	CHECK(starts_after_damage(11, 0xff) > 10);	/* a count of billions */
	CHECK(starts_after_damage(15, 0x7f) > 10);	/* an address outside of the file */
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
