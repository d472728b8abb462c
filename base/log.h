/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: lines with a level and a time, kept in one bounded ring.
 *
 * Any CPU writes; a line appears whole or not at all. The sink (the serial
 * console, or the early polled UART) reads at its own pace; lines that were
 * overwritten before it came are counted and told. A message names the thing
 * and, where there is one, the remedy. No line feed at its end.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

#define LOG_LINE_MAX 240 /* characters a line, longer ones are cut with "..." */
#define LOG_LINE_COUNT 512

struct log_line {
	uint64_t sequence; /* 0 is the first line ever written */
	uint64_t time_ns; /* since the first line; 0 before the clock is known */
	enum log_level level;
	char text[LOG_LINE_MAX];
};

void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* Sequence number that the next line will get. */
uint64_t log_next(void);

/*
 * Copies the oldest kept line whose sequence is at least *sequence and moves
 * *sequence behind it. Returns false when there is none. A reader sees how
 * many lines it missed by comparing line->sequence with what it asked for.
 */
bool log_read(uint64_t *sequence, struct log_line *line);

/*
 * Called with each new line by the CPU that writes it, one CPU at a time: the
 * polled output, used until somebody listens, and in a panic. It may read the
 * log, and must not write to it. NULL switches it off.
 */
void log_set_immediate(void (*print)(const struct log_line *line));

/*
 * Called after each new line in place of the immediate output, by the CPU that
 * wrote it: wakes the one who then reads the log. On return no CPU is in the
 * immediate output any more. NULL: nobody listens.
 */
void log_set_listener(void (*wake)(void));

/*
 * For panic(), when the other CPUs are stopped: from now on lines go out
 * immediately again, and no lock is waited for that nobody may release.
 */
void log_enter_panic(void);

const char *log_level_name(enum log_level level);

#endif
