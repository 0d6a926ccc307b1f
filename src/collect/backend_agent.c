/* SPDX-License-Identifier: MIT */
/*
 * The backend without any privilege: an agent in each process takes the samples
 * and walks the stacks itself, and writes both into rings that are read here.
 * Either a command is started with the agent preloaded, and each process of it
 * comes and says so, or processes that have one are attached to.
 */
#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "collect/agent_client.h"
#include "collect/agent_process.h"
#include "collect/agent_program.h"
#include "collect/agent_server.h"
#include "collect/agent_packet.h"
#include "collect/agent_tracepoints.h"
#include "collect/agent_unseen.h"
#include "collect/backend.h"
#include "collect/perf_events.h"
#include "collect/synthesize.h"
#include "runtime/agent_pattern.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>

enum {
	MAX_PROCESSES = 2048,		/* at once */
	DRAIN_MS = 20,			/* the rings wake nobody */
	ORPHAN_NS = 250000000,		/* for which rings are kept without a process */
	UPDATE_NS = 100000000,		/* between two looks at a process's mappings */
	LOOK_NS = 100000000,		/* at its threads */
	MAX_READY = 64,
	RING_BYTES = 1 << 20,		/* of a CPU */
};

struct agent_backend {
	const struct session_options *options;
	struct recorder *recorder;
	struct perf_event_attr ring_attr;
	struct agent_server server;
	int epoll_fd, timer;
	int page_fd;
	struct agent_page *page;
	struct agent_message session;		/* what every agent is asked for */
	char *environment[3];			/* of the command, NULL-terminated */
	VEC(struct agent_process *) processes;
	struct agent_tracepoints tracepoints;
	struct agent_unseen unseen;		/* processes of the command */
	uint64_t refused, no_files;		/* processes that are not recorded */
	bool stopped;
	struct backend_counters counters;
};

/* ---- the conversation -------------------------------------------------------------- */

static void watch(const struct agent_backend *b, int fd, void *of)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = of };

	epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void hang_up(struct agent_process *p)
{
	if (p->socket >= 0)
		close(p->socket);
	p->socket = -1;
}

/* Takes what is left in its rings; what waits for its turn still refers to it. */
static void end_process(struct agent_backend *b, struct agent_process *p)
{
	if (p->state == AGENT_PROCESS_ENDED)
		return;
	agent_process_drain(p, b->recorder, true);
	p->state = AGENT_PROCESS_ENDED;
	p->ended = clock_monotonic_ns();
	hang_up(p);
}

/* What it has written is read as a member's. */
static void leave(struct agent_backend *b, struct agent_member *member)
{
	struct agent_process *p = member->of;

	agent_process_drain(p, b->recorder, false);
	agent_member_leave(member);
	p->ended = clock_monotonic_ns();
	if (!p->n_alive && p->state != AGENT_PROCESS_RECORDED)
		end_process(b, p);
}

/* An execve has taken the agent of the program before. */
static void end_predecessor(struct agent_backend *b, uint32_t pid)
{
	vec_each(&b->processes, at) {
		struct agent_member *member = agent_process_member(*at, pid);

		if (member)
			leave(b, member);
	}
}

static void say_quit(int fd)
{
	struct agent_message quit = { .kind = AGENT_QUIT };

	agent_packet_send(fd, &quit, -1);
}

static size_t count_processes(const struct agent_backend *b)
{
	size_t n = 0;

	vec_each(&b->processes, at)
		n += (*at)->state != AGENT_PROCESS_ENDED;
	return n;
}

static int ask(struct agent_backend *b, struct agent_process *p)
{
	struct agent_message wanted = b->session;
	int err;

	wanted.session.is_further = p->is_further;
	err = agent_packet_send(p->socket, &wanted, b->page_fd);
	if (!err)
		p->state = AGENT_PROCESS_ASKED;
	return err;
}

static struct error *take_rings(struct agent_backend *b, struct agent_process *p, int fd)
{
	struct error *err = fd < 0 ? error_new(EPROTO, "process %" PRIu32 " sent no rings", p->pid)
				   : agent_process_open_rings(p, fd);

	if (err)
		return err;
	p->state = AGENT_PROCESS_RECORDED;
	recorder_add_process(b->recorder, p->pid);
	if (!p->attached)
		hang_up(p);
	return NULL;
}

