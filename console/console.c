/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console service behind console/console.h.
 *
 * What is to be shown goes into one queue, `output`, and from there to the
 * serial driver as it has room. What comes without end (a guest's output, a dump
 * of the log) is added only while the queue is short, so that a key shows its
 * effect soon; a command's own output may fill it, and what does not fit then is
 * counted and told.
 *
 * Exactly one of these holds: the line editor is shown, a target is attached, a
 * dump goes on, or the prompt is due. Everything here belongs to the service
 * CPU, wake and a panic excepted.
 */
#include "console/console.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86_64/arch.h"
#include "base/log.h"
#include "console/command.h"
#include "console/line.h"

#define SERVICE_CPU 0

#define KEY_CTRL_C 0x03
#define KEY_LEAVE 0x1d /* Ctrl-] */

#define OUTPUT_SIZE (64 * KIB)
/* A quarter of a second at 115200 baud. */
#define OUTPUT_SHORT (2 * KIB)
/* Room for a log line with its time, or for all that one key redraws. */
#define OUTPUT_ROOM (4 * KIB)

#define TYPED_SIZE 256
#define STEP_BYTES_MAX 256
#define STEP_LINES_MAX 64

/*
 * A target's owner kicks this CPU when there is output. That a guest has room
 * for input again, or has ended, is found by looking.
 */
#define TARGET_RETRY_NS 10000000
#define TARGET_PERIOD_NS 100000000
#define LOST_REPORT_PERIOD_NS 1000000000

static struct {
	struct serial *serial;
	bool started;

	struct byte_queue output;
	uint8_t output_memory[OUTPUT_SIZE];
	uint64_t output_lost;
	bool fresh_row; /* the cursor is at the start of an empty row */

	struct line line;
	/* Typed, and not yet taken by the line editor or the target. */
	uint8_t typed[TYPED_SIZE];
	size_t typed_count;
	uint64_t typed_lost, typed_lost_report_ns;
	bool typed_waits; /* the driver has more */

	enum log_level level; /* up to this one log lines are shown */
	uint64_t log_sequence; /* of the next one to look at */

	bool dumping;
	uint64_t dump_sequence, dump_end;

	const struct console_target *target;
	uint64_t target_position;
} console;

/* ---- Output --------------------------------------------------------------- */

static size_t room(void)
{
	return byte_queue_room(&console.output);
}

static bool output_is_short(void)
{
	return byte_queue_used(&console.output) < OUTPUT_SHORT;
}

static void tell_output_lost(void)
{
	char text[80];

	if (console.output_lost > 0 && room() >= OUTPUT_ROOM) {
		int size = snprintf(text, sizeof(text),
				    "\r\n--- %llu bytes of output were dropped here ---\r\n",
				    (unsigned long long)console.output_lost);

		byte_queue_write(&console.output, text, (size_t)size);
		console.output_lost = 0;
	}
}

static void put(const void *bytes, size_t size)
{
	if (size == 0) {
		return;
	}
	tell_output_lost();
	/* A gap stays one gap: nothing more goes in before it was told. */
	size_t taken = console.output_lost ? 0 : byte_queue_write(&console.output, bytes, size);
	console.output_lost += size - taken;
	console.fresh_row = ((const char *)bytes)[size - 1] == '\n';
}

static void put_text(const char *text)
{
	while (*text) {
		size_t size = strcspn(text, "\n");

		put(text, size);
		text += size;
		if (*text == '\n') {
			put("\r\n", 2);
			text++;
		}
	}
}

static void put_for_line(void *context, const char *text, size_t size)
{
	(void)context;
	put(text, size);
}

/* Takes the line editor away, if it is there, to print in its place. */
static void hide_line(void)
{
	if (console.line.shown) {
		line_hide(&console.line);
		console.fresh_row = true;
	}
}

static void begin_row(void)
{
	hide_line();
	if (!console.fresh_row) {
		put("\r\n", 2);
	}
}

