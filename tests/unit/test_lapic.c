/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC, as page and as MSRs (SDM 3, "Advanced Programmable Interrupt Controller"). */
#include "tests/unit/platform_fixture.h"

#define ID 0x20
#define VERSION 0x30
#define TPR 0x80
#define PPR 0xa0
#define EOI 0xb0
#define LDR 0xd0
#define DFR 0xe0
#define SVR 0xf0
#define ISR 0x100
#define TMR 0x180
#define IRR 0x200
#define ESR 0x280
#define ICR 0x300
#define ICR_HIGH 0x310
#define LVT_TIMER_AT 0x320
#define LVT_LINT0_AT 0x350
#define LVT_LINT1_AT 0x360
#define LVT_ERROR_AT 0x370
#define INITIAL 0x380
#define CURRENT 0x390
#define DIVIDE 0x3e0

#define MSR(offset) (MSR_X2APIC_FIRST + (offset) / 16)
#define MSR_SELF_IPI 0x83f

#define MASKED BIT(16)
#define PERIODIC BIT(17)
#define TSC_DEADLINE BIT(18)
#define DIVIDE_BY_1 0xb
#define DIVIDE_BY_16 0x3
#define SELF BIT(18)

static void assert_gp_on_write(struct machine *m, uint32_t msr, uint64_t value)
{
	assert_int_equal(platform_msr_write(m->platform, msr, value), -EINVAL);
}

static void assert_gp_on_read(struct machine *m, uint32_t msr)
{
	uint64_t value;

	assert_int_equal(platform_msr_read(m->platform, msr, &value), -EINVAL);
}

static void send_self(struct machine *m, uint8_t vector)
{
	lapic_out(m, ICR, SELF | vector);
}

static void test_after_reset(void **state)
{
	struct machine *m = *state;

	assert_int_equal(msr_in(m, MSR_APIC_BASE), 0xfee00900);
	assert_int_equal(lapic_in(m, ID), 0);
	assert_int_equal(lapic_in(m, VERSION), 0x00050014);
	assert_int_equal(lapic_in(m, TPR), 0);
	assert_int_equal(lapic_in(m, DFR), 0xffffffff);
	/* Virtual wire mode, as firmware leaves it. */
	assert_int_equal(lapic_in(m, SVR), 0x1ff);
	assert_int_equal(lapic_in(m, LVT_TIMER_AT), MASKED);
	assert_int_equal(lapic_in(m, LVT_LINT0_AT), 0x700);
	assert_int_equal(lapic_in(m, LVT_LINT1_AT), 0x400);
	assert_int_equal(lapic_in(m, LVT_ERROR_AT), MASKED);
	assert_int_equal(lapic_in(m, CURRENT), 0);
	assert_true(platform_apic_enabled(m->platform));
	assert_int_equal(platform_apic_id(m->platform), 0);
}

static void test_priorities(void **state)
{
	struct machine *m = *state;

	send_self(m, 0x45);
	send_self(m, 0x61);
	assert_int_equal(lapic_in(m, IRR + 0x20), 1 << 5);
	assert_int_equal(lapic_in(m, IRR + 0x30), 1 << 1);
	assert_int_equal(take(m), 0x61);
	assert_int_equal(lapic_in(m, ISR + 0x30), 1 << 1);
	assert_int_equal(lapic_in(m, PPR), 0x60);
	assert_int_equal(take(m), -1);
	send_self(m, 0x6f); /* the same class does not interrupt */
	assert_int_equal(take(m), -1);
	send_self(m, 0xff);
	assert_int_equal(take(m), 0xff);
	assert_int_equal(lapic_in(m, ISR + 0x70), 1u << 31);
	end_of_interrupt(m);
	assert_int_equal(take(m), -1);
	end_of_interrupt(m);
	assert_int_equal(take(m), 0x6f);
	end_of_interrupt(m);
	assert_int_equal(take(m), 0x45);
	end_of_interrupt(m);
	end_of_interrupt(m); /* one too many does nothing */
	assert_int_equal(lapic_in(m, PPR), 0);
}

