/* SPDX-License-Identifier: Apache-2.0 */
/* Resets the machine, "by=i8042", "by=cf9", "by=port92" or "by=acpi". */
#include "tests/guests/lib/lib.h"

#define FADT_RESET_REGISTER 116 /* a generic address: space 1 is I/O */
#define FADT_RESET_VALUE 128

static void by_acpi(void)
{
	const uint8_t *fadt = acpi_find("FACP");

	expect(fadt != NULL);
	need(fadt[8] >= 2, "ACPI 2"); /* the table's revision */
	expect(fadt[113] & BIT(2)); /* flags: RESET_REG_SUP, bit 10 */
	expect_equal(fadt[FADT_RESET_REGISTER], 1);
	farewell();
	outb((uint16_t)acpi_u32(fadt, FADT_RESET_REGISTER + 4), fadt[FADT_RESET_VALUE]);
}

static void reset(void)
{
	if (argument("by=acpi")) {
		by_acpi();
	} else {
		farewell();
		if (argument("by=cf9")) {
			outb(0xcf9, 0x02);
			outb(0xcf9, 0x06);
		} else if (argument("by=port92")) {
			outb(0x92, inb(0x92) | 0x01);
		} else {
			outb(0x64, 0xfe);
		}
	}
	expect(!"still running");
}

const struct test tests[] = {
	{"reset", reset},
	{NULL, NULL},
};
