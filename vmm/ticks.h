/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest nanoseconds to ticks of a clock and back, exact, in 64 bits. Rates are
 * below 18 GHz, so that a second's worth of nanoseconds times the rate fits.
 */
#ifndef VMM_TICKS_H
#define VMM_TICKS_H

#include "base/types.h"

#define NS_PER_S UINT64_C(1000000000)

/* Whole ticks within `ns`. */
static inline uint64_t ticks_from_ns(uint64_t ns, uint64_t hz)
{
	return ns / NS_PER_S * hz + ns % NS_PER_S * hz / NS_PER_S;
}

/* The least time within which `ticks` ticks fall, TIME_NEVER at most. */
static inline uint64_t ticks_to_ns(uint64_t ticks, uint64_t hz)
{
	uint64_t seconds = ticks / hz;

	if (seconds >= TIME_NEVER / NS_PER_S) {
		return TIME_NEVER;
	}
	return seconds * NS_PER_S + (ticks % hz * NS_PER_S + hz - 1) / hz;
}

/* A time after another, without wrapping round. */
static inline uint64_t time_add(uint64_t time_ns, uint64_t ns)
{
	return ns > TIME_NEVER - time_ns ? TIME_NEVER : time_ns + ns;
}

#endif
