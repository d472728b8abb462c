/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two rings of bytes between CPUs, without locks.
 *
 * output_ring: one producer that never waits. The newest bytes overwrite the
 * oldest; any number of readers follow at their own pace, each with its own
 * position, and learn how many bytes they missed.
 *
 * byte_queue: one producer, one consumer, nothing overwritten. What does not
 * fit is not taken, and the producer is told.
 *
 * Positions count bytes since the start and never wrap; sizes are powers of
 * two. The memory belongs to whoever initialises the ring.
 */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <stdatomic.h>
#include <string.h>

#include "base/bits.h"
#include "base/check.h"

struct output_ring {
	_Atomic uint8_t *data;
	size_t size;
	/* Bytes before `written` can be read; those before `reserved` may be in flight. */
	_Atomic uint64_t reserved, written;
};

static inline void output_ring_init(struct output_ring *ring, void *memory, size_t size)
{
	CHECK(size > 0 && is_aligned(size, size));
	ring->data = memory;
	ring->size = size;
	atomic_init(&ring->reserved, 0);
	atomic_init(&ring->written, 0);
}

/* Producer only. */
static inline void output_ring_write(struct output_ring *ring, const void *bytes, size_t count)
{
	const uint8_t *from = bytes;
	uint64_t position = atomic_load_explicit(&ring->written, memory_order_relaxed);

	/* Announced first: a reader that sees one of the new bytes sees this too. */
	atomic_store_explicit(&ring->reserved, position + count, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < count; i++) {
		atomic_store_explicit(&ring->data[(position + i) & (ring->size - 1)], from[i],
				      memory_order_relaxed);
	}
	atomic_store_explicit(&ring->written, position + count, memory_order_release);
}

static inline void output_ring_put(struct output_ring *ring, uint8_t byte)
{
	output_ring_write(ring, &byte, 1);
}

/* The position behind the newest byte: a reader that starts here sees only new ones. */
static inline uint64_t output_ring_end(const struct output_ring *ring)
{
	return atomic_load_explicit(&ring->written, memory_order_acquire);
}

/* The position of the oldest byte kept; stale as soon as the producer goes on. */
static inline uint64_t output_ring_start(const struct output_ring *ring)
{
	uint64_t end = output_ring_end(ring);

	return end - MIN(end, ring->size);
}

/*
 * Copies up to `size` bytes from *position on, and moves it behind them.
 * Returns their count; *lost is how many were overwritten before them. A ring
 * that was initialised anew is read from its start.
 */
static inline size_t output_ring_read(const struct output_ring *ring, uint64_t *position,
				      void *bytes, size_t size, uint64_t *lost)
{
	uint8_t *to = bytes;
	uint64_t end = output_ring_end(ring);
	uint64_t wanted = *position <= end ? *position : 0;
	uint64_t oldest = end - MIN(end, ring->size);
	uint64_t start = MAX(wanted, oldest);
	size_t count = MIN(size, end - start);

	for (size_t i = 0; i < count; i++) {
		to[i] = atomic_load_explicit(&ring->data[(start + i) & (ring->size - 1)],
					     memory_order_relaxed);
	}

	/* What the producer may have begun to overwrite meanwhile does not count. */
	atomic_thread_fence(memory_order_acquire);
	uint64_t reserved = atomic_load_explicit(&ring->reserved, memory_order_relaxed);
	uint64_t intact = reserved - MIN(reserved, ring->size);
	size_t spoilt = intact > start ? MIN(count, intact - start) : 0;

	memmove(to, to + spoilt, count - spoilt);
	*lost = start + spoilt - wanted;
	*position = start + count;
	return count - spoilt;
}

struct byte_queue {
	uint8_t *data;
	size_t size;
	_Atomic uint64_t written, taken;
};

static inline void byte_queue_init(struct byte_queue *queue, void *memory, size_t size)
{
	CHECK(size > 0 && is_aligned(size, size));
	queue->data = memory;
	queue->size = size;
	atomic_init(&queue->written, 0);
	atomic_init(&queue->taken, 0);
}

/* How many bytes wait: the producer may see too many, the consumer too few. */
static inline size_t byte_queue_used(const struct byte_queue *queue)
{
	uint64_t taken = atomic_load_explicit(&queue->taken, memory_order_acquire);

	return atomic_load_explicit(&queue->written, memory_order_acquire) - taken;
}

static inline size_t byte_queue_room(const struct byte_queue *queue)
{
	return queue->size - byte_queue_used(queue);
}

/* Producer only; returns how many bytes were taken, from the first on. */
static inline size_t byte_queue_write(struct byte_queue *queue, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;
	uint64_t written = atomic_load_explicit(&queue->written, memory_order_relaxed);
	size_t room = byte_queue_room(queue);
	size_t count = MIN(size, room);

	for (size_t i = 0; i < count; i++) {
		queue->data[(written + i) & (queue->size - 1)] = from[i];
	}
	atomic_store_explicit(&queue->written, written + count, memory_order_release);
	return count;
}

/* Consumer only: what waits is forgotten. */
static inline void byte_queue_drain(struct byte_queue *queue)
{
	uint64_t written = atomic_load_explicit(&queue->written, memory_order_acquire);

	atomic_store_explicit(&queue->taken, written, memory_order_release);
}

/* Consumer only; returns how many bytes there were. */
static inline size_t byte_queue_read(struct byte_queue *queue, void *bytes, size_t size)
{
	uint8_t *to = bytes;
	uint64_t taken = atomic_load_explicit(&queue->taken, memory_order_relaxed);
	size_t used = byte_queue_used(queue);
	size_t count = MIN(size, used);

	for (size_t i = 0; i < count; i++) {
		to[i] = queue->data[(taken + i) & (queue->size - 1)];
	}
	atomic_store_explicit(&queue->taken, taken + count, memory_order_release);
	return count;
}

#endif
