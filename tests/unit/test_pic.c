/* SPDX-License-Identifier: Apache-2.0 */
/* The 82C59A pair: priorities, ends of interrupt, modes (82C59A data sheet). */
#include "tests/unit/platform_fixture.h"

#define EOI 0x20
#define ROTATE_EOI 0xa0
#define SPECIFIC_EOI(n) (0x60 | (n))
#define ROTATE_SPECIFIC_EOI(n) (0xe0 | (n))
#define SET_PRIORITY(n) (0xc0 | (n))
#define READ_IRR 0x0a
#define READ_ISR 0x0b
#define POLL 0x0c
#define SPECIAL_MASK_ON 0x68
#define SPECIAL_MASK_OFF 0x48

static uint32_t read_isr(struct machine *m, uint16_t port)
{
	out(m, port, READ_ISR);
	return in(m, port);
}

static void pulse(struct machine *m, unsigned irq)
{
	set_irq(m, irq, false);
	set_irq(m, irq, true);
}

static void test_masked_until_initialised(void **state)
{
	struct machine *m = *state;

	pulse(m, 3);
	assert_int_equal(take(m), -1);
	assert_int_equal(in(m, 0x21), 0xff);
	init_pics(m);
	assert_int_equal(in(m, 0x21), 0);
	/* ICW1 forgets edges. */
	assert_int_equal(take(m), -1);
	pulse(m, 3);
	assert_int_equal(take(m), MASTER_BASE + 3);
}

static void test_priorities_nest(void **state)
{
	struct machine *m = *state;

	init_pics(m);
	pulse(m, 4);
	assert_int_equal(take(m), MASTER_BASE + 4);
	assert_int_equal(take(m), -1);
	assert_int_equal(read_isr(m, 0x20), 0x10);
	set_irq(m, 4, true); /* no edge */
	out(m, 0x20, READ_IRR);
	assert_int_equal(in(m, 0x20), 0);
	pulse(m, 5);
	assert_int_equal(take(m), -1);
	pulse(m, 1);
	assert_int_equal(take(m), MASTER_BASE + 1);
	assert_int_equal(read_isr(m, 0x20), 0x12);
	out(m, 0x20, EOI);
	assert_int_equal(read_isr(m, 0x20), 0x10);
	assert_int_equal(take(m), -1);
	out(m, 0x20, EOI);
	assert_int_equal(take(m), MASTER_BASE + 5);
}

static void test_slave(void **state)
{
	struct machine *m = *state;

	init_pics(m);
	pulse(m, 12);
	assert_int_equal(take(m), SLAVE_BASE + 4);
	assert_int_equal(read_isr(m, 0x20), 0x04);
	assert_int_equal(read_isr(m, 0xa0), 0x10);
	/* The master's input 2 is served: a higher one of the slave waits, too. */
	pulse(m, 8);
	assert_int_equal(take(m), -1);
	out(m, 0xa0, EOI);
	out(m, 0x20, EOI);
	assert_int_equal(take(m), SLAVE_BASE);
}

static void test_special_fully_nested(void **state)
{
	struct machine *m = *state;

	init_pics(m);
	out(m, 0x20, ICW1);
	out(m, 0x21, MASTER_BASE);
	out(m, 0x21, 0x04);
	out(m, 0x21, 0x11);
	pulse(m, 12);
	assert_int_equal(take(m), SLAVE_BASE + 4);
	pulse(m, 8);
	assert_int_equal(take(m), SLAVE_BASE);
}

static void test_slave_auto_eoi_keeps_the_next(void **state)
{
	struct machine *m = *state;

	init_pics(m);
	out(m, 0xa0, ICW1);
	out(m, 0xa1, SLAVE_BASE);
	out(m, 0xa1, 0x02);
	out(m, 0xa1, 0x03);
	pulse(m, 9);
	pulse(m, 10);
	assert_int_equal(take(m), SLAVE_BASE + 1);
	assert_int_equal(read_isr(m, 0xa0), 0);
	out(m, 0x20, EOI);
	assert_int_equal(take(m), SLAVE_BASE + 2);
}

static void test_mask_keeps_the_edge(void **state)
{
	struct machine *m = *state;

	init_pics(m);
	out(m, 0x21, 0x08);
	assert_int_equal(in(m, 0x21), 0x08);
	pulse(m, 3);
	assert_int_equal(take(m), -1);
	out(m, 0x20, READ_IRR);
	assert_int_equal(in(m, 0x20), 0x08);
	out(m, 0x21, 0);
	assert_int_equal(take(m), MASTER_BASE + 3);
}

static void test_request_withdrawn_is_spurious(void **state)
{
	struct machine *m = *state;

	init_pics(m);
	pulse(m, 3);
	assert_true(platform_irq_pending(m->platform));
	set_irq(m, 3, false);
	assert_false(platform_irq_pending(m->platform));
	/* A CPU that has begun its acknowledge cycles gets input 7, unserved. */
	assert_int_equal(pic_acknowledge(&m->platform->pic), MASTER_BASE + 7);
	assert_int_equal(read_isr(m, 0x20), 0);
}

