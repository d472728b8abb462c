/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CPU made of plain C, for native tests: arch/x86_64/arch.h with a clock that
 * stands until a test moves it, guests whose exits a test has written down, and
 * ports and device registers that answer as a test says. s2_entry_* are the real
 * ones (ept.c).
 *
 * Everything is in `fake`: tests read what was recorded and set what comes.
 * Not thread-safe, panic() and time apart.
 */
#ifndef TESTS_FAKE_ARCH_FAKE_ARCH_H
#define TESTS_FAKE_ARCH_FAKE_ARCH_H

#include <setjmp.h>

#include "arch/x86_64/arch.h"

/* Physical memory is one arena of this size; only what is touched costs. */
#define FAKE_MEMORY_SIZE (4 * GIB)

/* The wall clock when the fake's clock is 0. */
#define FAKE_WALL_CLOCK_START_S UINT64_C(1700000000)

#define FAKE_VCPU_MAX 64
#define FAKE_SCRIPT_MAX 256
#define FAKE_EVENT_MAX 256
#define FAKE_IO_MAX 4096
#define FAKE_CPUID_MAX 64
#define FAKE_IRQ_SHARERS_MAX 8
#define FAKE_MSI_MAX 32
#define FAKE_ECAM_MAX 4

enum fake_end { FAKE_RETURNED, FAKE_PANIC, FAKE_RESET, FAKE_POWEROFF };

/* One future return of vcpu_run. */
struct fake_exit {
	struct exit exit;
	uint64_t after_ns; /* how long the guest runs before it */
	/* The guest's own doing before it leaves (registers, memory), or NULL. */
	void (*guest)(struct vcpu *vcpu);
};

struct fake_event {
	enum vcpu_event_kind kind;
	uint8_t vector;
	bool has_error;
	uint32_t error;
};

struct vcpu {
	struct vcpu_state state;
	struct vcpu_limits limits;
	hpa_t s2_root;
	uint64_t tsc_offset;
	bool want_irq_window, want_nmi_window;

	unsigned run_count, park_count, dump_count;
	uint64_t generation; /* of the last run */
	uint64_t deadline_ns; /* of the last run */

	struct fake_exit script[FAKE_SCRIPT_MAX];
	unsigned script_count, script_next;

	/* In the order of injection. */
	struct fake_event events[FAKE_EVENT_MAX];
	unsigned event_count;
};

struct fake_io {
	bool write;
	uint16_t port;
	uint8_t size;
	uint32_t value;
};

struct fake_handler {
	void (*run)(void *context);
	void *context;
};

struct fake_arch {
	unsigned cpu_count, cpu_id;
	unsigned kick_count[CPU_COUNT_MAX];

	uint64_t now_ns;
	uint64_t clock_step_ns; /* added at each look at the clock; default 0 */

	/* Called by cpu_idle; NULL: the clock moves to the deadline. */
	void (*idle)(uint64_t deadline_ns);
	unsigned idle_count;
	uint64_t idle_deadline_ns;

	/* In the order of registration; every irq may be shared but those of irq_edge. */
	struct fake_handler irqs[16][FAKE_IRQ_SHARERS_MAX];
	uint16_t irq_edge; /* one bit each */
	int irq_error; /* what irq_register returns when not 0 */
	struct fake_handler msis[FAKE_MSI_MAX];
	unsigned msi_count;
	int msi_error; /* what msi_register returns when not 0 */

	/* Ports: hooks (NULL: reads give all ones), and the record of accesses. */
	uint32_t (*io_read)(uint16_t port, unsigned size);
	void (*io_write)(uint16_t port, unsigned size, uint32_t value);
	struct fake_io io[FAKE_IO_MAX];
	unsigned io_count; /* goes on counting when the record is full */

	/*
	 * Device registers: hooks (NULL: plain memory, so a buffer can be the device).
	 * mmio_map's hook NULL: the arena at that address.
	 */
	void *(*mmio_map)(hpa_t hpa, uint64_t size);
	uint32_t (*mmio_read)(const volatile void *reg, unsigned size);
	void (*mmio_write)(volatile void *reg, unsigned size, uint32_t value);

	/*
	 * A device's addresses are offsets in the arena. With this set the rest of the
	 * process's memory has an address too, the pointer itself: what is static in
	 * the hypervisor lies outside the arena here. fake_dma_memory is the way back.
	 */
	bool dma_everything;

	struct pci_ecam ecams[FAKE_ECAM_MAX];
	unsigned ecam_count;

	/* Vector registers: between begin and end now; how often begun. */
	bool fpu_begun;
	unsigned fpu_count;

	uint64_t random_seed; /* cpu_random's sequence starts here */
	int random_error; /* what cpu_random returns when not 0 */

	/* After each store to a second-stage entry: what a walker could see now. */
	void (*entry_stored)(s2_entry_t *entry);

	const char *virt_missing[8]; /* the first NULL: guests can run */

	struct {
		uint32_t leaf, subleaf;
		struct cpuid value;
	} cpuids[FAKE_CPUID_MAX];
	unsigned cpuid_count;

	struct vcpu *vcpus[FAKE_VCPU_MAX]; /* those alive; NULL after destroy */
	unsigned vcpu_count; /* ever created since the reset */

	enum fake_end end_expected, end;
	jmp_buf end_jump;
	char panic_text[256];
};

extern struct fake_arch fake;

/*
 * Everything as new: clock at 1 s, one CPU, no scripts, no records, the arena
 * empty, and a page pool of `pool_size` bytes in it from 1 MiB on (0: no pool).
 */
void fake_arch_reset(uint64_t pool_size);

/* The handlers of `irq` run, as if the device had raised it. */
void fake_irq_raise(unsigned irq);

/* The same for the message that msi_register gave out with this data. */
void fake_msi_raise(uint32_t data);

/* What a device finds at the address that dma_address gave; the test fails if nothing. */
void *fake_dma_memory(uint64_t address, size_t size);

void fake_cpuid_set(uint32_t leaf, uint32_t subleaf, struct cpuid value);

/* Appends one exit to what the guest will do. */
void fake_vcpu_script(struct vcpu *vcpu, struct fake_exit exit);

/* Fails the test with a sentence (abort). */
_Noreturn void fake_fail(const char *format, ...) PRINTF_LIKE(1, 2);

/*
 * Runs a statement that must end the host by a panic, reset or power-off
 * (enum fake_end). Whatever locks it held stay held: reset what it used.
 */
#define expect_end(how, statement)                                                       \
	do {                                                                             \
		fake.end_expected = (how);                                               \
		fake.end = FAKE_RETURNED;                                                \
		if (setjmp(fake.end_jump) == 0) {                                        \
			statement;                                                       \
			fake_fail("%s:%d: did not end the host: %s", __FILE__, __LINE__, \
				  #statement);                                           \
		}                                                                        \
		fake.end_expected = FAKE_RETURNED;                                       \
	} while (0)

#endif