static void test_task_priority(void **state)
{
	struct machine *m = *state;
	struct lapic *lapic = &m->platform->lapic[0];

	lapic_out(m, TPR, 0x4a);
	assert_int_equal(lapic_in(m, TPR), 0x4a);
	assert_int_equal(lapic_in(m, PPR), 0x4a);
	assert_int_equal(lapic_get_tpr(lapic), 4);
	send_self(m, 0x4f);
	assert_int_equal(take(m), -1);
	lapic_set_tpr(lapic, 3);
	assert_int_equal(lapic_in(m, TPR), 0x30);
	assert_int_equal(take(m), 0x4f);
	assert_int_equal(lapic_in(m, PPR), 0x40);
}

static void test_software_disable(void **state)
{
	struct machine *m = *state;

	send_self(m, 0x40);
	lapic_out(m, SVR, 0xff);
	/* What is pending stays, nothing new comes in, the LVT is masked. */
	assert_int_equal(lapic_in(m, LVT_LINT0_AT), 0x700 | MASKED);
	lapic_out(m, LVT_LINT0_AT, 0x700);
	assert_int_equal(lapic_in(m, LVT_LINT0_AT), 0x700 | MASKED);
	send_self(m, 0x50);
	assert_int_equal(take(m), 0x40);
	assert_int_equal(take(m), -1);
	lapic_out(m, ICR, SELF | 0x400);
	assert_true(platform_nmi_take(m->platform));
	lapic_out(m, SVR, 0x1ff);
	end_of_interrupt(m);
	assert_int_equal(take(m), -1);
}

static void test_errors(void **state)
{
	struct machine *m = *state;

	lapic_out(m, LVT_ERROR_AT, 0xee);
	send_self(m, 0x0f);
	assert_int_equal(lapic_in(m, ESR), 0);
	lapic_out(m, ESR, 0);
	assert_int_equal(lapic_in(m, ESR), BIT(5));
	assert_int_equal(take(m), 0xee);
	end_of_interrupt(m);
	lapic_out(m, 0x000, 1); /* no such register */
	lapic_out(m, ESR, 0);
	assert_int_equal(lapic_in(m, ESR), BIT(7));
	assert_int_equal(take(m), 0xee);
	end_of_interrupt(m);
	lapic_out(m, ESR, 0);
	assert_int_equal(lapic_in(m, ESR), 0);
	/* Received with an illegal vector: from the IOAPIC. */
	ioapic_route_pin(m, 4, 0x05);
	set_irq(m, 4, true);
	lapic_out(m, ESR, 0);
	assert_int_equal(lapic_in(m, ESR), BIT(6));
	assert_int_equal(take(m), 0xee);
	end_of_interrupt(m);
	lapic_out(m, LVT_ERROR_AT, 0xee | MASKED);
	send_self(m, 0x01);
	assert_int_equal(take(m), -1);
	lapic_out(m, LVT_ERROR_AT, 0x10);
	send_self(m, 0x01);
	assert_int_equal(take(m), 0x10);
	end_of_interrupt(m);
	/* An illegal vector for errors is not an endless error. */
	lapic_out(m, LVT_ERROR_AT, 0x03);
	send_self(m, 0x01);
	assert_int_equal(take(m), -1);
}

static void test_interprocessor_destinations(void **state)
{
	static const struct {
		uint32_t high, low;
		bool arrives;
	} cases[] = {
		{0x00000000, 0x00040, true}, /* physical */
		{0x01000000, 0x00040, false}, {0xff000000, 0x00040, true},
		{0x04000000, 0x00840, true}, /* logical, LDR 0x04 */
		{0x08000000, 0x00840, false}, {0x0c000000, 0x00940, true}, /* lowest priority */
		{0xff000000, 0x00840, true},  {0x55000000, 0x40040, true}, /* self */
		{0x55000000, 0x80040, true}, /* all */
		{0x00000000, 0xc0040, false}, /* all but self */
		{0x00000000, 0x04040, true}, /* assert, edge */
		{0x00000000, 0x0c040, true}, /* assert, level: sent as an edge */
	};
	struct machine *m = *state;

	lapic_out(m, LDR, 0x04ffffff);
	assert_int_equal(lapic_in(m, LDR), 0x04000000);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lapic_out(m, ICR_HIGH, cases[i].high);
		lapic_out(m, ICR, cases[i].low);
		assert_int_equal(lapic_in(m, ICR_HIGH), cases[i].high);
		assert_int_equal(lapic_in(m, ICR), cases[i].low);
		assert_int_equal(take(m), cases[i].arrives ? 0x40 : -1);
		assert_int_equal(lapic_in(m, TMR + 0x20), 0);
		if (cases[i].arrives) {
			end_of_interrupt(m);
		}
	}
}

