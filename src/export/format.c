/* SPDX-License-Identifier: MIT */
/* The table of formats; see export.h. */
#include "export/export.h"

#include <string.h>

static const struct export_format formats[] = {
	{ .name = "table", .write = export_table },
	{ .name = "folded", .suffix = ".folded", .write = export_folded },
	{ .name = "html", .suffix = ".html", .per_process = true, .write = export_html },
	{ .name = "json", .suffix = ".json", .write = export_json },
};

#define N_FORMATS (sizeof(formats) / sizeof(formats[0]))

const struct export_format *export_format_named(const char *name)
{
	for (size_t i = 0; i < N_FORMATS; i++)
		if (!strcmp(formats[i].name, name))
			return &formats[i];
	return NULL;
}

static bool has_suffix(const char *path, const char *suffix)
{
	size_t len = strlen(path), n = strlen(suffix);

	return len >= n && !strcmp(path + len - n, suffix);
}

const struct export_format *export_format_of_file(const char *path)
{
	const struct export_format *best = NULL;

	for (size_t i = 0; i < N_FORMATS; i++) {
		const struct export_format *format = &formats[i];

		if (format->suffix && has_suffix(path, format->suffix) &&
		    (!best || strlen(format->suffix) > strlen(best->suffix)))
			best = format;
	}
	return best;
}

const char *export_format_names(void)
{
	static char names[256];

	if (!names[0])
		for (size_t i = 0; i < N_FORMATS; i++) {
			strcat(names, i ? ", " : "");
			strcat(names, formats[i].name);
		}
	return names;
}
