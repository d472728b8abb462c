/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI functions: see pci.h. Registers as in PCI Local Bus 3.0, chapter 6, and
 * PCI Bus Power Management 1.2.
 *
 * All buses are looked at, not only those that a bridge leads to: machines with
 * several host bridges have several roots, which only ACPI's byte code names.
 * Bridges are left as the firmware set them.
 */
#include "drivers/pci.h"

#include <errno.h>
#include <stdio.h>

#include "arch/x86_64/arch.h"
#include "base/bits.h"
#include "base/check.h"
#include "base/log.h"

/* Configuration mechanism 1 (PCI 3.0, 3.2.2.3.2). */
#define CONFIG_ADDRESS 0xcf8
#define CONFIG_ENABLE BIT(31)
#define CONFIG_BUS BITS(23, 16)
#define CONFIG_SLOT BITS(15, 11)
#define CONFIG_FUNCTION BITS(10, 8)
#define CONFIG_REGISTER BITS(7, 2)
#define CONFIG_DATA 0xcfc
#define CONFIG_SIZE 256

/* ECAM (PCI Express base 4.0, 7.2.2). */
#define ECAM_BUS BITS(27, 20)
#define ECAM_SLOT BITS(19, 15)
#define ECAM_FUNCTION BITS(14, 12)
#define ECAM_BUS_SIZE MIB
#define ECAM_SIZE 4096

/* The common header, and that of type 0. */
#define COMMAND_IO BIT(0)
#define COMMAND_MEMORY BIT(1)
#define COMMAND_MASTER BIT(2)
#define COMMAND_INTX_OFF BIT(10)
#define STATUS_CAPABILITIES BIT(4)
#define REG_CLASS 0x08 /* revision in bits 7:0 */
#define CLASS_CODE BITS(31, 8)
#define CLASS_BASE BITS(23, 16)
#define CLASS_BASE_BRIDGE 0x06
#define REG_HEADER_TYPE 0x0e
#define HEADER_LAYOUT BITS(6, 0)
#define HEADER_MULTI_FUNCTION BIT(7)
#define REG_BAR 0x10
#define BAR_IO BIT(0)
#define BAR_IO_ADDRESS BITS(31, 2)
#define BAR_MEMORY_TYPE BITS(2, 1)
#define BAR_MEMORY_64 2
#define BAR_MEMORY_ADDRESS BITS(63, 4)
#define REG_CAPABILITIES 0x34
#define REG_INTERRUPT_LINE 0x3c
#define REG_INTERRUPT_PIN 0x3d
#define IRQ_MAX 15

#define SLOT_COUNT 32
#define FUNCTION_COUNT 8
#define VENDOR_NONE 0xffff

/* Capabilities start behind the header and are aligned to four (6.7). */
#define CAPABILITY_FIRST 0x40
#define CAPABILITY_MAX ((CONFIG_SIZE - CAPABILITY_FIRST) / 4)
#define CAPABILITY_NEXT 1

/* Power management (PCI PM 1.2, 3.2). */
#define PCI_CAP_POWER 0x01
#define POWER_CONTROL 4
#define POWER_STATE BITS(1, 0) /* 0: D0 */
#define POWER_UP_US 10000 /* from D3hot (5.4, table 5-6) */

/* MSI (6.8.1): the places of data and mask depend on the address's size. */
#define MSI_CONTROL 2
#define MSI_CONTROL_ENABLE BIT(0)
#define MSI_CONTROL_COUNT BITS(6, 4) /* 0: one vector */
#define MSI_CONTROL_64 BIT(7)
#define MSI_CONTROL_MASK BIT(8)
#define MSI_ADDRESS 4
#define MSI_ADDRESS_HIGH 8
#define MSI_DATA_32 8
#define MSI_DATA_64 12

/* MSI-X (6.8.2). */
#define MSIX_CONTROL 2
#define MSIX_CONTROL_LAST BITS(10, 0) /* entries, less one */
#define MSIX_CONTROL_MASK BIT(14)
#define MSIX_CONTROL_ENABLE BIT(15)
#define MSIX_TABLE 4
#define MSIX_TABLE_BAR BITS(2, 0)
#define MSIX_TABLE_OFFSET BITS(31, 3)
#define MSIX_ENTRY_SIZE 16
#define MSIX_ENTRY_ADDRESS 0
#define MSIX_ENTRY_ADDRESS_HIGH 4
#define MSIX_ENTRY_DATA 8
#define MSIX_ENTRY_CONTROL 12
#define MSIX_ENTRY_MASKED BIT(0)

