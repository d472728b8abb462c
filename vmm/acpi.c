/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/acpi.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "vmm/machine.h"

#define PACKED __attribute__((packed))

/* ---- DSDT: AML by hand (ACPI Specification, chapter 20) ------------------------- */

#define WORD(x) (x) & 0xff, (x) >> 8 & 0xff
#define DWORD(x) WORD((x)&0xffff), WORD((x) >> 16)
#define RANGE_WORDS(first, last) WORD(first), WORD(last), WORD(0), WORD((last) - (first) + 1)
#define RANGE_DWORDS(first, last) DWORD(first), DWORD(last), DWORD(0), DWORD((last) - (first) + 1)

#define AML_NAME 0x08
#define AML_BUFFER 0x11
#define AML_PACKAGE 0x12
#define AML_SCOPE 0x10
#define AML_DEVICE 0x5b, 0x82
#define AML_BYTE 0x0a
#define AML_EISA_ID 0x0c /* a DWORD: "PNP" compressed, then the number big-endian */
#define PNP(high, low) AML_EISA_ID, 0x41, 0xd0, high, low
#define PKG_LENGTH(n) (n) /* itself included, up to 63 */
#define PKG_LENGTH_2(n) 0x40 | ((n)&0xf), (n) >> 4 /* of two bytes */

/* Resource descriptors (chapter 6.4). */
#define IO_PORTS(port, count) 0x47, 0x01, WORD(port), WORD(port), 0x01, count
#define IRQ(n) 0x22, WORD(1 << (n))
#define BUS_RANGE(first, last) 0x88, WORD(13), 0x02, 0x0c, 0x00, WORD(0), RANGE_WORDS(first, last)
#define IO_RANGE(first, last) 0x88, WORD(13), 0x01, 0x0c, 0x03, WORD(0), RANGE_WORDS(first, last)
#define MEMORY_RANGE(first, last) \
	0x87, WORD(23), 0x00, 0x0c, 0x01, DWORD(0), RANGE_DWORDS(first, last)
#define END_TAG 0x79, 0x00

/* clang-format off */
static const uint8_t aml[] = {
	/* Name (_S5, Package { 5, 5, 0, 0 }): SLP_TYP of power-off */
	AML_NAME, '_', 'S', '5', '_', AML_PACKAGE, PKG_LENGTH(8), 4,
		AML_BYTE, MACHINE_SLEEP_TYPE_S5, AML_BYTE, MACHINE_SLEEP_TYPE_S5, 0, 0,

	/* Scope (\_SB) */
	AML_SCOPE, PKG_LENGTH_2(197), '\\', '_', 'S', 'B', '_',

	/* Device (PCI0): _HID PNP0A03 and what the bridge passes on */
	AML_DEVICE, PKG_LENGTH_2(110), 'P', 'C', 'I', '0',
		AML_NAME, '_', 'H', 'I', 'D', PNP(0x0a, 0x03),
		AML_NAME, '_', 'C', 'R', 'S', AML_BUFFER, PKG_LENGTH_2(88), AML_BYTE, 84,
			BUS_RANGE(0, 0xff),
			IO_PORTS(MACHINE_PORT_PCI_ADDRESS, 8),
			IO_RANGE(0, 0xcf7),
			IO_RANGE(0xd00, 0xffff),
			MEMORY_RANGE(MACHINE_PCI_WINDOW_BASE, MACHINE_PCI_WINDOW_END),
			END_TAG,

	/* Device (RTC0): _HID PNP0B00, IRQ 8 */
	AML_DEVICE, PKG_LENGTH(37), 'R', 'T', 'C', '0',
		AML_NAME, '_', 'H', 'I', 'D', PNP(0x0b, 0x00),
		AML_NAME, '_', 'C', 'R', 'S', AML_BUFFER, PKG_LENGTH(16), AML_BYTE, 13,
			IO_PORTS(MACHINE_PORT_RTC, 2),
			IRQ(MACHINE_IRQ_RTC),
			END_TAG,

	/* Device (COM1): _HID PNP0501, IRQ 4 */
	AML_DEVICE, PKG_LENGTH(37), 'C', 'O', 'M', '1',
		AML_NAME, '_', 'H', 'I', 'D', PNP(0x05, 0x01),
		AML_NAME, '_', 'C', 'R', 'S', AML_BUFFER, PKG_LENGTH(16), AML_BYTE, 13,
			IO_PORTS(MACHINE_PORT_UART, 8),
			IRQ(MACHINE_IRQ_UART),
			END_TAG,
};
/* clang-format on */

