/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line editor behind console/line.h.
 *
 * Rules: 0 <= offset <= cursor <= length < LINE_SIZE, text[length] is zero, and
 * the cursor is in view. Every change of the text goes through insert and
 * erase; every change of the picture is a redraw, typing at the end excepted,
 * which costs one byte a key.
 */
#include "console/line.h"

#include <stdio.h>
#include <string.h>

#define CTRL(letter) ((letter)&0x1f)
#define ESC 0x1b
#define DEL 0x7f
#define BELL "\a"
#define CLEAR_TO_END "\x1b[K"
#define CLEAR_SCREEN "\x1b[H\x1b[2J"

/* More parameter bytes than any key sends: noise, and the end of patience. */
#define ESCAPE_LENGTH_MAX 16

#define CANDIDATE_MAX 256

static void write_text(struct line *line, const char *text)
{
	line->host.write(line->host.context, text, strlen(text));
}

static void bell(struct line *line)
{
	write_text(line, BELL);
}

/* ---- The picture -------------------------------------------------------- */

/* The last column stays empty: there terminals differ about wrapping. */
static size_t view_width(const struct line *line)
{
	return LINE_WIDTH - 1 - strlen(line->prompt);
}

/* Scrolls by half a view, so that typing on redraws only now and then. */
static void scroll_to_cursor(struct line *line)
{
	size_t width = view_width(line);

	if (line->cursor < line->offset || line->cursor > line->offset + width) {
		line->offset = line->cursor - MIN(line->cursor, width / 2);
	}
}

static void draw(struct line *line)
{
	char move[16];

	scroll_to_cursor(line);
	write_text(line, "\r");
	write_text(line, line->prompt);
	line->host.write(line->host.context, line->text + line->offset,
			 MIN(view_width(line), line->length - line->offset));
	write_text(line, CLEAR_TO_END "\r");
	snprintf(move, sizeof(move), "\x1b[%uC",
		 (unsigned)(strlen(line->prompt) + line->cursor - line->offset));
	write_text(line, move);
}

void line_show(struct line *line)
{
	line->shown = true;
	draw(line);
}

void line_hide(struct line *line)
{
	line->shown = false;
	write_text(line, "\r" CLEAR_TO_END);
}

/* ---- The text ----------------------------------------------------------- */

static void move_to(struct line *line, size_t cursor)
{
	if (line->cursor == cursor) {
		bell(line);
		return;
	}
	line->cursor = cursor;
	draw(line);
}

static void insert(struct line *line, const char *text, size_t size)
{
	bool at_end = line->cursor == line->length;

	if (line->length + size >= LINE_SIZE) {
		bell(line);
		return;
	}
	memmove(line->text + line->cursor + size, line->text + line->cursor,
		line->length - line->cursor + 1);
	memcpy(line->text + line->cursor, text, size);
	line->length += size;
	line->cursor += size;
	if (at_end && line->cursor <= line->offset + view_width(line)) {
		line->host.write(line->host.context, text, size);
	} else {
		draw(line);
	}
}

static void erase(struct line *line, size_t from, size_t to)
{
	if (from == to) {
		bell(line);
		return;
	}
	memmove(line->text + from, line->text + to, line->length - to + 1);
	line->length -= to - from;
	line->cursor = from;
	draw(line);
}

static void replace(struct line *line, const char *text)
{
	line->length = strlen(text);
	memcpy(line->text, text, line->length + 1);
	line->cursor = line->length;
	line->offset = 0;
	draw(line);
}

static size_t word_start(const struct line *line)
{
	size_t start = line->cursor;

	while (start > 0 && line->text[start - 1] == ' ') {
		start--;
	}
	while (start > 0 && line->text[start - 1] != ' ') {
		start--;
	}
	return start;
}

void line_clear(struct line *line)
{
	line->length = 0;
	line->cursor = 0;
	line->offset = 0;
	line->text[0] = '\0';
	line->history_back = 0;
}

/* ---- History ------------------------------------------------------------ */

/* The line kept `back` lines ago, 1 being the last one. */
static char *history_at(struct line *line, unsigned back)
{
	return line->history[(line->history_count - back) % LINE_HISTORY_COUNT];
}

static void history_keep(struct line *line)
{
	bool repeated = line->history_count > 0 && strcmp(history_at(line, 1), line->text) == 0;

	if (line->length > 0 && !repeated) {
		line->history_count++;
		memcpy(history_at(line, 1), line->text, line->length + 1);
	}
}

