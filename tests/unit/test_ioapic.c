/* SPDX-License-Identifier: Apache-2.0 */
/* The IOAPIC: edges, levels, remote IRR, routing (82093AA data sheet). */
#include "tests/unit/platform_fixture.h"

#define VECTOR 0x41
#define LEVEL BIT(15)
#define MASKED BIT(16)
#define REMOTE_IRR BIT(14)

static void test_registers(void **state)
{
	struct machine *m = *state;

	assert_int_equal(ioapic_in(m, 0), 0);
	assert_int_equal(ioapic_in(m, 1), 0x00170020);
	ioapic_out(m, 0, 0x0f000000);
	assert_int_equal(ioapic_in(m, 0), 0x0f000000);
	assert_int_equal(ioapic_in(m, 2), 0x0f000000);
	for (unsigned i = 0; i < IOAPIC_PIN_COUNT; i++) {
		assert_int_equal(ioapic_in(m, 0x10 + 2 * i), MASKED);
		ioapic_out(m, 0x10 + 2 * i, 0xffffffff);
		ioapic_out(m, 0x11 + 2 * i, 0xffffffff);
		assert_int_equal(ioapic_in(m, 0x10 + 2 * i), 0x1afff);
		assert_int_equal(ioapic_in(m, 0x11 + 2 * i), 0xff000000);
	}
	ioapic_out(m, 0x40, 0xffffffff);
	assert_int_equal(ioapic_in(m, 0x40), 0);
	ioapic_out(m, 0xff, 0xffffffff);
	assert_int_equal(ioapic_in(m, 0xff), 0);
}

static void test_edge(void **state)
{
	struct machine *m = *state;

	ioapic_route_pin(m, 5, VECTOR);
	set_irq(m, 5, true);
	assert_int_equal(take(m), VECTOR);
	set_irq(m, 5, true);
	end_of_interrupt(m);
	assert_int_equal(take(m), -1);
	set_irq(m, 5, false);
	set_irq(m, 5, true);
	assert_int_equal(take(m), VECTOR);
}

static void test_masked_edge_is_lost(void **state)
{
	struct machine *m = *state;

	ioapic_route_pin(m, 5, MASKED | VECTOR);
	set_irq(m, 5, true);
	ioapic_route_pin(m, 5, VECTOR);
	assert_int_equal(take(m), -1);
}

static void test_level(void **state)
{
	struct machine *m = *state;

	ioapic_route_pin(m, 9, MASKED | LEVEL | VECTOR);
	set_irq(m, 9, true);
	assert_int_equal(take(m), -1);
	ioapic_route_pin(m, 9, LEVEL | VECTOR); /* a masked level waits */
	assert_int_equal(ioapic_in(m, 0x10 + 18), REMOTE_IRR | LEVEL | VECTOR);
	assert_int_equal(take(m), VECTOR);
	assert_int_equal(lapic_in(m, 0x180 + 0x20), 1 << (VECTOR % 32));
	/* Not again before the EOI, then as long as the line is up. */
	set_irq(m, 9, true);
	assert_int_equal(take(m), -1);
	end_of_interrupt(m);
	assert_int_equal(take(m), VECTOR);
	set_irq(m, 9, false);
	end_of_interrupt(m);
	assert_int_equal(take(m), -1);
	assert_int_equal(ioapic_in(m, 0x10 + 18), LEVEL | VECTOR);
}

static void test_levels_end_one_by_one(void **state)
{
	struct machine *m = *state;

	ioapic_route_pin(m, 9, LEVEL | VECTOR);
	ioapic_route_pin(m, 10, LEVEL | 0x61);
	set_irq(m, 9, true);
	assert_int_equal(take(m), VECTOR);
	set_irq(m, 10, true);
	assert_int_equal(take(m), 0x61);
	end_of_interrupt(m);
	/* The EOI was that of 10, whose line is up; 9 is still served. */
	assert_int_equal(take(m), 0x61);
	assert_int_equal(ioapic_in(m, 0x10 + 18), REMOTE_IRR | LEVEL | VECTOR);
	set_irq(m, 10, false);
	end_of_interrupt(m);
	end_of_interrupt(m);
	assert_int_equal(take(m), VECTOR);
}

static void test_eoi_register_and_edge_trick(void **state)
{
	struct machine *m = *state;

	ioapic_route_pin(m, 9, LEVEL | VECTOR);
	set_irq(m, 9, true);
	set_irq(m, 9, false);
	mmio_out(m, MACHINE_IOAPIC_BASE + 0x40, VECTOR);
	assert_int_equal(ioapic_in(m, 0x10 + 18), LEVEL | VECTOR);
	set_irq(m, 9, true);
	ioapic_out(m, 0x10 + 18, LEVEL | VECTOR);
	assert_int_equal(ioapic_in(m, 0x10 + 18), REMOTE_IRR | LEVEL | VECTOR);
	set_irq(m, 9, false);
	ioapic_out(m, 0x10 + 18, MASKED | VECTOR);
	ioapic_out(m, 0x10 + 18, LEVEL | VECTOR);
	assert_int_equal(ioapic_in(m, 0x10 + 18), LEVEL | VECTOR);
}

