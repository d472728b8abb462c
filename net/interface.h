/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between a NIC and lwIP: one netif for each card, frames both ways without a
 * copy. The virtual switch will stand between here and the card.
 *
 * Rules: a received buffer belongs to lwIP until its pbuf is freed. When few
 * are left, what is out of sequence is given up, small frames are copied and
 * large ones dropped, so that nobody who keeps buffers can make the cards deaf.
 * A frame that is sent keeps its pbufs until the card has read them. When a card
 * has no room, TCP is told so and tries again after the next poll; other frames
 * wait in a short queue.
 *
 * Private to net/: it shows lwIP's types.
 */
#ifndef NET_INTERFACE_H
#define NET_INTERFACE_H

#include <lwip/netif.h>

#include "base/config.h"
#include "drivers/nic.h"

#define INTERFACE_COUNT_MAX NIC_COUNT_MAX
#define INTERFACE_QUEUE_MAX 32

struct interface {
	struct netif netif;
	struct nic *nic;
	char name[CONFIG_NAME_MAX];
	unsigned mtu;
	ip6_addr_t gateway6; /* configured; any: none */
	struct nic_link link; /* as it was last told */
	uint64_t output_dropped; /* no room at the card, or no link */
	uint64_t input_dropped; /* damaged checksum by the card's word, no memory */
	/* When it was told last that another host has our IPv4 address; 0: never. */
	uint64_t duplicate_ns;
	bool blocked; /* the card had no room since the last poll */
	struct pbuf *queue[INTERFACE_QUEUE_MAX]; /* waits for room, the oldest first */
	unsigned queue_count;
	/* Called with each whole frame, in and out, or NULL: for pcap. */
	void (*tap)(void *context, const struct pbuf *frame, bool out);
	void *tap_context;
};

/* Forgets all interfaces, before the first interface_add. */
void interface_init(void);

unsigned interface_count(void);
struct interface *interface_at(unsigned index); /* NULL: there are not so many */
/* By its name; NULL: there is none. */
struct interface *interface_find(const char *name);

/*
 * Starts the card with this MTU and adds it to lwIP with an IPv6 link-local
 * address. Returns -ENOMEM, or what the card's start returned.
 */
int interface_add(struct nic *nic, const char *name, unsigned mtu) MUST_CHECK;

/* Stops the card and starts it again. Returns what its start returned. */
int interface_reset(struct interface *interface) MUST_CHECK;

/*
 * After the last interface_add: of the buffers that the cards have left free,
 * some are kept for them.
 */
void interface_reserve_buffers(void);

/* Polls all cards, `budget` frames each; true when one of them has more. */
bool interface_poll(unsigned budget);

/* A poll is due: a card has interrupted, or had no room for a frame. */
bool interface_is_pending(void);
/* A card had no room for a frame. */
bool interface_is_blocked(void);
/* A card has no interrupt: it must be polled all the time. */
bool interface_is_silent(void);

/*
 * Reads "10.0.0.2", "fd00::2" or "fe80::2%net0". A link-local address without an
 * interface gets the only one that there is. Returns -EINVAL: it is no address;
 * -ENODEV: which interface is not said, or there is none of that name.
 */
int interface_parse_address(const char *text, ip_addr_t *address) MUST_CHECK;

/* This host's own: one of an interface's, or a loopback address. */
bool interface_is_own(const ip_addr_t *address);

/* The address as RFC 5952 writes it, without an interface; until the next call. */
const char *interface_print_address(const ip_addr_t *address);

#endif
