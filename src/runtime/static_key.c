/* SPDX-License-Identifier: MIT */
/*
 * The sites of all objects, and the switching of keys.
 *
 * An update looks at every site, and changes those together whose instruction
 * is not what their key asks for.
 */
#include "runtime/static_key.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/mutant.h"
#include "rcu/sys.h"
#include "runtime/patch.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sigset_t fork_saved;
static struct retour_object *objects;
static __thread unsigned int batches __attribute__((tls_model("initial-exec")));

void sites_lock(sigset_t *saved)
{
	sys_block_signals(saved);
	pthread_mutex_lock(&lock);
}

void sites_unlock(const sigset_t *saved)
{
	pthread_mutex_unlock(&lock);
	sys_restore_signals(saved);
}

static char *site_code(const struct retour_static_site *site)
{
	return (char *)&site->code + site->code;
}

static char *site_target(const struct retour_static_site *site)
{
	return (char *)&site->target + site->target;
}

static enum site_state wanted(const struct retour_static_site *site)
{
	const struct retour_static_key *key = (const void *)(site->key & ~1UL);

	return retour_static_key_enabled(key) == (site->key & 1) ? SITE_NOP : SITE_JUMP;
}

static bool differs(const struct retour_static_site *site)
{
	enum site_state state = patch_state(site_code(site));

	return state != wanted(site) && (state != SITE_FOREIGN || mutant(patch_over_foreign));
}

static bool is_open(const struct retour_object *object, const struct retour_static_site *site)
{
	unsigned long code = (unsigned long)site_code(site);

	return code >= object->open && code < object->open_end;
}

/* The pages of the object's text in which something differs; false: nothing does. */
static bool find_changes(struct retour_object *object, bool *needed)
{
	unsigned long page = sysconf(_SC_PAGESIZE);

	object->open = object->text_end;
	object->open_end = object->text;
	*needed = false;
	for (struct retour_static_site *s = object->sites; s < object->sites_end; s++) {
		unsigned long code = (unsigned long)site_code(s);

		if (code < object->text || code >= object->text_end || !differs(s))
			continue;
		/* A jump tests the key: that it is no nop is no error. */
		*needed |= wanted(s) == SITE_JUMP;
		object->open = code < object->open ? code : object->open;
		object->open_end = code >= object->open_end ? code + 1 : object->open_end;
	}
	if (object->open >= object->open_end)
		return false;
	object->open &= -page;
	/* An instruction may go on in the next page. */
	object->open_end = (object->open_end + 8 + page - 1) & -page;
	if (object->open_end > object->text_end)
		object->open_end = object->text_end;
	return true;
}

static int protect(const struct retour_object *object, int more)
{
	if (object->open >= object->open_end)
		return 0;
	return sys_call(SYS_mprotect, object->open, object->open_end - object->open, object->protection | more, 0, 0, 0);
}

/* Makes text writable where something differs; returns what is to be reported, and whether there is any. */
static int open_texts(bool *any)
{
	int first = 0;

	*any = false;
	for (struct retour_object *o = objects; o; o = o->next) {
		bool needed;
		int err;

		o->open = o->open_end = 0;
		if (!patch_usable() || !find_changes(o, &needed))
			continue;
		err = protect(o, PROT_WRITE);
		if (!err) {
			*any = true;
			continue;
		}
		o->open = o->open_end = 0;
		if (needed && !first)
			first = err;
	}
	return first;
}

static void close_texts(void)
{
	for (struct retour_object *o = objects; o; o = o->next)
		protect(o, 0);
}

enum phase { SKIP, TAIL, HEAD };

static int change(enum phase phase)
{
	for (struct retour_object *o = objects; o; o = o->next)
		for (struct retour_static_site *s = o->sites; s < o->sites_end; s++) {
			if (!is_open(o, s) || !differs(s))
				continue;
			if (phase == SKIP)
				patch_skip(site_code(s));
			else if (phase == TAIL)
				patch_tail(site_code(s), site_target(s), wanted(s));
			else
				patch_head(site_code(s), site_target(s), wanted(s));
		}
	retour_torture_delay();
	return patch_sync() ? 0 : -ENOSYS;
}

int sites_update(void)
{
	bool any;
	int err, late;

	if (batches)
		return 0;
	err = open_texts(&any);
	if (!any)
		return err;
	late = mutant(patch_no_skip) ? 0 : change(SKIP);
	/* Sites that skip are whole, and the next update goes on from there. */
	if (!late)
		late = change(TAIL);
	if (!late)
		late = change(HEAD);
	close_texts();
	return err ? err : late;
}

void sites_add(struct retour_object *object)
{
	object->next = objects;
	objects = object;
}

void sites_remove(struct retour_object *object)
{
	struct retour_object **at = &objects;

	while (*at != object)
		at = &(*at)->next;
	*at = object->next;
}

static int switch_key(struct retour_static_key *key, int count)
{
	__atomic_store_n(&key->enabled, count, __ATOMIC_RELAXED);
	return sites_update();
}

int retour_static_key_enable(struct retour_static_key *key)
{
	sigset_t saved;
	int err;

	sites_lock(&saved);
	err = switch_key(key, 1);
	sites_unlock(&saved);
	return err;
}

int retour_static_key_disable(struct retour_static_key *key)
{
	sigset_t saved;
	int err;

	sites_lock(&saved);
	err = switch_key(key, 0);
	sites_unlock(&saved);
	return err;
}

int retour_static_key_inc(struct retour_static_key *key)
{
	sigset_t saved;
	int err;

	sites_lock(&saved);
	err = switch_key(key, key->enabled + 1);
	sites_unlock(&saved);
	return err;
}

int retour_static_key_dec(struct retour_static_key *key)
{
	sigset_t saved;
	int err;

	sites_lock(&saved);
	err = switch_key(key, key->enabled ? key->enabled - 1 : 0);
	sites_unlock(&saved);
	return err;
}

void retour_static_key_batch_begin(void)
{
	batches++;
}

int retour_static_key_batch_end(void)
{
	sigset_t saved;
	int err;

	sites_lock(&saved);
	batches -= batches != 0;
	err = sites_update();
	sites_unlock(&saved);
	return err;
}

static void before_fork(void)
{
	sigset_t saved;

	if (mutant(sites_no_fork_lock))
		return;
	sites_lock(&saved);
	fork_saved = saved;
}

/* In the child, too: the thread that locked goes on there. */
static void after_fork(void)
{
	sigset_t saved = fork_saved;

	if (!mutant(sites_no_fork_lock))
		sites_unlock(&saved);
}

/* After that of the domains, so that this lock is taken first. */
__attribute__((constructor(102))) static void sites_init(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}