/* A thread's clocks are timers, whose signals count as pending. */
static struct error *refusal(const struct agent_process *p, int code)
{
	if (code == EAGAIN)
		return error_new(code, "process %" PRIu32 " has no room for another timer (remedy: sudo prlimit --pid $$ "
				 "--sigpending=65536)", p->pid);
	if (code == ENOENT)
		return error_new(code, "process %" PRIu32 " has no /proc in which its threads could be found (remedy: only "
				 "tracepoints of it, or mount /proc in its root)", p->pid);
	return error_errno(code, "process %" PRIu32 " refuses to be recorded", p->pid);
}

static struct error *take_message(struct agent_backend *b, struct agent_process *p, const struct agent_message *message,
				  int passed)
{
	int err;

	switch (message->kind) {
	case AGENT_HELLO:
		if (p->state != AGENT_PROCESS_NEW)
			break;
		if (message->version != AGENT_VERSION)
			return error_new(EOPNOTSUPP, "the agent in process %" PRIu32 " is of another version", p->pid);
		err = ask(b, p);
		return err ? error_errno(-err, "process %" PRIu32, p->pid) : NULL;
	case AGENT_RINGS:
		if (p->state != AGENT_PROCESS_ASKED)
			break;
		return take_rings(b, p, passed);
	case AGENT_REFUSED:
		return refusal(p, (int)message->error);
	}
	return error_new(EPROTO, "process %" PRIu32 " does not speak as an agent does", p->pid);
}

/* What there is of its packets. */
static void converse(struct agent_backend *b, struct agent_process *p)
{
	while (p->socket >= 0) {
		struct agent_message message;
		struct error *err = NULL;
		int passed, n = agent_packet_receive(p->socket, &message, &passed);

		if (!n)
			return;
		if (n > 0)
			err = take_message(b, p, &message, passed);
		if (passed >= 0)
			close(passed);
		if (n > 0 && !err)
			continue;
		/* One that is recorded already goes on without. */
		b->refused += !err && p->state < AGENT_PROCESS_RECORDED;
		if (err)
			log_warning("%s", err->text);
		error_free(err);
		if (p->state < AGENT_PROCESS_RECORDED)
			end_process(b, p);
		else
			hang_up(p);
	}
}

/* By another agent of the program that it is now. */
static bool is_recorded(struct agent_backend *b, uint32_t pid)
{
	vec_each(&b->processes, at) {
		/* What it has said before this one came. */
		if ((*at)->state == AGENT_PROCESS_ASKED && (*at)->pid == pid)
			converse(b, *at);
		if ((*at)->state == AGENT_PROCESS_RECORDED && agent_process_member(*at, pid) &&
		    agent_process_is_mapped(*at, pid))
			return true;
	}
	return false;
}

static struct error *add_process(struct agent_backend *b, int socket, uint32_t pid, struct agent_process **ret)
{
	bool is_further = is_recorded(b, pid);
	struct agent_process *p;
	struct error *err;

	if (b->stopped || count_processes(b) >= MAX_PROCESSES || !vec_reserve(&b->processes, b->processes.len + 1)) {
		say_quit(socket);
		close(socket);
		return error_new(E2BIG, "at most %d processes at once are recorded", MAX_PROCESSES);
	}
	if (!is_further)
		end_predecessor(b, pid);
	err = agent_process_create(socket, pid, b->epoll_fd, &p);
	if (err)
		return err;
	p->is_further = is_further;
	vec_push(&b->processes, p);
	watch(b, p->socket, p);
	*ret = p;
	return NULL;
}

static void accept_processes(struct agent_backend *b)
{
	struct agent_process *p;
	uint32_t pid;
	int fd;

	while ((fd = agent_server_accept(&b->server, &pid)) != -EAGAIN) {
		struct error *err;

		if (fd < 0 && fd != -EPERM && fd != -EMFILE)
			return;
		if (fd == -EMFILE) {
			b->no_files++;
			continue;
		}
		err = fd < 0 ? error_new(EPERM, "somebody else's") : add_process(b, fd, pid, &p);
		b->refused += err != NULL;
		error_free(err);
	}
}

/* ---- draining ---------------------------------------------------------------------- */