static void test_cluster_model(void **state)
{
	struct machine *m = *state;

	lapic_out(m, DFR, 0x0fffffff);
	assert_int_equal(lapic_in(m, DFR), 0x0fffffff);
	lapic_out(m, LDR, 0x32000000);
	lapic_out(m, ICR_HIGH, 0x36000000);
	lapic_out(m, ICR, 0x840);
	assert_int_equal(take(m), 0x40);
	end_of_interrupt(m);
	lapic_out(m, ICR_HIGH, 0x46000000);
	lapic_out(m, ICR, 0x840);
	assert_int_equal(take(m), -1);
	lapic_out(m, ICR_HIGH, 0x3d000000);
	lapic_out(m, ICR, 0x840);
	assert_int_equal(take(m), -1);
}

static void test_nmi_init_startup(void **state)
{
	struct machine *m = *state;

	lapic_out(m, ICR_HIGH, 0);
	lapic_out(m, ICR, 0x400);
	assert_true(platform_nmi_take(m->platform));
	assert_false(platform_nmi_take(m->platform));
	lapic_out(m, ICR, 0x8500); /* INIT level de-assert */
	assert_false(platform_init_take(m->platform));
	lapic_out(m, ICR, 0x612); /* start-up */
	assert_false(platform_init_take(m->platform));
	lapic_out(m, TPR, 0x50);
	lapic_out(m, ICR, 0xc500);
	assert_true(platform_init_take(m->platform));
	assert_false(platform_init_take(m->platform));
	assert_int_equal(lapic_in(m, TPR), 0);
	assert_int_equal(lapic_in(m, SVR), 0xff);
	assert_int_equal(msr_in(m, MSR_APIC_BASE), 0xfee00900);
}

static void test_local_inputs(void **state)
{
	struct machine *m = *state;

	platform_nmi_raise(m->platform);
	assert_true(platform_nmi_take(m->platform));
	lapic_out(m, LVT_LINT1_AT, 0x400 | MASKED);
	platform_nmi_raise(m->platform);
	assert_false(platform_nmi_take(m->platform));
	lapic_out(m, LVT_LINT1_AT, 0x77);
	platform_nmi_raise(m->platform);
	assert_int_equal(take(m), 0x77);
	end_of_interrupt(m);
	/* The PIC's output as a fixed interrupt: one for each of its edges. */
	init_pics(m);
	lapic_out(m, LVT_LINT0_AT, 0x88);
	set_irq(m, 3, true);
	assert_int_equal(take(m), 0x88);
	assert_int_equal(take(m), -1);
	end_of_interrupt(m);
	assert_int_equal(take(m), -1);
	lapic_out(m, LVT_LINT0_AT, 0x400);
	set_irq(m, 3, false);
	set_irq(m, 3, true);
	assert_true(platform_nmi_take(m->platform));
}

static void test_nmi_is_masked_by_the_rtc_port(void **state)
{
	struct machine *m = *state;

	out(m, 0x70, 0x80);
	platform_nmi_raise(m->platform);
	assert_false(platform_nmi_take(m->platform));
	out(m, 0x70, 0x00);
	platform_nmi_raise(m->platform);
	assert_true(platform_nmi_take(m->platform));
}

/* ---- Timer ------------------------------------------------------------------------- */

