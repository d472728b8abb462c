/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heartbeats: small authenticated datagrams between the two hosts, the same
 * over every configured path (UDP to each address of the partner, the second
 * serial port), each path with its own sequence numbers, replay window, loss
 * and round-trip time.
 *
 * A datagram counts only with a valid MAC (HMAC-SHA-256, RFC 2104), the
 * partner's session, and our own session in it: so it was made for this start
 * of this host, and one recorded earlier is worth nothing. It is not encrypted.
 * docs/network.md has the format.
 */
#ifndef NET_BEAT_H
#define NET_BEAT_H

#include "base/command.h"
#include "base/config.h"

#define BEAT_PORT 8551
#define BEAT_PATH_MAX (CONFIG_ADDRESS_COUNT + 1)
#define BEAT_PAYLOAD_MAX 256 /* bytes */
#define BEAT_PERIOD_MS 100
#define BEAT_UP_NS UINT64_C(350000000) /* a path is up for so long after it was heard */

/*
 * After random_init and net_init. Without a partner, a key or random numbers
 * nothing is sent and nothing is heard.
 */
void beat_init(const struct config *config);

/* The service (service_fn), the first of all: sends when it is time, looks at the serial line. */
uint64_t beat_step(uint64_t now_ns);

/* What each heartbeat carries from now on; copied. At most BEAT_PAYLOAD_MAX bytes. */
void beat_set_payload(const void *payload, size_t size);

/* Sends one over every path now, besides those that are due: something has changed. */
void beat_send_now(void);

/*
 * Called with what each valid heartbeat carried, once for each path, in the order
 * in which they come: not always that in which they were sent. One listener.
 */
void beat_listen(void (*heard)(void *context, unsigned path, const void *payload, size_t size),
		 void *context);

struct beat_path {
	char name[64]; /* "10.0.0.2", "com2" */
	bool up; /* heard within the last BEAT_UP_NS */
	uint64_t last_heard_ns; /* host time; 0: never */
	uint64_t sent, received;
	uint64_t send_failed; /* no route, no link, no room */
	uint64_t lost; /* gaps in the partner's sequence numbers, those filled late excepted */
	unsigned loss_permille; /* of the last 100 expected */
	uint64_t rtt_ns, rtt_min_ns, rtt_max_ns; /* the last; 0: not yet */
	/*
	 * Refused, by reason; stale: for another session than ours, of another than theirs,
	 * too long under way, or of an earlier number than the first that was heard.
	 */
	uint64_t bad_mac, replayed, stale, malformed;
};

/* False when there are no more. */
bool beat_path_get(unsigned index, struct beat_path *path);

/* How late the sender was: the worst since the last call of beat_timing_reset. */
struct beat_timing {
	uint64_t period_ns; /* as configured */
	uint64_t count; /* periods measured */
	uint64_t shortest_ns, longest_ns, mean_ns; /* between two beats */
};

struct beat_timing beat_timing_get(void);
void beat_timing_reset(void);

/* The console's `paths`. */
extern const struct command beat_commands[];
extern const size_t beat_command_count;

#endif
