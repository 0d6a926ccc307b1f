/* SPDX-License-Identifier: MIT */
/* Recorders that attach to a program with tracepoints. */
#include <dirent.h>
#include <time.h>

#include "recorder.h"
#include "retour/tracepoint.h"

/* What a sample's raw data begin with. */
struct head {
	uint16_t type;
	uint8_t flags, preempt_count;
	int32_t pid;
};

static pid_t program;
static int output;
static char agent_path[128];

static void start_traced(const char *how)
{
	int ends[2];

	CHECK(!pipe2(ends, O_CLOEXEC));
	program = fork();
	if (program == 0) {
		dup2(ends[1], STDOUT_FILENO);
		unsetenv("LD_PRELOAD");
		unsetenv(AGENT_ENVIRONMENT);
		execl(TRACED, TRACED, how, NULL);
		_exit(127);
	}
	close(ends[1]);
	output = ends[0];
	snprintf(agent_path, sizeof(agent_path), AGENT_SOCKET, geteuid(), program, 0);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	for (int i = 0; i < 6000; i++) {
		if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
			return fd;
		usleep(10000);
	}
	CHECK(!"somebody listens");
	return -1;
}

static int attach(void)
{
	int fd = connect_to(agent_path), none;
	struct agent_message hello;

	CHECK(receive_packet(fd, &hello, &none) && hello.kind == AGENT_HELLO);
	return fd;
}

static void want_tracepoints(const char *pattern, unsigned int period)
{
	session = (struct agent_session){
		.n_events = 1, .max_depth = 127, .events = { { .kind = AGENT_TRACEPOINTS, .period = period } },
	};
	strcpy(session.events[0].pattern, pattern);
	if (page_fd < 0)
		make_page(F_SEAL_SHRINK | F_SEAL_GROW);
}

/* Descriptions are read before there are samples: rings are read one after the other. */
static void start_session(int fd)
{
	unsigned int n = n_readers;

	page->state = AGENT_WAITING;
	send_session(fd);
	take_rings(fd);
	CHECK(n_readers == n + 1);
	read_rings();
	page->state = AGENT_RUNNING;
}

static void read_for(unsigned int ms)
{
	for (unsigned int i = 0; i < ms / 10; i++) {
		usleep(10000);
		read_rings();
	}
}

/* So many processes have fired more than once: each then knows that it is traced. */
static void read_until_sampled(unsigned int n)
{
	for (int i = 0; i < 6000; i++) {
		unsigned int sampled = 0;

		for (unsigned int t = 0; t < n_tasks; t++)
			sampled += tasks[t].samples > 4;
		if (sampled >= n)
			return;
		read_for(10);
	}
	CHECK(!"it is sampled");
}

static void wait_for_end(void)
{
	char text[64] = "";
	int status;

	CHECK(waitpid(program, &status, 0) == program);
	CHECK(read(output, text, sizeof(text) - 1) >= 0);
	CHECK_STR(text, "done\n");
	CHECK(status == 0);
	/* The socket goes with the process. */
	CHECK(access(agent_path, F_OK));
}

static struct agent_tracepoint told[64];
static unsigned int n_told, n_of[64];
static int last_id;

static const struct agent_tracepoint *told_of(const char *name)
{
	for (unsigned int i = 0; i < n_told; i++)
		if (!strcmp(told[i].name, name))
			return &told[i];
	return NULL;
}

static void check_string(const struct agent_sample *sample, unsigned int offset, const char *want)
{
	uint32_t loc;

	memcpy(&loc, sample->raw + offset, 4);
	CHECK((loc & 0xffff) + (loc >> 16) <= sample->raw_size && loc >> 16 == strlen(want) + 1);
	CHECK_STR((const char *)sample->raw + (loc & 0xffff), want);
}

