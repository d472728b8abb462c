/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands about the host and its guests: what they answer and what they
 * ask for, with the console replaced by a buffer.
 */
#include <stdio.h>

#include "tests/unit/vm_fixture.h"
#include "vmm/commands.h"

static char text[4096];
static size_t text_size;
static const struct console_target *attached;
static unsigned flush_count;

void console_print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_size += (size_t)vsnprintf(text + text_size, sizeof(text) - text_size, format, args);
	va_end(args);
	assert_true(text_size < sizeof(text));
}

void console_flush(void)
{
	flush_count++;
}

void console_attach(const struct console_target *target)
{
	attached = target;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < vmm_command_count; i++) {
		if (strcmp(vmm_commands[i].name, name) == 0) {
			return &vmm_commands[i];
		}
	}
	fail_msg("no command \"%s\"", name);
	return NULL;
}

static int run(const char *name, const char *argument)
{
	const struct command *command = find_command(name);
	char words[2][64];
	char *argv[] = {words[0], words[1], NULL};
	int argc = argument != NULL ? 2 : 1;

	snprintf(words[0], sizeof(words[0]), "%s", name);
	snprintf(words[1], sizeof(words[1]), "%s", argument != NULL ? argument : "");
	assert_in_range(argc - 1, command->args_min, command->args_max);
	text_size = 0;
	text[0] = '\0';
	return command->run(argc, argv);
}

static void assert_says(const char *words)
{
	if (strstr(text, words) == NULL) {
		fail_msg("\"%s\" does not speak of \"%s\"", text, words);
	}
}

static int setup_commands(void **state)
{
	setup(state);
	commands_init(&(struct host_facts){.name = "north",
					   .ram = 64 * MIB,
					   .image = 300 * KIB,
					   .files = 20 * KIB,
					   .boot_ticks = 12345,
					   .firmware_ticks = 678});
	attached = NULL;
	flush_count = 0;
	return 0;
}

/* ---- Guests ------------------------------------------------------------------ */

/* Each request is posted in the states where it makes sense, and refused in others. */
static void test_requests(void **state)
{
	enum { O = BIT(VM_STOPPED), S = BIT(VM_STARTING), R = BIT(VM_RUNNING), P = BIT(VM_PAUSED) };
	static const struct {
		const char *name;
		uint64_t bit;
		unsigned states;
		const char *doing;
	} cases[] = {
		{"start", VM_REQUEST_START, O, "Starting web\n"},
		{"stop", VM_REQUEST_STOP, S | R | P, "Stopping web\n"},
		{"reset", VM_REQUEST_RESET, S | R | P, "Resetting web\n"},
		{"pause", VM_REQUEST_PAUSE, R, "Pausing web\n"},
		{"resume", VM_REQUEST_RESUME, P, "Resuming web\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned now = VM_STOPPED; now <= VM_PAUSED; now++) {
			bool allowed = cases[i].states >> now & 1;
			char refusal[64];

			snprintf(refusal, sizeof(refusal), "Guest web is %s.\n",
				 vm_state_name(now));
			vm->state = now;
			assert_int_equal(run(cases[i].name, "web"), allowed ? 0 : -EINVAL);
			assert_string_equal(text, allowed ? cases[i].doing : refusal);
			assert_int_equal(vm->requests, allowed ? cases[i].bit : 0);
			vm->requests = 0;
		}
	}
	vm->state = VM_STOPPED;
}

static void test_unknown_guest(void **state)
{
	static const char *const names[] = {"start",  "stop",	 "reset", "pause",
					    "resume", "console", "stats"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(run(names[i], "mail"), -ENOENT);
		assert_says("There is no guest \"mail\"; `guests` lists them.");
		assert_string_equal(find_command(names[i])->complete(1, 0), "web");
		assert_string_equal(find_command(names[i])->complete(1, 1), "db");
		assert_null(find_command(names[i])->complete(1, 2));
		assert_null(find_command(names[i])->complete(2, 0));
	}
}

static void test_guests(void **state)
{
	(void)state;
	start();
	assert_int_equal(run("guests", NULL), 0);
	assert_string_equal(text, "NAME             STATE      CPU    MEMORY  STARTS  LAST ENDING\n"
				  "web              running      0     4 MiB       1  \n"
				  "db               stopped      0     4 MiB       0  \n");
	request(VM_REQUEST_STOP);
	run("guests", NULL);
	assert_says("web              stopped      0     4 MiB       1  stopped by the operator\n");
}

static void test_no_guests(void **state)
{
	(void)state;
	config.guest_count = 0;
	vm_init(&config, images, ARRAY_SIZE(images));
	assert_int_equal(run("guests", NULL), 0);
	assert_says("No guests");
	config.guest_count = 2;
	make_guests();
}

