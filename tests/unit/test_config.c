/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of dyad.conf: what is good is kept, and each mistake is told with
 * its line, what is wrong and what is allowed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/config.h"

#define REPORT_MAX 8

struct reports {
	unsigned count;
	char text[REPORT_MAX][400];
};

#define SECTIONS "[host], [interface NAME], [partner], [guest NAME]"
#define KEY "00112233445566778899aabbccddeeFF0123456789abcdef0123456789ABCDEF"

static struct config config;
static struct reports reports;

static void report(void *context, unsigned line, const char *text)
{
	struct reports *all = context;

	assert_true(all->count < REPORT_MAX);
	snprintf(all->text[all->count++], sizeof(all->text[0]), "%u: %s", line, text);
}

static void parse_size(const char *text, size_t size)
{
	unsigned mistakes;

	reports.count = 0;
	mistakes = config_parse(text, size, &config, report, &reports);
	assert_int_equal(mistakes, reports.count);
}

static void parse(const char *text)
{
	parse_size(text, strlen(text));
}

/* `text` has one mistake, which is reported as `expected`. */
static void assert_mistake(const char *text, const char *expected)
{
	parse(text);
	assert_int_equal(reports.count, 1);
	assert_string_equal(reports.text[0], expected);
}

static void test_empty(void **state)
{
	(void)state;
	parse("");
	assert_int_equal(reports.count, 0);
	assert_string_equal(config.host_name, "dyad");
	assert_int_equal(config.panic_reboot_s, 10);
	assert_int_equal(config.guest_count, 0);
}

static void test_defaults(void **state)
{
	const struct config_guest *guest = &config.guests[0];

	(void)state;
	parse("[guest web]\nkernel=k\nmemory=2M");
	assert_int_equal(reports.count, 0);
	assert_int_equal(config.guest_count, 1);
	assert_string_equal(guest->name, "web");
	assert_int_equal(guest->line, 1);
	assert_true(guest->valid);
	assert_string_equal(guest->kernel, "k");
	assert_string_equal(guest->initrd, "");
	assert_string_equal(guest->cmdline, "");
	assert_int_equal(guest->module_count, 0);
	assert_int_equal(guest->memory, 2 * MIB);
	assert_int_equal(guest->cpu, CPU_POLICY_HOST);
	assert_true(guest->start);
	assert_int_equal(guest->on_poweroff, ACTION_STOP);
	assert_int_equal(guest->on_reboot, ACTION_RESTART);
	assert_int_equal(guest->on_crash, ACTION_STOP);
}

/* Every key at a value other than its default; both line ends, tabs, comments. */
static void test_everything(void **state)
{
	const struct config_guest *guest = &config.guests[1];

	(void)state;
	parse("\xef\xbb\xbf# Dyad\r\n"
	      "; also a comment\r\n"
	      "[host]\r\n"
	      "  name = alpha-1\r\n"
	      "\tpanic-reboot-s\t=\t0\r\n"
	      "\r\n"
	      "[guest first]\r\n"
	      "kernel = linux/vmlinux-6.1.0\r\n"
	      "memory = 1024G\r\n"
	      "[guest second_2]\n"
	      "kernel = boot\\multi.elf\n"
	      "initrd = initrd.cpio\n"
	      "cmdline = console=ttyS0 a=\"b # c\" ; d\n"
	      "module = one.bin\n"
	      "module = two.bin with  arguments = yes\n"
	      "memory = 514M\n"
	      "cpu = x86-64-v3\n"
	      "start = manual\n"
	      "on-poweroff = restart\n"
	      "on-reboot = stop\n"
	      "on-crash = restart\n");
	assert_int_equal(reports.count, 0);
	assert_string_equal(config.host_name, "alpha-1");
	assert_int_equal(config.panic_reboot_s, 0);
	assert_int_equal(config.guest_count, 2);
	assert_string_equal(config.guests[0].kernel, "linux/vmlinux-6.1.0");
	assert_int_equal(config.guests[0].memory, 1024 * GIB);
	assert_string_equal(guest->name, "second_2");
	assert_int_equal(guest->line, 10);
	assert_true(guest->valid);
	assert_string_equal(guest->kernel, "boot\\multi.elf");
	assert_string_equal(guest->initrd, "initrd.cpio");
	assert_string_equal(guest->cmdline, "console=ttyS0 a=\"b # c\" ; d");
	assert_int_equal(guest->module_count, 2);
	assert_string_equal(guest->modules[0], "one.bin");
	assert_string_equal(guest->modules[1], "two.bin with  arguments = yes");
	assert_int_equal(guest->memory, 514 * MIB);
	assert_int_equal(guest->cpu, CPU_POLICY_X86_64_V3);
	assert_false(guest->start);
	assert_int_equal(guest->on_poweroff, ACTION_RESTART);
	assert_int_equal(guest->on_reboot, ACTION_STOP);
	assert_int_equal(guest->on_crash, ACTION_RESTART);
}

