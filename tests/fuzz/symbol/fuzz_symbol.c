/* SPDX-License-Identifier: MIT */
/*
 * Damaged input for the symboliser, with address and undefined-behaviour
 * checks: ELF images with bytes changed where the tables are, mangled names,
 * kallsyms and perf maps.  The seed is fixed, so a failure comes back.
 */
#include "test.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "elf/elf_file.h"
#include "symbol/demangle.h"
#include "symbol/dso_file.h"
#include "symbol/elf_symbols.h"
#include "symbol/kallsyms.h"
#include "symbol/lines.h"
#include "symbol/symbol.h"

#include <elf.h>
#include <stdbool.h>
#include <sys/stat.h>

#define BUDGET_NS 1500000000u	/* of each test … */
#define ENOUGH 100		/* … and not fewer rounds, however slow the machine */

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return below ? seed % below : 0;
}

static unsigned char *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "r");
	unsigned char *data;
	struct stat st;

	CHECK(file && !fstat(fileno(file), &st));
	data = malloc(st.st_size + 1);
	CHECK(data && fread(data, 1, st.st_size, file) == (size_t)st.st_size);
	fclose(file);
	*size = st.st_size;
	return data;
}

/* Values that sit on the edges of checks. */
static uint64_t nasty(void)
{
	static const uint64_t values[] = { 0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff, 1ull << 63,
					   UINT64_MAX, UINT64_MAX - 7 };

	return rnd(2) ? values[rnd(sizeof(values) / sizeof(*values))] : rnd(0);
}

static void damage(unsigned char *data, size_t from, size_t len)
{
	for (uint64_t n = 1 + rnd(8); n; n--) {
		uint64_t value = rnd(2) ? nasty() : rnd(UINT64_MAX);
		size_t width = 1ull << rnd(4), at = from + rnd(len);

		if (at + width <= from + len)
			memcpy(data + at, &value, width);
	}
}

/* Headers and tables, where damage means most: the ELF header, a section's contents, or the section headers. */
static void damage_elf(unsigned char *data, size_t size)
{
	Elf64_Shdr shdr;
	Elf64_Ehdr ehdr;

	memcpy(&ehdr, data, sizeof(ehdr));
	switch (rnd(4)) {
	case 0:
		damage(data, 16, 1000);
		break;
	case 1:
		if (ehdr.e_shoff < size)
			damage(data, ehdr.e_shoff, size - ehdr.e_shoff);
		break;
	default:
		memcpy(&shdr, data + ehdr.e_shoff + rnd(ehdr.e_shnum) * sizeof(shdr), sizeof(shdr));
		if (shdr.sh_type != SHT_NOBITS && shdr.sh_size && shdr.sh_offset + shdr.sh_size <= size)
			damage(data, shdr.sh_offset, shdr.sh_size);
	}
}

static void use_elf(const unsigned char *data, size_t size)
{
	_cleanup_(elf_file_closep) struct elf_file *file = NULL;
	_cleanup_(elf_file_closep) struct elf_file *packed = NULL;
	struct symtab tab = {0};
	bool found;

	error_free(elf_file_open_memory(data, size, "fuzzed", &file));
	if (!file)
		return;
	error_free(elf_symbols_add(file, file, ".symtab", ".strtab", &tab, &found));
	error_free(elf_symbols_add(file, file, ".dynsym", ".dynstr", &tab, &found));
	error_free(dso_debugdata_open(file, &packed));
	if (packed)
		error_free(elf_symbols_add(file, packed, ".symtab", ".strtab", &tab, &found));
	symtab_finish(&tab);
	error_free(elf_plt_add(file, &tab));
	symtab_finish(&tab);
	for (int i = 0; i < 64; i++) {
		uint64_t offset = i < 48 ? rnd(size) : rnd(UINT64_MAX);
		const struct symtab_entry *entry = symtab_lookup(&tab, offset);

		CHECK(!entry || (offset - entry->start < entry->size && strlen(entry->name)));
	}
	symtab_free(&tab);
}

