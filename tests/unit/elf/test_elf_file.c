/* SPDX-License-Identifier: MIT */
/* ELF files: what is refused, what is found, and what is inflated. */
#include "test.h"

#include "base/cleanup.h"
#include "elf_image.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

static const char payload[] = "the same sixteen bytes the same sixteen bytes the same sixteen bytes";

static int open_image(const void *data, size_t size)
{
	struct elf_file *file = NULL;
	struct error *err = elf_file_open_memory(data, size, "image", &file);
	int code = err ? err->code : 0;

	CHECK(!err == !!file);
	error_free(err);
	elf_file_close(file);
	return code;
}

static int open_fd_of(const void *data, size_t size)
{
	struct elf_file *file = NULL;
	FILE *tmp = tmpfile();
	struct error *err;
	int code;

	CHECK(tmp && fwrite(data, 1, size, tmp) == size && !fflush(tmp));
	err = elf_file_open_fd(dup(fileno(tmp)), "a temporary file", &file);
	code = err ? err->code : 0;
	error_free(err);
	elf_file_close(file);
	fclose(tmp);
	return code;
}

TEST(refuses_what_is_no_x86_64_program)
{
	_cleanup_(image_free) struct image image = { 0 };
	Elf64_Ehdr *eh;

	CHECK(open_image("", 0) == EINVAL);
	CHECK(open_image("#!/bin/sh\n", 10) == EINVAL);
	image_init(&image);
	image_finish(&image);
	CHECK(open_image(image.data, image.size) == 0);
	CHECK(open_fd_of(image.data, image.size) == 0);
	CHECK(open_image(image.data, 63) == EINVAL);
	eh = (Elf64_Ehdr *)image.data;
	eh->e_machine = EM_AARCH64;
	CHECK(open_image(image.data, image.size) == EINVAL);
	eh->e_machine = EM_X86_64;
	eh->e_type = ET_REL;
	CHECK(open_image(image.data, image.size) == EINVAL);
	eh->e_type = ET_DYN;
	eh->e_ident[EI_CLASS] = ELFCLASS32;
	CHECK(open_image(image.data, image.size) == EINVAL);
	eh->e_ident[EI_CLASS] = ELFCLASS64;
	eh->e_phoff = UINT64_MAX - 8;
	CHECK(open_image(image.data, image.size) == EINVAL);
}

TEST(names_the_file_in_errors)
{
	struct elf_file *file = NULL;
	struct error *err = elf_file_open("/nonexistent/file", &file);

	CHECK(err && err->code == ENOENT && strstr(err->text, "/nonexistent/file"));
	error_free(err);
	err = elf_file_open("/", &file);
	CHECK(err && err->code == EINVAL);
	error_free(err);
}

TEST(does_not_block_on_a_fifo)
{
	char path[] = "/tmp/retour-elf-XXXXXX", fifo[64];
	struct elf_file *file = NULL;
	struct error *err;

	CHECK(mkdtemp(path));
	snprintf(fifo, sizeof(fifo), "%s/fifo", path);
	CHECK(!mkfifo(fifo, 0600));
	err = elf_file_open(fifo, &file);
	unlink(fifo);
	rmdir(path);
	CHECK(err && err->code == EINVAL);
	error_free(err);
}

TEST(survives_truncation_at_every_length)
{
	_cleanup_(image_free) struct image image = { 0 };

	image_init(&image);
	image_add(&image, ".eh_frame", SHF_ALLOC, payload, sizeof(payload));
	image_finish(&image);
	for (size_t size = 0; size < image.size; size += size < 256 || size > image.size - 700 ? 1 : 997) {
		struct elf_file *file = NULL;
		struct elf_section section;
		struct error *err = elf_file_open_memory(image.data, size, "image", &file);

		error_free(err);
		if (file && elf_file_section(file, ".eh_frame", &section))
			CHECK(section.size == sizeof(payload) && !memcmp(section.data, payload, sizeof(payload)));
		elf_file_close(file);
	}
}

