/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC in software, as xAPIC page and as x2APIC MSRs (SDM 3,
 * chapter "Advanced Programmable Interrupt Controller"), and the message bus
 * between the APICs. The timer counts nanoseconds before its divider.
 *
 * After every change of what decides it, `raised` says whether the vCPU's
 * interrupt input is high: who runs the vCPU only loads it.
 */
#ifndef VMM_DEVICES_LAPIC_H
#define VMM_DEVICES_LAPIC_H

#include "vmm/device.h"

#define LAPIC_SIZE UINT64_C(0x1000)
#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_FIRST 0x800
#define MSR_X2APIC_LAST 0x8ff

#define APIC_BROADCAST UINT32_MAX

enum apic_mode {
	APIC_FIXED,
	APIC_LOWEST,
	APIC_SMI,
	APIC_NMI = 4,
	APIC_INIT,
	APIC_STARTUP,
	APIC_EXTINT,
};

/* An interrupt on its way to the local APICs. */
struct apic_message {
	uint32_t destination;
	bool logical;
	uint8_t mode;
	uint8_t vector;
	bool level;
};

enum { LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

struct lapic_state_v1 {
	uint64_t apic_base; /* the MSR */
	uint64_t irr[4], isr[4], tmr[4];
	uint64_t icr; /* destination as in the mode's register */
	uint64_t tsc_deadline; /* guest TSC; 0: not armed */
	uint64_t timer_expiry_ns; /* TIME_NEVER: not running */
	uint32_t timer_initial, timer_divide;
	uint32_t lvt[LVT_COUNT];
	uint32_t tpr, ldr, dfr, svr;
	uint32_t esr, esr_next; /* as read, as collected since */
	uint8_t lint0; /* level of the PIC's output */
	uint8_t nmi_pending, init_pending;
	uint8_t reserved[5];
};
_Static_assert(sizeof(struct lapic_state_v1) == 192, "no padding");

struct lapic {
	struct device device;
	uint32_t id; /* of the vCPU, from its creation on */
	bool raised;
	struct lapic_state_v1 state;
};

extern const struct device_ops lapic_ops;

bool lapic_is_enabled(const struct lapic *lapic); /* APIC_BASE.EN */

/* False when the page is not there (disabled, or in x2APIC mode). */
bool lapic_claims(const struct lapic *lapic, uint64_t address);
uint32_t lapic_read(struct lapic *lapic, unsigned offset);
void lapic_write(struct lapic *lapic, unsigned offset, uint32_t value);

/* -ENOENT: not one of its MSRs. -EINVAL: #GP. */
int lapic_read_msr(struct lapic *lapic, uint32_t index, uint64_t *value) MUST_CHECK;
int lapic_write_msr(struct lapic *lapic, uint32_t index, uint64_t value) MUST_CHECK;

/* CR8: the task priority's class, 0 to 15. */
uint8_t lapic_get_tpr(const struct lapic *lapic);
void lapic_set_tpr(struct lapic *lapic, uint8_t class);

void lapic_set_lint0(struct lapic *lapic, bool level);
/* An edge at LINT1: an NMI, unless the guest wired it otherwise. */
void lapic_pulse_lint1(struct lapic *lapic);

/* The vector that is taken now, or -1. */
int lapic_acknowledge(struct lapic *lapic);
/* After INIT was taken: everything as after power-on but mode and ID. */
void lapic_init(struct lapic *lapic);
/* The virtual wire mode in which firmware leaves the boot processor. */
void lapic_set_virtual_wire(struct lapic *lapic);

/*
 * Hands a message to every APIC that it is addressed to. True when one took an
 * interrupt that it will end with an EOI.
 */
bool apic_deliver(struct platform *platform, const struct apic_message *message);

#endif
