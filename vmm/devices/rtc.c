/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/rtc.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"
#include "vmm/ticks.h"

#define PORT_NMI_MASK BIT(7)

enum {
	REG_SECOND,
	REG_SECOND_ALARM,
	REG_MINUTE,
	REG_MINUTE_ALARM,
	REG_HOUR,
	REG_HOUR_ALARM,
	REG_WEEKDAY,
	REG_DAY,
	REG_MONTH,
	REG_YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D,
};

#define A_UPDATING BIT(7)
#define A_DIVIDER BITS(6, 4)
#define A_DIVIDER_RESET 6 /* and 7 */
#define A_RATE BITS(3, 0)

#define B_SET BIT(7)
#define B_BINARY BIT(2)
#define B_24_HOURS BIT(1)

/* Enables in B and flags in C have the same places. */
#define PERIODIC BIT(6)
#define ALARM BIT(5)
#define UPDATE BIT(4)
#define C_FLAGS (PERIODIC | ALARM | UPDATE)
#define C_IRQ BIT(7)

#define D_VALID BIT(7)

#define HOUR_PM BIT(7)
#define ALARM_ANY BITS(7, 6) /* both set: matches every value */

#define CRYSTAL_HZ 32768
#define UPDATE_WARNING_NS 244000 /* UIP is up so long before an update */
#define DAY_S 86400
#define YEAR_10000_S UINT64_C(253402300800)

static struct rtc *to_rtc(struct device *device)
{
	return CONTAINER_OF(device, struct rtc, device);
}

/* ---- Calendar: days since 1970, Gregorian --------------------------------------- */

struct date {
	uint32_t year, month, day; /* month and day from 1 */
};

/*
 * Years that begin in March have their leap day last; eras of 400 years are
 * all alike. Day 0 is 1 March of the year 0, 719468 days before 1970.
 */
static uint64_t days_from_date(const struct date *date)
{
	uint32_t month = (date->month + 9) % 12; /* 0 = March */
	uint32_t year = date->year - (date->month <= 2);

	return UINT64_C(365) * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 +
	       date->day - 1 - 719468;
}

static struct date date_from_days(uint64_t days)
{
	uint32_t since = days + 719468;
	uint32_t era = since / 146097, in_era = since % 146097;
	uint32_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	uint32_t in_year = in_era - (365 * year + year / 4 - year / 100);
	uint32_t month = (5 * in_year + 2) / 153;

	return (struct date){
		.year = era * 400 + year + (month >= 10),
		.month = month < 10 ? month + 3 : month - 9,
		.day = in_year - (153 * month + 2) / 5 + 1,
	};
}

/* ---- Registers as B says: BCD or binary, 24 or 12 hours --------------------------- */

static uint8_t encode(const uint8_t *cmos, uint32_t value)
{
	return cmos[REG_B] & B_BINARY ? value : value / 10 % 10 << 4 | value % 10;
}

static uint32_t decode(const uint8_t *cmos, uint8_t value)
{
	return cmos[REG_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 0xf);
}

static uint8_t encode_hour(const uint8_t *cmos, uint32_t hour)
{
	if (cmos[REG_B] & B_24_HOURS) {
		return encode(cmos, hour);
	}
	return encode(cmos, (hour + 11) % 12 + 1) | (hour >= 12 ? HOUR_PM : 0);
}

