/* SPDX-License-Identifier: MIT */
/* Addresses to locations, with the caches that make it cheap; see resolve.h. */
#include "profile/resolve.h"

#include "perfdata/process.h"
#include "symbol/symbol.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*
 * Recent answers, direct-mapped by process and address.  An entry is valid as
 * long as the process's generation is the one it was made in; whatever changes
 * mappings raises that.  Processes that share a generation slot merely lose
 * their entries together.
 */
#define N_RECENT (1u << 16)
#define N_GENERATIONS (1u << 12)

struct recent {
	uint64_t address;
	uint32_t pid, generation, location;
};

/* A file (or one process's anonymous code) with the locations known in it. */
struct dso {
	struct hash_node node;
	uint32_t path;			/* a string */
	unsigned char build_id[20];
	uint32_t build_id_size;
	uint32_t pid;			/* of anonymous code; 0: a file */
	struct symbol_dso *symbols;	/* NULL for anonymous code */
	struct id_map locations;	/* by file offset, or by address of anonymous code */
};

struct resolver {
	struct frames *frames;
	struct process_tracker *processes;
	struct symboliser *symboliser;
	struct resolver_options options;
	struct hash dsos;
	struct id_map kernel_locations, unmapped_locations;
	uint32_t generations[N_GENERATIONS];
	struct recent recent[N_RECENT];
};

struct error *resolver_create(struct frames *frames, const struct resolver_options *options,
			      struct resolver **ret)
{
	_cleanup_(resolver_destroyp) struct resolver *resolver = calloc(1, sizeof(*resolver));
	struct error *err;

	if (!resolver)
		return error_nomem();
	resolver->frames = frames;
	resolver->options = *options;
	for (size_t i = 0; i < N_GENERATIONS; i++)
		resolver->generations[i] = 1;	/* an entry of zeros is not valid */
	resolver->processes = process_tracker_create();
	err = resolver->processes ? symboliser_create(&resolver->symboliser) : error_nomem();
	if (err)
		return err;
	*ret = steal_ptr(resolver);
	return NULL;
}

void resolver_destroy(struct resolver *resolver)
{
	if (!resolver)
		return;
	hash_each_all(&resolver->dsos, node) {
		struct dso *dso = container_of(node, struct dso, node);

		id_map_free(&dso->locations);
		free(dso);
	}
	hash_free(&resolver->dsos);
	id_map_free(&resolver->kernel_locations);
	id_map_free(&resolver->unmapped_locations);
	if (resolver->symboliser)
		symboliser_destroy(resolver->symboliser);
	if (resolver->processes)
		process_tracker_destroy(resolver->processes);
	free(resolver);
}

static uint32_t *generation_of(struct resolver *resolver, uint32_t pid)
{
	return &resolver->generations[pid % N_GENERATIONS];
}

struct error *resolver_feed(struct resolver *resolver, const struct perfdata_record *record)
{
	++*generation_of(resolver, record->pid);
	return process_tracker_feed(resolver->processes, record) ? NULL : error_nomem();
}

struct error *resolver_comm(struct resolver *resolver, uint32_t pid, uint32_t tid, uint32_t *ret)
{
	return frames_string(resolver->frames, process_tracker_comm(resolver->processes, pid, tid), ret);
}

