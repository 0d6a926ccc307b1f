/* SPDX-License-Identifier: MIT */
/* retour record: options and targets, the recording loop, and what is said about it. */
#include "cli/filters.h"
#include "cli/cli.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/vec.h"
#include "cli/backends.h"
#include "cli/events.h"
#include "cli/record_backend.h"
#include "cli/record_view.h"
#include "cli/targets.h"
#include "collect/session.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
	OPT_DURATION = CLI_LONG_ONLY, OPT_BACKEND, OPT_MAX_DEPTH, OPT_DEFERRED_RECORDS, OPT_JSON,
	OPT_LATER,
};

enum {
	DEFAULT_FREQUENCY = 999,
	DEFAULT_DEPTH = 1024,
	MAX_PATTERN = 100,
	POLL_MS = 100, LIVE_NS = 200000000,
};

static const struct cli_option options[] = {
	{ 'F', "frequency", "HZ", "samples a second and CPU, 1 to 20000 (default 999)" },
	{ 'c', "count", "N", "a sample every N events, instead of so many a second" },
	{ 'e', "event", "EVENT", "what to sample on, see retour list, or PROVIDER:GLOB, tracepoints of programs "
				 "that use libretour; may be given several times (default cycles, or cpu-clock where there is none)" },
	{ 'a', "all-cpus", NULL, "record the whole machine" },
	{ 'p', "pid", "PID[,PID]...", "record these processes and the descendants they start from now on" },
	{ 't', "tid", "TID[,TID]...", "record only these threads" },
	{ 'o', "output", "FILE", "the recording to write (default retour.data), - for standard output" },
	{ OPT_DURATION, "duration", "S", "end after so many seconds" },
	{ OPT_BACKEND, "backend", "auto|bpf|native|stack|agent",
	  "how chains are obtained (default auto: bpf, or else stack, or agent for a command); see retour doctor" },
	{ OPT_MAX_DEPTH, "max-depth", "N", "user frames kept of a chain, 1 to 4096 (default 1024); "
					   "a deeper chain counts as truncated" },
	{ OPT_DEFERRED_RECORDS, "deferred-records", NULL,
	  "write chains as records of their own (perf 6.19 and newer) instead of merged into the samples" },
	{ 'q', "quiet", NULL, "print errors only" },
	{ OPT_JSON, "json", NULL, "print the quality as JSON on standard output, with the keys of retour stats --json" },
	{ OPT_LATER, "off-cpu", NULL, NULL },
	{ OPT_LATER, "cgroup", "NAME", NULL },
	{ OPT_LATER, "max-size", "BYTES", NULL },
	{ 0 },
};

struct request {
	VEC(struct session_event) events;
	struct targets targets;
	const char *output;
	char **command;		/* NULL: none */
	VEC(char *) patterns;	/* of tracepoints, which events refer to */
	bool in_process;	/* an event is of backend agent */
	const char **cmdline;	/* of retour itself, for the file */
	const struct backend_kind *backend;	/* NULL: auto */
	double duration_s;	/* 0: until something else ends it */
	uint64_t period;	/* 0: by frequency */
	uint32_t frequency, max_depth;
	bool all_cpus, threads, deferred_records, quiet, json;
};

static void request_deinit(struct request *r)
{
	vec_free(&r->events);
	vec_each(&r->patterns, pattern)
		free(*pattern);
	vec_free(&r->patterns);
	targets_deinit(&r->targets);
	free(r->cmdline);
}

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
	if (number != SIGCHLD)
		stop_signal = number;
}

/*
 * Signals only interrupt the poll.  A second Ctrl-C ends at once: the file is
 * valid up to its last whole record at any time.
 */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGCHLD, &action, NULL);
	action.sa_flags = (int)SA_RESETHAND;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

/* PROVIDER:GLOB */
static struct session_event parse_pattern(struct request *r, const char *text)
{
	char *pattern = strdup(text);

	if (text[0] == ':' || !strchr(text, ':')[1] || strlen(text) > MAX_PATTERN)
		cli_usage_error(&cli_record, "tracepoints are PROVIDER:NAME with wildcards, not '%s'", text);
	if (!pattern || !vec_push(&r->patterns, pattern))
		exit(cli_fail(error_nomem()));
	r->in_process = true;
	return (struct session_event){ .name = pattern };
}

static struct session_event parse_event(struct request *r, const char *name)
{
	const struct cli_event *event = cli_event_find(name);

