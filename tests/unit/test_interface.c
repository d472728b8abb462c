/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cards as lwIP's interfaces: frames and their memory both ways.
 */
#include <lwip/tcp.h>

#include "tests/unit/net_fixture.h"

static struct fake_nic *start_one(uint64_t features)
{
	struct fake_nic *card = fake_nic_new(features);

	net_section("net0", "10.0.0.1/24", "fd00::1/64");
	net_start();
	return card;
}

static void test_arp(void **state)
{
	struct fake_nic *card = start_one(0);
	const struct fake_frame *reply;
	struct etharp_hdr arp;

	(void)state;
	put_arp(card, ARP_REQUEST, "10.0.0.9", "10.0.0.1");
	net_run(1);
	reply = find_sent(card, ETHTYPE_ARP, 0);
	assert_non_null(reply);
	memcpy(&arp, reply->bytes + 14, sizeof(arp));
	assert_int_equal(arp.opcode, lwip_htons(ARP_REPLY));
	assert_memory_equal(&arp.shwaddr, card->nic.mac, 6);
	assert_memory_equal(reply->bytes, PEER_MAC, 6);
}

/* Another host's ARP says that it has the address; one line a minute. */
static void test_duplicate_address(void **state)
{
	static const char told[] = "net0: another host has the address 10.0.0.1: change one";
	struct fake_nic *card = start_one(0);

	(void)state;
	put_arp(card, ARP_REQUEST, "10.0.0.9", "10.0.0.1");
	put_arp(card, ARP_REQUEST, "0.0.0.0", "10.0.0.1");
	net_run(1);
	assert_false(net_logged(told));
	for (unsigned minute = 0; minute < 2; minute++) {
		put_arp(card, ARP_REPLY, "10.0.0.1", "10.0.0.9");
		net_run(1);
		assert_logged(told);
		net_log_start = log_next();
		net_run(58000);
		put_arp(card, ARP_REQUEST, "10.0.0.1", "10.0.0.1");
		net_run(1);
		assert_false(net_logged(told));
		net_run(3000);
	}
}

/* Our own ARP that comes back, and any before there is an address, tell nothing. */
static void test_no_duplicate_address(void **state)
{
	struct fake_nic *card = fake_nic_new(0);

	(void)state;
	net_section("net0", NULL, NULL);
	net_start();
	put_arp(card, ARP_REQUEST, "0.0.0.0", "10.0.0.1");
	net_run(1);
	net_setup(state);
	card = start_one(0);
	put_arp(card, ARP_REPLY, "10.0.0.1", "10.0.0.1");
	memcpy(card->incoming[0]->bytes + SIZEOF_ETH_HDR + 8, card->nic.mac, 6);
	net_run(1);
	assert_false(net_logged("another host"));
}

/* An echo request of `size` bytes of data, and its answer, which must be there. */
static const struct fake_frame *ping(struct fake_nic *card, size_t size)
{
	static struct net_frame frame;
	static uint8_t echo[9000];
	struct icmp_echo_hdr header = {.type = ICMP_ECHO, .id = 7, .seqno = lwip_htons(1)};

	memcpy(echo, &header, sizeof(header));
	for (size_t i = 0; i < size; i++) {
		echo[sizeof(header) + i] = (uint8_t)(i * 7);
	}
	header.chksum = inet_chksum(echo, (u16_t)(sizeof(header) + size));
	memcpy(echo, &header, sizeof(header));
	frame_ip4(&frame, card, "10.0.0.9", "10.0.0.1", IP_PROTO_ICMP, echo, sizeof(header) + size);
	fake_nic_put(card, frame.bytes, frame.size, NIC_CHECKSUM_UNKNOWN);
	net_run(1);

	const struct fake_frame *reply = find_sent(card, ETHTYPE_IP, 0);

	assert_non_null(reply);
	assert_int_equal(reply->size, frame.size);
	assert_int_equal(reply->bytes[34], ICMP_ER);
	assert_int_equal(inet_chksum(reply->bytes + 34, (u16_t)(reply->size - 34)), 0);
	assert_memory_equal(reply->bytes + 42, frame.bytes + 42, size);
	return reply;
}

