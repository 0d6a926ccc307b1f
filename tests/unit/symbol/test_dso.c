/* SPDX-License-Identifier: MIT */
/*
 * Functions of ELF files, against readelf and objdump: every function that
 * readelf lists must be found at its address and up to its last byte, every
 * stub that objdump names must have that name.
 */
#include "command.h"

#include "base/cleanup.h"
#include "elf/elf_file.h"
#include "symbol/symbol.h"

#include <inttypes.h>
#include <stdbool.h>

static struct symboliser *symboliser;
static struct symbol_dso *dso;
static struct elf_file *elf;
static char dir[] = "/tmp/retour-test-XXXXXX";

static void remove_dir(void)
{
	command_run("rm -rf %s", dir);
}

static void make_dir(void)
{
	CHECK(mkdtemp(dir));
	atexit(remove_dir);
}

static void open_key(const struct symbol_dso_key *key)
{
	CHECK_OK(symboliser_create(&symboliser));
	CHECK_OK(symboliser_dso(symboliser, key, &dso));
}

static void open_dso(const char *path)
{
	struct symbol_dso_key key = { .path = path };

	open_key(&key);
	CHECK_OK(elf_file_open(path, &elf));
}

static void close_dso(void)
{
	symboliser_destroy(symboliser);
	elf_file_close(elf);
	elf = NULL;
}

static const char *name_at(uint64_t vaddr)
{
	static struct symbol symbol;
	uint64_t offset;

	if (!elf_file_to_offset(elf, vaddr, &offset) || !symbol_dso_lookup(dso, offset, &symbol))
		return "none";
	return symbol.raw;
}

/* The value of a symbol by readelf; 0 if it lists none. */
static uint64_t address_of(const char *path, const char *name)
{
	FILE *out = command_open("readelf -sW '%s' | awk '$8 == \"%s\" { print $2; exit }'", path, name);
	uint64_t address = 0;

	if (fscanf(out, "%" SCNx64, &address) != 1)
		address = 0;
	pclose(out);
	return address;
}

/* Each function with a size is found at its start and its end; returns how many there were. */
static int check_against_readelf(const char *path)
{
	FILE *out = command_open("readelf -sW '%s' | awk '($4 == \"FUNC\" || $4 == \"IFUNC\") && $7 ~ /^[0-9]+$/ "
				 "&& $3 != 0 { print $2, $3, $8 }'", path);
	uint64_t address, offset, size;
	char name[8192], size_text[32];
	struct symbol symbol;
	int n = 0;

	while (fscanf(out, "%" SCNx64 " %31s %8191s", &address, size_text, name) == 3) {
		size = strtoull(size_text, NULL, 0);
		CHECK(elf_file_to_offset(elf, address, &offset));
		CHECK(symbol_dso_lookup(dso, offset, &symbol));
		CHECK_U64(symbol.start, offset);
		CHECK(symbol_dso_lookup(dso, offset + size - 1, &symbol));
		CHECK(symbol.start >= offset);
		n++;
	}
	CHECK(pclose(out) == 0);
	return n;
}

/* Every name that we give at a function's start is one that readelf lists for that address. */
static int check_names(const char *path)
{
	FILE *out = command_open("readelf -sW '%s' | awk '($4 == \"FUNC\" || $4 == \"IFUNC\") && $7 ~ /^[0-9]+$/ "
				 "{ sub(/@.*/, \"\", $8); print $2, $8 }' | sort -u", path);
	uint64_t address, current = 0;
	char name[8192], ours[8192] = "";
	bool matched = true;
	int n = 0;

	while (fscanf(out, "%" SCNx64 " %8191s", &address, name) == 2) {
		if (address != current) {
			CHECK(matched);
			CHECK(strlen(name_at(address)) < sizeof(ours));
			strcpy(ours, name_at(address));
			current = address;
			matched = false;
			n++;
		}
		matched |= !strcmp(ours, name);
	}
	CHECK(matched);
	pclose(out);
	return n;
}

/* objdump cannot name stubs of resolvers in the file itself ("*ABS*+0x…@plt"); we can. */
static int check_plt(const char *path)
{
	FILE *out = command_open("objdump -d -j .plt -j .plt.sec -j .plt.got --no-show-raw-insn '%s' 2>/dev/null |"
				 " sed -n 's/^\\([0-9a-f]*\\) <\\([^*>]*@plt\\)>:$/\\1 \\2/p'", path);
	uint64_t address;
	char name[4096];
	int n = 0;

	while (fscanf(out, "%" SCNx64 " %4095s", &address, name) == 2) {
		CHECK_STR(name_at(address), name);
		CHECK_STR(name_at(address + 6), name);
		n++;
	}
	pclose(out);
	return n;
}

