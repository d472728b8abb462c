/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of the host's ACPI tables, on tables as firmware writes them and
 * on ones that lie. Each mapping is a heap block of just its size, so that the
 * sanitizer sees any byte that is read behind it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/acpi.h"

#define MEMORY_BASE 0x10000
#define MEMORY_SIZE 0x4000
#define RSDP_AT MEMORY_BASE
#define ROOT_AT (MEMORY_BASE + 0x100)
#define MADT_AT (MEMORY_BASE + 0x1000)
#define FADT_AT (MEMORY_BASE + 0x3000)
#define FADT_SIZE 276
#define MCFG_AT (MEMORY_BASE + 0x3400)
#define MCFG_SIZE (44 + 16)
#define MAPPINGS_MAX 256

#define HEADER_LENGTH 4
#define HEADER_CHECKSUM 9

static uint8_t memory[MEMORY_SIZE];
static void *mappings[MAPPINGS_MAX];
static unsigned mapping_count;
static uint32_t madt_size;

static uint8_t *at(uint64_t address)
{
	return memory + (address - MEMORY_BASE);
}

static void put(uint64_t address, uint64_t value, size_t size)
{
	memcpy(at(address), &value, size);
}

static const void *map(void *context, hpa_t hpa, size_t size)
{
	(void)context;
	if (hpa.v < MEMORY_BASE || hpa.v - MEMORY_BASE >= MEMORY_SIZE ||
	    size > MEMORY_SIZE - (hpa.v - MEMORY_BASE)) {
		return NULL;
	}
	assert_true(mapping_count < MAPPINGS_MAX);
	void *copy = malloc(size);
	assert_non_null(copy);
	memcpy(copy, at(hpa.v), size);
	mappings[mapping_count++] = copy;
	return copy;
}

static int read_tables(struct machine *out)
{
	struct acpi_source source = {.map = map};
	int result = acpi_read(&source, HPA(RSDP_AT), out);

	while (mapping_count > 0) {
		free(mappings[--mapping_count]);
	}
	return result;
}

/* Makes the `size` bytes at `address` sum up to zero. */
static void seal(uint64_t address, size_t size, size_t checksum_at)
{
	uint8_t sum = 0;

	*at(address + checksum_at) = 0;
	for (size_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + *at(address + i));
	}
	*at(address + checksum_at) = (uint8_t)-sum;
}

static void seal_rsdp(void)
{
	seal(RSDP_AT, 20, 8);
	seal(RSDP_AT, 36, 32);
}

static void seal_table(uint64_t address, uint32_t size)
{
	put(address + HEADER_LENGTH, size, 4);
	seal(address, size, HEADER_CHECKSUM);
}

static void add_madt(const void *entry, size_t size)
{
	memcpy(at(MADT_AT + madt_size), entry, size);
	madt_size += (uint32_t)size;
	seal_table(MADT_AT, madt_size);
}

static void add_cpu(uint8_t apic_id, uint8_t flags)
{
	uint8_t entry[8] = {0, 8, 0, apic_id, flags};

	add_madt(entry, sizeof(entry));
}

static void put_mcfg(unsigned index, uint64_t base, uint16_t segment, uint8_t first, uint8_t last)
{
	uint64_t entry = MCFG_AT + 44 + 16 * index;

	put(entry, base, 8);
	put(entry + 8, segment, 2);
	put(entry + 10, first, 1);
	put(entry + 11, last, 1);
	seal_table(MCFG_AT, 44 + 16 * (index + 1));
}

