/* SPDX-License-Identifier: MIT */
/* Loading the BPF programs; see programs.h. */
#include "collect/programs.h"

#include "base/files.h"
#include "base/log.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include "retour_bpf.skel.h"
#include "retour_bpf_implicit.skel.h"

/* As much of a slot as user space looks at: the head of struct slot, bpf/maps.h. */
struct slot_view {
	uint64_t work, start_time, cookie, mm, ip, sp;
	uint32_t pending, walked;
};

struct programs {
	const void *bytes;		/* of the object file */
	size_t size;
	struct bpf_object *object;
	struct bpf_link *at_exec, *at_exit, *at_fork;
	struct bpf_link *watching[2];	/* for events whose program is not run */
	struct ring_buffer **rings;	/* by CPU */
	uint32_t ring_bytes;
	int64_t budget;			/* of the ring that is being drained */
	programs_record_fn record;
	void *record_arg;
	struct rule_set *rule_sets;
	struct unwind_rule *rules;
	int slots_fd, slot_size, counts_fd, scope_fd;
	uint32_t n_events;
	enum scope_kind scope;
	bool prime;
	int n_cpus;
};

#define WALK_BLOCKED "walk_blocked"
#define PRIME_TASKS "prime_tasks"
#define ON_FORK "on_fork"

enum {
	SPARE_FILES = 8,	/* for links, BTF, and what libbpf tries */
	RING_FILES = 3,		/* of a CPU: its ring, who waits for it, and perf's */
};

/* What watches events: where they overflow, or only the timers of clocks. */
static const char *const overflow_watchers[2] = { "on_overflow", "after_overflow" };
static const char *const timer_watchers[2] = { "on_timer", "after_timer" };

enum { RULES_BYTES = MAX_RULES * sizeof(struct unwind_rule) };

static int print_to_log(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	if (level != LIBBPF_DEBUG)
		log_debug("libbpf: %s", text);
	return 0;
}

static struct bpf_map *map_of(const struct programs *p, const char *name)
{
	return bpf_object__find_map_by_name(p->object, name);
}

static struct bpf_program *program_of(struct bpf_object *object, const char *name)
{
	return bpf_object__find_program_by_name(object, name);
}

static int map_fd(const struct programs *p, const char *name)
{
	return bpf_map__fd(map_of(p, name));
}

static bool kernel_is_preempt_rt(void)
{
	struct utsname name;

	return !uname(&name) && strstr(name.version, "PREEMPT_RT");
}

static bool follows_forks(const struct programs *p)
{
	return p->scope == SCOPE_PROCESSES || p->prime;
}

/* Sizes the maps, and chooses the programs: all that record, but for events that the session lacks. */
static void configure(struct programs *p, const struct programs_options *options)
{
	struct config config = {
		.max_depth = options->max_depth,
		.rule_set_mask = RULE_SETS - 1,
		.wake_bytes = options->ring_bytes / 4,
		.scope = options->scope,
		.prime = p->prime,
	};
	struct bpf_program *program;
	uint32_t i = 0;

	bpf_map__set_initial_value(map_of(p, ".rodata.config"), &config, sizeof(config));
	bpf_map__set_max_entries(map_of(p, "rule_sets"), RULE_SETS);
	bpf_map__set_max_entries(map_of(p, "deferred_rings"), p->n_cpus);
	bpf_map__set_max_entries(map_of(p, "sample_rings"), p->n_cpus);
	bpf_object__for_each_program(program, p->object) {
		if (!strncmp(bpf_program__name(program), "on_event_", 9))
			bpf_program__set_autoload(program, i++ < options->n_events);
	}
	for (i = 0; i < 2; i++) {
		bpf_program__set_autoload(program_of(p->object, overflow_watchers[i]), false);
		bpf_program__set_autoload(program_of(p->object, timer_watchers[i]), false);
	}
	bpf_program__set_autoload(program_of(p->object, WALK_BLOCKED), false);
	bpf_program__set_autoload(program_of(p->object, PRIME_TASKS), false);
	bpf_program__set_autoload(program_of(p->object, ON_FORK), follows_forks(p));
}

/* Where libbpf has no descriptor left it says of the kernel that it lacks what was to be tried. */
static struct error *check_files(struct programs *p)
{
	unsigned int n = SPARE_FILES + RING_FILES * (unsigned int)p->n_cpus;
	struct bpf_program *program;
	struct bpf_map *map;

