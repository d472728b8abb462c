/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio 1.x devices behind PCI: see virtio_pci.h. Numbers in parentheses are
 * sections of virtio 1.1.
 */
#include "drivers/virtio_pci.h"

#include <errno.h>

#include "base/log.h"

/* Vendor capabilities (4.1.4). */
#define CAP_KIND 3
#define KIND_COMMON 1
#define KIND_NOTIFY 2
#define KIND_ISR 3
#define KIND_CONFIG 4
#define CAP_BAR 4
#define CAP_OFFSET 8
#define CAP_SIZE 12
#define CAP_NOTIFY_MULTIPLIER 16 /* of KIND_NOTIFY */
/* As many as configuration space has room for. */
#define CAP_COUNT_MAX 48

/* The common region (4.1.4.3). */
#define COMMON_DEVICE_FEATURE_SELECT 0x00
#define COMMON_DEVICE_FEATURE 0x04
#define COMMON_DRIVER_FEATURE_SELECT 0x08
#define COMMON_DRIVER_FEATURE 0x0c
#define COMMON_CONFIG_MSIX_VECTOR 0x10
#define COMMON_DEVICE_STATUS 0x14
#define STATUS_ACKNOWLEDGE BIT(0)
#define STATUS_DRIVER BIT(1)
#define STATUS_DRIVER_OK BIT(2)
#define STATUS_FEATURES_OK BIT(3)
#define STATUS_NEEDS_RESET BIT(6)
#define COMMON_QUEUE_SELECT 0x16
#define COMMON_QUEUE_SIZE 0x18
#define COMMON_QUEUE_MSIX_VECTOR 0x1a
#define COMMON_QUEUE_ENABLE 0x1c
#define COMMON_QUEUE_NOTIFY_OFF 0x1e
#define COMMON_QUEUE_DESC 0x20
#define COMMON_QUEUE_DRIVER 0x28
#define COMMON_QUEUE_DEVICE 0x30
#define COMMON_LENGTH 0x38

#define MSIX_ENTRY 0 /* the one that pci_interrupt_enable sets up */
#define RESET_STEP_US 10

static uint8_t read8(const struct virtio_pci *virtio, unsigned reg)
{
	return mmio_read8(virtio->common.registers + reg);
}

static uint16_t read16(const struct virtio_pci *virtio, unsigned reg)
{
	return mmio_read16(virtio->common.registers + reg);
}

static uint32_t read32(const struct virtio_pci *virtio, unsigned reg)
{
	return mmio_read32(virtio->common.registers + reg);
}

static void write8(const struct virtio_pci *virtio, unsigned reg, uint64_t value)
{
	mmio_write8(virtio->common.registers + reg, (uint8_t)value);
}

static void write16(const struct virtio_pci *virtio, unsigned reg, uint64_t value)
{
	mmio_write16(virtio->common.registers + reg, (uint16_t)value);
}

static void write32(const struct virtio_pci *virtio, unsigned reg, uint64_t value)
{
	mmio_write32(virtio->common.registers + reg, (uint32_t)value);
}

/* Registers of 64 bits take two halves (4.1.3.1). */
static void write_address(const struct virtio_pci *virtio, unsigned reg, const void *memory,
			  size_t size)
{
	uint64_t address = dma_address(memory, size).v;

	write32(virtio, reg, field_get(BITS(31, 0), address));
	write32(virtio, reg + 4, field_get(BITS(63, 32), address));
}

/* ---- Where the registers are ----------------------------------------------- */

static struct virtio_region *region_of_kind(struct virtio_pci *virtio, unsigned kind)
{
	switch (kind) {
	case KIND_COMMON:
		return &virtio->common;
	case KIND_NOTIFY:
		return &virtio->notify;
	case KIND_ISR:
		return &virtio->isr;
	case KIND_CONFIG:
		return &virtio->config;
	default:
		return NULL;
	}
}

/* The region that the capability at `cap` tells of; the first of a kind that can be had counts. */
static void read_capability(struct virtio_pci *virtio, unsigned cap, void *maps[PCI_BAR_COUNT])
{
	const struct pci_device *device = virtio->device;
	unsigned kind = pci_read8(device, cap + CAP_KIND);
	struct virtio_region *region = region_of_kind(virtio, kind);
	unsigned bar = pci_read8(device, cap + CAP_BAR);
	uint64_t offset = pci_read32(device, cap + CAP_OFFSET);
	uint32_t size = pci_read32(device, cap + CAP_SIZE);

	if (region == NULL || region->registers != NULL || bar >= PCI_BAR_COUNT ||
	    device->bars[bar].io || offset + size > device->bars[bar].size) {
		return;
	}
	if (maps[bar] == NULL) {
		maps[bar] = pci_map_bar(device, bar);
	}
	if (maps[bar] == NULL) {
		return;
	}
	region->registers = (uint8_t *)maps[bar] + offset;
	region->size = size;
	if (kind == KIND_NOTIFY) {
		virtio->notify_multiplier = pci_read32(device, cap + CAP_NOTIFY_MULTIPLIER);
	}
}