static uint32_t decode_hour(const uint8_t *cmos, uint8_t value)
{
	if (cmos[REG_B] & B_24_HOURS) {
		return decode(cmos, value);
	}
	return decode(cmos, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

static bool is_running(const struct rtc_state_v1 *s)
{
	return !(s->cmos[REG_B] & B_SET) && field_get(A_DIVIDER, s->cmos[REG_A]) < A_DIVIDER_RESET;
}

static uint64_t clock_s(const struct rtc_state_v1 *s, uint64_t now_ns)
{
	return (s->base_s + (now_ns - s->base_ns) / NS_PER_S) % YEAR_10000_S;
}

static void clock_to_registers(struct rtc_state_v1 *s, uint64_t now_ns)
{
	uint8_t *cmos = s->cmos;
	uint64_t seconds = clock_s(s, now_ns);
	struct date date = date_from_days(seconds / DAY_S);

	cmos[REG_SECOND] = encode(cmos, seconds % 60);
	cmos[REG_MINUTE] = encode(cmos, seconds / 60 % 60);
	cmos[REG_HOUR] = encode_hour(cmos, seconds / 3600 % 24);
	cmos[REG_WEEKDAY] = (seconds / DAY_S + 4) % 7 + 1; /* 1970 began on day 5 */
	cmos[REG_DAY] = encode(cmos, date.day);
	cmos[REG_MONTH] = encode(cmos, date.month);
	cmos[REG_YEAR] = encode(cmos, date.year % 100);
	cmos[MACHINE_CMOS_CENTURY] = encode(cmos, date.year / 100);
}

/* What a guest wrote may be no date: any number of seconds will do then. */
static void registers_to_clock(struct rtc_state_v1 *s, uint64_t now_ns)
{
	const uint8_t *cmos = s->cmos;
	struct date date = {
		.year = decode(cmos, cmos[MACHINE_CMOS_CENTURY]) * 100 +
			decode(cmos, cmos[REG_YEAR]),
		.month = decode(cmos, cmos[REG_MONTH]),
		.day = decode(cmos, cmos[REG_DAY]),
	};
	uint64_t seconds = days_from_date(&date) * DAY_S +
			   decode_hour(cmos, cmos[REG_HOUR]) * 3600 +
			   decode(cmos, cmos[REG_MINUTE]) * 60 + decode(cmos, cmos[REG_SECOND]);

	s->base_s = seconds % YEAR_10000_S;
	s->base_ns = now_ns;
}

/* ---- Flags and interrupts ------------------------------------------------------------ */

static bool alarm_matches(uint8_t alarm, uint8_t value)
{
	return alarm >= ALARM_ANY || alarm == value;
}

/*
 * The first second from `from_s` on that the alarm matches, within a day. Skips
 * hours and minutes that do not match: at most 24 + 60 + 60 steps, twice.
 */
static uint64_t next_alarm_s(const uint8_t *cmos, uint64_t from_s)
{
	uint64_t s = from_s;

	while (s <= from_s + DAY_S) {
		if (!alarm_matches(cmos[REG_HOUR_ALARM], encode_hour(cmos, s / 3600 % 24))) {
			s = (s / 3600 + 1) * 3600;
		} else if (!alarm_matches(cmos[REG_MINUTE_ALARM], encode(cmos, s / 60 % 60))) {
			s = (s / 60 + 1) * 60;
		} else if (!alarm_matches(cmos[REG_SECOND_ALARM], encode(cmos, s % 60))) {
			s++;
		} else {
			return s;
		}
	}
	return TIME_NEVER;
}

/* Guest time at which the clock's second number `count` since the base begins. */
static uint64_t second_starts_ns(const struct rtc_state_v1 *s, uint64_t count)
{
	return s->base_ns + count * NS_PER_S;
}

/* The first update after `after_ns`. */
static uint64_t next_update_ns(const struct rtc_state_v1 *s, uint64_t after_ns)
{
	if (!is_running(s)) {
		return TIME_NEVER;
	}
	return second_starts_ns(s, (after_ns - s->base_ns) / NS_PER_S + 1);
}

static uint64_t next_alarm_ns(const struct rtc_state_v1 *s, uint64_t after_ns)
{
	uint64_t count = (after_ns - s->base_ns) / NS_PER_S + 1;
	uint64_t from = (s->base_s + count) % YEAR_10000_S;
	uint64_t alarm = is_running(s) ? next_alarm_s(s->cmos, from) : TIME_NEVER;

	return alarm == TIME_NEVER ? TIME_NEVER : second_starts_ns(s, count + alarm - from);
}

static uint64_t next_periodic_ns(const struct rtc_state_v1 *s, uint64_t after_ns)
{
	unsigned rate = field_get(A_RATE, s->cmos[REG_A]);
	uint64_t period;

	if (!rate || field_get(A_DIVIDER, s->cmos[REG_A]) >= A_DIVIDER_RESET) {
		return TIME_NEVER;
	}
	/* Rates 1 and 2 are those of 8 and 9 with this crystal. */
	period = UINT64_C(1) << (rate < 3 ? rate + 6 : rate - 1);
	return ticks_to_ns((ticks_from_ns(after_ns, CRYSTAL_HZ) / period + 1) * period, CRYSTAL_HZ);
}

static void update_irq(struct rtc *rtc)
{
	uint8_t *cmos = rtc->state.cmos;
	bool level = cmos[REG_B] & cmos[REG_C] & C_FLAGS;

	cmos[REG_C] = (cmos[REG_C] & C_FLAGS) | (level ? C_IRQ : 0);
	if (level != rtc->state.irq) {
		rtc->state.irq = level;
		device_set_irq(&rtc->device, MACHINE_IRQ_RTC, level);
	}
}

/* Sets the flags of all that happened since they were right. */
static void update_flags(struct rtc *rtc, uint64_t now_ns)
{
	struct rtc_state_v1 *s = &rtc->state;

	if (next_update_ns(s, s->seen_ns) <= now_ns) {
		s->cmos[REG_C] |= UPDATE;
	}
	if (next_alarm_ns(s, s->seen_ns) <= now_ns) {
		s->cmos[REG_C] |= ALARM;
	}
	if (next_periodic_ns(s, s->seen_ns) <= now_ns) {
		s->cmos[REG_C] |= PERIODIC;
	}
	s->seen_ns = now_ns;
	update_irq(rtc);
}

/* Only a flag that is enabled and not up yet is worth waking for. */
static void arm(struct rtc *rtc)
{
	const struct rtc_state_v1 *s = &rtc->state;
	uint8_t wanted = s->cmos[REG_B] & ~s->cmos[REG_C];
	uint64_t next = TIME_NEVER;

	if (wanted & UPDATE) {
		next = next_update_ns(s, s->seen_ns);
	}
	if (wanted & ALARM) {
		next = MIN(next, next_alarm_ns(s, s->seen_ns));
	}
	if (wanted & PERIODIC) {
		next = MIN(next, next_periodic_ns(s, s->seen_ns));
	}
	device_set_deadline(&rtc->device, next);
}

static void rtc_step(struct device *device, uint64_t now_ns)
{
	update_flags(to_rtc(device), now_ns);
	arm(to_rtc(device));
}

/* ---- Ports ------------------------------------------------------------------------------ */

static bool is_clock_register(unsigned reg)
{
	return reg <= REG_YEAR || reg == MACHINE_CMOS_CENTURY;
}

/* A and B: stopping keeps the time in the registers, starting takes it from there. */
static void write_control(struct rtc_state_v1 *s, unsigned reg, uint8_t value, uint64_t now_ns)
{
	bool was_running = is_running(s);

	if (was_running) {
		clock_to_registers(s, now_ns);
	}
	if (reg == REG_A) {
		s->cmos[REG_A] = value & ~A_UPDATING;
	} else {
		/* SET clears UIE (data sheet, "Register B"). */
		s->cmos[REG_B] = value & B_SET ? value & ~UPDATE : value;
	}
	if (!was_running && is_running(s)) {
		/* The first update comes 500 ms after the divider starts. */
		registers_to_clock(s, now_ns - NS_PER_S / 2);
	}
}

static void write_clock(struct rtc_state_v1 *s, unsigned reg, uint8_t value, uint64_t now_ns)
{
	uint64_t phase = (now_ns - s->base_ns) % NS_PER_S;

	if (!is_running(s)) {
		s->cmos[reg] = value;
		return;
	}
	clock_to_registers(s, now_ns);
	s->cmos[reg] = value;
	registers_to_clock(s, now_ns - phase);
}

static void write_register(struct rtc_state_v1 *s, unsigned reg, uint8_t value, uint64_t now_ns)
{
	if (reg == REG_A || reg == REG_B) {
		write_control(s, reg, value, now_ns);
	} else if (is_clock_register(reg)) {
		write_clock(s, reg, value, now_ns);
	} else if (reg != REG_C && reg != REG_D) {
		s->cmos[reg] = value;
	}
}

static void rtc_write(struct device *device, unsigned offset, uint8_t value)
{
	struct rtc_state_v1 *s = &to_rtc(device)->state;
	uint64_t now;

	if (offset == 0) {
		s->index = value & ~PORT_NMI_MASK;
		s->nmi_masked = !!(value & PORT_NMI_MASK);
		return;
	}
	now = device_now_ns(device);
	update_flags(to_rtc(device), now);
	write_register(s, s->index, value, now);
	update_irq(to_rtc(device));
	arm(to_rtc(device));
}

/* Reading C clears the flags and ends the interrupt. */
static uint8_t read_flags(struct rtc *rtc, uint64_t now_ns)
{
	uint8_t flags;

	update_flags(rtc, now_ns);
	flags = rtc->state.cmos[REG_C];
	rtc->state.cmos[REG_C] = 0;
	update_irq(rtc);
	arm(rtc);
	return flags;
}

static bool is_updating(const struct rtc_state_v1 *s, uint64_t now_ns)
{
	return is_running(s) && (now_ns - s->base_ns) % NS_PER_S >= NS_PER_S - UPDATE_WARNING_NS;
}

static uint8_t rtc_read(struct device *device, unsigned offset)
{
	struct rtc_state_v1 *s = &to_rtc(device)->state;
	uint64_t now = device_now_ns(device);

	if (offset == 0) {
		return 0xff; /* write-only */
	}
	if (is_clock_register(s->index) && is_running(s)) {
		clock_to_registers(s, now);
	}
	switch (s->index) {
	case REG_A:
		return s->cmos[REG_A] | (is_updating(s, now) ? A_UPDATING : 0);
	case REG_C:
		return read_flags(to_rtc(device), now);
	default:
		return s->cmos[s->index];
	}
}

/* ---- Init, reset, state ---------------------------------------------------------------- */

/* The wall clock is that of guest time 0. */
void rtc_init(struct rtc *rtc, uint64_t wall_clock_s)
{
	struct rtc_state_v1 *s = &rtc->state;

	*s = (struct rtc_state_v1){.base_s = wall_clock_s % YEAR_10000_S};
	s->cmos[REG_A] = 0x26; /* 32 kHz, 1024 Hz periodic: what firmware sets */
	s->cmos[REG_B] = B_24_HOURS;
	s->cmos[REG_D] = D_VALID;
}

/* The battery keeps time and memory; RESET clears what could interrupt. */
static void rtc_reset(struct device *device)
{
	struct rtc *rtc = to_rtc(device);

	rtc->state.cmos[REG_B] &= ~C_FLAGS;
	rtc->state.cmos[REG_C] = 0;
	rtc->state.index = 0;
	rtc->state.nmi_masked = false;
	update_irq(rtc);
	arm(rtc);
}

static int rtc_validate(const void *state)
{
	const struct rtc_state_v1 *s = state;
	bool irq = s->cmos[REG_B] & s->cmos[REG_C] & C_FLAGS;

	if (s->base_s >= YEAR_10000_S || s->index >= RTC_CMOS_SIZE || s->nmi_masked > 1 ||
	    s->irq != irq) {
		return -EINVAL;
	}
	if ((s->cmos[REG_A] & A_UPDATING) || s->cmos[REG_D] != D_VALID ||
	    (s->cmos[REG_C] & ~C_FLAGS) != (irq ? C_IRQ : 0)) {
		return -EINVAL;
	}
	return 0;
}

static void rtc_load(struct device *device)
{
	arm(to_rtc(device));
}

static const struct port_region rtc_ports[] = {
	{MACHINE_PORT_RTC, 2},
};

const struct device_ops rtc_ops = {
	.name = "rtc",
	DEVICE_STATE(struct rtc, 1),
	.ports = rtc_ports,
	.port_count = ARRAY_SIZE(rtc_ports),
	.read = rtc_read,
	.write = rtc_write,
	.reset = rtc_reset,
	.step = rtc_step,
	.validate = rtc_validate,
	.load = rtc_load,
};
