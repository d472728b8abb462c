/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of Intel's cards behind the driver in drivers/e1000.c, for its unit
 * test and its fuzz target: registers, and the two rings as the manual says. It
 * checks what the driver tells the card: sizes, addresses, the order of things.
 *
 * PCI is reduced to what the driver asks for, with one function.
 */
#ifndef TESTS_UNIT_E1000_MODEL_H
#define TESTS_UNIT_E1000_MODEL_H

#include <errno.h>
#include <string.h>

#include "drivers/e1000.c"
#include "drivers/nic.c"
#include "tests/fake_arch/fake_arch.h"

#define MODEL_REGISTERS_SIZE 0x20000
#define MODEL_FRAME_MAX 16384

struct model_card {
	uint32_t registers[MODEL_REGISTERS_SIZE / 4];
	bool master, claimed, absent, hung; /* hung: a reset does not end */
	bool never_enables, eeprom_silent;
	uint32_t icr, ims;
	uint16_t eeprom[3];
	unsigned resets, accesses;
	/* Of the context, and of the frame in the making. */
	unsigned css, cso;
	uint8_t frame[MODEL_FRAME_MAX];
	size_t size;
	/* The last frame sent. */
	uint8_t sent[MODEL_FRAME_MAX];
	size_t sent_size;
	unsigned sent_count;
	bool keeps; /* leaves descriptors where they are */
};

static struct model_card chip;
static struct pci_device model_device;

/* ---- PCI ------------------------------------------------------------------------ */

unsigned pci_device_count(void)
{
	return 1;
}

struct pci_device *pci_device_at(unsigned index)
{
	return index == 0 ? &model_device : NULL;
}

const char *pci_name(const struct pci_device *device, char text[PCI_NAME_SIZE])
{
	(void)device;
	return strcpy(text, "0000:00:03.0");
}

uint16_t pci_read16(const struct pci_device *device, unsigned offset)
{
	(void)device;
	(void)offset;
	return 0;
}

void pci_write16(const struct pci_device *device, unsigned offset, uint16_t value)
{
	(void)device;
	(void)offset;
	(void)value;
}

unsigned pci_capability(const struct pci_device *device, unsigned id, unsigned after)
{
	(void)device;
	(void)id;
	(void)after;
	return 0;
}

void *pci_map_bar(const struct pci_device *device, unsigned index)
{
	(void)device;
	CHECK(index == 0);
	return chip.absent ? NULL : chip.registers;
}

void pci_claim(struct pci_device *device, const char *name)
{
	device->driver = name;
	chip.claimed = true;
	chip.master = false;
}

void pci_set_master(const struct pci_device *device, bool on)
{
	(void)device;
	chip.master = on;
}

void pci_release(struct pci_device *device)
{
	device->driver = NULL;
	chip.claimed = false;
	chip.master = false;
}

static void (*model_handler)(void *context);
static void *model_handler_context;

int pci_interrupt_enable(struct pci_device *device, void (*handler)(void *context), void *context)
{
	model_handler = handler;
	model_handler_context = context;
	return device->interrupt == PCI_POLLED ? -ENODEV : 0;
}

static struct nic *no_probe(struct pci_device *device)
{
	(void)device;
	return NULL;
}

const struct nic_driver virtio_net_driver = {.name = "none", .probe = no_probe};

/* ---- Registers -------------------------------------------------------------------- */

static uint32_t *chip_at(unsigned offset)
{
	return &chip.registers[offset / 4];
}

static void chip_interrupt(uint32_t causes)
{
	bool was = chip.icr & chip.ims;

	chip.icr |= causes;
	if (!was && (chip.icr & chip.ims) && model_device.interrupt != PCI_POLLED) {
		model_handler(model_handler_context);
	}
}

static uint8_t *chip_memory(uint64_t address, size_t size)
{
	CHECK(chip.master);
	return fake_dma_memory(address, size);
}

static struct descriptor *chip_ring(unsigned base, unsigned slot)
{
	uint64_t address = *chip_at(base) | (uint64_t)*chip_at(base + 4) << 32;
	uint32_t size = *chip_at(base + 8);

	CHECK(size == RING_COUNT * sizeof(struct descriptor) && address % 128 == 0);
	return (struct descriptor *)(void *)chip_memory(address, size) + slot;
}