/* Code that no file holds: what a JIT compiler made, trampolines, the heap. */
static bool is_anonymous(const char *path)
{
	static const char *const prefixes[] = { "//anon", "/memfd:", "/dev/zero", "/anon_hugepage", "/SYSV" };

	if (path[0] != '/')
		return strcmp(path, "[vdso]") != 0;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(path, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

static struct error *add_dso(struct resolver *resolver, const struct dso *like, const struct process_mapping *mapping,
			     uint32_t pid, struct dso **ret)
{
	struct dso *dso = malloc(sizeof(*dso));
	struct error *err = NULL;

	if (!dso)
		return error_nomem();
	*dso = *like;
	if (!dso->pid) {
		struct symbol_dso_key key = { .path = mapping->path, .build_id_size = like->build_id_size, .pid = pid };

		memcpy(key.build_id, like->build_id, sizeof(key.build_id));
		err = symboliser_dso(resolver->symboliser, &key, &dso->symbols);
	}
	if (!err && !hash_insert(&resolver->dsos, &dso->node, like->node.hash))
		err = error_nomem();
	if (err) {
		free(dso);
		return err;
	}
	*ret = dso;
	return NULL;
}

static struct error *find_dso(struct resolver *resolver, const struct process_mapping *mapping, uint32_t pid,
			      struct dso **ret)
{
	struct dso like = { .pid = is_anonymous(mapping->path) ? pid : 0 };
	struct error *err = frames_string(resolver->frames, mapping->path, &like.path);

	if (err)
		return err;
	if (mapping->build_id_size <= sizeof(like.build_id)) {
		like.build_id_size = mapping->build_id_size;
		memcpy(like.build_id, mapping->build_id, like.build_id_size);
	}
	like.node.hash = hash_bytes(like.build_id, sizeof(like.build_id)) ^
			 hash_u64((uint64_t)like.pid << 32 | like.path);
	hash_each(&resolver->dsos, like.node.hash, node) {
		struct dso *dso = container_of(node, struct dso, node);

		if (dso->path == like.path && dso->pid == like.pid && dso->build_id_size == like.build_id_size &&
		    !memcmp(dso->build_id, like.build_id, sizeof(like.build_id))) {
			*ret = dso;
			return NULL;
		}
	}
	return add_dso(resolver, &like, mapping, pid, ret);
}

/* NULL in *ret: no mapping there. */
static struct error *dso_at(struct resolver *resolver, uint32_t pid, uint64_t address,
			    const struct process_mapping **ret_mapping, struct dso **ret)
{
	const struct process_mapping *mapping = process_tracker_find(resolver->processes, pid, address);
	struct dso *dso = mapping ? mapping->user : NULL;
	struct error *err = NULL;

	if (mapping && !dso) {
		err = find_dso(resolver, mapping, pid, &dso);
		if (err)
			return err;
		process_mapping_set_user(mapping, dso);
	}
	*ret_mapping = mapping;
	*ret = dso;
	return NULL;
}

/* "[libfoo.so+0x1234]", of where the function starts, if that is known. */
static struct error *unresolved(struct frames *frames, enum frame_kind kind, const char *dso, uint64_t start,
				struct location *location)
{
	const char *base = frames_base_name(dso);
	char name[300];

	/* The brackets of "[vdso]" and the like would double. */
	int skip = base[0] == '[';
	int len = (int)strcspn(base + skip, "]");

	snprintf(name, sizeof(name), "[%.*s+0x%" PRIx64 "]", len < 255 ? len : 255, base + skip, start);
	location->offset = location->address - start;
	return frames_function_named(frames, kind, name, dso, &location->function);
}

static struct error *resolved(struct frames *frames, enum frame_kind kind, const char *dso,
			      const struct symbol *symbol, struct location *location)
{
	location->offset = location->address < symbol->start ? 0 : location->address - symbol->start;
	return frames_function_named(frames, kind, symbol->name, dso, &location->function);
}

static struct error *add_location(struct frames *frames, struct id_map *known, const struct location *location,
				  uint32_t *ret)
{
	struct error *err = frames_location(frames, location, ret);

	if (!err && !id_map_put(known, location->address, *ret))
		err = error_nomem();
	return err;
}

/*
 * The address before a return address is in the calling function, but a pc that
 * a signal interrupted may be a function's first, with nothing before it.
 */
static bool interrupted_at_start(struct dso *dso, uint64_t address, struct symbol *ret)
{
	struct symbol next;

	if (!symbol_dso_lookup(dso->symbols, address + 1, &next) || next.start != address + 1)
		return false;
	*ret = next;
	return true;
}

static struct error *set_place(struct frames *frames, const struct source_frame *source, struct location *location)
{
	location->line = source->line;
	return source->file ? frames_string(frames, source->file, &location->file) : NULL;
}

/* Adds the location of each of the functions that are inlined, after *id of the one that holds them. */
static struct error *add_inlined(struct frames *frames, const struct source_frame *source, size_t n,
				 const struct location *holder, uint32_t *id)
{
	uint32_t dso = frames->functions.data[holder->function].dso;
	struct error *err = NULL;

	while (!err && n-- > 0) {
		struct location location = { .address = holder->address, .caller = *id };
		uint32_t name;

		err = frames_string(frames, source[n].function ? source[n].function : "[inlined]", &name);
		if (!err)
			err = frames_function(frames, FRAME_INLINED, name, dso, &location.function);
		if (!err)
			err = set_place(frames, &source[n], &location);
		if (!err)
			err = frames_location(frames, &location, id);
	}
	return err;
}

/* A location in a file, with what the source says about it. */
static struct error *add_source_location(struct resolver *resolver, struct dso *dso, struct location *location,
					 uint32_t *ret)
{
	struct source_frame source[SOURCE_MAX_FRAMES];
	size_t n = symbol_dso_source(dso->symbols, location->address, source);
	struct error *err = n ? set_place(resolver->frames, &source[n - 1], location) : NULL;

	if (!err)
		err = frames_location(resolver->frames, location, ret);
	if (!err && n && resolver->options.inlined)
		err = add_inlined(resolver->frames, source, n - 1, location, ret);
	if (!err && !id_map_put(&dso->locations, location->address, *ret))
		err = error_nomem();
	return err;
}

static struct error *locate_in_dso(struct resolver *resolver, struct dso *dso, uint64_t address, uint32_t *ret)
{
	struct frames *frames = resolver->frames;
	const char *path = frames->strings.data[dso->path];
	struct location location = { .address = address, .caller = ID_NONE };
	struct symbol symbol = { 0 };
	uint64_t start = address;
	struct error *err;
	bool found;

	*ret = id_map_get(&dso->locations, address);
	if (*ret != ID_NONE)
		return NULL;
	found = dso->pid ? symboliser_jit(resolver->symboliser, dso->pid, address, &symbol)
			 : symbol_dso_lookup(dso->symbols, address, &symbol);
	found = found && symbol.name && symbol.name[0];
	if (!found && !dso->pid)
		found = interrupted_at_start(dso, address, &symbol);
	if (!found && !dso->pid)
		symbol_dso_function_start(dso->symbols, address, &start);
	if (found)
		err = resolved(frames, dso->pid ? FRAME_JIT : FRAME_USER, path, &symbol, &location);
	else
		err = unresolved(frames, FRAME_USER, path, start, &location);
	if (err)
		return err;
	return dso->pid ? add_location(frames, &dso->locations, &location, ret)
			: add_source_location(resolver, dso, &location, ret);
}

static struct error *locate_unmapped(struct resolver *resolver, uint64_t address, uint32_t *ret)
{
	struct location location = { .address = address, .caller = ID_NONE };
	struct error *err;

	*ret = id_map_get(&resolver->unmapped_locations, address);
	if (*ret != ID_NONE)
		return NULL;
	err = unresolved(resolver->frames, FRAME_USER, "[unknown]", address, &location);
	return err ? err : add_location(resolver->frames, &resolver->unmapped_locations, &location, ret);
}

static struct error *locate_user(struct resolver *resolver, uint32_t pid, uint64_t address, uint32_t *ret)
{
	const struct process_mapping *mapping;
	struct dso *dso;
	struct error *err = dso_at(resolver, pid, address, &mapping, &dso);

	if (err)
		return err;
	if (!dso)
		return locate_unmapped(resolver, address, ret);
	if (!dso->pid)
		address += mapping->pgoff - mapping->start;
	return locate_in_dso(resolver, dso, address, ret);
}

struct error *resolver_user(struct resolver *resolver, uint32_t pid, uint64_t address, uint32_t *ret)
{
	struct recent *recent = &resolver->recent[hash_u64(address ^ (uint64_t)pid << 40) % N_RECENT];
	uint32_t generation = *generation_of(resolver, pid);
	struct error *err;

	if (recent->address == address && recent->pid == pid && recent->generation == generation) {
		*ret = recent->location;
		return NULL;
	}
	err = locate_user(resolver, pid, address, ret);
	if (!err)
		*recent = (struct recent){ address, pid, generation, *ret };
	return err;
}

struct error *resolver_kernel(struct resolver *resolver, uint64_t address, uint32_t *ret)
{
	struct location location = { .address = address, .caller = ID_NONE };
	const char *module = NULL;
	struct symbol symbol = { 0 };
	struct error *err;

	*ret = id_map_get(&resolver->kernel_locations, address);
	if (*ret != ID_NONE)
		return NULL;
	if (resolver->options.kernel && symboliser_kernel(resolver->symboliser, address, &symbol)) {
		module = symboliser_kernel_module(resolver->symboliser, address);
		err = resolved(resolver->frames, FRAME_KERNEL, module ? module : "[kernel]", &symbol, &location);
	} else {
		err = unresolved(resolver->frames, FRAME_KERNEL, "[kernel]", address, &location);
	}
	return err ? err : add_location(resolver->frames, &resolver->kernel_locations, &location, ret);
}

struct error *resolver_dso(struct resolver *resolver, uint32_t pid, uint64_t address, uint32_t *ret)
{
	const struct process_mapping *mapping;
	struct dso *dso;
	struct error *err = dso_at(resolver, pid, address, &mapping, &dso);

	if (err)
		return err;
	if (!dso)
		return frames_string(resolver->frames, "[unknown]", ret);
	*ret = dso->path;
	return NULL;
}
