/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor's start: the list of what is initialised, in order.
 */
#include <stdio.h>
#include <string.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/descriptors.h"
#include "arch/x86_64/features.h"
#include "arch/x86_64/gate.h"
#include "arch/x86_64/ioapic.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/power.h"
#include "arch/x86_64/ram.h"
#include "arch/x86_64/smp.h"
#include "arch/x86_64/time.h"
#include "base/check.h"
#include "base/log.h"
#include "base/page.h"
#include "boot/boot_info.h"
#include "drivers/serial.h"

_Noreturn void boot_main(struct boot_info *info);

static struct serial com1;

/* Until the console runs, each line goes out at once. */
static void print_line(const struct log_line *line)
{
	char text[LOG_LINE_MAX + 64];
	int length = snprintf(text, sizeof(text), "[%5lu.%06lu] %s%s%s\r\n",
			      line->time_ns / 1000000000, line->time_ns / 1000 % 1000000,
			      line->level < LOG_INFO ? log_level_name(line->level) : "",
			      line->level < LOG_INFO ? ": " : "", line->text);

	serial_write_polled(&com1, text, (size_t)length);
}

static void log_start(void)
{
	/* Without a UART the lines stay in the log. */
	if (serial_init(&com1, SERIAL_COM1_BASE, SERIAL_COM1_IRQ) == 0) {
		log_set_immediate(print_line);
	}
	log_info("Dyad starts");
}

/* This CPU's own tables, then the memory of the machine. */
static void start_boot_cpu(const struct boot_info *info)
{
	idt_init();
	descriptors_load(&boot_cpu);
	features_init();
	hpa_t low_page = ram_init(info);
	features_enable_cpu();
	paging_init(info, low_page);
	paging_load();
	ram_add_high(info);
}

static void start_machine(const struct boot_info *info)
{
	machine_init(info);
	time_init();
	power_init(info);
	apic_init();
	apic_enable_cpu();
	apic_timer_enable_cpu();
	smp_init_boot_cpu();
	ioapic_init();
	smp_start(info->trampoline);
	gate_init();
	for (unsigned i = 0; virt_missing(i); i++) {
		log_warn("no guests: %s", virt_missing(i));
	}
}

void boot_main(struct boot_info *info)
{
	log_start();
	CHECK(info->magic == BOOT_INFO_MAGIC);
	start_boot_cpu(info);
	start_machine(info);
	smp_release();
	cpu_main(0);
}

void cpu_main(unsigned cpu)
{
	log_info("CPU %u waits for work", cpu);
	for (;;) {
		cpu_idle(TIME_NEVER);
	}
}
