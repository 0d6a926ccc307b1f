/* SPDX-License-Identifier: MIT */
/* kallsyms: made ones, and this kernel's. */
#include "command.h"

#include "base/clock.h"
#include "symbol/kallsyms.h"
#include "symbol/symbol.h"

#include <errno.h>
#include <inttypes.h>

static struct symtab tab;

static struct error *read_text(const char *text)
{
	char path[] = "/tmp/retour-kallsyms-XXXXXX";
	struct error *err;

	close(mkstemp(path));
	command_write(path, text);
	memset(&tab, 0, sizeof(tab));
	err = kallsyms_read(path, &tab);
	unlink(path);
	return err;
}

static const char *at(uint64_t address)
{
	const struct symtab_entry *entry = symtab_lookup(&tab, address);

	return entry ? entry->name : "none";
}

TEST(functions_end_at_the_next_symbol)
{
	CHECK_OK(read_text("ffffffff81000000 T _text\n"
			   "ffffffff81000100 t local\n"
			   "ffffffff81000200 T global\n"
			   "ffffffff81000200 W weak\n"
			   "ffffffff81000200 t alias\n"
			   "ffffffff81000400 T last_function\n"
			   "ffffffff81000500 T _etext\n"
			   "ffffffff81001000 D data\n"
			   "ffffffffc0201000 t module_function\t[some_module]\n"
			   "ffffffffc0201080 d module_data\t[some_module]\n"
			   "ffffffffc0300000 t bpf_prog_6deef7357e7b4530_main\t[bpf]\n"));
	CHECK_STR(at(0xffffffff80ffffff), "none");
	CHECK_STR(at(0xffffffff810000ff), "_text");
	CHECK_STR(at(0xffffffff81000100), "local");
	CHECK_STR(at(0xffffffff810003ff), "global");
	CHECK_STR(at(0xffffffff810004ff), "last_function");
	CHECK_STR(at(0xffffffff81000500), "none");
	CHECK_STR(at(0xffffffff81001000), "none");
	CHECK_STR(at(0xffffffffc020107f), "module_function");
	CHECK_STR(at(0xffffffffc0201080), "none");
	CHECK_STR(at(0xffffffffc0300fff), "bpf_prog_6deef7357e7b4530_main");
	CHECK_STR(at(0xffffffffc0301000), "none");
	CHECK_STR(kallsyms_module(symtab_lookup(&tab, 0xffffffff81000100)), "vmlinux");
	CHECK_STR(kallsyms_module(symtab_lookup(&tab, 0xffffffffc0201000)), "[some_module]");
	symtab_free(&tab);
}

TEST(hidden_addresses_are_an_error)
{
	struct error *err = read_text("0000000000000000 T _text\n0000000000000000 t local\n");

	CHECK(err && err->code == EPERM);
	error_free(err);
	err = read_text("");
	CHECK(err);
	error_free(err);
}

TEST(junk_lines_are_passed_over)
{
	CHECK_OK(read_text("\n"
			   "junk\n"
			   "ffffffff81000000\n"
			   "ffffffff81000000 \n"
			   "ffffffff81000000 T\n"
			   "ffffffff81000000 T \n"
			   "ffffffff81000000fffff T too_large\n"
			   "ffffffff81000100 T good\n"
			   "ffffffff81000200 T cut"));
	CHECK_STR(at(0xffffffff81000000), "none");
	CHECK_STR(at(0xffffffff81000180), "good");
	symtab_free(&tab);
}

TEST(overlong_lines_are_passed_over)
{
	static char text[300000];
	size_t len = sprintf(text, "ffffffff81000000 T before\nffffffff81000100 T ");

	memset(text + len, 'x', 200000);
	strcpy(text + len + 200000, "\nffffffff81000200 T after\n");
	CHECK_OK(read_text(text));
	CHECK_STR(at(0xffffffff81000010), "before");
	CHECK_STR(at(0xffffffff81000200), "after");
	symtab_free(&tab);
}

/* Every text symbol of the running kernel is found where kallsyms says; one in 50 is enough. */
TEST(this_kernel_agrees)
{
	FILE *file = fopen("/proc/kallsyms", "r");
	struct symboliser *symboliser;
	struct symbol symbol;
	char line[1024], name[512], module[512];
	uint64_t address;
	int n = 0, exact = 0;
	char type;

	CHECK_OK(symboliser_create(&symboliser));
	CHECK(file);
	for (int i = 0; fgets(line, sizeof(line), file); i++) {
		int fields = sscanf(line, "%" SCNx64 " %c %511s %511s", &address, &type, name, module);

		if (fields < 3 || !strchr("tTwW", type) || i % 50)
			continue;
		if (!address)
			SKIP("kernel addresses are hidden");
		if (!strncmp(name, "_e", 2) || address < 0x8000000000000000)
			continue;
		n++;
		if (!symboliser_kernel(symboliser, address, &symbol))
			continue;
		CHECK_U64(symbol.start, address);
		CHECK_STR(symboliser_kernel_module(symboliser, address), fields == 4 ? module : "vmlinux");
		exact += !strcmp(symbol.raw, name);
	}
	fclose(file);
	/* The rest are aliases. */
	CHECK(n > 100 && exact > n * 9 / 10);
	CHECK(!symboliser_kernel(symboliser, 0, &symbol));
	CHECK(!symboliser_kernel(symboliser, UINT64_MAX, &symbol));
	CHECK(!symboliser_kernel(symboliser, 0x400000, &symbol));
	symboliser_destroy(symboliser);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