static void look_for_code(struct agent_backend *b, struct agent_process *p)
{
	uint64_t now = clock_monotonic_ns();

	if (now - p->updated < UPDATE_NS)
		return;
	recorder_update_process(b->recorder, p->unknown_code_pid, p->unknown_code);
	p->updated = now;
	p->unknown_code = 0;
}

/* Who is attached to looks itself. */
static void look_for_threads(struct agent_process *p)
{
	uint64_t now = clock_monotonic_ns();

	if (p->state != AGENT_PROCESS_RECORDED || p->attached || p->is_further || now - p->looked < LOOK_NS)
		return;
	agent_process_look(p);
	p->looked = now;
}

static void drain_process(struct agent_backend *b, struct agent_process *p)
{
	if (p->unknown_code)
		look_for_code(b, p);
	if (p->state == AGENT_PROCESS_RECORDED)
		agent_process_drain(p, b->recorder, false);
	look_for_threads(p);
	/* A child that nobody has heard of may be about to run. */
	if (p->state == AGENT_PROCESS_RECORDED && !p->n_alive && clock_monotonic_ns() - p->ended > ORPHAN_NS)
		end_process(b, p);
	if (p->state == AGENT_PROCESS_ASKED && clock_monotonic_ns() - p->since > AGENT_PATIENCE * 1000000000ull)
		end_process(b, p);
	b->counters.requests += p->samples;
	b->counters.lost_records += p->lost + p->foreign;
	for (size_t i = 0; i < UNSAMPLED_MAX; i++)
		b->counters.unsampled[i] += p->unsampled[i] - p->counted[i];
	memcpy(p->counted, p->unsampled, sizeof(p->counted));
	p->samples = p->lost = p->foreign = 0;
}

static void look_at(struct agent_backend *b, void *what)
{
	struct agent_member *member = agent_member_of_tag(what);

	if (!member)
		converse(b, what);
	else if (agent_member_has_ended(member))
		leave(b, member);
}

static void read_timer(int fd)
{
	uint64_t ticks;

	if (read(fd, &ticks, sizeof(ticks)) < 0)
		return;		/* not yet */
}

/* Closed even to its own user, as programs may decide, and not because it has the rights of another. */
static bool hides_memory(uint32_t pid)
{
	_cleanup_fclose_ FILE *f = NULL;
	unsigned int real, effective, saved = 0, me = getuid();
	char line[128];

	snprintf(line, sizeof(line), "/proc/%" PRIu32 "/maps", pid);
	f = fopen(line, "re");
	if (f || errno != EACCES)
		return false;
	snprintf(line, sizeof(line), "/proc/%" PRIu32 "/status", pid);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Uid: %u %u %u", &real, &effective, &saved) == 3)
			return real == me && effective == me && saved == me;
	return false;
}

/* A program that took the place of one with an agent has its id, but not its memory. */
static bool has_agent(void *backend, uint32_t pid)
{
	struct agent_backend *b = backend;

	vec_each(&b->processes, at) {
		if ((*at)->pid == pid && (*at)->state < AGENT_PROCESS_RECORDED)
			return true;
		if ((*at)->state == AGENT_PROCESS_RECORDED && agent_process_member(*at, pid) &&
		    (agent_process_is_mapped(*at, pid) || hides_memory(pid)))
			return true;
	}
	return false;
}

static void agent_drain(void *backend)
{
	struct agent_backend *b = backend;
	struct epoll_event ready[MAX_READY];
	int n;

	do {
		n = epoll_wait(b->epoll_fd, ready, MAX_READY, 0);
		for (int i = 0; i < n; i++) {
			if (ready[i].data.ptr == &b->server)
				accept_processes(b);
			else if (ready[i].data.ptr == &b->timer)
				read_timer(b->timer);
			else
				look_at(b, ready[i].data.ptr);
		}
	} while (n == MAX_READY);
	vec_each(&b->processes, at)
		drain_process(b, *at);
	if (b->server.fd >= 0 && !b->stopped)
		b->counters.unsampled[UNSAMPLED_NO_AGENT] += (uint64_t)agent_unseen_look(&b->unseen, has_agent, b);
}

/* ---- events whose turn has come ------------------------------------------------------ */

