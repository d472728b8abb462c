/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log ring behind base/log.h.
 *
 * A line is formatted on the writer's stack and copied into the ring under the
 * ring's lock, which is held for that copy alone; no other lock is taken inside.
 * Then somebody is told, under the teller's lock: the immediate output is a
 * program for one CPU. Lock order: teller, then what the output takes, the ring's.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/spinlock.h"

/* The host's clock, from arch: the layer above, so its header is not ours to include. */
uint64_t tsc_now(void);
uint64_t tsc_to_ns(uint64_t ticks);

static struct {
	struct spinlock lock, teller;
	uint64_t next;
	uint64_t start_ticks; /* of the first line */
	struct log_line lines[LOG_LINE_COUNT];
	void (*immediate)(const struct log_line *line);
	void (*listener)(void);
	bool panicking;
} ring;

static void take(struct spinlock *lock)
{
	if (!ring.panicking) {
		spin_lock(lock);
	}
}

static void release(struct spinlock *lock)
{
	if (!ring.panicking) {
		spin_unlock(lock);
	}
}

/* A line stays one line on every terminal, whatever its arguments held. */
static void clean_text(char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~') {
			*text = '?';
		}
	}
}

static PRINTF_LIKE(2, 0) void format_line(struct log_line *line, const char *format, va_list args)
{
	static const char cut[] = "...";
	int length = vsnprintf(line->text, sizeof(line->text), format, args);

	if (length < 0) {
		line->text[0] = '\0';
	} else if ((size_t)length >= sizeof(line->text)) {
		memcpy(line->text + sizeof(line->text) - sizeof(cut), cut, sizeof(cut));
	}
	clean_text(line->text);
}

void log_write(enum log_level level, const char *format, ...)
{
	struct log_line line = {.level = level};
	uint64_t now = tsc_now();
	va_list args;

	va_start(args, format);
	format_line(&line, format, args);
	va_end(args);

	take(&ring.lock);
	if (ring.next == 0) {
		ring.start_ticks = now;
	}
	line.time_ns = tsc_to_ns(now - ring.start_ticks);
	line.sequence = ring.next++;
	ring.lines[line.sequence % LOG_LINE_COUNT] = line;
	release(&ring.lock);

	take(&ring.teller);
	if (ring.listener && !ring.panicking) {
		ring.listener();
	} else if (ring.immediate) {
		ring.immediate(&line);
	}
	release(&ring.teller);
}

uint64_t log_next(void)
{
	take(&ring.lock);
	uint64_t next = ring.next;
	release(&ring.lock);
	return next;
}

bool log_read(uint64_t *sequence, struct log_line *line)
{
	bool found = false;

	take(&ring.lock);
	uint64_t oldest = ring.next - MIN(ring.next, LOG_LINE_COUNT);
	uint64_t wanted = MAX(*sequence, oldest);
	if (wanted < ring.next) {
		*line = ring.lines[wanted % LOG_LINE_COUNT];
		*sequence = wanted + 1;
		found = true;
	}
	release(&ring.lock);
	return found;
}

void log_set_immediate(void (*print)(const struct log_line *line))
{
	take(&ring.teller);
	ring.immediate = print;
	release(&ring.teller);
}

void log_set_listener(void (*wake)(void))
{
	take(&ring.teller);
	ring.listener = wake;
	release(&ring.teller);
}

void log_enter_panic(void)
{
	ring.panicking = true;
}

const char *log_level_name(enum log_level level)
{
	static const char *const names[] = {
		[LOG_ERROR] = "error",
		[LOG_WARN] = "warn",
		[LOG_INFO] = "info",
		[LOG_DEBUG] = "debug",
	};

	return names[level];
}