#define ECAM_MAX 16

static struct {
	struct pci_ecam range;
	uint8_t *registers; /* of bus_first */
} ecams[ECAM_MAX];
static unsigned ecam_count;

static struct pci_device devices[PCI_DEVICE_MAX];
static unsigned device_count, device_lost;

/* ---- Configuration registers ------------------------------------------------ */

/* The register by ECAM, or NULL when there is none. */
static void *ecam_register(const struct pci_device *device, unsigned offset)
{
	for (unsigned i = 0; i < ecam_count; i++) {
		const struct pci_ecam *range = &ecams[i].range;

		if (device->segment == range->segment && device->bus >= range->bus_first &&
		    device->bus <= range->bus_last && offset < ECAM_SIZE) {
			return ecams[i].registers +
			       field_set(ECAM_BUS, device->bus - range->bus_first) +
			       field_set(ECAM_SLOT, device->slot) +
			       field_set(ECAM_FUNCTION, device->function) + offset;
		}
	}
	return NULL;
}

/* Mechanism 1: the data port of the register, or 0 when there is none. */
static uint16_t select_port(const struct pci_device *device, unsigned offset)
{
	if (ecam_count != 0 || offset >= CONFIG_SIZE) {
		return 0;
	}
	io_write32(CONFIG_ADDRESS, (uint32_t)(CONFIG_ENABLE | field_set(CONFIG_BUS, device->bus) |
					      field_set(CONFIG_SLOT, device->slot) |
					      field_set(CONFIG_FUNCTION, device->function) |
					      (offset & CONFIG_REGISTER)));
	return (uint16_t)(CONFIG_DATA + offset % 4);
}

#define CONFIG_ACCESSORS(bits)                                                          \
	uint##bits##_t pci_read##bits(const struct pci_device *device, unsigned offset) \
	{                                                                               \
		void *reg = ecam_register(device, offset);                              \
                                                                                        \
		CHECK(is_aligned(offset, bits / 8));                                    \
		if (reg) {                                                              \
			return mmio_read##bits(reg);                                    \
		}                                                                       \
		uint16_t port = select_port(device, offset);                            \
		return port != 0 ? io_read##bits(port) : UINT##bits##_MAX;              \
	}                                                                               \
                                                                                        \
	void pci_write##bits(const struct pci_device *device, unsigned offset,          \
			     uint##bits##_t value)                                      \
	{                                                                               \
		void *reg = ecam_register(device, offset);                              \
                                                                                        \
		CHECK(is_aligned(offset, bits / 8));                                    \
		if (reg) {                                                              \
			mmio_write##bits(reg, value);                                   \
			return;                                                         \
		}                                                                       \
		uint16_t port = select_port(device, offset);                            \
		if (port != 0) {                                                        \
			io_write##bits(port, value);                                    \
		}                                                                       \
	}

CONFIG_ACCESSORS(8)
CONFIG_ACCESSORS(16)
CONFIG_ACCESSORS(32)

static void command_change(const struct pci_device *device, uint64_t clear, uint64_t set)
{
	uint16_t command = pci_read16(device, PCI_COMMAND);

	pci_write16(device, PCI_COMMAND, (uint16_t)((command & ~clear) | set));
}

unsigned pci_capability(const struct pci_device *device, unsigned id, unsigned after)
{
	unsigned at = after != 0 ? after + CAPABILITY_NEXT : REG_CAPABILITIES;

	if (!(pci_read16(device, PCI_STATUS) & STATUS_CAPABILITIES)) {
		return 0;
	}
	for (unsigned i = 0; i < CAPABILITY_MAX; i++) {
		unsigned next = (unsigned)align_down(pci_read8(device, at), 4);

		if (next < CAPABILITY_FIRST) {
			return 0;
		}
		if (pci_read8(device, next) == id) {
			return next;
		}
		at = next + CAPABILITY_NEXT;
	}
	return 0;
}

/* ---- Enumeration -------------------------------------------------------------- */

/* The bits of a BAR that can be written: its size is the lowest of them (6.2.5.1). */
static uint32_t bar_probe(const struct pci_device *device, unsigned offset, uint32_t value)
{
	pci_write32(device, offset, UINT32_MAX);
	uint32_t writable = pci_read32(device, offset);
	pci_write32(device, offset, value);
	return writable;
}

