/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mbedTLS's options: TLS 1.2 with a pre-shared key and AES-128-GCM, both sides,
 * and SHA-256. No certificates, no public-key arithmetic, no files, no clock.
 *
 * Memory: a heap of fixed size in net/tls.c, never newlib's.
 * Vectors: none in mbedTLS. GCM is BearSSL's (net/gcm.c), which has them.
 */
#ifndef NET_PORT_MBEDTLS_CONFIG_H
#define NET_PORT_MBEDTLS_CONFIG_H

#include "base/check.h"

/* ---- System --------------------------------------------------------------- */

#define MBEDTLS_HAVE_ASM
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_PLATFORM_NO_STD_FUNCTIONS
#define MBEDTLS_MEMORY_BUFFER_ALLOC_C
#define MBEDTLS_MEMORY_ALIGN_MULTIPLE 16
#define MBEDTLS_MEMORY_DEBUG /* counts what is in use; it prints nothing, see below */
#define MBEDTLS_PLATFORM_FPRINTF_MACRO(...) ((void)0)
#define MBEDTLS_PLATFORM_EXIT_MACRO(status) panic("mbedTLS: its heap is damaged (%d)", status)

/* ---- Ciphers, digests ------------------------------------------------------- */

#define MBEDTLS_GCM_C
#define MBEDTLS_GCM_ALT
#define MBEDTLS_CIPHER_C
#define MBEDTLS_SHA256_C
#define MBEDTLS_MD_C

/* Its cipher layer does not know GCM without it; nothing calls it. */
#define MBEDTLS_AES_C
#define MBEDTLS_AES_ROM_TABLES
#define MBEDTLS_AES_FEWER_TABLES

/* ---- TLS ------------------------------------------------------------------- */

#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_SRV_C
#define MBEDTLS_SSL_PROTO_TLS1_2
#define MBEDTLS_KEY_EXCHANGE_PSK_ENABLED
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_SSL_MAX_CONTENT_LEN 16384
#define MBEDTLS_SSL_CIPHERSUITES MBEDTLS_TLS_PSK_WITH_AES_128_GCM_SHA256

/* The other side hears that its key is wrong. */
#define MBEDTLS_SSL_ALL_ALERT_MESSAGES

#include <mbedtls/check_config.h>

#endif
