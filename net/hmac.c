/* SPDX-License-Identifier: Apache-2.0 */
#include "net/hmac.h"

#include <mbedtls/platform_util.h>
#include <string.h>

#include "base/check.h"

#define BLOCK_SIZE 64 /* of SHA-256, FIPS 180-4 */
#define INNER_PAD 0x36
#define OUTER_PAD 0x5c

void wipe(void *secret, size_t size)
{
	mbedtls_platform_zeroize(secret, size);
}

/* The hash is plain arithmetic: it cannot fail. */
static void hash_start(mbedtls_sha256_context *hash)
{
	mbedtls_sha256_init(hash);
	CHECK(mbedtls_sha256_starts_ret(hash, 0) == 0);
}

static void hash_add(mbedtls_sha256_context *hash, const void *data, size_t size)
{
	CHECK(mbedtls_sha256_update_ret(hash, data, size) == 0);
}

static void hash_finish(mbedtls_sha256_context *hash, uint8_t *digest)
{
	CHECK(mbedtls_sha256_finish_ret(hash, digest) == 0);
	wipe(hash, sizeof(*hash));
}

static void hash_padded(mbedtls_sha256_context *hash, const uint8_t *secret, uint8_t pad)
{
	uint8_t block[BLOCK_SIZE];

	for (size_t i = 0; i < BLOCK_SIZE; i++) {
		block[i] = secret[i] ^ pad;
	}
	hash_start(hash);
	hash_add(hash, block, sizeof(block));
	wipe(block, sizeof(block));
}

void hmac_key_set(struct hmac_key *key, const void *secret, size_t size)
{
	uint8_t padded[BLOCK_SIZE] = {0};

	if (size > BLOCK_SIZE) {
		hash_start(&key->inner);
		hash_add(&key->inner, secret, size);
		hash_finish(&key->inner, padded);
	} else if (size > 0) {
		memcpy(padded, secret, size);
	}
	hash_padded(&key->inner, padded, INNER_PAD);
	hash_padded(&key->outer, padded, OUTER_PAD);
	wipe(padded, sizeof(padded));
}

void hmac(const struct hmac_key *key, const void *data, size_t size, uint8_t *mac)
{
	mbedtls_sha256_context hash = key->inner;
	uint8_t digest[HMAC_SIZE];

	hash_add(&hash, data, size);
	hash_finish(&hash, digest);
	hash = key->outer;
	hash_add(&hash, digest, sizeof(digest));
	hash_finish(&hash, mac);
}

void hkdf(struct hkdf_input secret, struct hkdf_input salt, struct hkdf_input info, uint8_t *out,
	  size_t out_size)
{
	uint8_t input[HMAC_SIZE + HKDF_INFO_MAX + 1], block[HMAC_SIZE];
	struct hmac_key key;
	size_t chained = 0; /* bytes of the block before */

	CHECK(info.size <= HKDF_INFO_MAX && out_size <= 255 * HMAC_SIZE);
	hmac_key_set(&key, salt.data, salt.size);
	hmac(&key, secret.data, secret.size, block);
	hmac_key_set(&key, block, sizeof(block));
	for (uint8_t number = 1; out_size > 0; number++) {
		size_t part = MIN(out_size, sizeof(block));

		memcpy(input + chained, info.data, info.size);
		input[chained + info.size] = number;
		hmac(&key, input, chained + info.size + 1, block);
		memcpy(out, block, part);
		memcpy(input, block, sizeof(block));
		chained = sizeof(block);
		out += part;
		out_size -= part;
	}
	wipe(&key, sizeof(key));
	wipe(input, sizeof(input));
	wipe(block, sizeof(block));
}
