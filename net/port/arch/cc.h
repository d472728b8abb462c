/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lwIP asks of the compiler and of the system below it (lwip/arch.h): its
 * assertions are ours, since only its or our own bug breaks them; it prints
 * nothing.
 *
 * sys_now, the clock in milliseconds, is in net/net.c.
 */
#ifndef NET_PORT_ARCH_CC_H
#define NET_PORT_ARCH_CC_H

#include <limits.h>
#include <sys/types.h>

#include "base/check.h"
#include "net/random.h"

#define LWIP_PLATFORM_ASSERT(message) panic("lwIP: %s, %s:%d", message, __FILE__, __LINE__)
#define LWIP_PLATFORM_DIAG(message) \
	do {                        \
	} while (0)
#define LWIP_RAND() random_number()

/* The C library has htons and its kin, and the numbers of errors. */
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS 1
#define LWIP_ERRNO_STDINCLUDE 1
#define LWIP_NO_UNISTD_H 1

/* newlib has the type without its limit; lwIP would define both anew. */
#ifndef SSIZE_MAX
#define SSIZE_MAX LONG_MAX
#endif

#define lwip_htons(x) __builtin_bswap16(x)
#define lwip_htonl(x) __builtin_bswap32(x)

#endif