static void test_stats(void **state)
{
	(void)state;
	start();
	leave((struct exit){.reason = EXIT_CPUID});
	leave((struct exit){.reason = EXIT_CPUID});
	vm->hole_count = 7;
	assert_int_equal(run("stats", "web"), 0);
	assert_says("Guest web: running, starts: 1, ");
	assert_says("  CPUID                               2\n");
	assert_says("  of which to nothing                 7\n");
	assert_null(strstr(text, "HLT"));
}

static void test_console(void **state)
{
	(void)state;
	assert_int_equal(run("console", "web"), -EINVAL);
	assert_says("has not run yet");
	assert_null(attached);
	start();
	assert_int_equal(run("console", "web"), 0);
	assert_ptr_equal(attached, &vm->console);
	out(UART, 1, 'x');
	request(VM_REQUEST_STOP);
	attached = NULL;
	assert_int_equal(run("console", "web"), 0); /* what it said last */
	assert_ptr_equal(attached, &vm->console);
}

/* ---- Host ---------------------------------------------------------------------- */

static void test_info(void **state)
{
	char expected[128];

	(void)state;
	start();
	assert_int_equal(run("info", NULL), 0);
	assert_says("north\n");
	assert_says("CPU: fake\n");
	assert_says("can run\n");
	snprintf(expected, sizeof(expected), "64 MiB, %lu MiB free (%lu pages)\n",
		 page_free_count() * PAGE_SIZE / MIB, page_free_count());
	assert_says(expected);
	snprintf(expected, sizeof(expected), "guests 4 MiB, and %lu KiB beyond their RAM\n",
		 (vm_overhead(vm) + vm_overhead(vm_at(1))) / KIB);
	assert_says(expected);
	assert_says("images 20 KiB");
	assert_says("12345 ticks from the loader to the prompt, 678 in firmware\n");
}

/* What is not a guest's is the hypervisor's, also while the guest starts. */
static void test_memory_sum(void **state)
{
	const char *line;
	unsigned long before, kib;

	(void)state;
	run("info", NULL);
	line = strstr(text, "hypervisor ");
	assert_int_equal(sscanf(line, "hypervisor %lu KiB", &before), 1);
	config.guests[0].memory = 20 * MIB;
	request(VM_REQUEST_START);
	assert_int_equal(vm->state, VM_STARTING);
	/* On to the middle of a large page. */
	assert_int_equal(memory_populate(&vm->memory, MIB), 1);
	run("info", NULL);
	line = strstr(text, "hypervisor ");
	assert_int_equal(sscanf(line, "hypervisor %lu KiB", &kib), 1);
	assert_int_equal(kib, before);
}

static void test_no_virt(void **state)
{
	(void)state;
	fake.virt_missing[0] = "VT-x is off";
	fake.virt_missing[1] = "EPT is missing";
	run("info", NULL);
	assert_says("cannot run, state no-virt:\n");
	assert_says("VT-x is off\n");
	assert_says("EPT is missing\n");
}

static void test_end_of_the_host(void **state)
{
	static const struct {
		const char *name;
		enum fake_end end;
		const char *words;
	} cases[] = {
		{"reboot", FAKE_RESET, "Rebooting.\n"},
		{"poweroff", FAKE_POWEROFF, "Powering off.\n"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		expect_end(cases[i].end, run(cases[i].name, NULL));
		assert_string_equal(text, cases[i].words);
		assert_int_equal(flush_count, 2 * i + 1);
		start();
		assert_int_equal(run(cases[i].name, NULL), -EBUSY);
		assert_says("1 guest would be cut off");
		assert_says(cases[i].name);
		assert_int_equal(run(cases[i].name, "now"), -EBUSY);
		assert_says("\"now\" is not an option; --force is the only one.\n");
		expect_end(cases[i].end, run(cases[i].name, "--force"));
		assert_int_equal(flush_count, 2 * i + 2);
		request(VM_REQUEST_STOP);
	}
}

static void test_panic(void **state)
{
	(void)state;
	assert_int_equal(run("panic", "please"), -EINVAL);
	assert_says("`panic --force`");
	expect_end(FAKE_PANIC, run("panic", "--force"));
	assert_string_equal(fake.panic_text, "asked for on the console");
}

#define COMMAND_TEST(f) cmocka_unit_test_setup_teardown(f, setup_commands, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		COMMAND_TEST(test_requests), COMMAND_TEST(test_unknown_guest),
		COMMAND_TEST(test_guests),   COMMAND_TEST(test_no_guests),
		COMMAND_TEST(test_stats),    COMMAND_TEST(test_console),
		COMMAND_TEST(test_info),     COMMAND_TEST(test_memory_sum),
		COMMAND_TEST(test_no_virt),  COMMAND_TEST(test_end_of_the_host),
		COMMAND_TEST(test_panic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