/* The Internet checksum from chip.css to the end, put at chip.cso (3.3.3). */
static void chip_put_checksum(void)
{
	uint32_t sum = 0;

	for (size_t i = chip.css; i < chip.size; i++) {
		sum += (i - chip.css) % 2 ? chip.frame[i] : chip.frame[i] << 8;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	chip.frame[chip.cso] = (uint8_t)(~sum >> 8);
	chip.frame[chip.cso + 1] = (uint8_t)~sum;
}

static void chip_transmit_one(struct descriptor *descriptor)
{
	uint64_t info = descriptor->info;
	size_t length = info & 0xffff;

	CHECK(!(info & TX_DD));
	if ((info & TX_DEXT) && !(info & TX_DATA)) {
		chip.css = descriptor->address >> 32 & 0xff;
		chip.cso = descriptor->address >> 40 & 0xff;
		return;
	}
	CHECK(length > 0 && chip.size + length <= MODEL_FRAME_MAX);
	memcpy(chip.frame + chip.size, chip_memory(descriptor->address, length), length);
	chip.size += length;
	if (!(info & TX_EOP)) {
		return;
	}
	if (!(info & TX_DEXT) && (info & TX_IC)) {
		chip.cso = info >> 16 & 0xff;
		chip.css = info >> 40 & 0xff;
	}
	if ((info & TX_DEXT) ? info & TX_TXSM : info & TX_IC) {
		chip_put_checksum();
	}
	CHECK(info & TX_RS);
	memcpy(chip.sent, chip.frame, chip.size);
	chip.sent_size = chip.size;
	chip.sent_count++;
	chip.size = 0;
	descriptor->info |= TX_DD;
	chip_interrupt(INTERRUPT_TXDW);
}

/* Sends all that is in the ring. */
static void chip_transmit(void)
{
	while ((*chip_at(REG_TCTL) & TCTL_EN) && *chip_at(REG_TDH) != *chip_at(REG_TDT)) {
		chip_transmit_one(chip_ring(REG_TDBAL, *chip_at(REG_TDH)));
		*chip_at(REG_TDH) = (*chip_at(REG_TDH) + 1) % RING_COUNT;
	}
}

/* Writes one descriptor back with these bytes; false when the card has none. */
static bool chip_receive_piece(const void *bytes, size_t size, uint64_t info)
{
	uint32_t head = *chip_at(REG_RDH);

	if (!(*chip_at(REG_RCTL) & RCTL_EN) || head == *chip_at(REG_RDT)) {
		return false;
	}
	struct descriptor *descriptor = chip_ring(REG_RDBAL, head);

	memcpy(chip_memory(descriptor->address, NIC_BUFFER_SIZE), bytes, size);
	descriptor->info = info | RX_DD | size;
	*chip_at(REG_RDH) = (head + 1) % RING_COUNT;
	return true;
}

/* As the card does with a frame: as many buffers as it takes, `info` with the last. */
static bool chip_receive(const uint8_t *bytes, size_t size, uint64_t info)
{
	bool room = true;

	while (room && size > NIC_BUFFER_SIZE) {
		room = chip_receive_piece(bytes, NIC_BUFFER_SIZE, 0);
		bytes += NIC_BUFFER_SIZE;
		size -= NIC_BUFFER_SIZE;
	}
	room = room && chip_receive_piece(bytes, size, info | RX_EOP);
	chip_interrupt(INTERRUPT_RXT0);
	return room;
}

static unsigned register_of(const volatile void *reg)
{
	uintptr_t offset = (uintptr_t)reg - (uintptr_t)chip.registers;

	CHECK(offset < MODEL_REGISTERS_SIZE);
	/* What the firmware left running is silent until it is reset. */
	CHECK(chip.resets > 0 || !chip.master);
	chip.accesses++;
	return (unsigned)offset;
}

static uint32_t chip_read(const volatile void *reg, unsigned size)
{
	unsigned offset = register_of(reg);
	uint32_t value = *chip_at(offset);

	CHECK(size == 4);
	if (offset == REG_ICR) {
		value = chip.icr;
		chip.icr = 0;
	} else if (offset >= REG_CRCERRS && offset <= REG_RLEC) {
		*chip_at(offset) = 0;
	} else if (offset == REG_EERD && (value & EERD_START) && !chip.eeprom_silent) {
		unsigned word = value >> 8 & 0xff;

		CHECK(word < 3);
		value |= (uint32_t)chip.eeprom[word] << 16 | 0x10;
	}
	return value;
}

static void chip_reset(void)
{
	uint32_t low = *chip_at(REG_RAL), high = *chip_at(REG_RAH);

	chip.resets++;
	chip.icr = 0;
	chip.ims = 0;
	chip.size = 0;
	*chip_at(REG_RCTL) = 0;
	*chip_at(REG_TCTL) = 0;
	*chip_at(REG_RAL) = low;
	*chip_at(REG_RAH) = high;
}

static void chip_write(volatile void *reg, unsigned size, uint32_t value)
{
	unsigned offset = register_of(reg);

	CHECK(size == 4);
	switch (offset) {
	case REG_IMS:
		chip.ims |= value;
		chip_interrupt(0);
		return;
	case REG_IMC:
		chip.ims &= ~value;
		return;
	case REG_CTRL:
		if (value & CTRL_RST) {
			chip_reset();
			value &= (uint32_t) ~(chip.hung ? 0 : CTRL_RST | CTRL_MASTER_DISABLE);
		}
		break;
	case REG_RXDCTL:
	case REG_TXDCTL:
		value &= (uint32_t) ~(chip.never_enables ? DCTL_ENABLE : 0);
		break;
	default:
		break;
	}
	*chip_at(offset) = value;
	if (offset == REG_TDT && !chip.keeps) {
		chip_transmit();
	}
}

/* A machine with one such card, and the driver's answer to it. */
static struct nic *model_probe(uint16_t device, enum pci_interrupt_kind interrupt)
{
	fake.mmio_read = chip_read;
	fake.mmio_write = chip_write;
	model_device = (struct pci_device){
		.vendor = 0x8086, .device = device, .slot = 3, .interrupt = interrupt};
	nic_init();
	return nic_at(0);
}

static void model_reset(void)
{
	fake_arch_reset(64 * MIB);
	memset(&chip, 0, sizeof(chip));
	*chip_at(REG_RAL) = 0x12005452;
	*chip_at(REG_RAH) = 0x80000134;
	*chip_at(REG_STATUS) = 0x83;
}

#endif