static void test_one_shot(void **state)
{
	struct machine *m = *state;

	m->now_ns = 1 * S;
	lapic_out(m, DIVIDE, DIVIDE_BY_16);
	lapic_out(m, LVT_TIMER_AT, 0x40);
	lapic_out(m, INITIAL, 1000);
	assert_int_equal(platform_deadline_ns(m->platform), 1 * S + 16 * US);
	m->now_ns += 4 * US;
	assert_int_equal(lapic_in(m, CURRENT), 750);
	go_to(m, 1 * S + 16 * US - 1);
	assert_int_equal(take(m), -1);
	go_to(m, 1 * S + 16 * US);
	assert_int_equal(take(m), 0x40);
	end_of_interrupt(m);
	assert_int_equal(lapic_in(m, CURRENT), 0);
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
	assert_int_equal(pass(m, 10 * S), 0);
	assert_int_equal(take(m), -1);
}

static void test_dividers(void **state)
{
	static const struct {
		uint8_t code, divider;
	} cases[] = {{0x0, 2},	{0x1, 4},  {0x2, 8},   {0x3, 16},
		     {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
	struct machine *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lapic_out(m, DIVIDE, cases[i].code);
		assert_int_equal(lapic_in(m, DIVIDE), cases[i].code);
		lapic_out(m, INITIAL, 1000000);
		m->now_ns += 1000 * cases[i].divider;
		assert_int_equal(lapic_in(m, CURRENT), 999000);
	}
	/* The count goes on from where it was. */
	lapic_out(m, DIVIDE, 0x0);
	assert_int_equal(lapic_in(m, CURRENT), 999000);
}

static void test_periodic(void **state)
{
	struct machine *m = *state;

	lapic_out(m, DIVIDE, DIVIDE_BY_1);
	lapic_out(m, LVT_TIMER_AT, PERIODIC | 0x40);
	lapic_out(m, INITIAL, 1000000);
	for (int i = 1; i <= 5; i++) {
		assert_int_equal(platform_deadline_ns(m->platform), (uint64_t)i * MS);
		go_to(m, (uint64_t)i * MS);
		assert_int_equal(take(m), 0x40);
		end_of_interrupt(m);
	}
	/* After a pause: one interrupt, and the next at its old place. */
	m->now_ns = 9 * MS + 300 * US;
	assert_int_equal(lapic_in(m, CURRENT), 700000);
	platform_step(m->platform);
	assert_int_equal(take(m), 0x40);
	end_of_interrupt(m);
	assert_int_equal(take(m), -1);
	assert_int_equal(platform_deadline_ns(m->platform), 10 * MS);
	/* Masked it counts on, and nobody is woken. */
	lapic_out(m, LVT_TIMER_AT, MASKED | PERIODIC | 0x40);
	assert_int_equal(pass(m, 10 * MS), 0);
	assert_int_equal(lapic_in(m, CURRENT), 700000);
	assert_int_equal(take(m), -1);
	lapic_out(m, INITIAL, 0);
	lapic_out(m, LVT_TIMER_AT, PERIODIC | 0x40);
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
}

static void test_periodic_is_bounded(void **state)
{
	struct machine *m = *state;

	lapic_out(m, DIVIDE, DIVIDE_BY_1);
	lapic_out(m, LVT_TIMER_AT, PERIODIC | 0x40);
	lapic_out(m, INITIAL, 1);
	assert_in_range(pass(m, 1 * MS), 1, 1 * MS / DEVICE_PERIOD_MIN_NS + 1);
}

static void test_tsc_deadline(void **state)
{
	struct machine *m = *state;
	uint64_t second = TEST_TSC_HZ;

	msr_out(m, MSR_TSC_DEADLINE, second); /* in another mode: nothing */
	assert_int_equal(msr_in(m, MSR_TSC_DEADLINE), 0);
	lapic_out(m, LVT_TIMER_AT, TSC_DEADLINE | 0x40);
	lapic_out(m, INITIAL, 1000);
	assert_int_equal(lapic_in(m, INITIAL), 0);
	m->now_ns = 1 * S;
	msr_out(m, MSR_TSC_DEADLINE, 3 * second);
	assert_int_equal(msr_in(m, MSR_TSC_DEADLINE), 3 * second);
	assert_int_equal(lapic_in(m, CURRENT), 0);
	assert_int_equal(platform_deadline_ns(m->platform), 3 * S);
	go_to(m, 3 * S);
	assert_int_equal(take(m), 0x40);
	end_of_interrupt(m);
	assert_int_equal(msr_in(m, MSR_TSC_DEADLINE), 0);
	/* In the past: at once. Zero: taken back. For ever: never. */
	msr_out(m, MSR_TSC_DEADLINE, second);
	assert_int_equal(take(m), 0x40);
	end_of_interrupt(m);
	msr_out(m, MSR_TSC_DEADLINE, 9 * second);
	msr_out(m, MSR_TSC_DEADLINE, 0);
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
	msr_out(m, MSR_TSC_DEADLINE, UINT64_MAX);
	pass(m, 1000 * S);
	assert_int_equal(take(m), -1);
	/* Leaving the mode disarms, and so does entering it. */
	lapic_out(m, LVT_TIMER_AT, 0x40);
	assert_int_equal(msr_in(m, MSR_TSC_DEADLINE), 0);
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
	lapic_out(m, INITIAL, 1000);
	lapic_out(m, LVT_TIMER_AT, TSC_DEADLINE | 0x40);
	assert_int_equal(lapic_in(m, INITIAL), 0);
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
}

static void test_reserved_timer_mode(void **state)
{
	struct machine *m = *state;

	lapic_out(m, INITIAL, 1000);
	lapic_out(m, LVT_TIMER_AT, PERIODIC | TSC_DEADLINE | 0x40);
	lapic_out(m, INITIAL, 1000);
	msr_out(m, MSR_TSC_DEADLINE, TEST_TSC_HZ);
	assert_int_equal(lapic_in(m, INITIAL), 0);
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
	reload(m);
}

/* A deadline that is due before the guest writes again must still be seen. */
static void test_due_before_it_was_written_again(void **state)
{
	struct machine *m = *state;

	lapic_out(m, LVT_TIMER_AT, TSC_DEADLINE | 0x40);
	msr_out(m, MSR_TSC_DEADLINE, TEST_TSC_HZ);
	m->now_ns = 2 * S;
	msr_out(m, MSR_TSC_DEADLINE, 5 * TEST_TSC_HZ);
	assert_int_equal(take(m), 0x40);
}

/* ---- x2APIC ---------------------------------------------------------------------------- */

static void test_modes(void **state)
{
	struct machine *m = *state;
	uint64_t value;

	assert_gp_on_read(m, MSR(TPR));
	assert_gp_on_write(m, MSR(TPR), 0);
	assert_gp_on_write(m, MSR_APIC_BASE, 0xfee00500); /* EXTD without EN */
	assert_gp_on_write(m, MSR_APIC_BASE, 0xfee00901);
	assert_gp_on_write(m, MSR_APIC_BASE, 0xfee00900 | BIT(52));
	enable_x2apic(m);
	assert_int_equal(msr_in(m, MSR_APIC_BASE), 0xfee00d00);
	assert_false(platform_mmio_read(m->platform, GPA(MACHINE_LAPIC_BASE), 4, &value));
	assert_gp_on_write(m, MSR_APIC_BASE, 0xfee00900); /* back to xAPIC */
	msr_out(m, MSR_APIC_BASE, 0xfee00100);
	assert_false(platform_apic_enabled(m->platform));
	assert_gp_on_write(m, MSR_APIC_BASE, 0xfee00d00); /* disabled to x2APIC */
	/* Enabled again it is as after power-on; the boot processor stays what it is. */
	msr_out(m, MSR_APIC_BASE, 0xfee00800);
	assert_int_equal(msr_in(m, MSR_APIC_BASE), 0xfee00900);
	assert_int_equal(lapic_in(m, SVR), 0xff);
}

static void test_page_moves(void **state)
{
	struct machine *m = *state;
	uint64_t value;

	msr_out(m, MSR_APIC_BASE, 0xd0000900);
	assert_false(platform_mmio_read(m->platform, GPA(MACHINE_LAPIC_BASE), 4, &value));
	assert_int_equal(mmio_in(m, 0xd0000000 + VERSION), 0x00050014);
}

static void test_x2apic_registers(void **state)
{
	struct machine *m = *state;

	enable_x2apic(m);
	assert_int_equal(msr_in(m, MSR(ID)), 0);
	assert_int_equal(msr_in(m, MSR(VERSION)), 0x00050014);
	assert_int_equal(msr_in(m, MSR(LDR)), 1);
	msr_out(m, MSR(TPR), 0x20);
	assert_int_equal(msr_in(m, MSR(TPR)), 0x20);
	msr_out(m, MSR(LVT_LINT0_AT), 0x1a7ff);
	assert_int_equal(msr_in(m, MSR(LVT_LINT0_AT)), 0x1a7ff);
	msr_out(m, MSR(LVT_LINT0_AT), 0x1f7ff); /* status and remote IRR are ignored */
	assert_int_equal(msr_in(m, MSR(LVT_LINT0_AT)), 0x1a7ff);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(msr_in(m, MSR(ISR) + i), 0);
		assert_int_equal(msr_in(m, MSR(TMR) + i), 0);
		assert_int_equal(msr_in(m, MSR(IRR) + i), 0);
	}
}

