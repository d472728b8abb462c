/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start by INIT and SIPI (SDM 3, 9.4.4.1). Only one CPU starts at a time, so
 * there is one trampoline and no lock.
 */
#include "arch/x86_64/smp.h"

#include <stdatomic.h>
#include <string.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/features.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/registers.h"
#include "base/log.h"
#include "base/page.h"

#define INIT_WAIT_US 10000
#define FIRST_STARTUP_WAIT_US 1000
#define SECOND_STARTUP_WAIT_US 200000
#define TSC_WAIT_US 1000000
#define STOP_WAIT_US 100000
#define STOP_POLLS_MAX 10000000 /* before the TSC's rate is known */
#define TSC_ROUNDS 16

extern const uint8_t trampoline_start[], trampoline_end[];
extern const uint8_t trampoline_long[], trampoline_gdt[], trampoline_data[];
extern const uint8_t smp_start_here[];

/* At trampoline_data in trampoline.S. */
struct trampoline_data {
	uint64_t cpu, stack, entry;
	uint32_t root;
	uint32_t long_offset; /* of the far jump into 64-bit code */
	uint16_t long_selector;
	uint16_t gdt_limit;
	uint32_t gdt_base;
} __attribute__((packed));

struct cpu boot_cpu = {.self = &boot_cpu, .stacks = &boot_stacks};
struct cpu *cpus[CPU_COUNT_MAX] = {&boot_cpu};

static unsigned count = 1;
static atomic_bool released;

/* The CPU that starts: far enough to use memory, and ready. */
static atomic_bool alive, ready;

/* Questions and answers of the TSC comparison; both count up. */
static atomic_uint tsc_question, tsc_answer;
static atomic_ullong tsc_reading;

/* The CPU that stops the others, plus one; how many have stopped. */
static atomic_uint stopper, stopped_count;

unsigned cpu_count(void)
{
	return count;
}

unsigned cpu_id(void)
{
	return this_cpu()->id;
}

void smp_init_boot_cpu(void)
{
	boot_cpu.apic_id = apic_id();
}

static bool wait_for(atomic_bool *flag, unsigned us)
{
	uint64_t start = tsc_now();
	uint64_t ticks = tsc_hz / 1000000 * us;

	while (!atomic_load(flag)) {
		if (tsc_now() - start > ticks) {
			return false;
		}
		__builtin_ia32_pause();
	}
	return true;
}

/*
 * The other side of tsc_check, on the CPU that starts. If no question comes any
 * more, an INIT does.
 */
static void tsc_answer_all(void)
{
	for (unsigned i = 1; i <= TSC_ROUNDS; i++) {
		while (atomic_load(&tsc_question) != i) {
			__builtin_ia32_pause();
		}
		atomic_store(&tsc_reading, tsc_now());
		atomic_store(&tsc_answer, i);
	}
}

static bool wait_for_answer(unsigned question)
{
	uint64_t start = tsc_now();

	while (atomic_load(&tsc_answer) != question) {
		if (tsc_now() - start > tsc_hz / 1000000 * TSC_WAIT_US) {
			return false;
		}
		__builtin_ia32_pause();
	}
	return true;
}

/*
 * A reading on the other CPU must lie between two of this one around it.
 * Deadlines cross CPUs, so clocks that disagree deserve a word. Returns false
 * when the other CPU does not answer.
 */
static bool tsc_check(const struct cpu *cpu)
{
	uint64_t behind = 0, ahead = 0;

	for (unsigned i = 1; i <= TSC_ROUNDS; i++) {
		uint64_t before = tsc_now();

		atomic_store(&tsc_question, i);
		if (!wait_for_answer(i)) {
			return false;
		}
		uint64_t after = tsc_now();
		uint64_t reading = atomic_load(&tsc_reading);
		behind = MAX(behind, reading < before ? before - reading : 0);
		ahead = MAX(ahead, reading > after ? reading - after : 0);
	}
	if (behind != 0 || ahead != 0) {
		log_warn("CPU %u: its TSC is at least %lu ticks %s that of CPU 0: "
			 "the firmware should have set them alike",
			 cpu->id, behind ? behind : ahead, behind ? "behind" : "ahead of");
	}
	return true;
}

/* A CPU's first C function, called by entry.S on its own stack. */
_Noreturn void smp_cpu_start(struct cpu *cpu);
void smp_cpu_start(struct cpu *cpu)
{
	features_enable_cpu();
	paging_load();
	descriptors_load(cpu);
	atomic_store(&alive, true);
	apic_enable_cpu();
	apic_timer_enable_cpu();
	tsc_answer_all();
	atomic_store(&ready, true);

	while (!atomic_load(&released)) {
		cpu_idle(TIME_NEVER);
	}
	/* One that was given up and has not heard its INIT: the number is another's. */
	while (cpus[cpu->id] != cpu) {
		__asm__ volatile("cli; hlt");
	}
	cpu_main(cpu->id);
}

