/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.2 with a pre-shared key over a connection: TLS_PSK_WITH_AES_128_GCM_SHA256
 * (RFC 5487), and nothing else is offered or taken.
 *
 * Hides mbedTLS. Nothing waits: -EAGAIN says that bytes must come or go first.
 * All memory is in one heap of fixed size here, enough for TLS_SESSION_MAX
 * sessions; a session takes its own when it starts and none after that. This is
 * the one place where vector registers are used (fpu_begin).
 *
 * Private to net/: it shows mbedTLS's types.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <mbedtls/ssl.h>

#include "net/connection.h"

#define TLS_SESSION_MAX 8
#define TLS_RECORD_MAX MBEDTLS_SSL_OUT_CONTENT_LEN
#define TLS_RECORD_OVERHEAD 29 /* header 5, explicit nonce 8, tag 16 */
#define TLS_KEY_SIZE 32
#define TLS_CIPHER "AES-128-GCM"

/* One key, for sessions that we open and that others open to us. */
struct tls_identity {
	mbedtls_ssl_config client, server;
};

struct tls {
	mbedtls_ssl_context ssl;
	struct connection *connection;
	const char *error; /* after -EPROTO, -EACCES or -EPIPE: what happened */
};

/* The heap, empty. Before all else, once, or again when no session is alive. */
void tls_init(void);

/* -ENOMEM. The key is copied. */
int tls_identity_init(struct tls_identity *identity, const uint8_t *key) MUST_CHECK;
void tls_identity_free(struct tls_identity *identity);

/* -ENOMEM. A session of our side over a connection that is open. */
int tls_start(struct tls *tls, const struct tls_identity *identity, bool client,
	      struct connection *connection) MUST_CHECK;
/* Also after an error. */
void tls_end(struct tls *tls);

/*
 * Goes on with the handshake: 0 when the other side has shown the key, -EAGAIN,
 * -EACCES (it has another key), -EPROTO (it does not speak TLS as we do).
 */
int tls_handshake(struct tls *tls) MUST_CHECK;

/* What `size` bytes will be on the connection. */
size_t tls_wire_size(size_t size);

/* All of `size` bytes, after the handshake; there must be room for tls_wire_size. */
void tls_write(struct tls *tls, const void *bytes, size_t size);

/*
 * Up to `size` bytes of one record: how many, -EAGAIN, -EPIPE (the other side has
 * said goodbye), -EPROTO.
 */
int tls_read(struct tls *tls, void *bytes, size_t size) MUST_CHECK;

/* Decrypted bytes wait for tls_read. */
bool tls_is_readable(const struct tls *tls);

/* Says goodbye: nothing may be written after it. */
void tls_goodbye(struct tls *tls);

/* Bytes of the heap that are in use now, and at the worst. */
void tls_heap_used(size_t *now, size_t *most);

#endif
