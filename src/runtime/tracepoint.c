/* SPDX-License-Identifier: MIT */
/*
 * Tracepoints and their probes.
 *
 * A tracepoint has one structure in each object that declares it.  Those with
 * the same name and fields are kept alike: they point to the same array of
 * probes, which is replaced as a whole and freed after a grace period, as the
 * kernel does with its tracepoint_func arrays.
 */
#include "runtime/tracepoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/mutant.h"
#include "runtime/static_key.h"

static const char domain_name[] = "retour_trace";
struct retour_srcu_struct retour_tracepoint_srcu = RETOUR_SRCU_INIT_(domain_name, RETOUR_SRCU_FAST);

__attribute__((constructor(101))) static void tracepoint_srcu_init(void)
{
	/* If the program has the library twice, by its name it is the first one's, which has listed it. */
	if (retour_tracepoint_srcu.domain.name == domain_name)
		retour_srcu_module_coming(&retour_tracepoint_srcu);
}

struct probes {
	struct retour_rcu_head head;
	struct retour_tracepoint_func funcs[];
};

static struct retour_tracepoint *tracepoints;
void (*tracepoint_came)(struct retour_tracepoint *tp);
static void (*coming)(const struct retour_tracepoint *tp, void *arg);
static void *coming_arg;

static bool same_fields(const struct retour_tracepoint_field *a, const struct retour_tracepoint_field *b)
{
	for (; a->name && b->name; a++, b++)
		/* Not by type: C and C++ spell bool differently. */
		if (strcmp(a->name, b->name) || a->size != b->size || a->kind != b->kind)
			return false;
	return !a->name && !b->name;
}

