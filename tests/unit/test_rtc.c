/* SPDX-License-Identifier: Apache-2.0 */
/* The MC146818A: calendar, formats, alarms and interrupts (its data sheet). */
#include "tests/unit/platform_fixture.h"

#include <stdio.h>
#include <time.h>

#define A 0x0a
#define B 0x0b
#define C 0x0c
#define D 0x0d
#define CENTURY 0x32

#define SET 0x80
#define PIE 0x40
#define AIE 0x20
#define UIE 0x10
#define BINARY 0x04
#define HOURS_24 0x02

#define VECTOR 0x48

static uint8_t rtc_in(struct machine *m, uint8_t index)
{
	out(m, 0x70, index);
	return (uint8_t)in(m, 0x71);
}

static void rtc_out(struct machine *m, uint8_t index, uint8_t value)
{
	out(m, 0x70, index);
	out(m, 0x71, value);
}

static void assert_clock(struct machine *m, const char *expected)
{
	char text[40];

	snprintf(text, sizeof(text), "%02x%02x-%02x-%02x %02x:%02x:%02x %d", rtc_in(m, CENTURY),
		 rtc_in(m, 9), rtc_in(m, 8), rtc_in(m, 7), rtc_in(m, 4), rtc_in(m, 2), rtc_in(m, 0),
		 rtc_in(m, 6));
	assert_string_equal(text, expected);
}

static void set_clock(struct machine *m, uint8_t century, uint8_t year, uint8_t month, uint8_t day,
		      uint8_t hour, uint8_t minute, uint8_t second)
{
	const uint8_t values[][2] = {{CENTURY, century}, {9, year},   {8, month}, {7, day},
				     {4, hour},		 {2, minute}, {0, second}};
	uint8_t b = rtc_in(m, B);

	rtc_out(m, B, b | SET);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		rtc_out(m, values[i][0], values[i][1]);
	}
	rtc_out(m, B, b);
}

static void listen(struct machine *m)
{
	ioapic_route_pin(m, MACHINE_IRQ_RTC, VECTOR);
	rtc_in(m, C);
}

static bool interrupted(struct machine *m)
{
	int vector = take(m);

	if (vector < 0) {
		return false;
	}
	assert_int_equal(vector, VECTOR);
	end_of_interrupt(m);
	return true;
}

static void test_after_power_on(void **state)
{
	struct machine *m = *state;

	assert_int_equal(rtc_in(m, A), 0x26);
	assert_int_equal(rtc_in(m, B), HOURS_24);
	assert_int_equal(rtc_in(m, D), 0x80);
	assert_int_equal(in(m, 0x70), 0xff);
	assert_clock(m, "2000-02-28 23:59:59 2");
	go_to(m, 1 * S); /* into a leap day of a century */
	assert_clock(m, "2000-02-29 00:00:00 3");
	go_to(m, 1 * S + 86400 * S);
	assert_clock(m, "2000-03-01 00:00:00 4");
}

static void test_every_day_of_four_centuries(void **state)
{
	struct machine *m = *state;

	for (uint64_t day = 0; day < 146097; day += 13) {
		uint64_t seconds = day * 86400 + 45296;
		time_t when = (time_t)seconds;
		struct tm tm;
		char text[40];

		gmtime_r(&when, &tm);
		snprintf(text, sizeof(text), "%04d-%02d-%02d 12:34:56 %d", tm.tm_year + 1900,
			 tm.tm_mon + 1, tm.tm_mday, tm.tm_wday + 1);
		rtc_init(&m->platform->rtc, seconds);
		assert_clock(m, text);
		/* Written back as it was read, it is the same time. */
		rtc_out(m, 7, rtc_in(m, 7));
		assert_clock(m, text);
		assert_int_equal(m->platform->rtc.state.base_s, seconds);
	}
}

static void test_formats(void **state)
{
	struct machine *m = *state;

	set_clock(m, 0x20, 0x26, 0x11, 0x22, 0x13, 0x45, 0x30);
	assert_int_equal(rtc_in(m, 4), 0x13);
	rtc_out(m, B, 0); /* 12 hours */
	assert_int_equal(rtc_in(m, 4), 0x81);
	rtc_out(m, B, BINARY);
	assert_int_equal(rtc_in(m, 4), 0x81);
	assert_int_equal(rtc_in(m, 2), 45);
	assert_int_equal(rtc_in(m, 9), 26);
	assert_int_equal(rtc_in(m, CENTURY), 20);
	rtc_out(m, B, BINARY | HOURS_24);
	assert_int_equal(rtc_in(m, 4), 13);
	rtc_out(m, 4, 0); /* midnight is 12 am, noon 12 pm */
	rtc_out(m, B, 0);
	assert_int_equal(rtc_in(m, 4), 0x12);
	rtc_out(m, 4, 0x92);
	rtc_out(m, B, HOURS_24);
	assert_int_equal(rtc_in(m, 4), 0x12);
	rtc_out(m, B, 0);
	rtc_out(m, 4, 0x09);
	rtc_out(m, B, HOURS_24);
	assert_int_equal(rtc_in(m, 4), 0x09);
}

