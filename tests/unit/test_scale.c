/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversion between clocks by multiplication, against exact arithmetic in 128
 * bits: for real rates, over years, and at the ends of the range.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86_64/scale.h"

#define NS UINT64_C(1000000000)
#define YEAR_S UINT64_C(31557600)

static const uint64_t rates[] = {
	10000000,   50000000,	999999999,  NS,		1000000001,
	2095078000, 2600105123, 3000000000, 6200000000,
};

static uint64_t exact(uint64_t value, uint64_t from, uint64_t to)
{
	return (uint64_t)((unsigned __int128)value * to / from);
}

static void expect_close(uint64_t from, uint64_t to, uint64_t value)
{
	uint64_t converted = scale_apply(scale_make(from, to), value);
	uint64_t wanted = exact(value, from, to);

	/* Never ahead: a deadline must not come later than it was asked for. */
	assert_true(converted <= wanted);
	/* One for the cut, and 2^-56 of the value for the factor's. */
	assert_true(wanted - converted <= 1 + (value >> 56));
}

static void is_exact_within_a_tick(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		uint64_t ticks = rates[i];

		for (uint64_t seconds = 1; seconds < YEAR_S; seconds *= 7) {
			expect_close(ticks, NS, seconds * ticks + seconds);
			expect_close(NS, ticks, seconds * NS + seconds);
		}
		expect_close(ticks, NS, 0);
		expect_close(ticks, NS, 1);
	}
}

static void comes_back_to_where_it_was(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		struct scale there = scale_make(rates[i], NS);
		struct scale back = scale_make(NS, rates[i]);
		uint64_t day = 86400 * rates[i];
		uint64_t round_trip = scale_apply(back, scale_apply(there, day));
		/* A nanosecond is several ticks of a fast clock. */
		uint64_t slack = 2 + rates[i] / NS;

		assert_true(round_trip <= day && day - round_trip <= slack);
	}
}

static void has_exact_ends(void **state)
{
	struct scale slow_to_ns = scale_make(10000000, NS);

	(void)state;
	assert_int_equal(scale_apply(slow_to_ns, TIME_NEVER), TIME_NEVER);
	assert_int_equal(scale_apply(slow_to_ns, UINT64_MAX / 100 + 1), TIME_NEVER);
	assert_int_equal(scale_apply(scale_make(NS, NS), 12345), 12345);
	assert_int_equal(scale_apply(scale_make(2 * NS, 3 * NS), 200), 300);
	assert_int_equal(scale_apply(scale_make(NS, 2 * NS), UINT64_MAX / 2), UINT64_MAX - 1);
	assert_int_equal(scale_apply(scale_make(NS, 2 * NS), TIME_NEVER), TIME_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_exact_within_a_tick),
		cmocka_unit_test(comes_back_to_where_it_was),
		cmocka_unit_test(has_exact_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
