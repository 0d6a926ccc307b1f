/* SPDX-License-Identifier: MIT */
/*
 * The features behind retour doctor and behind the choice of retour record.
 * A feature that fails while something else that it needs is missing has the
 * other's remedy, unless a limit is in the way.
 */
#include "cli/machine.h"

#include "base/cleanup.h"
#include "cli/environment.h"
#include "cli/events.h"
#include "cli/limits.h"
#include "cli/probe.h"
#include "collect/agent_program.h"
#include "collect/session.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* Not all are commands: some things are decided by who starts this process, and some by nobody. */
static const char filter_remedy[] = "who starts the container or service lifts its seccomp filter: podman/docker run "
				    "--security-opt seccomp=unconfined, or SystemCallFilter=bpf perf_event_open in "
				    "the systemd unit";
static const char module_remedy[] = "a security module or kernel lockdown forbids it; which one says: "
				    "sudo dmesg | grep -iE 'denied|lockdown'";
static const char new_privileges_remedy[] = "who starts the container or service lets it gain privileges: podman/"
					    "docker run without --security-opt no-new-privileges, or "
					    "NoNewPrivileges=no in the systemd unit";
static const char user_namespace_remedy[] = "nothing inside the user namespace mends it: start retour outside of it, or "
					    "the container with sudo";
static const char pid_namespace_remedy[] = "nothing inside the container mends it: start it with podman/docker run "
					   "--pid=host";
static const char no_remedy[] = "none known; another backend may work";

__attribute__((format(printf, 2, 3)))
static void set_value(struct machine_feature *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->value, sizeof(f->value), fmt, ap);
	va_end(ap);
}

static void set_remedy(struct machine_feature *f, const char *remedy)
{
	snprintf(f->remedy, sizeof(f->remedy), "%s", remedy);
}

static void set_error(struct machine_feature *f, int error)
{
	f->available = error == 0;
	if (error)
		set_value(f, "%s", strerror(error));
	if (error && limit_remedy(error))
		set_remedy(f, limit_remedy(error));
}

/* The first line of a file without newline; empty if it cannot be read. */
static void read_line(const char *path, char *line, int size)
{
	_cleanup_fclose_ FILE *in = fopen(path, "re");

	if (!in || !fgets(line, size, in))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
}

/* ---- around the process ------------------------------------------------------ */

static void probe_proc(struct machine_feature *f)
{
	f->available = environment_has_proc();
}

static void probe_sys(struct machine_feature *f)
{
	f->available = environment_has_sys();
}

/* Without /proc it may be. */
static bool is_filtered(void)
{
	char mode[8] = "";

	environment_status("Seccomp", mode, sizeof(mode));
	return strcmp(mode, "0") != 0;
}

const char *machine_remedy_of(int code)
{
	if (code == EPERM || code == EACCES)
		return is_filtered() ? filter_remedy : module_remedy;
	return limit_remedy(code) ? limit_remedy(code) : no_remedy;
}

static void judge_call(struct machine_feature *f, int answer)
{
	const bool filtered = is_filtered();

	f->available = answer == 0;
	f->code = filtered ? 0 : answer;
	if (answer < 0)
		set_value(f, "a seccomp filter kills the caller (%s)", strsignal(-answer));
	else if (answer)
		set_value(f, "%s%s", filtered ? "a seccomp filter answers: " : "", strerror(answer));
	else if (environment_has_proc())
		set_value(f, filtered ? "a seccomp filter lets it pass" : "no seccomp filter");
}

static void probe_seccomp_perf(struct machine_feature *f)
{
	judge_call(f, probe_perf_event_open_call());
}

static void probe_seccomp_bpf(struct machine_feature *f)
{
	judge_call(f, probe_bpf_call());
}

static void probe_user_namespace(struct machine_feature *f)
{
	f->available = environment_is_initial_user_namespace();
}

static void probe_pid_namespace(struct machine_feature *f)
{
	f->available = environment_is_initial_pid_namespace();
}

static void probe_container(struct machine_feature *f)
{
	f->available = !environment_is_container(f->value, sizeof(f->value));
}

