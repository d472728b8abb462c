/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line editor at a terminal: a small VT100 of 80 columns draws what the
 * editor sends, and what stands in its row is compared with the editor's text.
 * A terminal that would have to wrap fails the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/line.h"

#define PROMPT "dyad> "
#define ROWS 100

#define UP "\x1b[A"
#define DOWN "\x1b[B"
#define RIGHT "\x1b[C"
#define LEFT "\x1b[D"

static struct {
	char rows[ROWS][LINE_WIDTH + 1];
	unsigned row, column;
	unsigned bells, bytes;
	char escape[16];
	unsigned escape_length;
} terminal;

static struct line line;
static const char *const *words; /* for the first word */
static const char *const *arguments; /* for all others */

static void terminal_clear_row_from(unsigned column)
{
	memset(terminal.rows[terminal.row] + column, ' ', LINE_WIDTH - column);
}

static void terminal_escape(char final)
{
	int number = atoi(terminal.escape + 1);

	terminal.escape_length = 0;
	switch (final) {
	case 'K':
		terminal_clear_row_from(terminal.column);
		break;
	case 'C':
		terminal.column += number ? (unsigned)number : 1;
		assert_true(terminal.column < LINE_WIDTH);
		break;
	case 'H':
		terminal.row = 0;
		terminal.column = 0;
		break;
	case 'J':
		assert_int_equal(number, 2);
		for (unsigned i = 0; i < ROWS; i++) {
			memset(terminal.rows[i], ' ', LINE_WIDTH);
		}
		break;
	default:
		fail_msg("sequence ending in %c", final);
	}
}

static void terminal_byte(char byte)
{
	terminal.bytes++;
	if (byte == '\x1b') {
		terminal.escape_length = 1;
	} else if (terminal.escape_length > 1 && byte >= '@') {
		terminal.escape[terminal.escape_length - 1] = '\0';
		terminal_escape(byte);
	} else if (terminal.escape_length > 0) {
		assert_true(terminal.escape_length < sizeof(terminal.escape));
		terminal.escape[terminal.escape_length++ - 1] = byte;
	} else if (byte == '\r') {
		terminal.column = 0;
	} else if (byte == '\n') {
		if (++terminal.row == ROWS) {
			terminal.row--;
			memmove(terminal.rows[0], terminal.rows[1],
				sizeof(terminal.rows) - sizeof(terminal.rows[0]));
			memset(terminal.rows[ROWS - 1], ' ', LINE_WIDTH);
		}
	} else if (byte == '\a') {
		terminal.bells++;
	} else {
		assert_true(byte >= ' ' && byte <= '~');
		assert_true(terminal.column < LINE_WIDTH - 1);
		terminal.rows[terminal.row][terminal.column++] = byte;
	}
}

static void terminal_write(void *context, const char *text, size_t size)
{
	(void)context;
	for (size_t i = 0; i < size; i++) {
		terminal_byte(text[i]);
	}
}

static const char *complete(void *context, const char *text, unsigned word, unsigned index)
{
	const char *const *list = word == 0 ? words : arguments;

	(void)context;
	(void)text;
	for (unsigned i = 0; list && list[i]; i++) {
		if (i == index) {
			return list[i];
		}
	}
	return NULL;
}

static void terminal_reset(void)
{
	memset(&terminal, 0, sizeof(terminal));
	for (unsigned i = 0; i < ROWS; i++) {
		memset(terminal.rows[i], ' ', LINE_WIDTH);
	}
}

static int setup(void **state)
{
	const struct line_host host = {.write = terminal_write, .complete = complete};

	(void)state;
	terminal_reset();
	words = NULL;
	arguments = NULL;
	line_init(&line, PROMPT, &host);
	line_show(&line);
	return 0;
}

