/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses that the CPU could not finish: the emulator's view of a guest.
 */
#include "vmm/access.h"

#include <stdio.h>

#include "base/log.h"
#include "vmm/emulate.h"

#define VECTOR_PF 14

static uint64_t get_rsp(void *context)
{
	return vcpu_get_rsp(((struct vm *)context)->vcpu);
}

static void set_rsp(void *context, uint64_t rsp)
{
	vcpu_set_rsp(((struct vm *)context)->vcpu, rsp);
}

static void get_segment(void *context, enum segment segment, struct vcpu_segment *value)
{
	*value = vcpu_get_segment(((struct vm *)context)->vcpu, segment);
}

static void set_rflags(void *context, uint64_t rflags)
{
	vcpu_set_rflags(((struct vm *)context)->vcpu, rflags);
}

/* All ones, and every write lost, as on a bus that nobody drives. */
static void note_hole(struct vm *vm, gpa_t gpa)
{
	vm->hole_count++;
	if (!vm->hole_reported) {
		vm->hole_reported = true;
		log_warn("guest %s: accesses 0x%lx, where there is neither memory nor a device "
			 "(told once; `stats %s` counts)",
			 vm->config->name, gpa.v, vm->config->name);
	}
}

static uint64_t mmio_read(void *context, gpa_t gpa, unsigned size)
{
	struct vm *vm = context;
	uint64_t value;

	if (!platform_mmio_read(vm->platform, gpa, size, &value)) {
		note_hole(vm, gpa);
		return UINT64_MAX;
	}
	return value;
}

static void mmio_write(void *context, gpa_t gpa, unsigned size, uint64_t value)
{
	struct vm *vm = context;

	if (!platform_mmio_write(vm->platform, gpa, size, value)) {
		note_hole(vm, gpa);
	}
}

static uint32_t port_read(void *context, uint16_t port, unsigned size)
{
	return platform_io_read(((struct vm *)context)->platform, port, size);
}

static void port_write(void *context, uint16_t port, unsigned size, uint32_t value)
{
	platform_io_write(((struct vm *)context)->platform, port, size, value);
}

static const struct emulate_host host = {
	.get_rsp = get_rsp,
	.set_rsp = set_rsp,
	.get_segment = get_segment,
	.set_rflags = set_rflags,
	.mmio_read = mmio_read,
	.mmio_write = mmio_write,
	.port_read = port_read,
	.port_write = port_write,
};

static enum exit_action stop_at_unknown(struct vm *vm, const struct emulate *emulate)
{
	char bytes[3 * INSN_LENGTH_MAX + 1] = "";

	for (unsigned i = 0; i < emulate->byte_count; i++) {
		snprintf(bytes + 3 * i, sizeof(bytes) - 3 * i, " %02x", emulate->bytes[i]);
	}
	vm_end(vm, ENDING_CRASH, "unknown instruction on device memory at RIP 0x%lx:%s",
	       emulate->mode.rip, bytes);
	return EXIT_ENDED;
}

static enum exit_action run(struct vm *vm, struct emulate *emulate)
{
	emulate->host = &host;
	emulate->context = vm;
	emulate->memory = &vm->memory;
	emulate->gpr = vcpu_gpr(vm->vcpu);
	vcpu_get_mode(vm->vcpu, &emulate->mode);

	switch (emulate_insn(emulate)) {
	case EMULATE_DONE:
		vcpu_advance(vm->vcpu, emulate->length);
		return EXIT_RESUME;
	case EMULATE_AGAIN:
		return EXIT_RESUME;
	case EMULATE_FAULT:
		if (emulate->vector == VECTOR_PF) {
			vcpu_set_cr2(vm->vcpu, emulate->cr2);
		}
		vcpu_inject_exception(vm->vcpu, emulate->vector, true, emulate->error);
		return EXIT_RESUME;
	case EMULATE_UNKNOWN:
		break;
	}
	return stop_at_unknown(vm, emulate);
}

enum exit_action access_emulate(struct vm *vm, const struct exit *exit)
{
	struct emulate emulate = {
		.has_access = exit->memory.linear_valid,
		.access_is_write = exit->memory.write,
		.access_linear = exit->memory.linear,
		.access_gpa = exit->memory.gpa,
	};

	return run(vm, &emulate);
}

enum exit_action access_emulate_string_io(struct vm *vm)
{
	struct emulate emulate = {.has_access = false};

	return run(vm, &emulate);
}
