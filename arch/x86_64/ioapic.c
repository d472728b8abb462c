/* SPDX-License-Identifier: Apache-2.0 */
/* Registers as in Intel's 82093AA datasheet, chapter 3. */
#include "arch/x86_64/ioapic.h"

#include <errno.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/traps.h"
#include "base/log.h"

#define IOAPIC_SELECT 0x00
#define IOAPIC_WINDOW 0x10
#define IOAPIC_SIZE 0x20
#define IOAPIC_VERSION 0x01
#define VERSION_LAST_INPUT BITS(23, 16)
#define IOAPIC_ENTRY 0x10 /* two registers for each input, low half first */
#define ENTRY_ACTIVE_LOW BIT(13)
#define ENTRY_LEVEL BIT(15)
#define ENTRY_MASKED BIT(16)
#define ENTRY_DESTINATION BITS(63, 56)

/* The two 8259A: command and data ports. */
#define PIC_MASTER 0x20
#define PIC_SLAVE 0xa0
#define PIC_ICW1 0x11 /* edge, cascade, ICW4 follows */
#define PIC_SLAVE_INPUT 2
#define PIC_ICW4_8086 0x01

/* PCI cards on one level-triggered line. */
#define IRQ_SHARER_MAX 8

struct ioapic {
	uint8_t *registers;
	uint32_t gsi_base;
	unsigned input_count;
};

static struct ioapic ioapics[MACHINE_IOAPIC_MAX];

static struct route {
	struct {
		void (*handler)(void *context);
		void *context;
	} sharers[IRQ_SHARER_MAX];
	unsigned sharer_count;
	struct ioapic *ioapic;
	unsigned input;
	uint64_t entry;
} routes[ISA_IRQ_COUNT];

static uint32_t ioapic_read(struct ioapic *ioapic, uint32_t index)
{
	mmio_write32(ioapic->registers + IOAPIC_SELECT, index);
	return mmio_read32(ioapic->registers + IOAPIC_WINDOW);
}

static void ioapic_write(struct ioapic *ioapic, uint32_t index, uint32_t value)
{
	mmio_write32(ioapic->registers + IOAPIC_SELECT, index);
	mmio_write32(ioapic->registers + IOAPIC_WINDOW, value);
}

/* The half with the mask comes last when it opens the input. */
static void entry_write(struct ioapic *ioapic, unsigned input, uint64_t entry)
{
	ioapic_write(ioapic, IOAPIC_ENTRY + 2 * input + 1, (uint32_t)(entry >> 32));
	ioapic_write(ioapic, IOAPIC_ENTRY + 2 * input, (uint32_t)entry);
}

/* Off, and where a spurious interrupt of theirs would hurt nobody. */
static void pic_mask(uint16_t port, uint8_t vector, uint8_t cascade)
{
	io_write8(port, PIC_ICW1);
	io_write8(port + 1, vector);
	io_write8(port + 1, cascade);
	io_write8(port + 1, PIC_ICW4_8086);
	io_write8(port + 1, 0xff);
}

void ioapic_init(void)
{
	pic_mask(PIC_MASTER, VECTOR_PIC, BIT(PIC_SLAVE_INPUT));
	pic_mask(PIC_SLAVE, VECTOR_PIC + 8, PIC_SLAVE_INPUT);
	for (unsigned i = 0; i < machine.ioapic_count; i++) {
		struct ioapic *ioapic = &ioapics[i];

		ioapic->registers = mmio_map(machine.ioapics[i].base, IOAPIC_SIZE);
		if (!ioapic->registers) {
			log_error("no memory to map the IOAPIC at 0x%lx: "
				  "its interrupts stay off",
				  machine.ioapics[i].base.v);
			continue;
		}
		ioapic->gsi_base = machine.ioapics[i].gsi_base;
		ioapic->input_count = (unsigned)field_get(VERSION_LAST_INPUT,
							  ioapic_read(ioapic, IOAPIC_VERSION)) +
				      1;
		for (unsigned input = 0; input < ioapic->input_count; input++) {
			entry_write(ioapic, input, ENTRY_MASKED);
		}
	}
}

static struct ioapic *ioapic_of(uint32_t gsi)
{
	for (unsigned i = 0; i < machine.ioapic_count; i++) {
		if (ioapics[i].registers && gsi >= ioapics[i].gsi_base &&
		    gsi - ioapics[i].gsi_base < ioapics[i].input_count) {
			return &ioapics[i];
		}
	}
	return NULL;
}

int irq_register(unsigned irq, void (*handler)(void *context), void *context)
{
	if (irq >= ISA_IRQ_COUNT) {
		return -ENODEV;
	}
	const struct machine_irq *wire = &machine.irqs[irq];
	struct ioapic *ioapic = ioapic_of(wire->gsi);
	struct route *route = &routes[irq];

	if (!ioapic) {
		return -ENODEV;
	}
	if (route->sharer_count == (wire->level ? IRQ_SHARER_MAX : 1)) {
		return -EBUSY;
	}
	route->sharers[route->sharer_count].handler = handler;
	route->sharers[route->sharer_count].context = context;
	route->sharer_count++;
	route->ioapic = ioapic;
	route->input = wire->gsi - ioapic->gsi_base;
	route->entry = field_set(ENTRY_DESTINATION, boot_cpu.apic_id) |
		       (wire->level ? ENTRY_LEVEL : 0) | (wire->active_low ? ENTRY_ACTIVE_LOW : 0) |
		       (VECTOR_IRQ + irq);
	entry_write(ioapic, route->input, route->entry);
	return 0;
}

/*
 * A level interrupt is masked while its handlers run. The rewrite of the entry
 * delivers a line that is still up: some IOAPICs (Bochs) forget it at the EOI.
 */
void irq_dispatch(unsigned irq)
{
	const struct route *route = &routes[irq];
	bool level = (route->entry & ENTRY_LEVEL) != 0;

	if (level) {
		entry_write(route->ioapic, route->input, route->entry | ENTRY_MASKED);
	}
	for (unsigned i = 0; i < route->sharer_count; i++) {
		route->sharers[i].handler(route->sharers[i].context);
	}
	apic_eoi();
	if (level) {
		entry_write(route->ioapic, route->input, route->entry);
	}
}
