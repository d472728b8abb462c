/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Echo requests to another host, IPv4 and IPv6, one series at a time, told on
 * the console as the answers come.
 */
#ifndef NET_PING_H
#define NET_PING_H

#include "base/types.h"

#define PING_COUNT_DEFAULT 4
#define PING_COUNT_MAX 1000

/*
 * Starts a series of `count`, one a second; one that goes on is ended first.
 * Returns 0, or after having printed why: -EINVAL, -ENODEV (the address names
 * no interface), -EHOSTUNREACH, -ENOMEM.
 */
int ping_start(const char *address, unsigned count) MUST_CHECK;

/* Ends the series that goes on, if there is one, and prints its summary. */
void ping_stop(void);

#endif
