/* SPDX-License-Identifier: Apache-2.0 */
/* The 82C54 and port 0x61: counts, outputs, latches, IRQ 0 (82C54 data sheet). */
#include "tests/unit/platform_fixture.h"
#include "vmm/ticks.h"

#define COUNTER(n) (0x40 + (n))
#define CONTROL 0x43
#define PORT_B 0x61
#define OUT2 0x20

#define VECTOR 0x42
#define BOTH 0x30
#define MODE(n) ((n) << 1)
#define BCD 0x01
#define SELECT(n) ((unsigned)(n) << 6)

static void program(struct machine *m, unsigned counter, unsigned mode, uint16_t count)
{
	out(m, CONTROL, SELECT(counter) | BOTH | mode);
	out(m, COUNTER(counter), count & 0xff);
	out(m, COUNTER(counter), count >> 8);
}

static uint16_t latched(struct machine *m, unsigned counter)
{
	uint16_t low;

	out(m, CONTROL, SELECT(counter));
	low = (uint16_t)in(m, COUNTER(counter));
	return (uint16_t)(low | in(m, COUNTER(counter)) << 8);
}

static void ticks(struct machine *m, uint64_t count)
{
	pass(m, ticks_to_ns(count, MACHINE_PIT_HZ));
}

/* At a whole number of ticks, so that sums of them stay whole. */
static void at_tick(struct machine *m, uint64_t tick)
{
	go_to(m, ticks_to_ns(tick, MACHINE_PIT_HZ));
}

static bool output_2(struct machine *m)
{
	return in(m, PORT_B) & OUT2;
}

static void listen(struct machine *m)
{
	ioapic_route_pin(m, MACHINE_PIN_PIT, VECTOR);
}

static unsigned interrupts(struct machine *m)
{
	unsigned count = 0;

	while (take(m) == VECTOR) {
		end_of_interrupt(m);
		count++;
	}
	return count;
}

static void test_rate_generator(void **state)
{
	struct machine *m = *state;

	program(m, 0, MODE(2), 1000);
	listen(m);
	assert_int_equal(latched(m, 0), 1000);
	at_tick(m, 1);
	assert_int_equal(latched(m, 0), 999);
	at_tick(m, 999);
	assert_int_equal(latched(m, 0), 1);
	assert_int_equal(interrupts(m), 0);
	for (uint64_t period = 1; period < 100; period++) {
		at_tick(m, period * 1000);
		assert_int_equal(interrupts(m), 1);
		assert_int_equal(latched(m, 0), 1000);
	}
	/* Paused for ten periods: one interrupt, the next in its old place. */
	m->now_ns = ticks_to_ns(110500, MACHINE_PIT_HZ);
	platform_step(m->platform);
	assert_int_equal(interrupts(m), 1);
	at_tick(m, 110999);
	assert_int_equal(interrupts(m), 0);
	at_tick(m, 111000);
	assert_int_equal(interrupts(m), 1);
}

static void test_square_wave(void **state)
{
	struct machine *m = *state;

	out(m, PORT_B, 0x01);
	program(m, 2, MODE(3), 10);
	assert_int_equal(latched(m, 2), 10);
	for (uint64_t tick = 0; tick < 40; tick++) {
		at_tick(m, tick);
		assert_int_equal(output_2(m), tick % 10 < 5);
		assert_int_equal(latched(m, 2), 10 - 2 * tick % 10);
	}
}

static void test_terminal_count(void **state)
{
	struct machine *m = *state;

	listen(m);
	program(m, 0, MODE(0), 500);
	at_tick(m, 499);
	assert_int_equal(interrupts(m), 0);
	assert_int_equal(latched(m, 0), 1);
	at_tick(m, 500);
	assert_int_equal(interrupts(m), 1);
	at_tick(m, 510);
	assert_int_equal(latched(m, 0), 0xfff6); /* it counts on */
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
	/* A new count lowers the output: a new edge. */
	out(m, COUNTER(0), 100);
	out(m, COUNTER(0), 0);
	ticks(m, 101);
	assert_int_equal(interrupts(m), 1);
}

