/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HMAC with SHA-256 (RFC 2104), and HKDF on it (RFC 5869).
 *
 * Only the hash is mbedTLS's: so nothing here takes memory from its heap, which
 * belongs to the streams, nor touches a vector register. It may be called at any
 * time, between fpu_begin and fpu_end or not.
 */
#ifndef NET_HMAC_H
#define NET_HMAC_H

#include <mbedtls/sha256.h>

#include "base/types.h"

#define HMAC_SIZE 32 /* bytes of a MAC */

/* A key made ready: the hash after each of the two padded keys. Secret. */
struct hmac_key {
	mbedtls_sha256_context inner, outer;
};

void hmac_key_set(struct hmac_key *key, const void *secret, size_t size);

/* The MAC of `size` bytes; `mac` is HMAC_SIZE bytes, and may overlap `data`. */
void hmac(const struct hmac_key *key, const void *data, size_t size, uint8_t *mac);

/*
 * HKDF: `out_size` bytes, at most 255 * HMAC_SIZE, from a secret, a salt (size 0:
 * none) and what they are for, at most HKDF_INFO_MAX bytes.
 */
#define HKDF_INFO_MAX 128

struct hkdf_input {
	const void *data;
	size_t size;
};

void hkdf(struct hkdf_input secret, struct hkdf_input salt, struct hkdf_input info, uint8_t *out,
	  size_t out_size);

/* Overwrites a secret; the compiler does not leave it out. */
void wipe(void *secret, size_t size);

#endif