/* The file behind a loaded library. */
static const char *loaded_library(const char *name)
{
	static char path[4096];
	FILE *out = command_open("ldconfig -p | awk '$1 == \"%s\" && /x86-64/ { print $NF; exit }'", name);
	int n = fscanf(out, "%4095s", path);

	pclose(out);
	if (n != 1)
		SKIP("library not installed");
	return path;
}

TEST(fixture_functions_are_found)
{
	const char *path = fixture_path("SYMBOL_FIXTURE");

	open_dso(path);
	CHECK(!symbol_dso_problem(dso));
	CHECK(check_against_readelf(path) >= 6);
	CHECK(check_names(path) >= 6);
	CHECK_STR(name_at(address_of(path, "weak_alias")), "exported_function");
	CHECK_STR(name_at(address_of(path, "local_function")), "local_function");
	CHECK_STR(name_at(address_of(path, "resolved_function")), "resolved_function");
	close_dso();
}

TEST(assembly_without_sizes_is_found)
{
	const char *path = fixture_path("SYMBOL_FIXTURE");
	uint64_t first, sized;

	open_dso(path);
	first = address_of(path, "assembly_first");
	sized = address_of(path, "sized_function");
	CHECK(first && sized);
	CHECK_STR(name_at(first), "assembly_first");
	CHECK_STR(name_at(first + 2), "assembly_first");
	CHECK_STR(name_at(first + 3), "assembly_second");
	CHECK_STR(name_at(sized + 1), "sized_function");
	close_dso();
}

TEST(plt_stubs_are_named)
{
	const char *path = fixture_path("SYMBOL_FIXTURE");

	open_dso(path);
	CHECK(check_plt(path) >= 3);
	close_dso();
}

static void check_plt_of(const char *flags)
{
	char path[64];

	make_dir();
	sprintf(path, "%s/main", dir);
	command_run("printf 'int puts(const char *); int getpid(void); void *p = getpid;\n"
		    "int main(void) { return puts(\"x\") + getpid(); }\n' | cc -x c -O1 %s -o %s -", flags, path);
	open_dso(path);
	CHECK(check_plt(path) >= 1);
	close_dso();
}

TEST(plt_stubs_of_lazy_binding_are_named)
{
	check_plt_of("-Wl,-z,lazy");
}

TEST(plt_stubs_of_immediate_binding_are_named)
{
	check_plt_of("-Wl,-z,now");
}

TEST(plt_stubs_for_indirect_branch_tracking_are_named)
{
	check_plt_of("-fcf-protection=full -Wl,-z,ibtplt,-z,lazy");
}

TEST(system_libraries_agree_with_readelf)
{
	static const char *const names[] = { "libc.so.6", "libz.so.1", "liblzma.so.5", "libelf.so.1" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *path = loaded_library(names[i]);

		open_dso(path);
		CHECK(check_against_readelf(path) > 50);
		CHECK(check_plt(path) > 1);
		close_dso();
	}
}

TEST(cxx_names_are_demangled)
{
	const char *path = fixture_path("SYMBOL_FIXTURE_CPP");
	struct symbol symbol;
	uint64_t offset;

	open_dso(path);
	CHECK(check_against_readelf(path) > 4);
	CHECK(elf_file_to_offset(elf, address_of(path, "_ZN5outer3boxIiE3putERKi"), &offset));
	CHECK(symbol_dso_lookup(dso, offset, &symbol));
	CHECK_STR(symbol.name, "outer::box<int>::put");
	CHECK_STR(symbol.raw, "_ZN5outer3boxIiE3putERKi");
	CHECK(elf_file_to_offset(elf, address_of(path, "plain_c_name"), &offset));
	CHECK(symbol_dso_lookup(dso, offset, &symbol));
	CHECK(symbol.name == symbol.raw);
	close_dso();
}

