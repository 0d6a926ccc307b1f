/* SPDX-License-Identifier: MIT */
/* The probes behind retour doctor and behind the hints of retour record. */
#include "cli/machine.h"

#include "base/cleanup.h"
#include "cli/events.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void set_value(struct machine_feature *f, const char *value)
{
	snprintf(f->value, sizeof(f->value), "%s", value);
}

static void probe_btf(struct machine_feature *f)
{
	struct btf *btf = btf__load_vmlinux_btf();

	f->available = btf != NULL;
	if (!btf)
		set_value(f, strerror(errno));
	btf__free(btf);
}

static void probe_task_work(struct machine_feature *f)
{
	static const char *const names[] = { "bpf_task_work_schedule_resume_impl", "bpf_task_work_schedule_resume" };
	struct btf *btf = btf__load_vmlinux_btf();

	for (size_t i = 0; btf && i < 2 && !f->available; i++) {
		f->available = btf__find_by_name_kind(btf, names[i], BTF_KIND_FUNC) > 0;
		if (f->available)
			set_value(f, names[i]);
	}
	btf__free(btf);
}

static bool has_capability(unsigned int number)
{
	_cleanup_fclose_ FILE *in = fopen("/proc/self/status", "re");
	char line[256];
	uint64_t effective = 0;

	while (in && fgets(line, sizeof(line), in))
		if (sscanf(line, "CapEff: %" SCNx64, &effective) == 1)
			break;
	return effective >> number & 1;
}

/* CAP_SYS_ADMIN includes the two, which were split from it. */
static void probe_cap_bpf(struct machine_feature *f)
{
	f->available = has_capability(CAP_BPF) || has_capability(CAP_SYS_ADMIN);
}

static void probe_cap_perfmon(struct machine_feature *f)
{
	f->available = has_capability(CAP_PERFMON) || has_capability(CAP_SYS_ADMIN);
}

static void probe_cap_sys_ptrace(struct machine_feature *f)
{
	f->available = has_capability(CAP_SYS_PTRACE);
}

static void probe_cap_dac_read_search(struct machine_feature *f)
{
	f->available = has_capability(CAP_DAC_READ_SEARCH);
}

static void probe_cap_checkpoint_restore(struct machine_feature *f)
{
	f->available = has_capability(CAP_CHECKPOINT_RESTORE) || has_capability(CAP_SYS_ADMIN);
}

static void probe_bpf_program(struct machine_feature *f)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_PERF_EVENT, "retour_probe", "GPL", insns, 2, NULL);

	f->available = fd >= 0;
	if (fd < 0)
		set_value(f, strerror(-fd));
	else
		close(fd);
}

static void probe_perf_events(struct machine_feature *f)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000, .disabled = 1,
	};
	long fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);

	f->available = fd >= 0;
	if (fd < 0)
		set_value(f, strerror(errno));
	else
		close((int)fd);
}

static void probe_cycles(struct machine_feature *f)
{
	f->available = cli_event_available(cli_event_find("cycles"));
}

static void read_line(const char *path, char *line, int size)
{
	_cleanup_fclose_ FILE *in = fopen(path, "re");

	if (!in || !fgets(line, size, in))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
}

static void probe_kernel_symbols(struct machine_feature *f)
{
	char line[256];
	unsigned long long address = 0;

	read_line("/proc/kallsyms", line, sizeof(line));
	sscanf(line, "%llx", &address);
	/* The first symbol may lie at 0 legally; then a later one tells. */
	if (!address) {
		_cleanup_fclose_ FILE *in = fopen("/proc/kallsyms", "re");

		for (int i = 0; in && i < 1000 && !address && fgets(line, sizeof(line), in); i++)
			sscanf(line, "%llx", &address);
	}
	f->available = address != 0;
	read_line("/proc/sys/kernel/kptr_restrict", line, 16);
	snprintf(f->value, sizeof(f->value), "kernel.kptr_restrict = %.15s", line);
}

static void probe_paranoid(struct machine_feature *f)
{
	char line[16];

	read_line("/proc/sys/kernel/perf_event_paranoid", line, sizeof(line));
	f->available = line[0] != '\0';
	set_value(f, line);
}

