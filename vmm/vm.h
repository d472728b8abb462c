/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest: what it is made of, and its life.
 *
 * A guest belongs to one CPU, which alone changes it: starts it, runs it, ends
 * it. Others post requests to its mailbox and kick that CPU; they may read
 * `state`, the counters and the output ring at any time, and its last ending by
 * vm_copy_ending. Lock: ending_lock, a leaf.
 *
 *   STOPPED --start--> STARTING --loaded--> RUNNING <--pause/resume--> PAUSED
 *      ^                                       |                          |
 *      +------------- it ended, or stop -------+--------------------------+
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <stdatomic.h>

#include "arch/x86_64/arch.h"
#include "base/command.h"
#include "base/config.h"
#include "base/ring.h"
#include "base/spinlock.h"
#include "vmm/cpuid.h"
#include "vmm/memory.h"
#include "vmm/msr.h"
#include "vmm/platform.h"

enum vm_state { VM_STOPPED, VM_STARTING, VM_RUNNING, VM_PAUSED };

/* What others may ask of a guest: bits of its mailbox. */
#define VM_REQUEST_START BIT(0)
#define VM_REQUEST_STOP BIT(1)
#define VM_REQUEST_RESET BIT(2)
#define VM_REQUEST_PAUSE BIT(3)
#define VM_REQUEST_RESUME BIT(4)
#define VM_REQUEST_INPUT BIT(5) /* bytes wait for its serial port */
#define VM_REQUEST_NMI BIT(6) /* the button that makes a hung kernel tell where it is */

#define VM_ENDING_MAX 160
#define VM_OUTPUT_SIZE (64 * KIB)
#define VM_INPUT_SIZE 1024
/* Crashes after which a guest that restarts by itself is left stopped. */
#define VM_CRASH_RESTARTS_MAX 3

struct vm {
	const struct config_guest *config;
	unsigned cpu;
	_Atomic enum vm_state state;
	_Atomic uint64_t requests;

	struct guest_memory memory;
	struct vcpu *vcpu;
	struct platform *platform;
	struct cpuid_policy cpuid;
	struct msr_state msrs;

	/* Guest time is host time minus these; both move when it is resumed. */
	uint64_t epoch_tsc, epoch_ns;
	uint64_t paused_tsc;
	uint64_t wall_clock_s; /* when guest time was 0, since 1970 */

	bool halted; /* in HLT, until an interrupt */
	bool nmi_pending; /* taken from the platform, not yet by the vCPU */
	bool hole_reported; /* the first access to nothing was logged */
	unsigned crash_count; /* since the operator started it */
	uint64_t hole_count;
	uint64_t start_count;
	uint64_t exit_count[EXIT_REASON_COUNT];

	struct byte_queue input;
	uint8_t input_bytes[VM_INPUT_SIZE];
	struct output_ring output;
	uint64_t output_announced;
	struct console_target console;
	/* How it last ended, or why it cannot start: read it by vm_copy_ending. */
	struct spinlock ending_lock;
	char ending[VM_ENDING_MAX];
};

/* A file that the loader read, by its name; error as in struct boot_module. */
struct vm_image {
	const char *name;
	const void *data;
	size_t size;
	int error;
};

/*
 * Makes the guests of a configuration, stopped, and spreads them over the CPUs.
 * Both arrays stay where they are. Guests whose start is automatic get their
 * request now, and start when the CPUs' loops run.
 */
void vm_init(const struct config *config, const struct vm_image *images, unsigned image_count);

unsigned vm_count(void);
struct vm *vm_at(unsigned index);
struct vm *vm_find(const char *name);

const char *vm_state_name(enum vm_state state);

/* Host memory in bytes that the guest takes now beyond its RAM. */
uint64_t vm_overhead(const struct vm *vm);

/* How it last ended, or why it cannot start; "" for neither. */
void vm_copy_ending(struct vm *vm, char copy[VM_ENDING_MAX]);

/*
 * Posts a request and kicks the guest's CPU. The last one counts: a stop takes
 * back what was asked for before it and not done yet.
 */
void vm_request(struct vm *vm, uint64_t request);

/* ---- For the CPU that the guest belongs to ------------------------------ */

/* True when it wants this CPU: requests, starting, or a vCPU that can go on. */
bool vm_is_ready(struct vm *vm);

/* Host time at which it wants the CPU next, TIME_NEVER for not by itself. */
uint64_t vm_deadline_ns(struct vm *vm);

/* Serves its requests, then starts or runs it until about `until_ns`. */
void vm_step(struct vm *vm, uint64_t until_ns);

uint64_t vm_guest_now_ns(const struct vm *vm);

/* How a guest ends, for what its configuration says about it. */
enum vm_ending { ENDING_POWEROFF, ENDING_REBOOT, ENDING_CRASH, ENDING_STOP, ENDING_RESET };

/*
 * Ends a running guest: frees what it has, says why on the console, and starts
 * it again where its configuration wants that.
 */
void vm_end(struct vm *vm, enum vm_ending ending, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
