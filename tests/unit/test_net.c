/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network's start from the configuration, its mistakes, DHCP with a tiny
 * server, and when the service wants to run.
 */
#include <lwip/timeouts.h>

#include "tests/unit/net_fixture.h"

/* ---- Cards and sections ---------------------------------------------------------- */

static void test_no_cards(void **state)
{
	(void)state;
	net_section("net0", "10.0.0.1/24", NULL);
	net_init(&net_config);
	assert_logged("dyad.conf:10: [interface net0] has no network card: Dyad has a driver for 0 "
		      "here");
	assert_int_equal(net_step(fake.now_ns), TIME_NEVER);
}

/* By MAC address first, the rest in order, and cards without a section last. */
static void test_matching(void **state)
{
	static const uint8_t third[] = {0x52, 0x54, 0, 0x12, 0x34, 3};
	static const uint8_t none[] = {0x52, 0x54, 0, 0x12, 0x34, 9};
	struct config_interface *section;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		fake_nic_new(0);
	}
	net_section("eth0", NULL, NULL);
	section = net_section("third", NULL, NULL);
	section->has_mac = true;
	memcpy(section->mac, third, 6);
	section = net_section("none", NULL, NULL);
	section->has_mac = true;
	memcpy(section->mac, none, 6);
	net_section("second", NULL, NULL)->mtu = 9000;
	net_init(&net_config);
	assert_int_equal(interface_count(), 4);
	assert_ptr_equal(interface_find("eth0")->nic, &fake_nics[0]->nic);
	assert_ptr_equal(interface_find("second")->nic, &fake_nics[1]->nic);
	assert_ptr_equal(interface_find("third")->nic, &fake_nics[2]->nic);
	assert_ptr_equal(interface_find("eth1")->nic, &fake_nics[3]->nic);
	assert_int_equal(fake_nics[1]->mtu, 9000);
	assert_int_equal(fake_nics[3]->mtu, 1500);
	assert_logged("dyad.conf:30: [interface none] has no network card: none has the address "
		      "52:54:00:12:34:09");
}

static void test_card_that_fails(void **state)
{
	(void)state;
	fake_nic_new(0)->start_error = -EIO;
	fake_nic_new(0)->nic.mtu_max = 1500;
	net_section("net0", NULL, NULL);
	net_section("net1", NULL, NULL)->mtu = 9000;
	net_init(&net_config);
	assert_int_equal(interface_count(), 1);
	assert_logged("net0: Fake 1000 does not start (error 5): the interface is missing");
	assert_logged("dyad.conf:20: mtu = 9000 in [interface net1] is more than Fake 1000 can do; "
		      "allowed: 576 to 1500");
	assert_int_equal(interface_find("net1")->mtu, 1500);
}

/* Of a section with a mistake only the name is used. */
static void test_invalid_section(void **state)
{
	(void)state;
	fake_nic_new(0);
	net_section("net0", "10.0.0.1/24", NULL)->valid = false;
	net_start();
	assert_true(ip4_addr_isany(netif_ip4_addr(&interface_find("net0")->netif)));
	assert_true(ip6_addr_isvalid(netif_ip6_addr_state(&interface_find("net0")->netif, 0)));
}

/* ---- Addresses ---------------------------------------------------------------------- */

static void test_addresses(void **state)
{
	struct config_interface *section;
	struct netif *netif;

	(void)state;
	fake_nic_new(0);
	section = net_section("net0", "10.0.0.1/24", "fd00::1/64");
	section->gateway_count = 2;
	strcpy(section->gateways[0], "10.0.0.254");
	strcpy(section->gateways[1], "fe80::254");
	net_start();
	netif = &interface_find("net0")->netif;
	assert_string_equal(ip4addr_ntoa(netif_ip4_addr(netif)), "10.0.0.1");
	assert_string_equal(ip4addr_ntoa(netif_ip4_netmask(netif)), "255.255.255.0");
	assert_string_equal(ip4addr_ntoa(netif_ip4_gw(netif)), "10.0.0.254");
	assert_string_equal(ip6addr_ntoa(netif_ip6_addr(netif, 0)), "FE80::5054:FF:FE12:3401");
	assert_string_equal(ip6addr_ntoa(netif_ip6_addr(netif, 1)), "FD00::1");
	assert_true(ip6_addr_isvalid(netif_ip6_addr_state(netif, 1)));
	assert_string_equal(ip6addr_ntoa(&interface_find("net0")->gateway6), "FE80::254");
	assert_string_equal(netif_get_hostname(netif), "alpha");
	assert_false(net_logged("dyad.conf"));
}

