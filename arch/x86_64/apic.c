/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/apic.h"

#include "arch/x86_64/features.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/scale.h"
#include "arch/x86_64/traps.h"
#include "base/check.h"
#include "base/log.h"

#define APIC_BASE_ADDRESS BITS(51, 12)
#define APIC_BASE_EXTD BIT(10)

/* Registers: offsets in the page, and by 16 MSRs from 0x800 (SDM 3, table 11-6). */
#define APIC_ID 0x020
#define APIC_TPR 0x080
#define APIC_EOI 0x0b0
#define APIC_SPURIOUS 0x0f0
#define SPURIOUS_ENABLE BIT(8)
#define APIC_ERROR 0x280
#define APIC_ICR 0x300
#define APIC_ICR_HIGH 0x310 /* xAPIC only */
#define APIC_LVT_TIMER 0x320
#define LVT_TIMER_DEADLINE BIT(18)
#define APIC_LVT_LINT0 0x350
#define APIC_LVT_LINT1 0x360
#define APIC_LVT_ERROR 0x370
#define LVT_NMI field_set(BITS(10, 8), 4)
#define LVT_MASKED BIT(16)
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE 0x3e0
#define TIMER_DIVIDE_BY_1 0xb
#define MSR_X2APIC 0x800

/* Interrupt command register (SDM 3, figures 11-12 and 11-28) */
#define ICR_FIXED field_set(BITS(10, 8), 0)
#define ICR_NMI field_set(BITS(10, 8), 4)
#define ICR_INIT field_set(BITS(10, 8), 5)
#define ICR_STARTUP field_set(BITS(10, 8), 6)
#define ICR_PENDING BIT(12)
#define ICR_ASSERT BIT(14)

#define TIMER_MEASURE_US 10000

static struct {
	bool x2apic;
	uint8_t *page; /* xAPIC */
	struct scale tsc_to_timer; /* one-shot */
} apic;

static uint64_t apic_read(unsigned offset)
{
	if (apic.x2apic) {
		return msr_read(MSR_X2APIC + offset / 16);
	}
	return mmio_read32(apic.page + offset);
}

static void apic_write(unsigned offset, uint64_t value)
{
	if (apic.x2apic) {
		msr_write(MSR_X2APIC + offset / 16, value);
	} else {
		mmio_write32(apic.page + offset, (uint32_t)value);
	}
}

void apic_init(void)
{
	uint64_t base = msr_read(MSR_APIC_BASE);

	apic.x2apic = features.x2apic;
	if (!apic.x2apic) {
		apic.page = mmio_map(HPA(base & APIC_BASE_ADDRESS), PAGE_SIZE);
		if (!apic.page) {
			panic("no memory to map the local APIC");
		}
	}
}

void apic_enable_cpu(void)
{
	if (apic.x2apic) {
		/* EN stays set: from disabled there is no way to x2APIC but RESET. */
		msr_write(MSR_APIC_BASE, msr_read(MSR_APIC_BASE) | APIC_BASE_EXTD);
	}
	apic_write(APIC_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
	apic_write(APIC_LVT_LINT1, LVT_NMI);
	apic_write(APIC_LVT_ERROR, VECTOR_APIC_ERROR);
	apic_write(APIC_ERROR, 0);
}

/* Both clocks are read around the wait, which may well take longer than asked. */
static void timer_measure(void)
{
	uint64_t start = tsc_now();

	apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
	delay_us(TIMER_MEASURE_US);
	uint64_t passed = UINT32_MAX - apic_read(APIC_TIMER_CURRENT);
	uint64_t ticks = tsc_now() - start;
	apic_write(APIC_TIMER_INITIAL, 0);
	if (passed == 0) {
		panic("the local APIC's timer does not run");
	}
	apic.tsc_to_timer = scale_make(ticks, passed);
}

void apic_timer_enable_cpu(void)
{
	if (features.tsc_deadline) {
		apic_write(APIC_LVT_TIMER, LVT_TIMER_DEADLINE | VECTOR_TIMER);
		/* The mode must be in force before a deadline is set (SDM 3, 11.5.4.1). */
		__asm__ volatile("mfence" : : : "memory");
		return;
	}
	apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_1);
	if (apic.tsc_to_timer.factor == 0) {
		timer_measure();
	}
	apic_write(APIC_LVT_TIMER, VECTOR_TIMER);
}

const char *apic_mode_name(void)
{
	return apic.x2apic ? "x2APIC" : "xAPIC";
}

const char *apic_timer_name(void)
{
	return features.tsc_deadline ? "TSC deadline" : "one-shot";
}

uint32_t apic_id(void)
{
	uint64_t id = apic_read(APIC_ID);

	return (uint32_t)(apic.x2apic ? id : id >> 24);
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

static void send(uint32_t destination, uint64_t command)
{
	if (apic.x2apic) {
		/* Stores before it must be seen by who is interrupted (SDM 3, 11.12.3). */
		__asm__ volatile("mfence; lfence" : : : "memory");
		msr_write(MSR_X2APIC + APIC_ICR / 16, (uint64_t)destination << 32 | command);
		return;
	}
	apic_write(APIC_ICR_HIGH, (uint64_t)destination << 24);
	apic_write(APIC_ICR, command);
	while (apic_read(APIC_ICR) & ICR_PENDING) {
		__builtin_ia32_pause();
	}
}

void apic_send_interrupt(uint32_t destination, uint8_t vector)
{
	send(destination, ICR_FIXED | ICR_ASSERT | vector);
}

void apic_send_nmi(uint32_t destination)
{
	send(destination, ICR_NMI | ICR_ASSERT);
}

void apic_send_init(uint32_t destination)
{
	send(destination, ICR_INIT | ICR_ASSERT);
}

void apic_send_startup(uint32_t destination, uint8_t page)
{
	send(destination, ICR_STARTUP | ICR_ASSERT | page);
}

void apic_timer_set(uint64_t ticks)
{
	if (features.tsc_deadline) {
		msr_write(MSR_TSC_DEADLINE, ticks == TIME_NEVER ? 0 : MAX(ticks, 1));
		return;
	}
	uint64_t now = tsc_now();
	uint64_t count = 0;
	if (ticks != TIME_NEVER) {
		count = ticks > now ? scale_apply(apic.tsc_to_timer, ticks - now) : 0;
		count = MIN(MAX(count, 1), UINT32_MAX);
	}
	apic_write(APIC_TIMER_INITIAL, count);
}

void apic_log_error(void)
{
	apic_write(APIC_ERROR, 0); /* latches what has gathered */
	log_warn("CPU %u: local APIC error, status 0x%lx (SDM 3, 11.5.3)", cpu_id(),
		 apic_read(APIC_ERROR));
}
