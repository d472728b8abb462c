/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: framing, the greeting, and the life of each from its connection to its
 * end. See stream.h; docs/network.md has the format.
 *
 * Rules: all work is done in stream_step, at most STEP_BYTES of it each way in one
 * turn, by all streams together; so is every event. A frame is encrypted into the
 * connection's ring when it is sent, or not taken at all. Large buffers belong to
 * streams that are open, or that we open; a stranger has STRANGER_RING bytes.
 */
#include "net/stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <lwip/timeouts.h>

#include "arch/x86_64/arch.h"
#include "base/check.h"
#include "base/log.h"
#include "base/page.h"
#include "net/hmac.h"
#include "net/interface.h"
#include "net/key.h"
#include "net/random.h"
#include "net/tls.h"

#define NS_PER_MS UINT64_C(1000000)

/* A turn must not hold up a heartbeat by more than some milliseconds, on a slow CPU too. */
#define STEP_BYTES (16 * KIB)
/* 1 Gbit/s at 5 ms round-trip time is 625 kB on the way. */
#define RING_SIZE (768 * KIB)
#define STRANGER_RING 2048
/* Kept free in the ring, for the goodbye. */
#define RING_RESERVE 64

#define CONNECT_MS 5000
#define CLOSE_MS 5000
/* How often refusals of one kind are told. */
#define REFUSAL_PERIOD_MS 10000
/* When a card has no room. */
#define RETRY_NS (NS_PER_MS / 5)

#define PLACE_COUNT (STREAM_COUNT_MAX + STREAM_HANDSHAKE_COUNT_MAX)
_Static_assert(PLACE_COUNT <= TLS_SESSION_MAX, "each place may have a session");

enum state { FREE, CONNECTING, HANDSHAKE, GREETING, OPEN, CLOSING };

static const char *const state_names[] = {"",	       "connecting", "handshake",
					  "handshake", "open",	     "closing"};

/* ---- What is sent (docs/network.md) ------------------------------------------------- */

#define PROTOCOL_VERSION 1

/* All are little-endian, as the CPU is. */
struct header {
	uint32_t size;
	uint16_t type;
	uint16_t reserved;
};
_Static_assert(sizeof(struct header) == 8, "as docs/network.md says");

enum greeting_type { GREETING_HELLO = 1, GREETING_ANSWER = 2 };

enum answer { ANSWER_YES, ANSWER_VERSION, ANSWER_SERVICE, ANSWER_FULL };

struct greeting {
	uint16_t version;
	uint16_t word; /* hello: enum stream_service; answer: enum answer */
	char name[CONFIG_NAME_MAX]; /* the host's, padded with zeros */
};
_Static_assert(sizeof(struct greeting) == 36, "as docs/network.md says");

/* ---- Streams ------------------------------------------------------------------------- */

struct buffers {
	uint8_t ring[RING_SIZE];
	uint8_t frame[STREAM_FRAME_MAX];
	bool taken;
};

struct stream {
	enum state state;
	bool incoming;
	bool has_tls;
	bool held; /* a whole frame waits for stream_resume */
	enum stream_service service;
	const struct stream_events *events; /* NULL: nobody listens, or no more */
	void *context;
	uint64_t deadline_ns; /* of all states but OPEN */
	unsigned address_index; /* CONNECTING: which of the partner's is tried */

	struct connection connection;
	struct tls tls;
	struct buffers *buffers; /* NULL: a stranger */
	uint8_t stranger_ring[STRANGER_RING];
	struct greeting greeting; /* received */
	char peer_name[CONFIG_NAME_MAX];
	char reason[192]; /* of its end */

	struct header header; /* of the frame that is being received */
	size_t received; /* bytes of it, with the header */
	bool waits; /* for room for a frame of this size, of which `writable` will tell */
	size_t wanted;

	uint64_t bytes_sent, bytes_received, frames_sent, frames_received;
};

struct service {
	const struct stream_events *events;
	void *(*accept)(struct stream *stream);
};

