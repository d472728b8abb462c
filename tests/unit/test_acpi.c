/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI tables, followed from the RSDP as a guest does, and the shape of the AML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/unit/ram.h"
#include "vmm/acpi.h"
#include "vmm/machine.h"

#define CPU_COUNT 3

static struct guest_memory *ram;
static uint8_t table[4096];
static size_t table_size;

static int setup(void **state)
{
	gpa_t rsdp;

	(void)state;
	ram = ram_create(2 * MIB);
	assert_int_equal(acpi_build(ram, CPU_COUNT, &rsdp), 0);
	assert_int_equal(rsdp.v, MACHINE_ACPI_BASE);
	return 0;
}

static uint64_t get(uint64_t gpa, unsigned size)
{
	return ram_get(ram, gpa, size);
}

static uint64_t field(unsigned offset, unsigned size)
{
	uint64_t value = 0;

	assert_true(offset + size <= table_size);
	memcpy(&value, table + offset, size);
	return value;
}

static uint8_t sum(uint64_t gpa, size_t size)
{
	uint8_t bytes = 0;

	for (size_t i = 0; i < size; i++) {
		bytes += (uint8_t)get(gpa + i, 1);
	}
	return bytes;
}

/* Into `table`, with its length and checksum right. */
static void open_table(uint64_t gpa, const char *signature, unsigned revision)
{
	assert_in_range(gpa, MACHINE_ACPI_BASE, MACHINE_ACPI_BASE + MACHINE_ACPI_SIZE - 36);
	table_size = get(gpa + 4, 4);
	assert_in_range(table_size, 36, sizeof(table));
	assert_int_equal(memory_read(ram, GPA(gpa), table, table_size), 0);
	assert_memory_equal(table, signature, 4);
	assert_int_equal(table[8], revision);
	assert_int_equal(sum(gpa, table_size), 0);
	assert_memory_equal(table + 10, "DYAD  DYAD-1  ", 14);
}

static void open_from_xsdt(unsigned index, const char *signature, unsigned revision)
{
	open_table(get(MACHINE_ACPI_BASE + 24, 8), "XSDT", 1);
	assert_int_equal(table_size, 36 + 2 * 8);
	open_table(field(36 + index * 8, 8), signature, revision);
}

static void test_rsdp(void **state)
{
	uint8_t signature[8];

	(void)state;
	assert_int_equal(memory_read(ram, GPA(MACHINE_ACPI_BASE), signature, 8), 0);
	assert_memory_equal(signature, "RSD PTR ", 8);
	assert_int_equal(get(MACHINE_ACPI_BASE + 15, 1), 2);
	assert_int_equal(sum(MACHINE_ACPI_BASE, 20), 0);
	assert_int_equal(get(MACHINE_ACPI_BASE + 20, 4), 36);
	assert_int_equal(sum(MACHINE_ACPI_BASE, 36), 0);
}

static void test_fadt(void **state)
{
	(void)state;
	open_from_xsdt(0, "FACP", 3);
	assert_int_equal(table_size, 244);
	assert_int_equal(field(46, 2), MACHINE_IRQ_SCI);
	assert_int_equal(field(48, 4), 0); /* no SMI command: ACPI is on */
	assert_int_equal(field(56, 4), MACHINE_PORT_PM1_EVENT);
	assert_int_equal(field(64, 4), MACHINE_PORT_PM1_CONTROL);
	assert_int_equal(field(76, 4), MACHINE_PORT_PM_TIMER);
	assert_int_equal(field(108, 1), MACHINE_CMOS_CENTURY);
	assert_int_equal(field(109, 2), 0x0005); /* legacy devices, no VGA, no 8042 */
	assert_int_equal(field(112, 4), 0x575); /* not hardware-reduced */
	assert_int_equal(field(116, 4), 0x01000801); /* one byte of I/O space */
	assert_int_equal(field(120, 8), MACHINE_PORT_RESET);
	assert_int_equal(field(128, 1), MACHINE_RESET_VALUE);
	assert_int_equal(field(140, 8), field(40, 4)); /* both name one DSDT */
	assert_int_equal(field(132, 8), field(36, 4));
	assert_int_equal(field(152, 8), MACHINE_PORT_PM1_EVENT);
	assert_int_equal(field(176, 8), MACHINE_PORT_PM1_CONTROL);
	assert_int_equal(field(212, 8), MACHINE_PORT_PM_TIMER);
	assert_int_equal(field(36, 4) % 64, 0);
	assert_int_equal(get(field(36, 4), 4), 0x53434146); /* FACS */
	assert_int_equal(get(field(36, 4) + 4, 4), 64);
}

