/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TSC (SDM 3, 18.17) and its rate: as CPUID names it, when a measurement
 * by the ACPI PM timer (ACPI 6.4, 4.8.3.3) or else by the PIT (8254) agrees.
 */
#include "arch/x86_64/time.h"

#include "arch/x86_64/arch.h"
#include "arch/x86_64/features.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/scale.h"
#include "base/check.h"
#include "base/log.h"

#define MEASURE_MS 20
/* Runs of which the shortest counts: an SMI only ever lengthens one. */
#define MEASURE_RUNS 3
/* Reads without progress after which a clock is taken to stand still. */
#define POLLS_MAX 10000000

#define PM_TIMER_HZ 3579545
#define PM_TIMER_MASK BITS(23, 0)

#define PIT_HZ 1193182
#define PIT_CHANNEL_2 0x42
#define PIT_COMMAND 0x43
#define PIT_COMMAND_CHANNEL_2 0xb0 /* both bytes, mode 0: output rises at the end */
#define PORT_SPEAKER 0x61
#define SPEAKER_GATE BIT(0)
#define SPEAKER_ENABLE BIT(1)
#define SPEAKER_OUTPUT BIT(5)

#define LEAF_TSC 0x15

uint64_t tsc_hz;

static struct scale to_ns, to_ticks;
static const char *source = "nothing";
static volatile uint32_t *pm_timer;

uint64_t tsc_now(void)
{
	uint32_t low, high;

	/* What came before has been done when the clock is read (SDM 2, RDTSC). */
	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	return scale_apply(to_ns, ticks);
}

uint64_t ns_to_tsc(uint64_t ns)
{
	return scale_apply(to_ticks, ns);
}

void delay_us(unsigned us)
{
	uint64_t start = tsc_now();
	uint64_t ticks = tsc_hz / 1000000 * us;

	while (tsc_now() - start < ticks) {
		__builtin_ia32_pause();
	}
}

static uint32_t pm_timer_read(void)
{
	uint32_t value = pm_timer ? *pm_timer : io_read32((uint16_t)machine.pm_timer.address);

	return value & PM_TIMER_MASK;
}

/* TSC ticks a second by one run of the PM timer; 0: it stands still. */
static uint64_t measure_by_pm_timer(void)
{
	const uint32_t wanted = PM_TIMER_HZ / 1000 * MEASURE_MS;
	uint32_t first = pm_timer_read();
	uint64_t start = tsc_now();

	for (int i = 0; i < POLLS_MAX; i++) {
		uint32_t passed = (pm_timer_read() - first) & PM_TIMER_MASK;

		if (passed >= wanted) {
			return (tsc_now() - start) * PM_TIMER_HZ / passed;
		}
	}
	return 0;
}

static uint64_t measure_by_pit(void)
{
	const uint16_t count = PIT_HZ / 1000 * MEASURE_MS;
	uint8_t speaker = io_read8(PORT_SPEAKER);

	io_write8(PORT_SPEAKER, (uint8_t)((speaker & ~SPEAKER_ENABLE) | SPEAKER_GATE));
	io_write8(PIT_COMMAND, PIT_COMMAND_CHANNEL_2);
	io_write8(PIT_CHANNEL_2, count & 0xff);
	io_write8(PIT_CHANNEL_2, count >> 8);
	uint64_t start = tsc_now();
	uint64_t ticks = 0;
	for (int i = 0; i < POLLS_MAX && ticks == 0; i++) {
		if (io_read8(PORT_SPEAKER) & SPEAKER_OUTPUT) {
			ticks = tsc_now() - start;
		}
	}
	io_write8(PORT_SPEAKER, speaker);
	return ticks * PIT_HZ / count;
}

static uint64_t best_of(uint64_t (*measure)(void))
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < MEASURE_RUNS; i++) {
		best = MIN(best, measure());
	}
	return best;
}

static uint64_t measure(void)
{
	if (machine.pm_timer.space == SPACE_MEMORY) {
		pm_timer = mmio_map(HPA(machine.pm_timer.address), sizeof(*pm_timer));
	}
	if (machine.pm_timer.space == SPACE_PORT || pm_timer) {
		source = "the ACPI PM timer";
		uint64_t hz = best_of(measure_by_pm_timer);
		if (hz != 0) {
			return hz;
		}
		log_warn("time: the ACPI PM timer stands still");
	}
	source = "the PIT";
	return best_of(measure_by_pit);
}

/*
 * By the crystal that CPUID names; 0 when it names none. Leaf 0x16 is no
 * source: its MHz are the label's, not the clock's.
 */
static uint64_t named_by_cpuid(void)
{
	if (cpuid_host(0, 0).eax < LEAF_TSC) {
		return 0;
	}
	struct cpuid leaf = cpuid_host(LEAF_TSC, 0);

	return leaf.eax == 0 ? 0 : (uint64_t)leaf.ecx * leaf.ebx / leaf.eax;
}

void time_init(void)
{
	uint64_t measured = measure();
	uint64_t named = named_by_cpuid();

	if (measured == 0) {
		panic("no clock to calibrate the TSC by: neither ACPI PM timer nor PIT runs");
	}
	tsc_hz = measured;
	if (named > measured - measured / 100 && named < measured + measured / 100) {
		tsc_hz = named;
		source = "CPUID";
	} else if (named != 0) {
		log_warn("time: CPUID names a TSC of %lu kHz, %s measures %lu kHz: "
			 "taking the measurement",
			 named / 1000, source, measured / 1000);
	}
	to_ns = scale_make(tsc_hz, 1000000000);
	to_ticks = scale_make(1000000000, tsc_hz);
	log_info("time: TSC runs at %lu.%03lu MHz by %s", tsc_hz / 1000000, tsc_hz / 1000 % 1000,
		 source);
	if (!features.invariant_tsc) {
		log_warn("time: the TSC of this CPU is not invariant: "
			 "clocks may drift when it changes its speed or sleeps");
	}
}

const char *time_source(void)
{
	return source;
}
