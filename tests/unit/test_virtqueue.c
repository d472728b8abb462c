/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A split virtqueue against a device that a test plays by hand: chains, the
 * indices' wrap-around, suppressed kicks and interrupts, and used rings that lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "drivers/virtqueue.h"
#include "tests/fake_arch/fake_arch.h"

#define SIZE 8
#define NUMBER 5

static struct virtqueue queue;
static uint16_t notified;
static unsigned notify_count;

static void notify(volatile void *reg, unsigned size, uint32_t value)
{
	assert_ptr_equal(reg, &notified);
	assert_int_equal(size, 2);
	assert_int_equal(value, NUMBER);
	notify_count++;
}

static int setup(void **state)
{
	(void)state;
	fake_arch_reset(0);
	fake.mmio_write = notify;
	notify_count = 0;
	virtqueue_init(&queue, SIZE, NUMBER, &notified);
	return 0;
}

/* A chain of `reads` pieces that the device reads, and `writes` of 100 bytes that it writes. */
static unsigned add(unsigned reads, unsigned writes)
{
	struct virtqueue_piece pieces[SIZE];

	for (unsigned i = 0; i < reads + writes; i++) {
		pieces[i] = (struct virtqueue_piece){
			.address = HPA(0x1000 * (i + 1)),
			.size = i < reads ? 10 + i : 100,
			.device_writes = i >= reads,
		};
	}
	return virtqueue_add(&queue, pieces, reads + writes);
}

/* The device is done with a chain. */
static void use(unsigned slot, uint32_t size)
{
	queue.used.ring[queue.used.index % SIZE].slot = slot;
	queue.used.ring[queue.used.index % SIZE].size = size;
	queue.used.index++;
}

static void check_empty(void)
{
	uint32_t written;

	assert_int_equal(virtqueue_take(&queue, &written), -EAGAIN);
	assert_int_equal(virtqueue_room(&queue), SIZE);
}

static void test_chain_layout(void **state)
{
	unsigned expected = virtqueue_next_slot(&queue);
	unsigned slot = add(2, 1);
	const struct virtqueue_descriptor *first = &queue.descriptors[slot];
	const struct virtqueue_descriptor *second = &queue.descriptors[first->next];
	const struct virtqueue_descriptor *third = &queue.descriptors[second->next];

	(void)state;
	assert_int_equal(slot, expected);
	assert_int_equal(first->flags, 1);
	assert_int_equal(first->address, 0x1000);
	assert_int_equal(first->size, 10);
	assert_int_equal(second->flags, 1);
	assert_int_equal(second->size, 11);
	assert_int_equal(third->flags, 2);
	assert_int_equal(third->address, 0x3000);
	assert_int_equal(third->size, 100);
	assert_int_equal(queue.available.index, 1);
	assert_int_equal(queue.available.ring[0], slot);
	assert_int_equal(virtqueue_room(&queue), SIZE - 3);
}

static void test_take(void **state)
{
	uint32_t written;
	unsigned slots[] = {add(1, 1), add(0, 2), add(3, 0)};

	(void)state;
	/* In another order than they were added. */
	use(slots[2], 0);
	use(slots[0], 77);
	assert_int_equal(virtqueue_take(&queue, &written), slots[2]);
	assert_int_equal(written, 0);
	assert_int_equal(virtqueue_take(&queue, &written), slots[0]);
	assert_int_equal(written, 77);
	assert_int_equal(virtqueue_take(&queue, &written), -EAGAIN);
	use(slots[1], 200);
	assert_int_equal(virtqueue_take(&queue, &written), slots[1]);
	assert_int_equal(written, 200);
	check_empty();
}

/* More chains than 16 bits count, of all lengths, so that the free ones get mixed. */
static void test_wrap_around(void **state)
{
	uint32_t written;

	(void)state;
	for (unsigned i = 0; i < 70000; i++) {
		unsigned a = add(1, i % 3), b = add(i % 4 + 1, 0);

		assert_int_not_equal(a, b);
		use(i % 2 ? a : b, 0);
		use(i % 2 ? b : a, 0);
		assert_int_equal(virtqueue_take(&queue, &written), i % 2 ? a : b);
		assert_int_equal(virtqueue_take(&queue, &written), i % 2 ? b : a);
	}
	check_empty();
	assert_int_equal(queue.available.index, (uint16_t)140000);
}

static void test_full(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIZE; i++) {
		add(1, 0);
	}
	assert_int_equal(virtqueue_room(&queue), 0);
	expect_end(FAKE_PANIC, add(1, 0));
}

static void test_kick(void **state)
{
	(void)state;
	add(1, 0);
	virtqueue_kick(&queue);
	assert_int_equal(notify_count, 1);
	queue.used.flags = 1;
	virtqueue_kick(&queue);
	assert_int_equal(notify_count, 1);
}

