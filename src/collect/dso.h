/* SPDX-License-Identifier: MIT */
/*
 * The files whose code was seen on stacks, each with its unwind table and its
 * number in the rule cache.  A file is known by identity (device, inode, size,
 * change time), never by path: the same inode number can become another file.
 */
#ifndef RETOUR_COLLECT_DSO_H
#define RETOUR_COLLECT_DSO_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/reason.h"
#include "collect/rule_cache.h"
#include "perfdata/process.h"
#include "unwind/table.h"

#include <sys/types.h>

struct dso {
	struct unwind_table *table;	/* NULL: see reason */
	uint32_t file;			/* number in the rule cache */
	bool has_fdes;
	enum reason reason;		/* why there is no table */
	uint64_t text_start, text_end;	/* file offsets */
	uint64_t window;		/* bytes to load at the next miss: grows like read-ahead */
};

struct dso_store;

/*
 * files_fd: the kernel's map from file identity to number; -1: there is no
 * kernel side.  cache: NULL: rules come from their tables every time.
 */
ERROR_CHECK struct error *dso_store_create(int files_fd, struct rule_cache *cache, struct dso_store **ret);
void dso_store_destroy(struct dso_store *store);
DEFINE_CLEANUP(dso_store_destroy, struct dso_store *);

/*
 * The file behind a mapping that the kernel side saw: key as it saw it, the
 * mapping's borders to open it by /proc/PID/map_files, and the mapping as the
 * records tell it (may be NULL) to open it by path once the process is gone.
 * Never NULL but without memory: a file that cannot be had has a reason.
 */
struct dso *dso_by_key(struct dso_store *store, const struct file_key *key, uint32_t pid, uint64_t start,
		       uint64_t end, const struct process_mapping *mapping);
/* The file with a number of the rule cache, FILE_VDSO included; NULL if no file has it. */
struct dso *dso_by_number(struct dso_store *store, uint32_t file);
/* The file of a mapping known from records only. NULL without memory. */
struct dso *dso_by_mapping(struct dso_store *store, uint32_t pid, const struct process_mapping *mapping);

/*
 * The rule at a position of a file that has a table.  If it is not in the
 * cache, it is loaded with its surroundings, the more the more often that
 * happens in the file.
 */
struct unwind_rule dso_rule(struct dso_store *store, struct dso *dso, uint64_t offset);

/* Bytes of the file; false if it has them not, or could not be opened. */
bool dso_read(const struct dso *dso, uint64_t offset, void *buf, size_t size);

/* How often a rule was in the cache when dso_rule() was asked for it. */
struct dso_rule_counts {
	uint64_t hits, misses;
};

struct dso_rule_counts dso_rule_counts(const struct dso_store *store);

#endif