/* Returns how many registers the BAR takes. */
static unsigned bar_read(struct pci_device *device, unsigned index)
{
	struct pci_bar *bar = &device->bars[index];
	unsigned offset = REG_BAR + 4 * index;
	uint64_t value = pci_read32(device, offset);
	uint64_t writable = bar_probe(device, offset, (uint32_t)value);
	bool io = value & BAR_IO;
	bool wide = !io && field_get(BAR_MEMORY_TYPE, value) == BAR_MEMORY_64 &&
		    index + 1 < PCI_BAR_COUNT;

	if (wide) {
		uint32_t high = pci_read32(device, offset + 4);

		value |= field_set(BITS(63, 32), high);
		writable |= field_set(BITS(63, 32), bar_probe(device, offset + 4, high));
	}
	uint64_t mask = io ? BAR_IO_ADDRESS : BAR_MEMORY_ADDRESS;
	writable &= mask;
	bar->io = io;
	bar->size = writable & -writable;
	bar->address = bar->size != 0 ? value & mask : 0;
	return wide ? 2 : 1;
}

/* Without decoding, so that the device answers nowhere while its BARs are tried. */
static void bars_read(struct pci_device *device)
{
	uint16_t command = pci_read16(device, PCI_COMMAND);

	pci_write16(device, PCI_COMMAND,
		    (uint16_t)(command & ~(COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER)));
	for (unsigned i = 0; i < PCI_BAR_COUNT;) {
		i += bar_read(device, i);
	}
	pci_write16(device, PCI_COMMAND, (uint16_t)(command & ~COMMAND_MASTER));
}

static bool is_bridge(const struct pci_device *device)
{
	return (pci_read8(device, REG_HEADER_TYPE) & HEADER_LAYOUT) != 0 ||
	       field_get(CLASS_BASE, device->class_code) == CLASS_BASE_BRIDGE;
}

/* Returns whether there is such a function. */
static bool function_find(struct pci_device place)
{
	place.vendor = pci_read16(&place, PCI_VENDOR);
	if (place.vendor == VENDOR_NONE) {
		return false;
	}
	if (device_count == PCI_DEVICE_MAX) {
		device_lost++;
		return true;
	}
	struct pci_device *device = &devices[device_count++];

	*device = place;
	device->device = pci_read16(device, PCI_DEVICE);
	device->class_code = (uint32_t)field_get(CLASS_CODE, pci_read32(device, REG_CLASS));
	if (!is_bridge(device)) {
		bars_read(device);
	}
	return true;
}

static void slot_scan(struct pci_device place)
{
	if (!function_find(place) ||
	    !(pci_read8(&place, REG_HEADER_TYPE) & HEADER_MULTI_FUNCTION)) {
		return;
	}
	for (place.function = 1; place.function < FUNCTION_COUNT; place.function++) {
		function_find(place);
	}
}

static void buses_scan(uint16_t segment, unsigned first, unsigned last)
{
	for (unsigned bus = first; bus <= last; bus++) {
		for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
			slot_scan((struct pci_device){
				.segment = segment, .bus = (uint8_t)bus, .slot = (uint8_t)slot});
		}
	}
}

/* Two ranges with the same bus would give each of its functions two drivers. */
static bool ecam_is_new(const struct pci_ecam *range)
{
	for (unsigned i = 0; i < ecam_count; i++) {
		const struct pci_ecam *other = &ecams[i].range;

		if (range->segment == other->segment && range->bus_first <= other->bus_last &&
		    range->bus_last >= other->bus_first) {
			return false;
		}
	}
	return true;
}

static void ecam_add(const struct pci_ecam *range)
{
	uint64_t skipped = range->bus_first * ECAM_BUS_SIZE;
	uint64_t size = (range->bus_last + UINT64_C(1)) * ECAM_BUS_SIZE - skipped;
	uint8_t *registers = NULL;

	if (range->bus_last >= range->bus_first && ecam_is_new(range) && ecam_count < ECAM_MAX &&
	    range->base.v <= UINT64_MAX - skipped) {
		registers = mmio_map(HPA(range->base.v + skipped), size);
	}
	if (!registers) {
		log_warn("PCI: ACPI's range of buses %u to %u of segment %u at 0x%lx cannot be "
			 "used, nor what is on them",
			 range->bus_first, range->bus_last, range->segment, range->base.v);
		return;
	}
	ecams[ecam_count].range = *range;
	ecams[ecam_count++].registers = registers;
}

