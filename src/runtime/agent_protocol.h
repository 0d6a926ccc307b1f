/* SPDX-License-Identifier: MIT */
/*
 * What an agent inside a process and a recorder outside say to each other.
 * Neither trusts the other: who reads a message or a record checks every length.
 *
 * They meet at a SOCK_SEQPACKET socket, one struct agent_message a packet:
 *
 *	recorder starts the program	the agent connects to the path in
 *					RETOUR_AGENT as the program starts, and
 *					forgets the connection when all is said
 *	recorder attaches		it connects to AGENT_SOCKET of the
 *					process; its hanging up ends the session
 *
 * and then, both ways:
 *
 *	agent		HELLO
 *	recorder	SESSION, with the session page's descriptor, or QUIT; before it LIST, once
 *	agent		RINGS with the descriptor of its rings, or, to LIST,
 *			TRACEPOINT for each and DONE; or REFUSED
 *
 * The agent has other recorders: all that must be said in AGENT_PATIENCE seconds.
 *
 * After RINGS the rings say everything, as records of perf's ABI, in discard
 * mode.  Times in them are values of retour_ring_clock().  Who reads one ring after
 * the other may meet a record before an earlier one of another ring.
 */
#ifndef RETOUR_RUNTIME_AGENT_PROTOCOL_H
#define RETOUR_RUNTIME_AGENT_PROTOCOL_H

#include <pthread.h>
#include <stdint.h>

#define AGENT_ENVIRONMENT "RETOUR_AGENT"
/*
 * Of processes that wait to be attached to: user and process id, as the process sees them; in
 * its root.  Other user namespaces than the first have the same numbers for others: there
 * the inode of /proc/PID/ns/user is a part of the name.
 */
#define AGENT_DIRECTORY "/tmp/retour-%u"		/* 0700, the user's */
#define AGENT_NAMESPACE_DIRECTORY AGENT_DIRECTORY ".%lu"
/*
 * Process id, and a number: the same id may be another process's, of another pid namespace, and a process
 * may have several agents, each with the tracepoints of the copy of the library that it belongs to.
 */
#define AGENT_NAME "%u.%u.agent"			/* 0600 */
#define AGENT_SOCKET AGENT_DIRECTORY "/" AGENT_NAME
#define AGENT_FIRST_NAMESPACE 0xeffffffdul		/* the kernel's PROC_USER_INIT_INO */

enum { AGENT_VERSION = 2, AGENT_MAX_SOCKETS = 4, AGENT_MAX_EVENTS = 5, AGENT_MAX_NAME = 128, AGENT_MAX_FIELDS = 12, AGENT_MAX_TYPE = 64,
       AGENT_MAX_RAW = 32768, AGENT_PATIENCE = 10 };

/* ---- packets ------------------------------------------------------------- */

enum agent_message_kind {
	AGENT_HELLO = 1,	/* version */
	AGENT_SESSION,		/* session; with a descriptor */
	AGENT_LIST,
	AGENT_QUIT,		/* nothing is wanted of this process */
	AGENT_RINGS,		/* with a descriptor */
	AGENT_TRACEPOINT,	/* tracepoint */
	AGENT_DONE,
	AGENT_REFUSED,		/* error: an errno */
};

enum agent_event_kind {
	AGENT_CPU_CLOCK,	/* each thread's CPU time; period in ns */
	AGENT_WALL_CLOCK,	/* each thread's, also while it sleeps; period in ns */
	AGENT_TRACEPOINTS,	/* those whose PROVIDER:NAME matches the pattern (agent_pattern.h) */
};

struct agent_event {
	uint32_t kind;
	uint32_t reserved;
	uint64_t period;		/* every so many ns, or hits */
	char pattern[AGENT_MAX_NAME];	/* 0-terminated */
};

