/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a heartbeat says, and what to make of one that came: the whole protocol,
 * without a clock, a socket or a serial line. net/beat.c has those.
 *
 * Each start of a host is a session with a random number. A datagram counts when
 * the partner made it for our session: then it was made after this host's start.
 * Of the partner's sessions one counts at a time. It is replaced only when
 * nothing of it has been heard for BEAT_UP_NS, and by a datagram that
 * echoes a time stamp of ours from after the present session began: no
 * recording of an earlier session has that.
 *
 * A datagram that is the partner's but does not name our session is a greeting.
 * It is answered, once in BEAT_ANSWER_NS on each path, with a datagram for its
 * session, and changes nothing: so a recorded one does no harm.
 *
 * What was under way for longer than BEAT_LATE_NS, by the time stamp of ours that it
 * echoes, does not count: it may have been held back, for the time after
 * the partner's death.
 *
 * Sequence numbers and the windows that go with them belong to the sender's
 * paths: a datagram that somebody carries to another path counts once.
 */
#ifndef NET_BEAT_CORE_H
#define NET_BEAT_CORE_H

#include "net/beat.h"
#include "net/hmac.h"

#define BEAT_HEADER_SIZE 56
#define BEAT_MAC_SIZE 16
#define BEAT_DATAGRAM_MAX (BEAT_HEADER_SIZE + BEAT_PAYLOAD_MAX + BEAT_MAC_SIZE)

#define BEAT_PERIOD_NS (BEAT_PERIOD_MS * UINT64_C(1000000))
#define BEAT_ANSWER_NS BEAT_PERIOD_NS
/* How long the way there and back may take. */
#define BEAT_LATE_NS (10 * BEAT_PERIOD_NS)

/* The numbers of one path of the partner's that were heard. */
struct beat_window {
	uint64_t base; /* numbers up to it are of no interest */
	uint64_t highest; /* 0: none yet */
	unsigned __int128 seen; /* bit n: number highest - n */
};

struct beat_core_path {
	struct beat_path info; /* loss_permille and up are made when asked for */
	uint64_t sequence; /* of the last datagram sent */
	unsigned peer_index; /* of the partner's path that was heard here last */
	/* The partner's newest time stamp, and when it came. 0: none. */
	uint64_t echo_ns, echo_heard_ns;
	/* Who is to be answered, and when that was done last. */
	uint64_t greeting_session, greeting_sent_ns, greeting_heard_ns, answered_ns;
};

struct beat_core {
	struct hmac_key key;
	uint64_t session; /* ours */
	uint64_t peer_session; /* 0: none yet */
	uint64_t peer_since_ns, peer_heard_ns;
	unsigned path_count;
	struct beat_core_path paths[BEAT_PATH_MAX];
	struct beat_window windows[BEAT_PATH_MAX]; /* by the partner's index */
	size_t payload_size;
	uint8_t payload[BEAT_PAYLOAD_MAX];
	uint64_t due_ns, last_round_ns; /* 0: no round yet */
	uint64_t interval_sum_ns;
	struct beat_timing timing;
};

/* `secret` is HMAC_SIZE bytes, `session` is random. The first round is due at once. */
void beat_core_init(struct beat_core *core, const uint8_t *secret, uint64_t session,
		    uint64_t now_ns);

/* One more path, less than BEAT_PATH_MAX up to now; the name is cut to its room. */
void beat_core_add_path(struct beat_core *core, const char *name);

/*
 * True when a round of datagrams is to be sent now: a period after the last one
 * was due. Rounds that were missed are not made up for.
 */
bool beat_core_is_due(struct beat_core *core, uint64_t now_ns);

/*
 * Writes the datagram that goes out on `path` now, for the partner's session or,
 * with `answer`, for that of the last greeting. Returns its size, at most
 * BEAT_DATAGRAM_MAX.
 */
size_t beat_core_make(struct beat_core *core, unsigned path, bool answer, uint64_t now_ns,
		      uint8_t *datagram);

enum beat_verdict {
	BEAT_HEARD,
	BEAT_ANSWER, /* a greeting that must be answered now */
	BEAT_BAD_MAC,
	BEAT_REFUSED, /* for another reason, or a greeting too soon after another */
};

/*
 * A datagram came on `path`. When it was heard, *payload is its own, of *size
 * bytes, within `datagram`.
 */
enum beat_verdict beat_core_hear(struct beat_core *core, unsigned path, uint64_t now_ns,
				 const uint8_t *datagram, size_t datagram_size,
				 const uint8_t **payload, size_t *size);

bool beat_core_is_up(const struct beat_core *core, unsigned path, uint64_t now_ns);

void beat_core_get(const struct beat_core *core, unsigned path, uint64_t now_ns,
		   struct beat_path *info);

/* Counters, round-trip times and losses of all paths start anew; sessions do not. */
void beat_core_reset_counters(struct beat_core *core);

void beat_core_reset_timing(struct beat_core *core);

#endif