static void probe_memlock(struct machine_feature *f)
{
	struct rlimit limit;

	f->available = getrlimit(RLIMIT_MEMLOCK, &limit) == 0;
	if (f->available && limit.rlim_cur == RLIM_INFINITY)
		set_value(f, "unlimited");
	else if (f->available)
		snprintf(f->value, sizeof(f->value), "%llu bytes", (unsigned long long)limit.rlim_cur);
}

/* In the order in which an obstacle is best reported: what nobody can grant first. */
static const struct probe {
	const char *name, *text;
	bool required;
	void (*run)(struct machine_feature *);
	const char *remedy;	/* NULL: grant capabilities */
} probes[] = {
	{ "btf", "kernel BTF", true, probe_btf, "use a kernel built with CONFIG_DEBUG_INFO_BTF=y" },
	{ "task-work", "BPF task_work (kernel 6.18 and newer)", true, probe_task_work, "use Linux 6.18 or newer" },
	{ "cap-bpf", "capability CAP_BPF", true, probe_cap_bpf, NULL },
	{ "cap-perfmon", "capability CAP_PERFMON", true, probe_cap_perfmon, NULL },
	{ "cap-sys-ptrace", "capability CAP_SYS_PTRACE: see other users' mappings", false, probe_cap_sys_ptrace, NULL },
	{ "cap-dac-read-search", "capability CAP_DAC_READ_SEARCH: read other users' programs", false,
	  probe_cap_dac_read_search, NULL },
	{ "cap-checkpoint-restore", "capability CAP_CHECKPOINT_RESTORE: open mapped files that were deleted or replaced",
	  false, probe_cap_checkpoint_restore, NULL },
	{ "bpf-program", "loading a BPF program", true, probe_bpf_program,
	  "a seccomp filter, a security module or kernel lockdown forbids bpf(2): allow it for this container or service" },
	{ "perf-events", "system-wide perf events", true, probe_perf_events,
	  "a seccomp filter or a security module forbids perf_event_open(2): allow it for this container or service" },
	{ "cycles", "hardware counter cycles", false, probe_cycles, "none needed: cpu-clock samples by a timer" },
	{ "kernel-symbols", "names of kernel functions", false, probe_kernel_symbols,
	  "needs CAP_SYSLOG (or root) and kernel.kptr_restrict below 2" },
	{ "perf-event-paranoid", "kernel.perf_event_paranoid (CAP_PERFMON overrides it)", false, probe_paranoid, "" },
	{ "memlock", "limit on locked memory", false, probe_memlock, "" },
};

static const char capabilities[] = "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search,"
				   "cap_checkpoint_restore,cap_syslog";

static void set_capability_remedy(struct machine_feature *f)
{
	char self[160];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (geteuid() == 0)
		snprintf(f->remedy, sizeof(f->remedy), "root lacks it here: start the container with "
			 "--cap-add BPF --cap-add PERFMON --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH, or --privileged");
	else
		snprintf(f->remedy, sizeof(f->remedy), "run with sudo, or: sudo setcap %s+ep %.*s", capabilities,
			 n > 0 ? (int)n : 6, n > 0 ? self : "retour");
}

void machine_probe(struct machine *ret)
{
	_Static_assert(sizeof(probes) / sizeof(probes[0]) <= MACHINE_MAX_FEATURES, "a feature for every probe");

	libbpf_set_print(NULL);
	ret->n_features = 0;
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		const struct probe *p = &probes[i];
		const struct machine_feature *obstacle = machine_obstacle(ret);
		struct machine_feature *f = &ret->features[ret->n_features++];

		*f = (struct machine_feature){ .name = p->name, .text = p->text, .required = p->required };
		p->run(f);
		if (f->available)
			continue;
		/* A required feature that fails after another one most likely fails because of it. */
		if (obstacle && p->required)
			memcpy(f->remedy, obstacle->remedy, sizeof(f->remedy));
		else if (p->remedy)
			snprintf(f->remedy, sizeof(f->remedy), "%s", p->remedy);
		else
			set_capability_remedy(f);
	}
}

const struct machine_feature *machine_obstacle(const struct machine *machine)
{
	for (size_t i = 0; i < machine->n_features; i++)
		if (machine->features[i].required && !machine->features[i].available)
			return &machine->features[i];
	return NULL;
}