	if (!event)
		cli_usage_error(&cli_record, "unknown event '%s' ('retour list' shows the events)", name);
	r->in_process |= event->in_process;
	return (struct session_event){ event->name, event->type, event->config };
}

static void add_events(struct request *r, const char *list)
{
	char *copy = strdup(list), *rest = copy;

	for (char *name; copy && (name = strsep(&rest, ",")) != NULL;) {
		if (r->events.len == SESSION_MAX_EVENTS)
			cli_usage_error(&cli_record, "at most %d events", SESSION_MAX_EVENTS);
		vec_push(&r->events, strchr(name, ':') ? parse_pattern(r, name) : parse_event(r, name));
	}
	free(copy);
}

static void add_targets(struct request *r, const char *option, const char *list, bool threads)
{
	char *copy = strdup(list), *rest = copy;

	for (char *text; copy && (text = strsep(&rest, ",")) != NULL;) {
		pid_t pid = (pid_t)cli_number(&cli_record, option, text, 1, 1 << 22);
		struct error *err = targets_add(&r->targets, pid, threads);

		if (err)
			exit(cli_fail(err));
	}
	free(copy);
	r->threads = threads;
}

static const struct backend_kind *parse_backend(const char *name)
{
	const struct backend_kind *kind = backend_find(name);

	if (!kind && strcmp(name, "auto"))
		cli_usage_error(&cli_record, "unknown backend '%s'", name);
	return kind;
}

static void apply_option(struct request *r, int opt)
{
	switch (opt) {
	case 'F':
		r->frequency = (uint32_t)cli_number(&cli_record, "-F", optarg, 1, SESSION_MAX_FREQUENCY);
		break;
	case 'c':
		r->period = cli_number(&cli_record, "-c", optarg, 1, SESSION_MAX_PERIOD);
		break;
	case 'e':
		add_events(r, optarg);
		break;
	case 'a':
		r->all_cpus = true;
		break;
	case 'p':
	case 't':
		if (r->targets.pids.len)
			cli_usage_error(&cli_record, "-p and -t take one list, and exclude each other");
		add_targets(r, opt == 'p' ? "-p" : "-t", optarg, opt == 't');
		break;
	case 'o':
		r->output = optarg;
		break;
	case OPT_DURATION:
		r->duration_s = cli_seconds(&cli_record, "--duration", optarg);
		if (!r->duration_s)
			cli_usage_error(&cli_record, "--duration must be above 0");
		break;
	case OPT_BACKEND:
		r->backend = parse_backend(optarg);
		break;
	case OPT_MAX_DEPTH:
		r->max_depth = (uint32_t)cli_number(&cli_record, "--max-depth", optarg, 1, SESSION_MAX_DEPTH);
		break;
	case OPT_DEFERRED_RECORDS:
		r->deferred_records = true;
		break;
	case 'q':
		r->quiet = true;
		break;
	case OPT_JSON:
		r->json = true;
		break;
	}
}

static void parse(struct request *r, int argc, char **argv)
{
	int opt;

	while ((opt = cli_getopt(&cli_record, argc, argv)) != CLI_END)
		apply_option(r, opt);
	if (optind < argc)
		r->command = argv + optind;
	if (r->targets.pids.len && (r->all_cpus || r->command))
		cli_usage_error(&cli_record, "-p and -t exclude -a and a command");
	if (r->json && !strcmp(r->output, "-"))
		cli_usage_error(&cli_record, "--json and -o - both want standard output");
	if (!r->command && !r->targets.pids.len)
		r->all_cpus = true;
	if (r->in_process && r->backend && !r->backend->in_process)
		cli_usage_error(&cli_record, "wall-clock and tracepoints are events of backend agent");
	if (r->in_process)
		r->backend = backend_find("agent");
}

/* Until a signal, the end of the targets, or the end of the time. */
static struct error *record_until_end(const struct request *r, struct session *session)
{
	const bool live = !r->quiet && cli_is_terminal(stderr);
	const uint64_t start = clock_monotonic_ns(), duration = (uint64_t)(r->duration_s * 1e9);
	uint64_t shown = start;

	while (!stop_signal && !targets_ended(&r->targets)) {
		uint64_t now = clock_monotonic_ns(), left_ms;
		struct error *err;

		if (duration && now - start >= duration)
			break;
		left_ms = duration ? (duration - (now - start)) / 1000000 + 1 : POLL_MS;
		err = session_poll(session, left_ms < POLL_MS ? (int)left_ms : POLL_MS);
		if (err)
			return err;
		if (live && now - shown >= LIVE_NS) {
			struct session_stats stats;

			session_stats(session, &stats);
			record_view_live(&stats);
			shown = now;
		}
	}
	if (live)
		record_view_clear_live();
	return NULL;
}

