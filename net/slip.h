/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames on a serial line, by RFC 1055 (SLIP): each is between two END bytes, and
 * two bytes are escaped inside. Noise costs the frame that it hits and no other.
 */
#ifndef NET_SLIP_H
#define NET_SLIP_H

#include "base/types.h"

#define SLIP_FRAME_MAX 384 /* bytes */
/* Of a frame on the line, at worst. */
#define SLIP_ENCODED_MAX(size) (2 * (size) + 2)

struct slip_decoder {
	uint8_t frame[SLIP_FRAME_MAX];
	size_t size;
	bool escaped; /* the byte before was ESC */
	bool broken; /* what comes is not taken until the next END */
	uint64_t broken_count;
};

/* Returns how many bytes went to `line`, which has room for SLIP_ENCODED_MAX(size). */
size_t slip_encode(const uint8_t *frame, size_t size, uint8_t *line);

/*
 * Takes the next byte of the line. Returns the size of the frame that it ended,
 * which is in decoder->frame until the next call; 0: none.
 */
size_t slip_decode(struct slip_decoder *decoder, uint8_t byte);

#endif
