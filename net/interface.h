/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between a NIC and lwIP: one netif for each card. The virtual switch will
 * stand between interface_input/interface_output and the card.
 *
 * Private to net/: it shows lwIP's types.
 */
#ifndef NET_INTERFACE_H
#define NET_INTERFACE_H

#include <lwip/netif.h>

#include "base/config.h"
#include "drivers/nic.h"

#define INTERFACE_COUNT_MAX NIC_COUNT_MAX

struct interface {
	struct netif netif;
	struct nic *nic;
	char name[CONFIG_NAME_MAX];
	unsigned mtu;
	uint64_t output_dropped; /* no room at the card, or no link */
	uint64_t input_dropped; /* damaged checksum by the card's word, no memory */
	/* Called with each whole frame, in and out, or NULL: for pcap. */
	void (*tap)(void *context, const struct pbuf *frame, bool out);
	void *tap_context;
};

unsigned interface_count(void);
struct interface *interface_at(unsigned index);
/* By its name; NULL: there is none. */
struct interface *interface_find(const char *name);

/*
 * Starts the card with this MTU and adds it to lwIP with an IPv6 link-local
 * address. Returns -ENOMEM, or what the card's start returned.
 */
int interface_add(struct nic *nic, const char *name, unsigned mtu) MUST_CHECK;

/* Polls all cards, `budget` frames each; true when one of them has more. */
bool interface_poll(unsigned budget);

#endif
