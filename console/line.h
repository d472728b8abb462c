/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line editor: bytes from a terminal in, bytes to it out, and now and then
 * a finished line. Pure: it knows no device, no clock and no command.
 *
 * The terminal is a VT100 of at least LINE_WIDTH columns on a serial line. A
 * line that is longer scrolls sideways, so that it never wraps and can always be
 * taken away and drawn again with messages printed in between.
 */
#ifndef CONSOLE_LINE_H
#define CONSOLE_LINE_H

#include "base/types.h"

#define LINE_SIZE 256 /* with the terminating zero */
#define LINE_WIDTH 80
#define LINE_HISTORY_COUNT 32

struct line_host {
	void (*write)(void *context, const char *text, size_t size);
	/*
	 * The index-th word that may stand as word `word` (from 0) of the line
	 * `text`, NULL after the last. NULL instead of the function: none. The
	 * words must stay valid while one key is handled.
	 */
	const char *(*complete)(void *context, const char *text, unsigned word, unsigned index);
	void *context;
};

enum line_escape {
	LINE_GROUND,
	LINE_ESC, /* after ESC */
	LINE_CSI, /* after ESC [ */
	LINE_SS3, /* after ESC O: one more byte */
	LINE_SKIP_ONE, /* the last byte of a sequence that means nothing here */
};

struct line {
	struct line_host host;
	const char *prompt;
	bool shown;

	char text[LINE_SIZE];
	size_t length, cursor;
	size_t offset; /* of the first character in view */

	char history[LINE_HISTORY_COUNT][LINE_SIZE];
	unsigned history_count; /* lines ever kept */
	unsigned history_back; /* how far back the text comes from; 0: typed */
	char typed[LINE_SIZE]; /* what was typed before going back */

	enum line_escape escape;
	unsigned escape_number, escape_length;
	bool escape_modified;
	bool after_cr;
};

/* `prompt` must stay valid. Nothing is shown yet. */
void line_init(struct line *line, const char *prompt, const struct line_host *host);

/* Draws prompt and text in a fresh row; takes them away, leaving that row empty. */
void line_show(struct line *line);
void line_hide(struct line *line);

/*
 * One byte from the terminal, while the line is shown. True when it ended the line: line->text is the
 * line until line_clear, the terminal is in a fresh row, and nothing is shown.
 */
bool line_feed(struct line *line, uint8_t byte) MUST_CHECK;
void line_clear(struct line *line);

#endif
