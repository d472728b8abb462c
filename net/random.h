/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes for keys, nonces and sequence numbers: CTR-DRBG (NIST SP 800-90A)
 * of mbedTLS, seeded and reseeded by the CPU's generator.
 */
#ifndef NET_RANDOM_H
#define NET_RANDOM_H

#include "base/types.h"

/* 0, or cpu_random's error: then nothing that needs secrets may start. */
int random_init(void) MUST_CHECK;

/* Fills `size` bytes; an error of mbedTLS (< 0) when the CPU does not deliver. */
int random_bytes(void *bytes, size_t size) MUST_CHECK;

/* As mbedTLS wants it: f_rng. The context is not used. */
int random_for_tls(void *context, unsigned char *bytes, size_t size) MUST_CHECK;

/* For lwIP's LWIP_RAND: unpredictable when random_init succeeded. */
uint32_t random_number(void);

#endif