static void probe_chroot(struct machine_feature *f)
{
	f->available = !environment_is_chroot();
}

static void probe_new_privileges(struct machine_feature *f)
{
	f->available = environment_may_gain_privileges();
}

/* ---- capabilities -------------------------------------------------------------- */

#define CAPABILITY(name)	(1ULL << CAP_##name)

/* Those of another user namespace are none for the machine. */
static bool has_capability(uint64_t any_of)
{
	return environment_capabilities() & any_of && environment_is_initial_user_namespace();
}

static void probe_capability(struct machine_feature *f, uint64_t any_of)
{
	f->available = has_capability(any_of);
	if (!f->available && environment_capabilities() & any_of)
		set_value(f, "only within the user namespace");
}

/* About what backend bpf takes: the cache of rules and the programs, and rings of each CPU up to their limit. */
static void probe_memory(struct machine_feature *f)
{
	const uint64_t n_cpus = (uint64_t)sysconf(_SC_NPROCESSORS_CONF), rings = n_cpus < 16 ? 8 * n_cpus : 128;
	const uint64_t limit = environment_memory_limit() >> 20;

	f->available = limit >= 56 + rings;
	if (limit < UINT64_MAX >> 21)
		set_value(f, "%" PRIu64 " MB%s", limit, f->available ? "" : ": backend bpf takes more");
}

/* ---- BPF ------------------------------------------------------------------------ */

/* If there are many places where there is none, it is not told why it could not be had from the one. */
static void probe_btf(struct machine_feature *f)
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (!btf)
		btf = btf__parse("/sys/kernel/btf/vmlinux", NULL);
	set_error(f, btf ? 0 : errno);
	btf__free(btf);
}

/* Any one of the two will do; which it is matters to who reads a report. */
static void probe_task_work(struct machine_feature *f)
{
	static const char *const names[] = { "bpf_task_work_schedule_resume", "bpf_task_work_schedule_resume_impl" };
	struct btf *btf = btf__load_vmlinux_btf();
	bool has[2];

	for (int i = 0; i < 2; i++)
		has[i] = btf && btf__find_by_name_kind(btf, names[i], BTF_KIND_FUNC) > 0;
	f->available = has[0] || has[1];
	if (!btf)
		set_value(f, "only BTF tells");
	else if (!f->available)
		set_value(f, "the kernel has no function %s", names[0]);
	else
		set_value(f, "%s%s%s", has[0] ? names[0] : "", has[0] && has[1] ? ", " : "", has[1] ? names[1] : "");
	btf__free(btf);
}

static void probe_program(struct machine_feature *f)
{
	f->code = probe_bpf_program();
	set_error(f, f->code);
}

static void spend_cpu_time(clock_t time)
{
	clock_t start = clock();

	while (clock() - start < time)
		;
}

static uint16_t most_frequent_reason(const struct session_stats *stats)
{
	uint16_t best = REASON_NONE;

	for (uint16_t i = 1; i < REASON_MAX; i++)
		if (stats->reasons[i] > (best ? stats->reasons[best] : 0))
			best = i;
	return best;
}