/* The card gives a frame in one buffer, or in several. */
static void test_ping(void **state)
{
	static const unsigned sizes[] = {NIC_BUFFER_SIZE, 256, 64};
	struct fake_nic *card = start_one(0);

	(void)state;
	put_arp(card, ARP_REQUEST, "10.0.0.9", "10.0.0.1");
	net_run(1);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		card->piece_size = sizes[i];
		fake_nic_forget(card);
		ping(card, 56);
		fake_nic_forget(card);
		ping(card, 1400);
	}
}

/* Nothing of ours needs fragments: they are dropped, and what they were in is free again. */
static void test_fragment(void **state)
{
	struct fake_nic *card = start_one(0);
	static struct net_frame frame;
	uint8_t data[64] = {ICMP_ECHO};
	struct ip_hdr ip;

	(void)state;
	frame_ip4(&frame, card, "10.0.0.9", "10.0.0.1", IP_PROTO_ICMP, data, sizeof(data));
	memcpy(&ip, frame.bytes + 14, sizeof(ip));
	ip._offset = PP_HTONS(IP_MF);
	ip._chksum = 0;
	ip._chksum = inet_chksum(&ip, sizeof(ip));
	memcpy(frame.bytes + 14, &ip, sizeof(ip));
	fake_nic_put(card, frame.bytes, frame.size, NIC_CHECKSUM_UNKNOWN);
	net_run(1);
	assert_null(find_sent(card, ETHTYPE_IP, 0));
	assert_int_equal(fake_buffer_count, 0);
}

/* ---- Checksums ------------------------------------------------------------------ */

/* Both are the sum in network order, of a buffer whose sum counts from 0. */
static u16_t sum(const void *bytes, size_t size, uint32_t start)
{
	const uint8_t *from = bytes;

	for (size_t i = 0; i < size; i++) {
		start += i % 2 ? from[i] : (uint32_t)from[i] << 8;
	}
	while (start >> 16) {
		start = (start & 0xffff) + (start >> 16);
	}
	return (u16_t)start;
}

/* A frame with a SYN for a port where nobody listens; the checksum is right. */
static void frame_syn(struct net_frame *frame, const struct fake_nic *card, bool ip6)
{
	struct tcp_hdr tcp = {.src = lwip_htons(1234),
			      .dest = lwip_htons(99),
			      .seqno = lwip_htonl(1000),
			      ._hdrlen_rsvd_flags = lwip_htons(0x5002),
			      .wnd = lwip_htons(1000)};

	frame_ip4(frame, card, "10.0.0.9", "10.0.0.1", IP_PROTO_TCP, &tcp, sizeof(tcp));
	if (ip6) {
		struct ip6_hdr ip = {._v_tc_fl = lwip_htonl(0x60000000),
				     ._plen = lwip_htons(sizeof(tcp)),
				     ._nexth = IP6_NEXTH_TCP,
				     ._hoplim = 64};
		ip6_addr_t address;

		assert_true(ip6addr_aton("fd00::9", &address));
		memcpy(&ip.src, &address, 16);
		assert_true(ip6addr_aton("fd00::1", &address));
		memcpy(&ip.dest, &address, 16);
		frame_ethernet(frame, card, ETHTYPE_IPV6);
		frame_add(frame, &ip, sizeof(ip));
		frame_add(frame, &tcp, sizeof(tcp));
	}

	size_t addresses = ip6 ? 32 : 8;
	uint8_t *l4 = frame->bytes + frame->size - sizeof(tcp);

	tcp.chksum = lwip_htons(
		(u16_t)~sum(l4 - addresses, sizeof(tcp) + addresses, IP_PROTO_TCP + sizeof(tcp)));
	memcpy(l4, &tcp, sizeof(tcp));
}

