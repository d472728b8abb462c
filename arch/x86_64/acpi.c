/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/acpi.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"

#define TABLE_SIZE_MAX (1 * MIB)
#define ADDRESS_MAX BITS(51, 0) /* of any CPU */

/* ACPI 6.4, 5.2.5.3 */
struct rsdp {
	char signature[8];
	uint8_t checksum; /* over the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	/* from revision 2 on */
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum; /* over all */
	uint8_t reserved[3];
} __attribute__((packed));

#define RSDP_SIZE_1 20
_Static_assert(sizeof(struct rsdp) == 36, "ACPI 6.4, table 5.27");

/* 5.2.6 */
struct header {
	char signature[4];
	uint32_t length; /* of the whole table */
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	uint32_t creator_id;
	uint32_t creator_revision;
} __attribute__((packed));

_Static_assert(sizeof(struct header) == 36, "ACPI 6.4, table 5.28");

/* Generic address structure, 5.2.3.2 */
struct address {
	uint8_t space;
	uint8_t width, offset, access;
	uint64_t address;
} __attribute__((packed));

#define ADDRESS_SPACE_MEMORY 0
#define ADDRESS_SPACE_PORT 1

/* FADT, 5.2.9: offsets from the start of the table */
#define FADT_PM_TIMER_PORT 76
#define FADT_FLAGS 112
#define FADT_FLAGS_RESET BIT(10)
#define FADT_RESET 116
#define FADT_RESET_VALUE 128
#define FADT_X_PM_TIMER 208

/* MADT, 5.2.12 */
#define MADT_ENTRIES 44
#define MADT_ENABLED BIT(0)

struct madt_local_apic { /* type 0 */
	uint8_t type, length;
	uint8_t uid, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic { /* type 1 */
	uint8_t type, length;
	uint8_t id, reserved;
	uint32_t address;
	uint32_t gsi_base;
} __attribute__((packed));

struct madt_override { /* type 2 */
	uint8_t type, length;
	uint8_t bus, irq;
	uint32_t gsi;
	uint16_t flags;
} __attribute__((packed));

#define OVERRIDE_POLARITY BITS(1, 0)
#define OVERRIDE_POLARITY_LOW 3
#define OVERRIDE_TRIGGER BITS(3, 2)
#define OVERRIDE_TRIGGER_LEVEL 3

struct madt_x2apic { /* type 9 */
	uint8_t type, length;
	uint16_t reserved;
	uint32_t apic_id;
	uint32_t flags;
	uint32_t uid;
} __attribute__((packed));

/* MCFG, PCI firmware specification 3.2, 4.1.2 */
#define MCFG_ENTRIES 44
#define BUS_SIZE MIB /* of configuration space */

struct mcfg_range {
	uint64_t base;
	uint16_t segment;
	uint8_t bus_first, bus_last;
	uint32_t reserved;
} __attribute__((packed));

static bool sum_is_zero(const void *bytes, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
	}
	return sum == 0;
}

/* The table at `hpa`, whole and with a good checksum, or NULL. */
static const struct header *table_at(const struct acpi_source *source, hpa_t hpa)
{
	const struct header *table = source->map(source->context, hpa, sizeof(*table));

	if (!table) {
		log_warn("ACPI: no memory at 0x%lx, where a table should be", hpa.v);
		return NULL;
	}
	uint32_t length = table->length;
	if (length < sizeof(*table) || length > TABLE_SIZE_MAX) {
		log_warn("ACPI: table %.4s at 0x%lx has the impossible length %u", table->signature,
			 hpa.v, length);
		return NULL;
	}
	table = source->map(source->context, hpa, length);
	if (!table || !sum_is_zero(table, length)) {
		log_warn("ACPI: table at 0x%lx has a wrong checksum", hpa.v);
		return NULL;
	}
	return table;
}

