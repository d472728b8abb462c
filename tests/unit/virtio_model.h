/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio-net device as the driver sees it (virtio 1.1): configuration space
 * behind ECAM, registers, and two split queues that do nothing by themselves.
 * What the device does with them is said by a test: properly through
 * model_receive and model_transmit, or against every rule by hand.
 *
 * The driver works on drivers/pci.c and drivers/nic.c as they are.
 */
#ifndef TESTS_UNIT_VIRTIO_MODEL_H
#define TESTS_UNIT_VIRTIO_MODEL_H

#include <string.h>

#include "base/check.h"
#include "base/page.h"
#include "drivers/nic.h"
#include "drivers/virtqueue.h"
#include "tests/fake_arch/fake_arch.h"

#define MODEL_ECAM (256 * MIB)
#define MODEL_BAR (64 * MIB) /* all regions, and the MSI-X table */
#define MODEL_BAR_SIZE 0x8000
#define MODEL_COMMON 0x0000
#define MODEL_ISR 0x1000
#define MODEL_CONFIG 0x2000
#define MODEL_NOTIFY 0x3000
#define MODEL_NOTIFY_MULTIPLIER 4
#define MODEL_MSIX 0x4000
#define MODEL_POOL (32 * MIB)

#define MODEL_VERSION_1 BIT(32)
#define MODEL_MAC BIT(5)
#define MODEL_STATUS BIT(16)
#define MODEL_MRG_RXBUF BIT(15)
#define MODEL_MTU BIT(3)
#define MODEL_CSUM BIT(0)
#define MODEL_GUEST_CSUM BIT(1)
#define MODEL_FEATURES                                                               \
	(MODEL_VERSION_1 | MODEL_MAC | MODEL_STATUS | MODEL_MRG_RXBUF | MODEL_CSUM | \
	 MODEL_GUEST_CSUM)

struct model_queue {
	uint16_t size_max, size, vector, enabled, notify_off;
	uint64_t parts[3]; /* descriptors, available, used: addresses */
	uint16_t seen; /* available chains that the device took */
	uint16_t hidden; /* used ones behind the used index */
	unsigned kicks;
};

struct virtio_model {
	uint8_t pci[256];
	uint64_t features, driver_features;
	uint32_t device_select, driver_select;
	uint16_t config_vector, queue_select;
	uint8_t status, isr;
	uint8_t config[16]; /* mac, status, pairs, mtu */
	struct model_queue queues[2];
	/* Ways to be broken. */
	bool stuck; /* never in reset */
	bool refuses_features;
	bool no_vectors;
};

static struct virtio_model model;

/* ---- Configuration space ------------------------------------------------------ */

static void model_pci_set(uint64_t offset, unsigned size, uint32_t value)
{
	CHECK(offset + size <= sizeof(model.pci));
	memcpy(model.pci + offset, &value, size);
}

static void model_add_capability(unsigned at, uint8_t kind, uint32_t offset, uint32_t size)
{
	model_pci_set(at, 4,
		      0x09 | (uint32_t)model.pci[0x34] << 8 | 20 << 16 | (uint32_t)kind << 24);
	model_pci_set(at + 4, 4, 4); /* BAR 4 */
	model_pci_set(at + 8, 4, offset);
	model_pci_set(at + 12, 4, size);
	model_pci_set(at + 16, 4, MODEL_NOTIFY_MULTIPLIER);
	model_pci_set(0x34, 1, at);
}

static void model_add_msix(void)
{
	model_pci_set(0xb0, 4, 0x11 | (uint32_t)model.pci[0x34] << 8 | 2 << 16);
	model_pci_set(0xb4, 4, MODEL_MSIX | 4);
	model_pci_set(0x34, 1, 0xb0);
}

static bool model_is_modern = true, model_has_msix = true;

