/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the firmware tells: ACPI tables (ACPI 6.4, 5.2), paging's window.
 */
#include "tests/guests/lib/internal.h"
#include "tests/guests/lib/lib.h"

#define BIOS_START 0xe0000
#define BIOS_END 0x100000
#define RSDP_V1_SIZE 20
#define RSDP_RSDT 16
#define RSDP_REVISION 15
#define RSDP_XSDT 24
#define TABLE_LENGTH 4
#define TABLE_HEADER_SIZE 36
#define MADT_ENTRIES 44
#define MADT_OVERRIDE 2 /* type; then length, bus, source, GSI */

static uint64_t window_table[512] __attribute__((aligned(4096)));

void window_map(unsigned index, uint64_t entry)
{
	uint64_t *directory = page_map_2m[WINDOW >> 30];

	directory[WINDOW >> 21 & 511] = (uintptr_t)window_table | PTE_P | PTE_W | PTE_U;
	window_table[index] = entry;
	invlpg(WINDOW + index * PAGE_SIZE);
}

uint64_t window_entry(unsigned index)
{
	return *(volatile uint64_t *)&window_table[index];
}

static bool checksum_good(const uint8_t *bytes, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + bytes[i]);
	}
	return sum == 0;
}

uint32_t acpi_u32(const uint8_t *table, unsigned offset)
{
	uint32_t value;

	memcpy(&value, table + offset, sizeof(value));
	return value;
}

static const uint8_t *rsdp_find(void)
{
	for (uintptr_t at = BIOS_START; at < BIOS_END; at += 16) {
		const uint8_t *p = (const uint8_t *)at;

		if (memcmp(p, "RSD PTR ", 8) == 0 && checksum_good(p, RSDP_V1_SIZE)) {
			return p;
		}
	}
	return NULL;
}

const uint8_t *acpi_find(const char *signature)
{
	const uint8_t *rsdp = rsdp_find();

	if (rsdp == NULL) {
		return NULL;
	}

	bool wide = rsdp[RSDP_REVISION] >= 2;
	unsigned entry_size = wide ? 8 : 4;
	const uint8_t *root =
		(const uint8_t *)(uintptr_t)acpi_u32(rsdp, wide ? RSDP_XSDT : RSDP_RSDT);
	uint32_t length = acpi_u32(root, TABLE_LENGTH);

	if (!checksum_good(root, length)) {
		return NULL;
	}
	for (uint32_t at = TABLE_HEADER_SIZE; at < length; at += entry_size) {
		const uint8_t *table = (const uint8_t *)(uintptr_t)acpi_u32(root, at);

		if (memcmp(table, signature, 4) == 0 &&
		    checksum_good(table, acpi_u32(table, TABLE_LENGTH))) {
			return table;
		}
	}
	return NULL;
}

unsigned acpi_ioapic_input(unsigned irq)
{
	const uint8_t *madt = acpi_find("APIC");

	if (madt == NULL) {
		return irq;
	}
	for (uint32_t at = MADT_ENTRIES; at < acpi_u32(madt, TABLE_LENGTH); at += madt[at + 1]) {
		if (madt[at] == MADT_OVERRIDE && madt[at + 3] == irq) {
			return acpi_u32(madt, at + 4);
		}
	}
	return irq;
}
