/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol of heartbeats: see beat_core.h, and docs/network.md for the format. */
#include "net/beat_core.h"

#include <mbedtls/constant_time.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define MAGIC UINT32_C(0x42485944) /* "DYHB" */
#define VERSION 1

/* How many numbers back a datagram still counts, and a loss is seen. */
#define WINDOW_SIZE 128
#define LOSS_SIZE 100

/* All fields are little-endian, as this CPU is. The payload and the MAC follow. */
struct header {
	uint32_t magic;
	uint8_t version;
	uint8_t path; /* the sender's index */
	uint16_t payload_size;
	uint64_t session; /* the sender's; not 0 */
	uint64_t peer_session; /* whom it is for; 0: not known */
	uint64_t sequence; /* from 1, for each path */
	uint64_t sent_ns; /* by the sender's clock */
	/* A sent_ns of the receiver's, and how long ago it was heard. 0: none. */
	uint64_t echo_ns, echo_age_ns;
};

_Static_assert(sizeof(struct header) == BEAT_HEADER_SIZE, "the header has no gaps");
_Static_assert(offsetof(struct header, echo_age_ns) == 48, "the format is fixed");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fields are copied as they are");

void beat_core_init(struct beat_core *core, const uint8_t *secret, uint64_t session,
		    uint64_t now_ns)
{
	*core = (struct beat_core){.session = session, .due_ns = now_ns};
	core->timing.period_ns = BEAT_PERIOD_NS;
	hmac_key_set(&core->key, secret, HMAC_SIZE);
}

void beat_core_add_path(struct beat_core *core, const char *name)
{
	struct beat_path *info = &core->paths[core->path_count].info;

	CHECK(core->path_count < BEAT_PATH_MAX);
	snprintf(info->name, sizeof(info->name), "%s", name);
	core->path_count++;
}

/* ---- Sending ------------------------------------------------------------------ */

static void measure(struct beat_core *core, uint64_t now_ns)
{
	struct beat_timing *timing = &core->timing;
	uint64_t interval_ns = now_ns - core->last_round_ns;

	if (core->last_round_ns != 0) {
		timing->shortest_ns =
			timing->count == 0 ? interval_ns : MIN(timing->shortest_ns, interval_ns);
		timing->longest_ns = MAX(timing->longest_ns, interval_ns);
		core->interval_sum_ns += interval_ns;
		timing->count++;
		timing->mean_ns = core->interval_sum_ns / timing->count;
	}
	core->last_round_ns = now_ns;
}

bool beat_core_is_due(struct beat_core *core, uint64_t now_ns)
{
	if (now_ns < core->due_ns) {
		return false;
	}
	core->due_ns += ((now_ns - core->due_ns) / BEAT_PERIOD_NS + 1) * BEAT_PERIOD_NS;
	measure(core, now_ns);
	return true;
}

/*
 * Whose time stamp goes back: this path's, for the round trip over it. One on which
 * nothing is heard takes the newest of all, to show that what it sends is fresh.
 */
static const struct beat_core_path *echo_of(const struct beat_core *core,
					    const struct beat_core_path *path, uint64_t now_ns)
{
	if (path->echo_ns != 0 && now_ns - path->echo_heard_ns <= BEAT_UP_NS) {
		return path;
	}
	for (unsigned i = 0; i < core->path_count; i++) {
		if (core->paths[i].echo_heard_ns > path->echo_heard_ns) {
			path = &core->paths[i];
		}
	}
	return path;
}

static void address_to_peer(const struct beat_core *core, const struct beat_core_path *path,
			    uint64_t now_ns, struct header *header)
{
	const struct beat_core_path *echo = echo_of(core, path, now_ns);

	header->peer_session = core->peer_session;
	if (echo->echo_ns != 0) {
		header->echo_ns = echo->echo_ns;
		header->echo_age_ns = now_ns - echo->echo_heard_ns;
	}
}

static void address_to_greeter(const struct beat_core_path *path, uint64_t now_ns,
			       struct header *header)
{
	header->peer_session = path->greeting_session;
	header->echo_ns = path->greeting_sent_ns;
	header->echo_age_ns = now_ns - path->greeting_heard_ns;
}

size_t beat_core_make(struct beat_core *core, unsigned path, bool answer, uint64_t now_ns,
		      uint8_t *datagram)
{
	struct beat_core_path *own = &core->paths[path];
	size_t size = BEAT_HEADER_SIZE + core->payload_size;
	uint8_t mac[HMAC_SIZE];
	struct header header = {
		.magic = MAGIC,
		.version = VERSION,
		.path = (uint8_t)path,
		.payload_size = (uint16_t)core->payload_size,
		.session = core->session,
		.sequence = ++own->sequence,
		.sent_ns = now_ns,
	};

	if (answer) {
		address_to_greeter(own, now_ns, &header);
	} else {
		address_to_peer(core, own, now_ns, &header);
	}
	memcpy(datagram, &header, sizeof(header));
	memcpy(datagram + sizeof(header), core->payload, core->payload_size);
	hmac(&core->key, datagram, size, mac);
	memcpy(datagram + size, mac, BEAT_MAC_SIZE);
	return size + BEAT_MAC_SIZE;
}

