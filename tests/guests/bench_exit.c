/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leaving the guest and coming back costs: ticks of the TSC for a piece of
 * code, less those of the same loop without it. In Bochs a tick is an instruction
 * executed by guest or host, as the first line proves, so figures repeat exactly.
 */
#include "tests/guests/lib/lib.h"

#define BATCH 16
#define BATCHES 64
#define VECTOR 0x51
#define SLEEP_TICKS 50000
#define HOLE 0x50000000

/* Of many batches the one that nothing came in between of: the shortest. */
#define TICKS(code, ...)                                                \
	({                                                              \
		uint64_t least_ = UINT64_MAX;                           \
		for (unsigned batch_ = 0; batch_ < BATCHES; batch_++) { \
			uint64_t start_ = rdtsc(), ticks_;              \
			for (unsigned i_ = 0; i_ < BATCH; i_++) {       \
				__asm__ volatile(code __VA_ARGS__);     \
			}                                               \
			ticks_ = rdtsc() - start_;                      \
			least_ = MIN(least_, ticks_);                   \
		}                                                       \
		least_;                                                 \
	})

/* The code and the empty loop have the same operands; to the nearest tick. */
#define COST(code, ...) ((TICKS(code, __VA_ARGS__) - TICKS("", __VA_ARGS__) + BATCH / 2) / BATCH)

#define CLOBBERED "rax", "rbx", "rcx", "rdx", "memory"

static void report(const char *name, uint64_t cost)
{
	print("\nbench exit.%s %lu insn\n", name, cost);
}

static void unit(void)
{
	print("bench ticks_of_1000_nops %lu\n", COST(".rept 1000; nop; .endr", : : : "memory"));
}

static void apic_mode(bool x2apic)
{
	uint64_t base = rdmsr(MSR_APIC_BASE) & ~APIC_BASE_X2;

	if (x2apic) {
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2);
	} else if (rdmsr(MSR_APIC_BASE) & APIC_BASE_X2) {
		wrmsr(MSR_APIC_BASE, base & ~APIC_BASE_ENABLE);
		wrmsr(MSR_APIC_BASE, base);
	}
	apic_enable();
}

static void ports(void)
{
	uint16_t port = 0x3f8;

	report("cpuid", COST("xor %%eax, %%eax; cpuid", : : : CLOBBERED) - 1);
	report("pio.uart", COST("outb %%al, %%dx", : : "a"('.'), "d"(port)));
	port = 0x3ff;
	report("pio.scratch", COST("outb %%al, %%dx", : : "a"(0), "d"(port)));
	port = 0x1234;
	report("pio.unclaimed", COST("inb %%dx, %%al", : : "d"(port) : "rax"));
}

static void memory(void)
{
	apic_mode(false);
	report("mmio.hole", COST("movl (%0), %%eax", : : "r"((uint64_t)HOLE) : "rax"));
	report("mmio.apic_read", COST("movl 0x30(%0), %%eax",
				      :
				      : "r"((uint64_t)APIC_PAGE)
				      : "rax"));
	report("mmio.eoi", COST("movl $0, 0xb0(%0)", : : "r"((uint64_t)APIC_PAGE) : "memory"));
}

static void registers(void)
{
	need(machine_is_strict(), "no x2APIC in QEMU's TCG");
	apic_mode(true);
	report("msr.apic_read", COST("rdmsr", : : "c"(0x803) : "rax", "rdx"));
	report("msr.eoi", COST("wrmsr", : : "c"(0x80b), "a"(0), "d"(0)));
	report("msr.deadline", COST("wrmsr", : : "c"(MSR_TSC_DEADLINE), "a"(0), "d"(0)));
	apic_mode(false);
}

static void end_of_interrupt(struct frame *frame)
{
	(void)frame;
	wrmsr(0x80b, 0);
}

/* A self-IPI, its delivery, its handler with EOI, and the way back. */
static void interrupts(void)
{
	need(machine_is_strict(), "no x2APIC in QEMU's TCG");
	apic_mode(true);
	on_vector(VECTOR, end_of_interrupt);
	report("ipi.self", COST("wrmsr; sti; nop; cli",
				:
				: "c"(0x83f), "a"(VECTOR), "d"(0)
				: "memory"));
	apic_write(APIC_LVT_TIMER, APIC_LVT_DEADLINE | VECTOR);
	/* Beyond the time asked for: arming, sleeping, waking, handler and EOI. */
	report("halt", COST("rdtsc; add %0, %%eax; adc $0, %%edx; mov %1, %%ecx; wrmsr\n"
			    "sti; hlt; cli",
			    :
			    : "i"(SLEEP_TICKS), "i"(MSR_TSC_DEADLINE)
			    : CLOBBERED) -
			       SLEEP_TICKS);
	apic_mode(false);
}

const struct test tests[] = {
	{"a tick is an instruction", unit},
	{"CPUID and ports", ports},
	{"device memory", memory},
	{"x2APIC's MSRs", registers},
	{"interrupts and sleep", interrupts},
	{NULL, NULL},
};
