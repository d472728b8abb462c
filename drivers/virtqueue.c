/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues: see virtqueue.h. Numbers in parentheses are sections of
 * virtio 1.1.
 *
 * Without event indices (2.6.7.2, 2.6.10): a busy device sets its flag against
 * kicks, one for ten frames in QEMU, and interrupts are off while a queue is polled.
 */
#include "drivers/virtqueue.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"

/* Descriptors (2.6.5). */
#define DESCRIPTOR_NEXT BIT(0)
#define DESCRIPTOR_WRITE BIT(1)
/* Rings (2.6.6, 2.6.8). */
#define AVAILABLE_NO_INTERRUPT BIT(0)
#define USED_NO_NOTIFY BIT(0)

_Static_assert(sizeof(struct virtqueue_descriptor) == 16, "virtio 1.1, 2.6.5");
_Static_assert(offsetof(struct virtqueue_used, ring) == 4, "virtio 1.1, 2.6.8");

void virtqueue_init(struct virtqueue *queue, unsigned size, uint16_t number, void *notify)
{
	CHECK(size > 0 && size <= VIRTQUEUE_SIZE_MAX && is_aligned(size, size));
	memset(queue, 0, sizeof(*queue));
	queue->number = number;
	queue->notify = notify;
	queue->size = size;
	queue->free_count = size;
	for (unsigned i = 0; i < size; i++) {
		queue->next[i] = (uint16_t)(i + 1);
	}
}

unsigned virtqueue_room(const struct virtqueue *queue)
{
	return queue->free_count;
}

unsigned virtqueue_next_slot(const struct virtqueue *queue)
{
	return queue->free_first;
}

unsigned virtqueue_add(struct virtqueue *queue, const struct virtqueue_piece *pieces,
		       unsigned count)
{
	uint16_t slot = queue->free_first, at = slot;
	uint32_t room = 0;

	CHECK(count > 0 && count <= queue->free_count);
	for (unsigned i = 0; i < count; i++) {
		bool writes = pieces[i].device_writes, last = i + 1 == count;

		queue->descriptors[at] = (struct virtqueue_descriptor){
			.address = pieces[i].address.v,
			.size = pieces[i].size,
			.flags = (uint16_t)((writes ? DESCRIPTOR_WRITE : 0) |
					    (last ? 0 : DESCRIPTOR_NEXT)),
			.next = last ? 0 : queue->next[at],
		};
		room += writes ? pieces[i].size : 0;
		at = queue->next[at];
	}
	queue->free_first = at;
	queue->free_count -= count;
	queue->count[slot] = (uint16_t)count;
	queue->room[slot] = room;
	queue->available.ring[queue->added % queue->size] = slot;
	queue->added++;
	__atomic_store_n(&queue->available.index, queue->added, __ATOMIC_RELEASE);
	return slot;
}

void virtqueue_kick(struct virtqueue *queue)
{
	/* The index is visible before the flag is read, or both sides sleep. */
	dma_fence();
	if (!(__atomic_load_n(&queue->used.flags, __ATOMIC_RELAXED) & USED_NO_NOTIFY)) {
		mmio_write16(queue->notify, queue->number);
	}
}

/* The chain's descriptors are free again. */
static void free_chain(struct virtqueue *queue, unsigned slot)
{
	unsigned last = slot;

	for (unsigned i = 1; i < queue->count[slot]; i++) {
		last = queue->next[last];
	}
	queue->next[last] = queue->free_first;
	queue->free_first = (uint16_t)slot;
	queue->free_count += queue->count[slot];
	queue->count[slot] = 0;
}

int virtqueue_take(struct virtqueue *queue, uint32_t *written)
{
	uint16_t index = __atomic_load_n(&queue->used.index, __ATOMIC_ACQUIRE);
	unsigned at = queue->taken % queue->size;

	if (index == queue->taken) {
		return -EAGAIN;
	}
	if ((uint16_t)(index - queue->taken) > (uint16_t)(queue->added - queue->taken)) {
		return -EPROTO;
	}
	uint32_t slot = __atomic_load_n(&queue->used.ring[at].slot, __ATOMIC_RELAXED);
	uint32_t size = __atomic_load_n(&queue->used.ring[at].size, __ATOMIC_RELAXED);

	if (slot >= queue->size || queue->count[slot] == 0) {
		return -EPROTO;
	}
	/* What devices say that they wrote to a chain which they only read means nothing. */
	if (queue->room[slot] == 0) {
		size = 0;
	}
	if (size > queue->room[slot]) {
		return -EPROTO;
	}
	free_chain(queue, slot);
	queue->taken++;
	*written = size;
	return (int)slot;
}

int virtqueue_take_back(struct virtqueue *queue)
{
	for (unsigned slot = 0; slot < queue->size; slot++) {
		if (queue->count[slot] > 0) {
			free_chain(queue, slot);
			return (int)slot;
		}
	}
	return -EAGAIN;
}

void virtqueue_mute(struct virtqueue *queue)
{
	__atomic_store_n(&queue->available.flags, AVAILABLE_NO_INTERRUPT, __ATOMIC_RELAXED);
}

bool virtqueue_unmute(struct virtqueue *queue)
{
	__atomic_store_n(&queue->available.flags, 0, __ATOMIC_RELAXED);
	/* The flag is visible before the index is read, or both sides sleep. */
	dma_fence();
	return __atomic_load_n(&queue->used.index, __ATOMIC_RELAXED) != queue->taken;
}