static const char *const service_names[STREAM_SERVICE_COUNT] = {
	[STREAM_SERVICE_PROBE] = "probe",
	[STREAM_SERVICE_MIGRATION] = "migration",
};

static struct stream streams[PLACE_COUNT];
static unsigned taken_count; /* of them */
static struct buffers *buffers[STREAM_COUNT_MAX];
static struct service services[STREAM_SERVICE_COUNT];
static struct tls_identity identity;
static struct config_partner partner; /* without its key */
static char host_name[CONFIG_NAME_MAX];
static bool running; /* there is a partner, a key and memory */
static bool stepping;
static uint64_t step_ns; /* the time of this step */
/* Bytes that may still be decrypted and encrypted in this turn, by all streams. */
static size_t receive_budget, send_budget;
static unsigned first_place; /* the place whose turn comes first */

/* ---- Refusals ------------------------------------------------------------------------ */

/* Why someone who has not shown the key is sent away. */
enum refusal {
	REFUSAL_KEY,
	REFUSAL_FOREIGN,
	REFUSAL_SILENT,
	REFUSAL_GONE,
	REFUSAL_FULL,
	REFUSAL_GREETING,
	REFUSAL_COUNT
};

static const char *const refusal_texts[] = {
	[REFUSAL_KEY] = ("it has another key than we, or repeats what it has overheard: `key` in "
			 "[partner] must be the same on both hosts"),
	[REFUSAL_FOREIGN] = "what it sends is not what a Dyad host sends here",
	[REFUSAL_SILENT] = "it did not show the key within 5 s",
	[REFUSAL_GONE] = "it went away before it showed the key",
	[REFUSAL_FULL] = "too many that have not shown the key are here already",
	[REFUSAL_GREETING] = "its greeting makes no sense: are both hosts of one release?",
};

static struct {
	uint64_t period_end_ns; /* 0: none was refused lately */
	unsigned count; /* not told yet */
	char last[IPADDR_STRLEN_MAX];
} refusals[REFUSAL_COUNT];

static uint64_t refusals_due_ns = TIME_NEVER; /* when the first of their periods ends */

/* The first of its kind is told at once, others as a number. */
static void note_refusal(enum refusal why, const ip_addr_t *address)
{
	const char *text = interface_print_address(address);

	if (refusals[why].period_end_ns == 0) {
		refusals[why].period_end_ns = time_now_ns() + REFUSAL_PERIOD_MS * NS_PER_MS;
		refusals_due_ns = MIN(refusals_due_ns, refusals[why].period_end_ns);
		log_warn("streams: %s refused: %s", text, refusal_texts[why]);
	} else {
		refusals[why].count++;
		snprintf(refusals[why].last, sizeof(refusals[why].last), "%s", text);
	}
}

/* The period of one kind has ended. */
static void tell_refusal(enum refusal why, uint64_t now_ns)
{
	if (refusals[why].count == 0) {
		refusals[why].period_end_ns = 0;
		return;
	}
	log_warn("streams: %u more refused in 10 s, the last %s: %s", refusals[why].count,
		 refusals[why].last, refusal_texts[why]);
	refusals[why].count = 0;
	refusals[why].period_end_ns = now_ns + REFUSAL_PERIOD_MS * NS_PER_MS;
}

static void tell_refusals(uint64_t now_ns)
{
	refusals_due_ns = TIME_NEVER;
	for (unsigned i = 0; i < REFUSAL_COUNT; i++) {
		if (refusals[i].period_end_ns != 0 && now_ns >= refusals[i].period_end_ns) {
			tell_refusal(i, now_ns);
		}
		if (refusals[i].period_end_ns != 0) {
			refusals_due_ns = MIN(refusals_due_ns, refusals[i].period_end_ns);
		}
	}
}

/* ---- Places and buffers ----------------------------------------------------------------- */

static void set_deadline(struct stream *stream, unsigned ms)
{
	stream->deadline_ns = time_now_ns() + ms * NS_PER_MS;
}

