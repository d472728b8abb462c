/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner of a payload's tests, its verdicts, and the serial port.
 */
#include "tests/guests/lib/lib.h"
#include "tests/guests/lib/internal.h"

#include <stdarg.h>

#define UART 0x3f8
#define UART_LSR (UART + 5)
#define UART_LSR_THR_EMPTY BIT(5)
#define DEBUG_EXIT 0xf4
#define EXIT_FAILED 1
#define MULTIBOOT_CMDLINE BIT(2)

static unsigned test_index, test_count, test_passed, test_failed;
static struct checkpoint test_end;
/* A copy: payloads use low memory, where the loader may have put it. */
static char command_line[256];

static void test_pass(void)
{
	test_passed++;
	print("ok %u %s\n", test_index + 1, tests[test_index].text);
}

static void print_end(void)
{
	print("END %s %u/%u\n", PAYLOAD_NAME, test_passed, test_count);
}

/* Nothing of one test is left to the next. */
static void test_prepare(void)
{
	cli();
	traps_reset();
	devices_settle();
	traps_reset();
}

static void command_line_copy(void)
{
	if (multiboot_info->flags & MULTIBOOT_CMDLINE) {
		const char *from = (const char *)(uintptr_t)multiboot_info->cmdline;

		for (size_t i = 0; i < sizeof(command_line) - 1 && from[i]; i++) {
			command_line[i] = from[i];
		}
	}
}

void payload_main(void)
{
	while (tests[test_count].text != NULL) {
		test_count++;
	}
	command_line_copy();
	traps_init();
	print("BEGIN %s %u\n", PAYLOAD_NAME, test_count);
	for (test_index = 0; test_index < test_count; test_index++) {
		test_prepare();
		if (checkpoint_set(&test_end) == 0) {
			tests[test_index].run();
			test_pass();
		}
	}
	print_end();
	debug_exit(test_failed == 0 ? 0 : EXIT_FAILED);
}

void test_fail(const char *what, const char *file, int line)
{
	cli();
	test_failed++;
	print("FAIL %u %s: %s, %s:%d\n", test_index + 1, tests[test_index].text, what, file, line);
	checkpoint_resume(&test_end);
}

void need(bool condition, const char *why)
{
	if (!condition) {
		print("skip %u %s: %s\n", test_index + 1, tests[test_index].text, why);
		checkpoint_resume(&test_end);
	}
}

void need_cpu(bool condition, const char *feature)
{
	if (!condition) {
		print("skip %u %s: the CPU has no %s\n", test_index + 1, tests[test_index].text,
		      feature);
		checkpoint_resume(&test_end);
	}
}

void need_xsave(void)
{
	need_cpu(cpuid(1, 0).ecx & BIT(26), "XSAVE");
}

void farewell(void)
{
	test_pass();
	print_end();
}

void debug_exit(uint32_t code)
{
	outl(DEBUG_EXIT, code);
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

bool machine_is_strict(void)
{
	return cpuid(0x40000000, 0).ebx != 0x54474354; /* "TCGT" */
}

static void put(char c)
{
	while ((inb(UART_LSR) & UART_LSR_THR_EMPTY) == 0) {
	}
	outb(UART, (uint8_t)c);
}

static void put_number(uint64_t value, unsigned base, unsigned width, char fill)
{
	char digits[24];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	while (width > count) {
		put(fill);
		width--;
	}
	while (count > 0) {
		put(digits[--count]);
	}
}

static void put_string(const char *s)
{
	while (*s != 0) {
		put(*s++);
	}
}

void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	for (const char *p = format; *p != 0; p++) {
		char fill = ' ';
		unsigned width = 0;
		bool is_long = false;

		if (*p != '%') {
			put(*p);
			continue;
		}
		p++;
		if (*p == '#') {
			put_string("0x");
			p++;
		}
		if (*p == '0') {
			fill = '0';
		}
		for (; *p >= '0' && *p <= '9'; p++) {
			width = width * 10 + (unsigned)(*p - '0');
		}
		for (; *p == 'l'; p++) {
			is_long = true;
		}
		if (*p == 's') {
			put_string(va_arg(arguments, const char *));
		} else if (*p == 'c') {
			put((char)va_arg(arguments, int));
		} else if (*p == 'd') {
			int64_t value =
				is_long ? va_arg(arguments, int64_t) : va_arg(arguments, int);

			if (value < 0) {
				put('-');
			}
			put_number(value < 0 ? -(uint64_t)value : (uint64_t)value, 10, width, fill);
		} else {
			uint64_t value =
				is_long ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned);

			put_number(value, *p == 'x' ? 16 : 10, width, fill);
		}
	}
	va_end(arguments);
}

const char *argument(const char *name)
{
	for (const char *p = command_line; *p != 0; p++) {
		const char *a = p, *b = name;

		while (*b != 0 && *a == *b) {
			a++;
			b++;
		}
		if (*b == 0) {
			return a;
		}
	}
	return NULL;
}

uint64_t argument_number(const char *name, uint64_t otherwise)
{
	const char *p = argument(name);
	uint64_t value = 0;

	if (p == NULL) {
		return otherwise;
	}
	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint64_t)(*p - '0');
	}
	return value;
}

uint64_t ram_end(void)
{
	return MIB + (uint64_t)multiboot_info->mem_upper * KIB;
}

/* The compiler calls these three by itself; bytes are enough here. */
void *memcpy(void *target, const void *source, size_t size)
{
	void *to = target;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(source), "+c"(size) : : "memory");
	return target;
}

void *memset(void *target, int byte, size_t size)
{
	void *to = target;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
	return target;
}

int memcmp(const void *one, const void *other, size_t size)
{
	const uint8_t *a = one, *b = other;

	for (size_t i = 0; i < size; i++) {
		if (a[i] != b[i]) {
			return a[i] - b[i];
		}
	}
	return 0;
}