/* FNV-1a. */
static unsigned int hash_names(const struct retour_tracepoint *tp)
{
	unsigned int hash = 2166136261u;

	for (const char *c = tp->provider; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (const char *c = tp->name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	return hash;
}

static bool same(const struct retour_tracepoint *a, const struct retour_tracepoint *b)
{
	return a->hash == b->hash && !strcmp(a->provider, b->provider) && !strcmp(a->name, b->name) &&
	       a->faultable == b->faultable && same_fields(a->fields, b->fields);
}

/* The first in the list that is the same tracepoint. */
static struct retour_tracepoint *first_of(const struct retour_tracepoint *tp)
{
	struct retour_tracepoint *at = tracepoints;

	while (at && !same(at, tp))
		at = at->next;
	return at;
}

static struct retour_tracepoint_func *funcs_of(struct probes *probes)
{
	return probes ? probes->funcs : NULL;
}

static struct probes *probes_of(const struct retour_tracepoint *tp)
{
	struct retour_tracepoint_func *funcs = retour_rcu_dereference_protected(tp->funcs);

	return funcs ? (struct probes *)((char *)funcs - offsetof(struct probes, funcs)) : NULL;
}

static void publish(struct retour_tracepoint *tp, struct probes *probes)
{
	/* (Q) pairs with (P): the probes before the pointer to them. */
	retour_rcu_assign_pointer(tp->funcs, funcs_of(probes));
	__atomic_store_n(&tp->key.enabled, probes != NULL, __ATOMIC_RELAXED);
}

static size_t count(const struct probes *probes)
{
	size_t n = 0;

	while (probes && probes->funcs[n].func)
		n++;
	return n;
}

static void free_probes(struct retour_rcu_head *head)
{
	free(head);
}

static void retire(const struct retour_tracepoint *tp, struct probes *probes)
{
	struct retour_srcu_struct *domain = tp->faultable ? &retour_rcu_tasks_trace_srcu_struct : &retour_tracepoint_srcu;

	if (probes && mutant(probes_no_grace_period))
		memset(probes->funcs, 0xff, count(probes) * sizeof(probes->funcs[0]));
	/* The extern form: programs that never unregister have no thread for callbacks. */
	else if (probes)
		retour_call_srcu_extern(domain, &probes->head, free_probes);
}

void tracepoint_add(struct retour_tracepoint *tp)
{
	struct retour_tracepoint *other;

	if (tp->known)
		return;
	tp->known = true;
	tp->hash = hash_names(tp);
	other = first_of(tp);
	tp->twin = other ? other->twin : tp;
	if (other)
		other->twin = tp;
	publish(tp, other ? probes_of(other) : NULL);
	tp->next = tracepoints;
	tracepoints = tp;
	if (!other && tracepoint_came)
		tracepoint_came(tp);
	if (!other && coming)
		coming(tp, coming_arg);
}

void tracepoint_remove(struct retour_tracepoint *tp)
{
	struct retour_tracepoint **at = &tracepoints, *before = tp;
	struct probes *probes = probes_of(tp);

	if (!tp->known)
		return;
	while (*at != tp)
		at = &(*at)->next;
	*at = tp->next;
	while (before->twin != tp)
		before = before->twin;
	before->twin = tp->twin;
	tp->known = false;
	publish(tp, NULL);
	if (before == tp)
		retire(tp, probes);
}

/* The probe's index, or the number of probes. */
static size_t find(const struct probes *probes, void (*probe)(void), const void *data)
{
	size_t i = 0, n = count(probes);

	while (i < n && (probes->funcs[i].func != probe || probes->funcs[i].data != data))
		i++;
	return i;
}

static struct probes *allocate(size_t n)
{
	return calloc(1, sizeof(struct probes) + (n + 1) * sizeof(struct retour_tracepoint_func));
}

/* Gives all of the name the new array. */
static int replace(struct retour_tracepoint *tp, struct probes *probes)
{
	struct probes *old = probes_of(tp);
	struct retour_tracepoint *t = tp;
	int err;

	do {
		publish(t, probes);
		t = t->twin;
	} while (t != tp);
	err = sites_update();
	retire(tp, old);
	return err;
}

int tracepoint_add_probe(struct retour_tracepoint *tp, void (*probe)(void), void *data)
{
	struct probes *old = probes_of(tp), *new;
	size_t n = count(old);

	if (find(old, probe, data) < n)
		return -EEXIST;
	new = allocate(n + 1);
	if (!new)
		return -ENOMEM;
	if (n)
		memcpy(new->funcs, old->funcs, n * sizeof(old->funcs[0]));
	new->funcs[n] = (struct retour_tracepoint_func){ probe, data };
	return replace(tp, new);
}

/* Stands for a probe where there is no memory for an array without it. */
static void no_probe(void)
{
}

int tracepoint_remove_probe(struct retour_tracepoint *tp, void (*probe)(void), void *data)
{
	struct probes *old = probes_of(tp), *new;
	size_t n = count(old), i = find(old, probe, data);

	if (i == n)
		return -ENOENT;
	if (n == 1)
		return replace(tp, NULL);
	new = allocate(n - 1);
	if (!new) {
		__atomic_store_n(&old->funcs[i].func, no_probe, __ATOMIC_RELAXED);
		return 0;
	}
	memcpy(new->funcs, old->funcs, i * sizeof(old->funcs[0]));
	memcpy(new->funcs + i, old->funcs + i + 1, (n - i - 1) * sizeof(old->funcs[0]));
	return replace(tp, new);
}

int retour_tracepoint_probe_register(struct retour_tracepoint *tp, void (*probe)(void), void *data)
{
	sigset_t saved;
	int err;

	sites_lock(&saved);
	tracepoint_add(tp);
	err = tracepoint_add_probe(tp, probe, data);
	sites_unlock(&saved);
	return err;
}

int retour_tracepoint_probe_unregister(struct retour_tracepoint *tp, void (*probe)(void), void *data)
{
	sigset_t saved;
	int err;

	sites_lock(&saved);
	err = tracepoint_remove_probe(tp, probe, data);
	sites_unlock(&saved);
	return err;
}

void retour_tracepoint_synchronize_unregister(void)
{
	if (!mutant(sync_without_tasks_trace))
		retour_synchronize_rcu_tasks_trace();
	if (!mutant(sync_without_srcu))
		retour_synchronize_srcu(&retour_tracepoint_srcu);
}

/* The next from here on that is the first of its kind. */
static struct retour_tracepoint *standing(struct retour_tracepoint *t)
{
	while (t && first_of(t) != t)
		t = t->next;
	return t;
}

struct retour_tracepoint *tracepoint_first(void)
{
	return standing(tracepoints);
}

struct retour_tracepoint *tracepoint_next(const struct retour_tracepoint *tp)
{
	return standing(tp->next);
}

int retour_tracepoint_for_each(int (*fn)(const struct retour_tracepoint *tp, void *arg), void *arg)
{
	sigset_t saved;
	int ret = 0;

	sites_lock(&saved);
	for (struct retour_tracepoint *t = tracepoint_first(); t && !ret; t = tracepoint_next(t))
		ret = fn(t, arg);
	sites_unlock(&saved);
	return ret;
}

struct retour_tracepoint *retour_tracepoint_find(const char *provider, const char *name)
{
	struct retour_tracepoint *t;
	sigset_t saved;

	sites_lock(&saved);
	for (t = tracepoints; t; t = t->next)
		if (!strcmp(t->provider, provider) && !strcmp(t->name, name))
			break;
	sites_unlock(&saved);
	return t;
}

void retour_tracepoint_set_coming(void (*fn)(const struct retour_tracepoint *tp, void *arg), void *arg)
{
	sigset_t saved;

	sites_lock(&saved);
	coming = fn;
	coming_arg = arg;
	sites_unlock(&saved);
}
