/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pair's key, and the keys derived from it: one for each purpose, by HKDF
 * with SHA-256 (RFC 5869), so that none of them tells anything of another.
 */
#ifndef NET_KEY_H
#define NET_KEY_H

#include "base/config.h"

#define KEY_SIZE CONFIG_KEY_SIZE

#define KEY_PURPOSE_STREAM "dyad stream psk 1"
#define KEY_PURPOSE_BEAT "dyad beat mac 1"

/* `out` is KEY_SIZE bytes. */
void key_derive(const uint8_t *pair_key, const char *purpose, uint8_t *out);

#endif