static void history_go(struct line *line, unsigned back)
{
	if (back > MIN(line->history_count, LINE_HISTORY_COUNT)) {
		bell(line);
		return;
	}
	if (line->history_back == 0) {
		memcpy(line->typed, line->text, line->length + 1);
	}
	line->history_back = back;
	replace(line, back == 0 ? line->typed : history_at(line, back));
}

static void history_older(struct line *line)
{
	history_go(line, line->history_back + 1);
}

static void history_newer(struct line *line)
{
	if (line->history_back == 0) {
		bell(line);
		return;
	}
	history_go(line, line->history_back - 1);
}

/* ---- Completion --------------------------------------------------------- */

/* The word under the cursor, as far as it is typed, and its place in the line. */
struct completion {
	const char *prefix;
	size_t prefix_length;
	unsigned word;
};

static struct completion completion_at_cursor(const struct line *line)
{
	struct completion completion = {0};
	size_t start = line->cursor;

	while (start > 0 && line->text[start - 1] != ' ') {
		start--;
	}
	for (size_t i = 0; i < start; i++) {
		bool word_ends = line->text[i] != ' ' && line->text[i + 1] == ' ';

		completion.word += word_ends;
	}
	completion.prefix = line->text + start;
	completion.prefix_length = line->cursor - start;
	return completion;
}

/* The next candidate from *index on that begins as the word does, NULL after the last. */
static const char *next_candidate(struct line *line, const struct completion *completion,
				  unsigned *index)
{
	while (*index < CANDIDATE_MAX) {
		const char *word = line->host.complete(line->host.context, line->text,
						       completion->word, (*index)++);

		if (!word) {
			break;
		}
		if (strncmp(word, completion->prefix, completion->prefix_length) == 0) {
			return word;
		}
	}
	return NULL;
}

static size_t common_length(const char *a, const char *b, size_t limit)
{
	size_t length = 0;

	while (length < limit && a[length] && a[length] == b[length]) {
		length++;
	}
	return length;
}

static void list_candidates(struct line *line, const struct completion *completion)
{
	unsigned index = 0;
	size_t column = 0;
	const char *word;

	write_text(line, "\r\n");
	while ((word = next_candidate(line, completion, &index))) {
		if (column > 0 && column + 2 + strlen(word) >= LINE_WIDTH) {
			write_text(line, "\r\n");
			column = 0;
		}
		write_text(line, column > 0 ? "  " : "");
		write_text(line, word);
		column += strlen(word) + 2;
	}
	write_text(line, "\r\n");
	draw(line);
}

/* Adds what all candidates agree on; lists them when that is nothing. */
static void complete(struct line *line)
{
	struct completion completion = completion_at_cursor(line);
	unsigned index = 0, count = 0;
	const char *first = NULL, *word;
	size_t common = 0;

	while (line->host.complete && (word = next_candidate(line, &completion, &index))) {
		common = count == 0 ? strlen(word) : common_length(first, word, common);
		first = count == 0 ? word : first;
		count++;
	}
	if (count == 0) {
		bell(line);
		return;
	}
	if (common > completion.prefix_length) {
		insert(line, first + completion.prefix_length, common - completion.prefix_length);
	} else if (count > 1) {
		list_candidates(line, &completion);
	}
	if (count == 1 && line->text[line->cursor] != ' ') {
		insert(line, " ", 1);
	}
}

/* ---- Keys --------------------------------------------------------------- */

static void go_left(struct line *line)
{
	move_to(line, line->cursor - (line->cursor > 0));
}

static void go_right(struct line *line)
{
	move_to(line, line->cursor + (line->cursor < line->length));
}

static void delete_here(struct line *line)
{
	erase(line, line->cursor, line->cursor + (line->cursor < line->length));
}

static void delete_before(struct line *line)
{
	size_t cursor = line->cursor;

	erase(line, cursor - (cursor > 0), cursor);
}

static void abandon(struct line *line)
{
	write_text(line, "\r\n");
	line_clear(line);
	draw(line);
}

static void redraw_screen(struct line *line)
{
	write_text(line, CLEAR_SCREEN);
	draw(line);
}