/* The terminal shows prompt, the part of the text in view, and the cursor there. */
static void check_picture(void)
{
	char expected[LINE_WIDTH + 1];
	size_t column = strlen(PROMPT) + line.cursor - line.offset;

	assert_int_equal(line.length, strlen(line.text));
	assert_true(line.offset <= line.cursor && line.cursor <= line.length);
	snprintf(expected, sizeof(expected), "%-80.79s", "");
	memcpy(expected, PROMPT, strlen(PROMPT));
	memcpy(expected + strlen(PROMPT), line.text + line.offset,
	       MIN(LINE_WIDTH - 1 - strlen(PROMPT), line.length - line.offset));
	assert_string_equal(terminal.rows[terminal.row], expected);
	assert_int_equal(terminal.column, column);
}

/* Types keys that do not end the line. */
static void type(const char *keys)
{
	for (; *keys; keys++) {
		assert_false(line_feed(&line, (uint8_t)*keys));
	}
	if (line.escape == LINE_GROUND) {
		check_picture();
	}
}

static void enter(const char *text)
{
	type(text);
	assert_true(line_feed(&line, '\r'));
	assert_false(line.shown);
	assert_int_equal(terminal.column, 0);
	line_clear(&line);
	line_show(&line);
}

static void expect_text(const char *text, size_t cursor)
{
	assert_string_equal(line.text, text);
	assert_int_equal(line.cursor, cursor);
}

static void test_typing(void **state)
{
	(void)state;
	unsigned before = terminal.bytes;
	type("guests");
	expect_text("guests", 6);
	/* A key at the end costs one byte. */
	assert_int_equal(terminal.bytes - before, 6);
	assert_true(line_feed(&line, '\r'));
	assert_string_equal(line.text, "guests");
	assert_int_equal(terminal.row, 1);
	line_clear(&line);
	expect_text("", 0);
}

static void test_line_ends(void **state)
{
	(void)state;
	assert_true(line_feed(&line, '\r'));
	assert_false(line_feed(&line, '\n'));
	assert_true(line_feed(&line, '\n'));
	assert_true(line_feed(&line, '\n'));
	assert_true(line_feed(&line, '\r'));
	assert_false(line_feed(&line, '\0'));
	assert_true(line_feed(&line, '\r'));
	assert_true(line_feed(&line, '\r'));
}

static void test_editing_in_the_middle(void **state)
{
	(void)state;
	type("strt" LEFT LEFT "a");
	expect_text("start", 3);
	type(RIGHT RIGHT RIGHT);
	assert_int_equal(terminal.bells, 1);
	type("s\b");
	expect_text("start", 5);
	type("\x01x\x7f"
	     "re");
	expect_text("restart", 2);
	type("\x1b[3~\x04");
	expect_text("reart", 2);
	type("\x05!");
	expect_text("reart!", 6);
	type("\x02\x06\x02\x0b");
	expect_text("reart", 5);
}

static void test_erasing_words_and_ends(void **state)
{
	(void)state;
	type("one two  three  \x17");
	expect_text("one two  ", 9);
	type("\x17");
	expect_text("one ", 4);
	type("two" LEFT "\x15");
	expect_text("o", 0);
	type("\x15");
	assert_int_equal(terminal.bells, 1);
	type("ab\x0b");
	expect_text("ab", 2);
}

static void test_home_and_end_of_every_terminal(void **state)
{
	static const char *const homes[] = {"\x1b[H", "\x1b[1~", "\x1b[7~", "\x1bOH", "\x01"};
	static const char *const ends[] = {"\x1b[F", "\x1b[4~", "\x1b[8~", "\x1bOF", "\x05"};

	(void)state;
	type("text");
	for (unsigned i = 0; i < ARRAY_SIZE(homes); i++) {
		type(homes[i]);
		expect_text("text", 0);
		type(ends[i]);
		expect_text("text", 4);
	}
	type("\x1bOD");
	expect_text("text", 3);
	type("\x1b[1;5D");
	expect_text("text", 2);
}