static void model_pci_init(void)
{
	memset(model.pci, 0, sizeof(model.pci));
	model_pci_set(0x00, 4, 0x10411af4);
	model_pci_set(0x04, 4, 0x00100000); /* capabilities */
	model_pci_set(0x08, 4, 0x02000001);
	model_pci_set(0x20, 4, MODEL_BAR);
	model_pci_set(0x3c, 2, 0x010b); /* line 11 */
	if (model_is_modern) {
		model_add_capability(0x40, 1, MODEL_COMMON, 0x38);
		model_add_capability(0x58, 3, MODEL_ISR, 1);
		model_add_capability(0x70, 4, MODEL_CONFIG, sizeof(model.config));
		model_add_capability(0x88, 2, MODEL_NOTIFY, 2 * MODEL_NOTIFY_MULTIPLIER);
	}
	if (model_has_msix) {
		model_add_msix();
	}
}

static void model_pci_write(uint64_t offset, unsigned size, uint32_t value)
{
	if (offset + size > sizeof(model.pci)) {
		return;
	}
	if (offset >= 0x10 && offset < 0x28) {
		value = offset == 0x20 ? value & ~(MODEL_BAR_SIZE - 1u) : 0;
	}
	model_pci_set(offset, size, value);
}

/* ---- Registers ---------------------------------------------------------------- */

static void model_reset(void)
{
	model.status = 0;
	model.isr = 0;
	model.driver_features = 0;
	model.config_vector = 0xffff;
	for (unsigned i = 0; i < 2; i++) {
		struct model_queue *queue = &model.queues[i];

		*queue = (struct model_queue){
			.size_max = queue->size_max,
			.size = queue->size_max,
			.vector = 0xffff,
			.notify_off = queue->notify_off,
			.kicks = queue->kicks,
		};
	}
}

static struct model_queue *model_selected(void)
{
	static struct model_queue none;

	none = (struct model_queue){0};
	return model.queue_select < 2 ? &model.queues[model.queue_select] : &none;
}

static uint32_t model_common_read(unsigned offset)
{
	switch (offset) {
	case 0x04:
		return model.device_select > 1
			       ? 0
			       : (uint32_t)(model.features >> 32 * model.device_select);
	case 0x10:
		return model.config_vector;
	case 0x14:
		return model.status;
	case 0x18:
		return model_selected()->size;
	case 0x1a:
		return model_selected()->vector;
	case 0x1e:
		return model_selected()->notify_off;
	default:
		return 0;
	}
}

static void model_status_write(uint8_t value)
{
	if (model.stuck) {
		return;
	}
	if (value == 0) {
		model_reset();
		return;
	}
	/* Features of the device's that were not offered, or that it insists on. */
	if ((value & 8) && !(model.status & 8) &&
	    (model.refuses_features || (model.driver_features & ~model.features))) {
		value &= (uint8_t)~8u;
	}
	model.status = value;
}

static void model_common_write(unsigned offset, uint32_t value)
{
	struct model_queue *queue = model_selected();

	switch (offset) {
	case 0x00:
		model.device_select = value;
		break;
	case 0x08:
		model.driver_select = value;
		break;
	case 0x0c:
		CHECK(model.driver_select <= 1);
		model.driver_features |= (uint64_t)value << 32 * model.driver_select;
		break;
	case 0x10:
		model.config_vector = model.no_vectors ? 0xffff : (uint16_t)value;
		break;
	case 0x14:
		model_status_write((uint8_t)value);
		break;
	case 0x16:
		model.queue_select = (uint16_t)value;
		break;
	case 0x18:
		queue->size = (uint16_t)value;
		break;
	case 0x1a:
		queue->vector = model.no_vectors ? 0xffff : (uint16_t)value;
		break;
	case 0x1c:
		queue->enabled = (uint16_t)value;
		break;
	default:
		if (offset >= 0x20 && offset < 0x38) {
			memcpy((uint8_t *)queue->parts + (offset - 0x20), &value, 4);
		}
	}
}

static uint64_t model_place(const volatile void *reg)
{
	return virt_to_hpa((const void *)(uintptr_t)reg).v;
}

