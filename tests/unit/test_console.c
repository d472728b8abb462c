/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console with a serial driver that is a string in each direction: what an
 * operator types, and all that he would see, VT100 sequences included.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "console/console.h"
#include "tests/fake_arch/fake_arch.h"

#define PROMPT "dyad> "
#define DRAWN_EMPTY "\r" PROMPT "\x1b[K\r\x1b[6C"
#define HIDDEN "\r\x1b[K"

/* ---- The serial driver ----------------------------------------------------- */

static struct {
	char seen[2000000];
	size_t seen_count;
	size_t room; /* how many bytes the driver takes now */
	const char *typed;
	uint64_t lost;
	unsigned step_count, polled_count, flush_count;
	int irq_error;
} wire;

static void see(const void *bytes, size_t size)
{
	assert_true(wire.seen_count + size < sizeof(wire.seen));
	memcpy(wire.seen + wire.seen_count, bytes, size);
	wire.seen_count += size;
	wire.seen[wire.seen_count] = '\0';
}

int serial_enable_interrupts(struct serial *serial)
{
	(void)serial;
	return wire.irq_error;
}

size_t serial_room(const struct serial *serial)
{
	(void)serial;
	return wire.room;
}

size_t serial_write(struct serial *serial, const void *bytes, size_t size)
{
	(void)serial;
	assert_true(size <= wire.room);
	see(bytes, size);
	wire.room -= size;
	return size;
}

size_t serial_read(struct serial *serial, void *bytes, size_t size)
{
	(void)serial;
	assert_int_equal(size, 1);
	if (!*wire.typed) {
		return 0;
	}
	*(char *)bytes = *wire.typed++;
	return 1;
}

uint64_t serial_take_lost(struct serial *serial)
{
	uint64_t lost = wire.lost;

	(void)serial;
	wire.lost = 0;
	return lost;
}

uint64_t serial_step(struct serial *serial, uint64_t now_ns)
{
	(void)serial;
	(void)now_ns;
	wire.step_count++;
	return TIME_NEVER;
}

void serial_write_polled(struct serial *serial, const void *bytes, size_t size)
{
	(void)serial;
	wire.polled_count++;
	see(bytes, size);
}

void serial_flush(struct serial *serial)
{
	(void)serial;
	wire.flush_count++;
}

/* ---- Commands and guests ---------------------------------------------------- */

static struct {
	struct output_ring ring;
	uint8_t memory[1024];
	bool alive;
	size_t room;
	char taken[1024];
	size_t taken_count;
} guest;

static size_t guest_input(void *context, const void *bytes, size_t size)
{
	size_t count = MIN(size, guest.room);

	assert_ptr_equal(context, &guest);
	memcpy(guest.taken + guest.taken_count, bytes, count);
	guest.taken_count += count;
	guest.room -= count;
	return count;
}

static bool guest_alive(void *context)
{
	assert_ptr_equal(context, &guest);
	return guest.alive;
}

static const struct console_target target = {.name = "web",
					     .output = &guest.ring,
					     .input = guest_input,
					     .alive = guest_alive,
					     .context = &guest};

static int run_attach(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	console_attach(&target);
	return 0;
}

static int run_speak(int argc, char **argv)
{
	(void)argc;
	console_print("you said %s\n", argv[1]);
	log_info("it was said: %s", argv[1]);
	return 0;
}

static int run_flood(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (unsigned i = 0; i < 2000; i++) {
		console_print("flood %04u and some more text, to make the line long\n", i);
	}
	return 0;
}

static const struct command commands[] = {
	{.name = "attach", .usage = "", .help = "Attaches.", .run = run_attach},
	{.name = "speak",
	 .usage = "WORD",
	 .help = "Speaks.",
	 .args_min = 1,
	 .args_max = 1,
	 .run = run_speak},
	{.name = "flood", .usage = "", .help = "Prints a lot.", .run = run_flood},
};

/* ---- Steps ------------------------------------------------------------------ */

static struct serial serial = {.present = true};