static void test_madt(void **state)
{
	static const uint8_t expected[] = {
		1, 12, 0,    0, 0x00, 0x00, 0xc0, 0xfe, 0,    0, 0, 0, /* IOAPIC */
		2, 10, 0,    0, 2,    0,    0,	  0,	0,    0, /* IRQ 0 is on pin 2 */
		2, 10, 0,    9, 9,    0,    0,	  0,	0x0d, 0, /* SCI: level, high */
		4, 6,  0xff, 0, 0,    1, /* NMI: LINT1 of all */
		0, 8,  0,    0, 1,    0,    0,	  0, /* CPUs */
		0, 8,  1,    1, 1,    0,    0,	  0,	0,    8, 2, 2, 1, 0, 0, 0,
	};

	(void)state;
	open_from_xsdt(1, "APIC", 3);
	assert_int_equal(field(36, 4), MACHINE_LAPIC_BASE);
	assert_int_equal(field(40, 4), 1);
	assert_int_equal(table_size, 44 + sizeof(expected));
	assert_memory_equal(table + 44, expected, sizeof(expected));
}

/* ---- AML ------------------------------------------------------------------------------ */

/* A PkgLength at `at`: the end of its package; *at moves behind it. */
static size_t package_end(size_t *at, size_t limit)
{
	unsigned more = table[*at] >> 6;
	size_t length = more ? table[*at] & 0xf : table[*at] & 0x3f;
	size_t end;

	for (unsigned i = 0; i < more; i++) {
		length |= (size_t)table[*at + 1 + i] << (4 + 8 * i);
	}
	end = *at + length;
	*at += 1 + more;
	assert_in_range(end, *at, limit);
	return end;
}

/* The end tag must be the last two bytes of a template. */
static void check_resources(size_t at, size_t end)
{
	while (table[at] != 0x79) {
		at += table[at] & 0x80 ? (size_t)3 + (table[at + 1] | table[at + 2] << 8)
				       : (size_t)1 + (table[at] & 7);
		assert_true(at < end);
	}
	assert_int_equal(at + 2, end);
}

static size_t check_name(size_t at, size_t end)
{
	bool is_template = memcmp(table + at + 1, "_CRS", 4) == 0;
	size_t data_end;

	at += 5;
	if (table[at] == 0x0c) { /* DWORD */
		return at + 5;
	}
	assert_int_equal(table[at], is_template ? 0x11 : 0x12);
	at++;
	data_end = package_end(&at, end);
	if (is_template) {
		assert_int_equal(table[at], 0x0a);
		assert_int_equal(table[at + 1], data_end - at - 2);
		check_resources(at + 2, data_end);
	}
	return data_end;
}

/* Names, scopes and devices up to exactly `end`; returns how many devices. */
static unsigned check_objects(size_t at, size_t end)
{
	unsigned devices = 0;

	while (at < end) {
		if (table[at] == 0x08) {
			at = check_name(at, end);
		} else if (table[at] == 0x10) {
			size_t scope_end;

			at++;
			scope_end = package_end(&at, end);
			assert_memory_equal(table + at, "\\_SB_", 5);
			devices += check_objects(at + 5, scope_end);
			at = scope_end;
		} else {
			size_t device_end;

			assert_int_equal(table[at], 0x5b);
			assert_int_equal(table[at + 1], 0x82);
			at += 2;
			device_end = package_end(&at, end);
			check_objects(at + 4, device_end);
			devices++;
			at = device_end;
		}
	}
	assert_int_equal(at, end);
	return devices;
}

static void test_dsdt(void **state)
{
	(void)state;
	open_from_xsdt(0, "FACP", 3);
	open_table(field(40, 4), "DSDT", 2);
	assert_int_equal(check_objects(36, table_size), 3);
	assert_memory_equal(table + 36, "\x08_S5_\x12\x08\x04\x0a\x05\x0a\x05", 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rsdp),
		cmocka_unit_test(test_fadt),
		cmocka_unit_test(test_madt),
		cmocka_unit_test(test_dsdt),
	};

	return cmocka_run_group_tests_name("acpi", tests, setup, NULL);
}