static void test_a_tab_before_arguments_is_a_space(void **state)
{
	(void)state;
	parse("[guest g]\nkernel = k\nmemory = 2M\nmodule = m\targument\n");
	assert_int_equal(reports.count, 0);
	assert_string_equal(config.guests[0].modules[0], "m argument");
}

static void test_unknown_keys(void **state)
{
	(void)state;
	assert_mistake(
		"[guest web]\nkernel = k\nmemory = 2M\nmemori = 2M\n",
		"4: unknown key \"memori\" in [guest web]; allowed: kernel, initrd, cmdline, "
		"module, memory, cpu, start, on-poweroff, on-reboot, on-crash");
	assert_false(config.guests[0].valid);
	assert_mistake("[host]\nNAME = x\n",
		       "2: unknown key \"NAME\" in [host]; allowed: name, panic-reboot-s");
	assert_mistake("[host]\n= x\n",
		       "2: unknown key \"\" in [host]; allowed: name, panic-reboot-s");
}

static void test_bad_lines(void **state)
{
	(void)state;
	assert_mistake("name = x\n[host]\n",
		       "1: \"name\" stands before the first section; allowed: " SECTIONS
		       ", lines of comment with #");
	assert_mistake(
		"[host]\nname alpha\n",
		"2: \"name alpha\" in [host] is no setting; allowed: KEY = VALUE, [SECTION], "
		"# COMMENT");
}

static void test_bad_sections(void **state)
{
	static const char *const headers[] = {"[hosts]",     "[guest]",	    "[guestweb]",
					      "[guest web",  "[]",	    "[",
					      "[interface]", "[partner b]", "[host a]"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		char text[64], expected[160];

		/* The keys of a section that is not known say nothing more. */
		snprintf(text, sizeof(text), "\n%s\nkernel = k\n", headers[i]);
		snprintf(expected, sizeof(expected),
			 "2: unknown section \"%s\"; allowed: " SECTIONS, headers[i]);
		assert_mistake(text, expected);
		assert_int_equal(config.guest_count, 0);
	}
	assert_mistake("[host]\n[host]\nname = b\n", "2: a second section [host]; allowed: one");
	assert_string_equal(config.host_name, "dyad");
}

static void test_bad_guest_names(void **state)
{
	(void)state;
	assert_mistake("[guest a b]\n", "1: \"a b\" is no name for a section; allowed: up to 31 "
					"letters, digits, - and _");
	assert_mistake("[guest \x1b[2J]\n",
		       "1: \"?[2J\" is no name for a section; allowed: up to 31 "
		       "letters, digits, - and _");
	assert_mistake("[guest abcdefghijabcdefghijabcdefghijab]\n",
		       "1: \"abcdefghijabcdefghijabcdefghijab\" is no name for a section; allowed: "
		       "up to 31 letters, digits, - and _");
	/* The second of two guests with one name goes, the first stays good. */
	assert_mistake("[guest a]\nkernel=k\nmemory=2M\n[guest a]\nbad\n",
		       "4: a second section named \"a\"; allowed: one for each name");
	assert_int_equal(config.guest_count, 1);
	assert_true(config.guests[0].valid);
}

static void test_too_many_guests(void **state)
{
	char text[2048] = "";
	size_t length = 0;

	(void)state;
	for (unsigned i = 0; i <= CONFIG_GUEST_MAX; i++) {
		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   "[guest g%u]\nkernel = k\nmemory = 2M\n", i);
	}
	assert_mistake(text, "49: too many guests; allowed: 16 sections [guest NAME]");
	assert_int_equal(config.guest_count, CONFIG_GUEST_MAX);
	assert_true(config.guests[CONFIG_GUEST_MAX - 1].valid);
}