/* Moves what the driver takes now. */
static void pump(void)
{
	uint8_t bytes[STEP_BYTES_MAX];
	size_t size;

	do {
		size = byte_queue_read(&console.output, bytes,
				       MIN(sizeof(bytes), serial_room(console.serial)));
		serial_write(console.serial, bytes, size);
	} while (size > 0);
}

/* Moves everything, and waits for it. */
static void pump_polled(void)
{
	uint8_t bytes[STEP_BYTES_MAX];
	size_t size;

	while ((size = byte_queue_read(&console.output, bytes, sizeof(bytes))) > 0) {
		serial_write_polled(console.serial, bytes, size);
	}
}

void console_print(const char *format, ...)
{
	static const char cut[] = "...\n";
	char text[1024];
	va_list args;

	va_start(args, format);
	int length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length >= (int)sizeof(text)) {
		memcpy(text + sizeof(text) - sizeof(cut), cut, sizeof(cut));
	}

	if (console.target) {
		begin_row();
	}
	hide_line();
	put_text(text);
	if (!console.started) {
		pump_polled();
	}
}

bool console_keeps_up(void)
{
	return output_is_short();
}

/* ---- The log -------------------------------------------------------------- */

static void print_log_line(const struct log_line *line)
{
	static const char *const marks[] = {
		[LOG_ERROR] = "error: ",
		[LOG_WARN] = "warning: ",
		[LOG_INFO] = "",
		[LOG_DEBUG] = "debug: ",
	};
	unsigned long long us = line->time_ns / 1000;
	char time[32];

	snprintf(time, sizeof(time), "[%5llu.%06llu] ", us / 1000000, us % 1000000);
	begin_row();
	put_text(time);
	put_text(marks[line->level]);
	put_text(line->text);
	put_text("\n");
}

/* The next line at or behind *sequence; tells how many had been overwritten. */
static bool next_log_line(uint64_t *sequence, struct log_line *line)
{
	uint64_t wanted = *sequence;
	char text[80];

	if (!log_read(sequence, line)) {
		return false;
	}
	if (line->sequence > wanted) {
		snprintf(text, sizeof(text), "--- %llu log lines were overwritten unread ---\n",
			 (unsigned long long)(line->sequence - wanted));
		begin_row();
		put_text(text);
	}
	return true;
}

/* However much there is: the queue keeps room for the prompt and what is typed. */
static void show_log(void)
{
	struct log_line line;

	for (unsigned i = 0; i < STEP_LINES_MAX && output_is_short(); i++) {
		if (!next_log_line(&console.log_sequence, &line)) {
			return;
		}
		if (line.level <= console.level) {
			print_log_line(&line);
		}
	}
}

/* Before the console runs, and in a panic: all that there is, at once. */
static void show_log_polled(const struct log_line *line)
{
	(void)line;
	do {
		pump_polled();
		show_log();
	} while (byte_queue_used(&console.output) > 0);
}

static void dump_log(void)
{
	struct log_line line;

	while (output_is_short()) {
		if (console.dump_sequence >= console.dump_end ||
		    !next_log_line(&console.dump_sequence, &line)) {
			console.dumping = false;
			return;
		}
		print_log_line(&line);
	}
}

/* By the CPU that wrote to the log, whichever it is. */
static void wake(void)
{
	cpu_kick(SERVICE_CPU);
}

/* ---- The attached guest --------------------------------------------------- */

static void leave_target(const char *how)
{
	const char *name = console.target->name;

	begin_row();
	/* A guest's colours end with its console. The row stays empty. */
	put_text("\x1b[0m");
	console.fresh_row = true;
	if (console.typed_count > 0) {
		console_print("--- %u typed bytes were not taken by %s ---\n",
			      (unsigned)console.typed_count, name);
		console.typed_count = 0;
	}
	console_print("--- %s %s ---\n", name, how);
	console.target = NULL;
}