static void test_set_holds_and_starts_half_a_second_later(void **state)
{
	struct machine *m = *state;

	m->now_ns = 100 * MS;
	rtc_out(m, B, SET | HOURS_24);
	go_to(m, 10 * S);
	assert_int_equal(rtc_in(m, 0), 0x59);
	rtc_out(m, 0, 0x30);
	assert_int_equal(rtc_in(m, 0), 0x30);
	rtc_out(m, B, HOURS_24);
	go_to(m, 10 * S + 499 * MS);
	assert_int_equal(rtc_in(m, 0), 0x30);
	go_to(m, 10 * S + 501 * MS);
	assert_int_equal(rtc_in(m, 0), 0x31);
	/* The divider in reset stops it, too. */
	rtc_out(m, A, 0x66);
	go_to(m, 15 * S);
	rtc_out(m, A, 0x76);
	go_to(m, 20 * S);
	assert_int_equal(rtc_in(m, 0), 0x31);
	rtc_out(m, A, 0x26);
	go_to(m, 21 * S);
	assert_int_equal(rtc_in(m, 0), 0x32);
}

static void test_update_in_progress(void **state)
{
	struct machine *m = *state;

	go_to(m, 1 * S - 245 * US);
	assert_int_equal(rtc_in(m, A), 0x26);
	go_to(m, 1 * S - 243 * US);
	assert_int_equal(rtc_in(m, A), 0xa6);
	go_to(m, 1 * S);
	assert_int_equal(rtc_in(m, A), 0x26);
	rtc_out(m, B, SET | HOURS_24);
	go_to(m, 2 * S - 100 * US);
	assert_int_equal(rtc_in(m, A), 0x26);
	go_to(m, 2 * S);
	rtc_out(m, B, HOURS_24); /* seconds begin at the half now */
	go_to(m, 3 * S - 100 * US);
	assert_int_equal(rtc_in(m, A), 0x26);
	go_to(m, 3 * S + 500 * MS - 100 * US);
	assert_int_equal(rtc_in(m, A), 0xa6);
}

static void test_flags_without_interrupts(void **state)
{
	struct machine *m = *state;

	assert_int_equal(rtc_in(m, C), 0x00);
	go_to(m, 1 * MS);
	assert_int_equal(rtc_in(m, C), 0x40);
	go_to(m, 1 * S);
	assert_int_equal(rtc_in(m, C), 0x70); /* the alarm registers hold 00:00:00 */
	assert_int_equal(rtc_in(m, C), 0x00);
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
}

static void test_update_interrupt(void **state)
{
	struct machine *m = *state;

	go_to(m, 1500 * MS);
	listen(m);
	rtc_out(m, B, UIE | HOURS_24);
	assert_int_equal(platform_deadline_ns(m->platform), 2 * S);
	go_to(m, 2 * S);
	assert_true(interrupted(m));
	go_to(m, 5 * S); /* not again before C was read */
	assert_false(interrupted(m));
	assert_int_equal(rtc_in(m, C) & 0x90, 0x90);
	go_to(m, 6 * S);
	assert_true(interrupted(m));
	rtc_out(m, B, SET | UIE | HOURS_24); /* SET takes UIE back */
	assert_int_equal(rtc_in(m, B), SET | HOURS_24);
}

static void test_periodic_interrupt(void **state)
{
	struct machine *m = *state;
	unsigned count = 0;

	listen(m);
	rtc_out(m, A, 0x26); /* 1024 Hz */
	rtc_out(m, B, PIE | HOURS_24);
	for (uint64_t ms = 1; ms <= 1000; ms++) {
		pass(m, 1 * MS);
		if (interrupted(m)) {
			assert_int_equal(rtc_in(m, C) & 0xc0, 0xc0);
			count++;
		}
	}
	assert_in_range(count, 990, 1000); /* two of them in one ms now and then */
	rtc_out(m, A, 0x21); /* 256 Hz, as with 8 */
	rtc_in(m, C);
	assert_in_range(platform_deadline_ns(m->platform), m->now_ns + 1, m->now_ns + 3906251);
	rtc_out(m, A, 0x20);
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
}

