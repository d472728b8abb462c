/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network's console commands, with the console replaced by a buffer.
 */
#include "net/beat.h"
#include "net/pcap.h"
#include "net/ping.h"
#include "net/stream.h"
#include "tests/unit/net_fixture.h"

static char text[64 * KIB];
static size_t text_size;
static bool console_is_slow;

void console_print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_size += (size_t)vsnprintf(text + text_size, sizeof(text) - text_size, format, args);
	va_end(args);
	assert_true(text_size < sizeof(text));
}

bool console_keeps_up(void)
{
	return !console_is_slow && text_size < 2 * KIB;
}

/* Of all commands under test. */
static const struct command *find(const char *name)
{
	for (size_t i = 0; i < net_command_count; i++) {
		if (strcmp(net_commands[i].name, name) == 0) {
			return &net_commands[i];
		}
	}
	assert_string_equal(name, beat_commands[0].name);
	return &beat_commands[0];
}

static int run(const char *line)
{
	const struct command *command;
	char words[80], *argv[COMMAND_ARGS_MAX + 1] = {NULL};
	int argc = 0;

	strcpy(words, line);
	for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
		argv[argc++] = word;
	}
	text_size = 0;
	text[0] = '\0';
	command = find(argv[0]);
	assert_in_range(argc - 1, command->args_min, command->args_max);
	return command->run(argc, argv);
}

static void assert_says(const char *words)
{
	if (strstr(text, words) == NULL) {
		fail_msg("\"%s\" does not speak of \"%s\"", text, words);
	}
}

static struct fake_nic *start_one(void)
{
	struct fake_nic *card = fake_nic_new(NIC_RX_CHECKSUM);

	net_section("net0", "10.0.0.1/24", "fd00::1/64");
	net_start();
	put_arp(card, ARP_REQUEST, "10.0.0.9", "10.0.0.1");
	net_run(1);
	fake_nic_forget(card);
	return card;
}

/* ---- ping ------------------------------------------------------------------------ */

/* The peer answers the newest echo request, after the time that has passed. */
static void answer(struct fake_nic *card, const char *peer)
{
	const struct fake_frame *request = &card->sent[card->sent_count - 1];
	struct icmp_echo_hdr echo;
	uint8_t l4[64];
	struct net_frame frame;
	size_t size = request->size - 34;

	assert_int_equal(request->bytes[34], ICMP_ECHO);
	assert_int_equal(inet_chksum(request->bytes + 34, (u16_t)size), 0);
	memcpy(l4, request->bytes + 34, size);
	memcpy(&echo, l4, sizeof(echo));
	echo.type = ICMP_ER;
	echo.chksum = 0;
	memcpy(l4, &echo, sizeof(echo));
	echo.chksum = inet_chksum(l4, (u16_t)size);
	memcpy(l4, &echo, sizeof(echo));
	frame_ip4(&frame, card, peer, "10.0.0.1", IP_PROTO_ICMP, l4, size);
	fake_nic_put(card, frame.bytes, frame.size, NIC_CHECKSUM_UNKNOWN);
}

static void test_ping_answered(void **state)
{
	struct fake_nic *card = start_one();

	(void)state;
	assert_int_equal(run("ping 10.0.0.9 2"), 0);
	assert_int_equal(card->sent_count, 1);
	fake.now_ns += 2 * MS;
	answer(card, "10.0.0.9");
	net_run(500);
	assert_says("10.0.0.9: answer 1, 2.000 ms\n");
	net_run(490);
	assert_int_equal(card->sent_count, 1);
	net_run(10);
	assert_int_equal(card->sent_count, 2);
	fake.now_ns += MS / 2;
	answer(card, "10.0.0.9");
	net_run(1);
	assert_says("10.0.0.9: answer 2, 2.500 ms\n");
	assert_says("10.0.0.9: 2 sent, 2 received, 0% lost, rtt min/avg/max "
		    "2.000/2.250/2.500 ms\n");
	text_size = 0;
	net_run(5000);
	assert_int_equal(text_size, 0);
}

/* Those of another host, of another ping, and damaged ones do not count. */
static void test_ping_other_answers(void **state)
{
	struct fake_nic *card = start_one();

	(void)state;
	assert_int_equal(run("ping 10.0.0.9 1"), 0);
	answer(card, "10.0.0.8");
	net_run(1);
	answer(card, "10.0.0.9");
	card->incoming[0]->bytes[38] ^= 1;
	net_run(1);
	assert_int_equal(text_size, 0);
	answer(card, "10.0.0.9");
	card->incoming[0]->bytes[60] ^= 1;
	net_run(1);
	assert_says("10.0.0.9: answer 1 is damaged\n");
	net_run(3000);
	assert_says("10.0.0.9: 1 sent, 0 received, 100% lost\n");
}

