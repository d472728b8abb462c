/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio 1.x devices behind PCI (virtio 1.1, 3.1 and 4.1): where their registers
 * are, and what all kinds of them have in common on the way from reset to work.
 *
 * In this order: virtio_pci_find, pci_claim, pci_interrupt_enable once; then, as
 * often as needed, reset, negotiate, start_queue for each queue, run. By MSI-X
 * there is one interrupt for all. A device in reset neither interrupts nor touches
 * memory. Devices older than 1.0 have other registers, and are not found.
 */
#ifndef DRIVERS_VIRTIO_PCI_H
#define DRIVERS_VIRTIO_PCI_H

#include "drivers/pci.h"
#include "drivers/virtqueue.h"

#define VIRTIO_PCI_VENDOR 0x1af4

/* Features of all kinds of devices (6). */
#define VIRTIO_F_VERSION_1 BIT(32)
#define VIRTIO_F_ACCESS_PLATFORM BIT(33)
#define VIRTIO_F_ORDER_PLATFORM BIT(36)

struct virtio_region {
	uint8_t *registers; /* NULL: the device has no such region */
	uint32_t size;
};

struct virtio_pci {
	struct pci_device *device;
	struct virtio_region common, notify, isr;
	struct virtio_region config; /* of its kind */
	uint32_t notify_multiplier;
};

/* -ENODEV: it does not have the registers of virtio 1.x, or none that can be reached. */
int virtio_pci_find(struct virtio_pci *virtio, struct pci_device *device) MUST_CHECK;

/* In the interrupt's handler: false when another device raised a line that they share. */
bool virtio_pci_interrupt_take(const struct virtio_pci *virtio);

/* Returns -EIO when the device is not in reset after `wait_us`. */
int virtio_pci_reset(struct virtio_pci *virtio, unsigned wait_us) MUST_CHECK;

/* What the device offers. */
uint64_t virtio_pci_features(struct virtio_pci *virtio);

/* -EIO: the device does not work with these features alone. */
int virtio_pci_negotiate(struct virtio_pci *virtio, uint64_t features) MUST_CHECK;

/*
 * Initialises `queue` as the device's queue of this number, and switches it on.
 * -EIO: the device does not have it, or one of fewer than size_min descriptors.
 */
int virtio_pci_start_queue(struct virtio_pci *virtio, uint16_t number, struct virtqueue *queue,
			   unsigned size_min) MUST_CHECK;

/* All queues are there: the device may use them. */
void virtio_pci_run(struct virtio_pci *virtio);

/* The device has given up, or is gone. */
bool virtio_pci_is_broken(const struct virtio_pci *virtio);

#endif