static struct agent_process *find_process(struct agent_backend *b, uint32_t pid)
{
	vec_each(&b->processes, at)
		if (agent_process_member(*at, pid))
			return *at;
	return NULL;
}

/* Code that nobody told of, as what a program has mapped itself: the next drain looks for it. */
static void miss_unknown_code(struct agent_backend *b, const struct agent_chain *chain)
{
	for (uint16_t i = 0; i < chain->n; i++) {
		struct agent_process *p;

		if (process_tracker_find(recorder_processes(b->recorder), chain->pid, chain->ips[i] - (i > 0)))
			continue;
		p = find_process(b, chain->pid);
		if (p && !p->unknown_code) {
			p->unknown_code = chain->time - 1;
			p->unknown_code_pid = chain->pid;
		}
		return;
	}
}

static void take_chain(struct agent_backend *b, const struct agent_chain *from)
{
	struct chain chain = {
		.time = from->time, .cookie = from->cookie, .pid = from->pid, .tid = from->tid, .cpu = from->cpu,
		.reason = from->reason, .n = from->n, .ips = from->ips,
	};

	if (chain.n > b->options->max_depth) {
		chain.n = (uint16_t)b->options->max_depth;
		chain.reason = REASON_MAX_DEPTH;
	}
	b->counters.walks++;
	b->counters.frames += chain.n;
	miss_unknown_code(b, from);
	recorder_chain(b->recorder, &chain);
}

static void take_sample(struct agent_backend *b, struct agent_queued *head, uint32_t size)
{
	struct sample_record *sample = (struct sample_record *)(head + 1);
	bool good = sample->event < b->options->n_events;

	size -= (uint32_t)sizeof(*head);
	if (good && session_event_is_pattern(&b->options->events[sample->event]))
		good = agent_tracepoints_convert(&b->tracepoints, head->process, head->tracepoint, sample, size);
	if (good)
		recorder_sample(b->recorder, sample, size);
	else
		b->counters.lost_samples++;
}

static void take_tracepoint(struct agent_backend *b, const struct agent_queued *head)
{
	agent_tracepoints_add(&b->tracepoints, b->recorder, head->process, (const void *)(head + 1));
}

static void agent_take(void *backend, enum recorder_event kind, const void *data, uint32_t size)
{
	switch (kind) {
	case EVENT_SAMPLE:
		take_sample(backend, (void *)data, size);	/* the queue's, but nobody's any more */
		break;
	case EVENT_COPY:
		take_tracepoint(backend, data);
		break;
	case EVENT_CHAIN:
		take_chain(backend, data);
		break;
	default:
		break;
	}
}

static void agent_expire(void *backend, uint64_t time)
{
	struct agent_backend *b = backend;
	size_t kept = 0;

	vec_each(&b->processes, at) {
		struct agent_process *p = *at;

		if (p->state == AGENT_PROCESS_ENDED && p->ended < time)
			agent_process_destroy(p);
		else
			b->processes.data[kept++] = p;
	}
	b->processes.len = kept;
}

/* ---- life ------------------------------------------------------------------------------ */

static void agent_destroy(void *backend)
{
	struct agent_backend *b = backend;

	vec_each(&b->processes, at)
		agent_process_destroy(*at);
	vec_free(&b->processes);
	vec_free(&b->tracepoints.events);
	agent_unseen_free(&b->unseen);
	agent_server_close(&b->server);
	if (b->page) {
		__atomic_store_n(&b->page->state, AGENT_GONE, __ATOMIC_RELEASE);
		pthread_mutex_unlock(&b->page->recorder);
		munmap(b->page, sizeof(*b->page));
	}
	if (b->page_fd >= 0)
		close(b->page_fd);
	if (b->timer >= 0)
		close(b->timer);
	if (b->epoll_fd >= 0)
		close(b->epoll_fd);
	for (int i = 0; b->environment[i]; i++)
		free(b->environment[i]);
	free(b);
}

/* An epoll inside the session's: who of many processes has something to say. */
static struct error *create_watch(struct agent_backend *b, int epoll_fd)
{
	const struct itimerspec ticks = { { 0, DRAIN_MS * 1000000 }, { 0, DRAIN_MS * 1000000 } };
	struct epoll_event event = { .events = EPOLLIN };