/* Steps until nothing moves any more; returns the last deadline. */
static uint64_t run(void)
{
	uint64_t deadline;
	unsigned count = 0;

	do {
		wire.room = 4096;
		deadline = console_step(fake.now_ns);
		assert_true(++count < 5000);
	} while (deadline == fake.now_ns || wire.room < 4096);
	return deadline;
}

/* What is seen from now on after typing. */
static const char *type(const char *keys)
{
	size_t start = wire.seen_count;

	wire.typed = keys;
	run();
	assert_string_equal(wire.typed, "");
	return wire.seen + start;
}

static const char *after(void (*happens)(void))
{
	size_t start = wire.seen_count;

	happens();
	run();
	return wire.seen + start;
}

static unsigned count_of(const char *text, const char *part)
{
	unsigned count = 0;

	for (; (text = strstr(text, part)); text += strlen(part)) {
		count++;
	}
	return count;
}

static void assert_ends_with(const char *text, const char *end)
{
	assert_true(strlen(text) >= strlen(end));
	assert_string_equal(text + strlen(text) - strlen(end), end);
}

/* The console and its tables are one for the process: started once, for all tests. */
static int setup_once(void **state)
{
	static const struct console_host host = {
		.version = "1.2", .name = "alpha", .memory = 512 * MIB};

	(void)state;
	fake_arch_reset(0);
	fake.cpu_count = 2;
	wire.typed = "";
	log_info("before the console");
	console_init(&serial);
	log_warn("while it starts");
	console_add(commands, ARRAY_SIZE(commands));
	console_start(&host);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	fake.now_ns += 10000000000;
	wire.lost = 0;
	memset(&guest, 0, sizeof(guest));
	output_ring_init(&guest.ring, guest.memory, sizeof(guest.memory));
	guest.alive = true;
	guest.room = sizeof(guest.taken);
	type("");
	return 0;
}

static void test_start(void **state)
{
	(void)state;
	const char *expected = "[    0.000000] before the console\r\n"
			       "[    0.000000] warning: while it starts\r\n"
			       "Dyad 1.2, host alpha: 2 CPUs, 512 MiB, guests can run\r\n"
			       "Type `help` for the commands.\r\n" DRAWN_EMPTY;
	assert_true(wire.polled_count > 0);
	type("");
	assert_string_equal(wire.seen, expected);
	/* Nothing to do, nothing to wait for. */
	assert_int_equal(run(), TIME_NEVER);
	assert_string_equal(wire.seen, expected);
}

/* The log's time counts from its first line, which came at 1 s of the fake clock. */
static unsigned long long log_second(void)
{
	return fake.now_ns / 1000000000 - 1;
}

static void test_command(void **state)
{
	(void)state;
	const char *seen = type("speak up\r\n");
	char expected[200];
	snprintf(expected, sizeof(expected),
		 "speak up\r\nyou said up\r\n[%5llu.000000] it was said: up\r\n" DRAWN_EMPTY,
		 log_second());
	assert_string_equal(seen, expected);
}

static void test_commands_typed_ahead(void **state)
{
	(void)state;
	const char *seen = type("speak one\rspeak two\rspe");
	assert_non_null(strstr(seen, "you said one\r\n"));
	assert_non_null(strstr(seen, "you said two\r\n"));
	assert_ends_with(seen, DRAWN_EMPTY "spe");
	type("\x15");
}

/* More than one step takes in: it goes on by itself, no further key is needed. */
static void test_a_long_paste(void **state)
{
	static char text[601];

	(void)state;
	memset(text, 'p', sizeof(text) - 2);
	text[sizeof(text) - 2] = '\r';
	assert_non_null(strstr(type(text), "unknown command \"ppp"));
}

static void test_help_and_completion(void **state)
{
	(void)state;
	const char *seen = type("he\t\r");
	assert_non_null(strstr(seen, "help \r\nhelp [COMMAND] "));
	assert_non_null(strstr(seen, "\r\nlog [LEVEL] "));
	assert_non_null(strstr(seen, "\r\nspeak WORD "));
	seen = type("log de\t\x15");
	assert_non_null(strstr(seen, "debug "));
}