/* A mistake spoils its own guest and no other. */
static void test_good_guests_stay(void **state)
{
	(void)state;
	assert_mistake("[guest a]\nkernel = k\nmemory = 2M\n"
		       "[guest b]\nkernel = k\nmemory = 2M\ncpu = z80\n"
		       "[guest c]\nkernel = k\nmemory = 2M\n",
		       "7: cpu = \"z80\" in [guest b] is unknown; allowed: host, x86-64-v2, "
		       "x86-64-v3");
	assert_int_equal(config.guest_count, 3);
	assert_true(config.guests[0].valid);
	assert_false(config.guests[1].valid);
	assert_true(config.guests[2].valid);
}

static void test_missing_keys(void **state)
{
	(void)state;
	parse("[guest a]\n\n[guest b]\nkernel = k\n");
	assert_int_equal(reports.count, 3);
	assert_string_equal(reports.text[0],
			    "1: [guest a] has no kernel; allowed: a file below \\dyad\\, up to 63 "
			    "letters, digits, and . - _ + / \\");
	assert_string_equal(reports.text[1],
			    "1: [guest a] has no memory; allowed: a multiple of 2M from 2M to "
			    "1024G, for example 256M or 1G");
	assert_string_equal(reports.text[2],
			    "3: [guest b] has no memory; allowed: a multiple of 2M from 2M to "
			    "1024G, for example 256M or 1G");
	assert_false(config.guests[1].valid);
}

static void test_interfaces(void **state)
{
	static const uint8_t mac[] = {0x52, 0x54, 0x00, 0xab, 0xCD, 0x01};
	const struct config_interface *net0 = &config.interfaces[0], *net1 = &config.interfaces[1];

	(void)state;
	parse("[interface net0]\n"
	      "mac = 52:54:00:ab:CD:01\n"
	      "address = 10.0.0.1/24\n"
	      "address = fd00::1/64\n"
	      "address = dhcp\n"
	      "address = fe80::1%net0/64\n"
	      "gateway = 10.0.0.254\n"
	      "gateway = fd00::ff\n"
	      "mtu = 9000\n"
	      "\n"
	      "[interface\tnet1]\n");
	assert_int_equal(reports.count, 0);
	assert_int_equal(config.interface_count, 2);
	assert_string_equal(net0->name, "net0");
	assert_int_equal(net0->line, 1);
	assert_true(net0->valid);
	assert_true(net0->has_mac);
	assert_memory_equal(net0->mac, mac, sizeof(mac));
	assert_int_equal(net0->address_count, 4);
	assert_string_equal(net0->addresses[0], "10.0.0.1/24");
	assert_string_equal(net0->addresses[1], "fd00::1/64");
	assert_string_equal(net0->addresses[2], "dhcp");
	assert_string_equal(net0->addresses[3], "fe80::1%net0/64");
	assert_int_equal(net0->gateway_count, 2);
	assert_string_equal(net0->gateways[0], "10.0.0.254");
	assert_string_equal(net0->gateways[1], "fd00::ff");
	assert_int_equal(net0->mtu, 9000);
	assert_string_equal(net1->name, "net1");
	assert_int_equal(net1->line, 11);
	assert_true(net1->valid);
	assert_false(net1->has_mac);
	assert_int_equal(net1->address_count, 0);
	assert_int_equal(net1->gateway_count, 0);
	assert_int_equal(net1->mtu, 1500);
}

static void test_interfaces_are_told_apart(void **state)
{
	(void)state;
	assert_mistake("[interface a]\n[interface a]\nbad\n",
		       "2: a second section named \"a\"; allowed: one for each name");
	assert_int_equal(config.interface_count, 1);
	assert_true(config.interfaces[0].valid);
	/* A guest and an interface may have the same name. */
	parse("[interface a]\n[guest a]\nkernel = k\nmemory = 2M\n");
	assert_int_equal(reports.count, 0);
	assert_mistake("[interface a]\nmac = 02:00:00:00:00:01\n"
		       "[interface b]\n[interface c]\nmac = 02:00:00:00:00:01\n",
		       "4: [interface c] has the mac of [interface a]; allowed: one section for "
		       "each card");
	assert_true(config.interfaces[0].valid);
	assert_false(config.interfaces[2].valid);
	assert_mistake("[interface a]\n[interface b]\n[interface c]\n[interface d]\n"
		       "[interface e]\n",
		       "5: too many interfaces; allowed: 4 sections [interface NAME]");
	assert_int_equal(config.interface_count, 4);
	assert_true(config.interfaces[3].valid);
}