/* The XSDT, or the RSDT where there is none. */
static const struct header *root_table(const struct acpi_source *source, hpa_t hpa)
{
	const struct rsdp *rsdp = source->map(source->context, hpa, RSDP_SIZE_1);
	const struct header *root = NULL;

	if (!rsdp || memcmp(rsdp->signature, "RSD PTR ", 8) != 0 ||
	    !sum_is_zero(rsdp, RSDP_SIZE_1)) {
		log_warn("ACPI: no valid RSDP at 0x%lx", hpa.v);
		return NULL;
	}
	if (rsdp->revision >= 2) {
		rsdp = source->map(source->context, hpa, sizeof(*rsdp));
		if (rsdp && rsdp->xsdt != 0 && sum_is_zero(rsdp, sizeof(*rsdp))) {
			root = table_at(source, HPA(rsdp->xsdt));
		}
		if (root && memcmp(root->signature, "XSDT", 4) == 0) {
			return root;
		}
	}
	if (rsdp && rsdp->rsdt != 0) {
		root = table_at(source, HPA(rsdp->rsdt));
		if (root && memcmp(root->signature, "RSDT", 4) == 0) {
			return root;
		}
	}
	log_warn("ACPI: the RSDP leads to no valid XSDT or RSDT");
	return NULL;
}

static const struct header *find_table(const struct acpi_source *source, const struct header *root,
				       const char *signature)
{
	size_t entry_size = root->signature[0] == 'X' ? 8 : 4;
	size_t count = (root->length - sizeof(*root)) / entry_size;
	const uint8_t *entry = (const uint8_t *)(root + 1);

	for (size_t i = 0; i < count; i++, entry += entry_size) {
		uint64_t address = 0;

		memcpy(&address, entry, entry_size);
		const char *found = source->map(source->context, HPA(address), 4);
		if (found && memcmp(found, signature, 4) == 0) {
			return table_at(source, HPA(address));
		}
	}
	return NULL;
}

static void add_cpu(struct machine *out, uint32_t apic_id, uint32_t flags)
{
	if (!(flags & MADT_ENABLED)) {
		return;
	}
	/* Firmware may list a CPU in both formats. */
	for (unsigned i = 0; i < out->cpu_count; i++) {
		if (out->apic_ids[i] == apic_id) {
			return;
		}
	}
	if (out->cpu_count < ARRAY_SIZE(out->apic_ids)) {
		out->apic_ids[out->cpu_count++] = apic_id;
	}
}

static void add_ioapic(struct machine *out, const struct madt_ioapic *entry)
{
	if (out->ioapic_count < MACHINE_IOAPIC_MAX) {
		out->ioapics[out->ioapic_count++] = (struct machine_ioapic){
			.base = HPA(entry->address),
			.gsi_base = entry->gsi_base,
		};
	}
}

/* "Conforms to the bus" is edge, active high: the bus is ISA. */
static void add_override(struct machine *out, const struct madt_override *entry)
{
	if (entry->irq < ISA_IRQ_COUNT) {
		out->irqs[entry->irq] = (struct machine_irq){
			.gsi = entry->gsi,
			.level =
				field_get(OVERRIDE_TRIGGER, entry->flags) == OVERRIDE_TRIGGER_LEVEL,
			.active_low =
				field_get(OVERRIDE_POLARITY, entry->flags) == OVERRIDE_POLARITY_LOW,
		};
	}
}

static void read_madt_entry(struct machine *out, const uint8_t *entry)
{
	const void *any = entry;
	const struct madt_local_apic *local = any;
	const struct madt_x2apic *x2apic = any;

	/* entry[1], its length, is at most what is left of the table. */
	if (entry[0] == 0 && entry[1] >= sizeof(struct madt_local_apic)) {
		add_cpu(out, local->apic_id, local->flags);
	} else if (entry[0] == 1 && entry[1] >= sizeof(struct madt_ioapic)) {
		add_ioapic(out, any);
	} else if (entry[0] == 2 && entry[1] >= sizeof(struct madt_override)) {
		add_override(out, any);
	} else if (entry[0] == 9 && entry[1] >= sizeof(struct madt_x2apic)) {
		add_cpu(out, x2apic->apic_id, x2apic->flags);
	}
}