static void control_key(struct line *line, uint8_t byte)
{
	switch (byte) {
	case CTRL('a'):
		move_to(line, 0);
		break;
	case CTRL('b'):
		go_left(line);
		break;
	case CTRL('c'):
		abandon(line);
		break;
	case CTRL('d'):
		delete_here(line);
		break;
	case CTRL('e'):
		move_to(line, line->length);
		break;
	case CTRL('f'):
		go_right(line);
		break;
	case '\b':
	case DEL:
		delete_before(line);
		break;
	case '\t':
		complete(line);
		break;
	case CTRL('k'):
		erase(line, line->cursor, line->length);
		break;
	case CTRL('l'):
		redraw_screen(line);
		break;
	case CTRL('n'):
		history_newer(line);
		break;
	case CTRL('p'):
		history_older(line);
		break;
	case CTRL('u'):
		erase(line, 0, line->cursor);
		break;
	case CTRL('w'):
		erase(line, word_start(line), line->cursor);
		break;
	default:
		bell(line);
	}
}

/* Sequences of VT100, xterm, rxvt and the Linux console; what is unknown does nothing. */
static void escape_key(struct line *line, uint8_t final, unsigned number)
{
	if (final == '~') {
		final = number == 1 || number == 7 ? 'H' : number == 4 || number == 8 ? 'F' : final;
	}
	switch (final) {
	case 'A':
		history_older(line);
		break;
	case 'B':
		history_newer(line);
		break;
	case 'C':
		go_right(line);
		break;
	case 'D':
		go_left(line);
		break;
	case 'F':
		move_to(line, line->length);
		break;
	case 'H':
		move_to(line, 0);
		break;
	case '~':
		if (number == 3) {
			delete_here(line);
		}
		break;
	default:
		break;
	}
}

static void escape_csi(struct line *line, uint8_t byte)
{
	if (byte >= '@' && !(byte == '[' && line->escape_length == 0)) {
		line->escape = LINE_GROUND;
		escape_key(line, byte, line->escape_number);
		return;
	}
	if (byte == '[') {
		/* F1 to F5 of the Linux console: ESC [ [ and a letter. */
		line->escape = LINE_SKIP_ONE;
	} else if (byte == ';') {
		/* Behind the first number come modifiers, which change nothing here. */
		line->escape_modified = true;
	} else if (byte >= '0' && byte <= '9' && !line->escape_modified) {
		line->escape_number = line->escape_number * 10 + byte - '0';
	}
	if (++line->escape_length > ESCAPE_LENGTH_MAX) {
		line->escape = LINE_GROUND;
	}
}

static void escape_byte(struct line *line, uint8_t byte)
{
	switch (line->escape) {
	case LINE_ESC:
		line->escape = byte == '[' ? LINE_CSI : byte == 'O' ? LINE_SS3 : LINE_GROUND;
		line->escape_number = 0;
		line->escape_length = 0;
		line->escape_modified = false;
		break;
	case LINE_CSI:
		escape_csi(line, byte);
		break;
	case LINE_SS3:
		line->escape = LINE_GROUND;
		escape_key(line, byte, 0);
		break;
	case LINE_SKIP_ONE:
	case LINE_GROUND:
		line->escape = LINE_GROUND;
		break;
	}
}

static bool finish(struct line *line)
{
	line->cursor = line->length;
	history_keep(line);
	write_text(line, "\r\n");
	line->shown = false;
	return true;
}

bool line_feed(struct line *line, uint8_t byte)
{
	bool after_cr = line->after_cr;

	line->after_cr = byte == '\r';
	if ((byte == '\n' || byte == '\0') && after_cr) {
		return false;
	}
	if (byte == ESC) {
		line->escape = LINE_ESC;
		return false;
	}
	if (line->escape != LINE_GROUND && byte >= ' ') {
		escape_byte(line, byte);
		return false;
	}
	/* No sequence holds a control character: what had begun was none. */
	line->escape = LINE_GROUND;
	if (byte == '\r' || byte == '\n') {
		return finish(line);
	}
	if (byte >= ' ' && byte <= '~') {
		char character = (char)byte;

		insert(line, &character, 1);
	} else {
		control_key(line, byte);
	}
	return false;
}

void line_init(struct line *line, const char *prompt, const struct line_host *host)
{
	memset(line, 0, sizeof(*line));
	line->host = *host;
	line->prompt = prompt;
}