TEST(rust_names_are_demangled)
{
	struct symbol symbol;
	uint64_t offset;
	char path[64];

	if (system("rustc --version >/dev/null 2>&1"))
		SKIP("rustc is not installed");
	make_dir();
	sprintf(path, "%s/program", dir);
	command_run("printf '#[inline(never)] fn worker(n: u64) -> u64 { std::hint::black_box(n) + 1 }\n"
		    "fn main() { std::process::exit(worker(1) as i32) }\n' >%s/program.rs;"
		    "cd %s && rustc -O -C symbol-mangling-version=v0 program.rs 2>/dev/null", dir, dir);
	open_dso(path);
	CHECK(check_against_readelf(path) > 100);
	FILE *out = command_open("nm %s | awk '/6worker$/ { print $1 }'", path);
	uint64_t address;

	CHECK(fscanf(out, "%" SCNx64, &address) == 1);
	pclose(out);
	CHECK(elf_file_to_offset(elf, address, &offset));
	CHECK(symbol_dso_lookup(dso, offset, &symbol));
	CHECK_STR(symbol.name, "program::worker");
	close_dso();
}

TEST(stripped_file_names_what_it_exports)
{
	const char *path = fixture_path("SYMBOL_FIXTURE");
	char stripped[64];

	make_dir();
	sprintf(stripped, "%s/stripped.so", dir);
	command_run("strip -o %s '%s'", stripped, path);
	open_dso(stripped);
	CHECK_STR(name_at(address_of(path, "exported_function")), "exported_function");
	CHECK_STR(name_at(address_of(path, "local_function")), "none");
	close_dso();
}

/* As Fedora's packages do it: what is not in .dynsym, packed. */
TEST(packed_symbols_are_found)
{
	const char *path = fixture_path("SYMBOL_FIXTURE");
	char stripped[64];

	make_dir();
	sprintf(stripped, "%s/packed.so", dir);
	command_run("cd %s && objcopy -S --remove-section .comment --keep-symbol=local_function '%s' mini && "
		    "xz -k mini && strip -o packed.so '%s' && "
		    "objcopy --add-section .gnu_debugdata=mini.xz packed.so", dir, path, path);
	open_dso(stripped);
	CHECK_STR(name_at(address_of(path, "exported_function")), "exported_function");
	CHECK_STR(name_at(address_of(path, "local_function")), "local_function");
	close_dso();
}

TEST(corrupt_packed_symbols_do_no_harm)
{
	const char *path = fixture_path("SYMBOL_FIXTURE");
	char stripped[64];

	make_dir();
	sprintf(stripped, "%s/packed.so", dir);
	command_run("cd %s && head -c 100000 /dev/zero >zeros && xz -k zeros && head -c 60 zeros.xz >cut && "
		    "strip -o packed.so '%s' && objcopy --add-section .gnu_debugdata=cut packed.so", dir, path);
	open_dso(stripped);
	CHECK(!symbol_dso_problem(dso));
	CHECK_STR(name_at(address_of(path, "exported_function")), "exported_function");
	close_dso();
}

static void check_debug_link(const char *strip_flags, const char *debug_name, const char *want)
{
	const char *path = fixture_path("SYMBOL_FIXTURE");
	char stripped[64];

	sprintf(stripped, "%s/linked.so", dir);
	command_run("cd %s && rm -rf .debug *.debug && mkdir .debug && objcopy --only-keep-debug %s '%s' lib.debug && "
		    "strip %s -o linked.so '%s' && objcopy --add-gnu-debuglink=lib.debug linked.so && "
		    "{ [ %s = lib.debug ] || mv lib.debug %s; }",
		    dir, strip_flags, path, strip_flags, path, debug_name, debug_name);
	open_dso(stripped);
	CHECK_STR(name_at(address_of(path, "local_function")), want);
	CHECK_STR(name_at(address_of(path, "exported_function")), "exported_function");
	close_dso();
}

TEST(debug_link_is_followed)
{
	make_dir();
	check_debug_link("", ".debug/lib.debug", "local_function");
	check_debug_link("", "lib.debug", "local_function");
	/* Without a build ID the checksum decides. */
	check_debug_link("-R .note.gnu.build-id", ".debug/lib.debug", "local_function");
	check_debug_link("", "other.debug", "none");
}

TEST(debug_file_of_another_build_is_not_taken)
{
	const char *path = fixture_path("SYMBOL_FIXTURE"), *other = fixture_path("SYMBOL_FIXTURE_CPP");
	char stripped[64];

	make_dir();
	sprintf(stripped, "%s/linked.so", dir);
	command_run("cd %s && objcopy --only-keep-debug '%s' lib.debug && strip -o linked.so '%s' && "
		    "objcopy --add-gnu-debuglink=lib.debug linked.so && "
		    "objcopy --only-keep-debug '%s' lib.debug", dir, path, path, other);
	open_dso(stripped);
	CHECK_STR(name_at(address_of(path, "local_function")), "none");
	close_dso();
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
