/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader's output: every screen that the firmware knows, and COM1 at 115200
 * 8N1 by its registers.
 *
 * The firmware's own console often is COM1 as well, so it is not used as a
 * whole: a line would come twice there. Each text output with a UART in its
 * device path is left out instead.
 */
#include "boot/efi_loader.h"

#include <stdarg.h>

#define SCREEN_MAX 8
#define LINE_MAX 512

/* 16550: offsets from the base, and the bits used (TI PC16550D, table 2). */
#define COM1 0x3f8
#define UART_DATA 0
#define UART_IER 1
#define UART_FCR 2
#define UART_LCR 3
#define UART_LCR_8N1 0x03
#define UART_LCR_DLAB 0x80
#define UART_MCR 4
#define UART_MCR_DTR_RTS 0x03
#define UART_LSR 5
#define UART_LSR_THRE 0x20

static SIMPLE_TEXT_OUTPUT_INTERFACE *screens[SCREEN_MAX];
static unsigned screen_count;
static bool has_serial;

/* As the firmware takes it: with both ends of a line, and a zero behind. */
struct line {
	size_t length;
	CHAR16 text[LINE_MAX + 1];
};

static void find_screens(void);
static bool is_serial(EFI_DEVICE_PATH *path);
static void start_serial(void);
static void format_line(struct line *line, const char *format, va_list arguments);
static void write_screens(struct line *line);
static void write_serial(const struct line *line);

void print_init(void)
{
	find_screens();
	start_serial();
}

void print_to(unsigned outputs, const char *format, ...)
{
	struct line line;
	va_list arguments;

	va_start(arguments, format);
	format_line(&line, format, arguments);
	va_end(arguments);
	if ((outputs & PRINT_SCREEN) != 0) {
		write_screens(&line);
	}
	if ((outputs & PRINT_SERIAL) != 0) {
		write_serial(&line);
	}
}

const char *status_text(EFI_STATUS status)
{
	static const struct {
		EFI_STATUS status;
		const char *text;
	} texts[] = {
		{EFI_NOT_FOUND, "not found"},
		{EFI_OUT_OF_RESOURCES, "not enough memory"},
		{EFI_UNSUPPORTED, "not supported by the firmware"},
		{EFI_DEVICE_ERROR, "the device reports an error"},
		{EFI_VOLUME_CORRUPTED, "the volume is damaged"},
		{EFI_NO_MEDIA, "no medium"},
		{EFI_INVALID_PARAMETER, "refused by the firmware"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
		if (texts[i].status == status) {
			return texts[i].text;
		}
	}
	return "the firmware reports an error";
}

/* ---- Screens --------------------------------------------------------------- */

static void find_screens(void)
{
	static EFI_GUID text_guid = SIMPLE_TEXT_OUTPUT_PROTOCOL;
	static EFI_GUID path_guid = DEVICE_PATH_PROTOCOL;
	EFI_BOOT_SERVICES *services = efi_table->BootServices;
	EFI_HANDLE *handles = NULL;
	UINTN count = 0;

	if (EFI_ERROR(FIRMWARE(services->LocateHandleBuffer(ByProtocol, &text_guid, NULL, &count,
							    &handles)))) {
		return;
	}
	for (UINTN i = 0; i < count && screen_count < SCREEN_MAX; i++) {
		void *path, *screen;

		/* The console that joins all others has no device path. */
		if (!EFI_ERROR(FIRMWARE(services->HandleProtocol(handles[i], &path_guid, &path))) &&
		    !EFI_ERROR(
			    FIRMWARE(services->HandleProtocol(handles[i], &text_guid, &screen))) &&
		    !is_serial(path)) {
			screens[screen_count++] = screen;
		}
	}
	(void)FIRMWARE(services->FreePool(handles));
}

static bool is_serial(EFI_DEVICE_PATH *path)
{
	for (; !IsDevicePathEnd(path); path = NextDevicePathNode(path)) {
		if (DevicePathType(path) == MESSAGING_DEVICE_PATH &&
		    DevicePathSubType(path) == MSG_UART_DP) {
			return true;
		}
		if ((size_t)DevicePathNodeLength(path) < sizeof(*path)) {
			return false;
		}
	}
	return false;
}

static void write_screens(struct line *line)
{
	for (unsigned i = 0; i < screen_count; i++) {
		(void)FIRMWARE(screens[i]->OutputString(screens[i], line->text));
	}
}

/* ---- COM1 ------------------------------------------------------------------ */

static uint8_t uart_read(unsigned offset)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"((uint16_t)(COM1 + offset)));
	return value;
}

static void uart_write(unsigned offset, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"((uint16_t)(COM1 + offset)));
}

static void start_serial(void)
{
	/* Nothing answers at an absent port: all ones, which no UART's LSR shows. */
	has_serial = uart_read(UART_LSR) != 0xff;
	if (!has_serial) {
		return;
	}
	uart_write(UART_IER, 0);
	uart_write(UART_LCR, UART_LCR_DLAB);
	uart_write(UART_DATA, 1); /* divisor 1: 115200 */
	uart_write(UART_IER, 0);
	uart_write(UART_LCR, UART_LCR_8N1);
	uart_write(UART_FCR, 0x07); /* FIFOs on, emptied */
	uart_write(UART_MCR, UART_MCR_DTR_RTS);
}

static void write_serial(const struct line *line)
{
	for (size_t i = 0; has_serial && i < line->length; i++) {
		/* A stuck UART must not hold up the host: 100 ms are ten bytes' time twice over. */
		for (unsigned j = 0; j < 100000 && (uart_read(UART_LSR) & UART_LSR_THRE) == 0;
		     j++) {
			__builtin_ia32_pause();
		}
		uart_write(UART_DATA, (uint8_t)line->text[i]);
	}
}

/* ---- Formats ------------------------------------------------------------------ */

static void add_character(struct line *line, char character)
{
	if (line->length < LINE_MAX) {
		line->text[line->length++] = (CHAR16)character;
	}
}

static void add_number(struct line *line, uint64_t number, unsigned base)
{
	char digits[20];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number > 0);
	while (count > 0) {
		add_character(line, digits[--count]);
	}
}

static void format_line(struct line *line, const char *format, va_list arguments)
{
	line->length = 0;
	for (; *format != '\0'; format++) {
		bool is_long = format[0] == '%' && format[1] == 'l';

		if (*format == '\n') {
			add_character(line, '\r');
		}
		if (*format != '%') {
			add_character(line, *format);
			continue;
		}
		format += is_long ? 2 : 1;
		if (*format == 's') {
			for (const char *text = va_arg(arguments, const char *); *text; text++) {
				add_character(line, *text);
			}
		} else {
			uint64_t number =
				is_long ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned);

			add_number(line, number, *format == 'x' ? 16 : 10);
		}
	}
	line->text[line->length] = 0;
}
