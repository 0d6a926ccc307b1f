/* SPDX-License-Identifier: MIT */
/* Packets; see agent_socket.h. */
#include "runtime/agent_socket.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"

#define HEAD offsetof(struct agent_message, version)
#define PATIENCE 5	/* seconds */

bool agent_peer_is_trusted(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && (peer.uid == geteuid() || peer.uid == 0);
}

int agent_set_patience(int fd)
{
	struct timeval patience = { .tv_sec = PATIENCE };

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	       setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ? -errno : 0;
}

bool agent_was_interrupted(uint64_t since)
{
	return errno == EINTR && clock_monotonic_ns() - since < PATIENCE * 1000000000ull;
}

/* How long a message of this kind is; 0: there is none. */
static size_t size_of(uint32_t kind)
{
	switch (kind) {
	case AGENT_HELLO:
		return HEAD + sizeof(uint32_t);
	case AGENT_REFUSED:
		return HEAD + sizeof(uint32_t);
	case AGENT_SESSION:
		return HEAD + sizeof(struct agent_session);
	case AGENT_TRACEPOINT:
		return HEAD + sizeof(struct agent_tracepoint);
	case AGENT_LIST:
	case AGENT_QUIT:
	case AGENT_RINGS:
	case AGENT_DONE:
		return HEAD;
	default:
		return 0;
	}
}

int agent_send(int fd, struct agent_message *message, int passed)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec part = { message, message->size = size_of(message->kind) };
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };
	uint64_t since = clock_monotonic_ns();
	ssize_t n;

	if (passed >= 0) {
		struct cmsghdr *c = &control.align;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &passed, sizeof(int));
		packet.msg_control = control.bytes;
		packet.msg_controllen = sizeof(control.bytes);
	}
	do
		n = sendmsg(fd, &packet, MSG_NOSIGNAL);
	while (n < 0 && agent_was_interrupted(since));
	return n == (ssize_t)part.iov_len ? 0 : -errno;
}

/* The descriptors of a packet; all but one are closed. */
static int take_descriptor(struct msghdr *packet)
{
	int passed = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(packet); c; c = CMSG_NXTHDR(packet, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
			if (passed >= 0)
				close(passed);
			memcpy(&passed, (char *)c + at, sizeof(int));
		}
	}
	return passed;
}

int agent_receive(int fd, struct agent_message *message, int *passed)
{
	union {
		char bytes[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = { message, sizeof(*message) };
	struct msghdr packet = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	uint64_t since = clock_monotonic_ns();
	ssize_t n;

	memset(message, 0, sizeof(*message));
	*passed = -1;
	do
		n = recvmsg(fd, &packet, MSG_CMSG_CLOEXEC);
	while (n < 0 && agent_was_interrupted(since));
	if (n < 0)
		return -errno;
	*passed = take_descriptor(&packet);
	if (n > 0 && !(packet.msg_flags & MSG_TRUNC) && n >= (ssize_t)HEAD && message->size == (size_t)n &&
	    size_of(message->kind) == (size_t)n)
		return 0;
	if (*passed >= 0)
		close(*passed);
	*passed = -1;
	return n ? -EPROTO : -ECONNRESET;
}

int agent_send_hello(int fd)
{
	struct agent_message hello = { .kind = AGENT_HELLO, .version = AGENT_VERSION };

	return agent_send(fd, &hello, -1);
}