	b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	b->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (b->epoll_fd < 0 || b->timer < 0 || timerfd_settime(b->timer, 0, &ticks, NULL) ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, b->epoll_fd, &event))
		return error_errno(errno, "epoll");
	watch(b, b->timer, &b->timer);
	return NULL;
}

/* For as long as this thread lives; nobody else takes it. */
static void hold(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(mutex, &attr);
	pthread_mutex_lock(mutex);
	pthread_mutexattr_destroy(&attr);
}

/* Written here only: the agents' mappings cannot be. */
static struct error *create_page(struct agent_backend *b)
{
	b->page_fd = memfd_create("retour-session", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (b->page_fd < 0 || ftruncate(b->page_fd, sizeof(*b->page)))
		return error_errno(errno, "the session's page");
	b->page = mmap(NULL, sizeof(*b->page), PROT_READ | PROT_WRITE, MAP_SHARED, b->page_fd, 0);
	if (b->page == MAP_FAILED) {
		b->page = NULL;
		return error_errno(errno, "the session's page");
	}
	hold(&b->page->recorder);
	if (fcntl(b->page_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL))
		return error_errno(errno, "the session's page");
	return NULL;
}

static struct error *fill_event(const struct session_options *options, const struct session_event *from,
				struct agent_event *to)
{
	uint64_t period = options->period ? options->period : 1000000000 / options->frequency;

	*to = (struct agent_event){ .kind = AGENT_CPU_CLOCK, .period = period };
	if (session_event_is_pattern(from)) {
		if (strlen(from->name) >= sizeof(to->pattern))
			return error_new(EINVAL, "the pattern %s is too long", from->name);
		to->kind = AGENT_TRACEPOINTS;
		to->period = options->period ? options->period : 1;
		strcpy(to->pattern, from->name);
	} else if (!strcmp(from->name, "wall-clock")) {
		to->kind = AGENT_WALL_CLOCK;
	} else if (strcmp(from->name, "cpu-clock") && strcmp(from->name, "task-clock")) {
		return error_new(EOPNOTSUPP, "backend agent has no event %s (remedy: -e cpu-clock)", from->name);
	}
	return NULL;
}

static struct error *fill_session(struct agent_backend *b)
{
	struct agent_session *s = &b->session.session;
	struct error *err = NULL;

	b->session.kind = AGENT_SESSION;
	*s = (struct agent_session){ .n_events = (uint32_t)b->options->n_events, .max_depth = b->options->max_depth,
				     .ring_bytes = RING_BYTES };
	for (size_t i = 0; !err && i < b->options->n_events; i++)
		err = fill_event(b->options, &b->options->events[i], &s->events[i]);
	return err;
}

static struct error *fill_environment(struct agent_backend *b)
{
	_cleanup_free_ char *object = NULL, *preload = NULL;
	struct error *err = agent_object_find(&object);

	if (!err)
		err = agent_program_preload(object, getenv("LD_PRELOAD"), &preload);
	if (err)
		return err;
	if (asprintf(&b->environment[0], "LD_PRELOAD=%s", preload) < 0 ||
	    asprintf(&b->environment[1], AGENT_ENVIRONMENT "=%s", b->server.path) < 0)
		return error_nomem();
	return NULL;
}

static struct error *prepare_command(struct agent_backend *b)
{
	struct error *err = agent_program_check(b->options->command);

	if (!err)
		err = agent_server_open(&b->server);
	if (!err)
		err = fill_environment(b);
	if (!err)
		watch(b, b->server.fd, &b->server);
	return err;
}

static struct error *attach_to(struct agent_backend *b, pid_t pid, int fd)
{
	struct agent_process *p;
	struct agent_message message;
	struct error *err = add_process(b, fd, (uint32_t)pid, &p);
	int passed, n;

	if (err)
		return err;
	p->attached = true;
	n = ask(b, p);
	if (!n)
		n = agent_packet_wait(p->socket, &message, &passed);
	if (n <= 0)
		return agent_no_answer(pid);
	err = take_message(b, p, &message, passed);
	if (passed >= 0)
		close(passed);
	return err;
}

static struct error *attach(struct agent_backend *b, pid_t pid)
{
	unsigned int number = 0;
	struct error *err;
	int fd;

