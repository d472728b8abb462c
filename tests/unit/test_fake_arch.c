/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake CPU's own promises, where other tests would pass for the wrong
 * reason if they did not hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/page.h"
#include "tests/fake_arch/fake_arch.h"

static int calls[4];

static void count(void *context)
{
	++*(int *)context;
}

static int setup(void **state)
{
	(void)state;
	fake_arch_reset(16 * MIB);
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		calls[i] = 0;
	}
	return 0;
}

static void shares_interrupts(void **state)
{
	(void)state;
	fake.irq_edge = BIT(4);
	assert_int_equal(irq_register(4, count, &calls[0]), 0);
	assert_int_equal(irq_register(4, count, &calls[1]), -EBUSY);
	assert_int_equal(irq_register(11, count, &calls[2]), 0);
	assert_int_equal(irq_register(11, count, &calls[3]), 0);
	fake_irq_raise(4);
	fake_irq_raise(11);
	assert_int_equal(calls[0], 1);
	assert_int_equal(calls[1], 0);
	assert_int_equal(calls[2], 1);
	assert_int_equal(calls[3], 1);
}

static void tells_messages_apart(void **state)
{
	struct msi_message messages[FAKE_MSI_MAX], none;

	(void)state;
	for (unsigned i = 0; i < FAKE_MSI_MAX; i++) {
		assert_int_equal(msi_register(count, &calls[i % 4], &messages[i]), 0);
	}
	assert_int_equal(msi_register(count, &calls[0], &none), -ENOSPC);
	fake_msi_raise(messages[2].data);
	assert_int_equal(calls[2], 1);
	assert_int_equal(calls[0] + calls[1] + calls[3], 0);
}

static uint32_t read_size(const volatile void *reg, unsigned size)
{
	(void)reg;
	return 0x80706050 + size;
}

static void has_registers_in_memory_or_by_hook(void **state)
{
	uint32_t registers[2] = {0x11223344, 0};

	(void)state;
	assert_int_equal(mmio_read8(registers), 0x44);
	assert_int_equal(mmio_read16(registers), 0x3344);
	assert_int_equal(mmio_read32(registers), 0x11223344);
	mmio_write16(&registers[1], 0xabcd);
	mmio_write8((uint8_t *)registers + 7, 0xef);
	assert_int_equal(registers[1], 0xef00abcd);
	fake.mmio_read = read_size;
	assert_int_equal(mmio_read8(registers), 0x51);
	assert_int_equal(mmio_read16(registers), 0x6052);
	assert_int_equal(mmio_read32(registers), 0x80706054);
}

static void has_addresses_for_devices(void **state)
{
	static uint8_t outside[16];
	void *inside = page_new(PAGE_SIZE);

	(void)state;
	assert_int_equal(dma_address(inside, PAGE_SIZE).v, virt_to_hpa(inside).v);
	assert_ptr_equal(fake_dma_memory(virt_to_hpa(inside).v, PAGE_SIZE), inside);
	assert_true(hpa_is_none(dma_address(hpa_to_virt(HPA(FAKE_MEMORY_SIZE - 8)), 9)));
	assert_true(hpa_is_none(dma_address(hpa_to_virt(HPA(8)), SIZE_MAX)));
	assert_true(hpa_is_none(dma_address(outside, sizeof(outside))));
	fake.dma_everything = true;
	assert_ptr_equal(fake_dma_memory(dma_address(outside, 16).v, 16), outside);
}

static void repeats_its_random_numbers(void **state)
{
	uint64_t first, second, again;

	(void)state;
	assert_int_equal(cpu_random(&first), 0);
	assert_int_equal(cpu_random(&second), 0);
	assert_int_not_equal(first, second);
	fake.random_seed = 0;
	assert_int_equal(cpu_random(&again), 0);
	assert_int_equal(again, first);
	fake.random_error = -ENODEV;
	assert_int_equal(cpu_random(&again), -ENODEV);
}

static void lends_vectors_once_and_to_no_guest(void **state)
{
	struct vcpu *vcpu = vcpu_create(HPA(0), &(struct vcpu_limits){0});
	struct exit exit;

	(void)state;
	fpu_begin();
	expect_end(FAKE_PANIC, fpu_begin());
	expect_end(FAKE_PANIC, vcpu_run(vcpu, 0, 0, &exit));
	expect_end(FAKE_PANIC, vcpu_park(vcpu));
	fpu_end();
	assert_int_equal(fake.fpu_count, 1);
	expect_end(FAKE_PANIC, fpu_end());
	fake.cpu_id = 1;
	expect_end(FAKE_PANIC, fpu_begin());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(shares_interrupts, setup),
		cmocka_unit_test_setup(tells_messages_apart, setup),
		cmocka_unit_test_setup(has_registers_in_memory_or_by_hook, setup),
		cmocka_unit_test_setup(has_addresses_for_devices, setup),
		cmocka_unit_test_setup(repeats_its_random_numbers, setup),
		cmocka_unit_test_setup(lends_vectors_once_and_to_no_guest, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