	bpf_object__for_each_map(map, p->object)
		n++;
	bpf_object__for_each_program(program, p->object)
		n += bpf_program__autoload(program);
	return files_left(n) ? NULL : error_errno(EMFILE, "cannot load the BPF programs, which take %u open files", n);
}

/*
 * The kfunc's prototype differs between kernels, so there are two objects
 * (bpf/meson.build).  Loading one is the probe: it fails early where the kfunc
 * is not as declared.
 */
static struct error *load_object(struct programs *p, const struct programs_options *options)
{
	struct error *err;
	int failed = 0;

	for (int i = 0; i < 2; i++) {
		p->bytes = i ? retour_bpf_implicit__elf_bytes(&p->size) : retour_bpf__elf_bytes(&p->size);
		p->object = bpf_object__open_mem(p->bytes, p->size, NULL);
		if (!p->object)
			return error_errno(errno, "cannot open the BPF object");
		configure(p, options);
		err = check_files(p);
		if (err)
			return err;
		failed = bpf_object__load(p->object);
		if (!failed)
			return NULL;
		bpf_object__close(p->object);
		p->object = NULL;
		if (failed == -EPERM || failed == -EACCES)
			break;
	}
	if (failed == -ESRCH)
		return error_new(EOPNOTSUPP, "this kernel cannot run BPF programs as a task returns to user space "
				 "(bpf_task_work_schedule_resume, Linux 6.18)");
	return error_errno(-failed, "cannot load the BPF programs");
}

static int hand_over(void *arg, void *data, size_t size)
{
	struct programs *p = arg;

	p->record(p->record_arg, data, size);
	p->budget -= (int64_t)size;
	return p->budget > 0 ? 0 : -EAGAIN;
}

/* One ring a possible CPU, put in place by one system call: each insertion waits for a grace period. */
static struct error *create_rings(struct programs *p, uint32_t bytes)
{
	_cleanup_free_ uint32_t *keys = calloc(p->n_cpus, sizeof(*keys));
	_cleanup_free_ int *fds = calloc(p->n_cpus, sizeof(*fds));
	uint32_t count = p->n_cpus;
	int n = 0, err = 0;

	p->rings = calloc(p->n_cpus, sizeof(*p->rings));
	p->ring_bytes = bytes;
	if (!keys || !fds || !p->rings)
		return error_nomem();
	for (; n < p->n_cpus && !err; n++) {
		keys[n] = n;
		fds[n] = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "deferred_ring", 0, 0, bytes, NULL);
		if (fds[n] < 0)
			break;
		p->rings[n] = ring_buffer__new(fds[n], hand_over, p, NULL);
		err = p->rings[n] ? 0 : -errno;
	}
	if (n < p->n_cpus)
		err = err ? err : -errno;
	else if (!err)
		err = bpf_map_update_batch(map_fd(p, "deferred_rings"), keys, fds, &count, NULL);
	while (n > 0)
		close(fds[--n]);	/* the map and the reader keep the ring */
	return err ? error_errno(-err, "cannot create the rings for deferred records") : NULL;
}

struct error *programs_load(const struct programs_options *options, struct programs **ret)
{
	_cleanup_(programs_destroyp) struct programs *p = calloc(1, sizeof(*p));
	struct error *err;

	if (!p)
		return error_nomem();
	libbpf_set_print(print_to_log);
	p->n_cpus = libbpf_num_possible_cpus();
	if (p->n_cpus < 0)
		return error_errno(-p->n_cpus, "cannot count the CPUs");
	p->scope = options->scope;
	p->n_events = options->n_events;
	p->prime = kernel_is_preempt_rt();
	p->record = options->record;
	p->record_arg = options->record_arg;
	err = load_object(p, options);
	if (err)
		return err;
	p->rule_sets = mmap(NULL, RULE_SETS * sizeof(struct rule_set), PROT_READ | PROT_WRITE, MAP_SHARED,
			    map_fd(p, "rule_sets"), 0);
	p->rules = mmap(NULL, RULES_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd(p, "rules"), 0);
	if (p->rule_sets == MAP_FAILED || p->rules == MAP_FAILED)
		return error_errno(errno, "cannot map the rule cache");
	p->slots_fd = map_fd(p, "slots");
	p->slot_size = bpf_map__value_size(map_of(p, "slots"));
	p->counts_fd = map_fd(p, "counts");
	p->scope_fd = map_fd(p, "scope");
	err = create_rings(p, options->ring_bytes);
	if (err)
		return err;
	*ret = steal_ptr(p);
	return NULL;
}