static void test_address_mistakes(void **state)
{
	static const struct {
		const char *address, *other, *wrong;
	} rows[] = {
		{"10.0.0.1", NULL, "\"10.0.0.1\" in [interface net0] is no address with a prefix"},
		{"10.0.0.1/", NULL, "is no address with a prefix length"},
		{"10.0.0.1/24x", NULL, "is no address with a prefix length"},
		{"10.0.0.1/-1", NULL, "is no address with a prefix length"},
		{"10.0.0.300/24", NULL, "is no address with a prefix length"},
		{"10.0.0.1/0", NULL, "has no prefix of 1 to 32 bits"},
		{"10.0.0.1/33", NULL, "has no prefix of 1 to 32 bits"},
		{"10.0.0.0/24", NULL, "is not the address of a host"},
		{"10.0.0.255/24", NULL, "is not the address of a host"},
		{"224.0.0.1/4", NULL, "is not the address of a host"},
		{"127.0.0.1/8", NULL, "is not the address of a host"},
		{"10.0.0.1/24", "10.0.0.2/24", "\"10.0.0.2/24\" in [interface net0] is a second"},
		{"10.0.0.1/24", "dhcp", "\"dhcp\" in [interface net0] is a second IPv4 address"},
		{"dhcp", "10.0.0.1/24", "is a second IPv4 address"},
		{"fd00::1/48", NULL, "has another prefix than 64 bits"},
		{"ff02::1/64", NULL, "is not the address of a host"},
		{"fe80::1%net0/64", NULL, "is not the address of a host"},
		{"::1/64", NULL, "is not the address of a host"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		net_setup(state);
		fake_nic_new(0);
		net_section("net0", rows[i].address, rows[i].other);
		net_init(&net_config);
		assert_logged(rows[i].wrong);
		assert_logged("allowed: one IPv4 address as 10.0.0.1/24, or dhcp, and IPv6 "
			      "addresses as fd00::1/64");
		net_teardown(state);
	}
}

static void test_gateway_mistakes(void **state)
{
	static const struct {
		const char *address, *gateways[2], *wrong;
	} rows[] = {
		{"10.0.0.1/24", {"10.0.1.1"}, "\"10.0.1.1\" in [interface net0] is in no network"},
		{"fd00::1/64", {"10.0.0.254"}, "is in no network of this interface"},
		{"10.0.0.1/24", {"x"}, "\"x\" in [interface net0] is no address"},
		{"10.0.0.1/24", {"10.0.0.2", "10.0.0.3"}, "is a second IPv4 gateway"},
		{"fd00::1/64", {"fd00::2", "fd00::3"}, "is a second IPv6 gateway"},
		{"dhcp", {"10.0.0.254"}, "is DHCP's to say"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config_interface *section;

		net_setup(state);
		fake_nic_new(0);
		section = net_section("net0", rows[i].address, NULL);
		for (unsigned j = 0; j < 2 && rows[i].gateways[j] != NULL; j++) {
			strcpy(section->gateways[section->gateway_count++], rows[i].gateways[j]);
		}
		net_init(&net_config);
		assert_logged(rows[i].wrong);
		net_teardown(state);
	}
}

/* What is for another network goes to the gateway, by the interface that has one. */
static void test_routes(void **state)
{
	struct config_interface *section;
	ip6_addr_t far, near;
	struct netif *second;

	(void)state;
	fake_nic_new(0);
	fake_nic_new(0);
	net_section("net0", "10.0.0.1/24", "fd00::1/64");
	section = net_section("net1", "10.0.1.1/24", "fd01::1/64");
	section->gateway_count = 2;
	strcpy(section->gateways[0], "10.0.1.254");
	strcpy(section->gateways[1], "fd01::254");
	net_start();
	second = &interface_find("net1")->netif;
	assert_ptr_equal(netif_default, second);
	assert_true(ip6addr_aton("fd02::1", &far));
	assert_true(ip6addr_aton("fd00::2", &near));
	assert_ptr_equal(ip6_route(IP6_ADDR_ANY6, &far), second);
	assert_ptr_equal(ip6_route(IP6_ADDR_ANY6, &near), &interface_find("net0")->netif);
	fake_nics[1]->nic.link.up = false;
	fake_nics[1]->nic.pending = true;
	net_run(1);
	assert_null(netif_default);
	assert_null(ip6_route(IP6_ADDR_ANY6, &far));
}

/* Somebody answers for our address: it is not used, and the operator hears of it. */
static void test_duplicate_address(void **state)
{
	struct fake_nic *card = fake_nic_new(0);
	static const uint8_t advertisement[] = {
		0x60, 0, 0,    0,    0,	   32, 58, 255, /* IPv6 */
		0xfd, 0, 0,    0,    0,	   0,  0,  0,	 0, 0, 0, 0, 0, 0, 0, 1, /* from fd00::1 */
		0xff, 2, 0,    0,    0,	   0,  0,  0,	 0, 0, 0, 0, 0, 0, 0, 1, /* to all nodes */
		136,  0, 0xe2, 0xf4, 0x20, 0,  0,  0, /* neighbour advertisement, override */
		0xfd, 0, 0,    0,    0,	   0,  0,  0,	 0, 0, 0, 0, 0, 0, 0, 1, /* of fd00::1 */
		2,    1, 0x02, 0,    0,	   0,  0,  0x99, /* it has PEER_MAC */
	};
	struct net_frame frame;
	struct netif *netif;

	(void)state;
	net_section("net0", "fd00::1/64", NULL);
	net_init(&net_config);
	net_run(1);
	frame_ethernet(&frame, card, ETHTYPE_IPV6);
	memcpy(frame.bytes, "\x33\x33\x00\x00\x00\x01", 6);
	frame_add(&frame, advertisement, sizeof(advertisement));
	frame.bytes[56] = frame.bytes[57] = 0;
	ip6_addr_t source, destination;
	struct pbuf *p = pbuf_alloc(PBUF_RAW, 32, PBUF_RAM);

	pbuf_take(p, advertisement + 40, 32);
	((uint8_t *)p->payload)[2] = ((uint8_t *)p->payload)[3] = 0;
	assert_true(ip6addr_aton("fd00::1", &source));
	assert_true(ip6addr_aton("ff02::1", &destination));
	u16_t checksum = ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, 32, &source, &destination);
	pbuf_free(p);
	memcpy(frame.bytes + 56, &checksum, 2);
	fake_nic_put(card, frame.bytes, frame.size, NIC_CHECKSUM_UNKNOWN);
	net_run(1);
	netif = &interface_find("net0")->netif;
	assert_false(ip6_addr_isvalid(netif_ip6_addr_state(netif, 1)));
	assert_logged("net0: another host has the address fd00::1: change one of the two");
}

/* ---- DHCP ------------------------------------------------------------------------------- */

static struct {
	unsigned answered; /* frames of the card that were looked at */
	unsigned discovers, requests;
	bool refuses;
} server;

static const uint8_t *dhcp_option(const uint8_t *options, size_t size, uint8_t code)
{
	for (size_t i = 0; i + 1 < size && options[i] != 255; i += 2u + options[i + 1]) {
		if (options[i] == code) {
			return options + i + 2;
		}
	}
	return NULL;
}

static void server_send(struct fake_nic *card, const struct dhcp_msg *asked, uint8_t type)
{
	static const uint8_t rest[] = {54, 4, 10,  0,	0,   254, /* server */
				       51, 4, 0,   0,	0,   240, /* lease, s */
				       58, 4, 0,   0,	0,   120,
				       59, 4, 0,   0,	0,   180, /* renew and rebind after */
				       1,  4, 255, 255, 255, 0,
				       3,  4, 10,  0,	0,   254, /* mask, gateway */
				       255};
	struct dhcp_msg message = *asked;
	uint8_t l4[600] = {0};
	struct udp_hdr udp = {.src = PP_HTONS(67), .dest = PP_HTONS(68), .len = PP_HTONS(600)};
	struct net_frame frame;

	message.op = 2;
	memcpy(&message.yiaddr, "\x0a\x00\x00\x07", 4);
	memcpy(message.options, (uint8_t[]){53, 1, type}, 3);
	memcpy(message.options + 3, rest, sizeof(rest));
	memcpy(l4, &udp, sizeof(udp));
	memcpy(l4 + sizeof(udp), &message, sizeof(message));
	frame_ip4(&frame, card, "10.0.0.254", "255.255.255.255", IP_PROTO_UDP, l4, sizeof(l4));
	memcpy(frame.bytes, "\xff\xff\xff\xff\xff\xff", 6);
	fake_nic_put(card, frame.bytes, frame.size, NIC_CHECKSUM_UNKNOWN);
}

static void server_answer(struct fake_nic *card, const struct fake_frame *asked)
{
	struct dhcp_msg message;
	const uint8_t *type;
	size_t size = asked->size - 42;

	if (asked->bytes[12] == 8 && asked->bytes[13] == 6) {
		/* The gateway; nobody has the offered address. */
		if (memcmp(asked->bytes + 38, "\x0a\x00\x00\xfe", 4) == 0) {
			put_arp(card, ARP_REPLY, "10.0.0.254", "10.0.0.7");
		}
		return;
	}
	if (asked->bytes[12] != 8 || asked->bytes[13] != 0 || asked->bytes[23] != IP_PROTO_UDP ||
	    asked->bytes[37] != 67) {
		return;
	}
	memset(&message, 0, sizeof(message));
	memcpy(&message, asked->bytes + 42, MIN(size, sizeof(message)));
	type = dhcp_option(message.options, sizeof(message.options), 53);
	assert_non_null(type);
	if (*type == 1) {
		server.discovers++;
		server_send(card, &message, 2);
	} else if (*type == 3) {
		server.requests++;
		server_send(card, &message, server.refuses ? 6 : 5);
	}
}

static void run_with_server(struct fake_nic *card, unsigned s)
{
	for (unsigned i = 0; i < 20 * s; i++) {
		net_run(50);
		for (; server.answered < card->sent_count; server.answered++) {
			server_answer(card, &card->sent[server.answered]);
		}
		server.answered = 0;
		fake_nic_forget(card);
	}
}

static struct fake_nic *start_dhcp(void)
{
	struct fake_nic *card = fake_nic_new(0);

	memset(&server, 0, sizeof(server));
	net_section("net0", "dhcp", NULL);
	net_init(&net_config);
	return card;
}

static void test_dhcp(void **state)
{
	struct fake_nic *card = start_dhcp();
	const struct netif *netif = &interface_find("net0")->netif;

	(void)state;
	run_with_server(card, 10);
	assert_logged("net0: address 10.0.0.7 by DHCP");
	assert_string_equal(ip4addr_ntoa(netif_ip4_gw(netif)), "10.0.0.254");
	assert_ptr_equal(netif_default, netif);
	assert_int_equal(server.discovers, 1);
	assert_int_equal(server.requests, 1);
	/* Renewed in time, for ever. */
	run_with_server(card, 600);
	assert_in_range(server.requests, 3, 8);
	assert_int_equal(server.discovers, 1);
	assert_string_equal(ip4addr_ntoa(netif_ip4_addr(netif)), "10.0.0.7");
}

static void test_dhcp_refused(void **state)
{
	struct fake_nic *card = start_dhcp();
	const struct netif *netif = &interface_find("net0")->netif;

	(void)state;
	run_with_server(card, 10);
	server.refuses = true;
	run_with_server(card, 180);
	assert_logged("net0: address 10.0.0.7 is no longer ours: DHCP's lease has ended, or was "
		      "refused");
	assert_true(ip4_addr_isany(netif_ip4_addr(netif)));
	server.refuses = false;
	run_with_server(card, 60);
	assert_string_equal(ip4addr_ntoa(netif_ip4_addr(netif)), "10.0.0.7");
}

static void test_dhcp_lease_ends(void **state)
{
	struct fake_nic *card = start_dhcp();

	(void)state;
	run_with_server(card, 10);
	for (unsigned i = 0; i < 400; i++) {
		net_run(1000);
		fake_nic_forget(card);
	}
	assert_logged("net0: address 10.0.0.7 is no longer ours");
}

/* ---- The service -------------------------------------------------------------------------- */

static struct fake_nic *start_static(void)
{
	struct fake_nic *card = fake_nic_new(0);

	net_section("net0", "10.0.0.1/24", NULL);
	net_start();
	return card;
}

/* Between two timers a turn does not touch the card. */
static void test_idle(void **state)
{
	struct fake_nic *card = start_static();
	uint64_t polls, next_ns = net_step(fake.now_ns);

	(void)state;
	polls = card->nic.stats.polls;
	assert_true(next_ns > fake.now_ns);
	assert_int_equal(net_step(fake.now_ns), next_ns);
	assert_int_equal(card->nic.stats.polls, polls);
	card->nic.pending = true;
	net_step(fake.now_ns);
	assert_int_equal(card->nic.stats.polls, polls + 1);
}

/* How often the service wants to run in 10 s. */
static unsigned count_steps(void)
{
	uint64_t end_ns = fake.now_ns + 10000 * MS;
	unsigned count = 0;

	for (; fake.now_ns < end_ns; count++) {
		fake.now_ns = net_step(fake.now_ns);
	}
	return count;
}

static void test_deadlines(void **state)
{
	struct fake_nic *card = start_static();

	(void)state;
	/* lwIP's shortest timer is of 100 ms. */
	assert_in_range(count_steps(), 90, 400);
	card->device.interrupt = PCI_POLLED;
	assert_in_range(count_steps(), 9000, 11000);
}

/* A card with more frames than fit into a turn is polled again at once. */
static void test_budget(void **state)
{
	struct fake_nic *card = start_static();

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		put_arp(card, ARP_REQUEST, "10.0.0.9", "10.0.0.1");
	}
	assert_int_equal(net_step(fake.now_ns), fake.now_ns);
	assert_int_equal(card->sent_count, 64);
	assert_true(net_step(fake.now_ns) > fake.now_ns);
	assert_int_equal(card->sent_count, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_cards, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_matching, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_card_that_fails, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_invalid_section, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_addresses, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_address_mistakes, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_gateway_mistakes, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_routes, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_duplicate_address, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_dhcp, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_dhcp_refused, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_dhcp_lease_ends, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_idle, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_deadlines, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_budget, net_setup, net_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