static void test_partner(void **state)
{
	const struct config_partner *partner = &config.partner;
	static const uint8_t start[] = {0x00, 0x11, 0x22, 0x33}, end[] = {0x89, 0xab, 0xcd, 0xef};

	(void)state;
	parse("");
	assert_int_equal(partner->line, 0);
	parse("[interface net0]\n[partner]\naddress = 10.0.0.2\naddress = fe80::2%net0\n"
	      "serial = com2\nkey = " KEY "\n[host]\nname = x\n");
	assert_int_equal(reports.count, 0);
	assert_int_equal(partner->line, 2);
	assert_true(partner->valid);
	assert_int_equal(partner->address_count, 2);
	assert_string_equal(partner->addresses[0], "10.0.0.2");
	assert_string_equal(partner->addresses[1], "fe80::2%net0");
	assert_true(partner->serial);
	assert_true(partner->has_key);
	assert_memory_equal(partner->key, start, sizeof(start));
	assert_memory_equal(partner->key + CONFIG_KEY_SIZE - sizeof(end), end, sizeof(end));
	config_forget_key(&config);
	for (size_t i = 0; i < CONFIG_KEY_SIZE; i++) {
		assert_int_equal(partner->key[i], 0);
	}
	assert_true(partner->has_key);
	parse("[partner]\nserial = com2\nkey = " KEY "\n");
	assert_int_equal(reports.count, 0);
	assert_int_equal(partner->address_count, 0);
}

static void test_bad_partners(void **state)
{
	(void)state;
	assert_mistake("[partner]\nserial = com2\n",
		       "1: [partner] has no key; allowed: 64 hexadecimal digits at random, the "
		       "same on both hosts");
	assert_false(config.partner.valid);
	assert_false(config.partner.has_key);
	assert_mistake("[partner]\nkey = " KEY "\n",
		       "1: [partner] has neither address nor serial; allowed: one of them or both");
	assert_false(config.partner.valid);
	assert_mistake("[partner]\nserial = com2\nkey = " KEY "\n[partner]\nbad\n",
		       "4: a second section [partner]; allowed: one");
	assert_true(config.partner.valid);
}

/* Whatever is wrong, no message has the key in it, nor a piece of it. */
static void test_the_key_is_not_told(void **state)
{
#define DIGITS "feedfacecafebeeffeedfacecafebee"
	static const char *const texts[] = {
		"[partner]\nserial = com2\nkey = " DIGITS DIGITS "\n",
		"[partner]\nserial = com2\nkey = " DIGITS DIGITS "xx\n",
		"[partner]\nserial = com2\nkey = " DIGITS DIGITS "11\nkey = " DIGITS DIGITS "11\n",
		"[partner]\nkez = " DIGITS DIGITS "\n",
		"[partner]\nkey: fe ed fa ce ca fe be ef\n",
		"[partner]\nkey feedfacecafexeef\n",
		"[partner]\n" DIGITS " = key\n",
		"[partner]\naddress = " DIGITS DIGITS "\n",
		"[host]\nkey = " DIGITS "\n",
		"[host]\nkey " DIGITS "\n",
		"[host]\nname = key=" DIGITS DIGITS "\n",
		"[partner] key = " DIGITS "\n",
		"[partner key=" DIGITS "]\n",
		"[guest " DIGITS DIGITS "]\n",
		"key = feedfacexcafebeef\n",
		DIGITS "\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		parse(texts[i]);
		assert_true(reports.count > 0);
		for (unsigned j = 0; j < reports.count; j++) {
			if (strstr(reports.text[j], "feed") || strstr(reports.text[j], "fe ed")) {
				fail_msg("%s", reports.text[j]);
			}
		}
	}
	assert_mistake("[partner]\nserial = com2\nkey = 12\n",
		       "3: key in [partner] has another length; allowed: 64 hexadecimal digits at "
		       "random, the same on both hosts");
	assert_false(config.partner.valid);
	assert_false(config.partner.has_key);
	assert_mistake("[interface a]\nmtu = x" DIGITS "\n",
		       "2: mtu = \"x...\" in [interface a] is no such number; allowed: 576 to 9000 "
		       "bytes");
}