	do {
		err = agent_connect(pid, &number, &fd);
		if (!err && fd >= 0)
			err = attach_to(b, pid, fd);
	} while (!err && fd >= 0);
	return err;
}

static struct error *open_targets(struct agent_backend *b)
{
	struct error *err = NULL;

	if (b->options->scope != SESSION_PROCESSES)
		return error_new(EOPNOTSUPP, "backend agent records the processes of a command, or those that use "
				 "libretour: -- CMD, or -p PID");
	if (b->options->command)
		return prepare_command(b);
	for (size_t i = 0; !err && i < b->options->n_pids; i++)
		err = attach(b, b->options->pids[i]);
	return err;
}

static struct error *agent_create(const struct backend_context *context, void **ret)
{
	struct agent_backend *b = calloc(1, sizeof(*b));
	struct error *err;

	if (!b)
		return error_nomem();
	b->options = context->options;
	b->recorder = context->recorder;
	b->epoll_fd = b->timer = b->page_fd = b->server.fd = b->server.spare = -1;
	b->ring_attr = perf_events_side_band_attr();
	err = fill_session(b);
	if (!err)
		err = create_watch(b, context->epoll_fd);
	if (!err)
		err = create_page(b);
	if (!err)
		err = open_targets(b);
	if (err) {
		agent_destroy(b);
		return err;
	}
	*ret = b;
	return NULL;
}

static const struct perf_event_attr *agent_ring_attr(void *backend)
{
	struct agent_backend *b = backend;

	return &b->ring_attr;
}

static const char *const *agent_environment(void *backend)
{
	struct agent_backend *b = backend;

	return (const char *const *)b->environment;
}

static struct error *agent_enable(void *backend)
{
	struct agent_backend *b = backend;

	__atomic_store_n(&b->page->state, AGENT_RUNNING, __ATOMIC_RELEASE);
	return NULL;
}

/* An event of the recording is of the pattern that it matches. */
static bool matched(const struct agent_backend *b, const char *pattern)
{
	vec_each(&b->tracepoints.events, known) {
		char name[2 * AGENT_MAX_NAME];

		snprintf(name, sizeof(name), "%s:%s", known->description.provider, known->description.name);
		if (agent_pattern_matches(pattern, name))
			return true;
	}
	return false;
}

static void tell_unmatched(const struct agent_backend *b)
{
	for (size_t i = 0; i < b->options->n_events; i++) {
		const struct session_event *event = &b->options->events[i];

		if (session_event_is_pattern(event) && !matched(b, event->name))
			log_warning("no tracepoint matched %s", event->name);
	}
}

/* Those who are attached to see that we hang up; the others look at the page. */
static void agent_disable(void *backend)
{
	struct agent_backend *b = backend;

	__atomic_store_n(&b->page->state, AGENT_STOPPED, __ATOMIC_RELEASE);
	b->stopped = true;
	vec_each(&b->processes, at)
		hang_up(*at);
	tell_unmatched(b);
	if (b->no_files)
		log_warning("%" PRIu64 " processes were not recorded: too many open files (remedy: " FILES_REMEDY ")",
			    b->no_files);
	if (b->refused)
		log_warning("%" PRIu64 " process%s not recorded: too many at once, or not as agents are", b->refused,
			    b->refused == 1 ? " was" : "es were");
}

static void agent_follow_cpus(void *backend)
{
}

/* The task is gone, or its process has lost records, or it is still in runtime mode. */
static uint16_t agent_why_no_chain(void *backend, uint32_t tid, uint64_t cookie)
{
	struct agent_backend *b = backend;

	if (b->counters.lost_records)
		return REASON_RECORD_LOST;
	return thread_group_of(tid) ? REASON_NOT_RETURNED : REASON_EXITING;
}

static void agent_counters(void *backend, struct backend_counters *ret)
{
	struct agent_backend *b = backend;

	*ret = b->counters;
}

const struct backend backend_agent = {
	.name = "agent", .create = agent_create, .destroy = agent_destroy, .now = clock_monotonic_ns,
	.ring_attr = agent_ring_attr,
	.environment = agent_environment, .enable = agent_enable, .disable = agent_disable, .drain = agent_drain,
	.take = agent_take, .expire = agent_expire, .follow_cpus = agent_follow_cpus,
	.why_no_chain = agent_why_no_chain, .counters = agent_counters,
};
