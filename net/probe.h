/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service that measures a stream and proves its content: one side sends a
 * number of bytes that follow from a seed, the other compares each of them with
 * what it reckons itself, and answers with what it found.
 */
#ifndef NET_PROBE_H
#define NET_PROBE_H

#include "base/types.h"

#define PROBE_SIZE_DEFAULT (32 * MIB)
#define PROBE_SIZE_MIN (1 * MIB)
#define PROBE_SIZE_MAX (16 * GIB)

/* Offers it to the partner. After stream_init. */
void probe_init(void);

/*
 * Begins to send `size` bytes to the partner; how it goes is printed on the
 * console. Returns 0, or after having printed why: -EBUSY (one goes on), or
 * what stream_connect said.
 */
int probe_start(uint64_t size) MUST_CHECK;

/* Ends the one that goes on, if there is one. */
void probe_stop(void);

#endif