static void test_x2apic_faults(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
	} writes[] = {
		{MSR(ID), 0},
		{MSR(VERSION), 0},
		{MSR(TPR), 0x100},
		{MSR(PPR), 0},
		{MSR(EOI), 1},
		{MSR(LDR), 0},
		{MSR(DFR), 0xffffffff},
		{MSR(SVR), 0x200},
		{MSR(ISR), 0},
		{MSR(TMR), 0},
		{MSR(IRR), 0},
		{MSR(ESR), 1},
		{MSR(ICR), 0x2000},
		{MSR(ICR_HIGH), 0},
		{MSR(LVT_TIMER_AT), BIT(19)},
		{MSR(CURRENT), 0},
		{MSR(DIVIDE), 0x4},
		{MSR(INITIAL), BIT(32)},
		{MSR_SELF_IPI, 0x100},
		{MSR_X2APIC_FIRST, 0},
		{MSR_X2APIC_LAST, 0},
		{MSR(LVT_ERROR_AT), 0x100},
		{MSR(0x2f0), MASKED},
	};
	static const uint32_t reads[] = {
		MSR(EOI),     MSR(DFR),		MSR(ICR_HIGH), MSR(0x2f0),
		MSR_SELF_IPI, MSR_X2APIC_FIRST, 0x840,
	};
	struct machine *m = *state;
	uint64_t value;

	enable_x2apic(m);
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		assert_gp_on_write(m, writes[i].msr, writes[i].value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
		assert_gp_on_read(m, reads[i]);
	}
	assert_int_equal(platform_msr_read(m->platform, 0x900, &value), -ENOENT);
	assert_int_equal(platform_msr_write(m->platform, 0x10, 0), -ENOENT);
}

