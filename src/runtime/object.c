/* SPDX-License-Identifier: MIT */
/* Objects with sites or tracepoints come and go. */
#include <elf.h>
#include <link.h>
#include <sys/mman.h>

#include "runtime/static_key.h"
#include "runtime/tracepoint.h"

void (*object_came)(void);

/* If the executable segment is the one with the object's first site, tells the object. */
static int find_text(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct retour_object *object = arg;
	unsigned long first = (unsigned long)&object->sites->code + (long)object->sites->code;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		unsigned long start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || first < start || first - start >= p->p_memsz)
			continue;
		object->text = start;
		object->text_end = start + p->p_memsz;
		object->protection = PROT_EXEC | (p->p_flags & PF_R ? PROT_READ : 0) |
				     (p->p_flags & PF_W ? PROT_WRITE : 0);
		return 1;
	}
	return 0;
}

void retour_object_coming(struct retour_object *object)
{
	sigset_t saved;

	if (object->known)
		return;
	/* The loader's lock is not taken inside ours. */
	if (object->sites < object->sites_end)
		dl_iterate_phdr(find_text, object);
	sites_lock(&saved);
	object->known = true;
	sites_add(object);
	for (struct retour_tracepoint **t = object->tracepoints; t < object->tracepoints_end; t++)
		tracepoint_add(*t);
	/* What cannot be written goes on testing its keys. */
	sites_update();
	sites_unlock(&saved);
	if (object_came)
		object_came();
}

void retour_object_going(struct retour_object *object)
{
	sigset_t saved;

	sites_lock(&saved);
	if (object->known) {
		object->known = false;
		for (struct retour_tracepoint **t = object->tracepoints; t < object->tracepoints_end; t++)
			tracepoint_remove(*t);
		sites_remove(object);
	}
	sites_unlock(&saved);
}
