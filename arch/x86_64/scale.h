/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversion between two clocks by one multiplication: a factor in fixed point
 * with 56 bits behind the point. Pure.
 *
 * The factor is below 256, so nanoseconds from any clock of 4 MHz and more. It
 * is cut off below 2^-56: over a year's ticks of a 3 GHz clock the error stays
 * under two of them.
 */
#ifndef ARCH_X86_64_SCALE_H
#define ARCH_X86_64_SCALE_H

#include "base/types.h"

#define SCALE_SHIFT 56

struct scale {
	uint64_t factor;
};

/* From a clock of from_hz to one of to_hz, to_hz / from_hz < 256. */
static inline struct scale scale_make(uint64_t from_hz, uint64_t to_hz)
{
	uint64_t factor = to_hz / from_hz;
	uint64_t rest = to_hz % from_hz;

	/* Long division, since 128 bits by 64 is a library call. */
	for (int i = 0; i < SCALE_SHIFT; i++) {
		rest *= 2;
		factor = factor * 2 + (rest >= from_hz);
		rest -= rest >= from_hz ? from_hz : 0;
	}
	return (struct scale){factor};
}

/* TIME_NEVER when the result does not fit. */
static inline uint64_t scale_apply(struct scale scale, uint64_t value)
{
	unsigned __int128 product = (unsigned __int128)value * scale.factor;

	if (product >> SCALE_SHIFT > UINT64_MAX) {
		return TIME_NEVER;
	}
	return (uint64_t)(product >> SCALE_SHIFT);
}

#endif
