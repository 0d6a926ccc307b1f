/* SPDX-License-Identifier: MIT */
/* The texts that describe tracepoints; see tracing.h. */
#include "perfdata/tracing.h"

#include "base/cleanup.h"
#include "perfdata/bytes.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "\027\010Dtracing"	/* and then the version, with its 0 */
#define VERSION "0.5"

enum { MAX_EVENTS = 65536, MAX_FIELDS = 256 };

void tracing_free(struct tracing *t)
{
	vec_each(&t->events, event)
		vec_free(&event->fields);
	vec_free(&t->events);
}

bool tracing_add(struct tracing *t, struct tracing_event *event)
{
	if (t->events.len >= MAX_EVENTS || !vec_push(&t->events, *event))
		return false;
	memset(&event->fields, 0, sizeof(event->fields));
	return true;
}

/* The last one: a stream may describe events several times. */
const struct tracing_event *tracing_find(const struct tracing *t, uint64_t id)
{
	for (size_t i = t->events.len; i-- > 0;)
		if (t->events.data[i].id == id)
			return &t->events.data[i];
	return NULL;
}

/* ---- writing -------------------------------------------------------------------- */

static void add_u32(struct bytes *out, uint32_t value)
{
	bytes_add(out, &value, sizeof(value));
}

static void add_sized(struct bytes *out, const char *text, size_t len)
{
	uint64_t size = len;

	bytes_add(out, &size, sizeof(size));
	bytes_add(out, text, len);
}

/* Of the pages of ftrace's own rings, which there are none of. */
static const char page_format[] =
	"\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
	"\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
	"\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
	"\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n";
static const char event_format[] =
	"# compressed entry header\n\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n\tarray       :   32 bits\n\n"
	"\tpadding     : type == 29\n\ttime_extend : type == 30\n\tdata max type_len  == 28\n";
static const char common_fields[] =
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n";