/* Records this process for a moment: a kernel may load the programs and still refuse to run the walk. */
static struct error *record_oneself(struct session_stats *ret)
{
	_cleanup_(session_destroyp) struct session *session = NULL;
	const struct session_event event = { "cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK };
	const char *const cmdline[] = { "retour", NULL };
	const pid_t self = getpid();
	struct session_options options = {
		.backend = "bpf", .events = &event, .n_events = 1, .scope = SESSION_PROCESSES, .pids = &self, .n_pids = 1,
		.period = 1000000, .max_depth = 64, .output = "/dev/null", .cmdline = cmdline,
	};
	struct error *err = session_create(&options, &session);

	if (!err)
		err = session_start(session);
	if (err)
		return err;
	spend_cpu_time(CLOCKS_PER_SEC / 25);
	err = session_finish(session);
	session_stats(session, ret);
	return err;
}

static void probe_walker(struct machine_feature *f)
{
	struct session_stats stats = { 0 };
	struct error *err = record_oneself(&stats);

	f->available = !err && stats.stitched;
	if (err) {
		set_value(f, "%s", err->text);
		f->code = err->code;
	} else if (!f->available) {
		set_value(f, "%s", stats.samples ? reason_text(most_frequent_reason(&stats)) : "no sample comes");
	}
	error_free(err);
}

static void probe_agent(struct machine_feature *f)
{
	_cleanup_free_ char *path = NULL;
	struct error *err = agent_object_find(&path);

	f->available = !err;
	set_value(f, "%s", err ? "it is neither beside this program nor installed" : path);
	error_free(err);
}

/* ---- events ---------------------------------------------------------------------- */

/* Some distributions let CAP_SYS_ADMIN alone override kernel.perf_event_paranoid above 2. */
static void explain_denied_events(struct machine_feature *f)
{
	if (has_capability(CAPABILITY(SYS_ADMIN)))
		set_remedy(f, module_remedy);
	else if (has_capability(CAPABILITY(PERFMON)))
		set_remedy(f, "sudo sysctl kernel.perf_event_paranoid=2");
}

static void probe_machine_events(struct machine_feature *f)
{
	int error = probe_cpu_event();

	set_error(f, error);
	if (error == EACCES || error == EPERM)
		explain_denied_events(f);
}

static void judge_events(struct machine_feature *f, struct probe_result result)
{
	set_error(f, result.error);
	if (result.error == EACCES || result.error == EPERM) {
		explain_denied_events(f);
	} else if (!result.error && result.user_only) {
		set_value(f, "in user space only");
	} else if (result.error == ETIME && result.user_only) {
		set_value(f, "never in user space");
		set_remedy(f, "sudo sysctl kernel.perf_event_paranoid=1");
	} else if (result.error == ETIME) {
		set_value(f, "no such sample comes");
		set_remedy(f, "none known; another backend or event may work");
	} else if (result.error == ENOENT || result.error == ENODEV || result.error == EOPNOTSUPP) {
		set_value(f, "this machine has none");
	} else if (result.error == ENOBUFS) {
		set_value(f, "the limits on locked memory leave no room for a ring");
		set_remedy(f, "sudo sysctl kernel.perf_event_mlock_kb=4096");
	}
}

static void probe_own_events(struct machine_feature *f)
{
	judge_events(f, probe_event(cli_event_find("cpu-clock")));
}

static void probe_deferred(struct machine_feature *f)
{
	judge_events(f, probe_deferred_chains());
}

static void probe_stack(struct machine_feature *f)
{
	judge_events(f, probe_stack_copies());
}

/* The feature has the name of the event. */
static void probe_named_event(struct machine_feature *f)
{
	judge_events(f, probe_event(cli_event_find(f->name)));
}

/* ---- limits ------------------------------------------------------------------------ */

/* The first symbol may lie at 0 legally; then a later one tells. */
static void probe_kernel_symbols(struct machine_feature *f)
{
	_cleanup_fclose_ FILE *in = fopen("/proc/kallsyms", "re");
	unsigned long long address = 0;
	char line[256];
	int n = 0;

	while (in && n < 1000 && !address && fgets(line, sizeof(line), in))
		n += sscanf(line, "%llx", &address) == 1;
	f->available = address != 0;
	read_line("/proc/sys/kernel/kptr_restrict", line, sizeof(line));
	if (n)
		set_value(f, "kernel.kptr_restrict = %.15s", line);
	else
		set_value(f, "/proc/kallsyms has none");
	if (!n && environment_has_proc())
		set_remedy(f, "none for this kernel, if no container hides the file: boot one built with CONFIG_KALLSYMS=y");
	else if (!strcmp(line, "2"))	/* hides them from everybody */
		set_remedy(f, has_capability(CAPABILITY(SYSLOG)) ? "sudo sysctl kernel.kptr_restrict=1" :
			      "sudo sysctl kernel.kptr_restrict=0 kernel.perf_event_paranoid=1");
}

/* /proc may show processes only (mount option subset=pid). */
static void set_unreadable(struct machine_feature *f)
{
	set_value(f, "it cannot be read");
	if (!f->available && environment_has_proc())
		set_remedy(f, "sudo mount -t proc proc /proc");
}

/* The value of a setting of the kernel; false if it cannot be read. */
static bool read_sysctl(const char *path, long *ret)
{
	char line[32];

	read_line(path, line, sizeof(line));
	return sscanf(line, "%ld", ret) == 1;
}

static void probe_paranoid(struct machine_feature *f)
{
	static const char *const leaves[] = {
		"the whole machine", "own processes only", "own processes in user space only",
		"nothing where the kernel has this value, or else as 2",
	};
	bool overridden = has_capability(CAPABILITY(PERFMON) | CAPABILITY(SYS_ADMIN));
	long value;

	f->available = overridden;
	if (!read_sysctl("/proc/sys/kernel/perf_event_paranoid", &value)) {
		set_unreadable(f);
		return;
	}
	f->available |= value <= 0;
	set_value(f, "%ld: %s%s", value, leaves[value <= 0 ? 0 : value > 2 ? 3 : value],
		  overridden ? ", but CAP_PERFMON overrides it" : "");
}

/* The limits on locked memory add up, for the rings of one user. */
struct locked_memory {
	bool unlimited;
	long per_cpu, process;	/* kB; below 0: it cannot be read */
	bool suffices;
};

static bool read_locked_memory(struct locked_memory *ret)
{
	const long least = 128 + 4;	/* kB of a ring on each CPU, with its first page */
	const long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return false;
	if (!read_sysctl("/proc/sys/kernel/perf_event_mlock_kb", &ret->per_cpu))
		ret->per_cpu = -1;
	ret->unlimited = limit.rlim_cur == RLIM_INFINITY;
	ret->process = (long)(limit.rlim_cur / 1024);
	ret->suffices = ret->unlimited || has_capability(CAPABILITY(IPC_LOCK)) ||
			ret->per_cpu + ret->process / n_cpus >= least;
	return true;
}

static void probe_perf_mlock(struct machine_feature *f)
{
	struct locked_memory m;

	if (!read_locked_memory(&m))
		return;
	f->available = m.suffices;
	if (m.per_cpu < 0)
		set_unreadable(f);
	else
		set_value(f, "%ld kB a CPU%s", m.per_cpu, m.suffices ? "" : ": too little for rings");
}

static void probe_memlock(struct machine_feature *f)
{
	struct locked_memory m;

	if (!read_locked_memory(&m))
		return;
	f->available = m.suffices;
	if (m.unlimited)
		set_value(f, "unlimited");
	else
		set_value(f, "%ld kB%s", m.process, m.suffices ? "" : ": too little for rings");
}

/* Less has no room for backend bpf, more only for many threads, processes or files. */
static void probe_files(struct machine_feature *f)
{
	const rlim_t least = 64 + 8 * (rlim_t)sysconf(_SC_NPROCESSORS_CONF);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	f->available = limit.rlim_max >= least;
	set_remedy(f, f->available ? "" : limit_remedy(EMFILE));
	set_value(f, "%llu%s", (unsigned long long)limit.rlim_max, f->available ? "" : ": too few for some backends");
}

/* ---- all ---------------------------------------------------------------------------- */

#define CALL_PERF	FEATURE(SECCOMP_PERF)
#define CALL_BPF	FEATURE(SECCOMP_BPF)
#define FATAL		(CALL_PERF | CALL_BPF | FEATURE(MEMORY))	/* what kills who tries nevertheless */
#define MACHINE_RIGHTS	FEATURE(USER_NAMESPACE)
#define EVENT		(CALL_PERF | FEATURE(PERF_EVENTS_OWN))

static const struct probe {
	const char *name, *text;
	uint64_t needs;		/* earlier features that it may fail for */
	union {
		void (*run)(struct machine_feature *);
		void (*run_with)(struct machine_feature *, uint64_t argument);
	};
	const char *remedy;	/* NULL: grant capabilities */
	uint64_t argument;	/* run_with it, if there is one */
} probes[N_FEATURES] = {
	[FEATURE_PROC] = {
		"proc", "/proc",
		0, { probe_proc }, "sudo mkdir -p /proc && sudo mount -t proc proc /proc",
	},
	[FEATURE_SYS] = {
		"sys", "/sys",
		0, { probe_sys }, "sudo mkdir -p /sys && sudo mount -t sysfs sysfs /sys",
	},
	[FEATURE_SECCOMP_PERF] = {
		"seccomp-perf-event-open", "system call perf_event_open",
		0, { probe_seccomp_perf }, filter_remedy,
	},
	[FEATURE_SECCOMP_BPF] = {
		"seccomp-bpf", "system call bpf",
		0, { probe_seccomp_bpf }, filter_remedy,
	},
	[FEATURE_USER_NAMESPACE] = {
		"user-namespace", "the machine's own user namespace",
		FEATURE(PROC), { probe_user_namespace }, user_namespace_remedy,
	},
	[FEATURE_PID_NAMESPACE] = {
		"pid-namespace", "the machine's own process IDs",
		FEATURE(PROC), { probe_pid_namespace }, pid_namespace_remedy,
	},
	[FEATURE_CONTAINER] = {
		"container", "outside of containers",
		0, { probe_container }, "none needed; what runs outside is seen by who starts it with podman/docker run --pid=host",
	},
	[FEATURE_CHROOT] = {
		"chroot", "outside of chroot",
		FEATURE(PROC), { probe_chroot }, "none needed",
	},
	[FEATURE_NEW_PRIVILEGES] = {
		"new-privileges", "sudo and setcap have an effect (no_new_privs is not set)",
		0, { probe_new_privileges }, new_privileges_remedy,
	},
	[FEATURE_BTF] = {
		"btf", "kernel BTF",
		FEATURE(SYS), { probe_btf }, "none for this kernel: boot one built with CONFIG_DEBUG_INFO_BTF=y",
	},
	[FEATURE_TASK_WORK] = {
		"task-work", "BPF task_work (kernel 6.18 and newer)",
		FEATURE(SYS) | FEATURE(BTF), { probe_task_work }, "none for this kernel: boot Linux 6.18 or newer",
	},
	[FEATURE_CAP_BPF] = {
		"cap-bpf", "capability CAP_BPF",
		MACHINE_RIGHTS, { .run_with = probe_capability }, NULL, CAPABILITY(BPF) | CAPABILITY(SYS_ADMIN),
	},
	[FEATURE_CAP_PERFMON] = {
		"cap-perfmon", "capability CAP_PERFMON",
		MACHINE_RIGHTS, { .run_with = probe_capability }, NULL, CAPABILITY(PERFMON) | CAPABILITY(SYS_ADMIN),
	},
	[FEATURE_CAP_SYS_PTRACE] = {
		"cap-sys-ptrace", "capability CAP_SYS_PTRACE: see other users' mappings",
		MACHINE_RIGHTS, { .run_with = probe_capability }, NULL, CAPABILITY(SYS_PTRACE),
	},
	[FEATURE_CAP_DAC_READ_SEARCH] = {
		"cap-dac-read-search", "capability CAP_DAC_READ_SEARCH: read other users' programs",
		MACHINE_RIGHTS, { .run_with = probe_capability }, NULL, CAPABILITY(DAC_READ_SEARCH),
	},
	[FEATURE_CAP_CHECKPOINT_RESTORE] = {
		"cap-checkpoint-restore", "capability CAP_CHECKPOINT_RESTORE: open mapped files that were deleted or replaced",
		MACHINE_RIGHTS, { .run_with = probe_capability }, NULL, CAPABILITY(CHECKPOINT_RESTORE) | CAPABILITY(SYS_ADMIN),
	},
	[FEATURE_CAP_SYSLOG] = {
		"cap-syslog", "capability CAP_SYSLOG: see kernel addresses",
		MACHINE_RIGHTS, { .run_with = probe_capability }, NULL, CAPABILITY(SYSLOG),
	},
	[FEATURE_CAP_IPC_LOCK] = {
		"cap-ipc-lock", "capability CAP_IPC_LOCK: rings beyond the limits on locked memory",
		MACHINE_RIGHTS, { .run_with = probe_capability }, NULL, CAPABILITY(IPC_LOCK),
	},
	[FEATURE_MEMORY] = {
		"memory", "memory that the cgroup may use",
		0, { probe_memory }, "who starts the container or service gives it more: podman/docker run --memory=512m, or "
		"MemoryMax=512M in the systemd unit",
	},
	[FEATURE_BPF_PROGRAM] = {
		"bpf-program", "loading a BPF program",
		CALL_BPF | MACHINE_RIGHTS | FEATURE(CAP_BPF) | FEATURE(CAP_PERFMON), { probe_program }, module_remedy,
	},
	[FEATURE_PERF_EVENTS] = {
		"perf-events", "perf events of the whole machine",
		CALL_PERF | MACHINE_RIGHTS, { probe_machine_events }, NULL,
	},
	[FEATURE_PERF_EVENTS_OWN] = {
		"perf-events-own", "perf events of own processes",
		CALL_PERF, { probe_own_events }, "sudo sysctl kernel.perf_event_paranoid=2",
	},
	[FEATURE_BPF_WALKER] = {
		"bpf-walker", "a walk by the bpf backend",
		CALL_PERF | CALL_BPF | MACHINE_RIGHTS | FEATURE(PID_NAMESPACE) | FEATURE(BTF) | FEATURE(TASK_WORK) |
		FEATURE(CAP_BPF) | FEATURE(CAP_PERFMON) | FEATURE(MEMORY) | FEATURE(BPF_PROGRAM) | FEATURE(PERF_EVENTS),
		{ probe_walker }, no_remedy,
	},
	[FEATURE_DEFERRED_CHAINS] = {
		"deferred-chains", "user chains deferred by perf itself (defer_callchain)",
		EVENT, { probe_deferred }, "none for this kernel: boot Linux 6.19 or newer",
	},
	[FEATURE_STACK_COPIES] = {
		"stack-copies", "samples with registers and stack",
		EVENT, { probe_stack }, "none for this kernel: boot one with CONFIG_HAVE_PERF_REGS",
	},
	[FEATURE_AGENT] = {
		"agent", "libretour-agent.so, to be preloaded into commands",
		0, { probe_agent }, "make, or make install",
	},
	[FEATURE_CPU_CLOCK] = {
		"cpu-clock", "event cpu-clock",
		EVENT, { probe_named_event }, module_remedy,
	},
	[FEATURE_TASK_CLOCK] = {
		"task-clock", "event task-clock",
		EVENT, { probe_named_event }, module_remedy,
	},
	[FEATURE_CYCLES] = {
		"cycles", "event cycles (hardware counter)",
		EVENT, { probe_named_event }, "none needed: retour record -e cpu-clock samples by a timer",
	},
	[FEATURE_PAGE_FAULTS] = {
		"page-faults", "event page-faults",
		EVENT, { probe_named_event }, module_remedy,
	},
	[FEATURE_CONTEXT_SWITCHES] = {
		"context-switches", "event context-switches",
		EVENT, { probe_named_event }, module_remedy,
	},
	[FEATURE_KERNEL_SYMBOLS] = {
		"kernel-symbols", "names of kernel functions",
		FEATURE(PROC) | MACHINE_RIGHTS, { probe_kernel_symbols }, NULL,
	},
	[FEATURE_PARANOID] = {
		"perf-event-paranoid", "what kernel.perf_event_paranoid lets this user record",
		FEATURE(PROC), { probe_paranoid }, "sudo sysctl kernel.perf_event_paranoid=0",
	},
	[FEATURE_PERF_MLOCK] = {
		"perf-event-mlock-kb", "kernel.perf_event_mlock_kb (CAP_IPC_LOCK overrides it)",
		FEATURE(PROC), { probe_perf_mlock }, "sudo sysctl kernel.perf_event_mlock_kb=4096",
	},
	[FEATURE_MEMLOCK] = {
		"memlock", "limit on locked memory (CAP_IPC_LOCK overrides it)",
		FEATURE(PROC), { probe_memlock }, "sudo prlimit --pid $$ --memlock=unlimited",
	},
	[FEATURE_FILES] = {
		"open-files", "limit on open files",
		0, { probe_files }, NULL,
	},
};

static const char capabilities[] = "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search,"
				   "cap_checkpoint_restore,cap_syslog,cap_ipc_lock";

/* As one word for a shell; false if there is no room. */
static bool quote(const char *text, char *ret, size_t size)
{
	static const char escaped[] = "'\\''";
	size_t n = 0;

	ret[n++] = '\'';
	for (; *text && n + sizeof(escaped) < size; text++)
		n += (size_t)snprintf(ret + n, size - n, *text == '\'' ? "%s" : "%.1s", *text == '\'' ? escaped : text);
	snprintf(ret + n, size - n, "'");
	return !*text;
}

/* Has a capability of this program's file an effect, where the file is? */
static bool file_system_has_capabilities(void)
{
	struct statvfs fs;

	return statvfs("/proc/self/exe", &fs) == 0 && !(fs.f_flag & ST_NOSUID) &&
	       (getxattr("/proc/self/exe", "security.capability", NULL, 0) >= 0 || errno != ENOTSUP);
}

static void set_file_capability_remedy(struct machine_feature *f, const char *or_else)
{
	char self[256], word[400];
	ssize_t n = file_system_has_capabilities() ? readlink("/proc/self/exe", self, sizeof(self) - 1) : 0;

	self[n > 0 ? n : 0] = '\0';
	if (n > 0 && n < (ssize_t)sizeof(self) - 1 && quote(self, word, sizeof(word)))
		snprintf(f->remedy, sizeof(f->remedy), "run with sudo, or: sudo setcap %s+ep %s%s", capabilities, word,
			 or_else);
	else
		snprintf(f->remedy, sizeof(f->remedy), "run with sudo%s", or_else);
}

static void set_capability_remedy(struct machine_feature *f, bool sysctl_would_do)
{
	if (geteuid() == 0)
		set_remedy(f, "root lacks it here: who starts the container adds --cap-add BPF --cap-add PERFMON "
			      "--cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH, or --privileged");
	else if (!environment_may_gain_privileges())
		set_remedy(f, new_privileges_remedy);
	else
		set_file_capability_remedy(f, sysctl_would_do ? ", or: sudo sysctl kernel.perf_event_paranoid=0" : "");
}

static void run_probe(struct machine *machine, enum feature_id id)
{
	const struct probe *p = &probes[id];
	const struct machine_feature *obstacle = machine_obstacle(machine, p->needs);
	struct machine_feature *f = &machine->features[id];

	*f = (struct machine_feature){ .name = p->name, .text = p->text };
	libbpf_set_print(NULL);
	if (!machine_obstacle(machine, p->needs & FATAL)) {
		if (p->argument)
			p->run_with(f, p->argument);
		else
			p->run(f);
	}
	if (f->available || f->remedy[0])
		return;
	if (obstacle)
		set_remedy(f, obstacle->remedy);
	else if (f->code)
		set_remedy(f, machine_remedy_of(f->code));
	else if (p->remedy)
		set_remedy(f, p->remedy);
	else
		set_capability_remedy(f, id == FEATURE_PERF_EVENTS);
}

const struct machine_feature *machine_feature(struct machine *machine, enum feature_id id)
{
	if (!machine->features[id].name)
		run_probe(machine, id);
	return &machine->features[id];
}

void machine_assume(struct machine *machine, enum feature_id id)
{
	machine->features[id] = (struct machine_feature){
		.name = probes[id].name, .text = probes[id].text, .available = true,
	};
}

uint64_t machine_feature_named(const char *name)
{
	for (enum feature_id i = 0; i < N_FEATURES; i++)
		if (!strcmp(probes[i].name, name))
			return 1ULL << i;
	return 0;
}

const struct machine_feature *machine_obstacle(struct machine *machine, uint64_t needed)
{
	for (enum feature_id i = 0; i < N_FEATURES; i++)
		if (needed & 1ULL << i && !machine_feature(machine, i)->available)
			return &machine->features[i];
	return NULL;
}

void machine_describe(const struct machine_feature *feature, char *ret, size_t size)
{
	snprintf(ret, size, "%s%s%s", feature->text, feature->value[0] ? ": " : "", feature->value);
}