/* ---- Sequence numbers ---------------------------------------------------------- */

/* The bit of a number that is at most the highest; 0: too old. */
static unsigned __int128 window_bit(const struct beat_window *window, uint64_t sequence)
{
	uint64_t age = window->highest - sequence;

	return age < WINDOW_SIZE && sequence > window->base ? (unsigned __int128)1 << age : 0;
}

/* Takes a number into the window. False: it was there before, or is too old to tell. */
static bool window_take(struct beat_window *window, uint64_t sequence, uint64_t *lost)
{
	if (window->highest == 0) {
		*window = (struct beat_window){sequence - 1, sequence, 1};
		return true;
	}
	if (sequence > window->highest) {
		uint64_t gap = sequence - window->highest;

		window->seen = (gap < WINDOW_SIZE ? window->seen << gap : 0) | 1;
		window->highest = sequence;
		*lost += gap - 1;
		return true;
	}
	unsigned __int128 bit = window_bit(window, sequence);

	if (bit == 0 || (window->seen & bit) != 0) {
		return false;
	}
	window->seen |= bit;
	*lost -= MIN(*lost, 1);
	return true;
}

static unsigned window_loss_permille(const struct beat_window *window)
{
	uint64_t expected = MIN(window->highest - window->base, LOSS_SIZE);
	unsigned seen = 0;

	if (expected == 0) {
		return 0;
	}
	for (uint64_t i = 0; i < expected; i++) {
		seen += (window->seen >> i & 1) != 0;
	}
	return (unsigned)((expected - seen) * 1000 / expected);
}

/* ---- Hearing ------------------------------------------------------------------- */

/* False: these bytes cannot be a heartbeat of this version. */
static bool read_header(const uint8_t *datagram, size_t size, struct header *header)
{
	if (size < BEAT_HEADER_SIZE + BEAT_MAC_SIZE || size > BEAT_DATAGRAM_MAX) {
		return false;
	}
	memcpy(header, datagram, sizeof(*header));
	return header->magic == MAGIC && header->version == VERSION &&
	       header->payload_size == size - BEAT_HEADER_SIZE - BEAT_MAC_SIZE;
}

static bool mac_is_good(const struct beat_core *core, const uint8_t *datagram, size_t size)
{
	uint8_t mac[HMAC_SIZE];

	hmac(&core->key, datagram, size - BEAT_MAC_SIZE, mac);
	return mbedtls_ct_memcmp(mac, datagram + size - BEAT_MAC_SIZE, BEAT_MAC_SIZE) == 0;
}

/* With the right MAC: what only a partner of another make could say. */
static bool is_sensible(const struct beat_core *core, const struct header *header, uint64_t now_ns)
{
	/* For an earlier session of ours the echo is by a clock that is gone. */
	bool echo_is_ours = header->peer_session == core->session;

	return header->session != 0 && header->sequence != 0 && header->sent_ns != 0 &&
	       header->path < BEAT_PATH_MAX && (!echo_is_ours || header->echo_ns <= now_ns);
}

/*
 * It was under way for so long that somebody may have held it back: what the
 * partner said then does not show that it is alive now.
 */
static bool is_late(const struct header *header, uint64_t now_ns)
{
	uint64_t since_ns = now_ns - header->echo_ns;

	return header->echo_ns == 0 ||
	       (since_ns > header->echo_age_ns && since_ns - header->echo_age_ns > BEAT_LATE_NS);
}

static void measure_rtt(struct beat_path *info, const struct header *header, uint64_t now_ns)
{
	uint64_t took_ns = now_ns - header->echo_ns;

	/* The age was measured by another clock: never nothing, nor less. */
	info->rtt_ns = took_ns > header->echo_age_ns ? took_ns - header->echo_age_ns : 1;
	info->rtt_min_ns =
		info->rtt_min_ns == 0 ? info->rtt_ns : MIN(info->rtt_min_ns, info->rtt_ns);
	info->rtt_max_ns = MAX(info->rtt_max_ns, info->rtt_ns);
}

static bool may_take_over(const struct beat_core *core, const struct header *header,
			  uint64_t now_ns)
{
	return header->peer_session == core->session && header->echo_ns >= core->peer_since_ns &&
	       (core->peer_session == 0 || now_ns - core->peer_heard_ns > BEAT_UP_NS);
}