TEST(a_file_truncated_while_open_fails_reads)
{
	struct elf_file *file = NULL;
	struct elf_section section;
	_cleanup_(image_free) struct image image = { 0 };
	FILE *tmp = tmpfile();

	image_init(&image);
	image_add(&image, ".eh_frame", SHF_ALLOC, payload, sizeof(payload));
	image_finish(&image);
	CHECK(tmp && fwrite(image.data, 1, image.size, tmp) == image.size && !fflush(tmp));
	CHECK_OK(elf_file_open_fd(dup(fileno(tmp)), "a temporary file", &file));
	CHECK(!ftruncate(fileno(tmp), IMAGE_TEXT_OFFSET));
	CHECK(!elf_file_section(file, ".eh_frame", &section));
	CHECK(!elf_file_at(file, IMAGE_DATA, 8));
	elf_file_close(file);
}

TEST(segments_translate)
{
	_cleanup_(image_free) struct image image = { 0 };
	struct elf_file *file;
	uint64_t value;
	size_t n;

	image_init(&image);
	image.entry = IMAGE_TEXT + 0x20;
	image_add(&image, ".rodata", SHF_ALLOC, payload, sizeof(payload));
	file = image_open(&image);
	CHECK(elf_file_type(file) == ET_EXEC);
	CHECK_U64(elf_file_entry(file), IMAGE_TEXT + 0x20);
	CHECK(elf_file_segments(file, &n)[0].executable && n == 2 && !elf_file_segments(file, &n)[1].executable);
	CHECK(elf_file_to_offset(file, IMAGE_TEXT + 5, &value));
	CHECK_U64(value, IMAGE_TEXT_OFFSET + 5);
	CHECK(elf_file_to_vaddr(file, IMAGE_TEXT_OFFSET + 5, &value));
	CHECK_U64(value, IMAGE_TEXT + 5);
	CHECK(!elf_file_to_offset(file, IMAGE_TEXT - 1, &value));
	CHECK(!elf_file_to_vaddr(file, 0, &value));
	CHECK(!memcmp(elf_file_at(file, IMAGE_DATA, sizeof(payload)), payload, sizeof(payload)));
	CHECK(!elf_file_at(file, IMAGE_TEXT, IMAGE_TEXT_SIZE + 1));
	CHECK(!elf_file_at(file, IMAGE_TEXT + 8, SIZE_MAX));
	elf_file_close(file);
}

TEST(sections_outside_the_file_or_without_bits_are_absent)
{
	struct elf_section section;
	struct elf_file *file;
	_cleanup_(image_free) struct image image = { 0 };
	uint64_t offset, size;
	Elf64_Ehdr *eh;
	Elf64_Shdr *sh;

	image_init(&image);
	image_add(&image, ".one", 0, payload, sizeof(payload));
	image_add(&image, ".two", 0, payload, sizeof(payload));
	image_finish(&image);
	eh = (Elf64_Ehdr *)image.data;
	sh = (Elf64_Shdr *)(image.data + eh->e_shoff);
	sh[1].sh_size = UINT64_MAX;
	sh[2].sh_type = SHT_NOBITS;
	CHECK_OK(elf_file_open_memory(image.data, image.size, "image", &file));
	CHECK(!elf_file_section(file, ".one", &section) && !elf_file_section(file, ".two", &section));
	CHECK(!elf_file_section(file, ".three", &section));
	CHECK(!elf_file_section_range(file, ".one", &offset, &size));
	CHECK(elf_file_section(file, ".shstrtab", &section));
	elf_file_close(file);
}

static size_t deflate_payload(unsigned char *out, size_t cap)
{
	uLongf size = cap;

	CHECK(compress(out, &size, (const Bytef *)payload, sizeof(payload)) == Z_OK);
	return size;
}