static void test_alarm_interrupt(void **state)
{
	static const struct {
		uint8_t hour, minute, second;
		uint64_t after_s;
	} cases[] = {
		{0x12, 0x34, 0x56, 2096}, {0x11, 0x59, 0x59, 86399}, {0xff, 0x30, 0x00, 1800},
		{0xff, 0xff, 0x07, 7},	  {0xff, 0xff, 0xff, 1},     {0xc0, 0xff, 0x00, 60},
		{0x13, 0xff, 0xff, 3600}, {0x12, 0x00, 0x00, 86400},
	};
	struct machine *m = *state;

	listen(m);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t start;

		rtc_out(m, B, HOURS_24);
		set_clock(m, 0x20, 0x26, 0x11, 0x22, 0x11, 0x59, 0x59);
		start = m->now_ns + 500 * MS; /* 12:00:00 */
		go_to(m, start);
		rtc_out(m, 5, cases[i].hour);
		rtc_out(m, 3, cases[i].minute);
		rtc_out(m, 1, cases[i].second);
		rtc_in(m, C);
		rtc_out(m, B, AIE | HOURS_24);
		assert_int_equal(platform_deadline_ns(m->platform), start + cases[i].after_s * S);
		go_to(m, start + cases[i].after_s * S);
		assert_true(interrupted(m));
		assert_int_equal(rtc_in(m, C) & 0xa0, 0xa0);
	}
	/* No such second. */
	rtc_out(m, 1, 0x77);
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
}

static void test_memory(void **state)
{
	struct machine *m = *state;

	for (unsigned i = 0x0e; i < 0x80; i++) {
		if (i != CENTURY) {
			rtc_out(m, (uint8_t)i, (uint8_t)(i ^ 0xa5));
		}
	}
	rtc_out(m, C, 0xff);
	rtc_out(m, D, 0x00);
	for (unsigned i = 0x0e; i < 0x80; i++) {
		if (i != CENTURY) {
			assert_int_equal(rtc_in(m, (uint8_t)(0x80 | i)), i ^ 0xa5);
		}
	}
	assert_int_equal(rtc_in(m, C), 0);
	assert_int_equal(rtc_in(m, D), 0x80);
}

static void test_no_date_at_all(void **state)
{
	struct machine *m = *state;

	for (unsigned value = 0; value < 256; value++) {
		for (uint8_t reg = 0; reg < 10; reg++) {
			rtc_out(m, reg, (uint8_t)value);
		}
		rtc_out(m, CENTURY, (uint8_t)value);
		assert_true(m->platform->rtc.state.base_s < UINT64_C(253402300800));
		pass(m, 1 * S);
		assert_in_range(rtc_in(m, 8), 0x01, 0x12);
		assert_in_range(rtc_in(m, 7), 0x01, 0x31);
	}
}

static void test_reset_keeps_the_time(void **state)
{
	struct machine *m = *state;

	rtc_out(m, 0x40, 0x77);
	rtc_out(m, B, PIE | AIE | UIE | HOURS_24);
	go_to(m, 61 * S);
	rtc_in(m, C);
	assert_int_not_equal(platform_deadline_ns(m->platform), TIME_NEVER);
	out(m, 0x70, 0x80);
	go_to(m, 62 * S);
	platform_reset(m->platform);
	platform_nmi_raise(m->platform);
	assert_true(platform_nmi_take(m->platform));
	assert_int_equal(rtc_in(m, B), HOURS_24);
	assert_int_equal(rtc_in(m, 0x40), 0x77);
	assert_clock(m, "2000-02-29 00:01:01 3");
	assert_int_equal(rtc_in(m, C), 0);
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
}

static void test_saved_with_an_alarm(void **state)
{
	struct machine *m = *state;

	listen(m);
	rtc_out(m, 5, 0x00);
	rtc_out(m, 3, 0x00);
	rtc_out(m, 1, 0x05);
	rtc_out(m, B, AIE | HOURS_24);
	go_to(m, 3 * S);
	reload(m);
	go_to(m, 6 * S - 1);
	assert_false(interrupted(m));
	go_to(m, 6 * S);
	assert_true(interrupted(m));
	assert_clock(m, "2000-02-29 00:00:05 3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_after_power_on),
		MACHINE_TEST(test_every_day_of_four_centuries),
		MACHINE_TEST(test_formats),
		MACHINE_TEST(test_set_holds_and_starts_half_a_second_later),
		MACHINE_TEST(test_update_in_progress),
		MACHINE_TEST(test_flags_without_interrupts),
		MACHINE_TEST(test_update_interrupt),
		MACHINE_TEST(test_periodic_interrupt),
		MACHINE_TEST(test_alarm_interrupt),
		MACHINE_TEST(test_memory),
		MACHINE_TEST(test_no_date_at_all),
		MACHINE_TEST(test_reset_keeps_the_time),
		MACHINE_TEST(test_saved_with_an_alarm),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
