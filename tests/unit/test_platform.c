/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buses, the small devices (PCI bridge, ACPI fixed hardware, i8042, debug
 * exit), and the saved state of the whole machine: every field of every device
 * at other values than its default, and states that no machine can be in.
 */
#include "tests/unit/platform_fixture.h"
#include "vmm/ticks.h"

#define PCI_ENABLE 0x80000000u

static enum platform_event event(struct machine *m)
{
	enum platform_event taken = platform_event_take(m->platform);

	assert_int_equal(platform_event_take(m->platform), PLATFORM_NONE);
	return taken;
}

static void test_nobody_there(void **state)
{
	static const uint16_t ports[] = {0x00,	0x80,  0xed,  0x2f8, 0x5f0,
					 0x60c, 0xcf4, 0xd00, 0xffff};
	struct machine *m = *state;
	uint64_t value;

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		out(m, ports[i], 0x12);
		assert_int_equal(in(m, ports[i]), 0xff);
		assert_int_equal(in_wide(m, ports[i], 2), 0xffff);
		out_wide(m, ports[i], 4, 0x12345678);
	}
	assert_int_equal(in_wide(m, 0xffff, 4), 0xffffffff);
	assert_false(platform_mmio_read(m->platform, GPA(0xd0000000), 4, &value));
	assert_false(platform_mmio_write(m->platform, GPA(UINT64_MAX), 1, 0));
	assert_int_equal(platform_msr_read(m->platform, 0xc0000080, &value), -ENOENT);
	assert_int_equal(event(m), PLATFORM_NONE);
}

static void test_pci(void **state)
{
	struct machine *m = *state;

	assert_int_equal(in_wide(m, 0xcfc, 4), 0xffffffff); /* not enabled */
	/* Linux, pci_check_type1. */
	out(m, 0xcfb, 0x01);
	out(m, 0xcfa, 0x06);
	assert_int_equal(event(m), PLATFORM_NONE);
	out_wide(m, 0xcf8, 4, PCI_ENABLE);
	assert_int_equal(in_wide(m, 0xcf8, 4), PCI_ENABLE);
	assert_int_equal(in_wide(m, 0xcfc, 4), 0x12378086);
	assert_int_equal(in_wide(m, 0xcfc, 2), 0x8086);
	assert_int_equal(in_wide(m, 0xcfe, 2), 0x1237);
	assert_int_equal(in(m, 0xcfd), 0x80);
	out_wide(m, 0xcf8, 4, PCI_ENABLE | 0x08);
	assert_int_equal(in_wide(m, 0xcfe, 2), 0x0600);
	out_wide(m, 0xcf8, 4, PCI_ENABLE | 0x04);
	out_wide(m, 0xcfc, 2, 0xffff);
	assert_int_equal(in_wide(m, 0xcfc, 4), 0x0106);
	out_wide(m, 0xcfc, 4, 0);
	assert_int_equal(in_wide(m, 0xcfc, 4), 0x0006);
	out(m, 0xcfd, 0xff);
	assert_int_equal(in_wide(m, 0xcfc, 4), 0x0106);
	out_wide(m, 0xcf8, 4, PCI_ENABLE | 0x3c);
	assert_int_equal(in_wide(m, 0xcfc, 4), 0);
	/* The bus is empty. */
	for (unsigned slot = 0x100; slot < 0x1000000; slot = slot * 3 & ~0xffu) {
		out_wide(m, 0xcf8, 4, PCI_ENABLE | slot);
		assert_int_equal(in_wide(m, 0xcfc, 4), 0xffffffff);
	}
	/* Bytes and words beside the address are nothing. */
	out_wide(m, 0xcf8, 4, 0x7fffffff);
	assert_int_equal(in_wide(m, 0xcf8, 4), 0x00fffffc);
	out_wide(m, 0xcf8, 2, 0);
	out(m, 0xcfa, 0);
	assert_int_equal(in_wide(m, 0xcf8, 4), 0x00fffffc);
	assert_int_equal(in(m, 0xcf8), 0xff);
	assert_int_equal(in_wide(m, 0xcfa, 4), 0xffffffff);
}

