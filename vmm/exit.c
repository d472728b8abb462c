/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exits, by reason. See exit.h.
 */
#include "vmm/exit.h"

#include "vmm/access.h"
#include "vmm/platform_state.h"

/*
 * Handlers that take the address of a local stay functions of their own: inlined
 * into the dispatch, every exit would pay for their stack protector.
 */
#define APART __attribute__((noinline))

#define VECTOR_UD 6
#define VECTOR_GP 13
#define RFLAGS_TF BIT(8)
#define MSR_X2APIC_ICR 0x830

#define KVM_ENOSYS 1000 /* Linux include/uapi/linux/kvm_para.h */

const char *exit_reason_name(enum exit_reason reason)
{
	static const char *const names[EXIT_REASON_COUNT] = {
		[EXIT_NONE] = "CPU register",
		[EXIT_DEADLINE] = "deadline or interrupt",
		[EXIT_IRQ_WINDOW] = "IRQ window",
		[EXIT_CPUID] = "CPUID",
		[EXIT_HLT] = "HLT",
		[EXIT_HYPERCALL] = "hypercall",
		[EXIT_IO] = "port I/O",
		[EXIT_MSR_READ] = "MSR read",
		[EXIT_MSR_WRITE] = "MSR write",
		[EXIT_MEMORY] = "device memory",
		[EXIT_CR8] = "task priority",
		[EXIT_CACHE] = "cache instruction",
		[EXIT_UNDEFINED] = "undefined instruction",
		[EXIT_FORBIDDEN] = "forbidden instruction",
		[EXIT_TRIPLE_FAULT] = "triple fault",
		[EXIT_FATAL] = "fatal",
	};

	return names[reason];
}

/* What the guest did to its machine by its last access, if it is still there. */
static enum exit_action machine_event(struct vm *vm, enum exit_action otherwise)
{
	uint32_t code;

	if (otherwise == EXIT_ENDED) {
		return EXIT_ENDED;
	}
	if (platform_init_take(vm->platform)) {
		/* Its vector has no firmware here: what it wants is a new start. */
		vm_end(vm, ENDING_REBOOT, "INIT to its only CPU");
		return EXIT_ENDED;
	}
	switch (platform_event_take(vm->platform)) {
	case PLATFORM_NONE:
		return otherwise;
	case PLATFORM_POWEROFF:
		vm_end(vm, ENDING_POWEROFF, "power off");
		return EXIT_ENDED;
	case PLATFORM_RESET:
		vm_end(vm, ENDING_REBOOT, "reboot");
		return EXIT_ENDED;
	case PLATFORM_DEBUG_EXIT:
		code = platform_exit_code(vm->platform);
		vm_end(vm, code == 0 ? ENDING_POWEROFF : ENDING_CRASH, "exit code %u", code);
		return EXIT_ENDED;
	}
	return otherwise;
}

/* The leaves that show the guest's own registers. */
static APART struct cpuid cpuid_by_state(struct vm *vm, uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_state state = {.apic_enabled = platform_apic_enabled(vm->platform)};

	vcpu_get_cpuid_state(vm->vcpu, &state.cr4, &state.xcr0);
	return cpuid_policy_get(&vm->cpuid, leaf, subleaf, &state);
}

static enum exit_action handle_cpuid(struct vm *vm)
{
	uint64_t *gpr = vcpu_gpr(vm->vcpu);
	uint32_t leaf = (uint32_t)gpr[GPR_RAX];
	uint32_t subleaf = (uint32_t)gpr[GPR_RCX];
	struct cpuid answer = cpuid_needs_state(leaf)
				      ? cpuid_by_state(vm, leaf, subleaf)
				      : cpuid_policy_get(&vm->cpuid, leaf, subleaf, NULL);

	gpr[GPR_RAX] = answer.eax;
	gpr[GPR_RBX] = answer.ebx;
	gpr[GPR_RCX] = answer.ecx;
	gpr[GPR_RDX] = answer.edx;
	return EXIT_ADVANCE;
}

/* A single step over HLT traps behind it, and that wakes the CPU. */
static APART enum exit_action handle_hlt(struct vm *vm)
{
	struct vcpu_mode mode;

	vcpu_get_mode(vm->vcpu, &mode);
	vm->halted = !(mode.rflags & RFLAGS_TF);
	return EXIT_ADVANCE;
}

static APART enum exit_action handle_msr_read(struct vm *vm)
{
	uint64_t *gpr = vcpu_gpr(vm->vcpu);
	uint64_t value;

	if (msr_read_policy(vm, (uint32_t)gpr[GPR_RCX], &value) != 0) {
		return EXIT_INJECT_GP;
	}
	gpr[GPR_RAX] = (uint32_t)value;
	gpr[GPR_RDX] = value >> 32;
	return EXIT_ADVANCE;
}

static enum exit_action handle_msr_write(struct vm *vm)
{
	const uint64_t *gpr = vcpu_gpr(vm->vcpu);
	uint32_t index = (uint32_t)gpr[GPR_RCX];
	uint64_t value = gpr[GPR_RDX] << 32 | (uint32_t)gpr[GPR_RAX];