static int read_madt(struct machine *out, const struct header *madt)
{
	const uint8_t *bytes = (const uint8_t *)madt;
	uint32_t offset = MADT_ENTRIES;

	while (offset + 2 <= madt->length) {
		uint8_t length = bytes[offset + 1];

		if (length < 2 || length > madt->length - offset) {
			log_warn("ACPI: MADT entry at offset %u has the impossible length %u",
				 offset, length);
			return -EINVAL;
		}
		read_madt_entry(out, bytes + offset);
		offset += length;
	}
	return out->cpu_count > 0 ? 0 : -EINVAL;
}

/* The register at `offset` of the FADT, absent when the table ends before it. */
static struct machine_register read_register(const struct header *fadt, uint32_t offset)
{
	struct machine_register result = {.space = SPACE_NONE};
	struct address address;

	if (offset + sizeof(address) > fadt->length) {
		return result;
	}
	memcpy(&address, (const uint8_t *)fadt + offset, sizeof(address));
	if (address.address == 0) {
		return result;
	}
	if (address.space == ADDRESS_SPACE_MEMORY) {
		result.space = SPACE_MEMORY;
	} else if (address.space == ADDRESS_SPACE_PORT && address.address <= UINT16_MAX) {
		result.space = SPACE_PORT;
	}
	result.address = address.address;
	return result;
}

static uint32_t read_word(const struct header *fadt, uint32_t offset)
{
	uint32_t word = 0;

	if (offset + sizeof(word) <= fadt->length) {
		memcpy(&word, (const uint8_t *)fadt + offset, sizeof(word));
	}
	return word;
}

static void read_fadt(struct machine *out, const struct header *fadt)
{
	out->pm_timer = read_register(fadt, FADT_X_PM_TIMER);
	if (out->pm_timer.space == SPACE_NONE) {
		uint32_t port = read_word(fadt, FADT_PM_TIMER_PORT);

		if (port != 0 && port <= UINT16_MAX) {
			out->pm_timer.space = SPACE_PORT;
			out->pm_timer.address = port;
		}
	}
	if (read_word(fadt, FADT_FLAGS) & FADT_FLAGS_RESET && fadt->length > FADT_RESET_VALUE) {
		out->reset = read_register(fadt, FADT_RESET);
		out->reset_value = ((const uint8_t *)fadt)[FADT_RESET_VALUE];
	}
}

static void read_mcfg(struct machine *out, const struct header *mcfg)
{
	struct mcfg_range range;
	uint32_t offset = MCFG_ENTRIES;

	for (; offset + sizeof(range) <= mcfg->length && out->ecam_count < MACHINE_ECAM_MAX;
	     offset += sizeof(range)) {
		memcpy(&range, (const uint8_t *)mcfg + offset, sizeof(range));
		if (range.base == 0 || !is_aligned(range.base, BUS_SIZE) ||
		    range.base > ADDRESS_MAX || range.bus_first > range.bus_last) {
			log_warn("ACPI: MCFG has an impossible range at 0x%lx, buses %u to %u",
				 range.base, range.bus_first, range.bus_last);
			continue;
		}
		out->ecams[out->ecam_count++] = (struct pci_ecam){
			.base = HPA(range.base),
			.segment = range.segment,
			.bus_first = range.bus_first,
			.bus_last = range.bus_last,
		};
	}
}

int acpi_read(const struct acpi_source *source, hpa_t rsdp, struct machine *out)
{
	const struct header *root = root_table(source, rsdp);
	const struct header *madt = root ? find_table(source, root, "APIC") : NULL;
	const struct header *fadt = root ? find_table(source, root, "FACP") : NULL;
	const struct header *mcfg = root ? find_table(source, root, "MCFG") : NULL;

	memset(out, 0, sizeof(*out));
	for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++) {
		out->irqs[irq].gsi = irq;
	}
	if (!madt || read_madt(out, madt) != 0) {
		log_warn("ACPI: no usable MADT (table APIC)");
		memset(out, 0, sizeof(*out));
		return -EINVAL;
	}
	if (fadt) {
		read_fadt(out, fadt);
	}
	if (mcfg) {
		read_mcfg(out, mcfg);
	}
	return 0;
}