void pci_init(void)
{
	struct pci_ecam range;

	device_count = 0;
	device_lost = 0;
	ecam_count = 0;
	for (unsigned i = 0; i < ECAM_MAX && pci_ecam_get(i, &range); i++) {
		ecam_add(&range);
	}
	for (unsigned i = 0; i < ecam_count; i++) {
		buses_scan(ecams[i].range.segment, ecams[i].range.bus_first,
			   ecams[i].range.bus_last);
	}
	if (ecam_count == 0) {
		buses_scan(0, 0, UINT8_MAX);
	}
	log_info("PCI: %u functions, by %s", device_count,
		 ecam_count != 0 ? "ECAM" : "configuration mechanism 1");
	if (device_lost != 0) {
		log_warn("PCI: %u more functions than the %u that are kept; they stay as the "
			 "firmware left them",
			 device_lost, PCI_DEVICE_MAX);
	}
}

unsigned pci_device_count(void)
{
	return device_count;
}

const char *pci_name(const struct pci_device *device, char text[PCI_NAME_SIZE])
{
	snprintf(text, PCI_NAME_SIZE, "%04x:%02x:%02x.%x", device->segment, device->bus,
		 device->slot, device->function);
	return text;
}

struct pci_device *pci_device_at(unsigned index)
{
	return index < device_count ? &devices[index] : NULL;
}

/* ---- A driver's function -------------------------------------------------------- */

/* A memory BAR with an address that has `size` bytes from `offset` on. */
static void *bar_map(const struct pci_device *device, unsigned index, uint64_t offset,
		     uint64_t size)
{
	const struct pci_bar *bar = index < PCI_BAR_COUNT ? &device->bars[index] : NULL;

	if (!bar || bar->io || bar->address == 0 || offset > bar->size ||
	    size > bar->size - offset) {
		return NULL;
	}
	return mmio_map(HPA(bar->address + offset), size);
}

void *pci_map_bar(const struct pci_device *device, unsigned index)
{
	return bar_map(device, index, 0, index < PCI_BAR_COUNT ? device->bars[index].size : 0);
}

/* Some functions forget their BARs on the way (PCI PM 1.2, 3.2.4, No_Soft_Reset). */
static void power_up(const struct pci_device *device)
{
	unsigned power = pci_capability(device, PCI_CAP_POWER, 0);
	uint16_t control = power != 0 ? pci_read16(device, power + POWER_CONTROL) : 0;

	if (!(control & POWER_STATE)) {
		return;
	}
	pci_write16(device, power + POWER_CONTROL, (uint16_t)(control & ~POWER_STATE));
	delay_us(POWER_UP_US);
	for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
		const struct pci_bar *bar = &device->bars[i];

		if (bar->address != 0) {
			pci_write32(device, REG_BAR + 4 * i, (uint32_t)bar->address);
		}
		if (bar->address > UINT32_MAX) {
			pci_write32(device, REG_BAR + 4 * (i + 1), (uint32_t)(bar->address >> 32));
		}
	}
}

void pci_claim(struct pci_device *device, const char *name)
{
	uint64_t decode = 0;

	power_up(device);
	for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
		if (device->bars[i].address != 0) {
			decode |= device->bars[i].io ? COMMAND_IO : COMMAND_MEMORY;
		}
	}
	command_change(device, COMMAND_MASTER, decode | COMMAND_INTX_OFF);
	device->driver = name;
	device->interrupt = PCI_POLLED;
}

void pci_set_master(const struct pci_device *device, bool on)
{
	command_change(device, on ? 0 : COMMAND_MASTER, on ? COMMAND_MASTER : 0);
	/* The answer comes behind all that the function had under way (PCI 3.0, 3.2.5). */
	(void)pci_read16(device, PCI_COMMAND);
}

void pci_release(struct pci_device *device)
{
	unsigned msi = pci_capability(device, PCI_CAP_MSI, 0);
	unsigned msix = pci_capability(device, PCI_CAP_MSIX, 0);

	if (msix != 0) {
		pci_write16(device, msix + MSIX_CONTROL, 0);
	}
	if (msi != 0) {
		pci_write16(device, msi + MSI_CONTROL, 0);
	}
	command_change(device, COMMAND_MASTER, COMMAND_INTX_OFF);
	device->driver = NULL;
	device->interrupt = PCI_POLLED;
}

/* ---- Interrupts ------------------------------------------------------------------ */