static void fuzz_elf(const char *path)
{
	_cleanup_free_ unsigned char *original = NULL, *data = NULL;
	uint64_t start = clock_monotonic_ns(), n = 0;
	size_t size;

	original = read_file(path, &size);
	data = malloc(size);
	CHECK(data);
	for (; (n <= ENOUGH || clock_monotonic_ns() - start < BUDGET_NS) && n < 20000; n++) {
		memcpy(data, original, size);
		damage_elf(data, size);
		/* A copy of the exact size, so that reading behind it is seen. */
		use_elf(data, rnd(8) ? size : rnd(size));
	}
	printf("# %llu images\n", (unsigned long long)n);
	CHECK(n > ENOUGH);
}

TEST(damaged_elf_files)
{
	const char *path = getenv("SYMBOL_FIXTURE");

	CHECK(path);
	fuzz_elf(path);
}

TEST(damaged_elf_files_with_packed_symbols)
{
	char dir[] = "/tmp/retour-fuzz-XXXXXX", command[4096], path[64];
	const char *fixture = getenv("SYMBOL_FIXTURE");

	CHECK(fixture && mkdtemp(dir));
	snprintf(command, sizeof(command), "cd %s && objcopy -S --keep-symbol=local_function '%s' mini && xz mini && "
		 "strip -o packed.so '%s' && objcopy --add-section .gnu_debugdata=mini.xz packed.so", dir, fixture, fixture);
	CHECK(system(command) == 0);
	snprintf(path, sizeof(path), "%s/packed.so", dir);
	fuzz_elf(path);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	CHECK(system(command) == 0);
}

/* Looks up addresses all over the code; the file is the same but for its DWARF. */
static void use_lines(const unsigned char *data, size_t size)
{
	_cleanup_(lines_closep) struct lines *lines = NULL;
	struct source_frame frames[SOURCE_MAX_FRAMES];
	struct elf_file *file = NULL;

	error_free(elf_file_open_memory(data, size, "fuzzed", &file));
	if (file)
		error_free(lines_open(file, "fuzzed", -1, &lines));
	for (uint64_t offset = 0; lines && offset < 0x3000; offset += 1 + rnd(32)) {
		size_t n = lines_find(lines, offset, frames);

		CHECK(n <= SOURCE_MAX_FRAMES);
		for (size_t i = 0; i < n; i++)
			CHECK((!frames[i].function || strlen(frames[i].function) < size) &&
			      (!frames[i].file || strlen(frames[i].file) < 2 * size));
	}
}

/* A section that libdw reads, at random. */
static Elf64_Shdr debug_section(const unsigned char *data)
{
	Elf64_Shdr names, shdr;
	Elf64_Ehdr ehdr;

	memcpy(&ehdr, data, sizeof(ehdr));
	memcpy(&names, data + ehdr.e_shoff + ehdr.e_shstrndx * sizeof(names), sizeof(names));
	do
		memcpy(&shdr, data + ehdr.e_shoff + rnd(ehdr.e_shnum) * sizeof(shdr), sizeof(shdr));
	while (strncmp((const char *)data + names.sh_offset + shdr.sh_name, ".debug_", 7));
	return shdr;
}

static void fuzz_lines(const char *variable, const char *options)
{
	_cleanup_free_ unsigned char *original = NULL, *data = NULL;
	char path[] = "/tmp/retour-fuzz-XXXXXX", command[4096];
	uint64_t start, n = 0;
	size_t size;

	CHECK(getenv(variable));
	close(mkstemp(path));
	snprintf(command, sizeof(command), "gcc -O2 %s -fPIC -shared -nostdlib -o %s %s", options, path, getenv(variable));
	CHECK(system(command) == 0);
	original = read_file(path, &size);
	unlink(path);
	data = malloc(size);
	CHECK(data);
	start = clock_monotonic_ns();
	for (; (n <= ENOUGH || clock_monotonic_ns() - start < BUDGET_NS) && n < 20000; n++) {
		memcpy(data, original, size);
		for (uint64_t m = 1 + rnd(3); m; m--) {
			Elf64_Shdr shdr = debug_section(original);

			damage(data, shdr.sh_offset, shdr.sh_size);
		}
		use_lines(data, size);
	}
	printf("# %llu images\n", (unsigned long long)n);
	CHECK(n > ENOUGH);
}

TEST(damaged_dwarf_5)
{
	fuzz_lines("INLINED_C", "-gdwarf-5");
}

TEST(damaged_dwarf_4)
{
	fuzz_lines("INLINED_CXX", "-gdwarf-4");
}