static struct stream *take_place(void)
{
	for (unsigned i = 0; i < PLACE_COUNT; i++) {
		if (streams[i].state == FREE) {
			memset(&streams[i], 0, sizeof(streams[i]));
			taken_count++;
			return &streams[i];
		}
	}
	return NULL;
}

static struct buffers *take_buffers(void)
{
	for (unsigned i = 0; i < STREAM_COUNT_MAX; i++) {
		if (!buffers[i]->taken) {
			buffers[i]->taken = true;
			return buffers[i];
		}
	}
	return NULL;
}

/* Its connection is gone: the place is free. */
static void release(struct stream *stream)
{
	if (stream->has_tls) {
		tls_end(&stream->tls);
	}
	if (stream->buffers != NULL) {
		stream->buffers->taken = false;
	}
	stream->state = FREE;
	taken_count--;
}

static void drop(struct stream *stream)
{
	connection_reset(&stream->connection);
	release(stream);
}

/* What was written goes out first. */
static void close_slowly(struct stream *stream)
{
	stream->events = NULL;
	stream->state = CLOSING;
	set_deadline(stream, CLOSE_MS);
	connection_flush(&stream->connection);
}

/* ---- Ends --------------------------------------------------------------------------------- */

/* Valid until the next call. */
static const char *peer_text(const struct stream *stream)
{
	return interface_print_address(&stream->connection.address);
}

/* One that somebody listens to ends; `slowly`: the other side is told why. */
static void end(struct stream *stream, const char *reason, bool slowly)
{
	const struct stream_events *events = stream->events;

	if (stream->state == OPEN) {
		log_info("stream %s with %s (%s) ended: %s", service_names[stream->service],
			 stream->peer_name, peer_text(stream), reason);
	} else {
		log_warn("no stream %s to the partner: %s", service_names[stream->service], reason);
	}
	stream->events = NULL;
	stream->state = CLOSING;
	if (events != NULL) {
		events->closed(stream, stream->context, reason);
	}
	if (slowly) {
		close_slowly(stream);
	} else {
		drop(stream);
	}
}

/* Of several addresses each has its reason. */
static void add_reason(struct stream *stream, const char *address, const char *what)
{
	size_t used = strlen(stream->reason);

	snprintf(stream->reason + used, sizeof(stream->reason) - used, "%s%s: %s",
		 used > 0 ? "; " : "", address, what);
}

static void end_with_peer(struct stream *stream, const char *what, bool slowly)
{
	add_reason(stream, peer_text(stream), what);
	end(stream, stream->reason, slowly);
}

static void refuse(struct stream *stream, enum refusal why, bool slowly)
{
	note_refusal(why, &stream->connection.address);
	if (slowly) {
		close_slowly(stream);
	} else {
		drop(stream);
	}
}

/* Before it is open: who asked for it hears why, or the log does. */
static void fail(struct stream *stream, enum refusal why, const char *what)
{
	bool slowly = why == REFUSAL_KEY;

	if (stream->incoming) {
		refuse(stream, why, slowly);
	} else {
		end_with_peer(stream, what, slowly);
	}
}

/* ---- Frames -------------------------------------------------------------------------------- */

/* The header goes into the first record with the data; the caller has looked for room. */
static void write_frame(struct stream *stream, uint16_t type, const void *data, size_t size)
{
	static uint8_t first[TLS_RECORD_MAX];
	struct header header = {.size = (uint32_t)size, .type = type};
	size_t part = MIN(size, sizeof(first) - sizeof(header));

	memcpy(first, &header, sizeof(header));
	memcpy(first + sizeof(header), data, part);
	tls_write(&stream->tls, first, sizeof(header) + part);
	if (part < size) {
		tls_write(&stream->tls, (const uint8_t *)data + part, size - part);
	}
}

static uint8_t *frame_body(struct stream *stream)
{
	return stream->state == OPEN ? stream->buffers->frame : (uint8_t *)&stream->greeting;
}

