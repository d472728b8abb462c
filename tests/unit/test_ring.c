/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte rings: contents and counts in one thread, then a producer and a
 * consumer at full speed. There each byte is a function of its position, so
 * that one that is torn, repeated or uncounted shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/ring.h"
#include "tests/fake_arch/fake_arch.h"

#define SIZE 16

static uint8_t memory[4096];

static struct output_ring output_of(size_t size)
{
	struct output_ring ring;

	output_ring_init(&ring, memory, size);
	return ring;
}

static void test_output_in_order(void **state)
{
	struct output_ring ring = output_of(SIZE);
	uint64_t position = 0, lost = 99;
	char text[SIZE];

	(void)state;
	assert_int_equal(output_ring_read(&ring, &position, text, sizeof(text), &lost), 0);
	assert_int_equal(lost, 0);
	output_ring_write(&ring, "abc", 3);
	output_ring_put(&ring, 'd');
	assert_int_equal(output_ring_read(&ring, &position, text, 2, &lost), 2);
	assert_memory_equal(text, "ab", 2);
	assert_int_equal(output_ring_read(&ring, &position, text, sizeof(text), &lost), 2);
	assert_memory_equal(text, "cd", 2);
	assert_int_equal(lost, 0);
	assert_int_equal(position, 4);
}

static void test_output_counts_what_was_overwritten(void **state)
{
	struct output_ring ring = output_of(SIZE);
	uint64_t position = 0, lost;
	char text[SIZE];

	(void)state;
	output_ring_write(&ring, "0123456789", 10);
	output_ring_write(&ring, "abcdefghij", 10);
	assert_int_equal(output_ring_start(&ring), 4);
	assert_int_equal(output_ring_end(&ring), 20);
	assert_int_equal(output_ring_read(&ring, &position, text, sizeof(text), &lost), SIZE);
	assert_int_equal(lost, 4);
	assert_memory_equal(text, "456789abcdefghij", SIZE);
}

static void test_output_longer_than_the_ring(void **state)
{
	struct output_ring ring = output_of(4);
	uint64_t position = 0, lost;
	char text[4];

	(void)state;
	output_ring_write(&ring, "0123456789", 10);
	assert_int_equal(output_ring_read(&ring, &position, text, 4, &lost), 4);
	assert_memory_equal(text, "6789", 4);
	assert_int_equal(lost, 6);
}

static void test_output_readers_are_independent(void **state)
{
	struct output_ring ring = output_of(SIZE);
	uint64_t first = 0, second = 0, lost;
	char text[SIZE];

	(void)state;
	output_ring_write(&ring, "xyz", 3);
	assert_int_equal(output_ring_read(&ring, &first, text, SIZE, &lost), 3);
	assert_int_equal(output_ring_read(&ring, &second, text, SIZE, &lost), 3);
	assert_int_equal(output_ring_read(&ring, &first, text, SIZE, &lost), 0);
}

static void test_output_initialised_anew(void **state)
{
	struct output_ring ring = output_of(SIZE);
	uint64_t position = 0, lost;
	char text[SIZE];

	(void)state;
	output_ring_write(&ring, "0123456789", 10);
	assert_int_equal(output_ring_read(&ring, &position, text, SIZE, &lost), 10);
	ring = output_of(SIZE);
	output_ring_write(&ring, "new", 3);
	assert_int_equal(output_ring_read(&ring, &position, text, SIZE, &lost), 3);
	assert_memory_equal(text, "new", 3);
	assert_int_equal(lost, 0);
}

/* A producer that is in the middle of a write: its bytes do not count as kept. */
static void test_output_in_flight(void **state)
{
	struct output_ring ring = output_of(SIZE);
	uint64_t position = 0, lost;
	char text[SIZE];

	(void)state;
	output_ring_write(&ring, "0123456789abcdef", SIZE);
	atomic_store(&ring.reserved, SIZE + 3);
	assert_int_equal(output_ring_read(&ring, &position, text, 8, &lost), 5);
	assert_memory_equal(text, "34567", 5);
	assert_int_equal(lost, 3);
	assert_int_equal(position, 8);
}

