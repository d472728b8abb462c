/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A split virtqueue (virtio 1.1, 2.6), the driver's side: chains of descriptors
 * go to the device, and come back as the number of their *slot*, by which the
 * driver finds what it put there.
 *
 * Rules: the device may write anything into the shared memory at any time.
 * Nothing in it is read but the used ring and its flags, each word once; what the
 * queue needs to know of its own chains it keeps for itself.
 * A struct virtqueue lies in memory that a device can read. One CPU.
 */
#ifndef DRIVERS_VIRTQUEUE_H
#define DRIVERS_VIRTQUEUE_H

#include "arch/x86_64/arch.h"

#define VIRTQUEUE_SIZE_MAX 256 /* descriptors, a power of two */

struct virtqueue_descriptor {
	uint64_t address;
	uint32_t size;
	uint16_t flags, next;
};

struct virtqueue_available {
	uint16_t flags, index;
	uint16_t ring[VIRTQUEUE_SIZE_MAX];
};

struct virtqueue_used {
	uint16_t flags, index;
	struct {
		uint32_t slot, size;
	} ring[VIRTQUEUE_SIZE_MAX];
};

struct virtqueue {
	/* Shared with the device. */
	_Alignas(16) struct virtqueue_descriptor descriptors[VIRTQUEUE_SIZE_MAX];
	struct virtqueue_available available;
	_Alignas(4) struct virtqueue_used used;

	/* Not shared. */
	uint16_t number; /* the device's for this queue */
	void *notify; /* register that takes the number */
	unsigned size; /* descriptors in use, a power of two */
	unsigned free_count;
	uint16_t free_first;
	uint16_t next[VIRTQUEUE_SIZE_MAX]; /* of each descriptor, in its chain or among the free */
	uint16_t count[VIRTQUEUE_SIZE_MAX]; /* descriptors of the chain of a slot; 0: no chain */
	uint32_t room[VIRTQUEUE_SIZE_MAX]; /* bytes of it that the device may write */
	uint16_t added, taken; /* chains, modulo 2^16: what the ring's indices should be */
};

struct virtqueue_piece {
	hpa_t address;
	uint32_t size;
	bool device_writes; /* these come after those that it reads */
};

/* Empty, of `size` descriptors; the device is in reset and knows of no chain. */
void virtqueue_init(struct virtqueue *queue, unsigned size, uint16_t number, void *notify);

/* How many descriptors are free. */
unsigned virtqueue_room(const struct virtqueue *queue);

/* The slot of the chain that is added next, when there is room for it. */
unsigned virtqueue_next_slot(const struct virtqueue *queue);

/* Gives the device a chain of at most virtqueue_room pieces. Returns its slot. */
unsigned virtqueue_add(struct virtqueue *queue, const struct virtqueue_piece *pieces,
		       unsigned count);

/* Tells the device of new chains, unless it said that it will look by itself. */
void virtqueue_kick(struct virtqueue *queue);

/*
 * The slot of a chain that the device is done with, and how many bytes it wrote
 * to it: at most as many as there is room for. -EAGAIN: there is none; -EPROTO: the
 * used ring makes no sense, and never will before a reset.
 */
int virtqueue_take(struct virtqueue *queue, uint32_t *written) MUST_CHECK;

/* After a reset of the device, before virtqueue_init: the slot of a chain that it had, or -EAGAIN. */
int virtqueue_take_back(struct virtqueue *queue) MUST_CHECK;

/* Asks for no interrupts; some may still come. */
void virtqueue_mute(struct virtqueue *queue);

/*
 * Asks for an interrupt with the next used chain. Returns true when there is
 * one already, for which none may come.
 */
bool virtqueue_unmute(struct virtqueue *queue) MUST_CHECK;

#endif
