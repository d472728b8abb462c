/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams between the two hosts: frames in order, whole, authenticated and
 * encrypted (TLS 1.2, RFC 5246, with the pair's pre-shared key, RFC 4279).
 *
 * Hides lwIP and mbedTLS. Nothing here waits: a call takes all or nothing, and
 * an event says when to go on. Memory is bounded: STREAM_COUNT_MAX streams that
 * are open or being opened, each with fixed buffers; who cannot show the key
 * within STREAM_HANDSHAKE_MS is gone, and as many as are in their handshake
 * cannot take the place of those that are open.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "base/command.h"
#include "base/config.h"

#define STREAM_PORT 8551
#define STREAM_COUNT_MAX 4 /* open at a time */
#define STREAM_HANDSHAKE_COUNT_MAX 4 /* not yet authenticated, on top of them */
#define STREAM_HANDSHAKE_MS 5000
#define STREAM_FRAME_MAX 65536 /* bytes of a frame without its header */
#define STREAM_SERVICE_MAX 8

/* What a stream is for: the first frame of the side that connects names it. */
enum stream_service { STREAM_SERVICE_PROBE, STREAM_SERVICE_MIGRATION, STREAM_SERVICE_COUNT };

struct stream;

/* All are called on the service CPU, never from inside another call of this file. */
struct stream_events {
	/* The partner has shown the key; frames may be sent. */
	void (*opened)(struct stream *stream, void *context);
	/*
	 * One whole frame. False: it cannot be taken now; it comes again after
	 * stream_resume, and the partner is held back meanwhile.
	 */
	bool (*frame)(struct stream *stream, void *context, uint16_t type, const void *data,
		      size_t size);
	/* There is room again, after stream_send said -EAGAIN. */
	void (*writable)(struct stream *stream, void *context);
	/*
	 * The last event: the stream is gone. `reason` is a sentence: "closed by the
	 * partner", "wrong key", "no answer for 30 s" ...
	 */
	void (*closed)(struct stream *stream, void *context, const char *reason);
};

/*
 * The pair's key and the partner's addresses; opens the port. After net_init. Without
 * a partner or a key no port is open and no stream can be had.
 */
void stream_init(const struct config *config);

/* The service (service_fn), after net_step: all work of streams, and their events. */
uint64_t stream_step(uint64_t now_ns);

/*
 * Whoever of the partner asks for `service` gets a stream with these events;
 * its context is what `accept` returns, NULL refuses it.
 */
void stream_listen(enum stream_service service, const struct stream_events *events,
		   void *(*accept)(struct stream *stream));

/*
 * A stream to the partner, by the first of its addresses that answers. NULL with
 * *error -ENOENT (no partner or no key configured) or -ENOBUFS (too many).
 */
struct stream *stream_connect(enum stream_service service, const struct stream_events *events,
			      void *context, int *error) MUST_CHECK;

/* A frame: 0, -EAGAIN (wait for writable), -EMSGSIZE, -ENOTCONN. All or nothing. */
int stream_send(struct stream *stream, uint16_t type, const void *data, size_t size) MUST_CHECK;

/* Takes frames again, after `frame` returned false. */
void stream_resume(struct stream *stream);

/*
 * Ends it after all that was sent has gone out; no event comes any more. A
 * partner that does not read does not hold it for longer than some seconds.
 */
void stream_close(struct stream *stream);

/* The partner's host name, as it said in its greeting; "" before. */
const char *stream_peer_name(const struct stream *stream);

struct stream_info {
	char peer[48]; /* address and port */
	const char *state; /* "connecting", "handshake", "open", "closing" */
	const char *cipher; /* "" before the handshake is done */
	enum stream_service service;
	const char *service_name; /* "" when it is not known yet */
	uint64_t sent, received; /* bytes of frames */
	uint64_t sent_frames, received_frames;
	uint32_t rtt_us; /* until TCP has an acknowledgement, smoothed; 0: not yet */
};

/* False when there are no more. */
bool stream_info_get(unsigned index, struct stream_info *info);

/* The console's `stream`. */
extern const struct command stream_commands[];
extern const size_t stream_command_count;

#endif