/* Whatever happens in between, what was recorded is finished. */
static struct error *run(const struct request *r, struct targets *targets, struct session *session)
{
	struct error *err = session_start(session), *finish_err;

	if (err)
		return err;
	if (r->command)
		err = targets_start_command(targets, session_environment(session));
	if (!err)
		err = record_until_end(r, session);
	finish_err = session_finish(session);
	if (err)
		error_free(finish_err);
	return err ? err : finish_err;
}

static void note_command_status(struct targets *targets)
{
	int status = targets_finish_command(targets);

	if (status < 0)
		fprintf(stderr, "note: %s was still running and was asked to end\n", targets->command);
	else if (WIFSIGNALED(status))
		fprintf(stderr, "note: %s was ended by signal %d (%s)\n", targets->command, WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		fprintf(stderr, "note: %s ended with status %d\n", targets->command, WEXITSTATUS(status));
}

static struct error *open_session(const struct request *r, struct machine *machine, struct session **ret)
{
	const struct backend_wish wish = {
		.backend = r->backend, .quiet = r->quiet, .own = r->command,
		.session = {
			.events = r->events.data, .n_events = r->events.len,
			.scope = r->all_cpus ? SESSION_SYSTEM : r->threads ? SESSION_THREADS : SESSION_PROCESSES,
			.pids = r->targets.pids.data, .n_pids = r->all_cpus ? 0 : r->targets.pids.len,
			.command = r->command ? r->command[0] : NULL,
			.frequency = r->period ? 0 : r->frequency, .period = r->period, .max_depth = r->max_depth,
			.deferred_records = r->deferred_records, .output = r->output, .cmdline = r->cmdline,
		},
	};

	return record_backend_open(&wish, machine, ret);
}

static struct error *record_request(struct request *r, int argc, char **argv, struct session **session)
{
	struct machine machine = { 0 };
	struct error *err = NULL;

	r->cmdline = calloc((size_t)argc + 2, sizeof(*r->cmdline));
	if (!r->cmdline)
		return error_nomem();
	r->cmdline[0] = "retour";
	memcpy(r->cmdline + 1, argv, (size_t)argc * sizeof(*argv));
	if (!r->events.len && r->backend && r->backend->in_process)
		add_events(r, "cpu-clock");
	if (!r->events.len)
		add_events(r, machine_feature(&machine, FEATURE_CYCLES)->available ? "cycles" : "cpu-clock");
	if (r->command)
		err = targets_add_command(&r->targets, r->command, !strcmp(r->output, "-"));
	return err ? err : open_session(r, &machine, session);
}

/* What the recorder could not do, but goes on without. */
static void print_warning(enum log_level level, const char *text, void *arg)
{
	if (level == LOG_LEVEL_WARNING)
		fprintf(stderr, "retour: warning: %s\n", text);
}

static int record(int argc, char **argv)
{
	_cleanup_(request_deinit) struct request r = {
		.output = "retour.data", .frequency = DEFAULT_FREQUENCY, .max_depth = DEFAULT_DEPTH,
	};
	_cleanup_(session_destroyp) struct session *session = NULL;
	struct session_stats stats;
	struct error *err;

	targets_init(&r.targets);
	parse(&r, argc, argv);
	if (!r.quiet)
		log_set_callback(print_warning, NULL);
	catch_signals();
	err = record_request(&r, argc, argv, &session);
	if (err)
		return cli_fail(err);
	if (!r.quiet && !r.command)
		targets_note_stopped(&r.targets);
	err = run(&r, &r.targets, session);
	if (err)
		return cli_fail(err);
	if (r.command)
		note_command_status(&r.targets);
	session_stats(session, &stats);
	if (!r.quiet)
		record_view_quality(&stats);
	err = r.json ? cli_show_stats(r.output, &(struct filter){ 0 }, true) : NULL;
	return err ? cli_fail(err) : CLI_OK;
}

const struct cli_verb cli_record = {
	.name = "record",
	.synopsis = "[-F HZ | -c N] [-e EVENT]... [-a | -p PID[,PID]... | -t TID[,TID]...] [-o FILE] [--duration S]\n"
		    "       [--backend auto|bpf|native|stack|agent] [--max-depth N] [--deferred-records] [--quiet] [--json] [-- CMD [ARG]...]",
	.summary = "record call chains of the machine, of processes, or of a command",
	.options = options, .run = record,
};
