/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's network over fake cards, and frames of a scripted peer, which has
 * the MAC address 02:00:00:00:00:99.
 */
#ifndef TESTS_UNIT_NET_FIXTURE_H
#define TESTS_UNIT_NET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <lwip/dhcp.h>
#include <lwip/inet_chksum.h>
#include <lwip/prot/dhcp.h>
#include <lwip/prot/etharp.h>
#include <lwip/prot/iana.h>
#include <lwip/prot/icmp.h>
#include <lwip/prot/ip4.h>
#include <lwip/prot/ip6.h>
#include <lwip/prot/tcp.h>
#include <lwip/prot/udp.h>

#include "base/log.h"
#include "net/interface.h"
#include "net/net.h"
#include "net/random.h"
#include "tests/unit/fake_nic.h"

#define PEER_MAC "\x02\x00\x00\x00\x00\x99"
#define NET_BUFFERS 256
#define MS UINT64_C(1000000)

static struct config net_config;
static uint64_t net_log_start;

/* Everything as new, time excepted: lwIP's timers are where they were. */
static inline int net_setup(void **state)
{
	static uint64_t now_ns;

	(void)state;
	now_ns = MAX(now_ns, fake.now_ns);
	while (netif_list != NULL) {
		dhcp_release_and_stop(netif_list);
		dhcp_cleanup(netif_list);
		netif_remove(netif_list);
	}
	fake_nics_reset(NET_BUFFERS);
	fake_arch_reset(MIB);
	fake.now_ns = now_ns + 1000 * MS;
	assert_int_equal(random_init(), 0);
	memset(&net_config, 0, sizeof(net_config));
	strcpy(net_config.host_name, "alpha");
	net_log_start = log_next();
	return 0;
}

/* At the end of each test: every buffer is back. */
static inline int net_teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < fake_nic_count; i++) {
		fake_nic_complete(fake_nics[i]);
	}
	assert_int_equal(fake_buffer_count, 0);
	return 0;
}

/* A section with up to two addresses, without a MAC address. */
static inline struct config_interface *net_section(const char *name, const char *address,
						   const char *other)
{
	struct config_interface *section = &net_config.interfaces[net_config.interface_count++];

	*section = (struct config_interface){
		.line = 10 * net_config.interface_count, .valid = true, .mtu = 1500};
	strcpy(section->name, name);
	if (address != NULL) {
		strcpy(section->addresses[section->address_count++], address);
	}
	if (other != NULL) {
		strcpy(section->addresses[section->address_count++], other);
	}
	return section;
}

/* Turns of the service, for `ms` milliseconds. */
static inline void net_run(unsigned ms)
{
	uint64_t end_ns = fake.now_ns + ms * MS;

	for (;;) {
		uint64_t next_ns = net_step(fake.now_ns);

		if (next_ns >= end_ns) {
			break;
		}
		fake.now_ns = MAX(fake.now_ns, next_ns);
	}
	fake.now_ns = end_ns;
}

/* Starts the network, and lets it settle. */
static inline void net_start(void)
{
	net_init(&net_config);
	net_run(3000);
	for (unsigned i = 0; i < fake_nic_count; i++) {
		fake_nic_forget(fake_nics[i]);
	}
}

/* True when a line with these words was logged since the set-up. */
static inline bool net_logged(const char *words)
{
	uint64_t sequence = net_log_start;
	struct log_line line;

	while (log_read(&sequence, &line)) {
		if (strstr(line.text, words) != NULL) {
			return true;
		}
	}
	return false;
}

static inline void assert_logged(const char *words)
{
	uint64_t sequence = net_log_start;
	struct log_line line;

	if (!net_logged(words)) {
		while (log_read(&sequence, &line)) {
			print_error("%s\n", line.text);
		}
		fail_msg("nothing of \"%s\" in the log", words);
	}
}

/* ---- Frames ------------------------------------------------------------------------ */

struct net_frame {
	size_t size;
	uint8_t bytes[NIC_FRAME_MAX];
};

static inline void frame_add(struct net_frame *frame, const void *bytes, size_t size)
{
	memcpy(frame->bytes + frame->size, bytes, size);
	frame->size += size;
}

static inline void frame_ethernet(struct net_frame *frame, const struct fake_nic *card,
				  uint16_t type)
{
	uint16_t wire_type = lwip_htons(type);

	frame->size = 0;
	frame_add(frame, card->nic.mac, 6);
	frame_add(frame, PEER_MAC, 6);
	frame_add(frame, &wire_type, 2);
}

/* An ARP message of the peer. */
static inline void put_arp(struct fake_nic *card, uint16_t operation, const char *sender,
			   const char *target)
{
	struct net_frame frame;
	struct etharp_hdr arp = {.hwtype = lwip_htons(LWIP_IANA_HWTYPE_ETHERNET),
				 .proto = lwip_htons(ETHTYPE_IP),
				 .hwlen = 6,
				 .protolen = 4,
				 .opcode = lwip_htons(operation)};
	ip4_addr_t address;

	memcpy(&arp.shwaddr, PEER_MAC, 6);
	assert_true(ip4addr_aton(sender, &address));
	memcpy(&arp.sipaddr, &address, 4);
	assert_true(ip4addr_aton(target, &address));
	memcpy(&arp.dipaddr, &address, 4);
	frame_ethernet(&frame, card, ETHTYPE_ARP);
	frame_add(&frame, &arp, sizeof(arp));
	fake_nic_put(card, frame.bytes, frame.size, NIC_CHECKSUM_UNKNOWN);
}

/* An IPv4 packet of the peer; `l4` is its content. */
static inline void frame_ip4(struct net_frame *frame, const struct fake_nic *card,
			     const char *source, const char *destination, uint8_t protocol,
			     const void *l4, size_t size)
{
	struct ip_hdr ip = {._v_hl = 0x45, ._ttl = 64, ._proto = protocol};
	ip4_addr_t address;

	ip._len = lwip_htons((uint16_t)(sizeof(ip) + size));
	assert_true(ip4addr_aton(source, &address));
	memcpy(&ip.src, &address, 4);
	assert_true(ip4addr_aton(destination, &address));
	memcpy(&ip.dest, &address, 4);
	ip._chksum = inet_chksum(&ip, sizeof(ip));
	frame_ethernet(frame, card, ETHTYPE_IP);
	frame_add(frame, &ip, sizeof(ip));
	frame_add(frame, l4, size);
}

/* The first frame that the card sent of this Ethernet type, from `from` on; NULL: none. */
static inline const struct fake_frame *find_sent(const struct fake_nic *card, uint16_t type,
						 unsigned from)
{
	for (unsigned i = from; i < card->sent_count; i++) {
		if (card->sent[i].bytes[12] == type >> 8 &&
		    card->sent[i].bytes[13] == (type & 0xff)) {
			return &card->sent[i];
		}
	}
	return NULL;
}

#endif