static void log_something(void)
{
	log_error("disk on fire");
	log_debug("not shown");
}

static void test_log_above_the_prompt(void **state)
{
	(void)state;
	type("spea");
	unsigned kicks = fake.kick_count[0];
	const char *seen = after(log_something);
	char expected[200];
	snprintf(expected, sizeof(expected),
		 HIDDEN "[%5llu.000000] error: disk on fire\r\n"
			"\r" PROMPT "spea\x1b[K\r\x1b[10C",
		 log_second());
	assert_string_equal(seen, expected);
	/* Whichever CPU wrote it, the service CPU is told. */
	assert_int_equal(fake.kick_count[0], kicks + 2);
	assert_non_null(strstr(type("k x\r"), "you said x\r\n"));
}

static void test_log_level(void **state)
{
	(void)state;
	assert_non_null(strstr(type("log debug\r"), "up to debug"));
	assert_non_null(strstr(after(log_something), "debug: not shown"));
	type("log error\r");
	assert_null(strstr(type("speak x\r"), "it was said"));
	assert_non_null(strstr(type("log loud\r"), "error, warn, info and debug"));
	type("log info\r");
}

static void test_log_dump(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LOG_LINE_COUNT; i++) {
		log_debug("line %u of many", i);
	}
	const char *seen = type("log\r");
	/* The whole log is far longer than what the output queue holds when it is short. */
	assert_int_equal(count_of(seen, " of many\r\n"), LOG_LINE_COUNT);
	assert_ends_with(seen, "line 511 of many\r\n" DRAWN_EMPTY);
}

static void test_log_dump_is_ended_by_ctrl_c(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LOG_LINE_COUNT; i++) {
		log_debug("line %u of many", i);
	}
	wire.typed = "log\r";
	wire.room = 0;
	for (unsigned i = 0; i < 20; i++) {
		console_step(fake.now_ns);
	}
	assert_string_equal(wire.typed, "");
	const char *seen = type("\x03");
	assert_true(count_of(seen, " of many\r\n") < 100);
	assert_ends_with(seen, DRAWN_EMPTY);
}

static void log_too_much(void)
{
	for (unsigned i = 0; i < LOG_LINE_COUNT + 88; i++) {
		log_info("line %u", i);
	}
}

static void test_overwritten_log_lines_are_told(void **state)
{
	(void)state;
	const char *seen = after(log_too_much);
	assert_non_null(strstr(seen, "--- 88 log lines were overwritten unread ---\r\n"));
	assert_int_equal(count_of(seen, "] line "), LOG_LINE_COUNT);
}

static void test_too_much_output_is_told(void **state)
{
	(void)state;
	const char *seen = type("flood\r");
	const char *notice = strstr(seen, "--- ");
	unsigned long long dropped = 0, kept;

	assert_non_null(notice);
	assert_int_equal(sscanf(notice, "--- %llu bytes of output were dropped here", &dropped), 1);
	/* 65536 bytes less the echo were kept; a line has 54 bytes. */
	kept = (unsigned long long)(strstr(seen, "\r\n--- ") - strstr(seen, "flood 0000"));
	assert_true(kept > 65000);
	assert_int_equal(kept + dropped, 2000 * 54);
	assert_non_null(strstr(type("speak now\r"), "you said now"));
}

static void test_clear(void **state)
{
	(void)state;
	assert_ends_with(type("clear\r"), "\x1b[H\x1b[2J" DRAWN_EMPTY);
}

/* ---- Attached ----------------------------------------------------------------- */

static void print_guest(const char *text)
{
	output_ring_write(&guest.ring, text, strlen(text));
}

static void guest_says_login(void)
{
	print_guest("login: ");
}