static void test_queue(void **state)
{
	struct byte_queue queue;
	char text[SIZE];

	(void)state;
	byte_queue_init(&queue, memory, 8);
	assert_int_equal(byte_queue_room(&queue), 8);
	for (unsigned round = 0; round < 20; round++) {
		assert_int_equal(byte_queue_write(&queue, "01234", 5), 5);
		assert_int_equal(byte_queue_write(&queue, "56789", 5), 3);
		assert_int_equal(byte_queue_write(&queue, "x", 1), 0);
		assert_int_equal(byte_queue_used(&queue), 8);
		assert_int_equal(byte_queue_read(&queue, text, 3), 3);
		assert_memory_equal(text, "012", 3);
		assert_int_equal(byte_queue_room(&queue), 3);
		assert_int_equal(byte_queue_read(&queue, text, SIZE), 5);
		assert_memory_equal(text, "34567", 5);
		assert_int_equal(byte_queue_read(&queue, text, SIZE), 0);
	}
}

static void test_size_must_be_a_power_of_two(void **state)
{
	struct byte_queue queue;
	struct output_ring ring;

	(void)state;
	expect_end(FAKE_PANIC, byte_queue_init(&queue, memory, 12));
	expect_end(FAKE_PANIC, output_ring_init(&ring, memory, 0));
}

/* ---- Two threads ------------------------------------------------------ */

#define BYTE_COUNT 4000000

static uint8_t byte_at(uint64_t position)
{
	return (uint8_t)((position * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static void *produce_output(void *context)
{
	struct output_ring *ring = context;
	uint8_t chunk[7];

	for (uint64_t position = 0; position < BYTE_COUNT;) {
		size_t count = 1 + position % sizeof(chunk);

		for (size_t i = 0; i < count; i++) {
			chunk[i] = byte_at(position + i);
		}
		output_ring_write(ring, chunk, count);
		position += count;
	}
	return NULL;
}

static void test_output_two_threads(void **state)
{
	struct output_ring ring = output_of(256);
	uint64_t position = 0, total_lost = 0, total_read = 0;
	pthread_t producer;
	uint8_t bytes[100];

	(void)state;
	assert_int_equal(pthread_create(&producer, NULL, produce_output, &ring), 0);
	while (position < BYTE_COUNT) {
		uint64_t before = position, lost;
		size_t count = output_ring_read(&ring, &position, bytes, sizeof(bytes), &lost);

		assert_int_equal(position, before + lost + count);
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(bytes[i], byte_at(before + lost + i));
		}
		total_lost += lost;
		total_read += count;
	}
	pthread_join(producer, NULL);
	assert_int_equal(position, output_ring_end(&ring));
	assert_int_equal(total_lost + total_read, position);
	assert_true(total_read > 0);
}

static void *produce_queue(void *context)
{
	struct byte_queue *queue = context;

	for (uint64_t position = 0; position < BYTE_COUNT;) {
		uint8_t bytes[3] = {byte_at(position), byte_at(position + 1),
				    byte_at(position + 2)};

		position += byte_queue_write(queue, bytes, MIN(3, BYTE_COUNT - position));
	}
	return NULL;
}

static void test_queue_two_threads(void **state)
{
	struct byte_queue queue;
	pthread_t producer;
	uint8_t bytes[64];

	(void)state;
	byte_queue_init(&queue, memory, 64);
	assert_int_equal(pthread_create(&producer, NULL, produce_queue, &queue), 0);
	for (uint64_t position = 0; position < BYTE_COUNT;) {
		size_t count = byte_queue_read(&queue, bytes, 1 + position % sizeof(bytes));

		for (size_t i = 0; i < count; i++) {
			assert_int_equal(bytes[i], byte_at(position + i));
		}
		position += count;
	}
	pthread_join(producer, NULL);
	assert_int_equal(byte_queue_used(&queue), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output_in_order),
		cmocka_unit_test(test_output_counts_what_was_overwritten),
		cmocka_unit_test(test_output_longer_than_the_ring),
		cmocka_unit_test(test_output_readers_are_independent),
		cmocka_unit_test(test_output_initialised_anew),
		cmocka_unit_test(test_output_in_flight),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_size_must_be_a_power_of_two),
		cmocka_unit_test(test_output_two_threads),
		cmocka_unit_test(test_queue_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