static const char *header_error(const struct stream *stream)
{
	size_t size_max = stream->state == OPEN ? STREAM_FRAME_MAX : sizeof(stream->greeting);

	if (stream->header.size > size_max) {
		return "the partner sends an oversized frame";
	}
	return stream->header.reserved != 0 ? "the partner sends a damaged frame" : NULL;
}

/*
 * Reads on until the frame is whole: 0, or tls_read's errors, with their sentence in
 * tls.error. What was decrypted goes off the budget.
 */
static int read_frame(struct stream *stream, size_t *budget)
{
	uint8_t *body = frame_body(stream);
	const size_t head = sizeof(stream->header);

	while (stream->received < head || stream->received < head + stream->header.size) {
		bool in_header = stream->received < head;
		uint8_t *to = in_header ? (uint8_t *)&stream->header + stream->received
					: body + (stream->received - head);
		size_t left = (in_header ? head : head + stream->header.size) - stream->received;
		int count = tls_read(&stream->tls, to, left);

		if (count < 0) {
			return count;
		}
		stream->received += (size_t)count;
		*budget -= MIN(*budget, (size_t)count);
		if (stream->received == head && header_error(stream) != NULL) {
			stream->tls.error = header_error(stream);
			return -EPROTO;
		}
	}
	return 0;
}

/* No frame can be read now (-EAGAIN): may there be one later? */
static bool is_finished(const struct stream *stream)
{
	return !connection_is_readable(&stream->connection) &&
	       (stream->connection.state == CONNECTION_BROKEN ||
		stream->connection.state == CONNECTION_ENDED);
}

static const char *finished_text(const struct stream *stream)
{
	return stream->connection.state == CONNECTION_BROKEN
		       ? stream->connection.error
		       : "the partner ended the connection without a goodbye";
}

/* ---- Connecting ---------------------------------------------------------------------------- */

/* Begins with the next of the partner's addresses that can be tried at all. */
static void try_next_address(struct stream *stream)
{
	while (stream->address_index < partner.address_count) {
		const char *text = partner.addresses[stream->address_index++];
		const char *what;
		ip_addr_t address;
		int error = interface_parse_address(text, &address);

		if (error == 0) {
			error = connection_open(&stream->connection, &address, STREAM_PORT);
		}
		if (error == 0) {
			set_deadline(stream, CONNECT_MS);
			return;
		}
		what = error == -EINVAL	  ? "this is no address"
		       : error == -ENOMEM ? "no memory"
					  : "no interface leads there";
		add_reason(stream, text, what);
	}
	end(stream, stream->reason, false);
}

static void step_connecting(struct stream *stream)
{
	struct connection *connection = &stream->connection;
	if (connection->state == CONNECTION_OPEN) {
		stream->state = HANDSHAKE;
		set_deadline(stream, STREAM_HANDSHAKE_MS);
		return;
	}
	if (connection->state == CONNECTION_OPENING && step_ns < stream->deadline_ns) {
		return;
	}
	if (connection->state == CONNECTION_NONE) {
		try_next_address(stream);
		return;
	}
	add_reason(stream, peer_text(stream),
		   connection->state == CONNECTION_OPENING ? "no answer" : connection->error);
	connection_reset(connection);
	try_next_address(stream);
}

/* ---- Handshake ------------------------------------------------------------------------------ */

static void send_greeting(struct stream *stream, enum greeting_type type, uint16_t word)
{
	struct greeting greeting = {.version = PROTOCOL_VERSION, .word = word};

	memcpy(greeting.name, host_name, sizeof(greeting.name));
	write_frame(stream, type, &greeting, sizeof(greeting));
}