/* Two CPUs, one IOAPIC, the usual two overrides, PM timer, reset register, ECAM. */
static void write_tables(void)
{
	static const uint8_t ioapic[12] = {1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0};
	static const uint8_t timer[10] = {2, 10, 0, 0, 2};
	static const uint8_t sci[10] = {2, 10, 0, 9, 9, 0, 0, 0, 0x0d};

	memset(memory, 0, sizeof(memory));
	memcpy(at(RSDP_AT), "RSD PTR ", 8);
	put(RSDP_AT + 15, 2, 1);
	put(RSDP_AT + 20, 36, 4);
	put(RSDP_AT + 24, ROOT_AT, 8);
	seal_rsdp();
	memcpy(at(ROOT_AT), "XSDT", 4);
	put(ROOT_AT + 36, FADT_AT, 8);
	put(ROOT_AT + 44, MADT_AT, 8);
	put(ROOT_AT + 52, MCFG_AT, 8);
	seal_table(ROOT_AT, 60);
	memcpy(at(MADT_AT), "APIC", 4);
	madt_size = 44;
	add_cpu(0, 1);
	add_cpu(2, 1);
	add_madt(ioapic, sizeof(ioapic));
	add_madt(timer, sizeof(timer));
	add_madt(sci, sizeof(sci));
	memcpy(at(FADT_AT), "FACP", 4);
	put(FADT_AT + 76, 0x608, 4);
	put(FADT_AT + 112, 1 << 10, 4);
	put(FADT_AT + 116, 1, 1);
	put(FADT_AT + 120, 0xcf9, 8);
	put(FADT_AT + 128, 0x0f, 1);
	seal_table(FADT_AT, FADT_SIZE);
	memcpy(at(MCFG_AT), "MCFG", 4);
	put_mcfg(0, 0xb0000000, 0, 0, 255);
}

static int setup(void **state)
{
	(void)state;
	write_tables();
	return 0;
}

static void reads_what_the_tables_say(void **state)
{
	struct machine m;

	(void)state;
	assert_int_equal(read_tables(&m), 0);
	assert_int_equal(m.cpu_count, 2);
	assert_int_equal(m.apic_ids[0], 0);
	assert_int_equal(m.apic_ids[1], 2);
	assert_int_equal(m.ioapic_count, 1);
	assert_int_equal(m.ioapics[0].base.v, 0xfec00000);
	assert_int_equal(m.irqs[0].gsi, 2);
	assert_false(m.irqs[0].level);
	assert_int_equal(m.irqs[4].gsi, 4);
	assert_true(m.irqs[9].level);
	assert_false(m.irqs[9].active_low);
	assert_int_equal(m.pm_timer.space, SPACE_PORT);
	assert_int_equal(m.pm_timer.address, 0x608);
	assert_int_equal(m.reset.space, SPACE_PORT);
	assert_int_equal(m.reset.address, 0xcf9);
	assert_int_equal(m.reset_value, 0x0f);
	assert_int_equal(m.ecam_count, 1);
	assert_int_equal(m.ecams[0].base.v, 0xb0000000);
	assert_int_equal(m.ecams[0].segment, 0);
	assert_int_equal(m.ecams[0].bus_first, 0);
	assert_int_equal(m.ecams[0].bus_last, 255);
}

static void reads_every_range_of_ecam(void **state)
{
	struct machine m;

	(void)state;
	put_mcfg(1, UINT64_C(0x3800000000), 0x1234, 0x80, 0x80);
	assert_int_equal(read_tables(&m), 0);
	assert_int_equal(m.ecam_count, 2);
	assert_int_equal(m.ecams[1].base.v, UINT64_C(0x3800000000));
	assert_int_equal(m.ecams[1].segment, 0x1234);
	assert_int_equal(m.ecams[1].bus_first, 0x80);
	assert_int_equal(m.ecams[1].bus_last, 0x80);
	for (unsigned i = 0; i < MACHINE_ECAM_MAX + 4; i++) {
		put_mcfg(i, 0xb0000000, (uint16_t)i, 0, 255);
	}
	assert_int_equal(read_tables(&m), 0);
	assert_int_equal(m.ecam_count, MACHINE_ECAM_MAX);
	assert_int_equal(m.ecams[MACHINE_ECAM_MAX - 1].segment, MACHINE_ECAM_MAX - 1);
}

/* The range is left out, the others stay. */
static void leaves_out_impossible_ranges_of_ecam(void **state)
{
	static const struct {
		uint64_t base;
		uint8_t first, last;
	} impossible[] = {
		{0, 0, 255},	      {0xb0000000, 1, 0},
		{0xb0080000, 0, 255}, {UINT64_C(1) << 52, 0, 255},
		{UINT64_MAX, 0, 255},
	};
	struct machine m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(impossible); i++) {
		put_mcfg(0, impossible[i].base, 0, impossible[i].first, impossible[i].last);
		put_mcfg(1, 0xc0000000, 1, 0, 255);
		assert_int_equal(read_tables(&m), 0);
		assert_int_equal(m.ecam_count, 1);
		assert_int_equal(m.ecams[0].segment, 1);
	}
}