/* The peer says where it is, so that it can be answered over IPv6. */
static void put_neighbour(struct fake_nic *card)
{
	static const uint8_t solicitation[] = {
		0x60, 0, 0,    0, 0, 32, 58, 255, /* IPv6 */
		0xfd, 0, 0,    0, 0, 0,	 0,  0,	   0, 0, 0, 0, 0, 0, 0, 9, /* from fd00::9 */
		0xfd, 0, 0,    0, 0, 0,	 0,  0,	   0, 0, 0, 0, 0, 0, 0, 1, /* to fd00::1 */
		135,  0, 0,    0, 0, 0,	 0,  0, /* neighbour solicitation */
		0xfd, 0, 0,    0, 0, 0,	 0,  0,	   0, 0, 0, 0, 0, 0, 0, 1, /* of fd00::1 */
		1,    1, 0x02, 0, 0, 0,	 0,  0x99, /* by PEER_MAC */
	};
	struct net_frame frame;
	u16_t checksum;

	frame_ethernet(&frame, card, ETHTYPE_IPV6);
	frame_add(&frame, solicitation, sizeof(solicitation));
	checksum = (u16_t)~sum(frame.bytes + 14 + 8, sizeof(solicitation) - 8, 58 + 32);
	frame.bytes[14 + 42] = (uint8_t)(checksum >> 8);
	frame.bytes[14 + 43] = (uint8_t)checksum;
	fake_nic_put(card, frame.bytes, frame.size, NIC_CHECKSUM_UNKNOWN);
	net_run(1);
}

/* The answer to a SYN: a reset. Its checksum as the card has to complete it. */
static void reset_of(uint64_t features, bool ip6, struct fake_frame *reset)
{
	static struct net_frame frame;
	struct fake_nic *card;
	void *state = NULL;

	net_teardown(&state);
	net_setup(&state);
	card = start_one(features);
	put_arp(card, ARP_REQUEST, "10.0.0.9", "10.0.0.1");
	put_neighbour(card);
	fake_nic_forget(card);
	frame_syn(&frame, card, ip6);
	fake_nic_put(card, frame.bytes, frame.size, NIC_CHECKSUM_UNKNOWN);
	net_run(1);
	assert_int_equal(card->sent_count, 1);
	*reset = card->sent[0];
}

static void check_offload(bool ip6)
{
	static struct fake_frame by_us, by_card;
	size_t start = ip6 ? 54 : 34, at = start + 16;
	u16_t checksum;

	reset_of(0, ip6, &by_us);
	assert_int_equal(by_us.checksum_offset, 0);
	reset_of(NIC_TX_CHECKSUM, ip6, &by_card);
	assert_int_equal(by_card.checksum_start, start);
	assert_int_equal(by_card.checksum_offset, 16);
	assert_memory_not_equal(by_card.bytes + at, by_us.bytes + at, 2);
	/* struct nic_frame: the sum of all bytes from checksum_start on. */
	checksum = (u16_t)~sum(by_card.bytes + start, by_card.size - start, 0);
	by_card.bytes[at] = (uint8_t)(checksum >> 8);
	by_card.bytes[at + 1] = (uint8_t)checksum;
	assert_int_equal(by_card.size, by_us.size);
	/* IPv4's identification differs, and the sum over it; the rest is the same. */
	memset(by_card.bytes + 18, 0, ip6 ? 0 : 8);
	memset(by_us.bytes + 18, 0, ip6 ? 0 : 8);
	assert_memory_equal(by_card.bytes, by_us.bytes, by_us.size);
}

static void test_checksum_of_sent(void **state)
{
	(void)state;
	check_offload(false);
	check_offload(true);
}

/* A damaged segment is believed when the card calls it good, and then only. */
static void test_checksum_of_received(void **state)
{
	static const struct {
		enum nic_checksum word;
		bool damaged, answered, dropped;
	} rows[] = {
		{NIC_CHECKSUM_UNKNOWN, false, true, false},
		{NIC_CHECKSUM_UNKNOWN, true, false, false},
		{NIC_CHECKSUM_GOOD, false, true, false},
		{NIC_CHECKSUM_GOOD, true, true, false},
		{NIC_CHECKSUM_UNKNOWN, true, false, false},
		{NIC_CHECKSUM_BAD, false, false, true},
	};
	struct fake_nic *card = start_one(NIC_RX_CHECKSUM);
	static struct net_frame frame;

	(void)state;
	put_arp(card, ARP_REQUEST, "10.0.0.9", "10.0.0.1");
	net_run(1);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t dropped = interface_at(0)->input_dropped;

		fake_nic_forget(card);
		frame_syn(&frame, card, false);
		frame.bytes[50] ^= rows[i].damaged ? 1 : 0;
		fake_nic_put(card, frame.bytes, frame.size, rows[i].word);
		net_run(1);
		assert_int_equal(card->sent_count, rows[i].answered);
		assert_int_equal(interface_at(0)->input_dropped - dropped, rows[i].dropped);
	}
}

