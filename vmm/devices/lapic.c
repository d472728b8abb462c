/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/lapic.h"

#include <errno.h>

#include "base/bits.h"
#include "vmm/devices/lapic_timer.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"

#define BASE_BSP BIT(8)
#define BASE_X2APIC BIT(10)
#define BASE_ENABLE BIT(11)
#define BASE_MODE (BASE_ENABLE | BASE_X2APIC)
#define BASE_ADDRESS BITS(35, 12)

/* Register numbers: offset in the page / 16, MSR - 0x800. */
enum {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT = 0x32,
	REG_TIMER_INITIAL = 0x38,
	REG_TIMER_CURRENT = 0x39,
	REG_TIMER_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
	REG_COUNT = 0x40,
};

#define VERSION (0x14 | (LVT_COUNT - 1) << 16)

#define TPR_MASK BITS(7, 0)

#define SVR_ENABLE BIT(8)
#define SVR_MASK BITS(8, 0)
#define LDR_MASK BITS(31, 24)
#define DFR_MODEL BITS(31, 28)
#define DFR_ONES BITS(27, 0)
#define DFR_FLAT 0xf

#define ESR_SEND_ILLEGAL BIT(5)
#define ESR_RECEIVE_ILLEGAL BIT(6)
#define ESR_ILLEGAL_REGISTER BIT(7)
#define ESR_MASK BITS(7, 5)

#define ICR_VECTOR BITS(7, 0)
#define ICR_MODE BITS(10, 8)
#define ICR_LOGICAL BIT(11)
#define ICR_PENDING BIT(12) /* read-only */
#define ICR_ASSERT BIT(14)
#define ICR_LEVEL BIT(15)
#define ICR_SHORTHAND BITS(19, 18)
#define ICR_DESTINATION BITS(63, 32)
#define ICR_XAPIC_DESTINATION BITS(63, 56)
#define ICR_LOW_MASK (ICR_SHORTHAND | ICR_LEVEL | ICR_ASSERT | ICR_LOGICAL | ICR_MODE | ICR_VECTOR)
enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

#define LVT_READ_ONLY (BIT(12) | BIT(14)) /* delivery status, remote IRR */
#define LVT_POLARITY BIT(13)
#define LVT_LEVEL BIT(15)
#define LVT_LINT_MASK (LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_LEVEL | LVT_MASKED)

/* Registers that can be written, alike in both modes, and the bits that a write may set. */
static const struct {
	bool writable;
	uint32_t bits;
} registers[REG_COUNT] = {
	[REG_TPR] = {true, TPR_MASK},
	[REG_EOI] = {true, 0},
	[REG_SVR] = {true, SVR_MASK},
	[REG_ESR] = {true, 0},
	[REG_LVT + LVT_TIMER] = {true, LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE},
	[REG_LVT + LVT_THERMAL] = {true, LVT_VECTOR | LVT_MODE | LVT_MASKED},
	[REG_LVT + LVT_PERFORMANCE] = {true, LVT_VECTOR | LVT_MODE | LVT_MASKED},
	[REG_LVT + LVT_LINT0] = {true, LVT_LINT_MASK},
	[REG_LVT + LVT_LINT1] = {true, LVT_LINT_MASK},
	[REG_LVT + LVT_ERROR] = {true, LVT_VECTOR | LVT_MASKED},
	[REG_TIMER_INITIAL] = {true, UINT32_MAX},
	[REG_TIMER_DIVIDE] = {true, TIMER_DIVIDE_MASK},
};

static bool is_enabled(const struct lapic_state_v1 *s)
{
	return s->apic_base & BASE_ENABLE;
}

static bool is_x2apic(const struct lapic_state_v1 *s)
{
	return (s->apic_base & BASE_MODE) == BASE_MODE;
}

bool lapic_is_enabled(const struct lapic *lapic)
{
	return is_enabled(&lapic->state);
}

/* ---- What is requested, what is served ------------------------------------- */

static void vector_set(uint64_t map[4], uint8_t vector)
{
	map[vector / 64] |= BIT(vector % 64);
}

static void vector_clear(uint64_t map[4], uint8_t vector)
{
	map[vector / 64] &= ~BIT(vector % 64);
}

static bool vector_test(const uint64_t map[4], uint8_t vector)
{
	return map[vector / 64] & BIT(vector % 64);
}

