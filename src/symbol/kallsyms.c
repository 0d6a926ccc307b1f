/* SPDX-License-Identifier: MIT */
/*
 * /proc/kallsyms: "ffffffff81000000 T _text" or "… t name\t[module]".  It has
 * no sizes: a function ends where the next symbol of any kind starts, so data
 * symbols are read too, and dropped at the end.
 */
#include "symbol/kallsyms.h"

#include "base/cleanup.h"
#include "symbol/text_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The last function before a hole; none in the kernel is larger. */
#define MAX_FUNCTION (64u << 10)
#define PAGE 4096
#define MAX_FILE (256u << 20)

/* Ends of sections, which kallsyms calls text. */
static bool is_end_marker(const char *name, size_t len)
{
	return (len == 6 && !memcmp(name, "_etext", 6)) || (len == 10 && !memcmp(name, "_einittext", 10));
}

/* The name and its module as two strings in a row. */
static struct error *add_name(struct symtab *tab, const char *name, size_t len, const char *module,
			      size_t module_len, const char **ret)
{
	char *copy;

	if (len + module_len + 2 > SYMTAB_MAX_NAME_BYTES - tab->names.bytes)
		return error_new(E2BIG, "too many names");
	copy = string_block_alloc(&tab->names, len + module_len + 2);
	if (!copy)
		return error_nomem();
	memcpy(copy, name, len);
	copy[len] = '\0';
	memcpy(copy + len + 1, module, module_len);
	copy[len + 1 + module_len] = '\0';
	*ret = copy;
	return NULL;
}

/* Lines of another form are passed over. */
static struct error *parse_line(const char *line, const char *end, void *arg)
{
	struct symtab_entry entry = { .size = MAX_FUNCTION };
	struct symtab *tab = arg;
	const char *name, *module;
	size_t len;
	char type;

	if (!text_hex(&line, end, &entry.start) || !entry.start || end - line < 4 || line[0] != ' ' ||
	    line[2] != ' ')
		return NULL;
	type = line[1];
	name = line + 3;
	module = memchr(name, '\t', end - name);
	len = (module ? module : end) - name;
	module = module ? module + 1 : end;
	if ((type == 'T' || type == 't' || type == 'W' || type == 'w') && len && !is_end_marker(name, len)) {
		struct error *err = add_name(tab, name, len, module, end - module, &entry.name);

		if (err)
			return err;
		entry.rank = type == 'T' ? 2 : type == 't' ? 0 : 1;
	}
	return symtab_add(tab, &entry);
}

/* The last function has no next symbol. */
static struct error *end_table(struct symtab *tab)
{
	struct symtab_entry last = {0};

	vec_each(&tab->entries, e)
		last.start = e->start > last.start ? e->start : last.start;
	if (!last.start)
		return error_new(EPERM, "kernel addresses are hidden (kernel.kptr_restrict)");
	if (last.start > UINT64_MAX - PAGE)
		return NULL;
	last.start += PAGE;
	return symtab_add(tab, &last);
}

struct error *kallsyms_read(const char *path, struct symtab *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct error *err;
	uint64_t used;

	if (fd < 0)
		return error_errno(errno, "%s", path);
	err = text_each_line(fd, MAX_FILE, parse_line, ret, &used);
	if (!err)
		err = end_table(ret);
	if (err) {
		symtab_free(ret);
		return error_wrap(err, "%s", path);
	}
	symtab_finish(ret);
	return NULL;
}

const char *kallsyms_module(const struct symtab_entry *entry)
{
	const char *module = entry->name + strlen(entry->name) + 1;

	return *module ? module : "vmlinux";
}