struct agent_session {
	uint32_t n_events;
	uint32_t max_depth;		/* user frames; 0: no chains */
	uint64_t ring_bytes;		/* per CPU, as in retour_ring_options; 0: as the agent likes */
	uint32_t is_further;		/* another agent of the process has clocks and tells of all else than tracepoints */
	uint32_t reserved;
	struct agent_event events[AGENT_MAX_EVENTS];
};

struct agent_field {
	char name[AGENT_MAX_TYPE], type[AGENT_MAX_TYPE];	/* 0-terminated */
	uint16_t offset, size;		/* in struct agent_sample's raw data; strings: of their __data_loc */
	uint16_t kind;			/* enum retour_field_kind */
	uint16_t reserved;
};

struct agent_tracepoint {
	uint16_t id;			/* in the raw data's common_type; one for all that write to the rings */
	uint16_t event;			/* of the session that asked; 0 in a list */
	uint32_t n_fields;
	char provider[AGENT_MAX_NAME], name[AGENT_MAX_NAME];
	struct agent_field fields[AGENT_MAX_FIELDS];
};

struct agent_message {
	uint32_t kind;
	uint32_t size;			/* of the whole packet: what of the union is used */
	union {
		uint32_t version;
		uint32_t error;
		struct agent_session session;
		struct agent_tracepoint tracepoint;
	};
};

/*
 * The session page, made and written by the recorder, read only to the agent: it
 * works while state is AGENT_RUNNING.  Sealed, so that it cannot shrink.
 *
 * A recorder may be killed, and its id may be another process's then.  So it holds a robust
 * mutex, of which the kernel marks the first word (FUTEX_OWNER_DIED) as it ends.
 */
enum {
	AGENT_WAITING,
	AGENT_RUNNING,
	AGENT_STOPPED,		/* what is in the rings is still read */
	AGENT_GONE,		/* nothing is */
};
struct agent_page {
	uint32_t state;
	uint32_t reserved;
	pthread_mutex_t recorder;	/* robust, shared, held from before the page is passed on */
};

/* ---- records --------------------------------------------------------------- */

/*
 * Besides these: PERF_RECORD_MMAP2, COMM, FORK and EXIT, each of which ends with
 * the 32 bytes of sample_id that struct agent_trailer is.
 */
enum agent_record_type {
	AGENT_RECORD_SAMPLE = 0x72740001,
	AGENT_RECORD_CHAIN,
	AGENT_RECORD_TRACEPOINT,	/* struct agent_tracepoint up to its last field, before its first sample */
	AGENT_RECORD_UNSAMPLED,
};

struct agent_trailer {
	uint32_t pid, tid;
	uint64_t time;
	uint32_t cpu, reserved;
	uint64_t id;			/* 0 */
};

struct agent_sample {
	uint64_t time;
	uint64_t cookie;		/* of the chain that comes; 0: none comes, reason says why */
	uint64_t ip;
	uint64_t period;
	uint32_t pid, tid;
	uint32_t cpu;
	uint16_t event;			/* of the session */
	uint16_t reason;		/* enum reason */
	uint32_t raw_size;		/* of what follows, 0 for samples of clocks */
	uint32_t reserved;
	/*
	 * Raw data of tracepoints as the kernel's have it, little endian: u16 common_type,
	 * u8 common_flags, u8 common_preempt_count, s32 common_pid; the fields at their
	 * offsets, a string as u32 __data_loc (offset | length << 16), 0 included; the strings;
	 * AGENT_MAX_RAW bytes at most.
	 */
	unsigned char raw[];
};

/* A thread gets no clocks, or loses them. */
struct agent_unsampled {
	uint32_t pid, tid;
	uint32_t why;			/* enum unsampled */
	int32_t change;			/* 1; -1: it has them again */
};

struct agent_chain {
	uint64_t time;
	uint64_t cookie;
	uint32_t pid, tid;
	uint32_t cpu;			/* where it was walked */
	uint16_t reason;		/* 0: complete */
	uint16_t n;
	uint64_t ips[];			/* innermost first */
};

#endif
