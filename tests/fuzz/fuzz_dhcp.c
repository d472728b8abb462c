/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network at the mercy of whoever is on the wire: DHCP's answers, and any
 * frame. The input is a list of records: kind, size (two bytes), content.
 *
 *   0  a frame as it is
 *   1  a frame for our address: Ethernet type by the first byte, IP checksums right
 *   2  an answer to our DHCP client: its transaction, the content as options
 *   3  as many times 10 ms pass
 *   4  the link goes down, or up
 *
 * Somebody listens on a TCP port, so that segments find a connection. At the end
 * all memory of lwIP's and all buffers are free again.
 */
#include <lwip/dhcp.h>
#include <lwip/inet_chksum.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/prot/dhcp.h>
#include <lwip/prot/ethernet.h>
#include <lwip/prot/iana.h>
#include <lwip/prot/ieee.h>
#include <lwip/prot/ip4.h>
#include <lwip/prot/ip6.h>
#include <lwip/prot/udp.h>
#include <lwip/stats.h>
#include <lwip/timeouts.h>

#include "base/check.h"
#include "net/interface.h"
#include "net/net.h"
#include "net/random.h"
#include "tests/unit/fake_nic.h"

#define BUFFERS 64
#define PORT 8551
#define MS UINT64_C(1000000)
#define RECORD_HEADER 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_nic *card;
static struct tcp_pcb *listener;
static uint32_t transaction; /* of the DHCP client's last message */

struct frame {
	size_t size;
	uint8_t bytes[NIC_FRAME_MAX];
};

/* ---- The host -------------------------------------------------------------------- */

static err_t sink(void *context, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
	(void)context;
	(void)error;
	if (p == NULL) {
		return tcp_close(pcb);
	}
	tcp_recved(pcb, p->tot_len);
	pbuf_free(p);
	return ERR_OK;
}

static err_t accept(void *context, struct tcp_pcb *pcb, err_t error)
{
	(void)context;
	if (pcb != NULL && error == ERR_OK) {
		tcp_recv(pcb, sink);
	}
	return ERR_OK;
}

static void start(void)
{
	static struct config config;
	static uint64_t now_ns;
	struct config_interface *section = &config.interfaces[0];
	struct tcp_pcb *pcb;

	now_ns = MAX(now_ns, fake.now_ns);
	fake_arch_reset(0);
	fake.now_ns = now_ns + MS;
	CHECK(random_init() == 0);
	fake_nics_reset(BUFFERS);
	card = fake_nic_new(NIC_TX_CHECKSUM | NIC_RX_CHECKSUM);
	config.interface_count = 1;
	*section = (struct config_interface){
		.name = "net0", .valid = true, .mtu = 1500, .address_count = 2};
	strcpy(section->addresses[0], "dhcp");
	strcpy(section->addresses[1], "fd00::1/64");
	net_init(&config);
	pcb = tcp_new();
	CHECK(pcb != NULL && tcp_bind(pcb, IP_ANY_TYPE, PORT) == ERR_OK);
	listener = tcp_listen(pcb);
	CHECK(listener != NULL);
	tcp_accept(listener, accept);
}

static void stop(void)
{
	struct netif *netif = &interface_at(0)->netif;

	tcp_close(listener);
	while (tcp_active_pcbs != NULL) {
		tcp_abort(tcp_active_pcbs);
	}
	while (tcp_tw_pcbs != NULL) {
		tcp_abort(tcp_tw_pcbs);
	}
	dhcp_release_and_stop(netif);
	dhcp_cleanup(netif);
	CHECK(interface_reset(interface_at(0)) == 0);
	netif_remove(netif);
	fake_nic_complete(card);
	CHECK(fake_buffer_count == 0);
	CHECK(lwip_stats.mem.used == 0);
	CHECK(lwip_stats.memp[MEMP_TCP_SEG]->used == 0 && lwip_stats.memp[MEMP_PBUF]->used == 0);
}

/* Turns of the service up to a time; what the client sent is looked at. */
static void run(uint64_t end_ns)
{
	for (unsigned i = 0; i < 200; i++) {
		uint64_t next_ns = net_step(fake.now_ns);

		for (unsigned j = 0; j < card->sent_count; j++) {
			const struct fake_frame *sent = &card->sent[j];

			if (sent->size >= 50 && sent->bytes[12] == 8 && sent->bytes[13] == 0 &&
			    sent->bytes[23] == IP_PROTO_UDP) {
				memcpy(&transaction, sent->bytes + 46, sizeof(transaction));
			}
		}
		fake_nic_forget(card);
		if (next_ns >= end_ns) {
			break;
		}
		fake.now_ns = MAX(fake.now_ns, next_ns);
	}
	fake.now_ns = end_ns;
}

/* ---- The records --------------------------------------------------------------------- */

static void frame_add(struct frame *frame, const void *bytes, size_t size)
{
	size = MIN(size, sizeof(frame->bytes) - frame->size);
	memcpy(frame->bytes + frame->size, bytes, size);
	frame->size += size;
}

static void frame_begin(struct frame *frame, bool broadcast, uint16_t type)
{
	uint16_t wire_type = lwip_htons(type);

	frame->size = 0;
	frame_add(frame, broadcast ? "\xff\xff\xff\xff\xff\xff" : (const char *)card->nic.mac, 6);
	frame_add(frame, "\x02\x00\x00\x00\x00\x99", 6);
	frame_add(frame, &wire_type, 2);
}