static void step_handshake(struct stream *stream)
{
	int error;

	if (!stream->has_tls) {
		error = tls_start(&stream->tls, &identity, !stream->incoming, &stream->connection);
		if (error != 0) {
			fail(stream, REFUSAL_FULL, refusal_texts[REFUSAL_FULL]);
			return;
		}
		stream->has_tls = true;
	}
	error = tls_handshake(&stream->tls);
	if (error == 0) {
		stream->state = GREETING;
		if (!stream->incoming) {
			send_greeting(stream, GREETING_HELLO, stream->service);
		}
	}
	connection_flush(&stream->connection);
	if (error == -EACCES) {
		fail(stream, REFUSAL_KEY,
		     "wrong key: `key` in [partner] must be the same on both hosts");
	} else if (error == -EAGAIN && is_finished(stream)) {
		fail(stream, REFUSAL_GONE, finished_text(stream));
	} else if (error != 0 && error != -EAGAIN) {
		fail(stream, REFUSAL_FOREIGN, stream->tls.error);
	}
}

/* ---- Greeting --------------------------------------------------------------------------------- */

static bool greeting_is_sane(const struct stream *stream, enum greeting_type type)
{
	const char *name = stream->greeting.name;
	size_t length = strnlen(name, CONFIG_NAME_MAX);

	for (size_t i = 0; i < length; i++) {
		if (name[i] <= ' ' || name[i] > '~') {
			return false;
		}
	}
	return stream->header.type == type && stream->header.size == sizeof(stream->greeting) &&
	       length > 0 && length < CONFIG_NAME_MAX;
}

static void become_open(struct stream *stream)
{
	memcpy(stream->peer_name, stream->greeting.name, sizeof(stream->peer_name));
	stream->state = OPEN;
	stream->received = 0;
	connection_trust(&stream->connection);
	log_info("stream %s with %s (%s) open: %s", service_names[stream->service],
		 stream->peer_name, peer_text(stream), TLS_CIPHER);
	stream->events->opened(stream, stream->context);
}

/* What a hello gets for an answer; with ANSWER_YES the stream has all that it needs. */
static enum answer consider(struct stream *stream)
{
	const struct greeting *hello = &stream->greeting;
	const struct service *service;

	if (hello->version != PROTOCOL_VERSION) {
		return ANSWER_VERSION;
	}
	if (hello->word >= STREAM_SERVICE_COUNT || services[hello->word].accept == NULL) {
		return ANSWER_SERVICE;
	}
	stream->buffers = take_buffers();
	if (stream->buffers == NULL) {
		return ANSWER_FULL;
	}
	connection_set_ring(&stream->connection, stream->buffers->ring, RING_SIZE);
	stream->service = hello->word;
	service = &services[hello->word];
	stream->context = service->accept(stream);
	if (stream->context == NULL) {
		return ANSWER_FULL;
	}
	stream->events = service->events;
	return ANSWER_YES;
}

static const char *answer_text(uint16_t answer)
{
	switch (answer) {
	case ANSWER_YES:
		return NULL;
	case ANSWER_VERSION:
		return "the partner speaks another version: both hosts must be of one release";
	case ANSWER_SERVICE:
		return "the partner does not offer this";
	case ANSWER_FULL:
		return "the partner has no room for one more";
	default:
		return "the partner's answer makes no sense";
	}
}

static void answer_hello(struct stream *stream)
{
	enum answer answer;
	/* The ring can only be changed when TCP has all that is in it. */
	if (!connection_flush(&stream->connection)) {
		return;
	}
	answer = consider(stream);
	send_greeting(stream, GREETING_ANSWER, answer);
	if (answer == ANSWER_YES) {
		become_open(stream);
	} else {
		log_warn("streams: %s (%s) asked in vain: we say: %s", stream->greeting.name,
			 peer_text(stream), answer_text(answer));
		tls_goodbye(&stream->tls);
		close_slowly(stream);
	}
}

static void take_answer(struct stream *stream)
{
	const char *refused = answer_text(stream->greeting.word);

	if (refused == NULL) {
		become_open(stream);
	} else {
		end_with_peer(stream, refused, false);
	}
}