/* Returns false when there was nothing. */
static bool show_target_output(void)
{
	uint64_t lost;
	char bytes[STEP_BYTES_MAX];
	size_t count = output_ring_read(console.target->output, &console.target_position, bytes,
					sizeof(bytes), &lost);

	if (lost > 0) {
		console_print("--- %llu bytes of %s were overwritten unread ---\n",
			      (unsigned long long)lost, console.target->name);
	}
	put(bytes, count);
	return count > 0;
}

static void follow_target(void)
{
	/* Asked first: what the guest printed before its end is then in the ring. */
	bool alive = console.target->alive(console.target->context);

	while (output_is_short()) {
		if (!show_target_output()) {
			if (!alive) {
				leave_target("has ended");
			}
			return;
		}
	}
}

static void drop_typed(size_t count)
{
	console.typed_count -= count;
	memmove(console.typed, console.typed + count, console.typed_count);
}

static void type_to_target(void)
{
	if (console.typed_count > 0) {
		drop_typed(console.target->input(console.target->context, console.typed,
						 console.typed_count));
	}
}

void console_attach(const struct console_target *target)
{
	if (console.target) {
		leave_target("is left for another guest");
	}
	console_print("--- console of %s; Ctrl-] returns ---\n", target->name);
	console.target = target;
	console.target_position = output_ring_start(target->output);
}

/* ---- Input ---------------------------------------------------------------- */

/*
 * Takes what was typed. Ctrl-] and Ctrl-C work at once, also when nobody takes
 * the bytes before them.
 */
static void take_input(void)
{
	for (unsigned i = 0; i < STEP_BYTES_MAX; i++) {
		uint8_t byte;
		bool full = console.typed_count == sizeof(console.typed);

		/* The line editor will come to it: the driver keeps the rest so long. */
		if (full && !console.target && !console.dumping) {
			break;
		}
		if (serial_read(console.serial, &byte, 1) == 0) {
			console.typed_waits = false;
			return;
		}
		if (console.target && byte == KEY_LEAVE) {
			type_to_target();
			leave_target("goes on without the console");
		} else if (console.dumping && byte == KEY_CTRL_C) {
			console.dumping = false;
		} else if (full) {
			console.typed_lost++;
			put("\a", 1);
		} else {
			console.typed[console.typed_count++] = byte;
		}
	}
	console.typed_waits = true;
}

static void tell_input_lost(uint64_t now_ns)
{
	console.typed_lost += serial_take_lost(console.serial);
	if (console.typed_lost > 0 && now_ns >= console.typed_lost_report_ns) {
		log_warn(
			"console: %llu typed bytes were lost: they came faster than they were taken",
			(unsigned long long)console.typed_lost);
		console.typed_lost = 0;
		console.typed_lost_report_ns = now_ns + LOST_REPORT_PERIOD_NS;
	}
}

/* Up to the end of one command: the log is shown before the next prompt. */
static void edit(void)
{
	while (console.line.shown && console.typed_count > 0 && room() >= OUTPUT_ROOM) {
		uint8_t byte = console.typed[0];

		drop_typed(1);
		if (line_feed(&console.line, byte)) {
			(void)command_run(console.line.text);
			line_clear(&console.line);
		}
	}
}

/* ---- The service ---------------------------------------------------------- */

static bool prompt_is_due(void)
{
	return !console.line.shown && !console.target && !console.dumping;
}

/* Something can be done without waiting for the line, a key or a guest. */
static bool more_to_do(void)
{
	bool takes_input = console.target || console.dumping || console.typed_count < TYPED_SIZE;

	if (console.typed_waits && takes_input) {
		return true;
	}
	if (console.dumping) {
		return output_is_short();
	}
	if (console.log_sequence < log_next() && output_is_short()) {
		return true;
	}
	return room() >= OUTPUT_ROOM &&
	       (prompt_is_due() || (console.line.shown && console.typed_count > 0));
}

/*
 * Most turns of the service CPU: the line editor waits for a key that did not
 * come, and nothing is to be shown or sent. The next of these comes by interrupt.
 */