/* Readers know C's types only, and mostly by their size. */
static const char *type_of(const struct tracing_field *f)
{
	static const char *const by_size[][9] = {
		[TRACING_SIGNED] = { [1] = "s8", [2] = "s16", [4] = "s32", [8] = "s64" },
		[TRACING_UNSIGNED] = { [1] = "u8", [2] = "u16", [4] = "u32", [8] = "u64" },
	};

	if (f->kind == TRACING_STRING)
		return "__data_loc char[]";
	if (f->kind == TRACING_FLOAT)
		return f->size == 4 ? "float" : "double";
	if (f->kind == TRACING_POINTER)
		return "void *";
	if (f->type[strspn(f->type, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ")] == '\0')
		return f->type;
	return f->kind <= TRACING_UNSIGNED && f->size <= 8 && by_size[f->kind][f->size] ? by_size[f->kind][f->size]
										  : "u64";
}

static const char *conversion_of(const struct tracing_field *f)
{
	switch (f->kind) {
	case TRACING_STRING:
		return "%s";
	case TRACING_SIGNED:
		return f->size > 4 ? "%lld" : f->size == 4 ? "%d" : f->size == 2 ? "%hd" : "%hhd";
	case TRACING_UNSIGNED:
		return f->size > 4 ? "%llu" : "%u";
	default:
		return "0x%llx";
	}
}

__attribute__((format(printf, 2, 3)))
static void print(FILE *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
}

static void print_event(FILE *out, const struct tracing_event *event)
{
	const char *between = "";

	print(out, "name: %s\nID: %llu\nformat:\n%s", event->name, (unsigned long long)event->id, common_fields);
	vec_each(&event->fields, f)
		print(out, "\tfield:%s %s;\toffset:%u;\tsize:%u;\tsigned:%d;\n", type_of(f), f->name, f->offset, f->size,
		      f->kind == TRACING_SIGNED);
	print(out, "\nprint fmt: \"");
	vec_each(&event->fields, f) {
		print(out, "%s%s=%s", between, f->name, conversion_of(f));
		between = " ";
	}
	print(out, "\"");
	vec_each(&event->fields, f)
		print(out, f->kind == TRACING_STRING ? ", __get_str(%s)" : ", REC->%s", f->name);
	print(out, "\n");
}

static void add_event(struct bytes *out, const struct tracing_event *event)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f)
		print_event(f, event);
	if (!f || fclose(f))
		out->bad = true;
	else
		add_sized(out, text, len);
}

/* Events of one system stand together; each gets here its own, which readers take as well. */
void tracing_build(const struct tracing *t, size_t first, size_t n, struct bytes *out)
{
	const unsigned char widths[] = { 0 /* little endian */, sizeof(long) };

	bytes_add(out, MAGIC VERSION, sizeof(MAGIC VERSION));
	bytes_add(out, widths, sizeof(widths));
	add_u32(out, (uint32_t)sysconf(_SC_PAGESIZE));
	bytes_add(out, "header_page", sizeof("header_page"));
	add_sized(out, page_format, sizeof(page_format) - 1);
	bytes_add(out, "header_event", sizeof("header_event"));
	add_sized(out, event_format, sizeof(event_format) - 1);
	add_u32(out, 0);		/* ftrace's own events */
	add_u32(out, (uint32_t)n);
	for (size_t i = first; i < first + n; i++) {
		const struct tracing_event *event = &t->events.data[i];

		bytes_add(out, event->system, strlen(event->system) + 1);
		add_u32(out, 1);
		add_event(out, event);
	}
	add_u32(out, 0);		/* kallsyms, printk formats */
	add_u32(out, 0);
}

/* ---- reading a format ---------------------------------------------------------------- */

/* The value behind "key:" in a line of a format; NULL if there is none. */
static const char *find_key(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	return at ? at + strlen(key) : NULL;
}

static bool starts(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

static enum tracing_kind kind_of(const char *type, const char *array, uint32_t size, bool is_signed)
{
	if (starts(type, "__data_loc"))
		return strstr(type, "char") ? TRACING_STRING : TRACING_BYTES;
	if (*array)
		return strstr(type, "char") ? TRACING_CHARS : TRACING_BYTES;
	if (strchr(type, '*'))
		return TRACING_POINTER;
	if (!strcmp(type, "float") || !strcmp(type, "double"))
		return TRACING_FLOAT;
	if (size != 1 && size != 2 && size != 4 && size != 8)
		return TRACING_BYTES;
	return is_signed ? TRACING_SIGNED : TRACING_UNSIGNED;
}

/* "unsigned long args[6]": type, name and array.  declaration is cut in pieces. */
static bool split_declaration(char *declaration, struct tracing_field *f, const char **array)
{
	char *end = declaration + strlen(declaration), *name;

	*array = "";
	if (end > declaration && end[-1] == ']' && !starts(declaration, "__data_loc")) {
		*array = "[]";
		while (end > declaration && *end != '[')
			end--;
		*end = '\0';
	}
	name = end;
	while (name > declaration && (isalnum((unsigned char)name[-1]) || name[-1] == '_'))
		name--;
	if (name == end || name == declaration)
		return false;
	snprintf(f->name, sizeof(f->name), "%s", name);
	while (name > declaration && name[-1] == ' ')
		name--;
	*name = '\0';
	snprintf(f->type, sizeof(f->type), "%s", declaration);
	return true;
}

/* "field:TYPE NAME;	offset:8;	size:4;	signed:1;" */
static void parse_field(char *line, struct tracing_event *event)
{
	const char *offset = find_key(line, ";\toffset:"), *size = find_key(line, ";\tsize:"), *array;
	const char *is_signed = find_key(line, ";\tsigned:");
	struct tracing_field f = { .kind = TRACING_BYTES };
	char *declaration = strstr(line, "field:");

	if (!declaration || !offset || !size || event->fields.len >= MAX_FIELDS)
		return;
	f.offset = (uint32_t)strtoul(offset, NULL, 10);
	f.size = (uint32_t)strtoul(size, NULL, 10);
	declaration += strlen("field:");
	declaration[strcspn(declaration, ";")] = '\0';
	if (!split_declaration(declaration, &f, &array) || starts(f.name, "common_"))
		return;
	f.kind = kind_of(f.type, array, f.size, is_signed && *is_signed == '1');
	vec_push(&event->fields, f);
}

static bool parse_format(struct tracing *t, const char *system, char *text)
{
	struct tracing_event event = { 0 };
	bool good;

	snprintf(event.system, sizeof(event.system), "%s", system);
	for (char *line; (line = strsep(&text, "\n")) != NULL;) {
		if (starts(line, "name: "))
			snprintf(event.name, sizeof(event.name), "%s", line + strlen("name: "));
		else if (starts(line, "ID: "))
			event.id = strtoull(line + strlen("ID: "), NULL, 10);
		else if (starts(line, "\tfield:"))
			parse_field(line, &event);
	}
	good = event.name[0] && tracing_add(t, &event);
	vec_free(&event.fields);
	return good;
}

/* ---- reading the section ----------------------------------------------------------------- */

struct span {
	const unsigned char *at;
	size_t left;
};

static const void *take(struct span *s, uint64_t size)
{
	const unsigned char *at = s->at;

	if (size > s->left)
		return NULL;
	s->at += size;
	s->left -= size;
	return at;
}

static bool take_u32(struct span *s, uint32_t *ret)
{
	const void *at = take(s, sizeof(*ret));

	if (at)
		memcpy(ret, at, sizeof(*ret));
	return at;
}

static const char *take_string(struct span *s)
{
	const unsigned char *end = memchr(s->at, '\0', s->left);

	return end ? take(s, (uint64_t)(end - s->at) + 1) : NULL;
}

/* A text behind its size; a copy with a 0, or NULL. */
static char *take_sized(struct span *s)
{
	const void *at = take(s, sizeof(uint64_t));
	uint64_t size = 0;

	if (at)
		memcpy(&size, at, sizeof(size));
	at = at ? take(s, size) : NULL;
	return at ? strndup(at, size) : NULL;
}

static bool take_formats(struct tracing *t, struct span *s, const char *system)
{
	uint32_t n;

	if (!take_u32(s, &n))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		_cleanup_free_ char *text = take_sized(s);

		if (!text || (system && !parse_format(t, system, text)))
			return false;
	}
	return true;
}

static bool take_header(struct span *s, const char *name)
{
	const char *found = take_string(s);
	_cleanup_free_ char *text = found && !strcmp(found, name) ? take_sized(s) : NULL;

	return text;
}

bool tracing_parse(struct tracing *t, const unsigned char *data, size_t size)
{
	struct span s = { data, size };
	const char *magic = take(&s, sizeof(MAGIC) - 1);
	uint32_t page, n;

	if (!magic || memcmp(magic, MAGIC, sizeof(MAGIC) - 1) || !take_string(&s) || !take(&s, 2) ||
	    !take_u32(&s, &page) || !take_header(&s, "header_page") || !take_header(&s, "header_event") ||
	    !take_formats(t, &s, NULL) || !take_u32(&s, &n))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		const char *system = take_string(&s);

		if (!system || !take_formats(t, &s, system))
			return false;
	}
	return true;
}

