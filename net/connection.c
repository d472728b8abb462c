/* SPDX-License-Identifier: Apache-2.0 */
/* TCP by lwIP's raw interface. See connection.h. */
#include "net/connection.h"

#include <errno.h>
#include <string.h>

#include <lwip/ip.h>
#include <lwip/pbuf.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>

#include "arch/x86_64/arch.h"
#include "base/check.h"

/* Half of it is for those who are expected. */
#define BACKLOG (2 * CONNECTION_HALF_OPEN_MAX)

/* Probes begin after a third of the silence, and there are four. */
#define KEEP_IDLE_MS (CONNECTION_SILENCE_MS / 3)
#define KEEP_COUNT 4
#define KEEP_INTERVAL_MS ((CONNECTION_SILENCE_MS - KEEP_IDLE_MS) / KEEP_COUNT)

/* What one call of tcp_write may get: its length has 16 bits. */
#define WRITE_MAX 65535

static struct tcp_pcb *listener;
static struct connection *(*accept_connection)(const ip_addr_t *address);
static bool (*is_expected)(const ip_addr_t *address); /* NULL: everybody */
static void (*tell_refused)(const ip_addr_t *address);

/* ---- lwIP's callbacks ------------------------------------------------------------ */

static const char *error_text(const struct connection *connection, err_t error)
{
	switch (error) {
	case ERR_RST:
		return connection->state == CONNECTION_OPENING ? "the port is closed there"
							       : "reset by the other side";
	case ERR_ABRT:
		return connection->state == CONNECTION_OPENING ? "no answer" : "no answer for 30 s";
	default:
		return "TCP has given it up";
	}
}

/* The pcb is gone already. */
static void note_error(void *context, err_t error)
{
	struct connection *connection = context;

	connection->error = error_text(connection, error);
	connection->state = CONNECTION_BROKEN;
	connection->pcb = NULL;
}

/* Behind what was received before. A card may leave a pbuf with headers alone: now empty. */
static void append(struct connection *connection, struct pbuf *p)
{
	p->next = NULL;
	p->tot_len = p->len;
	if (p->len == 0) {
		pbuf_free(p);
		return;
	}
	if (connection->last == NULL) {
		connection->first = p;
	} else {
		connection->last->next = p;
	}
	connection->last = p;
}

static err_t note_received(void *context, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
	struct connection *connection = context;

	(void)pcb;
	(void)error;
	if (p == NULL) {
		connection->state = CONNECTION_ENDED;
	}
	while (p != NULL) {
		struct pbuf *next = p->next;

		append(connection, p);
		p = next;
	}
	return ERR_OK;
}

static void take_rtt(struct connection *connection)
{
	uint64_t sample_us = (time_now_ns() - connection->mark_ns) / 1000;

	if (connection->rtt_us == 0) {
		connection->rtt_us = (uint32_t)MAX(sample_us, UINT64_C(1));
	} else {
		connection->rtt_us += (uint32_t)(((int64_t)sample_us - connection->rtt_us) / 8);
	}
	connection->mark = 0;
}

static err_t note_sent(void *context, struct tcp_pcb *pcb, u16_t size)
{
	struct connection *connection = context;

	(void)pcb;
	connection->acked += size;
	if (connection->mark != 0 && connection->acked >= connection->mark) {
		take_rtt(connection);
	}
	return ERR_OK;
}

static err_t note_connected(void *context, struct tcp_pcb *pcb, err_t error)
{
	struct connection *connection = context;

	(void)pcb;
	(void)error; /* always ERR_OK */
	connection->state = CONNECTION_OPEN;
	return ERR_OK;
}

static void attach(struct connection *connection, struct tcp_pcb *pcb)
{
	connection->pcb = pcb;
	connection->error = NULL;
	ip_addr_copy(connection->address, pcb->remote_ip);
	connection->port = pcb->remote_port;
	tcp_arg(pcb, connection);
	tcp_err(pcb, note_error);
	tcp_recv(pcb, note_received);
	tcp_sent(pcb, note_sent);
	tcp_nagle_disable(pcb);
	ip_set_option(pcb, SOF_KEEPALIVE);
	pcb->keep_idle = KEEP_IDLE_MS;
	pcb->keep_intvl = KEEP_INTERVAL_MS;
	pcb->keep_cnt = KEEP_COUNT;
}

