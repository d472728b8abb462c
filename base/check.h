/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHECK(x): our own bug when x is false. It stays in release builds, dumps the
 * CPU's state, and resets the host; the partner takes over. Never for what a
 * guest, the hardware or an operator can cause.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include "base/types.h"

/* Ends the host: registers, backtrace, the text, then a reset. (arch) */
_Noreturn void panic(const char *format, ...) PRINTF_LIKE(1, 2);

#define CHECK(condition)                                                                  \
	do {                                                                              \
		if (__builtin_expect(!(condition), 0)) {                                  \
			panic("CHECK failed: %s, %s:%d", #condition, __FILE__, __LINE__); \
		}                                                                         \
	} while (0)

#endif
