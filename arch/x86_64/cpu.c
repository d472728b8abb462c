/* SPDX-License-Identifier: Apache-2.0 */
/* The small functions of arch.h: kick, idle, random numbers, the lines of `info`. */
#include <errno.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/features.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/time.h"
#include "arch/x86_64/traps.h"
#include "base/check.h"

/* After so many failures in a row RDRAND is broken (SDM 1, 7.3.17.1). */
#define RANDOM_ATTEMPTS_MAX 10

void cpu_kick(unsigned cpu)
{
	CHECK(cpu < cpu_count());
	apic_send_interrupt(cpus[cpu]->apic_id, VECTOR_KICK);
}

void cpu_idle(uint64_t deadline_ns)
{
	struct cpu *cpu = this_cpu();
	uint64_t deadline = ns_to_tsc(deadline_ns);

	/* A CPU that is never idle takes its interrupts too. */
	__asm__ volatile("sti; nop; cli" : : : "memory");
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

/* An unsuccessful attempt clears the carry flag (SDM 1, 7.3.17). */
#define RANDOM_ATTEMPTS(instruction)                                                        \
	static bool instruction(uint64_t *value)                                            \
	{                                                                                   \
		bool done = false;                                                          \
                                                                                            \
		for (unsigned i = 0; i < RANDOM_ATTEMPTS_MAX && !done; i++) {               \
			__asm__ volatile(#instruction " %0" : "=r"(*value), "=@ccc"(done)); \
		}                                                                           \
		return done;                                                                \
	}

RANDOM_ATTEMPTS(rdseed)
RANDOM_ATTEMPTS(rdrand)

int cpu_random(uint64_t *value)
{
	if (!features.rdseed && !features.rdrand) {
		return -ENODEV;
	}
	if (features.rdseed && rdseed(value)) {
		return 0;
	}
	return features.rdrand && rdrand(value) ? 0 : -EIO;
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