/* What Linux's one-shot clock event uses. */
static void test_software_strobe(void **state)
{
	struct machine *m = *state;

	program(m, 0, MODE(4), 500);
	listen(m);
	at_tick(m, 500);
	assert_int_equal(interrupts(m), 0);
	at_tick(m, 501);
	assert_int_equal(interrupts(m), 1);
	pass(m, 1 * S);
	assert_int_equal(interrupts(m), 0);
}

static void test_zero_is_the_largest_count(void **state)
{
	struct machine *m = *state;

	program(m, 0, MODE(2), 0);
	assert_int_equal(latched(m, 0), 0);
	at_tick(m, 1);
	assert_int_equal(latched(m, 0), 0xffff);
	program(m, 1, MODE(2) | BCD, 0);
	ticks(m, 1);
	assert_int_equal(latched(m, 1), 0x9999);
}

static void test_bcd(void **state)
{
	struct machine *m = *state;

	program(m, 1, MODE(2) | BCD, 0x1234);
	assert_int_equal(latched(m, 1), 0x1234);
	at_tick(m, 35);
	assert_int_equal(latched(m, 1), 0x1199);
}

static void test_one_byte_accesses(void **state)
{
	struct machine *m = *state;

	out(m, CONTROL, SELECT(1) | 0x10 | MODE(2));
	out(m, COUNTER(1), 200);
	assert_int_equal(in(m, COUNTER(1)), 200);
	at_tick(m, 50);
	assert_int_equal(in(m, COUNTER(1)), 150);
	out(m, CONTROL, SELECT(1) | 0x20 | MODE(2));
	out(m, COUNTER(1), 0x12);
	assert_int_equal(in(m, COUNTER(1)), 0x12);
	assert_int_equal(in(m, CONTROL), 0xff);
}

static void test_latches_hold(void **state)
{
	struct machine *m = *state;

	program(m, 1, MODE(2), 0x8000);
	out(m, CONTROL, SELECT(1));
	at_tick(m, 0x1234);
	out(m, CONTROL, SELECT(1)); /* ignored: not read yet */
	assert_int_equal(in(m, COUNTER(1)), 0x00);
	assert_int_equal(in(m, COUNTER(1)), 0x80);
	assert_int_equal(in(m, COUNTER(1)), 0xcc); /* live again */
}

static void test_read_back(void **state)
{
	struct machine *m = *state;

	out(m, CONTROL, SELECT(1) | BOTH | MODE(3) | BCD);
	out(m, CONTROL, 0xe0 | 0x04); /* status of 1: no count yet */
	assert_int_equal(in(m, COUNTER(1)), 0xc0 | BOTH | MODE(3) | BCD);
	program(m, 1, MODE(0), 10);
	at_tick(m, 4);
	out(m, CONTROL, 0xc0 | 0x04); /* both of 1 */
	at_tick(m, 20);
	assert_int_equal(in(m, COUNTER(1)), BOTH | MODE(0));
	assert_int_equal(in(m, COUNTER(1)), 6);
	assert_int_equal(in(m, COUNTER(1)), 0);
	out(m, CONTROL, 0xe0 | 0x0e); /* status of all: the output is high by now */
	assert_int_equal(in(m, COUNTER(1)), 0x80 | BOTH | MODE(0));
	out(m, CONTROL, 0xd0 | 0x04); /* count only */
	assert_int_equal(in(m, COUNTER(1)), 0xf6);
	assert_int_equal(in(m, COUNTER(1)), 0xff);
}

/* Linux calibrates the TSC so: mode 0, gate up, poll the output. */
static void test_gated_terminal_count(void **state)
{
	struct machine *m = *state;
	uint16_t count;

	out(m, PORT_B, 0x00);
	program(m, 2, MODE(0), 100);
	at_tick(m, 1000);
	assert_false(output_2(m));
	assert_int_equal(latched(m, 2), 100);
	out(m, PORT_B, 0x01);
	at_tick(m, 1040);
	count = latched(m, 2);
	assert_in_range(count, 60, 61); /* it started between two ticks */
	out(m, PORT_B, 0x00); /* stopped */
	at_tick(m, 2000);
	assert_int_equal(latched(m, 2), count);
	out(m, PORT_B, 0x01);
	at_tick(m, 2059);
	assert_false(output_2(m));
	at_tick(m, 2062);
	assert_true(output_2(m));
}

