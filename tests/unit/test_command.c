/* SPDX-License-Identifier: Apache-2.0 */
/* The console's commands: what runs, what is refused with which sentence, completion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "console/command.h"
#include "tests/fake_arch/fake_arch.h"

static char printed[8192];
static int ran_argc;
static char ran_args[COMMAND_ARGS_MAX][32];

void console_print(const char *format, ...)
{
	size_t used = strlen(printed);
	va_list args;

	va_start(args, format);
	vsnprintf(printed + used, sizeof(printed) - used, format, args);
	va_end(args);
}

static int run(int argc, char **argv)
{
	assert_null(argv[argc]);
	ran_argc = argc;
	for (int i = 0; i < argc; i++) {
		snprintf(ran_args[i], sizeof(ran_args[i]), "%s", argv[i]);
	}
	return -EBUSY;
}

static const char *complete_guest(int argument, unsigned index)
{
	static const char *const names[] = {"web", "mail"};

	assert_int_equal(argument, 1);
	return index < ARRAY_SIZE(names) ? names[index] : NULL;
}

static const struct command table[] = {
	{.name = "guests", .usage = "", .help = "Lists the guests.", .run = run},
	{.name = "start",
	 .usage = "NAME",
	 .help = "Starts a guest.",
	 .args_min = 1,
	 .args_max = 1,
	 .run = run,
	 .complete = complete_guest},
	{.name = "stats",
	 .usage = "NAME",
	 .help = "Counts.",
	 .args_min = 1,
	 .args_max = 1,
	 .run = run},
	{.name = "copy",
	 .usage = "FROM TO [MORE]",
	 .help = "Copies.",
	 .args_min = 2,
	 .args_max = 3,
	 .run = run},
};

static int setup_tables(void **state)
{
	(void)state;
	fake_arch_reset(0);
	command_add(command_help_table, 1);
	command_add(table, ARRAY_SIZE(table));
	return 0;
}

static int setup(void **state)
{
	(void)state;
	printed[0] = '\0';
	ran_argc = 0;
	return 0;
}

static int run_text(const char *text)
{
	char line[256];

	snprintf(line, sizeof(line), "%s", text);
	return command_run(line);
}

static void test_runs_with_its_words(void **state)
{
	(void)state;
	assert_int_equal(run_text("  copy   one two  "), -EBUSY);
	assert_int_equal(ran_argc, 3);
	assert_string_equal(ran_args[0], "copy");
	assert_string_equal(ran_args[1], "one");
	assert_string_equal(ran_args[2], "two");
	assert_string_equal(printed, "");
}

static void test_empty_line(void **state)
{
	(void)state;
	assert_int_equal(run_text(""), 0);
	assert_int_equal(run_text("    "), 0);
	assert_int_equal(ran_argc, 0);
	assert_string_equal(printed, "");
}

static void test_unknown_command(void **state)
{
	static const struct {
		const char *typed, *meant;
	} cases[] = {
		{"gests", "guests"}, {"geusts", "guests"}, {"guestss", "guests"}, {"gue", "guests"},
		{"strat", "start"},  {"hepl", "help"},	   {"sttas", "stats"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		char expected[128];

		printed[0] = '\0';
		assert_int_equal(run_text(cases[i].typed), -EINVAL);
		snprintf(expected, sizeof(expected),
			 "unknown command \"%s\"; did you mean \"%s\"? `help` lists all\n",
			 cases[i].typed, cases[i].meant);
		assert_string_equal(printed, expected);
	}
}

static void test_unknown_command_without_a_guess(void **state)
{
	static const char *const typed[] = {
		"frobnicate",
		"x",
		"heap-of-words",
		"cxxy",
		"thisisaverylongwordwithmorelettersthananycommandhas",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(typed); i++) {
		printed[0] = '\0';
		assert_int_equal(run_text(typed[i]), -EINVAL);
		assert_null(strstr(printed, "did you mean"));
		assert_non_null(strstr(printed, "`help` lists all\n"));
	}
}

static void test_long_words_are_cut(void **state)
{
	(void)state;
	assert_int_equal(run_text("thisisaverylongwordwithmorelettersthananycommandhas"), -EINVAL);
	assert_string_equal(printed, "unknown command \"thisisaverylongwordwithmorelette...\"; "
				     "`help` lists all\n");
}

static void test_wrong_number_of_arguments(void **state)
{
	static const struct {
		const char *typed, *answer;
	} cases[] = {
		{"guests now", "guests takes no arguments\n"},
		{"start", "start takes 1 argument, not 0; usage: start NAME\n"},
		{"start a b", "start takes 1 argument, not 2; usage: start NAME\n"},
		{"copy a", "copy takes at least 2 arguments, not 1; usage: copy FROM TO [MORE]\n"},
		{"copy a b c d e f g h i j",
		 "copy takes at most 3 arguments, not 10; usage: copy FROM TO [MORE]\n"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		printed[0] = '\0';
		assert_int_equal(run_text(cases[i].typed), -EINVAL);
		assert_string_equal(printed, cases[i].answer);
		assert_int_equal(ran_argc, 0);
	}
}

static void test_help_lists_all(void **state)
{
	(void)state;
	assert_int_equal(run_text("help"), 0);
	assert_string_equal(printed,
			    "help [COMMAND]               Lists the commands, or explains one.\n"
			    "guests                       Lists the guests.\n"
			    "start NAME                   Starts a guest.\n"
			    "stats NAME                   Counts.\n"
			    "copy FROM TO [MORE]          Copies.\n");
}

static void test_help_explains_one(void **state)
{
	(void)state;
	assert_int_equal(run_text("help start"), 0);
	assert_string_equal(printed, "Starts a guest.\nusage: start NAME\n");
	printed[0] = '\0';
	assert_int_equal(run_text("help guests"), 0);
	assert_string_equal(printed, "Lists the guests.\nusage: guests\n");
	assert_int_equal(run_text("help strat"), -EINVAL);
	assert_non_null(strstr(printed, "did you mean \"start\""));
}

static void test_completion(void **state)
{
	(void)state;
	assert_string_equal(command_complete("", 0, 0), "help");
	assert_string_equal(command_complete("st", 0, 4), "copy");
	assert_null(command_complete("", 0, 5));
	assert_string_equal(command_complete("start ", 1, 0), "web");
	assert_string_equal(command_complete("  start m", 1, 1), "mail");
	assert_null(command_complete("start m", 1, 2));
	/* Behind the last argument, without arguments, of no command. */
	assert_null(command_complete("start web ", 2, 0));
	assert_null(command_complete("guests ", 1, 0));
	assert_null(command_complete("copy ", 1, 0));
	assert_null(command_complete("nothing ", 1, 0));
	assert_null(command_complete("thisisaverylongwordwithmorelettersthananycommand x", 1, 0));
	assert_string_equal(command_complete("help ", 1, 1), "guests");
}

static void test_same_name_twice(void **state)
{
	(void)state;
	expect_end(FAKE_PANIC, command_add(table, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_runs_with_its_words, setup),
		cmocka_unit_test_setup(test_empty_line, setup),
		cmocka_unit_test_setup(test_unknown_command, setup),
		cmocka_unit_test_setup(test_unknown_command_without_a_guess, setup),
		cmocka_unit_test_setup(test_long_words_are_cut, setup),
		cmocka_unit_test_setup(test_wrong_number_of_arguments, setup),
		cmocka_unit_test_setup(test_help_lists_all, setup),
		cmocka_unit_test_setup(test_help_explains_one, setup),
		cmocka_unit_test_setup(test_completion, setup),
		cmocka_unit_test_setup(test_same_name_twice, setup),
	};

	return cmocka_run_group_tests(tests, setup_tables, NULL);
}