static void step_greeting(struct stream *stream)
{
	enum greeting_type expected = stream->incoming ? GREETING_HELLO : GREETING_ANSWER;
	size_t budget = STEP_BYTES;
	int error = read_frame(stream, &budget);

	if (error == -EAGAIN) {
		if (is_finished(stream)) {
			fail(stream, REFUSAL_GONE, finished_text(stream));
		}
	} else if (error != 0) {
		fail(stream, REFUSAL_GREETING, stream->tls.error);
	} else if (!greeting_is_sane(stream, expected)) {
		fail(stream, REFUSAL_GREETING, refusal_texts[REFUSAL_GREETING]);
	} else if (stream->incoming) {
		answer_hello(stream);
	} else {
		take_answer(stream);
	}
}

/* ---- Open --------------------------------------------------------------------------------------- */

/* One frame to its listener; false: no more for now. */
static bool receive(struct stream *stream, size_t *budget)
{
	int error = stream->held ? -EBUSY : read_frame(stream, budget);

	if (error == 0) {
		if (!stream->events->frame(stream, stream->context, stream->header.type,
					   stream->buffers->frame, stream->header.size)) {
			stream->held = stream->state == OPEN;
			return false;
		}
		stream->received = 0;
		stream->frames_received++;
		stream->bytes_received += stream->header.size;
	} else if (error == -EAGAIN && is_finished(stream)) {
		end(stream, finished_text(stream), false);
	} else if (error != -EAGAIN && error != -EBUSY) {
		/* The other side may still read why. */
		end(stream, stream->tls.error, true);
	}
	return error == 0;
}

static bool has_room(const struct stream *stream, size_t size)
{
	return connection_room(&stream->connection) >=
	       tls_wire_size(sizeof(struct header) + size) + RING_RESERVE;
}

static void tell_writable(struct stream *stream)
{
	if (stream->waits && has_room(stream, stream->wanted)) {
		stream->waits = false;
		stream->events->writable(stream, stream->context);
	}
}

/* True when there is more to do at once. */
static bool step_open(struct stream *stream)
{
	while (stream->state == OPEN && receive_budget > 0 && receive(stream, &receive_budget)) {
	}
	if (stream->state == OPEN) {
		tell_writable(stream);
	}
	if (stream->state != FREE) {
		connection_flush(&stream->connection);
	}
	if (stream->state != OPEN) {
		return false;
	}
	return receive_budget == 0 || (stream->waits && has_room(stream, stream->wanted));
}

/* ---- Closing ------------------------------------------------------------------------------------- */

static void step_closing(struct stream *stream)
{
	struct connection *connection = &stream->connection;
	const void *bytes;
	size_t size;

	/* What still comes is for nobody, and must not keep the other side. */
	while ((size = connection_peek(connection, &bytes)) > 0) {
		connection_consume(connection, size);
	}
	connection_flush(connection);
	if (connection_is_sent(connection) || connection->state == CONNECTION_BROKEN) {
		connection_close(connection);
		release(stream);
	} else if (step_ns >= stream->deadline_ns) {
		drop(stream);
	}
}

/* ---- The service ---------------------------------------------------------------------------------- */

static void step_before_open(struct stream *stream)
{
	if (stream->state == CONNECTING) {
		step_connecting(stream);
	}
	if (stream->state == HANDSHAKE) {
		step_handshake(stream);
	}
	if (stream->state == GREETING) {
		step_greeting(stream);
	}
	if ((stream->state == HANDSHAKE || stream->state == GREETING) &&
	    step_ns >= stream->deadline_ns) {
		fail(stream, REFUSAL_SILENT, "no handshake within 5 s");
	}
}

/* Returns when it wants the next turn. */
static uint64_t step_one(struct stream *stream)
{
	bool more = false;

	if (stream->state == CONNECTING || stream->state == HANDSHAKE ||
	    stream->state == GREETING) {
		step_before_open(stream);
	}
	if (stream->state == OPEN) {
		more = step_open(stream);
	}
	if (stream->state == CLOSING) {
		step_closing(stream);
	}
	if (stream->state == FREE) {
		return TIME_NEVER;
	}
	return more ? step_ns : stream->state == OPEN ? TIME_NEVER : stream->deadline_ns;
}