static void test_x2apic_interrupts(void **state)
{
	static const struct {
		uint64_t icr;
		bool arrives;
	} cases[] = {
		{0x0000000000000040, true},  {0x0000000100000040, false},
		{0xffffffff00000040, true},  {0x000000ff00000040, false},
		{0x0000000100000840, true},  {0x0000000200000840, false},
		{0x0001000100000840, false}, {0x00000000000c0040, false},
		{0x0000000000080040, true},  {0x1234567800040040, true},
	};
	struct machine *m = *state;

	enable_x2apic(m);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		msr_out(m, MSR(ICR), cases[i].icr);
		assert_int_equal(msr_in(m, MSR(ICR)), cases[i].icr);
		assert_int_equal(take(m), cases[i].arrives ? 0x40 : -1);
		if (cases[i].arrives) {
			msr_out(m, MSR(EOI), 0);
		}
	}
	msr_out(m, MSR_SELF_IPI, 0x51);
	assert_int_equal(take(m), 0x51);
	assert_int_equal(msr_in(m, MSR(TMR) + 2), 0);
	msr_out(m, MSR(EOI), 0);
	msr_out(m, MSR_SELF_IPI, 0x0e);
	msr_out(m, MSR(ESR), 0);
	assert_int_equal(msr_in(m, MSR(ESR)), BIT(5));
}