static void start_session(struct beat_core *core, uint64_t session, uint64_t now_ns)
{
	core->peer_session = session;
	core->peer_since_ns = now_ns;
	memset(core->windows, 0, sizeof(core->windows));
	for (unsigned i = 0; i < core->path_count; i++) {
		core->paths[i].echo_ns = 0;
		core->paths[i].echo_heard_ns = 0;
	}
}

static enum beat_verdict greet(struct beat_core_path *path, const struct header *header,
			       uint64_t now_ns)
{
	path->info.stale += header->peer_session != 0;
	if (path->answered_ns != 0 && now_ns - path->answered_ns < BEAT_ANSWER_NS) {
		return BEAT_REFUSED;
	}
	path->greeting_session = header->session;
	path->greeting_sent_ns = header->sent_ns;
	path->greeting_heard_ns = now_ns;
	path->answered_ns = now_ns;
	return BEAT_ANSWER;
}

static void count_heard(struct beat_core *core, struct beat_core_path *path,
			const struct header *header, uint64_t now_ns)
{
	core->peer_heard_ns = now_ns;
	path->info.last_heard_ns = now_ns;
	path->info.received++;
	path->peer_index = header->path;
	measure_rtt(&path->info, header, now_ns);
	if (header->sent_ns > path->echo_ns) {
		path->echo_ns = header->sent_ns;
		path->echo_heard_ns = now_ns;
	}
}

/* A header that the partner wrote, some time. */
static enum beat_verdict judge(struct beat_core *core, struct beat_core_path *path,
			       const struct header *header, uint64_t now_ns)
{
	struct beat_window *window = &core->windows[header->path];

	/* Our own, sent back to us. */
	if (header->session == core->session) {
		path->info.replayed++;
		return BEAT_REFUSED;
	}
	if (header->peer_session == core->session && is_late(header, now_ns)) {
		path->info.stale++;
		return BEAT_REFUSED;
	}
	if (header->session != core->peer_session && may_take_over(core, header, now_ns)) {
		start_session(core, header->session, now_ns);
	}
	if (header->session == core->peer_session &&
	    !window_take(window, header->sequence, &path->info.lost)) {
		/* The first that was heard may have overtaken others. */
		bool is_before_first = header->sequence <= window->base;

		path->info.stale += is_before_first;
		path->info.replayed += !is_before_first;
		return BEAT_REFUSED;
	}
	if (header->peer_session != core->session) {
		return greet(path, header, now_ns);
	}
	if (header->session != core->peer_session) {
		path->info.stale++;
		return BEAT_REFUSED;
	}
	count_heard(core, path, header, now_ns);
	return BEAT_HEARD;
}

enum beat_verdict beat_core_hear(struct beat_core *core, unsigned path, uint64_t now_ns,
				 const uint8_t *datagram, size_t datagram_size,
				 const uint8_t **payload, size_t *size)
{
	struct beat_core_path *own = &core->paths[path];
	struct header header;

	if (!read_header(datagram, datagram_size, &header)) {
		own->info.malformed++;
		return BEAT_REFUSED;
	}
	if (!mac_is_good(core, datagram, datagram_size)) {
		own->info.bad_mac++;
		return BEAT_BAD_MAC;
	}
	if (!is_sensible(core, &header, now_ns)) {
		own->info.malformed++;
		return BEAT_REFUSED;
	}
	*payload = datagram + BEAT_HEADER_SIZE;
	*size = header.payload_size;
	return judge(core, own, &header, now_ns);
}

/* ---- Asking ---------------------------------------------------------------------- */

bool beat_core_is_up(const struct beat_core *core, unsigned path, uint64_t now_ns)
{
	uint64_t heard_ns = core->paths[path].info.last_heard_ns;

	return heard_ns != 0 && now_ns - heard_ns <= BEAT_UP_NS;
}

void beat_core_get(const struct beat_core *core, unsigned path, uint64_t now_ns,
		   struct beat_path *info)
{
	const struct beat_core_path *own = &core->paths[path];

	*info = own->info;
	info->up = beat_core_is_up(core, path, now_ns);
	info->loss_permille = window_loss_permille(&core->windows[own->peer_index]);
}

void beat_core_reset_counters(struct beat_core *core)
{
	for (unsigned i = 0; i < core->path_count; i++) {
		struct beat_path *info = &core->paths[i].info, old = *info;

		*info = (struct beat_path){.last_heard_ns = old.last_heard_ns};
		memcpy(info->name, old.name, sizeof(info->name));
	}
	for (unsigned i = 0; i < BEAT_PATH_MAX; i++) {
		core->windows[i].base = core->windows[i].highest;
	}
}

void beat_core_reset_timing(struct beat_core *core)
{
	core->timing = (struct beat_timing){.period_ns = BEAT_PERIOD_NS};
	core->interval_sum_ns = 0;
}
