/* SPDX-License-Identifier: MIT */
/*
 * A small HTTP server with two tracepoints, which five lines make: 1 to 5 below.
 *
 *	./server 8080 &				port 0: any; it says which
 *	curl localhost:8080/primes/100000	how many primes there are below
 *	retour record -e 'app:*' -p $!		who asked for what, with call chains
 *
 * One thread, epoll, one request a connection.
 */
#define _GNU_SOURCE 1	/* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <retour/tracepoint.h>							/* 1 */

RETOUR_TRACEPOINT(app, accept, (int, fd));					/* 2 */
RETOUR_TRACEPOINT(app, request, (int, fd), (const char *, path));		/* 3 */

struct connection {
	int fd;
	size_t used;
	char text[1024];
};

static int primes_below(int n)
{
	int found = 0;

	for (int i = 2; i < n; i++) {
		int divisor = 2;

		while (divisor * divisor <= i && i % divisor)
			divisor++;
		found += divisor * divisor > i;
	}
	return found;
}

static int page(const char *path, char *text, size_t size)
{
	int n;

	if (sscanf(path, "/primes/%d", &n) == 1 && n >= 0 && n <= 1000000)
		return snprintf(text, size, "%d\n", primes_below(n));
	return snprintf(text, size, "Ask for /primes/1000.\n");
}

static void answer(int fd, const char *path)
{
	char text[128], head[160];
	int length, size = page(path, text, sizeof(text));

	trace_app_request(fd, path);						/* 4 */
	length = snprintf(head, sizeof(head),
			  "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", size, text);
	send(fd, head, length, MSG_NOSIGNAL);
}

/* Reads what there is; true if the connection is done. */
static bool serve(struct connection *c)
{
	ssize_t n = recv(c->fd, c->text + c->used, sizeof(c->text) - 1 - c->used, 0);
	char path[256];

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		return true;
	c->used += n;
	c->text[c->used] = '\0';
	if (!strstr(c->text, "\r\n\r\n"))
		return c->used == sizeof(c->text) - 1;
	if (sscanf(c->text, "GET %255s", path) == 1)
		answer(c->fd, path);
	return true;
}

static void accept_one(int epoll, int listener)
{
	struct connection *c = calloc(1, sizeof(*c));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

	if (!c)
		return;
	c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	trace_app_accept(c->fd);						/* 5 */
	if (c->fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) == 0)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

static int listen_on(int port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 128) ||
	    getsockname(fd, (struct sockaddr *)&address, &size))
		return -1;
	printf("http://127.0.0.1:%d/\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_on(argc > 1 ? atoi(argv[1]) : 8080);
	struct epoll_event event = { .events = EPOLLIN };

	if (listener < 0 || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event)) {
		perror("server");
		return 1;
	}
	for (;;) {
		int n = epoll_wait(epoll, &event, 1, -1);
		struct connection *c = event.data.ptr;

		if (n != 1)
			continue;
		if (!c) {
			accept_one(epoll, listener);
		} else if (serve(c)) {
			close(c->fd);
			free(c);
		}
	}
}
