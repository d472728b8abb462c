/* SPDX-License-Identifier: Apache-2.0 */
/* Powers off by ACPI: what FADT and DSDT say about S5. */
#include "tests/guests/lib/lib.h"

#define FADT_DSDT 40
#define FADT_PM1A_CONTROL 64
#define PACKAGE_OP 0x12
#define BYTE_PREFIX 0x0a
#define SLEEP_ENABLE BIT(13)

/* SLP_TYPa of \_S5 (ACPI 6.4, 20.2.5): the first element of its package. */
static unsigned sleep_type(const uint8_t *dsdt)
{
	uint32_t length = acpi_u32(dsdt, 4);

	for (uint32_t at = 36; at + 12 < length; at++) {
		const uint8_t *p = dsdt + at;

		if (memcmp(p, "_S5_", 4) == 0 && p[4] == PACKAGE_OP) {
			p += 5 + (p[5] >> 6) + 2; /* length, element count */
			return *p == BYTE_PREFIX ? p[1] : *p;
		}
	}
	expect(!"\\_S5 is missing");
	return 0;
}

static void power_off(void)
{
	const uint8_t *fadt = acpi_find("FACP");

	expect(fadt != NULL);

	unsigned type = sleep_type((const uint8_t *)(uintptr_t)acpi_u32(fadt, FADT_DSDT));
	uint16_t control = (uint16_t)acpi_u32(fadt, FADT_PM1A_CONTROL);

	expect(control != 0);
	farewell();
	outw(control, (uint16_t)(type << 10 | SLEEP_ENABLE));
	expect(!"still running");
}

const struct test tests[] = {
	{"power-off", power_off},
	{NULL, NULL},
};
