/* SPDX-License-Identifier: MIT */
/* Objects by address; see unwind_objects.h. */
#include "runtime/unwind_objects.h"

#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "retour/rcu.h"
#include "retour/unwind_deferred.h"
#include "runtime/unwind_memory.h"

static void add_segment(struct unwind_object *object, const ElfW(Phdr) *p, unsigned long base)
{
	unsigned long start = base + p->p_vaddr;

	if (p->p_type == PT_GNU_EH_FRAME)
		object->header = (const unsigned char *)start;
	if (p->p_type != PT_LOAD)
		return;
	if (!object->end || start < object->start)
		object->start = start;
	if (start + p->p_memsz > object->end)
		object->end = start + p->p_memsz;
}

static void add_segments(struct unwind_object *object, const struct dl_phdr_info *info)
{
	for (int i = 0; i < info->dlpi_phnum; i++)
		add_segment(object, &info->dlpi_phdr[i], info->dlpi_addr);
}

#if defined(DLFO_STRUCT_HAS_EH_DBASE) && !defined(RETOUR_OLD_LIBC)

int _dl_find_object(void *address, struct dl_find_object *result) __attribute__((weak));

static bool libc_finds(void)
{
	return _dl_find_object != NULL;
}

/* The program; all else is loaded in one piece. */
static struct unwind_object program;

static bool ask_libc(struct unwind_object *object, unsigned long pc)
{
	struct dl_find_object found;

	if (_dl_find_object((void *)pc, &found))
		return false;
	if (program.header && found.dlfo_eh_frame == program.header) {
		/* With holes between its segments libc says the one, and the tables are in another. */
		*object = program;
		return true;
	}
	object->start = (unsigned long)found.dlfo_map_start;
	object->end = (unsigned long)found.dlfo_map_end;
	object->header = found.dlfo_eh_frame;
	return true;
}

/* The first one listed. */
static int find_program(struct dl_phdr_info *info, size_t size, void *arg)
{
	add_segments(&program, info);
	return 1;
}

__attribute__((constructor(103))) static void program_init(void)
{
	dl_iterate_phdr(find_program, NULL);
}

#else

static bool libc_finds(void)
{
	return false;
}

static bool ask_libc(struct unwind_object *object, unsigned long pc)
{
	return false;
}

#endif

/* Enough of .eh_frame_hdr to know it again: places, the number of FDEs and the first one's. */
typedef unsigned long long header_words[2];

struct known {
	struct unwind_object object;
	header_words words;
};

/* The objects of one moment. */
struct list {
	struct retour_rcu_head head;
	unsigned long long changes;	/* objects that had come and gone */
	size_t n, room;
	struct known objects[];
};

static struct list *current;

static bool read_header(const unsigned char *header, header_words words)
{
	struct unwind_memory none = { 0, 0 };

	return unwind_memory_read(&none, (unsigned long)header, words, 2);
}

static bool still_there(const struct known *known)
{
	header_words now;

	return !known->object.header ||
	       (read_header(known->object.header, now) && !memcmp(now, known->words, sizeof(now)));
}

/*
 * Code that is being executed is loaded, so the list can only be wrong about
 * addresses that are none of code, and about what another object took the place of.
 */
static bool ask_list(struct unwind_object *object, unsigned long pc)
{
	const struct list *list;
	bool found = false;

	retour_rcu_read_lock_notrace();
	/* (h) pairs with (i): the list behind its pointer. */
	list = retour_rcu_dereference_raw_notrace(current);
	for (size_t i = 0; list && i < list->n && !found; i++) {
		const struct known *known = &list->objects[i];

		if (pc < known->object.start || pc >= known->object.end || !still_there(known))
			continue;
		*object = known->object;
		found = true;
	}
	retour_rcu_read_unlock_notrace();
	return found;
}

bool unwind_object_find(struct unwind_object *object, unsigned long pc)
{
	if (pc >= object->start && pc < object->end)
		return true;
	return libc_finds() ? ask_libc(object, pc) : ask_list(object, pc);
}

static bool make_room(struct list **list)
{
	size_t room = *list ? 2 * (*list)->room : 64;
	struct list *more = realloc(*list, sizeof(*more) + room * sizeof(more->objects[0]));

	if (!more)
		return false;
	if (!*list)
		memset(more, 0, sizeof(*more));
	more->room = room;
	*list = more;
	return true;
}

/* Under the loader's lock. */
static int add_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct list **list = arg;
	struct known known = { { 0 } };

	if ((!*list || (*list)->n == (*list)->room) && !make_room(list))
		return 1;
	add_segments(&known.object, info);
	if (known.object.header && !read_header(known.object.header, known.words))
		known.object.header = NULL;
	(*list)->changes = info->dlpi_adds + info->dlpi_subs;
	(*list)->objects[(*list)->n++] = known;
	return 0;
}

static void free_list(struct retour_rcu_head *head)
{
	free(head);
}

/* Unless others have made a newer one meanwhile. */
static void publish(struct list *list)
{
	struct list *old, *replaced = NULL;

	retour_rcu_read_lock_notrace();
	old = __atomic_load_n(&current, __ATOMIC_CONSUME);	/* (h) */
	while (!old || old->changes < list->changes) {
		replaced = old;
		/* (i) pairs with (h): the list before the pointer to it; and (h): the one that others made. */
		if (__atomic_compare_exchange_n(&current, &old, list, false, __ATOMIC_ACQ_REL, __ATOMIC_CONSUME)) {
			list = NULL;
			break;
		}
		replaced = NULL;
	}
	retour_rcu_read_unlock_notrace();
	free(list);
	if (replaced)
		retour_call_rcu_extern(&replaced->head, free_list);
}

void retour_unwind_update_objects(void)
{
	struct list *list = NULL;

	if (libc_finds())
		return;
	if (!dl_iterate_phdr(add_object, &list) && list)
		publish(list);
	else
		free(list);
}

__attribute__((constructor(103))) static void objects_init(void)
{
	retour_unwind_update_objects();
}
