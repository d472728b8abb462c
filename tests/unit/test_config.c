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
		       "1: \"name = x\" stands before the first section; allowed: [host], "
		       "[guest NAME], lines of comment with #");
	assert_mistake("[host]\nname alpha\n",
		       "2: \"name alpha\" is no setting; allowed: KEY = VALUE, [SECTION], "
		       "# COMMENT");
}

static void test_bad_sections(void **state)
{
	static const char *const headers[] = {"[hosts]",    "[guest]", "[guestweb]",
					      "[guest web", "[]",      "["};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		char text[64], expected[128];

		/* The keys of a section that is not known say nothing more. */
		snprintf(text, sizeof(text), "\n%s\nkernel = k\n", headers[i]);
		snprintf(expected, sizeof(expected),
			 "2: unknown section \"%s\"; allowed: [host], [guest NAME]", headers[i]);
		assert_mistake(text, expected);
		assert_int_equal(config.guest_count, 0);
	}
	assert_mistake("[host]\n[host]\nname = b\n", "2: a second section [host]; allowed: one");
	assert_string_equal(config.host_name, "dyad");
}

static void test_bad_guest_names(void **state)
{
	(void)state;
	assert_mistake("[guest a b]\n", "1: \"a b\" is no name for a guest; allowed: up to 31 "
					"letters, digits, - and _");
	assert_mistake("[guest \x1b[2J]\n", "1: \"?[2J\" is no name for a guest; allowed: up to 31 "
					    "letters, digits, - and _");
	assert_mistake("[guest abcdefghijabcdefghijabcdefghijab]\n",
		       "1: \"abcdefghijabcdefghijabcdefghijab\" is no name for a guest; allowed: "
		       "up to 31 letters, digits, - and _");
	/* The second of two guests with one name goes, the first stays good. */
	assert_mistake("[guest a]\nkernel=k\nmemory=2M\n[guest a]\nbad\n",
		       "4: a second guest \"a\"; allowed: one section for each name");
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

	(void)state;
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
		"\xef\xbb\xbf[host]\nname = a\n[guest g]\nkernel = k\nmemory = 1G";

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
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_documented_example),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
