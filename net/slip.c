/* SPDX-License-Identifier: Apache-2.0 */
#include "net/slip.h"

#define END 0xc0
#define ESC 0xdb
#define ESC_END 0xdc
#define ESC_ESC 0xdd

size_t slip_encode(const uint8_t *frame, size_t size, uint8_t *line)
{
	size_t count = 0;

	/* The first one ends whatever noise is before it. */
	line[count++] = END;
	for (size_t i = 0; i < size; i++) {
		if (frame[i] == END || frame[i] == ESC) {
			line[count++] = ESC;
			line[count++] = frame[i] == END ? ESC_END : ESC_ESC;
		} else {
			line[count++] = frame[i];
		}
	}
	line[count++] = END;
	return count;
}

static size_t end_frame(struct slip_decoder *decoder)
{
	bool broken = decoder->broken || decoder->escaped;
	size_t size = broken ? 0 : decoder->size;

	decoder->broken_count += broken;
	decoder->size = 0;
	decoder->escaped = false;
	decoder->broken = false;
	return size;
}

static void add(struct slip_decoder *decoder, uint8_t byte)
{
	if (decoder->size == SLIP_FRAME_MAX) {
		decoder->broken = true;
	} else {
		decoder->frame[decoder->size++] = byte;
	}
}

size_t slip_decode(struct slip_decoder *decoder, uint8_t byte)
{
	if (byte == END) {
		return end_frame(decoder);
	}
	if (decoder->escaped) {
		decoder->escaped = false;
		if (byte == ESC_END || byte == ESC_ESC) {
			add(decoder, byte == ESC_END ? END : ESC);
		} else {
			decoder->broken = true;
		}
	} else if (byte == ESC) {
		decoder->escaped = true;
	} else {
		add(decoder, byte);
	}
	return 0;
}