static void test_resets(void **state)
{
	static const struct {
		uint16_t port;
		uint8_t first, second;
	} cases[] = {
		{MACHINE_PORT_RESET, 0x02, 0x06},
		{0x64, 0xfe, 0x00},
		{0x64, 0x00, 0xf0},
		{0x92, 0x02, 0x03},
	};
	struct machine *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		out(m, cases[i].port, cases[i].first);
		out(m, cases[i].port, cases[i].second);
		assert_int_equal(event(m), PLATFORM_RESET);
		platform_reset(m->platform);
	}
	out(m, 0x64, 0xd1);
	out(m, 0x60, 0xfe);
	assert_int_equal(event(m), PLATFORM_RESET);
	/* These are none. */
	out(m, MACHINE_PORT_RESET, 0x02);
	assert_int_equal(in(m, MACHINE_PORT_RESET), 0x02);
	out(m, 0x64, 0xff);
	out(m, 0x64, 0xd1);
	out(m, 0x60, 0x03);
	out(m, 0x92, 0x02);
	assert_int_equal(in(m, 0x92), 0x02);
	assert_int_equal(event(m), PLATFORM_NONE);
}

/* Idle, and silent to what would find a keyboard. */
static void test_i8042(void **state)
{
	static const uint8_t commands[] = {0x20, 0xaa, 0xab, 0xa9, 0xd0, 0xff};
	struct machine *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		out(m, 0x64, commands[i]);
		assert_int_equal(in(m, 0x64), 0x1c);
		assert_int_equal(in(m, 0x60), 0);
	}
	out(m, 0x60, 0xfe); /* no command waits for it */
	assert_int_equal(event(m), PLATFORM_NONE);
}

static void test_poweroff(void **state)
{
	struct machine *m = *state;

	out_wide(m, MACHINE_PORT_PM1_CONTROL, 2, 3 << 10 | 1 << 13);
	assert_int_equal(event(m), PLATFORM_NONE);
	out_wide(m, MACHINE_PORT_PM1_CONTROL, 2, 5 << 10);
	assert_int_equal(event(m), PLATFORM_NONE);
	assert_int_equal(in_wide(m, MACHINE_PORT_PM1_CONTROL, 2), 5 << 10 | 1);
	out_wide(m, MACHINE_PORT_PM1_CONTROL, 2, 5 << 10 | 1 << 13);
	assert_int_equal(event(m), PLATFORM_POWEROFF);
	out(m, MACHINE_PORT_PM1_CONTROL + 1, 0x34);
	assert_int_equal(event(m), PLATFORM_POWEROFF);
}

static void test_pm_timer(void **state)
{
	struct machine *m = *state;
	uint32_t port = MACHINE_PORT_PM_TIMER;

	assert_int_equal(in_wide(m, (uint16_t)port, 4), 0);
	m->now_ns = 1 * S;
	assert_int_equal(in_wide(m, (uint16_t)port, 4), MACHINE_PM_TIMER_HZ);
	assert_int_equal(in_wide(m, (uint16_t)port, 2), MACHINE_PM_TIMER_HZ & 0xffff);
	assert_int_equal(in(m, (uint16_t)(port + 2)), MACHINE_PM_TIMER_HZ >> 16);
	m->now_ns = 3600 * S;
	assert_int_equal(in_wide(m, (uint16_t)port, 4),
			 (uint32_t)(UINT64_C(3600) * MACHINE_PM_TIMER_HZ));
}

static void test_pm_timer_interrupt(void **state)
{
	struct machine *m = *state;
	uint64_t toggle = ticks_to_ns(UINT64_C(1) << 31, MACHINE_PM_TIMER_HZ);

	ioapic_route_pin(m, MACHINE_IRQ_SCI, BIT(15) | 0x49);
	out_wide(m, MACHINE_PORT_PM1_EVENT + 2, 2, 0xffff);
	assert_int_equal(in_wide(m, MACHINE_PORT_PM1_EVENT + 2, 2), 0x0721);
	assert_int_equal(platform_deadline_ns(m->platform), toggle);
	go_to(m, toggle);
	assert_int_equal(take(m), 0x49);
	assert_int_equal(in_wide(m, MACHINE_PORT_PM1_EVENT, 4), 0x07210001);
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
	out_wide(m, MACHINE_PORT_PM1_EVENT, 2, 0xfffe); /* only a 1 clears */
	assert_int_equal(in_wide(m, MACHINE_PORT_PM1_EVENT, 2), 1);
	out_wide(m, MACHINE_PORT_PM1_EVENT, 2, 0xffff);
	end_of_interrupt(m);
	assert_int_equal(take(m), -1);
	assert_int_equal(in_wide(m, MACHINE_PORT_PM1_EVENT, 2), 0);
	/* Without its enable bit the status goes up all the same. */
	out(m, MACHINE_PORT_PM1_EVENT + 2, 0);
	go_to(m, 2 * toggle);
	assert_int_equal(in_wide(m, MACHINE_PORT_PM1_EVENT, 4), 0x07000001);
	assert_int_equal(take(m), -1);
}

