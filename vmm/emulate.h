/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executes one instruction of a guest that touches a device's memory, or moves
 * a string between memory and a port.
 *
 * Knows no device and no vCPU: struct emulate_host reaches them. Each operand
 * may be RAM or device. What the CPU checked before it left the guest (segment
 * limits, I/O permission) is not checked again; page tables are.
 * Everything that can fault is found before the first effect.
 */
#ifndef VMM_EMULATE_H
#define VMM_EMULATE_H

#include "arch/x86_64/arch.h"
#include "vmm/decode.h"
#include "vmm/memory.h"

/* Iterations of a repeated string instruction in one go. */
#define EMULATE_REPEAT_MAX 256

struct emulate_host {
	/* What is asked for only when the instruction needs it. */
	uint64_t (*get_rsp)(void *context);
	void (*set_rsp)(void *context, uint64_t rsp);
	void (*get_segment)(void *context, enum segment segment, struct vcpu_segment *value);
	void (*set_rflags)(void *context, uint64_t rflags);
	/* Addresses without RAM; size 1, 2, 4, 8. There may be no device at gpa. */
	uint64_t (*mmio_read)(void *context, gpa_t gpa, unsigned size);
	void (*mmio_write)(void *context, gpa_t gpa, unsigned size, uint64_t value);
	/* Size 1, 2, 4. */
	uint32_t (*port_read)(void *context, uint16_t port, unsigned size);
	void (*port_write)(void *context, uint16_t port, unsigned size, uint32_t value);
};

enum emulate_action {
	EMULATE_DONE, /* go on `length` bytes behind */
	EMULATE_AGAIN, /* go on at the same instruction: it repeats */
	EMULATE_FAULT, /* inject the fault; nothing happened, or repetitions before it */
	EMULATE_UNKNOWN, /* not an instruction for device memory: `bytes` tell which */
};

struct emulate {
	/* Set by the caller. */
	const struct emulate_host *host;
	void *context;
	struct guest_memory *memory;
	uint64_t *gpr; /* of enum gpr; the entry of RSP is not used but overwritten */
	struct vcpu_mode mode;
	/* The access that left the guest, if known: saves its page walk. */
	bool has_access, access_is_write;
	uint64_t access_linear;
	gpa_t access_gpa;

	/* The instruction, and how long it is when the action is EMULATE_DONE. */
	uint8_t bytes[INSN_LENGTH_MAX];
	uint8_t byte_count;
	uint8_t length;

	/* With EMULATE_FAULT. cr2 is for a page fault (vector 14). */
	uint8_t vector;
	uint32_t error;
	uint64_t cr2;
};

/* Fetches, decodes and executes the instruction at mode.rip. */
enum emulate_action emulate_insn(struct emulate *emulate);

#endif
