/* SPDX-License-Identifier: MIT */
/*
 * The library's threads, and the destructors of keys, run its code until the
 * process ends.  So the shared library is marked as one that is never unloaded.
 * An object that was linked with the static library is not: it is asked for
 * again at run time, by a handle that nobody closes.
 */
#include "rcu/stay.h"

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>

/* Not in libcs that unload nothing. */
extern __typeof__(dlsym) dlsym __attribute__((weak));
extern __typeof__(dladdr1) dladdr1 __attribute__((weak));

static bool is_marked(const struct link_map *object)
{
	for (const ElfW(Dyn) *entry = object->l_ld; entry->d_tag != DT_NULL; entry++)
		if (entry->d_tag == DT_FLAGS_1)
			return entry->d_un.d_val & DF_1_NODELETE;
	return false;
}

void stay_loaded(void)
{
	static const char here;
	__typeof__(dlopen) *open_again;
	struct link_map *object;
	Dl_info info;

	if (!dladdr1 || !dlsym || !dladdr1(&here, &info, (void **)&object, RTLD_DL_LINKMAP))
		return;
	/* The program has no name, and stays. */
	if (!object->l_name[0] || is_marked(object))
		return;
	/* The linker warns of static programs that name this function. */
	open_again = (__typeof__(open_again))dlsym(RTLD_DEFAULT, "dlopen");
	if (open_again)
		open_again(object->l_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}