	if (msr_write_policy(vm, index, value) != 0) {
		return EXIT_INJECT_GP;
	}
	return index == MSR_X2APIC_ICR ? machine_event(vm, EXIT_ADVANCE) : EXIT_ADVANCE;
}

static enum exit_action handle_io(struct vm *vm, const struct exit *exit)
{
	uint64_t *rax = &vcpu_gpr(vm->vcpu)[GPR_RAX];

	if (exit->io.in) {
		uint32_t value = platform_io_read(vm->platform, exit->io.port, exit->io.size);

		*rax = gpr_merge(*rax, value, exit->io.size);
		return EXIT_ADVANCE;
	}
	platform_io_write(vm->platform, exit->io.port, exit->io.size,
			  (uint32_t)gpr_merge(0, *rax, exit->io.size));
	return machine_event(vm, EXIT_ADVANCE);
}

/* MOV to and from CR8: bits 7:4 of the APIC's task priority (SDM 3, 12.8.6). */
static enum exit_action handle_cr8(struct vm *vm, const struct exit *exit)
{
	uint64_t *gpr = vcpu_gpr(vm->vcpu);
	bool is_rsp = exit->cr8.gpr == GPR_RSP;
	uint64_t value;

	if (!exit->cr8.write) {
		value = lapic_get_tpr(&vm->platform->lapic[0]);
		if (is_rsp) {
			vcpu_set_rsp(vm->vcpu, value);
		} else {
			gpr[exit->cr8.gpr] = value;
		}
		return EXIT_ADVANCE;
	}
	value = is_rsp ? vcpu_get_rsp(vm->vcpu) : gpr[exit->cr8.gpr];
	if (value > 15) {
		return EXIT_INJECT_GP;
	}
	lapic_set_tpr(&vm->platform->lapic[0], (uint8_t)value);
	return EXIT_ADVANCE;
}

static enum exit_action stop_at_hole(struct vm *vm, const char *what, gpa_t gpa)
{
	vm_end(vm, ENDING_CRASH, "%s at 0x%lx, where there is no memory", what, gpa.v);
	return EXIT_ENDED;
}

/*
 * Nothing at gpa that the CPU may use: a device, or a hole. Data at a hole is
 * all ones, as on a bus that nobody drives; code, page tables or an interrupted
 * delivery's stack there are the end.
 */
static enum exit_action handle_memory(struct vm *vm, const struct exit *exit)
{
	if (exit->memory.fetch) {
		return stop_at_hole(vm, "it jumped to code", exit->memory.gpa);
	}
	if (exit->memory.delivery) {
		return stop_at_hole(vm, "it delivered an interrupt with a table or stack",
				    exit->memory.gpa);
	}
	if (exit->memory.page_walk) {
		return stop_at_hole(vm, "its page tables are", exit->memory.gpa);
	}
	return machine_event(vm, access_emulate(vm, exit));
}

static enum exit_action dispatch(struct vm *vm, const struct exit *exit)
{
	switch (exit->reason) {
	case EXIT_NONE:
		return EXIT_RESUME;
	case EXIT_DEADLINE:
		return EXIT_YIELD;
	case EXIT_IRQ_WINDOW:
		vcpu_want_irq_window(vm->vcpu, false);
		vcpu_want_nmi_window(vm->vcpu, false);
		return EXIT_RESUME;
	case EXIT_CPUID:
		return handle_cpuid(vm);
	case EXIT_HLT:
		return handle_hlt(vm);
	case EXIT_HYPERCALL:
		/* KVM's answer for a call that it does not know. */
		vcpu_gpr(vm->vcpu)[GPR_RAX] = (uint64_t)-KVM_ENOSYS;
		return EXIT_ADVANCE;
	case EXIT_IO:
		return exit->io.string ? machine_event(vm, access_emulate_string_io(vm))
				       : handle_io(vm, exit);
	case EXIT_MSR_READ:
		return handle_msr_read(vm);
	case EXIT_MSR_WRITE:
		return handle_msr_write(vm);
	case EXIT_MEMORY:
		return handle_memory(vm, exit);
	case EXIT_CR8:
		return handle_cr8(vm, exit);
	case EXIT_CACHE:
		return EXIT_ADVANCE;
	case EXIT_UNDEFINED:
		return EXIT_INJECT_UD;
	case EXIT_FORBIDDEN:
		return EXIT_INJECT_GP;
	case EXIT_TRIPLE_FAULT:
		vm_end(vm, ENDING_CRASH, "triple fault");
		return EXIT_ENDED;
	case EXIT_FATAL:
	case EXIT_REASON_COUNT:
		break;
	}
	vm_end(vm, ENDING_CRASH, "%s", exit->why);
	return EXIT_ENDED;
}

bool exit_handle(struct vm *vm, struct exit *exit)
{
	switch (dispatch(vm, exit)) {
	case EXIT_RESUME:
		return true;
	case EXIT_ADVANCE:
		vcpu_advance(vm->vcpu, exit->length);
		return true;
	case EXIT_INJECT_UD:
		vcpu_inject_exception(vm->vcpu, VECTOR_UD, false, 0);
		return true;
	case EXIT_INJECT_GP:
		vcpu_inject_exception(vm->vcpu, VECTOR_GP, true, 0);
		return true;
	case EXIT_YIELD:
	case EXIT_ENDED:
		break;
	}
	return false;
}
