/* SPDX-License-Identifier: MIT */
/* An object with sites of the program's tracepoints and one of its own, to be opened and closed. */
#include "app_trace.h"

RETOUR_TRACEPOINT(plugin, loaded, (int, answer));
/* The program has one of this name, too, with numbers. */
RETOUR_TRACEPOINT(app, clash, (const char *, what), (double, much));

#define EXPORT __attribute__((visibility("default")))

EXPORT void plugin_request(int id);
EXPORT void plugin_clash(void);
EXPORT int plugin_register(void (*probe)(void *data, int id, const char *path), void *data);
EXPORT int plugin_unregister(void (*probe)(void *data, int id, const char *path), void *data);

/* Before any other constructor without a priority. */
__attribute__((constructor(110))) static void loading(void)
{
	trace_app_request(110, "constructor");
}

void plugin_request(int id)
{
	trace_app_request(id, "plugin");
	trace_plugin_loaded(42);
}

void plugin_clash(void)
{
	trace_app_clash("text", 0.5);
}

int plugin_register(void (*probe)(void *data, int id, const char *path), void *data)
{
	return register_trace_app_request(probe, data);
}

int plugin_unregister(void (*probe)(void *data, int id, const char *path), void *data)
{
	return unregister_trace_app_request(probe, data);
}