/* ---- Tables (chapter 5.2) ---------------------------------------------------------- */

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} PACKED;
_Static_assert(sizeof(struct header) == 36, "ACPI 5.2.6");

struct rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt_address;
	uint32_t length;
	uint64_t xsdt_address;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} PACKED;
_Static_assert(sizeof(struct rsdp) == 36, "ACPI 5.2.5.3");

struct address {
	uint8_t space, bit_width, bit_offset, access_size;
	uint64_t address;
} PACKED;
#define IO_ADDRESS(port, bytes)                                     \
	{                                                           \
		1, (bytes)*8, 0, (bytes) == 4 ? 3 : (bytes), (port) \
	}

struct fadt {
	struct header header;
	uint32_t facs, dsdt;
	uint8_t reserved, preferred_profile;
	uint16_t sci_interrupt;
	uint32_t smi_command; /* 0: ACPI is always on */
	uint8_t acpi_enable, acpi_disable, s4bios_request, pstate_control;
	uint32_t pm1a_event_block, pm1b_event_block;
	uint32_t pm1a_control_block, pm1b_control_block;
	uint32_t pm2_control_block, pm_timer_block, gpe0_block, gpe1_block;
	uint8_t pm1_event_length, pm1_control_length, pm2_control_length;
	uint8_t pm_timer_length, gpe0_length, gpe1_length, gpe1_base, cst_control;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_flags;
	uint8_t reserved_2;
	uint32_t flags;
	struct address reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_flags;
	uint8_t minor_revision;
	uint64_t x_facs, x_dsdt;
	struct address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control;
	struct address x_pm2_control, x_pm_timer, x_gpe0, x_gpe1;
} PACKED;
_Static_assert(sizeof(struct fadt) == 244, "ACPI 2.0: revision 3");

#define BOOT_LEGACY_DEVICES BIT(0)
#define BOOT_NO_VGA BIT(2)
/* Not set: bit 1, there is an 8042. Linux then does not look for a keyboard. */

#define FADT_WBINVD BIT(0)
#define FADT_C1 BIT(2)
#define FADT_NO_POWER_BUTTON BIT(4)
#define FADT_NO_SLEEP_BUTTON BIT(5)
#define FADT_NO_RTC_WAKE BIT(6)
#define FADT_TIMER_32 BIT(8)
#define FADT_RESET_REGISTER BIT(10)

struct facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
} PACKED;
_Static_assert(sizeof(struct facs) == 64, "ACPI 5.2.10");

struct madt_cpu {
	uint8_t type, length, processor_uid, apic_id;
	uint32_t flags;
} PACKED;

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} PACKED;

struct madt_override {
	uint8_t type, length, bus, irq;
	uint32_t gsi;
	uint16_t flags;
} PACKED;

struct madt_nmi {
	uint8_t type, length, processor_uid;
	uint16_t flags;
	uint8_t lint;
} PACKED;

struct madt {
	struct header header;
	uint32_t lapic_address, flags;
	struct madt_ioapic ioapic;
	struct madt_override timer, sci;
	struct madt_nmi nmi;
	struct madt_cpu cpus[ACPI_CPU_COUNT_MAX];
} PACKED;

#define MADT_PC_COMPATIBLE 1 /* there is a pair of 8259s */
#define MADT_CPU_ENABLED 1
#define MADT_ALL_CPUS 0xff
#define MADT_LEVEL_HIGH 0x000d

struct xsdt {
	struct header header;
	uint64_t fadt, madt;
} PACKED;

struct dsdt {
	struct header header;
	uint8_t aml[sizeof(aml)];
} PACKED;

/* ---- Building -------------------------------------------------------------------------- */

#define ALIGNED __attribute__((aligned(64))) /* FACS wants it */

/* As they lie in the guest's memory. */
struct tables {
	struct rsdp rsdp ALIGNED;
	struct facs facs ALIGNED;
	struct xsdt xsdt ALIGNED;
	struct fadt fadt ALIGNED;
	struct dsdt dsdt ALIGNED;
	struct madt madt ALIGNED;
};
_Static_assert(sizeof(struct tables) <= MACHINE_ACPI_SIZE, "they fit");
_Static_assert(MACHINE_ACPI_BASE % 64 == 0, "they stay aligned");

#define ADDRESS_OF(table) (MACHINE_ACPI_BASE + offsetof(struct tables, table))

