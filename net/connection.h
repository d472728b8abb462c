/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes over TCP: one connection, both ways, without waiting. Knows lwIP's TCP
 * and hides it from what is above.
 *
 * Rules: what is written lies in a ring of the owner's until the other side has
 * acknowledged it; lwIP only refers to it. A card may still read it afterwards:
 * a segment that was sent again, and acknowledged while it waited for the card,
 * leaves with what the ring has by then, even that of another stream. That is
 * harmless: the other side has these bytes and drops them as old, and a ring
 * has nothing in it but what goes over the wire. What is received stays in the cards'
 * buffers until it is read, and the window that the other side sees opens as it
 * is. lwIP's callbacks do no more than to note what happened: the owner looks
 * when its turn comes, and nothing here calls it, `accept` excepted.
 *
 * Private to net/: it shows lwIP's types.
 */
#ifndef NET_CONNECTION_H
#define NET_CONNECTION_H

#include <lwip/ip_addr.h>

#include "base/types.h"

struct pbuf;
struct tcp_pcb;

enum connection_state {
	CONNECTION_NONE, /* not begun, or closed by the owner */
	CONNECTION_OPENING,
	CONNECTION_OPEN,
	CONNECTION_ENDED, /* the other side sends no more; it may still read */
	CONNECTION_BROKEN, /* gone; what was received before can still be read */
};

struct connection {
	enum connection_state state;
	const char *error; /* why it is broken: "reset by the other side" ... */
	struct tcp_pcb *pcb; /* NULL when there is none: NONE and BROKEN */
	ip_addr_t address; /* the other side's */
	uint16_t port;
	/* Positions count bytes since the start: acked <= queued <= written. */
	uint8_t *ring;
	size_t ring_size;
	uint64_t ring_start; /* the position that lies at the ring's first byte */
	uint64_t acked, queued, written;
	struct pbuf *first, *last; /* received and not yet read */
	size_t first_offset; /* bytes of the first that have been read */
	uint64_t mark, mark_ns; /* when the byte at `mark` went out; 0: none is timed */
	uint32_t rtt_us; /* smoothed; 0: not yet known */
};

/* Silence after which the other side counts as gone, in ms, and how it is probed. */
#define CONNECTION_SILENCE_MS 30000

/*
 * Listens at `port` of every address, until connection_stop_listening. `accept`
 * gives the place for a new connection with its ring set (connection_set_ring),
 * or NULL: then it is reset. -ENOMEM, -EADDRINUSE.
 */
int connection_listen(uint16_t port,
		      struct connection *(*accept)(const ip_addr_t *address)) MUST_CHECK;
void connection_stop_listening(void);

/*
 * Who may come in while CONNECTION_HALF_OPEN_MAX strangers have asked to and not
 * answered yet: those whom `is_expected` knows. The others are dropped, and told
 * to `refused`; both are called out of lwIP.
 */
#define CONNECTION_HALF_OPEN_MAX 4
void connection_screen(bool (*is_expected)(const ip_addr_t *address),
		       void (*refused)(const ip_addr_t *address));

/* lwIP's hook: a segment for this pcb is in; anything but 0 drops it. */
int connection_admit(const struct tcp_pcb *pcb);

/*
 * Begins to open one, in a place that is zeroed but for its ring. 0 (the state
 * tells how it went), -ENOMEM, -EHOSTUNREACH: no interface leads there.
 */
int connection_open(struct connection *connection, const ip_addr_t *address,
		    uint16_t port) MUST_CHECK;

/*
 * From now on what is written goes to this memory. What went to the one before
 * must be queued all (connection_flush returned true), and stays there until it is
 * acknowledged.
 */
void connection_set_ring(struct connection *connection, uint8_t *ring, size_t size);

/* It is one of ours: when TCP runs short of places, strangers go first. */
void connection_trust(struct connection *connection);

/* Bytes that connection_write would take. */
size_t connection_room(const struct connection *connection);

/* Takes what there is room for; returns how many bytes. Sent by connection_flush. */
size_t connection_write(struct connection *connection, const void *bytes, size_t size);

/* Sends what was written, as far as TCP lets it; true when all of it is with TCP. */
bool connection_flush(struct connection *connection);

/* Everything written has been acknowledged. */
bool connection_is_sent(const struct connection *connection);

/* Copies up to `size` received bytes; returns how many. */
size_t connection_read(struct connection *connection, void *bytes, size_t size);

/* The received bytes that lie together first, without a copy; 0: there are none. */
size_t connection_peek(const struct connection *connection, const void **bytes);
/* `size` of them have been used. */
void connection_consume(struct connection *connection, size_t size);

bool connection_is_readable(const struct connection *connection);

/*
 * Both free the place. In order, and what is written but not acknowledged is lost
 * (wait for connection_is_sent); or by a reset.
 */
void connection_close(struct connection *connection);
void connection_reset(struct connection *connection);

#endif