static void does_without_a_usable_mcfg(void **state)
{
	static const uint32_t sizes[] = {36, 43, 44, MCFG_SIZE - 1};
	struct machine m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		seal_table(MCFG_AT, sizes[i]);
		assert_int_equal(read_tables(&m), 0);
		assert_int_equal(m.ecam_count, 0);
	}
	write_tables();
	*at(MCFG_AT + HEADER_CHECKSUM) ^= 1;
	assert_int_equal(read_tables(&m), 0);
	assert_int_equal(m.ecam_count, 0);
	assert_int_equal(m.cpu_count, 2);
}

static void prefers_the_64_bit_timer_address(void **state)
{
	struct machine m;

	(void)state;
	put(FADT_AT + 208, 0, 1);
	put(FADT_AT + 212, 0xfed00000, 8);
	seal_table(FADT_AT, FADT_SIZE);
	assert_int_equal(read_tables(&m), 0);
	assert_int_equal(m.pm_timer.space, SPACE_MEMORY);
	assert_int_equal(m.pm_timer.address, 0xfed00000);
}

static void follows_an_rsdt_of_old(void **state)
{
	struct machine m;

	(void)state;
	put(RSDP_AT + 15, 0, 1);
	put(RSDP_AT + 16, ROOT_AT, 4);
	seal(RSDP_AT, 20, 8);
	memcpy(at(ROOT_AT), "RSDT", 4);
	put(ROOT_AT + 36, FADT_AT, 4);
	put(ROOT_AT + 40, MADT_AT, 4);
	seal_table(ROOT_AT, 44);
	assert_int_equal(read_tables(&m), 0);
	assert_int_equal(m.cpu_count, 2);
}

static void takes_the_rsdt_when_the_xsdt_is_bad(void **state)
{
	struct machine m;

	(void)state;
	put(RSDP_AT + 16, ROOT_AT, 4);
	put(RSDP_AT + 24, MEMORY_BASE + 0x3800, 8);
	seal_rsdp();
	memcpy(at(ROOT_AT), "RSDT", 4);
	put(ROOT_AT + 36, MADT_AT, 4);
	seal_table(ROOT_AT, 40);
	assert_int_equal(read_tables(&m), 0);
	assert_int_equal(m.cpu_count, 2);
	assert_int_equal(m.pm_timer.space, SPACE_NONE);
}

static void counts_a_cpu_once_and_only_when_enabled(void **state)
{
	static const uint8_t again[16] = {9, 16, 0, 0, 2, 0, 0, 0, 1};
	static const uint8_t large[16] = {9, 16, 0, 0, 0x34, 0x12, 0, 0, 1};
	struct machine m;

	(void)state;
	add_cpu(7, 0);
	add_madt(again, sizeof(again));
	add_madt(large, sizeof(large));
	assert_int_equal(read_tables(&m), 0);
	assert_int_equal(m.cpu_count, 3);
	assert_int_equal(m.apic_ids[2], 0x1234);
}

static void keeps_to_the_size_of_its_arrays(void **state)
{
	struct machine m;

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		uint8_t ioapic[12] = {1, 12, 0, 0, 0, 0, 0xc0, 0xfe, (uint8_t)i};
		uint8_t foreign[10] = {2, 10, 0, (uint8_t)(16 + i), 1};

		add_madt(ioapic, sizeof(ioapic));
		add_madt(foreign, sizeof(foreign));
	}
	for (unsigned i = 0; i < BOOT_CPU_MAX + 8; i++) {
		uint8_t x2apic[16] = {9, 16, 0, 0, (uint8_t)i, (uint8_t)(1 + i / 256), 0, 0, 1};

		add_madt(x2apic, sizeof(x2apic));
	}
	assert_int_equal(read_tables(&m), 0);
	assert_int_equal(m.ioapic_count, MACHINE_IOAPIC_MAX);
	assert_int_equal(m.cpu_count, BOOT_CPU_MAX);
	assert_int_equal(m.irqs[ISA_IRQ_COUNT - 1].gsi, ISA_IRQ_COUNT - 1);
}

static void expect_refusal(void)
{
	static const struct machine empty;
	struct machine m;

	assert_int_equal(read_tables(&m), -EINVAL);
	assert_memory_equal(&m, &empty, sizeof(m));
}

static void refuses_a_bad_rsdp(void **state)
{
	(void)state;
	*at(RSDP_AT) ^= 1;
	seal_rsdp();
	expect_refusal();
	write_tables();
	*at(RSDP_AT + 10) ^= 1; /* the checksum is wrong now */
	expect_refusal();
	write_tables();
	put(RSDP_AT + 24, UINT64_MAX - 8, 8);
	seal_rsdp();
	expect_refusal();
}