static void test_debug_exit(void **state)
{
	struct machine *m = *state;

	out(m, MACHINE_PORT_DEBUG_EXIT, 0x21);
	assert_int_equal(event(m), PLATFORM_DEBUG_EXIT);
	assert_int_equal(platform_exit_code(m->platform), 0x21);
	out_wide(m, MACHINE_PORT_DEBUG_EXIT, 2, 0x1234);
	assert_int_equal(platform_exit_code(m->platform), 0x1234);
	out_wide(m, MACHINE_PORT_DEBUG_EXIT, 4, 0x89abcdef);
	assert_int_equal(platform_exit_code(m->platform), 0x89abcdef);
	out(m, MACHINE_PORT_PM1_CONTROL + 1, 0x34);
	assert_int_equal(event(m), PLATFORM_DEBUG_EXIT); /* the first of both */
}

static void test_reset_is_power_on(void **state)
{
	struct machine *m = *state;
	size_t size = platform_state_size(m->platform);
	uint8_t *before = malloc(size), *after = malloc(size);

	platform_save(m->platform, before);
	init_pics(m);
	ioapic_route_pin(m, 4, 0x44);
	out(m, 0x3fc, 0x0b);
	out(m, 0x3f9, 0x02);
	enable_x2apic(m);
	out(m, 0x43, 0x34); /* its output is high from here on */
	out(m, 0x40, 0x10);
	out(m, 0x40, 0x00);
	out(m, 0x70, 0x0c);
	out_wide(m, 0xcf8, 4, PCI_ENABLE);
	out(m, 0x64, 0xd1);
	out(m, MACHINE_PORT_DEBUG_EXIT, 1);
	platform_reset(m->platform);
	platform_save(m->platform, after);
	assert_memory_equal(before, after, size);
	assert_false(platform_irq_pending(m->platform));
	assert_int_equal(platform_deadline_ns(m->platform), TIME_NEVER);
	assert_int_equal(event(m), PLATFORM_NONE);
	free(before);
	free(after);
}

/* ---- Saved state ----------------------------------------------------------------------- */

/* No field has the value that it has after power-on. */
static void fill_lapic(struct lapic_state_v1 *s)
{
	*s = (struct lapic_state_v1){
		.apic_base = 0xfee00d00,
		.irr = {BIT(16), 1, 2, 3},
		.isr = {BIT(20), 4, 5, 6},
		.tmr = {BIT(63), 7, 8, 9},
		.icr = 0x12345678000cc8aa,
		.timer_expiry_ns = 5 * S,
		.timer_initial = 12345,
		.timer_divide = 0xb,
		.lvt = {0x20044, 0x10455, 0x0066, 0x1a777, 0x0a488, 0x10099},
		.tpr = 0x35,
		.ldr = 0xaa000000,
		.dfr = 0x0fffffff,
		.svr = 0x1ee,
		.esr = 0x40,
		.esr_next = 0xa0,
		.lint0 = 1,
		.nmi_pending = 1,
		.init_pending = 1,
	};
}

static void fill_pic_chip(struct pic_chip_state_v1 *c, uint8_t elcr)
{
	*c = (struct pic_chip_state_v1){
		.irr = 0x50,
		.isr = 0x02,
		.imr = 0xa5,
		.lines = 0x78,
		.elcr = elcr,
		.base = 0x68,
		.lowest = 3,
		.init_step = 4,
		.icw4_needed = 1,
		.single = 1,
		.auto_eoi = 1,
		.rotate_on_auto_eoi = 1,
		.special_mask = 1,
		.special_nested = 1,
		.read_isr = 1,
		.poll = 1,
	};
}