static void stop_watching(struct programs *p)
{
	for (int i = 0; i < 2; i++) {
		bpf_link__destroy(p->watching[i]);
		p->watching[i] = NULL;
	}
}

void programs_destroy(struct programs *p)
{
	if (!p)
		return;
	programs_detach(p);
	for (int cpu = 0; p->rings && cpu < p->n_cpus; cpu++)
		ring_buffer__free(p->rings[cpu]);
	free(p->rings);
	if (p->rule_sets && p->rule_sets != MAP_FAILED)
		munmap(p->rule_sets, RULE_SETS * sizeof(struct rule_set));
	if (p->rules && p->rules != MAP_FAILED)
		munmap(p->rules, RULES_BYTES);
	bpf_object__close(p->object);
	free(p);
}

void programs_detach(struct programs *p)
{
	bpf_link__destroy(p->at_exec);
	bpf_link__destroy(p->at_exit);
	bpf_link__destroy(p->at_fork);
	p->at_exec = p->at_exit = p->at_fork = NULL;
	stop_watching(p);
}

int programs_event_fd(const struct programs *p, uint32_t event)
{
	char name[32];

	snprintf(name, sizeof(name), "on_event_%u", event);
	return bpf_program__fd(program_of(p->object, name));
}

int programs_sample_rings_fd(const struct programs *p)
{
	return map_fd(p, "sample_rings");
}

int programs_files_fd(const struct programs *p)
{
	return map_fd(p, "files");
}

struct rule_set *programs_rule_sets(const struct programs *p)
{
	return p->rule_sets;
}

struct unwind_rule *programs_rules(const struct programs *p)
{
	return p->rules;
}

/* What a ring can hold, and no more: it may fill as fast as it is emptied, and what is queued has to be taken. */
void programs_drain_rings(struct programs *p)
{
	for (int cpu = 0; cpu < p->n_cpus; cpu++) {
		p->budget = p->ring_bytes;
		ring_buffer__consume(p->rings[cpu]);
	}
}

bool programs_watch_rings(const struct programs *p, int epoll_fd)
{
	struct epoll_event want = { .events = EPOLLIN, .data.fd = -1 };

	for (int cpu = 0; cpu < p->n_cpus; cpu++)
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, ring_buffer__epoll_fd(p->rings[cpu]), &want))
			return false;
	return true;
}

/* A second object with some programs, on the maps of the first: they cost their loading time where they run only. */
static struct error *load_more(struct programs *p, const char *const *names, size_t n, struct bpf_object **ret)
{
	struct bpf_object *object = bpf_object__open_mem(p->bytes, p->size, NULL);
	struct bpf_program *program;
	struct bpf_map *map;
	int failed = object ? 0 : -errno;

	bpf_object__for_each_program(program, object)
		bpf_program__set_autoload(program, false);
	for (size_t i = 0; object && i < n; i++)
		bpf_program__set_autoload(program_of(object, names[i]), true);
	bpf_object__for_each_map(map, object)
		if (!failed)
			failed = bpf_map__reuse_fd(map, map_fd(p, bpf_map__name(map)));
	if (!failed)
		failed = bpf_object__load(object);
	if (failed) {
		bpf_object__close(object);
		return error_errno(-failed, "cannot load %s", names[0]);
	}
	*ret = object;
	return NULL;
}

static struct error *run_iterator(struct bpf_program *program)
{
	struct bpf_link *link = bpf_program__attach_iter(program, NULL);
	struct error *err = NULL;
	char nothing[64];
	int fd;

	if (!link)
		return error_errno(errno, "cannot attach the task iterator");
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0)
		err = error_errno(errno, "cannot run the task iterator");
	while (fd >= 0 && read(fd, nothing, sizeof(nothing)) > 0)
		;
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return err;
}

static struct error *iterate(struct programs *p, const char *name)
{
	struct bpf_object *object = NULL;
	struct error *err = load_more(p, &name, 1, &object);

	if (err)
		return err;
	err = run_iterator(program_of(object, name));
	bpf_object__close(object);
	return err;
}

struct error *programs_walk_blocked(struct programs *p)
{
	return iterate(p, WALK_BLOCKED);
}

/* ---- watching events ---------------------------------------------------------- */