struct value {
	const char *setting;
	const char *wrong; /* NULL: it is right */
};

static void check_values(const char *head, const struct value *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char text[512];

		snprintf(text, sizeof(text), "%s\n%s\n", head, values[i].setting);
		parse(text);
		assert_int_equal(reports.count, values[i].wrong == NULL ? 0 : 1);
		if (values[i].wrong != NULL && strstr(reports.text[0], values[i].wrong) == NULL) {
			fail_msg("%s: %s", values[i].setting, reports.text[0]);
		}
	}
}

static void test_values(void **state)
{
	static const struct value memory[] = {
		{"memory = 2M", NULL},
		{"memory = 1024G", NULL},
		{"memory = 1048576M", NULL},
		{"memory = 0M", "out of range"},
		{"memory = 1025G", "out of range"},
		{"memory = 3M", "no multiple of 2M"},
		{"memory = 256", "no size with M or G"},
		{"memory = 256MB", "no size with M or G"},
		{"memory = 256m", "no size with M or G"},
		{"memory = M", "no size"},
		{"memory = -2M", "no size"},
		{"memory = 99999999999999999999G", "no size"},
		{"memory =", "no size"},
		{"memory = 2M\nmemory = 4M", "is given a second time"},
	};
	static const struct value others[] = {
		{"on-crash = Stop", "is unknown; allowed: stop, restart"},
		{"start = yes", "is unknown; allowed: auto, manual"},
		{"kernel = k", "is given a second time"},
		{"initrd =", "is empty"},
		{"initrd = a b", "has other characters"},
		{"initrd = ../secret", "leaves \\dyad\\"},
		{"initrd = a..b", "leaves \\dyad\\"},
		{"cmdline =", NULL},
		{"cmdline = \x7f", "has other characters"},
		{"module =", "is empty"},
		{"module = \x80", "has other characters"},
		{"module = a \x80", "has other characters"},
		{"module=a\nmodule=b\nmodule=c\nmodule=d", NULL},
		{"module=a\nmodule=b\nmodule=c\nmodule=d\nmodule=e", "is one too many"},
	};
	static const struct value host[] = {
		{"panic-reboot-s = 3600", NULL},
		{"panic-reboot-s = 3601", "is no such number; allowed: 0 to 3600 seconds"},
		{"panic-reboot-s = 1s", "is no such number"},
		{"panic-reboot-s =", "is no such number"},
		{"name =", "is empty"},
		{"name = a.b", "has other characters"},
	};

	static const struct value interface[] = {
		{"mac = 02:00:00:00:00:01", NULL},
		{"mac = 01:00:5e:00:00:01", "is no card's address"},
		{"mac = 00:00:00:00:00:00", "is no card's address"},
		{"mac = 02-00-00-00-00-01", "has other characters; allowed: the address of one"},
		{"mac = 02:00:00:00:00:0g", "has other characters"},
		{"mac = 02:00:00:00:00:0", "has another length"},
		{"mac = 02:00:00:00:00:01:", "has another length"},
		{"mac =", "has another length"},
		{"mac = 02:00:00:00:00:01\nmac = 02:00:00:00:00:02", "is given a second time"},
		{"address =", "is empty; allowed: IPv4/prefix, IPv6/prefix or dhcp, at most 4"},
		{"address = 10.0.0.1/24 10.0.0.2/24", "has other characters"},
		{"address = dhcp\naddress = dhcp", "\"dhcp\" in [interface n] is given a second"},
		{"address=a\naddress=b\naddress=c\naddress=d", NULL},
		{"address=a\naddress=b\naddress=c\naddress=d\naddress=e", "is one too many"},
		{"gateway = a\ngateway = b", NULL},
		{"gateway = a\ngateway = b\ngateway = c", "is one too many; allowed: an IPv4 or"},
		{"mtu = 576", NULL},
		{"mtu = 575", "is no such number; allowed: 576 to 9000 bytes"},
		{"mtu = 9001", "is no such number"},
		{"serial = com2", "unknown key \"serial\" in [interface n]; allowed: mac, address, "
				  "gateway, mtu"},
	};
	static const struct value partner[] = {
		{"address = 10.0.0.2", NULL},
		{"serial = com1", "is unknown; allowed: com2"},
		{"serial = com2\nserial = com2", "is given a second time"},
		{"address=a\naddress=b\naddress=c\naddress=d\naddress=e", "is one too many"},
		{"port = 1\naddress = a", "unknown key \"port\" in [partner]; allowed: address, "
					  "serial, key"},
	};
	static const struct value key[] = {
		{"key = " KEY, NULL},
		{"key =", "has another length"},
		{"key = " KEY "0", "has another length"},
		{"key = 0000000000000000000000000000000000000000000000000000000000000000",
		 "is the same digit throughout"},
		{"key = aAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaA",
		 "is the same digit throughout"},
		{"key = 00112233445566778899aabbccddeeFF0123456789abcdef0123456789ABCDEG",
		 "has other characters"},
	};

	(void)state;
	check_values("[interface n]", interface, ARRAY_SIZE(interface));
	check_values("[partner]\nkey = " KEY, partner, ARRAY_SIZE(partner));
	check_values("[partner]\nserial = com2", key, ARRAY_SIZE(key));
	check_values("[guest g]\nkernel = k", memory, ARRAY_SIZE(memory));
	check_values("[guest g]\nkernel = k\nmemory = 2M", others, ARRAY_SIZE(others));
	check_values("[host]", host, ARRAY_SIZE(host));
}