static void fill_pit(struct pit_state_v1 *s)
{
	for (unsigned i = 0; i < PIT_COUNTER_COUNT; i++) {
		s->counters[i] = (struct pit_counter_state_v1){
			.start_ns = 1 * S + i,
			.held_ticks = 77 + i,
			.count = 1000 + i,
			.reload = 0x4321,
			.latch = 0x1234,
			.control = 0x35,
			.status = 0xb4,
			.gate = 1,
			.running = 1,
			.count_latched = 1,
			.status_latched = 1,
			.read_high = 1,
			.write_high = 1,
			.null_count = 1,
		};
	}
	s->fired_ns = 2 * S;
	s->port_b = 0x0f;
}

static void fill_rtc(struct rtc_state_v1 *s)
{
	*s = (struct rtc_state_v1){
		.base_s = 1700000000,
		.base_ns = 1 * S,
		.seen_ns = 2 * S,
		.index = 0x7f,
		.nmi_masked = 1,
		.irq = 1,
	};
	for (unsigned i = 0; i < RTC_CMOS_SIZE; i++) {
		s->cmos[i] = (uint8_t)(i * 3 + 1);
	}
	s->cmos[0x0a] = 0x2a;
	s->cmos[0x0b] = 0x74;
	s->cmos[0x0c] = 0xc0;
	s->cmos[0x0d] = 0x80;
}

static void fill_uart(struct uart_state_v1 *s)
{
	*s = (struct uart_state_v1){
		.ier = 0x0f,
		.fcr = 0xc1,
		.lcr = 0x9b,
		.mcr = 0x1f,
		.scr = 0x5a,
		.dll = 0x12,
		.dlm = 0x34,
		.lsr = 0x1e,
		.msr = 0x0f,
		.thre_pending = 1,
		.irq = 1,
		.rx_first = 15,
		.rx_count = 16,
	};
	for (unsigned i = 0; i < UART_FIFO_SIZE; i++) {
		s->rx[i] = (uint8_t)(0x80 + i);
	}
}

static void fill(struct platform *p)
{
	fill_lapic(&p->lapic[0].state);
	for (unsigned i = 0; i < IOAPIC_PIN_COUNT; i++) {
		p->ioapic.state.redirection[i] = 0x550000000000ec40 + i;
	}
	p->ioapic.state.lines = 0xa5a5a5;
	p->ioapic.state.id = 0x0b000000;
	p->ioapic.state.index = 0x3f;
	fill_pic_chip(&p->pic.state.chips[0], 0xa8);
	fill_pic_chip(&p->pic.state.chips[1], 0x5a);
	fill_pit(&p->pit.state);
	fill_rtc(&p->rtc.state);
	fill_uart(&p->uart.state);
	p->pci.state = (struct pci_state_v1){0x80abcdec, 0x0106, 0x0a, 0};
	p->pm.state = (struct pm_state_v1){
		.seen_ns = 2 * S, .enable = 0x0721, .control = 0x1c02, .timer_status = 1, .irq = 1};
	p->i8042.state = (struct i8042_state_v1){.output_port_next = 1};
	p->debug_exit.state.code = 0xdeadbeef;
}

/* Guards the test itself: bytes that still have their default are padding. */
static void assert_nothing_default(const struct platform *filled, const struct platform *fresh)
{
	for (unsigned i = 0; i < filled->device_count; i++) {
		const struct device *a = filled->devices[i], *b = fresh->devices[i];
		const uint32_t *x = (const void *)((const uint8_t *)a + a->ops->state_offset);
		const uint32_t *y = (const void *)((const uint8_t *)b + b->ops->state_offset);

		for (unsigned word = 0; word < a->ops->state_size / 4; word++) {
			if (x[word] == y[word] && x[word] != 0) {
				fail_msg("%s: word %u has its default", a->ops->name, word);
			}
		}
	}
}