static void find_timers(struct watch *watch)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long long address;
	char line[256], name[128];

	while (f && (!watch->clock_fn || !watch->timer_entry) && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %*c %127s", &address, name) != 2)
			continue;
		if (!strcmp(name, "perf_swevent_hrtimer"))
			watch->clock_fn = address;
		else if (!strcmp(name, "asm_sysvec_apic_timer_interrupt"))
			watch->timer_entry = address;
	}
}

static bool describe_events(struct programs *p, struct watch *watch)
{
	for (uint32_t i = 0; i < p->n_events; i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		if (bpf_obj_get_info_by_fd(programs_event_fd(p, i), &info, &size))
			return false;
		watch->program[i] = info.id;
	}
	return true;
}

static struct error *watch_by(struct programs *p, const struct watch *watch, const char *const names[2])
{
	struct bpf_object *object = NULL;
	struct error *err = load_more(p, names, 2, &object);
	uint32_t zero = 0;

	if (err)
		return err;
	if (bpf_map_update_elem(map_fd(p, ".data.watch"), &zero, watch, BPF_ANY))
		err = error_errno(errno, "cannot tell %s its events", names[0]);
	for (int i = 0; !err && i < 2; i++) {
		p->watching[i] = bpf_program__attach(program_of(object, names[i]));
		if (!p->watching[i])
			err = error_errno(errno, "cannot attach %s", names[i]);
	}
	bpf_object__close(object);
	if (err)
		stop_watching(p);
	return err;
}

/* Without it events are skipped without a word: see bpf/skipped.h. */
static void watch_events(struct programs *p)
{
	struct watch watch = { 0 };
	struct error *err;

	if (!describe_events(p, &watch)) {
		log_debug("cannot identify the events' programs: samples may be missing");
		return;
	}
	err = watch_by(p, &watch, overflow_watchers);
	if (!err)
		return;
	log_debug("%s; only the timers of clocks are watched", err->text);
	error_free(err);
	find_timers(&watch);
	err = watch.clock_fn ? watch_by(p, &watch, timer_watchers) : error_new(ENOENT, "the timers are not known");
	if (err)
		log_debug("%s: samples may be missing", err->text);
	error_free(err);
}

struct error *programs_attach(struct programs *p)
{
	struct bpf_program *program = program_of(p->object, "on_last_chance");

	p->at_exec = bpf_program__attach_raw_tracepoint(program, "sched_prepare_exec");
	p->at_exit = bpf_program__attach_raw_tracepoint(program, "sched_process_exit");
	if (follows_forks(p))
		p->at_fork = bpf_program__attach_trace(program_of(p->object, ON_FORK));
	if (!p->at_exec || !p->at_exit || (follows_forks(p) && !p->at_fork))
		return error_errno(errno, "cannot attach to the fork, exec and exit tracepoints");
	watch_events(p);
	return p->prime ? iterate(p, PRIME_TASKS) : NULL;
}

struct error *programs_scope_add(struct programs *p, uint32_t id)
{
	uint32_t value = 0;

	if (bpf_map_update_elem(p->scope_fd, &id, &value, BPF_ANY))
		return error_errno(errno, "cannot add %u to what is recorded", id);
	return NULL;
}

void programs_forget(struct programs *p, uint32_t tid)
{
	bpf_map_delete_elem(p->slots_fd, &tid);
	if (p->scope != SCOPE_SYSTEM)
		bpf_map_delete_elem(p->scope_fd, &tid);
}

bool programs_slot_pending(const struct programs *p, uint32_t tid, uint64_t cookie)
{
	_cleanup_free_ unsigned char *value = calloc(1, p->slot_size);
	struct slot_view slot;

	if (!value || bpf_map_lookup_elem(p->slots_fd, &tid, value))
		return false;
	memcpy(&slot, value, sizeof(slot));
	return slot.pending && slot.cookie == cookie;
}

void programs_counters(const struct programs *p, struct counters *ret)
{
	_cleanup_free_ struct counters *per_cpu = calloc(p->n_cpus, sizeof(*per_cpu));
	uint64_t *sum = (uint64_t *)ret;
	uint32_t zero = 0;

	memset(ret, 0, sizeof(*ret));
	if (!per_cpu || bpf_map_lookup_elem(p->counts_fd, &zero, per_cpu))
		return;
	for (int cpu = 0; cpu < p->n_cpus; cpu++)
		for (size_t i = 0; i < sizeof(*ret) / sizeof(*sum); i++)
			sum[i] += ((uint64_t *)&per_cpu[cpu])[i];
}