/* ---- Memory ----------------------------------------------------------------------- */

/* Somebody keeps nearly all buffers: small frames are still heard. */
static void test_few_buffers(void **state)
{
	struct fake_nic *card = start_one(0);
	struct nic_buffer *kept = NULL;
	struct interface *interface = interface_at(0);
	static struct net_frame frame;
	uint8_t data[1000] = {ICMP_ECHO};

	(void)state;
	put_arp(card, ARP_REQUEST, "10.0.0.9", "10.0.0.1");
	net_run(1);
	while (nic_buffer_free_count() > NET_BUFFERS / 8) {
		struct nic_buffer *buffer = nic_buffer_alloc();

		buffer->next = kept;
		kept = buffer;
	}
	fake_nic_forget(card);
	ping(card, 56);
	assert_int_equal(interface->input_dropped, 0);
	frame_ip4(&frame, card, "10.0.0.9", "10.0.0.1", IP_PROTO_ICMP, data, sizeof(data));
	fake_nic_put(card, frame.bytes, frame.size, NIC_CHECKSUM_UNKNOWN);
	net_run(1);
	assert_int_equal(interface->input_dropped, 1);
	assert_int_equal(nic_buffer_free_count(), NET_BUFFERS / 8);
	nic_buffers_free(kept);
	fake_nic_forget(card);
	ping(card, 1000);
}

/* A frame of `count` pieces of `size` bytes. */
static struct pbuf *chain(unsigned count, u16_t size)
{
	struct pbuf *first = NULL;

	for (unsigned i = 0; i < count; i++) {
		struct pbuf *p = pbuf_alloc(PBUF_RAW, size, PBUF_RAM);

		assert_non_null(p);
		memset(p->payload, (int)i, size);
		if (first == NULL) {
			first = p;
		} else {
			pbuf_cat(first, p);
		}
	}
	return first;
}

/* The card gets the pieces as they are; more than it takes in one. Each is kept for it. */
static void test_pieces(void **state)
{
	struct fake_nic *card = start_one(0);
	struct netif *netif = &interface_at(0)->netif;
	struct pbuf *few = chain(NIC_PIECE_MAX, 20), *many = chain(NIC_PIECE_MAX + 1, 20);

	(void)state;
	assert_int_equal(netif->linkoutput(netif, few), ERR_OK);
	assert_int_equal(netif->linkoutput(netif, many), ERR_OK);
	assert_int_equal(card->sent[0].piece_count, NIC_PIECE_MAX);
	assert_int_equal(card->sent[0].size, NIC_PIECE_MAX * 20);
	assert_int_equal(card->sent[1].piece_count, 1);
	assert_int_equal(card->sent[1].size, (NIC_PIECE_MAX + 1) * 20);
	for (unsigned i = 0; i <= NIC_PIECE_MAX; i++) {
		assert_int_equal(card->sent[1].bytes[20 * i], i);
	}
	assert_int_equal(few->ref, 2);
	assert_int_equal(many->ref, 1);
	fake_nic_complete(card);
	assert_int_equal(few->ref, 1);
	pbuf_free(few);
	pbuf_free(many);
}

/* ---- A card without room, or without a link ------------------------------------------- */

static void test_no_room(void **state)
{
	struct fake_nic *card = start_one(0);
	struct interface *interface = interface_at(0);
	struct netif *netif = &interface->netif;

	(void)state;
	card->room = 1;
	card->keep_sent = true;
	for (unsigned i = 0; i < INTERFACE_QUEUE_MAX + 3; i++) {
		struct pbuf *p = chain(1, (u16_t)(60 + i));

		assert_int_equal(netif->linkoutput(netif, p),
				 i <= INTERFACE_QUEUE_MAX ? ERR_OK : ERR_MEM);
		pbuf_free(p);
	}
	assert_true(interface_is_blocked());
	assert_int_equal(interface->output_dropped, 2);
	assert_int_equal(card->sent_count, 1);
	card->room = 5;
	net_run(1);
	assert_int_equal(card->sent_count, 6);
	assert_true(interface_is_blocked());
	card->keep_sent = false;
	net_run(1);
	assert_false(interface_is_blocked());
	assert_int_equal(card->sent_count, INTERFACE_QUEUE_MAX + 1);
	for (unsigned i = 0; i < card->sent_count; i++) {
		assert_int_equal(card->sent[i].size, 60 + i);
	}
	/* What waits when the card is reset is lost. */
	card->room = 0;
	struct pbuf *p = chain(1, 60);

	assert_int_equal(netif->linkoutput(netif, p), ERR_OK);
	pbuf_free(p);
	assert_int_equal(interface_reset(interface), 0);
	assert_false(interface_is_blocked());
	assert_int_equal(interface->queue_count, 0);
}