static void check_sample(const struct agent_sample *sample)
{
	struct head head;
	int a, b;

	memcpy(&head, sample->raw, sizeof(head));
	CHECK(sample->raw_size >= sizeof(head) && head.type >= 1 && head.type <= n_told);
	CHECK(head.pid == (int)sample->tid && !head.flags);
	const struct agent_tracepoint *tp = &told[head.type - 1];

	n_of[head.type - 1]++;
	memcpy(&a, sample->raw + 8, 4);
	memcpy(&b, sample->raw + 12, 4);
	if (!strcmp(tp->name, "pair")) {
		CHECK(sample->raw_size == 16 && a == -b && a > 0);
		last_id = a;
	} else if (!strcmp(tp->name, "request")) {
		CHECK(a > 0);
		check_string(sample, 12, a % 2 ? "/odd" : "");
	} else if (!strcmp(tp->name, "small")) {
		double d;
		signed char c = (signed char)sample->raw[8];

		memcpy(&d, sample->raw + 16, 8);
		CHECK(sample->raw_size == 32 && c == (signed char)-(int)(d * 2));
		CHECK((uint16_t)(sample->raw[10] | sample->raw[11] << 8) == (uint16_t)(d * 6));
	} else if (!strcmp(tp->name, "late")) {
		CHECK(sample->raw_size == 16 && a == 42 && b == 0);
	} else {
		CHECK_STR(tp->name, "tick");
		CHECK(sample->raw_size == 8);
	}
}

static uint64_t chain_first[2];

static bool take(const struct perf_event_header *header)
{
	const struct agent_sample *sample = (const void *)(header + 1);
	const struct agent_chain *chain = (const void *)(header + 1);

	if (header->type == AGENT_RECORD_TRACEPOINT) {
		CHECK(header->size - sizeof(*header) <= sizeof(told[0]) && n_told < 64);
		memcpy(&told[n_told++], header + 1, header->size - sizeof(*header));
		CHECK(told[n_told - 1].id == n_told);
	} else if (header->type == AGENT_RECORD_SAMPLE && sample->raw_size) {
		check_sample(sample);
	} else if (header->type == AGENT_RECORD_CHAIN && chain->n > 2) {
		chain_first[0] = chain->ips[0];
		chain_first[1] = chain->ips[1];
	}
	return false;
}

/* A description may be on another ring than the samples that follow it. */
static bool take_sorted(const struct perf_event_header *header)
{
	const struct agent_sample *sample = (const void *)(header + 1);

	if (header->type == AGENT_RECORD_SAMPLE && *(const uint16_t *)sample->raw > n_told)
		return true;
	return take(header);
}

TEST(lists)
{
	struct agent_message ask = { .kind = AGENT_LIST, .size = offsetof(struct agent_message, version) }, answer;
	unsigned int n_app = 0, n_retour = 0;
	int fd, none;

	start_traced(NULL);
	fd = attach();
	send_packet(fd, &ask, ask.size, -1);
	for (;;) {
		CHECK(receive_packet(fd, &answer, &none));
		if (answer.kind == AGENT_DONE)
			break;
		CHECK(answer.kind == AGENT_TRACEPOINT);
		n_app += !strcmp(answer.tracepoint.provider, "app");
		n_retour += !strcmp(answer.tracepoint.provider, "retour");
		if (strcmp(answer.tracepoint.name, "request"))
			continue;
		CHECK(answer.tracepoint.n_fields == 2 && answer.tracepoint.fields[0].size == 4);
		CHECK_STR(answer.tracepoint.fields[1].name, "path");
		CHECK_STR(answer.tracepoint.fields[1].type, "const char *");
		CHECK(answer.tracepoint.fields[1].kind == RETOUR_FIELD_STRING);
	}
	CHECK(n_app == 4 && n_retour >= 8);
	/* The same connection can then record. */
	want_tracepoints("app:pair", 1);
	start_session(fd);
	read_until_sampled(1);
	close(fd);
	wait_for_end();
}