static void test_unknown_sequences_do_nothing(void **state)
{
	static const char *const sequences[] = {
		"\x1b[15~",	  "\x1b[[A", "\x1bOP", "\x1b[200~",    "\x1b[?1;2c",
		"\x1b[<35;10;5M", "\x1b[Z",  "\x1bx",  "\x1b\x1b[15~",
	};

	(void)state;
	type("text");
	for (unsigned i = 0; i < ARRAY_SIZE(sequences); i++) {
		type(sequences[i]);
		assert_int_equal(line.escape, LINE_GROUND);
		expect_text("text", 4);
	}
	/* One that never ends is given up. */
	type("\x1b[11111111111111111111111111");
	assert_int_equal(line.escape, LINE_GROUND);
	assert_true(line.length > 4);
}

static void test_enter_after_a_lone_escape(void **state)
{
	(void)state;
	type("info\x1b");
	assert_true(line_feed(&line, '\r'));
	assert_string_equal(line.text, "info");
}

static void test_ctrl_c_starts_anew(void **state)
{
	(void)state;
	type("something\x03");
	expect_text("", 0);
	assert_int_equal(terminal.row, 1);
	assert_non_null(strstr(terminal.rows[0], "something"));
	type(UP);
	expect_text("", 0);
}

static void test_ctrl_l_clears_the_screen(void **state)
{
	(void)state;
	enter("one");
	type("two\x0c");
	assert_int_equal(terminal.row, 0);
	expect_text("two", 3);
}

static void test_garbage_rings(void **state)
{
	(void)state;
	type("a\x80\xff\x1c"
	     "b");
	expect_text("ab", 2);
	assert_int_equal(terminal.bells, 3);
	assert_false(line_feed(&line, '\0'));
	expect_text("ab", 2);
}

static void test_longest_line(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LINE_SIZE - 1; i++) {
		type("x");
	}
	assert_int_equal(terminal.bells, 0);
	type("yy");
	assert_int_equal(terminal.bells, 2);
	assert_int_equal(line.length, LINE_SIZE - 1);
	type("\x01");
	assert_int_equal(line.offset, 0);
	type("\x05\b");
	assert_int_equal(line.length, LINE_SIZE - 2);
}

/* At 115200 baud both ways, an echo of many bytes a key would lose what is pasted. */
static void test_pasting_is_cheap(void **state)
{
	(void)state;
	unsigned before = terminal.bytes;
	for (unsigned i = 0; i < 2000; i++) {
		assert_false(line_feed(&line, 'x'));
	}
	assert_true(terminal.bytes - before < 2 * 2000);
}

static void test_hide_and_show(void **state)
{
	(void)state;
	type("some text" LEFT LEFT);
	line_hide(&line);
	assert_false(line.shown);
	assert_int_equal(terminal.column, 0);
	terminal_write(NULL, "a message\r\n", 11);
	line_show(&line);
	check_picture();
	expect_text("some text", 7);
}

static void test_history(void **state)
{
	(void)state;
	type(UP);
	assert_int_equal(terminal.bells, 1);
	enter("one");
	enter("two");
	enter("two");
	enter("");
	enter("three");
	type("dra" UP);
	expect_text("three", 5);
	type(UP UP);
	expect_text("one", 3);
	type(UP);
	expect_text("one", 3);
	type("!" DOWN DOWN);
	expect_text("three", 5);
	type(DOWN);
	expect_text("dra", 3);
	type(DOWN);
	expect_text("dra", 3);
	type("\x10\x10\x0e");
	expect_text("three", 5);
}

static void test_history_is_bounded(void **state)
{
	char text[8];

	(void)state;
	for (unsigned i = 0; i < LINE_HISTORY_COUNT + 10; i++) {
		snprintf(text, sizeof(text), "%u", i);
		enter(text);
	}
	for (unsigned i = 0; i < LINE_HISTORY_COUNT + 10; i++) {
		type(UP);
	}
	expect_text("10", 2);
	assert_int_equal(terminal.bells, 10);
}