static void test_attach(void **state)
{
	(void)state;
	print_guest("kept\r\n");
	const char *seen = type("attach\r");
	assert_string_equal(seen, "attach\r\n--- console of web; Ctrl-] returns ---\r\nkept\r\n");
	assert_string_equal(after(guest_says_login), "login: ");
	assert_int_equal(run(), fake.now_ns + 100000000);
	assert_string_equal(type("root\r\x03\x1b[A"), "");
	assert_memory_equal(guest.taken, "root\r\x03\x1b[A", 9);
	assert_int_equal(guest.taken_count, 9);
	assert_string_equal(type("\x1d"),
			    "\r\n\x1b[0m--- web goes on without the console ---\r\n" DRAWN_EMPTY);
	print_guest("unseen");
	assert_string_equal(type(""), "");
}

static void test_log_while_attached(void **state)
{
	(void)state;
	type("attach\r");
	after(guest_says_login);
	const char *seen = after(log_something);
	assert_memory_equal(seen, "\r\n[", 3);
	assert_ends_with(seen, "error: disk on fire\r\n");
	type("\x1d");
}

static void guest_ends(void)
{
	print_guest("Power down\r\n");
	guest.alive = false;
}

static void test_guest_ends(void **state)
{
	(void)state;
	type("attach\r");
	assert_string_equal(after(guest_ends),
			    "Power down\r\n\x1b[0m--- web has ended ---\r\n" DRAWN_EMPTY);
	assert_non_null(strstr(type("speak x\r"), "you said x"));
}

static void test_attach_to_what_has_ended(void **state)
{
	(void)state;
	guest_ends();
	const char *seen = type("attach\r");
	assert_non_null(strstr(seen, "returns ---\r\nPower down\r\n"));
	assert_ends_with(seen, "--- web has ended ---\r\n" DRAWN_EMPTY);
}

static bool one_turn_works(void)
{
	wire.step_count = 0;
	wire.room = 4096;
	(void)console_step(fake.now_ns);
	return wire.step_count > 0;
}

/* A turn with nothing to do is short, and each thing that is to be done ends that. */
static void test_idle_turns(void **state)
{
	(void)state;
	assert_true(one_turn_works()); /* without an interrupt somebody must look */
	serial.interrupts = true;
	assert_false(one_turn_works());
	assert_int_equal(console_step(fake.now_ns), TIME_NEVER);

	log_info("news");
	assert_true(one_turn_works());
	run();
	assert_false(one_turn_works());

	atomic_store(&serial.rx.written, 1);
	assert_true(one_turn_works());
	atomic_store(&serial.rx.written, 0);
	atomic_store(&serial.tx.written, 1);
	assert_true(one_turn_works());
	atomic_store(&serial.tx.written, 0);
	serial.rx_lost = 1;
	assert_true(one_turn_works());
	serial.rx_lost = 0;
	assert_false(one_turn_works());

	serial.interrupts = false;
	type("attach\r");
	serial.interrupts = true;
	assert_true(one_turn_works());
	serial.interrupts = false;
	type("\x1d");
}

static void test_guest_prints_too_fast(void **state)
{
	char text[1500];

	(void)state;
	type("attach\r");
	memset(text, 'x', sizeof(text));
	size_t start = wire.seen_count;
	output_ring_write(&guest.ring, text, sizeof(text));
	run();
	assert_memory_equal(wire.seen + start,
			    "--- 476 bytes of web were overwritten unread ---\r\nx", 50);
	type("\x1d");
}

static void test_guest_does_not_take_what_is_typed(void **state)
{
	(void)state;
	type("attach\r");
	guest.room = 3;
	type("abcdef");
	assert_int_equal(guest.taken_count, 3);
	assert_int_equal(run(), fake.now_ns + 10000000);
	guest.room = 10;
	type("");
	assert_memory_equal(guest.taken, "abcdef", 6);

	guest.room = 0;
	type("unwanted");
	const char *seen = type("\x1d");
	assert_non_null(strstr(seen, "--- 8 typed bytes were not taken by web ---\r\n"));
	assert_ends_with(seen, DRAWN_EMPTY);
}