/* Once: a recorder that goes on asking would keep the others away. */
TEST(lists_once)
{
	struct agent_message ask = { .kind = AGENT_LIST, .size = offsetof(struct agent_message, version) }, answer;
	int fd, none;

	start_traced(NULL);
	fd = attach();
	send_packet(fd, &ask, ask.size, -1);
	do
		CHECK(receive_packet(fd, &answer, &none));
	while (answer.kind != AGENT_DONE);
	send_packet(fd, &ask, ask.size, -1);
	CHECK(!receive_packet(fd, &answer, &none));
	close(fd);
	want_tracepoints("app:pair", 1);
	fd = attach();
	start_session(fd);
	read_until_sampled(1);
	close(fd);
	wait_for_end();
}

static void copy_file(const char *from, const char *to)
{
	static char bytes[1 << 16];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0700);
	ssize_t n;

	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		CHECK(write(out, bytes, n) == n);
	CHECK(!n && !close(in) && !close(out));
}

/* Who starts a program with other rights than theirs has no say in what it connects to. */
TEST(started_with_its_owners_rights)
{
	char path[128];
	int fd;

	if (geteuid())
		SKIP("needs root");
	listen_for_agents();
	CHECK(!chmod(directory, 0711) && !chmod(socket_path, 0666));
	snprintf(path, sizeof(path), "%s/traced", directory);
	copy_file(TRACED_ELSEWHERE, path);
	CHECK(!chmod(path, 04755));
	program = fork();
	if (program == 0) {
		setenv(AGENT_ENVIRONMENT, socket_path, 1);
		unsetenv("LD_PRELOAD");
		CHECK(!setgid(65534) && !setuid(65534));
		execl(path, path, NULL);
		_exit(127);
	}
	snprintf(agent_path, sizeof(agent_path), AGENT_SOCKET, geteuid(), program, 0);
	fd = attach();
	close(fd);
	kill(program, SIGKILL);
	waitpid(program, NULL, 0);
	unlink(agent_path);
	unlink(path);
	unlink(socket_path);
	rmdir(directory);
}

TEST(fields_and_chains)
{
	int fd;

	on_record = take;
	start_traced(NULL);
	fd = attach();
	want_tracepoints("app:*", 1);
	/* None is lost, however late they are read. */
	session.ring_bytes = 4 << 20;
	start_session(fd);
	for (int i = 0; i < 600 && seen.samples < 100; i++)
		read_for(100);
	close(fd);
	wait_for_end();
	read_rings();
	CHECK(n_told == 4 && told_of("request") && told_of("small") && !seen.lost);
	for (unsigned int i = 0; i < n_told; i++)
		CHECK(n_of[i] >= 20);
	CHECK(seen.chains == seen.samples && seen.complete == seen.chains);
	/* The tracepoint's own function is not in the chain: it begins with its caller, and main() called that. */
	CHECK(chain_first[0] && chain_first[1] != chain_first[0]);
}

/* Every third hit. */
TEST(period)
{
	int fd;

	on_record = take;
	start_traced(NULL);
	fd = attach();
	want_tracepoints("app:pair", 3);
	start_session(fd);
	for (int i = 0; i < 600 && seen.samples < 20; i++)
		read_for(100);
	CHECK(n_told == 1 && seen.samples >= 20 && n_of[0] == seen.samples);
	CHECK((unsigned int)last_id + 3 >= 3 * seen.samples);
	close(fd);
	wait_for_end();
}

/* What an object brings along is recorded while it is there, each time; the number stays. */
TEST(late_objects)
{
	const struct agent_tracepoint *late;
	int fd;

	on_record = take_sorted;
	start_traced("plugin");
	fd = attach();
	want_tracepoints("app:[lp]*", 1);
	start_session(fd);
	for (int i = 0; i < 600 && (!told_of("late") || n_of[told_of("late")->id - 1] < 5); i++)
		read_for(100);
	late = told_of("late");
	CHECK(late && n_told == 2 && n_of[late->id - 1] >= 5);
	close(fd);
	wait_for_end();
}