TEST(damaged_compressed_dwarf)
{
	fuzz_lines("INLINED_C", "-g -gz");
}

TEST(damaged_mangled_names)
{
	static const char *const names[] = {
		"_ZN5outer3boxISt6vectorINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEESaIS7_EEE3putERKS9_",
		"_ZNSt8_Rb_treeIiSt4pairIKiS_IS1_IS2_EEESt10_Select1stIS5_ESt4lessIiESaIS5_EE8_M_eraseEPSt13_Rb_tree_nodeIS5_E",
		"_RNvXs_NtNtCs1234_7mycrate3foo3barINtB4_3BazjENtNtB8_5other5Trait6method",
		"_RINvNtC3std3mem8align_ofFUdddEoE",
		"_ZN71_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..Drop$GT$4drop17h0123456789abcdefE",
		"_ZZN4main4fooEvENKUlT_E_clIiEEDaS0_",
	};
	static const char letters[] = "SNIETZKPRFXLJDabcdefhijlmnosStvwxyz_0123456789$.";
	uint64_t start = clock_monotonic_ns(), n = 0;

	for (; (n <= ENOUGH || clock_monotonic_ns() - start < BUDGET_NS) && n < 300000; n++) {
		char raw[4096] = "";
		size_t len;

		do {
			strcat(raw, names[rnd(6)] + (*raw ? rnd(20) : 0));
			len = strlen(raw);
		} while (rnd(4) && len < sizeof(raw) - 256);
		for (uint64_t m = rnd(6); m; m--)
			raw[2 + rnd(len - 2)] = letters[rnd(sizeof(letters) - 1)];
		free(demangle(raw));
	}
	printf("# %llu names\n", (unsigned long long)n);
	CHECK(n > ENOUGH);
}

/* Lines cut, joined and with bytes changed. */
static void damage_text(char *text, size_t len)
{
	static const char bytes[] = "\n\n  \t0f-xT[";

	for (uint64_t n = rnd(20); n; n--)
		text[rnd(len)] = rnd(8) ? bytes[rnd(sizeof(bytes) - 1)] : (char)rnd(256);
}

static void write_text(const char *path, const char *text, size_t len)
{
	FILE *file = fopen(path, "w");

	CHECK(file && fwrite(text, 1, len, file) == len && fclose(file) == 0);
}

TEST(damaged_kallsyms)
{
	static const char good[] =
		"ffffffff81000000 T _text\nffffffff81000100 t local\nffffffff81000200 T global\n"
		"ffffffffc0201000 t module_function\t[some_module]\nffffffffc0300000 t bpf_prog_1_x\t[bpf]\n";
	char path[] = "/tmp/retour-fuzz-XXXXXX", text[sizeof(good)];

	close(mkstemp(path));
	for (int i = 0; i < 5000; i++) {
		struct symtab tab = {0};

		memcpy(text, good, sizeof(good));
		damage_text(text, sizeof(good) - 1);
		write_text(path, text, sizeof(good) - 1);
		error_free(kallsyms_read(path, &tab));
		vec_each(&tab.entries, e)
			CHECK(*kallsyms_module(e));
		symtab_lookup(&tab, 0xffffffff81000000 + rnd(0x1000));
		symtab_free(&tab);
	}
	unlink(path);
}

TEST(damaged_perf_maps)
{
	static const char good[] =
		"7f0000001000 40 first\n7f0000001020 40 second\n0x7f0000002000 0x100 third one\n7f0000002010 8 fourth\n";
	char path[64], text[sizeof(good)];

	sprintf(path, "/tmp/perf-%d.map", getpid());
	for (int i = 0; i < 5000; i++) {
		struct symboliser *symboliser;
		struct symbol symbol;

		memcpy(text, good, sizeof(good));
		damage_text(text, sizeof(good) - 1);
		write_text(path, text, sizeof(good) - 1);
		CHECK_OK(symboliser_create(&symboliser));
		for (int j = 0; j < 16; j++) {
			uint64_t address = 0x7f0000001000 + rnd(0x1200);

			if (symboliser_jit(symboliser, getpid(), address, &symbol))
				CHECK(address - symbol.start < symbol.size && *symbol.name);
		}
		symboliser_destroy(symboliser);
	}
	unlink(path);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
