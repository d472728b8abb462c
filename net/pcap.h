/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The next frames of an interface as a hex dump on the console, in the form
 * that Wireshark's text import and text2pcap read (docs/network.md).
 *
 * Frames wait in bounded memory until the console has shown those before; what
 * finds no room is counted and told.
 */
#ifndef NET_PCAP_H
#define NET_PCAP_H

#include "base/types.h"

#define PCAP_COUNT_MAX 1000

struct interface;

/*
 * Shows the next `count` frames, in and out; 0 ends a capture that goes on.
 * Returns 0, or -EBUSY after having printed that one goes on.
 */
int pcap_start(struct interface *interface, unsigned count) MUST_CHECK;

#endif