/* ---- values ---------------------------------------------------------------------------- */

static uint64_t unsigned_at(const unsigned char *at, uint32_t size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);	/* little endian */
	return value;
}

static bool string_value(const unsigned char *raw, size_t size, uint32_t place, struct tracing_value *ret)
{
	uint32_t offset = place & 0xffff, len = place >> 16;

	if (offset > size || len > size - offset)
		return false;
	ret->text = (const char *)raw + offset;
	ret->len = strnlen(ret->text, len);
	return true;
}

bool tracing_value(const struct tracing_field *f, const unsigned char *raw, size_t size, struct tracing_value *ret)
{
	float single;

	if (f->offset > size || f->size > size - f->offset)
		return false;
	*ret = (struct tracing_value){ .kind = f->kind, .text = (const char *)raw + f->offset, .len = f->size };
	switch (f->kind) {
	case TRACING_STRING:
		return f->size == 4 && string_value(raw, size, (uint32_t)unsigned_at(raw + f->offset, 4), ret);
	case TRACING_CHARS:
		ret->len = strnlen(ret->text, f->size);
		return true;
	case TRACING_BYTES:
		return true;
	case TRACING_FLOAT:
		if (f->size == sizeof(double))
			memcpy(&ret->real, ret->text, sizeof(double));
		else if (f->size == sizeof(float))
			ret->real = (memcpy(&single, ret->text, sizeof(single)), single);
		return f->size == sizeof(double) || f->size == sizeof(float);
	default:
		if (f->size > 8)
			return false;
		ret->number = (int64_t)unsigned_at(raw + f->offset, f->size);
		if (f->kind == TRACING_SIGNED && f->size < 8)
			ret->number = (int64_t)((uint64_t)ret->number << (64 - 8 * f->size)) >> (64 - 8 * f->size);
		return true;
	}
}
