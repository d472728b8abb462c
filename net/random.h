/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes for keys, nonces and sequence numbers: HMAC_DRBG with SHA-256
 * (NIST SP 800-90A, 10.1.2), seeded and reseeded by the CPU's generator.
 *
 * It needs no vector register, unlike a generator on AES: so it may be called
 * between fpu_begin and fpu_end, as mbedTLS does, and at any other time. On the
 * service CPU only.
 */
#ifndef NET_RANDOM_H
#define NET_RANDOM_H

#include "base/types.h"

/*
 * 0, or cpu_random's error, which the log has then: nothing that needs secrets
 * may start.
 */
int random_init(void) MUST_CHECK;

/*
 * Mixes in what tells this host from others, at most 64 bytes: two whose CPUs'
 * generators start alike, as emulators' do, then draw different numbers.
 */
void random_mix(const void *bytes, size_t size);

/*
 * Fills `size` bytes. -ENODEV or -EIO when random_init failed or the CPU does not
 * deliver the next seed: the bytes are zero then.
 */
int random_bytes(void *bytes, size_t size) MUST_CHECK;

/* As mbedTLS wants it: f_rng. The context is not used. */
int random_for_tls(void *context, unsigned char *bytes, size_t size) MUST_CHECK;

/*
 * For lwIP's LWIP_RAND: unpredictable when random_init succeeded, else by the
 * clock alone.
 */
uint32_t random_number(void);

#endif