static void test_gate_restarts_periods(void **state)
{
	struct machine *m = *state;

	out(m, PORT_B, 0x01);
	program(m, 2, MODE(2), 100);
	at_tick(m, 30);
	out(m, PORT_B, 0x00);
	assert_true(output_2(m));
	at_tick(m, 50);
	assert_int_equal(latched(m, 2), 70);
	out(m, PORT_B, 0x01);
	assert_int_equal(latched(m, 2), 100);
	at_tick(m, 149);
	assert_false(output_2(m));
}

static void test_hardware_triggers(void **state)
{
	struct machine *m = *state;

	program(m, 2, MODE(1), 100);
	at_tick(m, 500);
	assert_true(output_2(m));
	out(m, CONTROL, 0xe0 | 0x08);
	assert_int_equal(in(m, COUNTER(2)), 0xc0 | BOTH | MODE(1)); /* null count */
	out(m, PORT_B, 0x01);
	assert_false(output_2(m));
	out(m, CONTROL, 0xe0 | 0x08);
	assert_int_equal(in(m, COUNTER(2)), BOTH | MODE(1));
	out(m, COUNTER(2), 100);
	out(m, COUNTER(2), 0); /* for the next trigger */
	out(m, CONTROL, 0xe0 | 0x08);
	assert_int_equal(in(m, COUNTER(2)), 0x40 | BOTH | MODE(1));
	at_tick(m, 550);
	out(m, PORT_B, 0x00); /* goes on without it; up again: anew */
	assert_int_equal(latched(m, 2), 50);
	out(m, PORT_B, 0x01);
	at_tick(m, 649);
	assert_false(output_2(m));
	at_tick(m, 651);
	assert_true(output_2(m));

	program(m, 2, MODE(5), 100);
	out(m, PORT_B, 0x00);
	out(m, PORT_B, 0x01);
	at_tick(m, 751);
	assert_false(output_2(m));
	at_tick(m, 753);
	assert_true(output_2(m));
}

static void test_port_b(void **state)
{
	struct machine *m = *state;
	uint32_t first = in(m, PORT_B);

	out(m, PORT_B, 0xff);
	assert_int_equal(in(m, PORT_B) & 0xcf, 0x0f);
	m->now_ns += 15085;
	assert_int_equal((in(m, PORT_B) ^ first) & 0x10, 0x10);
}

static void test_fast_periods_are_bounded(void **state)
{
	struct machine *m = *state;

	program(m, 0, MODE(2), 1);
	assert_in_range(pass(m, 1 * MS), 1, 1 * MS / DEVICE_PERIOD_MIN_NS + 2);
}

static void test_saved_in_the_middle(void **state)
{
	struct machine *m = *state;

	program(m, 0, MODE(2), 1000);
	listen(m);
	out(m, COUNTER(1), 5);
	program(m, 2, MODE(0), 100);
	out(m, CONTROL, SELECT(2));
	at_tick(m, 700);
	reload(m);
	assert_int_equal(in(m, COUNTER(2)), 100);
	assert_int_equal(latched(m, 0), 300);
	at_tick(m, 1000);
	assert_int_equal(interrupts(m), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_rate_generator),
		MACHINE_TEST(test_square_wave),
		MACHINE_TEST(test_terminal_count),
		MACHINE_TEST(test_software_strobe),
		MACHINE_TEST(test_zero_is_the_largest_count),
		MACHINE_TEST(test_bcd),
		MACHINE_TEST(test_one_byte_accesses),
		MACHINE_TEST(test_latches_hold),
		MACHINE_TEST(test_read_back),
		MACHINE_TEST(test_gated_terminal_count),
		MACHINE_TEST(test_gate_restarts_periods),
		MACHINE_TEST(test_hardware_triggers),
		MACHINE_TEST(test_port_b),
		MACHINE_TEST(test_fast_periods_are_bounded),
		MACHINE_TEST(test_saved_in_the_middle),
	};

	return cmocka_run_group_tests_name("pit", tests, NULL, NULL);
}