static void test_ping_refused(void **state)
{
	(void)state;
	start_one();
	assert_int_equal(run("ping 10.0.0.256"), -EINVAL);
	assert_says("\"10.0.0.256\" is no address; allowed: IPv4 as 10.0.0.2, IPv6 as fd00::2 or "
		    "fe80::2%net0.\n");
	assert_int_equal(run("ping fe80::1%net7"), -ENODEV);
	assert_says("names no interface");
	static const char *const own[] = {"10.0.0.1", "127.0.0.1", "fd00::1", "::1",
					  "fe80::5054:ff:fe12:3401"};

	for (unsigned i = 0; i < ARRAY_SIZE(own); i++) {
		char line[80];

		snprintf(line, sizeof(line), "ping %s", own[i]);
		assert_int_equal(run(line), -EINVAL);
		assert_says(" is this host's own address.\n");
	}
	assert_int_equal(run("ping 10.0.1.1"), -EHOSTUNREACH);
	assert_says("There is no way to 10.0.1.1: no interface with a link has its network");
	assert_int_equal(run("ping 10.0.0.9 0"), -EINVAL);
	assert_says("\"0\" is no number from 1 to 1000.\n");
}

/* A second one ends the first, and without an address it only ends. */
static void test_ping_ended(void **state)
{
	(void)state;
	start_one();
	assert_int_equal(run("ping 10.0.0.9"), 0);
	assert_int_equal(run("ping fd00::9"), 0);
	assert_says("10.0.0.9: 1 sent, 0 received, 100% lost\n");
	net_run(1500);
	assert_int_equal(run("ping"), 0);
	assert_says("fd00::9: 2 sent, 0 received, 100% lost\n");
	assert_int_equal(run("ping"), 0);
	assert_int_equal(text_size, 0);
}

/* ---- pcap ------------------------------------------------------------------------ */

/* Reads a frame from the dump at *at; false when there is none. */
static bool parse_frame(const char **at, struct net_frame *frame, char *direction)
{
	unsigned hours, minutes, seconds, us, offset;
	int taken;

	if (sscanf(*at, "\n%c %2u:%2u:%2u.%6u\n%n", direction, &hours, &minutes, &seconds, &us,
		   &taken) != 5) {
		return false;
	}
	*at += taken;
	frame->size = 0;
	while (sscanf(*at, "%6x%n", &offset, &taken) == 1 && taken == 6) {
		assert_int_equal(offset, frame->size);
		for (*at += taken; **at != '\n'; *at += taken) {
			unsigned byte;

			assert_int_equal(sscanf(*at, "%2x%n", &byte, &taken), 1);
			frame->bytes[frame->size++] = (uint8_t)byte;
		}
		(*at)++;
	}
	return true;
}

static void test_pcap(void **state)
{
	struct fake_nic *card = start_one();
	struct net_frame frame;
	const char *at = text;
	char direction;

	(void)state;
	assert_int_equal(run("pcap net0 2"), 0);
	put_arp(card, ARP_REQUEST, "10.0.0.9", "10.0.0.1");
	net_run(1);
	put_arp(card, ARP_REQUEST, "10.0.0.9", "10.0.0.1");
	net_run(100);
	assert_true(parse_frame(&at, &frame, &direction));
	assert_int_equal(direction, 'I');
	assert_int_equal(frame.size, 42);
	assert_memory_equal(frame.bytes, card->nic.mac, 6);
	assert_true(parse_frame(&at, &frame, &direction));
	assert_int_equal(direction, 'O');
	assert_int_equal(frame.size, card->sent[0].size);
	assert_memory_equal(frame.bytes, card->sent[0].bytes, frame.size);
	assert_string_equal(at, "pcap net0: 2 frames\n");
}