static void refuses_a_wrong_checksum(void **state)
{
	(void)state;
	*at(MADT_AT + HEADER_CHECKSUM) ^= 1;
	expect_refusal();
	write_tables();
	*at(ROOT_AT + HEADER_CHECKSUM) ^= 1;
	expect_refusal();
}

static void refuses_lengths_that_lie(void **state)
{
	static const uint32_t lengths[] = {0, 8, 35, MEMORY_SIZE, 2 << 20, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		write_tables();
		put(ROOT_AT + HEADER_LENGTH, lengths[i], 4);
		expect_refusal();
		write_tables();
		put(MADT_AT + HEADER_LENGTH, lengths[i], 4);
		expect_refusal();
	}
}

static void refuses_madt_entries_that_lie(void **state)
{
	static const uint8_t lengths[] = {0, 1, 9, 255};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint8_t entry[8] = {0, lengths[i], 0, 5, 1};

		write_tables();
		add_madt(entry, sizeof(entry));
		expect_refusal();
	}
}

static void skips_madt_entries_that_are_short(void **state)
{
	static const uint8_t shorts[] = {0, 4, 0, 9, 1, 4, 0, 0, 2, 4, 0, 0, 9, 4, 0, 0, 77, 2};
	struct machine m;

	(void)state;
	add_madt(shorts, sizeof(shorts));
	assert_int_equal(read_tables(&m), 0);
	assert_int_equal(m.cpu_count, 2);
	assert_int_equal(m.ioapic_count, 1);
}

static void leaves_out_what_a_short_fadt_lacks(void **state)
{
	struct machine m;

	(void)state;
	seal_table(FADT_AT, 116);
	assert_int_equal(read_tables(&m), 0);
	assert_int_equal(m.pm_timer.address, 0x608);
	assert_int_equal(m.reset.space, SPACE_NONE);
	seal_table(FADT_AT, 40);
	assert_int_equal(read_tables(&m), 0);
	assert_int_equal(m.pm_timer.space, SPACE_NONE);
}

/* Whatever the tables hold, as long as their checksums are good. */
static void survives_random_tables(void **state)
{
	static const uint64_t tables[] = {ROOT_AT, MADT_AT, FADT_AT, MCFG_AT};
	struct machine m;

	(void)state;
	srand(1);
	for (int i = 0; i < 20000; i++) {
		write_tables();
		for (int changes = rand() % 8; changes >= 0; changes--) {
			uint64_t table = tables[rand() % 4];
			uint32_t length = 36 + (uint32_t)rand() % 300;

			put(table + (uint32_t)rand() % length, (uint64_t)rand(), 1);
			seal_table(table, length);
		}
		if (read_tables(&m) == 0) {
			assert_in_range(m.cpu_count, 1, BOOT_CPU_MAX);
			assert_in_range(m.ioapic_count, 0, MACHINE_IOAPIC_MAX);
			assert_in_range(m.ecam_count, 0, MACHINE_ECAM_MAX);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_what_the_tables_say, setup),
		cmocka_unit_test_setup(reads_every_range_of_ecam, setup),
		cmocka_unit_test_setup(leaves_out_impossible_ranges_of_ecam, setup),
		cmocka_unit_test_setup(does_without_a_usable_mcfg, setup),
		cmocka_unit_test_setup(prefers_the_64_bit_timer_address, setup),
		cmocka_unit_test_setup(follows_an_rsdt_of_old, setup),
		cmocka_unit_test_setup(takes_the_rsdt_when_the_xsdt_is_bad, setup),
		cmocka_unit_test_setup(counts_a_cpu_once_and_only_when_enabled, setup),
		cmocka_unit_test_setup(keeps_to_the_size_of_its_arrays, setup),
		cmocka_unit_test_setup(refuses_a_bad_rsdp, setup),
		cmocka_unit_test_setup(refuses_a_wrong_checksum, setup),
		cmocka_unit_test_setup(refuses_lengths_that_lie, setup),
		cmocka_unit_test_setup(refuses_madt_entries_that_lie, setup),
		cmocka_unit_test_setup(skips_madt_entries_that_are_short, setup),
		cmocka_unit_test_setup(leaves_out_what_a_short_fadt_lacks, setup),
		cmocka_unit_test_setup(survives_random_tables, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
