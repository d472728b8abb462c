/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's first program, as /init: says what the TSC was when it began, and
 * what the kernel counts as idle time until then; then switches off.
 *
 *	init: tsc 412345678
 *	  .idle_sleeptime : 123456789 nsecs
 */
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/reboot.h>
#include <stddef.h>
#include <stdint.h>

#define STDOUT 1

void _start(void);

static long call(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e)
{
	register uintptr_t r10 __asm__("r10") = d;
	register uintptr_t r8 __asm__("r8") = e;

	__asm__ volatile("syscall"
			 : "+a"(number)
			 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return number;
}

static void say(const char *text, size_t size)
{
	(void)call(__NR_write, STDOUT, (uintptr_t)text, size, 0, 0);
}

static void say_number(uint64_t number)
{
	char digits[21];
	char *first = &digits[20];

	*first = '\n';
	do {
		*--first = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0);
	say(first, (size_t)(&digits[21] - first));
}

/* The line of `text` that begins with `start`, if any. */
static void say_line(const char *text, const char *end, const char *start)
{
	while (text < end) {
		const char *line = text, *wanted = start;

		while (text < end && *wanted != '\0' && *text == *wanted) {
			text++;
			wanted++;
		}
		while (text < end && *text != '\n') {
			text++;
		}
		text++;
		if (*wanted == '\0') {
			say(line, (size_t)(text - line));
		}
	}
}

static void say_idle_time(void)
{
	static char list[65536];
	size_t size = 0;
	long file, count;

	(void)call(__NR_mount, (uintptr_t) "proc", (uintptr_t) "/proc", (uintptr_t) "proc", 0, 0);
	file = call(__NR_open, (uintptr_t) "/proc/timer_list", O_RDONLY, 0, 0, 0);
	do {
		count = call(__NR_read, (uintptr_t)file, (uintptr_t)&list[size],
			     sizeof(list) - size, 0, 0);
		size += count > 0 ? (size_t)count : 0;
	} while (count > 0);
	say_line(list, &list[size], "  .idle_sleeptime");
}

void _start(void)
{
	uint64_t tsc = __builtin_ia32_rdtsc();

	say("init: tsc ", 10);
	say_number(tsc);
	say_idle_time();
	say("init: end\n", 10);
	(void)call(__NR_ioctl, STDOUT, TCSBRK, 1, 0, 0); /* the line is drained */
	(void)call(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		   LINUX_REBOOT_CMD_POWER_OFF, 0, 0);
	for (;;) {
		(void)call(__NR_pause, 0, 0, 0, 0, 0);
	}
}