/* A child of a recorded process is recorded, too, until the page says that it is over. */
TEST(forked_while_recorded)
{
	int fd;

	start_traced("fork_late");
	want_tracepoints("app:pair", 1);
	fd = attach();
	start_session(fd);
	read_until_sampled(2);
	CHECK(seen.forks == 1);
	page->state = AGENT_STOPPED;
	wait_for_end();
	close(fd);
}

/* Clocks beside tracepoints, in a program that knows neither of them nor of a preloaded object. */
TEST(clocks)
{
	int fd;

	start_traced(NULL);
	fd = attach();
	want_tracepoints("app:pair", 1);
	session.events[1] = (struct agent_event){ .kind = AGENT_WALL_CLOCK, .period = 2000000 };
	session.n_events = 2;
	start_session(fd);
	for (int i = 0; i < 600 && (seen.of_event[0] < 10 || seen.of_event[1] < 10); i++)
		read_for(100);
	CHECK(seen.of_event[0] >= 10 && seen.of_event[1] >= 10 && seen.chains);
	/* The agent's own thread is not sampled. */
	CHECK(n_tasks == 1);
	close(fd);
	wait_for_end();
}

static bool stop_when_sampled(const struct perf_event_header *header)
{
	if (header->type == AGENT_RECORD_SAMPLE && seen.samples > 20)
		page->state = AGENT_STOPPED;
	return false;
}

/* In a program that a recorder started there is somebody to switch tracepoints off, too. */
TEST(started_by_a_recorder)
{
	char *argv[] = { (char *)TRACED, NULL };

	want_tracepoints("app:pair", 1);
	on_record = stop_when_sampled;
	CHECK(!record_argv(argv));
	CHECK_STR(program_output, "done\n");
	CHECK(n_readers == 1 && seen.samples > 20);
}

/* Each has its own rings; the first to leave does not end the other's. */
TEST(two_recorders)
{
	unsigned int before;
	int first, second;

	start_traced(NULL);
	want_tracepoints("app:pair", 1);
	first = attach();
	start_session(first);
	second = attach();
	start_session(second);
	CHECK(n_readers == 2);
	read_until_sampled(1);
	close(first);
	read_for(200);
	before = seen.samples;
	for (int i = 0; i < 600 && seen.samples == before; i++)
		read_for(100);
	CHECK(seen.samples > before);
	close(second);
	wait_for_end();
}

TEST(stopped_by_the_page)
{
	int fd;

	start_traced(NULL);
	want_tracepoints("app:pair", 1);
	fd = attach();
	start_session(fd);
	read_until_sampled(1);
	page->state = AGENT_STOPPED;
	wait_for_end();
	close(fd);
}

/* 0: it has none yet. */
static pid_t child_of(pid_t wanted)
{
	DIR *d = opendir("/proc");
	pid_t found = 0;

	CHECK(d);
	for (struct dirent *e; !found && (e = readdir(d));) {
		char path[64], text[256] = "";
		int stat, child = atoi(e->d_name), parent = 0;

		snprintf(path, sizeof(path), "/proc/%d/stat", child);
		stat = child > 0 ? open(path, O_RDONLY) : -1;
		if (stat < 0)
			continue;
		/* It may have ended meanwhile. */
		if (read(stat, text, sizeof(text) - 1) > 0 && strrchr(text, ')'))
			sscanf(strrchr(text, ')') + 1, " %*c %d", &parent);
		close(stat);
		if (parent == wanted)
			found = child;
	}
	closedir(d);
	return found;
}

