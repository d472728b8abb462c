/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of receive buffers and the list of cards, with two drivers that a
 * test commands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "drivers/nic.c"
#include "tests/fake_arch/fake_arch.h"

#define DEVICE_COUNT 12
#define BUFFER_COUNT (BUFFERS_KEPT + BUFFERS_PER_CARD)

static struct pci_device devices[DEVICE_COUNT];
static struct nic cards[DEVICE_COUNT];

unsigned pci_device_count(void)
{
	return DEVICE_COUNT;
}

struct pci_device *pci_device_at(unsigned index)
{
	return &devices[index];
}

const char *pci_name(const struct pci_device *device, char text[PCI_NAME_SIZE])
{
	snprintf(text, PCI_NAME_SIZE, "%02x", device->slot);
	return text;
}

/* Each driver takes the functions whose device number is its own. */
static struct nic *probe(struct pci_device *device, uint16_t number)
{
	struct nic *nic = &cards[device - devices];

	if (device->device != number) {
		return NULL;
	}
	nic->device = device;
	nic->model = "a card";
	return nic;
}

static struct nic *probe_first(struct pci_device *device)
{
	return probe(device, 1);
}

static struct nic *probe_second(struct pci_device *device)
{
	return probe(device, 2);
}

const struct nic_driver e1000_driver = {.name = "e1000", .probe = probe_first};
const struct nic_driver virtio_net_driver = {.name = "virtio-net", .probe = probe_second};

static int setup(void **state)
{
	(void)state;
	fake_arch_reset(64 * MIB);
	for (unsigned i = 0; i < DEVICE_COUNT; i++) {
		devices[i] = (struct pci_device){.slot = (uint8_t)i};
	}
	return 0;
}

static void test_list(void **state)
{
	(void)state;
	devices[3].device = 2;
	devices[5].device = 1;
	nic_init();
	assert_int_equal(nic_count(), 2);
	assert_ptr_equal(nic_at(0), &cards[3]);
	assert_ptr_equal(nic_at(1), &cards[5]);
	assert_null(nic_at(2));
	assert_int_equal(nic_buffer_free_count(), BUFFERS_KEPT + 2 * BUFFERS_PER_CARD);
}

static void test_no_cards(void **state)
{
	uint64_t pages;

	(void)state;
	pages = page_free_count();
	nic_init();
	assert_int_equal(nic_count(), 0);
	assert_null(nic_at(0));
	assert_int_equal(page_free_count(), pages);
}

static void test_too_many_cards(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DEVICE_COUNT; i++) {
		devices[i].device = 1;
	}
	nic_init();
	assert_int_equal(nic_count(), NIC_COUNT_MAX);
}

static void test_buffers(void **state)
{
	static struct nic_buffer *taken[BUFFER_COUNT];

	(void)state;
	devices[0].device = 1;
	nic_init();
	for (unsigned i = 0; i < BUFFER_COUNT; i++) {
		taken[i] = nic_buffer_alloc();
		assert_non_null(taken[i]);
		assert_null(taken[i]->next);
		assert_int_equal((uintptr_t)taken[i]->data % NIC_BUFFER_SIZE, 0);
		taken[i]->data[0] = 1;
		taken[i]->data[NIC_BUFFER_SIZE - 1] = (uint8_t)i;
	}
	assert_null(nic_buffer_alloc());
	assert_int_equal(nic_buffer_free_count(), 0);
	for (unsigned i = 0; i < BUFFER_COUNT; i++) {
		assert_int_equal(taken[i]->data[0], 1);
		assert_int_equal(taken[i]->data[NIC_BUFFER_SIZE - 1], (uint8_t)i);
		nic_buffer_free(taken[i]);
	}
	assert_int_equal(nic_buffer_free_count(), BUFFER_COUNT);
}

/* A driver moved the data behind its header; the next one finds the block's start. */
static void test_moved_data(void **state)
{
	(void)state;
	devices[0].device = 1;
	nic_init();

	struct nic_buffer *buffer = nic_buffer_alloc();
	uint8_t *start = buffer->data;

	buffer->data += 12;
	buffer->size = 100;
	buffer->checksum = NIC_CHECKSUM_BAD;
	nic_buffer_free(buffer);
	assert_ptr_equal(nic_buffer_alloc(), buffer);
	assert_ptr_equal(buffer->data, start);
	assert_int_equal(buffer->size, 0);
	assert_int_equal(buffer->checksum, NIC_CHECKSUM_UNKNOWN);
}

static void test_chain(void **state)
{
	(void)state;
	devices[0].device = 1;
	nic_init();

	struct nic_buffer *first = nic_buffer_alloc();

	first->next = nic_buffer_alloc();
	first->next->next = nic_buffer_alloc();
	nic_buffers_free(first);
	nic_buffers_free(NULL);
	assert_int_equal(nic_buffer_free_count(), BUFFER_COUNT);
}

static void test_freed_twice(void **state)
{
	(void)state;
	devices[0].device = 1;
	nic_init();

	struct nic_buffer *buffer = nic_buffer_alloc();

	nic_buffer_free(buffer);
	expect_end(FAKE_PANIC, nic_buffer_free(buffer));
}

static void test_no_memory(void **state)
{
	(void)state;
	fake_arch_reset(MIB);
	devices[0].device = 1;
	nic_init();
	assert_int_equal(nic_count(), 1);
	assert_null(nic_buffer_alloc());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_list, setup),
		cmocka_unit_test_setup(test_no_cards, setup),
		cmocka_unit_test_setup(test_too_many_cards, setup),
		cmocka_unit_test_setup(test_buffers, setup),
		cmocka_unit_test_setup(test_moved_data, setup),
		cmocka_unit_test_setup(test_chain, setup),
		cmocka_unit_test_setup(test_freed_twice, setup),
		cmocka_unit_test_setup(test_no_memory, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