/* More than the memory holds: whole frames are left out, and counted. */
static void test_pcap_slow_console(void **state)
{
	struct fake_nic *card = start_one();
	static struct net_frame frame;
	uint8_t data[1400] = {0};
	const char *at = text;
	unsigned shown = 0;
	char direction;

	(void)state;
	console_is_slow = true;
	assert_int_equal(run("pcap net0 200"), 0);
	assert_int_equal(run("pcap net0 1"), -EBUSY);
	assert_says("A capture on net0 goes on: `pcap net0 0` ends it.\n");
	text_size = 0;
	frame_ip4(&frame, card, "10.0.0.9", "10.0.0.3", IP_PROTO_UDP, data, sizeof(data));
	for (unsigned i = 0; i < 210; i++) {
		fake_nic_put(card, frame.bytes, frame.size, NIC_CHECKSUM_UNKNOWN);
		net_run(1);
	}
	console_is_slow = false;
	while (!strstr(text, "pcap net0:")) {
		net_run(20);
		for (; parse_frame(&at, &frame, &direction); shown++) {
			assert_int_equal(frame.size, 34 + sizeof(data));
		}
		if (strstr(at, "pcap net0:") == NULL) {
			text[text_size = 0] = '\0';
			at = text;
		}
	}
	snprintf(text, sizeof(text), "%s", at);
	assert_in_range(shown, 100, 199);
	assert_says("pcap net0: 200 frames, ");
	assert_int_equal(strtoul(text + strlen("pcap net0: 200 frames, "), NULL, 10), 200 - shown);
}

static void test_pcap_ended(void **state)
{
	(void)state;
	start_one();
	assert_int_equal(run("pcap net1 5"), -ENOENT);
	assert_says("There is no interface \"net1\"; `net` lists them.\n");
	assert_int_equal(run("pcap net0 1001"), -EINVAL);
	assert_int_equal(run("pcap net0 5"), 0);
	assert_int_equal(run("pcap net0 0"), 0);
	assert_says("pcap net0: 0 frames\n");
	assert_null(interface_find("net0")->tap);
}

/* ---- net ------------------------------------------------------------------------- */

static void test_net(void **state)
{
	struct fake_nic *card = start_one();

	(void)state;
	card->device.driver = "fake";
	card->device.interrupt = PCI_POLLED;
	assert_int_equal(run("net"), 0);
	assert_says("net0      link up, 1000 Mbit/s full duplex, MTU 1500\n");
	assert_says("Fake 1000 (fake), 52:54:00:12:34:01, polled, checks what is received\n");
	assert_says("          10.0.0.1/24\n");
	assert_says("          fd00::1/64\n");
	assert_says("          fe80::5054:ff:fe12:3401/64\n");
	put_arp(card, ARP_REPLY, "10.0.0.1", "10.0.0.9");
	net_run(1);
	assert_int_equal(run("net"), 0);
	fake.now_ns += 1000 * MS;
	card->nic.stats.rx_bytes += 125000;
	assert_int_equal(run("net"), 0);
	assert_says("10.0.0.1/24, another host had it 1 s ago\n");
	assert_says(" bytes, 1000 kbit/s\n");
	assert_says("over the last 1.0 s\n");
	assert_says("TCP connections");
}

static void test_net_actions(void **state)
{
	struct fake_nic *card = start_one();

	(void)state;
	assert_int_equal(run("net stats net0"), 0);
	assert_says("received frames");
	assert_int_equal(run("net reset net0"), 0);
	assert_says("net0 was reset.\n");
	card->start_error = -EIO;
	assert_int_equal(run("net reset net0"), -EIO);
	assert_says("net0 does not start again (error 5)");
	assert_int_equal(run("net reset"), -EINVAL);
	assert_int_equal(run("net blow net0"), -EINVAL);
	assert_says("allowed: net, net stats IFACE, net reset IFACE\n");
}

/* ---- paths ----------------------------------------------------------------------- */

static void test_paths(void **state)
{
	struct config_partner *partner = &net_config.partner;

	(void)state;
	start_one();
	*partner = (struct config_partner){.line = 7, .valid = true, .has_key = true};
	strcpy(partner->addresses[partner->address_count++], "10.0.0.1");
	strcpy(partner->addresses[partner->address_count++], "10.0.0.9");
	beat_init(&net_config);
	assert_logged("dyad.conf:7: address = \"10.0.0.1\" in [partner] is this host's own;");
	(void)beat_step(fake.now_ns);
	assert_int_equal(run("paths"), 0);
	assert_null(strstr(text, "10.0.0.1 "));
	assert_says("10.0.0.9         down never heard, received 0, lost 0\n  sent 1\n");
}

/* ---- help ------------------------------------------------------------------------ */

/* Behind the column of the usages, on a terminal of 80. */
static void assert_short(const struct command *commands, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_in_range(strlen(commands[i].help), 1, 80 - 29);
	}
}

static void test_help(void **state)
{
	(void)state;
	assert_short(net_commands, net_command_count);
	assert_short(beat_commands, beat_command_count);
	assert_short(stream_commands, stream_command_count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ping_answered, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_ping_other_answers, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_ping_refused, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_ping_ended, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_pcap, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_pcap_slow_console, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_pcap_ended, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_net, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_net_actions, net_setup, net_teardown),
		cmocka_unit_test_setup_teardown(test_paths, net_setup, net_teardown),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