int virtio_pci_find(struct virtio_pci *virtio, struct pci_device *device)
{
	void *maps[PCI_BAR_COUNT] = {NULL};
	unsigned cap = 0;

	*virtio = (struct virtio_pci){.device = device};
	for (unsigned i = 0; i < CAP_COUNT_MAX; i++) {
		cap = pci_capability(device, PCI_CAP_VENDOR, cap);
		if (cap == 0) {
			break;
		}
		read_capability(virtio, cap, maps);
	}
	/* A region that is there is as large as was asked for, or larger (4.1.4.1). */
	return virtio->common.size >= COMMON_LENGTH && virtio->notify.size > 0 &&
			       virtio->isr.size > 0
		       ? 0
		       : -ENODEV;
}

/* ---- Interrupts --------------------------------------------------------------- */

bool virtio_pci_interrupt_take(const struct virtio_pci *virtio)
{
	/* Reading acknowledges (4.1.4.5). */
	return virtio->device->interrupt == PCI_MSIX || mmio_read8(virtio->isr.registers) != 0;
}

/* A device that has no room for the entry says so by another value (4.1.5.1.2). */
static void set_msix_vector(struct virtio_pci *virtio, unsigned reg)
{
	if (virtio->device->interrupt != PCI_MSIX) {
		return;
	}
	write16(virtio, reg, MSIX_ENTRY);
	if (read16(virtio, reg) != MSIX_ENTRY) {
		log_warn("virtio %02x:%02x.%u: it does not take its interrupt; polled",
			 virtio->device->bus, virtio->device->slot, virtio->device->function);
		virtio->device->interrupt = PCI_POLLED;
	}
}

/* ---- From reset to work (3.1.1) -------------------------------------------------- */

int virtio_pci_reset(struct virtio_pci *virtio, unsigned wait_us)
{
	write8(virtio, COMMON_DEVICE_STATUS, 0);
	for (unsigned us = 0; read8(virtio, COMMON_DEVICE_STATUS) != 0; us += RESET_STEP_US) {
		if (us >= wait_us) {
			return -EIO;
		}
		delay_us(RESET_STEP_US);
	}
	return 0;
}

uint64_t virtio_pci_features(struct virtio_pci *virtio)
{
	uint64_t low, high;

	write32(virtio, COMMON_DEVICE_FEATURE_SELECT, 0);
	low = read32(virtio, COMMON_DEVICE_FEATURE);
	write32(virtio, COMMON_DEVICE_FEATURE_SELECT, 1);
	high = read32(virtio, COMMON_DEVICE_FEATURE);
	return low | field_set(BITS(63, 32), high);
}

int virtio_pci_negotiate(struct virtio_pci *virtio, uint64_t features)
{
	uint64_t status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;

	write8(virtio, COMMON_DEVICE_STATUS, STATUS_ACKNOWLEDGE);
	write8(virtio, COMMON_DEVICE_STATUS, status);
	write32(virtio, COMMON_DRIVER_FEATURE_SELECT, 0);
	write32(virtio, COMMON_DRIVER_FEATURE, field_get(BITS(31, 0), features));
	write32(virtio, COMMON_DRIVER_FEATURE_SELECT, 1);
	write32(virtio, COMMON_DRIVER_FEATURE, field_get(BITS(63, 32), features));
	status |= STATUS_FEATURES_OK;
	write8(virtio, COMMON_DEVICE_STATUS, status);
	if (read8(virtio, COMMON_DEVICE_STATUS) != status) {
		return -EIO;
	}
	set_msix_vector(virtio, COMMON_CONFIG_MSIX_VECTOR);
	return 0;
}

int virtio_pci_start_queue(struct virtio_pci *virtio, uint16_t number, struct virtqueue *queue,
			   unsigned size_min)
{
	unsigned size = VIRTQUEUE_SIZE_MAX, offered;
	uint64_t notify;

	write16(virtio, COMMON_QUEUE_SELECT, number);
	offered = read16(virtio, COMMON_QUEUE_SIZE);
	notify = (uint64_t)read16(virtio, COMMON_QUEUE_NOTIFY_OFF) * virtio->notify_multiplier;
	while (size > offered) {
		size /= 2;
	}
	if (size < size_min || notify + sizeof(number) > virtio->notify.size) {
		return -EIO;
	}
	virtqueue_init(queue, size, number, virtio->notify.registers + notify);
	write16(virtio, COMMON_QUEUE_SIZE, size);
	set_msix_vector(virtio, COMMON_QUEUE_MSIX_VECTOR);
	write_address(virtio, COMMON_QUEUE_DESC, queue->descriptors, sizeof(queue->descriptors));
	write_address(virtio, COMMON_QUEUE_DRIVER, &queue->available, sizeof(queue->available));
	write_address(virtio, COMMON_QUEUE_DEVICE, &queue->used, sizeof(queue->used));
	write16(virtio, COMMON_QUEUE_ENABLE, 1);
	return 0;
}

void virtio_pci_run(struct virtio_pci *virtio)
{
	write8(virtio, COMMON_DEVICE_STATUS,
	       STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

bool virtio_pci_is_broken(const struct virtio_pci *virtio)
{
	/* Of a device that was pulled all bits read as ones. */
	return (read8(virtio, COMMON_DEVICE_STATUS) & STATUS_NEEDS_RESET) != 0;
}