TEST(inflates_both_kinds_of_compressed_sections)
{
	unsigned char standard[256], gnu[256];
	Elf64_Chdr chdr = { .ch_type = ELFCOMPRESS_ZLIB, .ch_size = sizeof(payload), .ch_addralign = 1 };
	uint64_t big_endian = htobe64(sizeof(payload));
	struct elf_section section;
	struct elf_file *file;
	_cleanup_(image_free) struct image image = { 0 };
	size_t n;

	memcpy(standard, &chdr, sizeof(chdr));
	n = deflate_payload(standard + sizeof(chdr), sizeof(standard) - sizeof(chdr));
	memcpy(gnu, "ZLIB", 4);
	memcpy(gnu + 4, &big_endian, 8);
	deflate_payload(gnu + 12, sizeof(gnu) - 12);
	image_init(&image);
	image_add(&image, ".debug_frame", SHF_COMPRESSED, standard, sizeof(chdr) + n);
	image_add(&image, ".zdebug_line", 0, gnu, 12 + n);
	file = image_open(&image);
	for (int twice = 0; twice < 2; twice++) {
		CHECK(elf_file_section(file, ".debug_frame", &section));
		CHECK(section.size == sizeof(payload) && !memcmp(section.data, payload, sizeof(payload)));
		CHECK(elf_file_section(file, ".debug_line", &section));
		CHECK(section.size == sizeof(payload) && !memcmp(section.data, payload, sizeof(payload)));
	}
	elf_file_close(file);
}

TEST(refuses_compression_bombs_and_broken_streams)
{
	unsigned char data[256];
	Elf64_Chdr chdr = { .ch_type = ELFCOMPRESS_ZLIB, .ch_size = 1ULL << 40, .ch_addralign = 1 };
	struct elf_section section;
	struct elf_file *file;
	_cleanup_(image_free) struct image image = { 0 };
	size_t n;

	memcpy(data, &chdr, sizeof(chdr));
	n = deflate_payload(data + sizeof(chdr), sizeof(data) - sizeof(chdr));
	image_init(&image);
	image_add(&image, ".debug_frame", SHF_COMPRESSED, data, sizeof(chdr) + n);
	chdr.ch_size = sizeof(payload) + 7;
	memcpy(data, &chdr, sizeof(chdr));
	image_add(&image, ".debug_line", SHF_COMPRESSED, data, sizeof(chdr) + n);
	file = image_open(&image);
	CHECK(!elf_file_section(file, ".debug_frame", &section));
	CHECK(!elf_file_section(file, ".debug_line", &section));
	elf_file_close(file);
}

TEST(finds_the_build_id)
{
	static const unsigned char notes[] = {
		4, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 'x', 'y', 'z', 0,
		4, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 0xde, 0xad, 0xbe, 0xef,
	};
	static const unsigned char lying[] = { 4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0, 'G', 'N', 'U', 0 };
	unsigned char id[20];
	struct elf_file *file;
	_cleanup_(image_free) struct image image = { 0 };

	image_init(&image);
	image_add(&image, ".note.gnu.build-id", SHF_ALLOC, notes, sizeof(notes));
	file = image_open(&image);
	CHECK(elf_file_build_id(file, id) == 4 && !memcmp(id, "\xde\xad\xbe\xef", 4));
	elf_file_close(file);
	image_free(&image);
	image_init(&image);
	image_add(&image, ".note.gnu.build-id", SHF_ALLOC, lying, sizeof(lying));
	file = image_open(&image);
	CHECK(elf_file_build_id(file, id) == 0);
	elf_file_close(file);
}

TEST(reads_itself)
{
	struct elf_section section;
	struct elf_file *file;
	unsigned char id[20], magic[4];
	uint64_t vaddr, size;

	CHECK_OK(elf_file_open("/proc/self/exe", &file));
	CHECK(elf_file_section(file, ".eh_frame", &section) && section.vaddr && section.size);
	CHECK(elf_file_phdr(file, PT_GNU_EH_FRAME, &vaddr, &size) && size);
	CHECK(elf_file_at(file, vaddr, size));
	CHECK(elf_file_read(file, 0, magic, 4) && !memcmp(magic, ELFMAG, 4));
	CHECK(!elf_file_read(file, UINT64_MAX - 1, magic, 4));
	CHECK(elf_file_build_id(file, id) <= 20);
	elf_file_close(file);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
