/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leaving the guest and coming back costs: ticks of the TSC for one
 * instruction, the loop around it subtracted. In Bochs a tick is an instruction
 * executed by guest or host, so the figures repeat exactly.
 */
#include "tests/guests/lib/lib.h"

#define BATCH 16
#define BATCHES 64
#define TICK 0x51

static void nothing(void)
{
	__asm__ volatile("" : : : "memory");
}

static void thousand_nops(void)
{
	__asm__ volatile(".fill 1000, 1, 0x90");
}

static void exit_cpuid(void)
{
	uint32_t leaf = 0, subleaf = 0;

	__asm__ volatile("cpuid" : "+a"(leaf), "+c"(subleaf) : : "rbx", "rdx", "memory");
}

static void exit_pio_uart(void)
{
	outb(0x3f8, '.');
}

static void exit_pio_scratch(void)
{
	outb(0x3ff, 0);
}

static void exit_pio_unclaimed(void)
{
	inb(0x1234);
}

static void exit_msr_apic_read(void)
{
	rdmsr(0x803);
}

static void exit_msr_eoi(void)
{
	wrmsr(0x80b, 0);
}

static void exit_msr_deadline(void)
{
	wrmsr(MSR_TSC_DEADLINE, 0);
}

static void exit_mmio_apic(void)
{
	(void)*(volatile uint32_t *)(uintptr_t)(APIC_PAGE + APIC_VERSION);
}

static void exit_mmio_hole(void)
{
	(void)*(volatile uint32_t *)(uintptr_t)0x50000000;
}

static void exit_self_ipi(void)
{
	wrmsr(0x83f, TICK);
	__asm__ volatile("sti; nop; cli" : : : "memory");
}

/* A sleep of 50,000 ticks; what is above that is overhead. */
static void exit_halt(void)
{
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 50000);
	sleep_once();
}

/*
 * The least of many batches, so that what came in between does not count. One
 * code for all functions, or the loop would not be the same for each.
 */
static __attribute__((noipa)) uint64_t measure(void (*function)(void))
{
	uint64_t least = UINT64_MAX;

	for (unsigned batch = 0; batch < BATCHES; batch++) {
		uint64_t start = rdtsc(), ticks;

		for (unsigned i = 0; i < BATCH; i++) {
			function();
		}
		ticks = rdtsc() - start;
		least = MIN(least, ticks);
	}
	return least;
}

/* That a tick is an instruction: 1000 where it is true. */
static void ticks_of_nops(void)
{
	uint64_t empty = measure(nothing), full = measure(thousand_nops);

	print("\nbench ticks_of_1000_nops %lu\n", (full - empty) / BATCH);
}

static void report(const char *name, void (*function)(void), uint64_t less)
{
	uint64_t empty = measure(nothing), full = measure(function);

	print("\nbench exit.%s %lu insn\n", name, (full - empty) / BATCH - less);
}

static void x2apic(bool on)
{
	uint64_t base = rdmsr(MSR_APIC_BASE) & ~APIC_BASE_X2;

	if (on) {
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2);
	} else {
		wrmsr(MSR_APIC_BASE, base & ~APIC_BASE_ENABLE);
		wrmsr(MSR_APIC_BASE, base);
	}
	apic_enable();
}

static void in_xapic_mode(void)
{
	report("cpuid", exit_cpuid, 0);
	report("pio.uart", exit_pio_uart, 0);
	report("pio.scratch", exit_pio_scratch, 0);
	report("pio.unclaimed", exit_pio_unclaimed, 0);
	report("mmio.hole", exit_mmio_hole, 0);
	need(machine_is_strict(), "no x2APIC in QEMU's TCG");
	report("mmio.apic", exit_mmio_apic, 0);
}

static void in_x2apic_mode(void)
{
	need(machine_is_strict(), "no x2APIC in QEMU's TCG");
	x2apic(true);
	on_vector(TICK, count_apic_event);
	apic_write(APIC_LVT_TIMER, APIC_LVT_DEADLINE | TICK);
	report("msr.apic_read", exit_msr_apic_read, 0);
	report("msr.eoi", exit_msr_eoi, 0);
	report("msr.deadline", exit_msr_deadline, 0);
	report("ipi.self", exit_self_ipi, 0);
	report("halt", exit_halt, 50000);
	x2apic(false);
}

TESTS({"the unit", ticks_of_nops}, {"in xAPIC mode", in_xapic_mode},
      {"in x2APIC mode", in_x2apic_mode});