/* ---- Accesses of odd sizes ----------------------------------------------------------------- */

static void test_odd_accesses(void **state)
{
	struct machine *m = *state;
	uint64_t value;

	assert_true(
		platform_mmio_read(m->platform, GPA(MACHINE_LAPIC_BASE + VERSION + 2), 1, &value));
	assert_int_equal(value, 0x05);
	assert_true(platform_mmio_read(m->platform, GPA(MACHINE_LAPIC_BASE + VERSION), 8, &value));
	assert_int_equal(value, 0x00050014);
	assert_true(
		platform_mmio_read(m->platform, GPA(MACHINE_LAPIC_BASE + VERSION + 4), 4, &value));
	assert_int_equal(value, 0);
	assert_true(platform_mmio_write(m->platform, GPA(MACHINE_LAPIC_BASE + TPR), 1, 0x30));
	assert_true(platform_mmio_write(m->platform, GPA(MACHINE_LAPIC_BASE + TPR + 4), 4, 0x30));
	assert_true(platform_mmio_write(m->platform, GPA(MACHINE_LAPIC_BASE + TPR), 8, 0x30));
	assert_int_equal(lapic_in(m, TPR), 0);
	assert_false(
		platform_mmio_read(m->platform, GPA(MACHINE_LAPIC_BASE + PAGE_SIZE), 4, &value));
	assert_false(platform_mmio_write(m->platform, GPA(MACHINE_LAPIC_BASE - 4), 4, 0));
}

static void test_saved_in_the_middle(void **state)
{
	struct machine *m = *state;

	lapic_out(m, DIVIDE, DIVIDE_BY_1);
	lapic_out(m, LVT_TIMER_AT, PERIODIC | 0x40);
	lapic_out(m, INITIAL, 1000000);
	send_self(m, 0x61);
	assert_int_equal(take(m), 0x61);
	send_self(m, 0x72);
	m->now_ns = 300 * US;
	reload(m);
	assert_int_equal(lapic_in(m, CURRENT), 700000);
	assert_int_equal(take(m), 0x72);
	end_of_interrupt(m);
	end_of_interrupt(m);
	go_to(m, 1 * MS);
	assert_int_equal(take(m), 0x40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_after_reset),
		MACHINE_TEST(test_priorities),
		MACHINE_TEST(test_task_priority),
		MACHINE_TEST(test_software_disable),
		MACHINE_TEST(test_errors),
		MACHINE_TEST(test_interprocessor_destinations),
		MACHINE_TEST(test_cluster_model),
		MACHINE_TEST(test_nmi_init_startup),
		MACHINE_TEST(test_local_inputs),
		MACHINE_TEST(test_nmi_is_masked_by_the_rtc_port),
		MACHINE_TEST(test_one_shot),
		MACHINE_TEST(test_dividers),
		MACHINE_TEST(test_periodic),
		MACHINE_TEST(test_periodic_is_bounded),
		MACHINE_TEST(test_tsc_deadline),
		MACHINE_TEST(test_reserved_timer_mode),
		MACHINE_TEST(test_due_before_it_was_written_again),
		MACHINE_TEST(test_modes),
		MACHINE_TEST(test_page_moves),
		MACHINE_TEST(test_x2apic_registers),
		MACHINE_TEST(test_x2apic_faults),
		MACHINE_TEST(test_x2apic_interrupts),
		MACHINE_TEST(test_odd_accesses),
		MACHINE_TEST(test_saved_in_the_middle),
	};

	return cmocka_run_group_tests_name("lapic", tests, NULL, NULL);
}