static bool nothing_to_do(void)
{
	const struct serial *serial = console.serial;

	return console.line.shown && serial->interrupts && byte_queue_used(&serial->rx) == 0 &&
	       byte_queue_used(&serial->tx) == 0 && serial->rx_lost == 0 &&
	       byte_queue_used(&console.output) == 0 && console.output_lost == 0 &&
	       console.typed_count == 0 && console.typed_lost == 0 &&
	       console.log_sequence == log_next();
}

uint64_t console_step(uint64_t now_ns)
{
	if (nothing_to_do()) {
		return TIME_NEVER;
	}
	uint64_t deadline_ns = serial_step(console.serial, now_ns);

	tell_output_lost();
	take_input();
	tell_input_lost(now_ns);
	if (console.dumping) {
		dump_log();
	} else {
		show_log();
	}
	if (console.target) {
		type_to_target();
		follow_target();
		uint64_t period_ns = console.typed_count > 0 ? TARGET_RETRY_NS : TARGET_PERIOD_NS;
		deadline_ns = MIN(deadline_ns, now_ns + period_ns);
	}
	if (prompt_is_due() && room() >= OUTPUT_ROOM) {
		begin_row();
		line_show(&console.line);
	}
	edit();
	pump();
	return more_to_do() ? now_ns : deadline_ns;
}

void console_flush(void)
{
	show_log_polled(NULL);
	serial_flush(console.serial);
}

/* ---- Commands of the console itself ---------------------------------------- */

static const char *complete_level(int argument, unsigned index)
{
	(void)argument;
	return index <= LOG_DEBUG ? log_level_name((enum log_level)index) : NULL;
}

static int run_log(int argc, char **argv)
{
	if (argc == 1) {
		console.dumping = true;
		console.dump_sequence = 0;
		console.dump_end = log_next();
		return 0;
	}
	for (unsigned i = 0; i <= LOG_DEBUG; i++) {
		if (strcmp(argv[1], log_level_name((enum log_level)i)) == 0) {
			console.level = (enum log_level)i;
			console_print("the console shows log lines up to %s\n", argv[1]);
			return 0;
		}
	}
	console_print("unknown level \"%s\"; there are error, warn, info and debug\n", argv[1]);
	return -EINVAL;
}

static int run_clear(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	put_text("\x1b[H\x1b[2J");
	console.fresh_row = true;
	return 0;
}

static const struct command commands[] = {
	{.name = "log",
	 .usage = "[LEVEL]",
	 .help = "Prints the log; with error, warn, info or debug: sets what is shown at once.",
	 .args_max = 1,
	 .run = run_log,
	 .complete = complete_level},
	{.name = "clear", .usage = "", .help = "Clears the screen.", .run = run_clear},
};

/* ---- Start ---------------------------------------------------------------- */

static const char *complete(void *context, const char *text, unsigned word, unsigned index)
{
	(void)context;
	return command_complete(text, word, index);
}

void console_init(struct serial *serial)
{
	static const struct line_host host = {.write = put_for_line, .complete = complete};

	console.serial = serial;
	console.started = false;
	console.fresh_row = true;
	console.level = LOG_INFO;
	byte_queue_init(&console.output, console.output_memory, sizeof(console.output_memory));
	line_init(&console.line, "dyad> ", &host);
	command_add(command_help_table, ARRAY_SIZE(command_help_table));
	command_add(commands, ARRAY_SIZE(commands));
	log_set_immediate(show_log_polled);
}

void console_add(const struct command *table, size_t count)
{
	command_add(table, count);
}

void console_start(const struct console_host *host)
{
	unsigned cpus = cpu_count();

	/* First: until then another CPU that logs prints by itself. */
	log_set_listener(wake);
	console.started = true;
	console_print("Dyad %s, host %s: %u CPU%s, %llu MiB, %s\nType `help` for the commands.\n",
		      host->version, host->name, cpus, cpus == 1 ? "" : "s",
		      (unsigned long long)(host->memory / MIB),
		      virt_available() ? "guests can run" : "state no-virt");
	if (console.serial->present && serial_enable_interrupts(console.serial) != 0) {
		log_warn("console: the UART's interrupt cannot be had; it is polled");
	}
}