/* Turns of all that there are; returns when they, or TCP, want the next. */
static uint64_t step_all(uint64_t now_ns)
{
	uint64_t next_ns = TIME_NEVER;

	step_ns = now_ns;
	stepping = true;
	receive_budget = STEP_BYTES;
	send_budget = STEP_BYTES;
	for (unsigned i = 0; i < PLACE_COUNT; i++) {
		struct stream *stream = &streams[(first_place + i) % PLACE_COUNT];

		if (stream->state != FREE) {
			uint64_t wanted_ns = step_one(stream);

			next_ns = MIN(next_ns, wanted_ns);
		}
	}
	first_place = (first_place + 1) % PLACE_COUNT;
	stepping = false;
	next_ns = MIN(next_ns, now_ns + sys_timeouts_sleeptime() * NS_PER_MS);
	return interface_is_blocked() ? MIN(next_ns, now_ns + RETRY_NS) : next_ns;
}

uint64_t stream_step(uint64_t now_ns)
{
	uint64_t next_ns = taken_count > 0 ? step_all(now_ns) : TIME_NEVER;

	if (now_ns >= refusals_due_ns) {
		tell_refusals(now_ns);
	}
	return MIN(next_ns, refusals_due_ns);
}

/* ---- Those who come ----------------------------------------------------------------------------- */

static bool is_partner(const ip_addr_t *address)
{
	for (unsigned i = 0; i < partner.address_count; i++) {
		ip_addr_t own;

		if (interface_parse_address(partner.addresses[i], &own) == 0 &&
		    ip_addr_cmp(&own, address)) {
			return true;
		}
	}
	return false;
}

/* Makes room for one from the partner's address, at the cost of one from elsewhere. */
static void evict_stranger(void)
{
	for (unsigned i = 0; i < PLACE_COUNT; i++) {
		struct stream *stream = &streams[i];

		if (stream->state != FREE && stream->buffers == NULL &&
		    !is_partner(&stream->connection.address)) {
			refuse(stream, REFUSAL_FULL, false);
			return;
		}
	}
}

static unsigned stranger_count(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < PLACE_COUNT; i++) {
		count += streams[i].state != FREE && streams[i].buffers == NULL;
	}
	return count;
}

static void note_crowd(const ip_addr_t *address)
{
	note_refusal(REFUSAL_FULL, address);
}

static struct connection *accept_stranger(const ip_addr_t *address)
{
	struct stream *stream;

	if (stranger_count() == STREAM_HANDSHAKE_COUNT_MAX && is_partner(address)) {
		evict_stranger();
	}
	if (stranger_count() == STREAM_HANDSHAKE_COUNT_MAX) {
		note_refusal(REFUSAL_FULL, address);
		return NULL;
	}
	stream = take_place();
	CHECK(stream != NULL); /* those with buffers are STREAM_COUNT_MAX at most */
	stream->state = HANDSHAKE;
	stream->incoming = true;
	set_deadline(stream, STREAM_HANDSHAKE_MS);
	connection_set_ring(&stream->connection, stream->stranger_ring, STRANGER_RING);
	return &stream->connection;
}

/* ---- The interface ----------------------------------------------------------------------------------- */

static bool take_memory(void)
{
	for (unsigned i = 0; i < STREAM_COUNT_MAX; i++) {
		if (buffers[i] == NULL) {
			buffers[i] = page_new(sizeof(*buffers[i]));
		}
		if (buffers[i] == NULL) {
			return false;
		}
		buffers[i]->taken = false;
	}
	return true;
}

/* Returns what is missing, or NULL. */
static const char *start(const uint8_t *pair_key)
{
	uint8_t key[KEY_SIZE];
	int error;

	if (!take_memory()) {
		return "no memory for their buffers";
	}
	tls_init();
	key_derive(pair_key, KEY_PURPOSE_STREAM, key);
	error = tls_identity_init(&identity, key);
	wipe(key, sizeof(key));
	if (error != 0) {
		return "no memory for the key";
	}
	connection_screen(is_partner, note_crowd);
	return connection_listen(STREAM_PORT, accept_stranger) == 0 ? NULL
								    : "their port cannot be opened";
}