static void detach(struct tcp_pcb *pcb)
{
	tcp_arg(pcb, NULL);
	tcp_err(pcb, NULL);
	tcp_recv(pcb, NULL);
	tcp_sent(pcb, NULL);
}

/* ---- Opening ------------------------------------------------------------------------ */

static err_t note_accepted(void *context, struct tcp_pcb *pcb, err_t error)
{
	struct connection *connection;

	(void)context;
	if (error != ERR_OK || pcb == NULL) {
		return ERR_VAL;
	}
	connection = accept_connection(&pcb->remote_ip);
	if (connection == NULL) {
		tcp_abort(pcb);
		return ERR_ABRT;
	}
	connection->state = CONNECTION_OPEN;
	attach(connection, pcb);
	return ERR_OK;
}

int connection_listen(uint16_t port, struct connection *(*accept)(const ip_addr_t *address))
{
	struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);

	if (pcb == NULL) {
		return -ENOMEM;
	}
	/* Those that come in have it too. */
	tcp_setprio(pcb, TCP_PRIO_MIN);
	if (tcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK) {
		tcp_abort(pcb);
		return -EADDRINUSE;
	}
	listener = tcp_listen_with_backlog(pcb, BACKLOG);
	if (listener == NULL) {
		tcp_abort(pcb);
		return -ENOMEM;
	}
	accept_connection = accept;
	tcp_accept(listener, note_accepted);
	return 0;
}

void connection_stop_listening(void)
{
	if (listener != NULL) {
		tcp_close(listener);
		listener = NULL;
	}
}

void connection_screen(bool (*expected)(const ip_addr_t *address),
		       void (*refused)(const ip_addr_t *address))
{
	is_expected = expected;
	tell_refused = refused;
}

int connection_admit(const struct tcp_pcb *pcb)
{
	const ip_addr_t *address = ip_current_src_addr();
	unsigned count = 0;

	if (pcb->state != LISTEN || is_expected == NULL || is_expected(address)) {
		return 0;
	}
	for (const struct tcp_pcb *other = tcp_active_pcbs; other != NULL; other = other->next) {
		count += other->state == SYN_RCVD && !is_expected(&other->remote_ip);
	}
	if (count < CONNECTION_HALF_OPEN_MAX) {
		return 0;
	}
	tell_refused(address);
	return ERR_CONN;
}

int connection_open(struct connection *connection, const ip_addr_t *address, uint16_t port)
{
	struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(address));
	err_t error;

	if (pcb == NULL) {
		return -ENOMEM;
	}
	connection->state = CONNECTION_OPENING;
	ip_addr_copy(pcb->remote_ip, *address);
	pcb->remote_port = port;
	attach(connection, pcb);
	tcp_setprio(pcb, TCP_PRIO_NORMAL);
	error = tcp_connect(pcb, address, port, note_connected);
	if (error != ERR_OK) {
		connection_reset(connection);
		return error == ERR_RTE ? -EHOSTUNREACH : -ENOMEM;
	}
	return 0;
}

void connection_trust(struct connection *connection)
{
	if (connection->pcb != NULL) {
		tcp_setprio(connection->pcb, TCP_PRIO_MAX);
	}
}

/* ---- Sending -------------------------------------------------------------------------- */

void connection_set_ring(struct connection *connection, uint8_t *ring, size_t size)
{
	CHECK(connection->queued == connection->written);
	connection->ring = ring;
	connection->ring_size = size;
	connection->ring_start = connection->written;
}

/* The oldest position that still needs its place in the ring. */
static uint64_t ring_oldest(const struct connection *connection)
{
	return MAX(connection->acked, connection->ring_start);
}

size_t connection_room(const struct connection *connection)
{
	return connection->ring_size - (size_t)(connection->written - ring_oldest(connection));
}

static uint8_t *ring_at(const struct connection *connection, uint64_t position)
{
	return connection->ring + (position - connection->ring_start) % connection->ring_size;
}

/* Bytes from `position` on that lie together. */
static size_t ring_run(const struct connection *connection, uint64_t position)
{
	return connection->ring_size -
	       (size_t)((position - connection->ring_start) % connection->ring_size);
}