/* The longest value that fits, and one more character. */
static void check_length(const char *key, size_t max)
{
	static const char head[] = "[guest g]\nkernel = k\nmemory = 2M\n";
	char text[2048];

	for (size_t length = max; length <= max + 1; length++) {
		size_t at = (size_t)snprintf(text, sizeof(text), "%s%s = ", head, key);

		memset(text + at, 'x', length);
		parse_size(text, at + length);
		assert_int_equal(reports.count, length > max);
		assert_true(length <= max || strstr(reports.text[0], "is too long") != NULL);
	}
}

static void test_lengths(void **state)
{
	(void)state;
	check_length("initrd", CONFIG_FILE_MAX - 1);
	check_length("module", CONFIG_FILE_MAX - 1);
	check_length("cmdline", CONFIG_CMDLINE_MAX - 1);
	assert_int_equal(strlen(config.guests[0].cmdline), 0);
}

/* Nothing behind `size` is read: the sanitizer watches the end of the buffer. */
static void test_every_prefix(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf[host]\nname = a\n[guest g]\nkernel = k\nmemory = 1G\n"
		"[interface n]\nmac = 02:00:00:00:00:01\n[partner]\nserial = com2\n"
		"key = " KEY;

	(void)state;
	for (size_t size = 0; size < sizeof(text); size++) {
		char *copy = test_malloc(size);

		memcpy(copy, text, size);
		parse_size(copy, size);
		test_free(copy);
	}
}

/* The example in the manual is a configuration without a mistake. */
static void test_documented_example(void **state)
{
	static char manual[65536];
	FILE *file = fopen("docs/configuration.md", "r");
	const char *start, *end;

	(void)state;
	assert_non_null(file);
	manual[fread(manual, 1, sizeof(manual) - 1, file)] = '\0';
	fclose(file);
	start = strstr(manual, "```ini\n");
	assert_non_null(start);
	start = strchr(start, '\n');
	end = strstr(start, "```");
	assert_non_null(end);
	parse_size(start, (size_t)(end - start));
	assert_int_equal(reports.count, 0);
	assert_int_equal(config.guest_count, 2);
	assert_int_equal(config.interface_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_a_tab_before_arguments_is_a_space),
		cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_bad_sections),
		cmocka_unit_test(test_bad_guest_names),
		cmocka_unit_test(test_too_many_guests),
		cmocka_unit_test(test_good_guests_stay),
		cmocka_unit_test(test_missing_keys),
		cmocka_unit_test(test_interfaces),
		cmocka_unit_test(test_interfaces_are_told_apart),
		cmocka_unit_test(test_partner),
		cmocka_unit_test(test_bad_partners),
		cmocka_unit_test(test_the_key_is_not_told),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_documented_example),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
