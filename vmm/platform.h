/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine around a guest's vCPU: all devices of `dyad-1` and the buses that
 * reach them. It knows no CPU and no clock of the host: time comes in as guest
 * nanoseconds (0 when the guest started), accesses come in as ports, addresses
 * and MSRs, and what it wants is asked for by the vCPU's loop.
 *
 * Touched only by the CPU that runs the guest.
 */
#ifndef VMM_PLATFORM_H
#define VMM_PLATFORM_H

#include "base/types.h"

struct byte_queue; /* base/ring.h */
struct platform;

/* What the guest did to its machine, for the owner to act on. */
enum platform_event {
	PLATFORM_NONE,
	PLATFORM_POWEROFF, /* ACPI S5 */
	PLATFORM_RESET, /* ACPI reset register, i8042, port 0xcf9 */
	PLATFORM_DEBUG_EXIT, /* port 0xf4; the code is in platform_exit_code */
};

struct platform_host {
	/* Guest time now. Called at each access of a timer register. */
	uint64_t (*now_ns)(void *context);
	/* One byte that the guest sent on its serial port. */
	void (*console_output)(void *context, uint8_t byte);
	/* What is typed to it, from another CPU: read in platform_step. Outlives the platform. */
	struct byte_queue *console_input;
	void *context;
};

/* Size of the struct, for who allocates it. */
size_t platform_size(void);
void platform_init(struct platform *platform, const struct platform_host *host, uint64_t tsc_hz,
		   uint64_t wall_clock_s);
/* Every device as after power-on. */
void platform_reset(struct platform *platform);

/* Port I/O; size 1, 2, 4. Unclaimed ports read as all ones. */
uint32_t platform_io_read(struct platform *platform, uint16_t port, unsigned size);
void platform_io_write(struct platform *platform, uint16_t port, unsigned size, uint32_t value);

/* Memory-mapped; size 1, 2, 4, 8. False: there is no device at that address. */
bool platform_mmio_read(struct platform *platform, gpa_t gpa, unsigned size, uint64_t *value);
bool platform_mmio_write(struct platform *platform, gpa_t gpa, unsigned size, uint64_t value);

/* APIC base, x2APIC and TSC-deadline MSRs. -ENOENT: not one of them; -EINVAL: #GP. */
int platform_msr_read(struct platform *platform, uint32_t index, uint64_t *value) MUST_CHECK;
int platform_msr_write(struct platform *platform, uint32_t index, uint64_t value) MUST_CHECK;

/*
 * platform_deadline_ns, platform_irq_pending and platform_nmi_take, which every
 * exit asks, are inline in vmm/platform_state.h.
 */

/* Lets all timers that are due fire, and takes console input that waits. */
void platform_step(struct platform *platform);

/* Acknowledges the interrupt that is raised: the vector, or -1 when it went away (spurious). */
int platform_irq_acknowledge(struct platform *platform);
/* The operator's NMI button: LINT1, unless the guest masked NMIs at port 0x70. */
void platform_nmi_raise(struct platform *platform);
/* INIT by the guest to itself: the vCPU restarts as after INIT. */
bool platform_init_take(struct platform *platform);

/* The event that ended the last access, once. */
enum platform_event platform_event_take(struct platform *platform);
uint32_t platform_exit_code(const struct platform *platform);

/* Values that CPUID must agree with: APIC ID and whether APIC_BASE.EN is set. */
uint32_t platform_apic_id(const struct platform *platform);
bool platform_apic_enabled(const struct platform *platform);

/*
 * The state of all devices as bytes: records of fixed-width structs, each with
 * its device's name, version and size; `state` is aligned to 8 bytes. Input that
 * waits is not in it.
 */
size_t platform_state_size(const struct platform *platform);
void platform_save(const struct platform *platform, void *state);
/* 0, or -EINVAL with nothing changed when any of it is not a state of dyad-1. */
int platform_load(struct platform *platform, const void *state, size_t size) MUST_CHECK;

#endif