static uint32_t model_mmio_read(const volatile void *reg, unsigned size)
{
	uint64_t place = model_place(reg), offset = place - MODEL_BAR;
	uint32_t value = 0;

	if (place >= MODEL_ECAM) {
		uint64_t register_offset = place - MODEL_ECAM;

		if (register_offset + size > sizeof(model.pci)) {
			return UINT32_MAX;
		}
		memcpy(&value, model.pci + register_offset, size);
	} else if (offset < MODEL_ISR) {
		value = model_common_read((unsigned)offset);
	} else if (offset == MODEL_ISR) {
		value = model.isr;
		model.isr = 0;
	} else if (offset >= MODEL_CONFIG && offset + size <= MODEL_CONFIG + sizeof(model.config)) {
		memcpy(&value, model.config + (offset - MODEL_CONFIG), size);
	}
	return value;
}

static void model_mmio_write(volatile void *reg, unsigned size, uint32_t value)
{
	uint64_t place = model_place(reg), offset = place - MODEL_BAR;

	if (place >= MODEL_ECAM) {
		model_pci_write(place - MODEL_ECAM, size, value);
	} else if (offset < MODEL_ISR) {
		model_common_write((unsigned)offset, value);
	} else if (offset >= MODEL_NOTIFY && offset < MODEL_MSIX && value < 2) {
		model.queues[value].kicks++;
	}
}

/* A device with these features and queues of 256, and everything around it as new. */
static void model_init(uint64_t features)
{
	static const uint8_t config[] = {0x52, 0x54, 0, 0x12, 0x34, 0x56, 1, 0, 1, 0, 40, 35};

	memset(&model, 0, sizeof(model));
	fake_arch_reset(MODEL_POOL);
	fake.mmio_read = model_mmio_read;
	fake.mmio_write = model_mmio_write;
	fake.ecams[fake.ecam_count++] = (struct pci_ecam){.base = HPA(MODEL_ECAM)};
	model.features = features;
	memcpy(model.config, config, sizeof(config));
	for (uint16_t i = 0; i < 2; i++) {
		model.queues[i].size_max = 256;
		model.queues[i].notify_off = i;
	}
	model_reset();
	model_pci_init();
}

/* ---- The device at work --------------------------------------------------------- */

static struct virtqueue_descriptor *model_descriptors(unsigned queue)
{
	return fake_dma_memory(model.queues[queue].parts[0],
			       sizeof(struct virtqueue_descriptor) * model.queues[queue].size);
}

static struct virtqueue_available *model_available(unsigned queue)
{
	return fake_dma_memory(model.queues[queue].parts[1], sizeof(struct virtqueue_available));
}

static struct virtqueue_used *model_used(unsigned queue)
{
	return fake_dma_memory(model.queues[queue].parts[2], sizeof(struct virtqueue_used));
}

/* The slot of the next chain that the driver made available, or -1. */
static inline int model_take(unsigned number)
{
	struct model_queue *queue = &model.queues[number];
	const struct virtqueue_available *available = model_available(number);

	if (!(model.status & 4) || !queue->enabled || available->index == queue->seen) {
		return -1;
	}
	return available->ring[queue->seen++ % queue->size];
}

/* Used chains are there for the driver when `show` is set. */
static inline void model_give_back(unsigned number, unsigned slot, uint32_t size, bool show)
{
	struct model_queue *queue = &model.queues[number];
	struct virtqueue_used *used = model_used(number);
	uint16_t at = (uint16_t)(used->index + queue->hidden++);

	used->ring[at % queue->size].slot = slot;
	used->ring[at % queue->size].size = size;
	if (show) {
		used->index = (uint16_t)(at + 1);
		queue->hidden = 0;
	}
}

/* An interrupt, if the driver wants one of this queue. */
static inline bool model_interrupt(unsigned number)
{
	if (model_available(number)->flags & 1) {
		return false;
	}
	if (model.queues[number].vector != 0xffff) {
		fake_msi_raise(0x40);
	} else {
		model.isr |= 1;
		fake_irq_raise(11);
	}
	return true;
}

#endif