static void mend_ip4(struct frame *frame)
{
	struct ip_hdr ip;
	size_t header;

	if (frame->size < 14 + sizeof(ip)) {
		return;
	}
	memcpy(&ip, frame->bytes + 14, sizeof(ip));
	header = IPH_HL_BYTES(&ip);
	if (frame->size >= 14 + header) {
		uint16_t checksum;

		memset(frame->bytes + 24, 0, 2);
		checksum = inet_chksum(frame->bytes + 14, (u16_t)header);
		memcpy(frame->bytes + 24, &checksum, 2);
	}
}

/* ICMPv6's checksum is lwIP's to check, whatever the card says. */
static void mend_icmp6(struct frame *frame)
{
	ip6_addr_t source, destination;
	struct pbuf *p;
	uint16_t checksum;
	size_t size = frame->size - 14 - IP6_HLEN;

	if (frame->size < 14 + IP6_HLEN + 8 || frame->bytes[20] != IP6_NEXTH_ICMP6) {
		return;
	}
	frame->bytes[18] = (uint8_t)(size >> 8);
	frame->bytes[19] = (uint8_t)size;
	memset(frame->bytes + 56, 0, 2);
	memcpy(&source.addr, frame->bytes + 22, 16);
	memcpy(&destination.addr, frame->bytes + 38, 16);
	p = pbuf_alloc(PBUF_RAW, (u16_t)size, PBUF_RAM);
	if (p != NULL) {
		pbuf_take(p, frame->bytes + 54, (u16_t)size);
		checksum =
			ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, (u16_t)size, &source, &destination);
		memcpy(frame->bytes + 56, &checksum, 2);
		pbuf_free(p);
	}
}

static void put_packet(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = {ETHTYPE_ARP, ETHTYPE_IP, ETHTYPE_IPV6};
	static struct frame frame;
	uint16_t type = types[data[0] % ARRAY_SIZE(types)];

	frame_begin(&frame, data[0] & 0x80, type);
	frame_add(&frame, data + 1, size - 1);
	if (type == ETHTYPE_IP) {
		mend_ip4(&frame);
	} else if (type == ETHTYPE_IPV6) {
		mend_icmp6(&frame);
	}
	card->piece_size = data[0] & 0x40 ? 64 : NIC_BUFFER_SIZE;
	fake_nic_put(card, frame.bytes, frame.size, NIC_CHECKSUM_GOOD);
}

static void put_dhcp(const uint8_t *data, size_t size)
{
	static struct frame frame;
	struct dhcp_msg message = {.op = DHCP_BOOTREPLY,
				   .htype = LWIP_IANA_HWTYPE_ETHERNET,
				   .hlen = 6,
				   .xid = transaction,
				   .cookie = PP_HTONL(DHCP_MAGIC_COOKIE)};
	size_t fixed = offsetof(struct dhcp_msg, options);
	struct udp_hdr udp = {.src = PP_HTONS(LWIP_IANA_PORT_DHCP_SERVER),
			      .dest = PP_HTONS(LWIP_IANA_PORT_DHCP_CLIENT),
			      .len = lwip_htons((u16_t)(sizeof(udp) + fixed + size))};
	struct ip_hdr ip = {._v_hl = 0x45,
			    ._ttl = 64,
			    ._proto = IP_PROTO_UDP,
			    ._len = lwip_htons((u16_t)(sizeof(ip) + sizeof(udp) + fixed + size))};

	memcpy(&message.yiaddr, "\x0a\x00\x00\x07", 4);
	memcpy(message.chaddr, card->nic.mac, 6);
	memcpy(&ip.src, "\x0a\x00\x00\xfe", 4);
	memset(&ip.dest, 0xff, 4);
	frame_begin(&frame, true, ETHTYPE_IP);
	frame_add(&frame, &ip, sizeof(ip));
	frame_add(&frame, &udp, sizeof(udp));
	frame_add(&frame, &message, fixed);
	frame_add(&frame, data, size);
	mend_ip4(&frame);
	fake_nic_put(card, frame.bytes, frame.size, NIC_CHECKSUM_UNKNOWN);
}

static void play(uint8_t kind, const uint8_t *data, size_t size)
{
	switch (kind % 5) {
	case 0:
		if (size > 0) {
			fake_nic_put(card, data, size, NIC_CHECKSUM_UNKNOWN);
		}
		break;
	case 1:
		if (size > 0) {
			put_packet(data, size);
		}
		break;
	case 2:
		put_dhcp(data, size);
		break;
	case 3:
		run(fake.now_ns + size * 10 * MS);
		break;
	case 4:
		card->nic.link.up = !card->nic.link.up;
		card->nic.pending = true;
		break;
	}
	run(fake.now_ns + MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	start();
	run(fake.now_ns + MS);
	while (size >= RECORD_HEADER) {
		size_t length = MIN((size_t)(data[1] | data[2] << 8), size - RECORD_HEADER);
		/* Time needs no content. */
		size_t taken = data[0] % 5 == 3 ? 0 : MIN(length, 1500);

		play(data[0], data + RECORD_HEADER, data[0] % 5 == 3 ? (size_t)data[1] : taken);
		data += RECORD_HEADER + taken;
		size -= RECORD_HEADER + taken;
	}
	stop();
	return 0;
}