static void forget_all(void)
{
	for (unsigned i = 0; i < PLACE_COUNT; i++) {
		if (streams[i].state != FREE) {
			drop(&streams[i]);
		}
	}
	connection_stop_listening();
	memset(refusals, 0, sizeof(refusals));
	refusals_due_ns = TIME_NEVER;
	running = false;
}

void stream_init(const struct config *config)
{
	const char *missing;
	uint8_t proof;

	forget_all();
	memcpy(host_name, config->host_name, sizeof(host_name));
	partner = config->partner;
	wipe(partner.key, sizeof(partner.key));
	if (!partner.valid || !partner.has_key || random_bytes(&proof, 1) != 0) {
		return;
	}
	missing = start(config->partner.key);
	if (missing != NULL) {
		log_error("streams: %s: there will be none", missing);
		return;
	}
	running = true;
}

void stream_listen(enum stream_service service, const struct stream_events *events,
		   void *(*accept)(struct stream *stream))
{
	services[service] = (struct service){.events = events, .accept = accept};
}

struct stream *stream_connect(enum stream_service service, const struct stream_events *events,
			      void *context, int *error)
{
	struct buffers *taken;
	struct stream *stream;

	*error = -ENOENT;
	if (!running || partner.address_count == 0) {
		return NULL;
	}
	*error = -ENOBUFS;
	taken = take_buffers();
	if (taken == NULL) {
		return NULL;
	}
	stream = take_place();
	CHECK(stream != NULL);
	stream->state = CONNECTING;
	stream->service = service;
	stream->events = events;
	stream->context = context;
	stream->buffers = taken;
	/* The first attempt is made, and may fail, in the next step. */
	connection_set_ring(&stream->connection, taken->ring, RING_SIZE);
	*error = 0;
	return stream;
}

int stream_send(struct stream *stream, uint16_t type, const void *data, size_t size)
{
	if (stream->state != OPEN) {
		return -ENOTCONN;
	}
	if (size > STREAM_FRAME_MAX) {
		return -EMSGSIZE;
	}
	if (send_budget == 0 || !has_room(stream, size)) {
		stream->waits = true;
		stream->wanted = size;
		return -EAGAIN;
	}
	write_frame(stream, type, data, size);
	send_budget -= MIN(send_budget, size);
	stream->frames_sent++;
	stream->bytes_sent += size;
	if (!stepping) {
		connection_flush(&stream->connection);
	}
	return 0;
}

void stream_resume(struct stream *stream)
{
	stream->held = false;
}

void stream_close(struct stream *stream)
{
	if (stream->state == OPEN) {
		tls_goodbye(&stream->tls);
		close_slowly(stream);
	} else if (stream->state != CLOSING && stream->state != FREE) {
		drop(stream);
	}
}

const char *stream_peer_name(const struct stream *stream)
{
	return stream->peer_name;
}

bool stream_info_get(unsigned index, struct stream_info *info)
{
	for (unsigned i = 0; i < PLACE_COUNT; i++) {
		const struct stream *stream = &streams[i];
		const char *peer = peer_text(stream);

		if (stream->state == FREE || index-- > 0) {
			continue;
		}
		*info = (struct stream_info){
			.state = state_names[stream->state],
			.cipher = stream->state >= GREETING && stream->has_tls ? TLS_CIPHER : "",
			.service = stream->service,
			.service_name =
				stream->buffers != NULL ? service_names[stream->service] : "",
			.sent = stream->bytes_sent,
			.received = stream->bytes_received,
			.sent_frames = stream->frames_sent,
			.received_frames = stream->frames_received,
			.rtt_us = stream->connection.rtt_us,
		};
		snprintf(info->peer, sizeof(info->peer),
			 IP_IS_V6(&stream->connection.address) ? "[%s]:%u" : "%s:%u", peer,
			 stream->connection.port);
		return true;
	}
	return false;
}
