/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/traps.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/ioapic.h"
#include "arch/x86_64/msi.h"
#include "arch/x86_64/panic.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/smp.h"
#include "base/check.h"
#include "base/log.h"

/* NMI status and control, port 0x61 of every PC chipset. */
#define PORT_NMI_STATUS 0x61
#define NMI_STATUS_SERR BIT(7)
#define NMI_STATUS_IOCHK BIT(6)

static const char *const exception_names[] = {
	"divide error",
	"debug exception",
	"NMI",
	"breakpoint",
	"overflow",
	"BOUND range exceeded",
	"invalid opcode",
	"device not available",
	"double fault",
	"coprocessor segment overrun",
	"invalid TSS",
	"segment not present",
	"stack-segment fault",
	"general protection",
	"page fault",
	"reserved exception 15",
	"x87 floating-point error",
	"alignment check",
	"machine check",
	"SIMD floating-point error",
	"virtualization exception",
	"control protection",
};

/* SDM 3, figure 4-12. */
static _Noreturn void page_fault(const struct trap_frame *frame)
{
	uint64_t error = frame->error;

	panic_at(frame, "page fault: %s 0x%lx: %s",
		 error & BIT(4)	  ? "fetch from"
		 : error & BIT(1) ? "write to"
				  : "read from",
		 cr2_read(),
		 error & BIT(3)	  ? "a reserved bit is set in the page tables"
		 : error & BIT(0) ? "not allowed there"
				  : "not mapped");
}

/* A selector error code (SDM 3, 6.13). */
static _Noreturn void selector_fault(const struct trap_frame *frame)
{
	panic_at(frame, "%s (%s %lu of the %s%s)", exception_names[frame->vector],
		 frame->error & BIT(1) ? "vector" : "entry", field_get(BITS(15, 3), frame->error),
		 frame->error & BIT(1)	 ? "IDT"
		 : frame->error & BIT(2) ? "LDT"
					 : "GDT",
		 frame->error & BIT(0) ? ", during the delivery of an event" : "");
}

static _Noreturn void exception(const struct trap_frame *frame)
{
	const struct cpu *cpu = this_cpu();

	/* A push below the stack faults, and its fault finds no stack either. */
	if ((frame->vector == TRAP_DOUBLE_FAULT || frame->vector == TRAP_PAGE_FAULT) &&
	    stacks_overflow(cpu->stacks, frame->rsp, cr2_read())) {
		panic_at(frame, "stack overflow on CPU %u", cpu->id);
	}
	if (frame->vector == TRAP_PAGE_FAULT) {
		page_fault(frame);
	}
	if (frame->vector == TRAP_MACHINE_CHECK) {
		panic_machine_check(frame);
	}
	if (frame->vector >= ARRAY_SIZE(exception_names)) {
		panic_at(frame, "exception %lu, error code 0x%lx", frame->vector, frame->error);
	}
	if (frame->error != 0) {
		selector_fault(frame);
	}
	panic_at(frame, "%s", exception_names[frame->vector]);
}

/* No lock is taken here: whoever was interrupted may hold it. */
static void nmi(const struct trap_frame *frame)
{
	smp_stop_if_told();

	uint8_t status = io_read8(PORT_NMI_STATUS);
	if (status != 0xff && (status & NMI_STATUS_SERR)) {
		panic_at(frame, "NMI: the chipset reports a memory or PCI system error (SERR#)");
	}
	if (status != 0xff && (status & NMI_STATUS_IOCHK)) {
		panic_at(frame, "NMI: the chipset reports an I/O channel check (IOCHK#)");
	}
	this_cpu()->nmi_unknown_count++;
}

static void interrupt(unsigned vector)
{
	struct cpu *cpu = this_cpu();

	switch (vector) {
	case VECTOR_TIMER:
		/* cpu_idle looks at the clock itself. */
		apic_eoi();
		return;
	case VECTOR_KICK:
		cpu->woken = true;
		apic_eoi();
		return;
	case VECTOR_APIC_ERROR:
		apic_log_error();
		apic_eoi();
		return;
	case VECTOR_SPURIOUS:
		return; /* no EOI (SDM 3, 11.9) */
	case VECTOR_PIC ... VECTOR_PIC + 15:
		return; /* the PICs' own spurious interrupts; nothing is in service */
	case VECTOR_IRQ ... VECTOR_IRQ + 15:
		cpu->woken = true;
		irq_dispatch(vector - VECTOR_IRQ);
		return;
	case VECTOR_MSI ... VECTOR_MSI + VECTOR_MSI_COUNT - 1:
		cpu->woken = true;
		msi_dispatch(vector - VECTOR_MSI);
		return;
	default:
		log_warn("CPU %u: unexpected interrupt, vector 0x%x", cpu->id, vector);
		apic_eoi();
	}
}

void trap_handle(struct trap_frame *frame)
{
	if (frame->vector >= VECTOR_FIRST) {
		interrupt((unsigned)frame->vector);
	} else if (frame->vector == TRAP_NMI) {
		nmi(frame);
	} else {
		exception(frame);
	}
}