static void test_completion(void **state)
{
	static const char *const commands[] = {"guests", "reboot", "reset", "resume", NULL};
	static const char *const names[] = {"web", "web2", NULL};

	(void)state;
	words = commands;
	arguments = names;
	type("g\t");
	expect_text("guests ", 7);
	type("\x15r\t");
	expect_text("re", 2);
	assert_int_equal(terminal.row, 0);
	type("\t");
	assert_memory_equal(terminal.rows[1], "reboot  reset  resume ", 22);
	assert_int_equal(terminal.row, 2);
	expect_text("re", 2);
	type("su\t");
	expect_text("resume ", 7);
	type("\t");
	expect_text("resume web", 10);
	type("2\t");
	expect_text("resume web2 ", 12);
	type("q\t");
	assert_int_equal(terminal.bells, 1);
}

static void test_completion_in_the_middle(void **state)
{
	static const char *const commands[] = {"guests", "start", NULL};

	(void)state;
	words = commands;
	type("st web" LEFT LEFT LEFT LEFT "\t");
	expect_text("start web", 5);
	type("\t");
	expect_text("start web", 5);
}

static void test_completion_without_candidates(void **state)
{
	(void)state;
	type("abc\t");
	expect_text("abc", 3);
	assert_int_equal(terminal.bells, 1);
}

/* A completion that never ends is our own bug, but no reason to hang. */
static const char *complete_for_ever(void *context, const char *text, unsigned word, unsigned index)
{
	(void)context;
	(void)text;
	(void)word;
	(void)index;
	return "again";
}

static void test_completion_is_bounded(void **state)
{
	(void)state;
	line.host.complete = complete_for_ever;
	type("a\t");
	expect_text("again", 5);
}

/* Random keys: the picture is right after each, and the text never breaks its bounds. */
static void test_random_keys(void **state)
{
	static const char *const commands[] = {"guests", "reboot", "reset", "resume", NULL};
	static const char *const keys[] = {
		UP,	DOWN,	LEFT,	RIGHT,	LEFT LEFT LEFT, "\x01", "\x05", "\b",	 "\x04",
		"\x0b", "\x15", "\x17", "\x03", "\x0c",		"\t",	"\xfe", "\x1b[", "\x1b",
	};

	(void)state;
	words = commands;
	arguments = commands;
	srand(7);
	for (unsigned i = 0; i < 60000; i++) {
		int choice = rand() % 100;
		char text[2] = {(char)(' ' + rand() % 95), '\0'};

		if (choice == 0) {
			assert_false(line_feed(&line, 0));
			if (line_feed(&line, '\r')) {
				line_clear(&line);
				line_show(&line);
			}
		} else if (choice < 20) {
			type(keys[(unsigned)rand() % ARRAY_SIZE(keys)]);
		} else {
			type(choice < 30 ? " " : text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_typing, setup),
		cmocka_unit_test_setup(test_line_ends, setup),
		cmocka_unit_test_setup(test_editing_in_the_middle, setup),
		cmocka_unit_test_setup(test_erasing_words_and_ends, setup),
		cmocka_unit_test_setup(test_home_and_end_of_every_terminal, setup),
		cmocka_unit_test_setup(test_unknown_sequences_do_nothing, setup),
		cmocka_unit_test_setup(test_enter_after_a_lone_escape, setup),
		cmocka_unit_test_setup(test_ctrl_c_starts_anew, setup),
		cmocka_unit_test_setup(test_ctrl_l_clears_the_screen, setup),
		cmocka_unit_test_setup(test_garbage_rings, setup),
		cmocka_unit_test_setup(test_longest_line, setup),
		cmocka_unit_test_setup(test_pasting_is_cheap, setup),
		cmocka_unit_test_setup(test_hide_and_show, setup),
		cmocka_unit_test_setup(test_history, setup),
		cmocka_unit_test_setup(test_history_is_bounded, setup),
		cmocka_unit_test_setup(test_completion, setup),
		cmocka_unit_test_setup(test_completion_in_the_middle, setup),
		cmocka_unit_test_setup(test_completion_without_candidates, setup),
		cmocka_unit_test_setup(test_completion_is_bounded, setup),
		cmocka_unit_test_setup(test_random_keys, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