static void test_level_triggered_asks_again(void **state)
{
	struct machine *m = *state;

	init_pics(m);
	out(m, 0x4d0, 0xff);
	out(m, 0x4d1, 0xff);
	assert_int_equal(in(m, 0x4d0), 0xf8);
	assert_int_equal(in(m, 0x4d1), 0xde);
	set_irq(m, 10, true);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(take(m), SLAVE_BASE + 2);
		out(m, 0xa0, EOI);
		out(m, 0x20, EOI);
	}
	assert_int_equal(take(m), SLAVE_BASE + 2);
	set_irq(m, 10, false);
	out(m, 0xa0, EOI);
	out(m, 0x20, EOI);
	assert_int_equal(take(m), -1);
}

static void test_specific_end_and_rotation(void **state)
{
	struct machine *m = *state;

	init_pics(m);
	pulse(m, 1);
	assert_int_equal(take(m), MASTER_BASE + 1);
	out(m, 0x20, ROTATE_EOI); /* 1 becomes the lowest */
	pulse(m, 0);
	pulse(m, 3);
	assert_int_equal(take(m), MASTER_BASE + 3);
	pulse(m, 1);
	assert_int_equal(take(m), -1);
	out(m, 0x20, SPECIFIC_EOI(3));
	assert_int_equal(take(m), MASTER_BASE + 0);
	out(m, 0x20, ROTATE_SPECIFIC_EOI(0)); /* 0 becomes the lowest */
	assert_int_equal(take(m), MASTER_BASE + 1);
	out(m, 0x20, EOI);
	out(m, 0x20, SET_PRIORITY(4));
	pulse(m, 4);
	pulse(m, 5);
	assert_int_equal(take(m), MASTER_BASE + 5);
	out(m, 0x20, EOI);
	assert_int_equal(take(m), MASTER_BASE + 4);
}

static void test_auto_eoi_rotates(void **state)
{
	struct machine *m = *state;

	init_pics(m);
	out(m, 0x20, ICW1);
	out(m, 0x21, MASTER_BASE);
	out(m, 0x21, 0x04);
	out(m, 0x21, 0x03);
	out(m, 0x20, 0x80); /* rotate on auto EOI */
	pulse(m, 3);
	pulse(m, 4);
	assert_int_equal(take(m), MASTER_BASE + 3);
	assert_int_equal(read_isr(m, 0x20), 0);
	pulse(m, 3);
	assert_int_equal(take(m), MASTER_BASE + 4);
	out(m, 0x20, 0x00);
	assert_int_equal(take(m), MASTER_BASE + 3);
	assert_int_equal(m->platform->pic.state.chips[0].lowest, 4);
}

static void test_special_mask(void **state)
{
	struct machine *m = *state;

	init_pics(m);
	pulse(m, 1);
	assert_int_equal(take(m), MASTER_BASE + 1);
	pulse(m, 6);
	assert_int_equal(take(m), -1);
	out(m, 0x21, 0x02);
	out(m, 0x20, SPECIAL_MASK_ON);
	assert_int_equal(take(m), MASTER_BASE + 6);
	out(m, 0x20, READ_ISR); /* leaves the mode alone */
	out(m, 0x20, EOI); /* not that of the masked 1 */
	assert_int_equal(read_isr(m, 0x20), 0x02);
	out(m, 0x20, SPECIAL_MASK_OFF);
	pulse(m, 6);
	assert_int_equal(take(m), -1);
}

static void test_poll(void **state)
{
	struct machine *m = *state;

	init_pics(m);
	out(m, 0x20, POLL);
	assert_int_equal(in(m, 0x20), 0);
	pulse(m, 5);
	out(m, 0x20, POLL);
	assert_int_equal(in(m, 0x20), 0x85);
	assert_int_equal(in(m, 0x20), 0x00); /* one poll a command */
	assert_int_equal(take(m), -1);
	assert_int_equal(read_isr(m, 0x20), 0x20);
}

static void test_single_without_icw4(void **state)
{
	struct machine *m = *state;

	out(m, 0x20, 0x12);
	out(m, 0x21, 0x43);
	out(m, 0x21, 0xf7);
	assert_int_equal(in(m, 0x21), 0xf7);
	pulse(m, 3);
	assert_int_equal(take(m), 0x43); /* bits 2:0 of ICW2 do not count */
}

static void test_without_the_apic(void **state)
{
	struct machine *m = *state;

	init_pics(m);
	lapic_out(m, 0x350, BIT(16));
	pulse(m, 3);
	assert_int_equal(take(m), -1);
	msr_out(m, MSR_APIC_BASE, 0xfee00100);
	assert_int_equal(take(m), MASTER_BASE + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_masked_until_initialised),
		MACHINE_TEST(test_priorities_nest),
		MACHINE_TEST(test_slave),
		MACHINE_TEST(test_special_fully_nested),
		MACHINE_TEST(test_slave_auto_eoi_keeps_the_next),
		MACHINE_TEST(test_mask_keeps_the_edge),
		MACHINE_TEST(test_request_withdrawn_is_spurious),
		MACHINE_TEST(test_level_triggered_asks_again),
		MACHINE_TEST(test_specific_end_and_rotation),
		MACHINE_TEST(test_auto_eoi_rotates),
		MACHINE_TEST(test_special_mask),
		MACHINE_TEST(test_poll),
		MACHINE_TEST(test_single_without_icw4),
		MACHINE_TEST(test_without_the_apic),
	};

	return cmocka_run_group_tests_name("pic", tests, NULL, NULL);
}
