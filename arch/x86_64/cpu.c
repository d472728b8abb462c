/* SPDX-License-Identifier: Apache-2.0 */
/* The small functions of arch.h: kick, idle, port I/O, the lines of `info`. */
#include "arch/x86_64/apic.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/features.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/time.h"
#include "arch/x86_64/traps.h"
#include "base/check.h"

void cpu_kick(unsigned cpu)
{
	CHECK(cpu < cpu_count());
	apic_send_interrupt(cpus[cpu]->apic_id, VECTOR_KICK);
}

void cpu_idle(uint64_t deadline_ns)
{
	struct cpu *cpu = this_cpu();
	uint64_t deadline = ns_to_tsc(deadline_ns);

	/* Handlers run between sti and cli, so `woken` must be read anew. */
	while (!*(volatile bool *)&cpu->woken && tsc_now() < deadline) {
		apic_timer_set(deadline);
		/* An interrupt between the two is held back until hlt (SDM 2, STI). */
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	}
	cpu->woken = false;
	if (deadline != TIME_NEVER) {
		apic_timer_set(TIME_NEVER);
	}
}

uint8_t io_read8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

uint32_t io_read32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

void io_write8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

void cpu_print_info(void (*print)(const char *format, ...))
{
	print("CPU       %s, %u of %u up\n", features.brand, cpu_count(),
	      MAX(machine.cpu_count, 1));
	print("features  NX%s%s%s, %s, XCR0=0x%lx\n", features.smep ? ", SMEP" : "",
	      features.smap ? ", SMAP" : "", features.page_1g ? ", 1 GiB pages" : "",
	      apic_mode_name(), fpu_features());
	print("clock     TSC at %lu.%03lu MHz by %s, %s; timer: %s\n", tsc_hz / 1000000,
	      tsc_hz / 1000 % 1000, time_source(),
	      features.invariant_tsc ? "invariant" : "not invariant", apic_timer_name());
	for (unsigned i = 0; i < cpu_count(); i++) {
		if (cpus[i]->nmi_unknown_count != 0) {
			print("warning   CPU %u took %u NMIs of unknown cause\n", i,
			      cpus[i]->nmi_unknown_count);
		}
	}
}