static struct cpu *cpu_create(uint32_t apic)
{
	struct cpu *cpu = page_new(sizeof(*cpu));
	struct cpu_stacks *stacks = cpu ? stacks_create() : NULL;

	if (!stacks) {
		return NULL;
	}
	cpu->self = cpu;
	cpu->id = count;
	cpu->apic_id = apic;
	cpu->stacks = stacks;
	return cpu;
}

static void trampoline_fill(hpa_t page, const struct cpu *cpu)
{
	uint8_t *copy = hpa_to_virt(page);
	struct trampoline_data data = {
		.cpu = (uintptr_t)cpu,
		.stack = (uintptr_t)cpu->stacks + STACK_MAIN_TOP,
		.entry = (uintptr_t)smp_start_here,
		.root = paging_low_root(),
		.long_offset = (uint32_t)(page.v + (trampoline_long - trampoline_start)),
		.long_selector = SELECTOR_CODE,
		.gdt_limit = 3 * 8 - 1,
		.gdt_base = (uint32_t)(page.v + (trampoline_gdt - trampoline_start)),
	};

	memcpy(copy, trampoline_start, (size_t)(trampoline_end - trampoline_start));
	memcpy(copy + (trampoline_data - trampoline_start), &data, sizeof(data));
}

static bool try_to_start(const struct cpu *cpu, uint8_t page)
{
	atomic_store(&alive, false);
	atomic_store(&ready, false);
	atomic_store(&tsc_question, 0);
	atomic_store(&tsc_answer, 0);
	apic_send_init(cpu->apic_id);
	delay_us(INIT_WAIT_US);
	apic_send_startup(cpu->apic_id, page);
	if (!wait_for(&alive, FIRST_STARTUP_WAIT_US)) {
		apic_send_startup(cpu->apic_id, page);
		if (!wait_for(&alive, SECOND_STARTUP_WAIT_US)) {
			return false;
		}
	}
	return tsc_check(cpu) && wait_for(&ready, SECOND_STARTUP_WAIT_US);
}

static bool start(const struct cpu *cpu, uint8_t page)
{
	if (!try_to_start(cpu, page)) {
		/* Back to waiting for a SIPI: it must not come late. */
		apic_send_init(cpu->apic_id);
		return false;
	}
	return true;
}

void smp_start(hpa_t trampoline)
{
	unsigned ignored = 0;

	if (trampoline.v == 0) {
		log_warn("no memory below 1 MiB was free: all CPUs but one stay off");
		return;
	}
	for (unsigned i = 0; i < machine.cpu_count; i++) {
		uint32_t apic = machine.apic_ids[i];

		if (apic == boot_cpu.apic_id) {
			continue;
		}
		if (count == CPU_COUNT_MAX) {
			ignored++;
			continue;
		}
		struct cpu *cpu = cpu_create(apic);
		if (!cpu) {
			log_error("no memory for the CPU with APIC ID %u: it stays off", apic);
			continue;
		}
		trampoline_fill(trampoline, cpu);
		/* Its memory is not given back: who knows what it still does. */
		if (!start(cpu, (uint8_t)(trampoline.v >> PAGE_SHIFT))) {
			log_error("the CPU with APIC ID %u does not answer: it stays off", apic);
			continue;
		}
		cpus[count++] = cpu;
	}
	if (ignored > 0) {
		log_warn("%u CPUs stay off: Dyad uses at most %u", ignored, CPU_COUNT_MAX);
	}
	log_info("%u of %u CPUs are up", count, MAX(machine.cpu_count, 1));
}

void smp_release(void)
{
	atomic_store(&released, true);
	for (unsigned i = 1; i < count; i++) {
		cpu_kick(i);
	}
}

static _Noreturn void stop(void)
{
	struct cpu *cpu = this_cpu();

	if (cpu->stop) {
		cpu->stop();
	}
	atomic_fetch_add(&stopped_count, 1);
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

void smp_stop_if_told(void)
{
	unsigned by = atomic_load(&stopper);

	if (by != 0 && by != cpu_id() + 1) {
		stop();
	}
}

unsigned smp_stop_others(void)
{
	unsigned nobody = 0;
	unsigned self = cpu_id() + 1;
	uint64_t start_ticks = tsc_now();

	if (!atomic_compare_exchange_strong(&stopper, &nobody, self)) {
		if (nobody != self) {
			stop(); /* the second to come is one of the others */
		}
	} else {
		for (unsigned i = 0; i < count; i++) {
			if (cpus[i] != this_cpu()) {
				apic_send_nmi(cpus[i]->apic_id);
			}
		}
	}
	for (int i = 0; i < STOP_POLLS_MAX && atomic_load(&stopped_count) < count - 1; i++) {
		if (tsc_hz != 0 && tsc_now() - start_ticks > tsc_hz / 1000000 * STOP_WAIT_US) {
			break;
		}
		__builtin_ia32_pause();
	}
	return count - 1 - atomic_load(&stopped_count);
}
