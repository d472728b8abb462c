/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wall clock: the CMOS real-time clock, read once, and the TSC from there
 * on. Registers: MC146818A data sheet; the century is where ACPI's FADT puts it
 * on every PC.
 */
#include "arch/x86_64/arch.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71

#define RTC_SECONDS 0x00
#define RTC_MINUTES 0x02
#define RTC_HOURS 0x04
#define RTC_DAY 0x07
#define RTC_MONTH 0x08
#define RTC_YEAR 0x09
#define RTC_STATUS_A 0x0a
#define RTC_UPDATING BIT(7)
#define RTC_STATUS_B 0x0b
#define RTC_24_HOURS BIT(1)
#define RTC_BINARY BIT(2)
#define RTC_HOURS_PM BIT(7)

#define NS_PER_S UINT64_C(1000000000)
/* An update lasts 2 ms at most; without a clock this many reads find none. */
#define UPDATE_POLLS_MAX 10000

struct rtc_time {
	unsigned second, minute, hour, day, month, year;
};

static unsigned cmos_read(uint8_t index)
{
	io_write8(CMOS_INDEX, index);
	return io_read8(CMOS_DATA);
}

static unsigned from_bcd(unsigned value, unsigned status)
{
	return status & RTC_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static struct rtc_time read_fields(void)
{
	unsigned status = cmos_read(RTC_STATUS_B);
	unsigned hours = cmos_read(RTC_HOURS);
	struct rtc_time time = {
		.second = from_bcd(cmos_read(RTC_SECONDS), status),
		.minute = from_bcd(cmos_read(RTC_MINUTES), status),
		.hour = from_bcd(hours & ~(unsigned)RTC_HOURS_PM, status),
		.day = from_bcd(cmos_read(RTC_DAY), status),
		.month = from_bcd(cmos_read(RTC_MONTH), status),
		.year = 2000 + from_bcd(cmos_read(RTC_YEAR), status),
	};

	if (!(status & RTC_24_HOURS)) {
		time.hour = time.hour % 12 + (hours & RTC_HOURS_PM ? 12 : 0);
	}
	return time;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static uint64_t days_since_1970(const struct rtc_time *time)
{
	static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	unsigned year = time->year - 1970;
	unsigned month = MIN(MAX(time->month, 1U), 12U);
	/* Leap days before this year; from 1970 to 2099 every fourth year has one. */
	unsigned leap = (year + 1) / 4;

	if (time->year % 4 == 0 && month > 2) {
		leap++;
	}
	return (uint64_t)year * 365 + leap + before[month - 1] + time->day - 1;
}

static uint64_t read_clock(void)
{
	struct rtc_time time;

	for (unsigned i = 0; i < UPDATE_POLLS_MAX; i++) {
		if (!(cmos_read(RTC_STATUS_A) & RTC_UPDATING)) {
			break;
		}
	}
	time = read_fields();
	return days_since_1970(&time) * 86400 + time.hour * 3600 + time.minute * 60 + time.second;
}

uint64_t wall_clock_s(void)
{
	static uint64_t start_s;

	if (start_s == 0) {
		start_s = read_clock() - time_now_ns() / NS_PER_S;
	}
	return start_s + time_now_ns() / NS_PER_S;
}
