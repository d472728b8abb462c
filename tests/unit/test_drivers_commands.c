/* SPDX-License-Identifier: Apache-2.0 */
/* What `pci` prints, with the console replaced by a buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "drivers/commands.c"

static char text[4096];
static size_t text_size;

static struct pci_device devices[] = {
	{.vendor = 0x8086, .device = 0x1237, .class_code = 0x060000},
	{.slot = 3,
	 .vendor = 0x8086,
	 .device = 0x100e,
	 .class_code = 0x020000,
	 .driver = "e1000",
	 .interrupt = PCI_INTX,
	 .bars = {{0x80000000, 0x20000, false}, {0xc000, 0x40, true}, {0, 0x1000, false}}},
};

void console_print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_size += (size_t)vsnprintf(text + text_size, sizeof(text) - text_size, format, args);
	va_end(args);
}

unsigned pci_device_count(void)
{
	return ARRAY_SIZE(devices);
}

struct pci_device *pci_device_at(unsigned index)
{
	return &devices[index];
}

const char *pci_name(const struct pci_device *device, char name[PCI_NAME_SIZE])
{
	snprintf(name, PCI_NAME_SIZE, "0000:00:%02x.0", device->slot);
	return name;
}

const char *pci_interrupt_name(const struct pci_device *device, char name[PCI_NAME_SIZE])
{
	(void)device;
	snprintf(name, PCI_NAME_SIZE, "IRQ 11");
	return name;
}

static void test_pci(void **state)
{
	(void)state;
	assert_int_equal(drivers_commands[0].run(1, NULL), 0);
	assert_string_equal(text, "FUNCTION     ID         CLASS  DRIVER     INTERRUPT\n"
				  "0000:00:00.0 8086:1237  060000 -          -\n"
				  "0000:00:03.0 8086:100e  020000 e1000      IRQ 11\n"
				  "             BAR 0  memory 0x80000000 to 0x8001ffff\n"
				  "             BAR 1  ports 0xc000 to 0xc03f\n"
				  "             BAR 2  memory, 0x1000 bytes, no address\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_pci)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