/* The table is written while the function as a whole is masked. */
static int msix_enable(const struct pci_device *device, void (*handler)(void *context),
		       void *context)
{
	unsigned msix = pci_capability(device, PCI_CAP_MSIX, 0);

	if (msix == 0) {
		return -ENODEV;
	}
	struct msi_message message;
	uint16_t control = pci_read16(device, msix + MSIX_CONTROL);
	uint32_t place = pci_read32(device, msix + MSIX_TABLE);
	uint64_t count = field_get(MSIX_CONTROL_LAST, control) + 1;
	uint8_t *table = bar_map(device, (unsigned)field_get(MSIX_TABLE_BAR, place),
				 place & MSIX_TABLE_OFFSET, count * MSIX_ENTRY_SIZE);

	if (!table || msi_register(handler, context, &message) != 0) {
		return -ENODEV;
	}
	pci_write16(device, msix + MSIX_CONTROL, MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK);
	for (uint64_t i = 0; i < count; i++) {
		mmio_write32(table + i * MSIX_ENTRY_SIZE + MSIX_ENTRY_CONTROL, MSIX_ENTRY_MASKED);
	}
	mmio_write32(table + MSIX_ENTRY_ADDRESS, (uint32_t)message.address);
	mmio_write32(table + MSIX_ENTRY_ADDRESS_HIGH, (uint32_t)(message.address >> 32));
	mmio_write32(table + MSIX_ENTRY_DATA, message.data);
	mmio_write32(table + MSIX_ENTRY_CONTROL, 0);
	pci_write16(device, msix + MSIX_CONTROL, MSIX_CONTROL_ENABLE);
	return 0;
}

static int msi_enable(const struct pci_device *device, void (*handler)(void *context),
		      void *context)
{
	unsigned msi = pci_capability(device, PCI_CAP_MSI, 0);

	if (msi == 0) {
		return -ENODEV;
	}
	struct msi_message message;
	uint16_t control = pci_read16(device, msi + MSI_CONTROL);
	unsigned data = control & MSI_CONTROL_64 ? MSI_DATA_64 : MSI_DATA_32;

	if (msi_register(handler, context, &message) != 0 ||
	    (message.address > UINT32_MAX && !(control & MSI_CONTROL_64))) {
		return -ENODEV;
	}
	control &= (uint16_t) ~(MSI_CONTROL_ENABLE | MSI_CONTROL_COUNT);
	pci_write16(device, msi + MSI_CONTROL, control);
	pci_write32(device, msi + MSI_ADDRESS, (uint32_t)message.address);
	if (control & MSI_CONTROL_64) {
		pci_write32(device, msi + MSI_ADDRESS_HIGH, (uint32_t)(message.address >> 32));
	}
	pci_write16(device, msi + data, (uint16_t)message.data);
	if (control & MSI_CONTROL_MASK) {
		pci_write32(device, msi + data + 4, 0);
	}
	pci_write16(device, msi + MSI_CONTROL, control | MSI_CONTROL_ENABLE);
	return 0;
}

/* The firmware writes down which input of the interrupt controller it routed (6.2.4). */
static int intx_enable(struct pci_device *device, void (*handler)(void *context), void *context)
{
	unsigned line = pci_read8(device, REG_INTERRUPT_LINE);

	if (pci_read8(device, REG_INTERRUPT_PIN) == 0 || line == 0 || line > IRQ_MAX ||
	    irq_register(line, handler, context) != 0) {
		return -ENODEV;
	}
	device->irq = line;
	command_change(device, COMMAND_INTX_OFF, 0);
	return 0;
}

int pci_interrupt_enable(struct pci_device *device, void (*handler)(void *context), void *context)
{
	if (msix_enable(device, handler, context) == 0) {
		device->interrupt = PCI_MSIX;
	} else if (msi_enable(device, handler, context) == 0) {
		device->interrupt = PCI_MSI;
	} else if (intx_enable(device, handler, context) == 0) {
		device->interrupt = PCI_INTX;
	} else {
		return -ENODEV;
	}
	return 0;
}

const char *pci_interrupt_name(const struct pci_device *device, char text[PCI_NAME_SIZE])
{
	static const char *const names[] = {[PCI_POLLED] = "polled",
					    [PCI_INTX] = "IRQ",
					    [PCI_MSI] = "MSI",
					    [PCI_MSIX] = "MSI-X"};
	bool numbered = device->interrupt == PCI_INTX;

	snprintf(text, PCI_NAME_SIZE, numbered ? "%s %u" : "%s", names[device->interrupt],
		 device->irq);
	return text;
}