/* TCP goes on by itself: what it has is not queued twice. */
static void test_no_room_for_tcp(void **state)
{
	struct fake_nic *card = start_one(0);
	ip_addr_t address = IPADDR4_INIT_BYTES(10, 0, 0, 9);
	struct tcp_pcb *pcb = tcp_new();

	(void)state;
	put_arp(card, ARP_REQUEST, "10.0.0.9", "10.0.0.1");
	net_run(1);
	fake_nic_forget(card);
	card->room = 0;
	card->keep_sent = true;
	assert_int_equal(tcp_connect(pcb, &address, 8551, NULL), ERR_OK);
	net_run(1);
	assert_int_equal(card->sent_count, 0);
	assert_int_equal(interface_at(0)->queue_count, 0);
	card->keep_sent = false;
	net_run(1);
	assert_non_null(find_sent(card, ETHTYPE_IP, 0));
	assert_int_equal(card->sent_count, 1);
	tcp_abort(pcb);
}

static void test_link(void **state)
{
	struct fake_nic *card = start_one(0);
	struct interface *interface = interface_at(0);
	const struct fake_frame *announcement;

	(void)state;
	assert_logged("net0: link up, 1000 Mbit/s full duplex");
	card->nic.link.up = false;
	card->nic.pending = true;
	card->send_error = -ENETDOWN;
	net_run(1);
	assert_logged("net0: link down");
	assert_false(netif_is_link_up(&interface->netif));
	card->nic.link = (struct nic_link){.up = true, .mbit = 100};
	card->send_error = 0;
	net_run(2000);
	assert_logged("net0: link up, 100 Mbit/s half duplex");
	announcement = find_sent(card, ETHTYPE_ARP, 0);
	assert_non_null(announcement);
	assert_memory_equal(announcement->bytes, "\xff\xff\xff\xff\xff\xff", 6);
}

/* ---- Addresses ------------------------------------------------------------------------- */

static void test_parse_address(void **state)
{
	static const struct {
		const char *text;
		int result, with_two;
	} rows[] = {
		{"10.0.0.2", 0, 0},
		{"255.255.255.255", 0, 0},
		{"fd00::2", 0, 0},
		{"fe80::2%net0", 0, 0},
		{"fe80::2", 0, -ENODEV},
		{"fe80::2%", -ENODEV, -ENODEV},
		{"fe80::2%net2", -ENODEV, -ENODEV},
		{"fd00::2%net0", -EINVAL, -EINVAL},
		{"10.0.0.2%net0", -EINVAL, -EINVAL},
		{"", -EINVAL, -EINVAL},
		{"10.0.0", -EINVAL, -EINVAL},
		{"10.0.0.256", -EINVAL, -EINVAL},
		{"010.0.0.1", -EINVAL, -EINVAL},
		{"fd00:::2", -EINVAL, -EINVAL},
		{"alpha", -EINVAL, -EINVAL},
		{"fd00:0000:0000:0000:0000:0000:0000:00000000000000000000002", -EINVAL, -EINVAL},
	};
	ip_addr_t address;

	start_one(0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(interface_parse_address(rows[i].text, &address), rows[i].result);
	}
	net_setup(state);
	fake_nic_new(0);
	start_one(0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(interface_parse_address(rows[i].text, &address), rows[i].with_two);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_arp, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_duplicate_address, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_no_duplicate_address, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_ping, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_fragment, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_checksum_of_sent, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_checksum_of_received, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_few_buffers, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_pieces, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_no_room, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_no_room_for_tcp, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_link, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_parse_address, net_setup, net_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