static void test_too_much_typed_rings_and_is_told(void **state)
{
	static char text[400];

	(void)state;
	type("attach\r");
	guest.room = 0;
	memset(text, 'k', sizeof(text) - 1);
	const char *seen = type(text);
	assert_int_equal(count_of(seen, "\a"), sizeof(text) - 1 - 256);
	assert_non_null(strstr(seen, "warning: console: 143 typed bytes were lost"));
	/* The way back works all the same. */
	assert_ends_with(type("\x1d"), DRAWN_EMPTY);
}

static void test_lost_input_is_told_once_a_second(void **state)
{
	(void)state;
	wire.lost = 5;
	assert_non_null(strstr(type(""), "console: 5 typed bytes were lost"));
	wire.lost = 6;
	assert_string_equal(type(""), "");
	fake.now_ns += 1000000000;
	assert_non_null(strstr(type(""), "console: 6 typed bytes were lost"));
}

/* ---- The line ------------------------------------------------------------------ */

static void test_slow_line(void **state)
{
	size_t start = wire.seen_count;

	(void)state;
	wire.typed = "speak slowly\r";
	for (unsigned i = 0; i < 500; i++) {
		wire.room = 1;
		console_step(fake.now_ns);
	}
	assert_non_null(strstr(wire.seen + start, "you said slowly\r\n"));
	assert_ends_with(wire.seen, DRAWN_EMPTY);
}

static void test_flush(void **state)
{
	size_t start = wire.seen_count;

	(void)state;
	unsigned flushes = wire.flush_count;
	console_print("powering off\n");
	log_info("the end");
	console_flush();
	assert_int_equal(wire.flush_count, flushes + 1);
	assert_non_null(strstr(wire.seen + start, "powering off\r\n"));
	assert_non_null(strstr(wire.seen + start, "the end\r\n"));
}

/* Last: the log does not come back from a panic. */
static void test_panic_shows_what_was_queued_first(void **state)
{
	(void)state;
	wire.room = 0;
	type("attach\r");
	size_t start = wire.seen_count;
	log_info("nobody has seen this yet");
	log_enter_panic();
	log_error("panic: the reason");
	const char *seen = wire.seen + start;
	const char *first = strstr(seen, "nobody has seen this yet\r\n");
	const char *second = strstr(seen, "error: panic: the reason\r\n");
	assert_non_null(first);
	assert_non_null(second);
	assert_true(first < second);
	assert_int_equal(count_of(seen, "the reason"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test_setup(test_command, setup),
		cmocka_unit_test_setup(test_commands_typed_ahead, setup),
		cmocka_unit_test_setup(test_a_long_paste, setup),
		cmocka_unit_test_setup(test_help_and_completion, setup),
		cmocka_unit_test_setup(test_log_above_the_prompt, setup),
		cmocka_unit_test_setup(test_log_level, setup),
		cmocka_unit_test_setup(test_log_dump, setup),
		cmocka_unit_test_setup(test_log_dump_is_ended_by_ctrl_c, setup),
		cmocka_unit_test_setup(test_overwritten_log_lines_are_told, setup),
		cmocka_unit_test_setup(test_too_much_output_is_told, setup),
		cmocka_unit_test_setup(test_clear, setup),
		cmocka_unit_test_setup(test_attach, setup),
		cmocka_unit_test_setup(test_log_while_attached, setup),
		cmocka_unit_test_setup(test_guest_ends, setup),
		cmocka_unit_test_setup(test_attach_to_what_has_ended, setup),
		cmocka_unit_test_setup(test_idle_turns, setup),
		cmocka_unit_test_setup(test_guest_prints_too_fast, setup),
		cmocka_unit_test_setup(test_guest_does_not_take_what_is_typed, setup),
		cmocka_unit_test_setup(test_too_much_typed_rings_and_is_told, setup),
		cmocka_unit_test_setup(test_lost_input_is_told_once_a_second, setup),
		cmocka_unit_test_setup(test_slow_line, setup),
		cmocka_unit_test_setup(test_flush, setup),
		cmocka_unit_test_setup(test_panic_shows_what_was_queued_first, setup),
	};

	return cmocka_run_group_tests(tests, setup_once, NULL);
}
