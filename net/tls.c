/* SPDX-License-Identifier: Apache-2.0 */
/* TLS by mbedTLS. See tls.h. */
#include "net/tls.h"

#include <errno.h>
#include <string.h>

#include <mbedtls/memory_buffer_alloc.h>

#include "arch/x86_64/arch.h"
#include "base/check.h"
#include "net/random.h"

#define IDENTITY "dyad"

/*
 * A session takes 34 KiB for its two record buffers, and less than 5 KiB in its
 * handshake for all else. Sessions that come and go leave holes: with 40 KiB for each
 * some found no place for a record buffer, with 60 KiB none in a million.
 */
#define HEAP_SIZE (TLS_SESSION_MAX * 64 * KIB)

static _Alignas(16) uint8_t heap[HEAP_SIZE];

static const int ciphersuites[] = {MBEDTLS_TLS_PSK_WITH_AES_128_GCM_SHA256, 0};

void tls_init(void)
{
	mbedtls_memory_buffer_alloc_free();
	mbedtls_memory_buffer_alloc_init(heap, sizeof(heap));
}

void tls_heap_used(size_t *now, size_t *most)
{
	size_t blocks;

	mbedtls_memory_buffer_alloc_cur_get(now, &blocks);
	mbedtls_memory_buffer_alloc_max_get(most, &blocks);
}

/* ---- The key ----------------------------------------------------------------------- */

static int config_init(mbedtls_ssl_config *config, int endpoint, const uint8_t *key)
{
	mbedtls_ssl_config_init(config);
	if (mbedtls_ssl_config_defaults(config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
					MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
		return -ENOMEM;
	}
	mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3,
				     MBEDTLS_SSL_MINOR_VERSION_3);
	mbedtls_ssl_conf_ciphersuites(config, ciphersuites);
	mbedtls_ssl_conf_rng(config, random_for_tls, NULL);
	return mbedtls_ssl_conf_psk(config, key, TLS_KEY_SIZE, (const unsigned char *)IDENTITY,
				    strlen(IDENTITY)) == 0
		       ? 0
		       : -ENOMEM;
}

int tls_identity_init(struct tls_identity *identity, const uint8_t *key)
{
	int error = config_init(&identity->client, MBEDTLS_SSL_IS_CLIENT, key);

	if (error == 0) {
		error = config_init(&identity->server, MBEDTLS_SSL_IS_SERVER, key);
	}
	return error;
}

void tls_identity_free(struct tls_identity *identity)
{
	mbedtls_ssl_config_free(&identity->client);
	mbedtls_ssl_config_free(&identity->server);
}

/* ---- The connection below ------------------------------------------------------------ */

static int send_bytes(void *context, const unsigned char *bytes, size_t size)
{
	size_t sent = connection_write(context, bytes, size);

	return sent > 0 ? (int)sent : MBEDTLS_ERR_SSL_WANT_WRITE;
}

static int receive_bytes(void *context, unsigned char *bytes, size_t size)
{
	size_t received = connection_read(context, bytes, size);

	return received > 0 ? (int)received : MBEDTLS_ERR_SSL_WANT_READ;
}

/* ---- Sessions --------------------------------------------------------------------------- */

int tls_start(struct tls *tls, const struct tls_identity *identity, bool client,
	      struct connection *connection)
{
	tls->connection = connection;
	tls->error = NULL;
	mbedtls_ssl_init(&tls->ssl);
	if (mbedtls_ssl_setup(&tls->ssl, client ? &identity->client : &identity->server) != 0) {
		mbedtls_ssl_free(&tls->ssl);
		return -ENOMEM;
	}
	mbedtls_ssl_set_bio(&tls->ssl, connection, send_bytes, receive_bytes, NULL);
	return 0;
}

void tls_end(struct tls *tls)
{
	mbedtls_ssl_free(&tls->ssl);
}

/* An alert that came, in words (RFC 5246, 7.2; RFC 4279, 2). */
static int alert_error(struct tls *tls)
{
	switch (tls->ssl.in_msg[1]) {
	case MBEDTLS_SSL_ALERT_MSG_BAD_RECORD_MAC:
	case MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR:
	case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_PSK_IDENTITY:
		if (tls->ssl.state != MBEDTLS_SSL_HANDSHAKE_OVER) {
			tls->error = "it refuses our key";
			return -EACCES;
		}
		tls->error = "a record was damaged on its way there";
		return -EPROTO;
	default:
		tls->error = "it ended TLS with an alert";
		return -EPROTO;
	}
}

/* A record that cannot be decrypted: the first one shows the key. */
static int key_error(struct tls *tls)
{
	if (tls->ssl.state == MBEDTLS_SSL_HANDSHAKE_OVER) {
		tls->error = "a record was damaged on its way";
		return -EPROTO;
	}
	tls->error = "it has another key than we";
	return -EACCES;
}

/* What an error of mbedTLS means here. */
static int error_of(struct tls *tls, int result)
{
	switch (result) {
	case MBEDTLS_ERR_SSL_WANT_READ:
	case MBEDTLS_ERR_SSL_WANT_WRITE:
		return -EAGAIN;
	case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
		return alert_error(tls);
	case MBEDTLS_ERR_SSL_INVALID_MAC:
	case MBEDTLS_ERR_SSL_UNKNOWN_IDENTITY:
		return key_error(tls);
	case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
		tls->error = "closed by the partner";
		return -EPIPE;
	case MBEDTLS_ERR_SSL_ALLOC_FAILED:
		tls->error = "no memory for TLS";
		return -EPROTO;
	default:
		tls->error = "what it sends is not our TLS";
		return -EPROTO;
	}
}

int tls_handshake(struct tls *tls)
{
	int result;

	fpu_begin();
	result = mbedtls_ssl_handshake(&tls->ssl);
	fpu_end();
	return result == 0 ? 0 : error_of(tls, result);
}

size_t tls_wire_size(size_t size)
{
	size_t records = (size + TLS_RECORD_MAX - 1) / TLS_RECORD_MAX;

	return size + records * TLS_RECORD_OVERHEAD;
}

void tls_write(struct tls *tls, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;

	CHECK(connection_room(tls->connection) >= tls_wire_size(size));
	fpu_begin();
	while (size > 0) {
		int result = mbedtls_ssl_write(&tls->ssl, from, size);

		CHECK(result > 0);
		from += result;
		size -= (size_t)result;
	}
	fpu_end();
}

int tls_read(struct tls *tls, void *bytes, size_t size)
{
	bool encrypted = !tls_is_readable(tls);
	int result;

	if (encrypted) {
		fpu_begin();
	}
	result = mbedtls_ssl_read(&tls->ssl, bytes, size);
	if (encrypted) {
		fpu_end();
	}
	return result > 0 ? result : error_of(tls, result);
}

bool tls_is_readable(const struct tls *tls)
{
	return mbedtls_ssl_get_bytes_avail(&tls->ssl) > 0;
}

void tls_goodbye(struct tls *tls)
{
	fpu_begin();
	(void)mbedtls_ssl_close_notify(&tls->ssl);
	fpu_end();
}