static void test_round_trip_of_every_field(void **state)
{
	struct machine *m = *state;
	struct platform *fresh = machine_platform(m);

	fill(m->platform);
	assert_nothing_default(m->platform, fresh);
	free(fresh);
	for (unsigned i = 0; i < m->platform->device_count; i++) {
		struct device *device = m->platform->devices[i];

		if (device->ops->load) {
			device->ops->load(device);
		}
	}
	reload(m);
	assert_int_equal(m->platform->uart.state.rx[3], 0x83);
	assert_int_equal(m->platform->lapic[0].state.lvt[LVT_LINT1], 0x0a488);
	/* The timer's other mode has a field of its own. */
	m->platform->lapic[0].state.lvt[LVT_TIMER] = 0x40044;
	m->platform->lapic[0].state.timer_initial = 0;
	m->platform->lapic[0].state.tsc_deadline = 0x123456789a;
	reload(m);
	assert_int_equal(msr_in(m, MSR_TSC_DEADLINE), 0x123456789a);
}

/*
 * Whatever one byte of a state is changed to: either the state is refused and
 * the machine is as before, or it comes back as it went in.
 */
static void test_changed_bytes(void **state)
{
	struct machine *m = *state;
	size_t size = platform_state_size(m->platform);
	uint8_t *before = malloc(size), *changed = malloc(size), *after = malloc(size);
	unsigned accepted = 0, refused = 0;

	fill(m->platform);
	platform_save(m->platform, before);
	for (size_t i = 0; i < size; i++) {
		for (unsigned change = 1; change < 256; change = change * 2 + 1) {
			int result;

			memcpy(changed, before, size);
			changed[i] ^= (uint8_t)change;
			assert_int_equal(platform_load(m->platform, before, size), 0);
			result = platform_load(m->platform, changed, size);
			platform_save(m->platform, after);
			if (result == 0) {
				assert_memory_equal(after, changed, size);
				accepted++;
			} else {
				assert_int_equal(result, -EINVAL);
				assert_memory_equal(after, before, size);
				refused++;
			}
			platform_step(m->platform);
		}
	}
	assert_true(accepted > 1000 && refused > 1000);
	free(before);
	free(changed);
	free(after);
}

static void test_wrong_sizes_and_names(void **state)
{
	struct machine *m = *state;
	size_t size = platform_state_size(m->platform);
	uint8_t *saved = calloc(1, size + 8);

	platform_save(m->platform, saved);
	assert_int_equal(platform_load(m->platform, saved, size - 1), -EINVAL);
	assert_int_equal(platform_load(m->platform, saved, size + 8), -EINVAL);
	assert_int_equal(platform_load(m->platform, saved, 0), -EINVAL);
	assert_int_equal(platform_load(m->platform, saved, size), 0);
	assert_memory_equal(saved, "uart\0\0\0\0", 8);
	saved[0] = 'x';
	assert_int_equal(platform_load(m->platform, saved, size), -EINVAL);
	platform_save(m->platform, saved);
	saved[8]++; /* a version that is not known */
	assert_int_equal(platform_load(m->platform, saved, size), -EINVAL);
	free(saved);
}

#define REFUSED(device_ops, type, statement)                                       \
	do {                                                                       \
		type *s = (void *)((uint8_t *)device + device->ops->state_offset); \
		assert_ptr_equal(device->ops, &(device_ops));                      \
		type good = *s;                                                    \
		assert_int_equal(device->ops->validate(s), 0);                     \
		statement;                                                         \
		assert_int_equal(device->ops->validate(s), -EINVAL);               \
		*s = good;                                                         \
	} while (0)