/* The highest vector in it, -1 when there is none. */
static int vector_highest(const uint64_t map[4])
{
#pragma GCC unroll 4
	for (int i = 3; i >= 0; i--) {
		if (map[i]) {
			return i * 64 + 63 - __builtin_clzll(map[i]);
		}
	}
	return -1;
}

/* SDM 3, "Task and Processor Priorities". */
static uint32_t processor_priority(const struct lapic_state_v1 *s)
{
	int served = vector_highest(s->isr);
	uint32_t class = served < 0 ? 0 : served & 0xf0;

	return (s->tpr & 0xf0) >= class ? s->tpr : class;
}

/* The vector that the CPU may take now, -1 when there is none. */
static int deliverable(const struct lapic_state_v1 *s)
{
	int waiting = vector_highest(s->irr);

	if (waiting < 0 || (waiting & 0xf0) <= (int)(processor_priority(s) & 0xf0)) {
		return -1;
	}
	return waiting;
}

/* Is the PIC's output connected to the CPU? Without an APIC it always is. */
static bool takes_extint(const struct lapic_state_v1 *s)
{
	return !is_enabled(s) ||
	       (s->lvt[LVT_LINT0] & (LVT_MASKED | LVT_MODE)) == field_set(LVT_MODE, APIC_EXTINT);
}

static bool extint_pending(const struct lapic_state_v1 *s)
{
	return s->lint0 && takes_extint(s);
}

static void update_raised(struct lapic *lapic)
{
	lapic->raised = deliverable(&lapic->state) >= 0 || extint_pending(&lapic->state);
}

static void note_error(struct lapic *lapic, uint32_t error)
{
	struct lapic_state_v1 *s = &lapic->state;
	uint32_t lvt = s->lvt[LVT_ERROR];
	uint8_t vector = field_get(LVT_VECTOR, lvt);

	s->esr_next |= error;
	/* An illegal vector for the error itself would be one more, for ever. */
	if (!(lvt & LVT_MASKED) && vector >= 16) {
		vector_set(s->irr, vector);
		vector_clear(s->tmr, vector);
	}
}

/* A fixed interrupt arrives. */
static bool accept(struct lapic *lapic, uint8_t vector, bool level)
{
	struct lapic_state_v1 *s = &lapic->state;
	bool legal = vector >= 16;

	if (!is_enabled(s) || !(s->svr & SVR_ENABLE)) {
		return false;
	}
	if (!legal) {
		note_error(lapic, ESR_RECEIVE_ILLEGAL);
	} else {
		vector_set(s->irr, vector);
		if (level) {
			vector_set(s->tmr, vector);
		} else {
			vector_clear(s->tmr, vector);
		}
	}
	update_raised(lapic);
	return legal;
}

int lapic_acknowledge(struct lapic *lapic)
{
	struct lapic_state_v1 *s = &lapic->state;
	int vector;

	if (extint_pending(s)) {
		return pic_acknowledge(&lapic->device.platform->pic);
	}
	vector = deliverable(s);
	if (vector >= 0) {
		vector_clear(s->irr, vector);
		vector_set(s->isr, vector);
		update_raised(lapic);
	}
	return vector;
}

static void end_of_interrupt(struct lapic *lapic)
{
	struct lapic_state_v1 *s = &lapic->state;
	int vector = vector_highest(s->isr);

	if (vector < 0) {
		return;
	}
	vector_clear(s->isr, vector);
	if (vector_test(s->tmr, vector)) {
		ioapic_end_of_interrupt(&lapic->device.platform->ioapic, vector);
	}
	update_raised(lapic);
}

static void write_tpr(struct lapic *lapic, uint32_t value)
{
	lapic->state.tpr = value;
	update_raised(lapic);
}

uint8_t lapic_get_tpr(const struct lapic *lapic)
{
	return lapic->state.tpr >> 4;
}

void lapic_set_tpr(struct lapic *lapic, uint8_t class)
{
	write_tpr(lapic, (uint32_t) class << 4);
}

/* ---- Local interrupts --------------------------------------------------------- */

void lapic_local_interrupt(struct lapic *lapic, unsigned entry)
{
	uint32_t lvt = lapic->state.lvt[entry];

	if (lvt & LVT_MASKED) {
		return;
	}
	switch (field_get(LVT_MODE, lvt)) {
	case APIC_FIXED:
		accept(lapic, field_get(LVT_VECTOR, lvt), false);
		break;
	case APIC_NMI:
		lapic->state.nmi_pending = true;
		break;
	}
}