/* All but the number of CPUs, headers and checksums. */
static const struct tables template = {
	.rsdp =
		{
			.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
			.oem_id = "DYAD  ",
			.revision = 2,
			.length = sizeof(struct rsdp),
			.xsdt_address = ADDRESS_OF(xsdt),
		},
	.facs = {.signature = "FACS", .length = sizeof(struct facs), .version = 1},
	.xsdt = {.fadt = ADDRESS_OF(fadt), .madt = ADDRESS_OF(madt)},
	.fadt =
		{
			.facs = ADDRESS_OF(facs),
			.dsdt = ADDRESS_OF(dsdt),
			.sci_interrupt = MACHINE_IRQ_SCI,
			.pm1a_event_block = MACHINE_PORT_PM1_EVENT,
			.pm1a_control_block = MACHINE_PORT_PM1_CONTROL,
			.pm_timer_block = MACHINE_PORT_PM_TIMER,
			.pm1_event_length = 4,
			.pm1_control_length = 2,
			.pm_timer_length = 4,
			.c2_latency = 0xfff, /* more than 100 and 1000 us: there is none */
			.c3_latency = 0xfff,
			.century = MACHINE_CMOS_CENTURY,
			.boot_flags = BOOT_LEGACY_DEVICES | BOOT_NO_VGA,
			.flags = FADT_WBINVD | FADT_C1 | FADT_NO_POWER_BUTTON |
				 FADT_NO_SLEEP_BUTTON | FADT_NO_RTC_WAKE | FADT_TIMER_32 |
				 FADT_RESET_REGISTER,
			.reset_register = IO_ADDRESS(MACHINE_PORT_RESET, 1),
			.reset_value = MACHINE_RESET_VALUE,
			.x_facs = ADDRESS_OF(facs),
			.x_dsdt = ADDRESS_OF(dsdt),
			.x_pm1a_event = IO_ADDRESS(MACHINE_PORT_PM1_EVENT, 4),
			.x_pm1a_control = IO_ADDRESS(MACHINE_PORT_PM1_CONTROL, 2),
			.x_pm_timer = IO_ADDRESS(MACHINE_PORT_PM_TIMER, 4),
		},
	.madt =
		{
			.lapic_address = MACHINE_LAPIC_BASE,
			.flags = MADT_PC_COMPATIBLE,
			.ioapic = {1, sizeof(struct madt_ioapic), MACHINE_IOAPIC_ID, 0,
				   MACHINE_IOAPIC_BASE, 0},
			.timer = {2, sizeof(struct madt_override), 0, MACHINE_IRQ_PIT,
				  MACHINE_PIN_PIT, 0},
			.sci = {2, sizeof(struct madt_override), 0, MACHINE_IRQ_SCI,
				MACHINE_IRQ_SCI, MADT_LEVEL_HIGH},
			.nmi = {4, sizeof(struct madt_nmi), MADT_ALL_CPUS, 0, 1},
		},
};

static uint8_t checksum(const void *data, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++) {
		sum += ((const uint8_t *)data)[i];
	}
	return -sum;
}

static void finish(struct header *table, const char *signature, unsigned revision, size_t size)
{
	*table = (struct header){
		.length = size,
		.revision = revision,
		.oem_id = "DYAD  ",
		.oem_table_id = "DYAD-1  ",
		.oem_revision = 1,
		.creator_id = "DYAD",
		.creator_revision = 1,
	};
	memcpy(table->signature, signature, 4);
	table->checksum = checksum(table, size);
}

int acpi_build(struct guest_memory *memory, unsigned cpu_count, gpa_t *rsdp)
{
	struct tables tables;
	struct madt_cpu *cpus = tables.madt.cpus;

	CHECK(cpu_count >= 1 && cpu_count <= ACPI_CPU_COUNT_MAX);
	/* No assignment: the guest sees what is between the tables too. */
	memcpy(&tables, &template, sizeof(tables));
	for (unsigned i = 0; i < cpu_count; i++) {
		cpus[i] = (struct madt_cpu){0, sizeof(cpus[i]), i, i, MADT_CPU_ENABLED};
	}
	memcpy(tables.dsdt.aml, aml, sizeof(aml));
	finish(&tables.xsdt.header, "XSDT", 1, sizeof(tables.xsdt));
	finish(&tables.fadt.header, "FACP", 3, sizeof(tables.fadt));
	finish(&tables.dsdt.header, "DSDT", 2, sizeof(tables.dsdt));
	finish(&tables.madt.header, "APIC", 3,
	       offsetof(struct madt, cpus) + cpu_count * sizeof(cpus[0]));
	tables.rsdp.checksum = checksum(&tables.rsdp, offsetof(struct rsdp, length));
	tables.rsdp.extended_checksum = checksum(&tables.rsdp, sizeof(tables.rsdp));
	*rsdp = GPA(ADDRESS_OF(rsdp));
	return memory_write(memory, *rsdp, &tables, sizeof(tables));
}