static void test_routing(void **state)
{
	struct machine *m = *state;

	/* Logical, lowest priority. */
	lapic_out(m, 0xd0, 0x02000000);
	ioapic_route_pin(m, 4, 0x900 | VECTOR);
	ioapic_out(m, 0x11 + 8, 0x03000000);
	set_irq(m, 4, true);
	assert_int_equal(take(m), VECTOR);
	end_of_interrupt(m);
	/* To nobody. */
	ioapic_out(m, 0x11 + 8, 0x04000000);
	set_irq(m, 4, false);
	set_irq(m, 4, true);
	assert_int_equal(take(m), -1);
	/* To all; as NMI. */
	ioapic_route_pin(m, 4, VECTOR);
	ioapic_out(m, 0x11 + 8, 0xff000000);
	set_irq(m, 4, false);
	set_irq(m, 4, true);
	assert_int_equal(take(m), VECTOR);
	ioapic_route_pin(m, 4, 0x400);
	set_irq(m, 4, false);
	set_irq(m, 4, true);
	assert_true(platform_nmi_take(m->platform));
	assert_int_equal(take(m), -1);
	/* An NMI has no EOI: a level never waits for one. */
	set_irq(m, 4, false);
	ioapic_route_pin(m, 4, LEVEL | 0x400);
	set_irq(m, 4, true);
	assert_true(platform_nmi_take(m->platform));
	assert_int_equal(ioapic_in(m, 0x10 + 8), LEVEL | 0x400);
}

static void test_broadcast_in_x2apic_mode(void **state)
{
	struct machine *m = *state;

	enable_x2apic(m);
	ioapic_route_pin(m, 4, VECTOR);
	ioapic_out(m, 0x11 + 8, 0xff000000);
	set_irq(m, 4, true);
	assert_int_equal(take(m), VECTOR);
}

static void test_timer_is_on_pin_2(void **state)
{
	struct machine *m = *state;

	ioapic_route_pin(m, 0, VECTOR);
	ioapic_route_pin(m, 2, VECTOR + 1);
	set_irq(m, 0, true);
	assert_int_equal(take(m), VECTOR + 1);
	assert_int_equal(take(m), -1);
}

/* Not taken by a disabled APIC: no EOI will come, so it is not on its way. */
static void test_not_taken(void **state)
{
	struct machine *m = *state;

	lapic_out(m, 0xf0, 0xff);
	ioapic_route_pin(m, 9, LEVEL | VECTOR);
	set_irq(m, 9, true);
	assert_int_equal(ioapic_in(m, 0x10 + 18), LEVEL | VECTOR);
	lapic_out(m, 0xf0, 0x1ff);
	set_irq(m, 9, true);
	assert_int_equal(take(m), VECTOR);
}

static void test_window_holes(void **state)
{
	struct machine *m = *state;
	uint64_t value;

	ioapic_route_pin(m, 9, VECTOR);
	mmio_out(m, MACHINE_IOAPIC_BASE, 0x10 + 18);
	mmio_out(m, MACHINE_IOAPIC_BASE + 0x20, 0xffffffff);
	assert_int_equal(mmio_in(m, MACHINE_IOAPIC_BASE + 0x20), 0);
	assert_true(platform_mmio_read(m->platform, GPA(MACHINE_IOAPIC_BASE + 0x10), 1, &value));
	assert_int_equal(value, VECTOR);
	assert_true(platform_mmio_read(m->platform, GPA(MACHINE_IOAPIC_BASE + 0x11), 1, &value));
	assert_int_equal(value, 0);
	assert_true(platform_mmio_read(m->platform, GPA(MACHINE_IOAPIC_BASE + 0xfff), 8, &value));
	assert_false(platform_mmio_read(m->platform, GPA(MACHINE_IOAPIC_BASE + 0x1000), 4, &value));
}

static void test_saved_on_its_way(void **state)
{
	struct machine *m = *state;

	ioapic_route_pin(m, 9, LEVEL | VECTOR);
	set_irq(m, 9, true);
	assert_int_equal(take(m), VECTOR);
	reload(m);
	assert_int_equal(take(m), -1);
	end_of_interrupt(m);
	assert_int_equal(take(m), VECTOR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_registers),
		MACHINE_TEST(test_edge),
		MACHINE_TEST(test_masked_edge_is_lost),
		MACHINE_TEST(test_level),
		MACHINE_TEST(test_levels_end_one_by_one),
		MACHINE_TEST(test_eoi_register_and_edge_trick),
		MACHINE_TEST(test_routing),
		MACHINE_TEST(test_broadcast_in_x2apic_mode),
		MACHINE_TEST(test_timer_is_on_pin_2),
		MACHINE_TEST(test_not_taken),
		MACHINE_TEST(test_window_holes),
		MACHINE_TEST(test_saved_on_its_way),
	};

	return cmocka_run_group_tests_name("ioapic", tests, NULL, NULL);
}