static void test_interrupts(void **state)
{
	unsigned slot = add(0, 1);
	uint32_t written;

	(void)state;
	virtqueue_mute(&queue);
	assert_int_equal(queue.available.flags, 1);
	assert_false(virtqueue_unmute(&queue));
	assert_int_equal(queue.available.flags, 0);
	/* One that came while they were off. */
	virtqueue_mute(&queue);
	use(slot, 1);
	assert_true(virtqueue_unmute(&queue));
	assert_int_equal(virtqueue_take(&queue, &written), slot);
	assert_false(virtqueue_unmute(&queue));
}

/* ---- Used rings that make no sense ------------------------------------------------ */

static void check_refused(void)
{
	uint32_t written;
	unsigned room = virtqueue_room(&queue);

	assert_int_equal(virtqueue_take(&queue, &written), -EPROTO);
	assert_int_equal(virtqueue_take(&queue, &written), -EPROTO);
	assert_int_equal(virtqueue_room(&queue), room);
}

static void test_unknown_slot(void **state)
{
	(void)state;
	add(0, 1);
	use(SIZE, 1);
	check_refused();
}

static void test_huge_slot(void **state)
{
	(void)state;
	add(0, 1);
	use(0x10000, 1);
	check_refused();
}

static void test_middle_of_a_chain(void **state)
{
	unsigned slot = add(2, 1);

	(void)state;
	use(queue.descriptors[slot].next, 0);
	check_refused();
}

static void test_used_twice(void **state)
{
	unsigned slot = add(0, 1);
	uint32_t written;

	(void)state;
	add(0, 1);
	use(slot, 1);
	use(slot, 1);
	assert_int_equal(virtqueue_take(&queue, &written), slot);
	check_refused();
}

static void test_too_long(void **state)
{
	unsigned slot = add(1, 2);

	(void)state;
	use(slot, 201);
	check_refused();
}

static void test_length_of_what_is_only_read(void **state)
{
	unsigned slot = add(2, 0);
	uint32_t written;

	(void)state;
	use(slot, 4096);
	assert_int_equal(virtqueue_take(&queue, &written), slot);
	assert_int_equal(written, 0);
}

static void test_index_runs_ahead(void **state)
{
	(void)state;
	add(0, 1);
	queue.used.index += 2;
	check_refused();
}

static void test_index_runs_back(void **state)
{
	(void)state;
	add(0, 1);
	queue.used.index--;
	check_refused();
}

/* What the device scribbles over descriptors and the available ring changes nothing. */
static void test_overwritten(void **state)
{
	unsigned a = add(1, 2), b = add(2, 0);
	uint32_t written;

	(void)state;
	memset(queue.descriptors, 0xff, sizeof(queue.descriptors));
	memset(&queue.available, 0xff, sizeof(queue.available));
	use(a, 200);
	assert_int_equal(virtqueue_take(&queue, &written), a);
	use(b, 0);
	assert_int_equal(virtqueue_take(&queue, &written), b);
	check_empty();
}

static void test_take_back(void **state)
{
	unsigned slots[] = {add(1, 1), add(3, 0), add(0, 2)};
	unsigned seen = 0;
	uint32_t written;
	int slot;

	(void)state;
	use(slots[1], 0);
	assert_int_equal(virtqueue_take(&queue, &written), slots[1]);
	while ((slot = virtqueue_take_back(&queue)) >= 0) {
		assert_false(seen & 1u << slot);
		seen |= 1u << slot;
	}
	assert_int_equal(slot, -EAGAIN);
	assert_int_equal(seen, 1u << slots[0] | 1u << slots[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_chain_layout, setup),
		cmocka_unit_test_setup(test_take, setup),
		cmocka_unit_test_setup(test_wrap_around, setup),
		cmocka_unit_test_setup(test_full, setup),
		cmocka_unit_test_setup(test_kick, setup),
		cmocka_unit_test_setup(test_interrupts, setup),
		cmocka_unit_test_setup(test_unknown_slot, setup),
		cmocka_unit_test_setup(test_huge_slot, setup),
		cmocka_unit_test_setup(test_middle_of_a_chain, setup),
		cmocka_unit_test_setup(test_used_twice, setup),
		cmocka_unit_test_setup(test_too_long, setup),
		cmocka_unit_test_setup(test_length_of_what_is_only_read, setup),
		cmocka_unit_test_setup(test_index_runs_ahead, setup),
		cmocka_unit_test_setup(test_index_runs_back, setup),
		cmocka_unit_test_setup(test_overwritten, setup),
		cmocka_unit_test_setup(test_take_back, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