size_t connection_write(struct connection *connection, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;
	size_t room = connection_room(connection);
	size_t left = MIN(size, room), taken = left;

	while (left > 0) {
		size_t part = MIN(left, ring_run(connection, connection->written));

		memcpy(ring_at(connection, connection->written), from, part);
		connection->written += part;
		from += part;
		left -= part;
	}
	return taken;
}

/* One piece to TCP; false: it takes no more now. */
static bool queue_piece(struct connection *connection)
{
	struct tcp_pcb *pcb = connection->pcb;
	size_t size = MIN(connection->written - connection->queued,
			  ring_run(connection, connection->queued));
	bool more;

	size = MIN(MIN(size, tcp_sndbuf(pcb)), WRITE_MAX);
	more = connection->queued + size < connection->written;
	if (size == 0 || tcp_write(pcb, ring_at(connection, connection->queued), (u16_t)size,
				   more ? TCP_WRITE_FLAG_MORE : 0) != ERR_OK) {
		return false;
	}
	connection->queued += size;
	return true;
}

bool connection_flush(struct connection *connection)
{
	if (connection->pcb == NULL) {
		return true;
	}
	if (connection->queued < connection->written) {
		while (connection->queued < connection->written && queue_piece(connection)) {
		}
		if (connection->mark == 0) {
			connection->mark = connection->queued;
			connection->mark_ns = time_now_ns();
		}
		tcp_output(connection->pcb);
	}
	return connection->queued == connection->written;
}

bool connection_is_sent(const struct connection *connection)
{
	return connection->acked == connection->written;
}

/* ---- Receiving ------------------------------------------------------------------------- */

size_t connection_peek(const struct connection *connection, const void **bytes)
{
	if (connection->first == NULL) {
		return 0;
	}
	*bytes = (const uint8_t *)connection->first->payload + connection->first_offset;
	return connection->first->len - connection->first_offset;
}

static void drop_first(struct connection *connection)
{
	struct pbuf *p = connection->first;

	connection->first = p->next;
	if (p->next == NULL) {
		connection->last = NULL;
	}
	connection->first_offset = 0;
	p->next = NULL;
	pbuf_free(p);
}

/* The window opens by `size`. */
static void tell_consumed(struct connection *connection, size_t size)
{
	while (connection->pcb != NULL && size > 0) {
		u16_t part = (u16_t)MIN(size, (size_t)UINT16_MAX);

		tcp_recved(connection->pcb, part);
		size -= part;
	}
}

static void advance(struct connection *connection, size_t size)
{
	connection->first_offset += size;
	if (connection->first_offset == connection->first->len) {
		drop_first(connection);
	}
}

void connection_consume(struct connection *connection, size_t size)
{
	advance(connection, size);
	tell_consumed(connection, size);
}

size_t connection_read(struct connection *connection, void *bytes, size_t size)
{
	uint8_t *to = bytes;
	const void *from;
	size_t done = 0, part;

	while (done < size && (part = connection_peek(connection, &from)) > 0) {
		part = MIN(part, size - done);
		memcpy(to + done, from, part);
		advance(connection, part);
		done += part;
	}
	tell_consumed(connection, done);
	return done;
}

bool connection_is_readable(const struct connection *connection)
{
	return connection->first != NULL;
}

/* ---- The end ------------------------------------------------------------------------------ */

static void forget(struct connection *connection)
{
	while (connection->first != NULL) {
		drop_first(connection);
	}
	connection->pcb = NULL;
	connection->state = CONNECTION_NONE;
}

void connection_close(struct connection *connection)
{
	struct tcp_pcb *pcb = connection->pcb;
	const void *bytes;
	size_t size;

	/* With anything unread lwIP would reset it. */
	while ((size = connection_peek(connection, &bytes)) > 0) {
		connection_consume(connection, size);
	}
	if (pcb != NULL) {
		detach(pcb);
		if (!connection_is_sent(connection) || tcp_close(pcb) != ERR_OK) {
			tcp_abort(pcb);
		}
	}
	forget(connection);
}

void connection_reset(struct connection *connection)
{
	struct tcp_pcb *pcb = connection->pcb;

	if (pcb != NULL) {
		detach(pcb);
		tcp_abort(pcb);
	}
	forget(connection);
}
