/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cards as lwIP's interfaces: frames and their memory both ways.
 */
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

static void test_ping(void **state)
{
	struct fake_nic *card = start_one(0);

	(void)state;
	put_arp(card, ARP_REQUEST, "10.0.0.9", "10.0.0.1");
	net_run(1);
	ping(card, 56);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_arp, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_ping, net_setup, net_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