void lapic_set_lint0(struct lapic *lapic, bool level)
{
	struct lapic_state_v1 *s = &lapic->state;

	if (level == s->lint0) {
		return;
	}
	s->lint0 = level;
	if (level && is_enabled(s)) {
		lapic_local_interrupt(lapic, LVT_LINT0);
	}
	update_raised(lapic);
}

void lapic_pulse_lint1(struct lapic *lapic)
{
	if (is_enabled(&lapic->state)) {
		lapic_local_interrupt(lapic, LVT_LINT1);
	} else {
		lapic->state.nmi_pending = true;
	}
}

/* ---- Messages ------------------------------------------------------------------ */

static uint32_t read_ldr(const struct lapic *lapic)
{
	if (!is_x2apic(&lapic->state)) {
		return lapic->state.ldr;
	}
	return (lapic->id >> 4) << 16 | 1u << (lapic->id & 0xf);
}

/* SDM 3, "Determining IPI Destination". */
static bool is_destination(const struct lapic *lapic, const struct apic_message *message)
{
	const struct lapic_state_v1 *s = &lapic->state;
	uint32_t to = message->destination;
	uint32_t ldr = read_ldr(lapic);

	if (to == APIC_BROADCAST) {
		return true;
	}
	if (!message->logical) {
		return to == lapic->id;
	}
	if (is_x2apic(s)) {
		return to >> 16 == ldr >> 16 && (to & ldr & 0xffff);
	}
	ldr >>= 24;
	if (field_get(DFR_MODEL, s->dfr) == DFR_FLAT) {
		return to & ldr;
	}
	return to >> 4 == ldr >> 4 && (to & ldr & 0xf);
}

/* True when an interrupt was taken that ends with an EOI. */
static bool receive(struct lapic *lapic, const struct apic_message *message)
{
	switch (message->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return accept(lapic, message->vector, message->level);
	case APIC_NMI:
		lapic->state.nmi_pending = true;
		return false;
	case APIC_INIT:
		lapic->state.init_pending = true;
		return false;
	default: /* no SMM; a start-up IPI finds nobody who waits for it */
		return false;
	}
}

bool apic_deliver(struct platform *platform, const struct apic_message *message)
{
	bool taken = false;

	for (unsigned i = 0; i < PLATFORM_CPU_COUNT; i++) {
		struct lapic *lapic = &platform->lapic[i];

		if (!is_destination(lapic, message)) {
			continue;
		}
		taken |= receive(lapic, message);
		/* Any one of them is right: the priority is a hint. */
		if (taken && message->mode == APIC_LOWEST) {
			break;
		}
	}
	return taken;
}

static void send_to_others(struct lapic *lapic, const struct apic_message *message)
{
	for (unsigned i = 0; i < PLATFORM_CPU_COUNT; i++) {
		struct lapic *other = &lapic->device.platform->lapic[i];

		if (other != lapic) {
			receive(other, message);
		}
	}
}

static uint32_t icr_destination(const struct lapic_state_v1 *s)
{
	uint32_t destination = field_get(ICR_XAPIC_DESTINATION, s->icr);

	if (is_x2apic(s)) {
		return field_get(ICR_DESTINATION, s->icr);
	}
	return destination == 0xff ? APIC_BROADCAST : destination;
}

