/* SPDX-License-Identifier: Apache-2.0 */
/* The letters K and V, and the order of the steps, are those of SP 800-90A, 10.1.2. */
#include "net/random.h"

#include <errno.h>
#include <string.h>

#include "arch/x86_64/arch.h"
#include "base/check.h"
#include "base/log.h"
#include "net/hmac.h"

/* Twice the 256 bits needed: RDRAND's come from a generator too, not from its noise. */
#define SEED_WORDS 8
/* Calls between two seeds; the standard would allow 2^48. */
#define RESEED_INTERVAL 1024

static struct hmac_key k;
static uint8_t v[HMAC_SIZE];
static unsigned call_count; /* since the last seed */
static int seed_error = -ENODEV; /* of the last attempt */

/* HMAC_DRBG_Update with `size` bytes at `seed`; 0: none. */
static void update(const void *seed, size_t size)
{
	uint8_t input[HMAC_SIZE + 1 + SEED_WORDS * sizeof(uint64_t)];
	uint8_t secret[HMAC_SIZE];

	for (uint8_t round = 0; round < (size > 0 ? 2 : 1); round++) {
		memcpy(input, v, sizeof(v));
		input[HMAC_SIZE] = round;
		memcpy(input + HMAC_SIZE + 1, seed, size);
		hmac(&k, input, HMAC_SIZE + 1 + size, secret);
		hmac_key_set(&k, secret, sizeof(secret));
		hmac(&k, v, sizeof(v), v);
	}
	wipe(input, sizeof(input));
	wipe(secret, sizeof(secret));
}

void random_mix(const void *bytes, size_t size)
{
	CHECK(size <= SEED_WORDS * sizeof(uint64_t));
	update(bytes, size);
}

static int reseed(void)
{
	uint64_t seed[SEED_WORDS];

	seed_error = 0;
	for (size_t i = 0; i < SEED_WORDS && seed_error == 0; i++) {
		seed_error = cpu_random(&seed[i]);
	}
	if (seed_error == 0) {
		update(seed, sizeof(seed));
		call_count = 0;
	}
	wipe(seed, sizeof(seed));
	return seed_error;
}

static void generate(uint8_t *bytes, size_t size)
{
	while (size > 0) {
		size_t part = MIN(size, sizeof(v));

		hmac(&k, v, sizeof(v), v);
		memcpy(bytes, v, part);
		bytes += part;
		size -= part;
	}
	update("", 0);
	call_count++;
}

int random_init(void)
{
	const uint8_t zero[HMAC_SIZE] = {0};
	uint64_t clock = tsc_now();

	hmac_key_set(&k, zero, sizeof(zero));
	memset(v, 1, sizeof(v));
	update(&clock, sizeof(clock));
	int error = reseed();
	if (error == -ENODEV) {
		log_error("random: this CPU has neither RDSEED nor RDRAND, so streams and "
			  "heartbeats stay off; Intel CPUs since 2012 have RDRAND, emulators "
			  "have it as a feature to switch on");
	} else if (error != 0) {
		log_error("random: the CPU's generator does not deliver (RDSEED, RDRAND), so "
			  "streams and heartbeats stay off; new microcode or another CPU is "
			  "needed");
	}
	return error;
}

int random_bytes(void *bytes, size_t size)
{
	if (seed_error != 0 || call_count >= RESEED_INTERVAL) {
		int error = reseed();

		if (error != 0) {
			memset(bytes, 0, size);
			return error;
		}
	}
	generate(bytes, size);
	return 0;
}

int random_for_tls(void *context, unsigned char *bytes, size_t size)
{
	(void)context;
	return random_bytes(bytes, size);
}

uint32_t random_number(void)
{
	uint32_t number;

	if (random_bytes(&number, sizeof(number)) != 0) {
		generate((uint8_t *)&number, sizeof(number));
	}
	return number;
}
