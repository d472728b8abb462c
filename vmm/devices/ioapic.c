/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/ioapic.h"

#include <errno.h>

#include "base/bits.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"

/* Memory-mapped registers. */
#define OFFSET_INDEX 0x00
#define OFFSET_WINDOW 0x10
#define OFFSET_EOI 0x40

/* Registers behind the window. */
#define REG_ID 0x00
#define REG_VERSION 0x01
#define REG_ARBITRATION 0x02
#define REG_REDIRECTION 0x10

#define ID_MASK BITS(27, 24)
#define VERSION (0x20 | (IOAPIC_PIN_COUNT - 1) << 16)

#define ENTRY_VECTOR BITS(7, 0)
#define ENTRY_MODE BITS(10, 8)
#define ENTRY_LOGICAL BIT(11)
#define ENTRY_POLARITY BIT(13)
#define ENTRY_REMOTE_IRR BIT(14) /* read-only */
#define ENTRY_LEVEL BIT(15)
#define ENTRY_MASKED BIT(16)
#define ENTRY_DESTINATION BITS(63, 56)
#define ENTRY_WRITABLE                                                                     \
	(ENTRY_DESTINATION | ENTRY_MASKED | ENTRY_LEVEL | ENTRY_POLARITY | ENTRY_LOGICAL | \
	 ENTRY_MODE | ENTRY_VECTOR)

static void deliver(struct ioapic *ioapic, unsigned pin)
{
	uint64_t *entry = &ioapic->state.redirection[pin];
	uint32_t destination = field_get(ENTRY_DESTINATION, *entry);
	struct apic_message message = {
		.destination = destination == 0xff ? APIC_BROADCAST : destination,
		.logical = !!(*entry & ENTRY_LOGICAL),
		.mode = field_get(ENTRY_MODE, *entry),
		.vector = field_get(ENTRY_VECTOR, *entry),
		.level = !!(*entry & ENTRY_LEVEL),
	};

	/* Only fixed and lowest priority end with an EOI. */
	if (apic_deliver(ioapic->device.platform, &message) && message.level) {
		*entry |= ENTRY_REMOTE_IRR;
	}
}

/* Sends a level-triggered pin's interrupt, unless it is on its way or masked. */
static void deliver_level(struct ioapic *ioapic, unsigned pin)
{
	uint64_t entry = ioapic->state.redirection[pin];

	if ((ioapic->state.lines & BIT(pin)) &&
	    (entry & (ENTRY_LEVEL | ENTRY_MASKED | ENTRY_REMOTE_IRR)) == ENTRY_LEVEL) {
		deliver(ioapic, pin);
	}
}

/* An edge at a masked pin is lost (82093AA, 3.2.4). */
void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level)
{
	uint64_t entry = ioapic->state.redirection[pin];
	bool rising = level && !(ioapic->state.lines & BIT(pin));

	if (!level) {
		ioapic->state.lines &= ~BIT(pin);
		return;
	}
	ioapic->state.lines |= BIT(pin);
	if (entry & ENTRY_LEVEL) {
		deliver_level(ioapic, pin);
	} else if (rising && !(entry & ENTRY_MASKED)) {
		deliver(ioapic, pin);
	}
}

void ioapic_end_of_interrupt(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PIN_COUNT; pin++) {
		uint64_t *entry = &ioapic->state.redirection[pin];

		if ((*entry & ENTRY_REMOTE_IRR) && field_get(ENTRY_VECTOR, *entry) == vector) {
			*entry &= ~ENTRY_REMOTE_IRR;
			deliver_level(ioapic, pin);
		}
	}
}

static void write_entry(struct ioapic *ioapic, unsigned index, uint32_t value)
{
	unsigned pin = index / 2;
	uint64_t *entry = &ioapic->state.redirection[pin];
	uint64_t half = index % 2 ? BITS(63, 32) : BITS(31, 0);

	*entry &= ~(half & ENTRY_WRITABLE);
	*entry |= field_set(half, value) & ENTRY_WRITABLE;
	/* Linux ends a stuck interrupt so: edge and back to level. */
	if (!(*entry & ENTRY_LEVEL)) {
		*entry &= ~ENTRY_REMOTE_IRR;
	}
	deliver_level(ioapic, pin);
}

static uint32_t read_register(const struct ioapic_state_v1 *s)
{
	unsigned entry = s->index - REG_REDIRECTION;

	switch (s->index) {
	case REG_ID:
	case REG_ARBITRATION:
		return s->id;
	case REG_VERSION:
		return VERSION;
	}
	if (entry >= 2 * IOAPIC_PIN_COUNT) {
		return 0;
	}
	return s->redirection[entry / 2] >> (entry % 2 * 32);
}

static void write_register(struct ioapic *ioapic, uint32_t value)
{
	unsigned entry = ioapic->state.index - REG_REDIRECTION;

	if (ioapic->state.index == REG_ID) {
		ioapic->state.id = value & ID_MASK;
	} else if (entry < 2 * IOAPIC_PIN_COUNT) {
		write_entry(ioapic, entry, value);
	}
}

uint32_t ioapic_read(struct ioapic *ioapic, unsigned offset)
{
	switch (offset) {
	case OFFSET_INDEX:
		return ioapic->state.index;
	case OFFSET_WINDOW:
		return read_register(&ioapic->state);
	default:
		return 0;
	}
}

void ioapic_write(struct ioapic *ioapic, unsigned offset, uint32_t value)
{
	switch (offset) {
	case OFFSET_INDEX:
		ioapic->state.index = value & 0xff;
		break;
	case OFFSET_WINDOW:
		write_register(ioapic, value);
		break;
	case OFFSET_EOI:
		ioapic_end_of_interrupt(ioapic, value);
		break;
	}
}

static void ioapic_reset(struct device *device)
{
	struct ioapic_state_v1 *s = &CONTAINER_OF(device, struct ioapic, device)->state;

	*s = (struct ioapic_state_v1){.id = field_set(ID_MASK, MACHINE_IOAPIC_ID)};
	for (unsigned pin = 0; pin < IOAPIC_PIN_COUNT; pin++) {
		s->redirection[pin] = ENTRY_MASKED;
	}
}

static int ioapic_validate(const void *state)
{
	const struct ioapic_state_v1 *s = state;

	if ((s->lines & ~BITS(IOAPIC_PIN_COUNT - 1, 0)) || (s->id & ~ID_MASK) || s->index > 0xff ||
	    s->reserved) {
		return -EINVAL;
	}
	for (unsigned pin = 0; pin < IOAPIC_PIN_COUNT; pin++) {
		uint64_t entry = s->redirection[pin];

		if ((entry & ~(ENTRY_WRITABLE | ENTRY_REMOTE_IRR)) ||
		    (entry & (ENTRY_REMOTE_IRR | ENTRY_LEVEL)) == ENTRY_REMOTE_IRR) {
			return -EINVAL;
		}
	}
	return 0;
}

const struct device_ops ioapic_ops = {
	.name = "ioapic",
	DEVICE_STATE(struct ioapic, 1),
	.reset = ioapic_reset,
	.validate = ioapic_validate,
};