/* Interprocessor interrupts are edges, whatever the trigger bit says. */
static void send(struct lapic *lapic)
{
	uint64_t icr = lapic->state.icr;
	struct apic_message message = {
		.destination = icr_destination(&lapic->state),
		.logical = !!(icr & ICR_LOGICAL),
		.mode = field_get(ICR_MODE, icr),
		.vector = field_get(ICR_VECTOR, icr),
	};

	if (message.mode <= APIC_LOWEST && message.vector < 16) {
		note_error(lapic, ESR_SEND_ILLEGAL);
		update_raised(lapic);
		return;
	}
	if (message.mode == APIC_INIT && (icr & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL) {
		return; /* INIT level de-assert: no CPU has needed it for long */
	}
	switch (field_get(ICR_SHORTHAND, icr)) {
	case SHORTHAND_NONE:
		apic_deliver(lapic->device.platform, &message);
		break;
	case SHORTHAND_SELF:
		receive(lapic, &message);
		break;
	case SHORTHAND_ALL:
		receive(lapic, &message);
		send_to_others(lapic, &message);
		break;
	case SHORTHAND_OTHERS:
		send_to_others(lapic, &message);
		break;
	}
}

static int send_to_self(struct lapic *lapic, uint64_t value)
{
	if (value & ~ICR_VECTOR) {
		return -EINVAL;
	}
	if (value < 16) {
		note_error(lapic, ESR_SEND_ILLEGAL);
		update_raised(lapic);
	} else {
		accept(lapic, value, false);
	}
	return 0;
}

/* ---- Registers -------------------------------------------------------------------- */

static void write_lvt(struct lapic *lapic, unsigned entry, uint32_t value)
{
	struct lapic_state_v1 *s = &lapic->state;

	if (!(s->svr & SVR_ENABLE)) {
		value |= LVT_MASKED;
	}
	if (entry == LVT_TIMER) {
		lapic_timer_write_lvt(lapic, value);
	} else {
		s->lvt[entry] = value;
		update_raised(lapic);
	}
}

/* Disabling by software masks the local vector table (SDM 3, "Software-Disabled State"). */
static void write_svr(struct lapic *lapic, uint32_t value)
{
	struct lapic_state_v1 *s = &lapic->state;

	s->svr = value;
	for (unsigned i = 0; i < LVT_COUNT && !(value & SVR_ENABLE); i++) {
		write_lvt(lapic, i, s->lvt[i]);
	}
}

static void write_esr(struct lapic_state_v1 *s)
{
	s->esr = s->esr_next;
	s->esr_next = 0;
}

/* Half of 32 bits of a vector map. */
static uint32_t map_word(const uint64_t map[4], unsigned index)
{
	return map[index / 2] >> (index % 2 * 32);
}

/* Of the registers that are alike in both modes; -1: there is none to read. */
static int64_t read_register(struct lapic *lapic, unsigned reg)
{
	const struct lapic_state_v1 *s = &lapic->state;

	switch (reg) {
	case REG_VERSION:
		return VERSION;
	case REG_TPR:
		return s->tpr;
	case REG_PPR:
		return processor_priority(s);
	case REG_LDR:
		return read_ldr(lapic);
	case REG_SVR:
		return s->svr;
	case REG_ISR ... REG_ISR + 7:
		return map_word(s->isr, reg - REG_ISR);
	case REG_TMR ... REG_TMR + 7:
		return map_word(s->tmr, reg - REG_TMR);
	case REG_IRR ... REG_IRR + 7:
		return map_word(s->irr, reg - REG_IRR);
	case REG_ESR:
		return s->esr;
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
		return s->lvt[reg - REG_LVT];
	case REG_TIMER_INITIAL:
		return s->timer_initial;
	case REG_TIMER_CURRENT:
		return lapic_timer_count(lapic);
	case REG_TIMER_DIVIDE:
		return s->timer_divide;
	default:
		return -1;
	}
}

/* `value` has been cut to its writable bits. */
static void write_register(struct lapic *lapic, unsigned reg, uint32_t value)
{
	switch (reg) {
	case REG_TPR:
		write_tpr(lapic, value);
		break;
	case REG_EOI:
		end_of_interrupt(lapic);
		break;
	case REG_SVR:
		write_svr(lapic, value);
		break;
	case REG_ESR:
		write_esr(&lapic->state);
		break;
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
		write_lvt(lapic, reg - REG_LVT, value);
		break;
	case REG_TIMER_INITIAL:
		lapic_timer_write_initial(lapic, value);
		break;
	case REG_TIMER_DIVIDE:
		lapic_timer_write_divide(lapic, value);
		break;
	}
}

/* ---- xAPIC: the page ------------------------------------------------------------- */

bool lapic_claims(const struct lapic *lapic, uint64_t address)
{
	return (address & ~(LAPIC_SIZE - 1)) == (lapic->state.apic_base & BASE_ADDRESS) &&
	       (lapic->state.apic_base & BASE_MODE) == BASE_ENABLE;
}

/* An address without a register: the error that is noted for it. */
static void illegal_register(struct lapic *lapic)
{
	note_error(lapic, ESR_ILLEGAL_REGISTER);
	update_raised(lapic);
}

uint32_t lapic_read(struct lapic *lapic, unsigned offset)
{
	const struct lapic_state_v1 *s = &lapic->state;
	int64_t value;

	switch (offset / 16) {
	case REG_ID:
		return lapic->id << 24;
	case REG_APR: /* arbitration went with the APIC bus */
		return 0;
	case REG_DFR:
		return s->dfr;
	case REG_ICR:
		return s->icr;
	case REG_ICR_HIGH:
		return s->icr >> 32;
	}
	value = read_register(lapic, offset / 16);
	if (value < 0) {
		illegal_register(lapic);
		return 0;
	}
	return value;
}

static void write_icr_low(struct lapic *lapic, uint32_t value)
{
	uint64_t *icr = &lapic->state.icr;

	*icr = (*icr & ICR_XAPIC_DESTINATION) | (value & ICR_LOW_MASK);
	send(lapic);
}

void lapic_write(struct lapic *lapic, unsigned offset, uint32_t value)
{
	struct lapic_state_v1 *s = &lapic->state;
	unsigned reg = offset / 16;

	switch (reg) {
	case REG_LDR:
		s->ldr = value & LDR_MASK;
		return;
	case REG_DFR:
		s->dfr = value | DFR_ONES;
		return;
	case REG_ICR:
		write_icr_low(lapic, value);
		return;
	case REG_ICR_HIGH:
		s->icr = (s->icr & ICR_LOW_MASK) |
			 (field_set(ICR_DESTINATION, value) & ICR_XAPIC_DESTINATION);
		return;
	}
	if (reg < REG_COUNT && registers[reg].writable) {
		write_register(lapic, reg, value & registers[reg].bits);
	} else {
		illegal_register(lapic);
	}
}

/* ---- x2APIC: the MSRs ----------------------------------------------------------- */

static int read_x2apic(struct lapic *lapic, unsigned reg, uint64_t *value)
{
	int64_t word;

	switch (reg) {
	case REG_ID:
		*value = lapic->id;
		return 0;
	case REG_ICR:
		*value = lapic->state.icr;
		return 0;
	}
	word = read_register(lapic, reg);
	if (word < 0) {
		return -EINVAL;
	}
	*value = word;
	return 0;
}

static int write_icr(struct lapic *lapic, uint64_t value)
{
	if (value & ~(ICR_DESTINATION | ICR_PENDING | ICR_LOW_MASK)) {
		return -EINVAL;
	}
	lapic->state.icr = value & ~ICR_PENDING;
	send(lapic);
	return 0;
}

static int write_x2apic(struct lapic *lapic, unsigned reg, uint64_t value)
{
	uint64_t ignored = reg >= REG_LVT && reg < REG_LVT + LVT_COUNT ? LVT_READ_ONLY : 0;

	if (reg == REG_ICR) {
		return write_icr(lapic, value);
	}
	if (reg == REG_SELF_IPI) {
		return send_to_self(lapic, value);
	}
	if (reg >= REG_COUNT || !registers[reg].writable ||
	    (value & ~(registers[reg].bits | ignored))) {
		return -EINVAL;
	}
	write_register(lapic, reg, value & registers[reg].bits);
	return 0;
}

/* SDM 3, "x2APIC State Transitions": any other change of mode is a fault. */
static bool is_legal_base(uint64_t before, uint64_t after)
{
	uint64_t from = before & BASE_MODE, to = after & BASE_MODE;

	if ((after & ~(BASE_ADDRESS | BASE_MODE | BASE_BSP)) || to == BASE_X2APIC) {
		return false;
	}
	if (from == BASE_MODE) {
		return to != BASE_ENABLE;
	}
	return from == BASE_ENABLE || to != BASE_MODE;
}

static int write_apic_base(struct lapic *lapic, uint64_t value)
{
	struct lapic_state_v1 *s = &lapic->state;
	uint64_t before = s->apic_base;

	if (!is_legal_base(before, value)) {
		return -EINVAL;
	}
	s->apic_base = (value & ~BASE_BSP) | (before & BASE_BSP);
	if ((before & ~s->apic_base) & BASE_ENABLE) {
		lapic_init(lapic); /* disabled: it comes back as after power-on */
	}
	update_raised(lapic);
	return 0;
}

int lapic_read_msr(struct lapic *lapic, uint32_t index, uint64_t *value)
{
	switch (index) {
	case MSR_APIC_BASE:
		*value = lapic->state.apic_base;
		return 0;
	case MSR_TSC_DEADLINE:
		*value = lapic->state.tsc_deadline;
		return 0;
	case MSR_X2APIC_FIRST ... MSR_X2APIC_LAST:
		if (!is_x2apic(&lapic->state)) {
			return -EINVAL;
		}
		return read_x2apic(lapic, index - MSR_X2APIC_FIRST, value);
	default:
		return -ENOENT;
	}
}

int lapic_write_msr(struct lapic *lapic, uint32_t index, uint64_t value)
{
	/* By far the most frequent. */
	if (index == MSR_X2APIC_FIRST + REG_EOI && value == 0 && is_x2apic(&lapic->state)) {
		end_of_interrupt(lapic);
		return 0;
	}
	switch (index) {
	case MSR_APIC_BASE:
		return write_apic_base(lapic, value);
	case MSR_TSC_DEADLINE:
		lapic_timer_write_deadline(lapic, value);
		return 0;
	case MSR_X2APIC_FIRST ... MSR_X2APIC_LAST:
		if (!is_x2apic(&lapic->state)) {
			return -EINVAL;
		}
		return write_x2apic(lapic, index - MSR_X2APIC_FIRST, value);
	default:
		return -ENOENT;
	}
}

/* ---- Reset, state ------------------------------------------------------------------- */

void lapic_init(struct lapic *lapic)
{
	struct lapic_state_v1 *s = &lapic->state;

	*s = (struct lapic_state_v1){
		.apic_base = s->apic_base,
		.lint0 = s->lint0,
		.dfr = UINT32_MAX,
		.svr = 0xff,
		.timer_expiry_ns = TIME_NEVER,
	};
	for (unsigned i = 0; i < LVT_COUNT; i++) {
		s->lvt[i] = LVT_MASKED;
	}
	lapic_timer_arm(lapic);
	update_raised(lapic);
}

static void lapic_reset(struct device *device)
{
	struct lapic *lapic = CONTAINER_OF(device, struct lapic, device);

	lapic->state.apic_base = MACHINE_LAPIC_BASE | BASE_ENABLE;
	if (lapic->id == 0) {
		lapic->state.apic_base |= BASE_BSP;
	}
	lapic_init(lapic);
}

void lapic_set_virtual_wire(struct lapic *lapic)
{
	write_svr(lapic, SVR_MASK);
	write_lvt(lapic, LVT_LINT0, field_set(LVT_MODE, APIC_EXTINT));
	write_lvt(lapic, LVT_LINT1, field_set(LVT_MODE, APIC_NMI));
}

static int validate_vectors(const struct lapic_state_v1 *s)
{
	return (s->irr[0] | s->isr[0] | s->tmr[0]) & BITS(15, 0) ? -EINVAL : 0;
}

static int lapic_validate(const void *state)
{
	const struct lapic_state_v1 *s = state;
	uint64_t icr_mask = ICR_LOW_MASK | (is_x2apic(s) ? ICR_DESTINATION : ICR_XAPIC_DESTINATION);

	if ((s->apic_base & ~(BASE_ADDRESS | BASE_MODE | BASE_BSP)) ||
	    (s->apic_base & BASE_MODE) == BASE_X2APIC || (s->icr & ~icr_mask)) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < LVT_COUNT; i++) {
		if ((s->lvt[i] & ~registers[REG_LVT + i].bits) ||
		    (!(s->svr & SVR_ENABLE) && !(s->lvt[i] & LVT_MASKED))) {
			return -EINVAL;
		}
	}
	if (s->tpr > 0xff || (s->ldr & ~LDR_MASK) || (~s->dfr & DFR_ONES) || (s->svr & ~SVR_MASK) ||
	    ((s->esr | s->esr_next) & ~ESR_MASK) || s->lint0 > 1 || s->nmi_pending > 1 ||
	    s->init_pending > 1) {
		return -EINVAL;
	}
	if (validate_vectors(s) != 0) {
		return -EINVAL;
	}
	return lapic_timer_validate(s);
}

static void lapic_load(struct device *device)
{
	struct lapic *lapic = CONTAINER_OF(device, struct lapic, device);

	lapic_timer_arm(lapic);
	update_raised(lapic);
}

const struct device_ops lapic_ops = {
	.name = "lapic",
	DEVICE_STATE(struct lapic, 1),
	.reset = lapic_reset,
	.step = lapic_timer_step,
	.validate = lapic_validate,
	.load = lapic_load,
};