/* What would lead a device astray, one by one. */
static void test_hostile_states(void **state)
{
	struct machine *m = *state;
	struct platform *p = m->platform;
	struct device *device;

	fill(p);
	device = &p->lapic[0].device;
	REFUSED(lapic_ops, struct lapic_state_v1, s->timer_initial = 0); /* period 0 */
	REFUSED(lapic_ops, struct lapic_state_v1, s->apic_base = 0xfee00400);
	REFUSED(lapic_ops, struct lapic_state_v1, s->apic_base |= BIT(40));
	REFUSED(lapic_ops, struct lapic_state_v1, s->irr[0] |= 1);
	REFUSED(lapic_ops, struct lapic_state_v1, s->isr[0] |= BIT(15));
	REFUSED(lapic_ops, struct lapic_state_v1, s->tmr[0] |= BIT(8));
	REFUSED(lapic_ops, struct lapic_state_v1, s->svr = 0xff);
	REFUSED(lapic_ops, struct lapic_state_v1, s->tpr = 0x100);
	REFUSED(lapic_ops, struct lapic_state_v1, s->icr |= BIT(12));
	REFUSED(lapic_ops, struct lapic_state_v1, s->lvt[LVT_TIMER] ^= BIT(18) | BIT(17));
	REFUSED(lapic_ops, struct lapic_state_v1, s->tsc_deadline = 1);
	device = &p->ioapic.device;
	REFUSED(ioapic_ops, struct ioapic_state_v1, s->index = 0x100);
	REFUSED(ioapic_ops, struct ioapic_state_v1, s->lines |= BIT(24));
	REFUSED(ioapic_ops, struct ioapic_state_v1, s->redirection[23] |= BIT(17));
	REFUSED(ioapic_ops, struct ioapic_state_v1, s->redirection[3] &= ~BIT(15));
	device = &p->pic.device;
	REFUSED(pic_ops, struct pic_state_v1, s->chips[0].lowest = 8);
	REFUSED(pic_ops, struct pic_state_v1, s->chips[1].init_step = 1);
	REFUSED(pic_ops, struct pic_state_v1, s->chips[1].init_step = 5);
	REFUSED(pic_ops, struct pic_state_v1, s->chips[0].elcr = 0xff);
	REFUSED(pic_ops, struct pic_state_v1, s->chips[0].irr = 0xff);
	REFUSED(pic_ops, struct pic_state_v1, s->chips[0].lines |= 0x04);
	device = &p->pit.device;
	REFUSED(pit_ops, struct pit_state_v1, s->counters[0].count = 0);
	REFUSED(pit_ops, struct pit_state_v1, s->counters[1].count = 65537);
	REFUSED(pit_ops, struct pit_state_v1, s->counters[2].control = 0x40);
	REFUSED(pit_ops, struct pit_state_v1, s->counters[0].gate = 0);
	REFUSED(pit_ops, struct pit_state_v1, s->port_b = 0);
	device = &p->rtc.device;
	REFUSED(rtc_ops, struct rtc_state_v1, s->index = 128);
	REFUSED(rtc_ops, struct rtc_state_v1, s->base_s = UINT64_MAX);
	REFUSED(rtc_ops, struct rtc_state_v1, s->irq = 0);
	REFUSED(rtc_ops, struct rtc_state_v1, s->cmos[0x0d] = 0);
	device = &p->uart.device;
	REFUSED(uart_ops, struct uart_state_v1, s->rx_first = 16);
	REFUSED(uart_ops, struct uart_state_v1, s->rx_count = 17);
	REFUSED(uart_ops, struct uart_state_v1, s->fcr = 0); /* 16 bytes in a FIFO of one */
	REFUSED(uart_ops, struct uart_state_v1, s->lsr = 0x60);
	device = &p->pci.device;
	REFUSED(pci_ops, struct pci_state_v1, s->address = 0x80000001);
	REFUSED(pci_ops, struct pci_state_v1, s->command = 0);
	device = &p->pm.device;
	REFUSED(pm_ops, struct pm_state_v1, s->irq = 0);
	REFUSED(pm_ops, struct pm_state_v1, s->control |= BIT(13));
	device = &p->i8042.device;
	REFUSED(i8042_ops, struct i8042_state_v1, s->port_a = 1);
	REFUSED(i8042_ops, struct i8042_state_v1, s->output_port_next = 2);
	device = &p->debug_exit.device;
	REFUSED(debug_exit_ops, struct debug_exit_state_v1, s->reserved = 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_nobody_there),
		MACHINE_TEST(test_pci),
		MACHINE_TEST(test_resets),
		MACHINE_TEST(test_i8042),
		MACHINE_TEST(test_poweroff),
		MACHINE_TEST(test_pm_timer),
		MACHINE_TEST(test_pm_timer_interrupt),
		MACHINE_TEST(test_debug_exit),
		MACHINE_TEST(test_reset_is_power_on),
		MACHINE_TEST(test_round_trip_of_every_field),
		MACHINE_TEST(test_changed_bytes),
		MACHINE_TEST(test_wrong_sizes_and_names),
		MACHINE_TEST(test_hostile_states),
	};

	return cmocka_run_group_tests_name("platform", tests, NULL, NULL);
}