/* A child goes on in the same rings, and can be attached to by itself. */
TEST(child)
{
	pid_t child;
	int fd;

	start_traced("fork");
	want_tracepoints("app:pair", 1);
	while (!(child = child_of(program)))
		usleep(10000);
	fd = attach();
	CHECK(fd >= 0);
	snprintf(agent_path, sizeof(agent_path), AGENT_SOCKET, geteuid(), child, 0);
	start_session(fd);
	int fd_of_child = attach();

	start_session(fd_of_child);
	read_until_sampled(2);
	CHECK(n_readers == 2);
	close(fd);
	close(fd_of_child);
	wait_for_end();
}

static int send_raw(const void *data, size_t size, int passed)
{
	struct agent_message answer;
	int fd = attach(), none, error = 0;

	send_packet(fd, data, size, passed);
	/* Refused, or hung up on. */
	if (receive_packet(fd, &answer, &none)) {
		CHECK(answer.kind == AGENT_REFUSED && none < 0);
		error = (int)answer.error;
	}
	close(fd);
	return error;
}

TEST(hostile_recorders)
{
	struct agent_message message = { .kind = AGENT_SESSION, .size = session_size() };
	int unsealed = memfd_create("unsealed", MFD_ALLOW_SEALING), plain = open("/dev/null", O_RDONLY), small;
	int fd;

	start_traced(NULL);
	want_tracepoints("app:pair", 1);
	message.session = session;
	CHECK(unsealed >= 0 && !ftruncate(unsealed, 4096));
	small = memfd_create("small", MFD_ALLOW_SEALING);
	CHECK(!ftruncate(small, 2) && !fcntl(small, F_ADD_SEALS, F_SEAL_SHRINK));
	CHECK(!send_raw("x", 1, -1));
	CHECK(!send_raw(&message, 8, -1));
	CHECK(!send_raw(&message, sizeof(message), -1));
	CHECK(send_raw(&message, session_size(), -1) == EINVAL);
	CHECK(send_raw(&message, session_size(), unsealed) == EINVAL);
	CHECK(send_raw(&message, session_size(), plain) == EINVAL);
	CHECK(send_raw(&message, session_size(), small) == EINVAL);
	message.session.n_events = AGENT_MAX_EVENTS + 1;
	CHECK(send_raw(&message, session_size(), page_fd) == EINVAL);
	message.session.n_events = 1;
	message.session.events[0].kind = 77;
	CHECK(send_raw(&message, session_size(), page_fd) == EINVAL);
	message.session.events[0].kind = AGENT_CPU_CLOCK;
	CHECK(send_raw(&message, session_size(), page_fd) == EINVAL);
	message.session.events[0] = session.events[0];
	memset(message.session.events[0].pattern, 'x', AGENT_MAX_NAME);
	CHECK(send_raw(&message, session_size(), page_fd) == EINVAL);
	message.session = session;
	message.session.ring_bytes = 12345;
	CHECK(send_raw(&message, session_size(), page_fd) == EINVAL);
	message.size = 1u << 30;
	CHECK(!send_raw(&message, session_size(), page_fd));
	message.size = session_size();
	message.kind = 99;
	CHECK(!send_raw(&message, session_size(), -1));
	/* Who comes after them is served. */
	fd = attach();
	start_session(fd);
	read_until_sampled(1);
	close(fd);
	wait_for_end();
}

/* More than fit come; who leaves makes room. */
TEST(many_recorders)
{
	int fd[12], none, n = 0;
	struct agent_message answer;

	start_traced(NULL);
	want_tracepoints("app:pair", 1);
	for (int i = 0; i < 12; i++) {
		fd[n] = connect_to(agent_path);
		CHECK(receive_packet(fd[n], &answer, &none));
		if (answer.kind == AGENT_REFUSED) {
			CHECK(answer.error == EBUSY);
			n_refused++;
			close(fd[n]);
			continue;
		}
		start_session(fd[n]);
		n++;
	}
	CHECK(n == 8 && n_refused == 4 && n_readers == 8);
	read_until_sampled(1);
	close(fd[--n]);
	fd[n] = attach();
	while (n >= 0)
		close(fd[n--]);
	wait_for_end();
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
