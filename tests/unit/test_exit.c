/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest finds after each exit, and the interrupts between them. */
#include "tests/unit/vm_fixture.h"
#include "vmm/devices/lapic.h"

#define IF BIT(9)

static void assert_gp(void)
{
	assert_true(vm->vcpu->events[0].has_error);
	assert_int_equal(vm->vcpu->events[0].error, 0);
	assert_event(VCPU_EVENT_EXCEPTION, 13);
}

/* ---- Exits --------------------------------------------------------------------------- */

/* What needs no more than an advance, or becomes a fault in the guest. */
static void test_simple_exits(void **state)
{
	static const struct {
		enum exit_reason reason;
		unsigned advance;
		uint8_t vector; /* of the exception, 0: none */
	} cases[] = {
		{EXIT_NONE, 0, 0},	{EXIT_DEADLINE, 0, 0},	 {EXIT_IRQ_WINDOW, 0, 0},
		{EXIT_HYPERCALL, 3, 0}, {EXIT_CACHE, 3, 0},	 {EXIT_CPUID, 3, 0},
		{EXIT_UNDEFINED, 0, 6}, {EXIT_FORBIDDEN, 0, 13},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t rip = vm->vcpu->state.rip;

		leave((struct exit){.reason = cases[i].reason, .length = 3});
		assert_int_equal(vm->vcpu->state.rip, rip + cases[i].advance);
		assert_int_equal(vm->exit_count[cases[i].reason] > 0, true);
		if (cases[i].vector == 13) {
			assert_gp();
		} else if (cases[i].vector != 0) {
			assert_false(vm->vcpu->events[0].has_error);
			assert_event(VCPU_EVENT_EXCEPTION, cases[i].vector);
		}
		assert_int_equal(vm->vcpu->event_count, 0);
	}
}

/* Each has a name of its own, for the operator. */
static void test_reason_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EXIT_REASON_COUNT; i++) {
		assert_non_null(exit_reason_name(i));
		for (unsigned j = 0; j < i; j++) {
			assert_string_not_equal(exit_reason_name(i), exit_reason_name(j));
		}
	}
}

static void test_hypercall(void **state)
{
	(void)state;
	leave((struct exit){.reason = EXIT_HYPERCALL, .length = 3});
	assert_int_equal(vcpu_gpr(vm->vcpu)[GPR_RAX], -1000);
}

static struct cpuid ask_cpuid(uint64_t leaf)
{
	uint64_t *gpr = vcpu_gpr(vm->vcpu);

	gpr[GPR_RAX] = UINT64_C(0xffffffff00000000) | leaf;
	gpr[GPR_RCX] = UINT64_C(0xffffffff00000000);
	leave((struct exit){.reason = EXIT_CPUID, .length = 2});
	for (unsigned i = GPR_RAX; i <= GPR_RBX; i++) {
		assert_int_equal(gpr[i] >> 32, 0);
	}
	return (struct cpuid){(uint32_t)gpr[GPR_RAX], (uint32_t)gpr[GPR_RBX],
			      (uint32_t)gpr[GPR_RCX], (uint32_t)gpr[GPR_RDX]};
}

/* The answer follows the guest's state: APIC_BASE.EN and CR4.OSXSAVE. */
static void test_cpuid(void **state)
{
	struct cpuid signature = ask_cpuid(0x40000000), features = ask_cpuid(1);

	(void)state;
	assert_memory_equal(&signature.ebx, "KVMKVMKVM\0\0", 12);
	assert_true(features.edx & BIT(9));
	assert_false(features.ecx & BIT(27));
	vm->vcpu->state.cr4 |= BIT(18);
	assert_int_equal(platform_msr_write(vm->platform, MSR_APIC_BASE, LAPIC | BIT(8)), 0);
	features = ask_cpuid(1);
	assert_false(features.edx & BIT(9));
	assert_true(features.ecx & BIT(27));
}

static void test_ports(void **state)
{
	uint64_t *gpr = vcpu_gpr(vm->vcpu);

	(void)state;
	/* The scratch register of the serial port, then ports that nobody has. */
	out(UART + 7, 1, 0x1234565a);
	gpr[GPR_RAX] = UINT64_MAX - 0xff;
	assert_int_equal(in(UART + 7, 1), 0xffffff5a);
	assert_int_equal(gpr[GPR_RAX], UINT64_MAX - 0xa5);
	gpr[GPR_RAX] = 0;
	assert_int_equal(in(0x80, 2), 0xffff);
	gpr[GPR_RAX] = UINT64_MAX << 32;
	assert_int_equal(in(0x80, 4), UINT32_MAX);
	assert_int_equal(gpr[GPR_RAX], UINT32_MAX);
	assert_int_equal(vm->vcpu->state.rip, ENTRY + 8);
}

static void test_output(void **state)
{
	unsigned kicks = fake.kick_count[0];
	uint64_t position = 0, lost;
	char text[4];

	(void)state;
	out(UART, 1, 'o');
	out(UART, 1, 'k');
	assert_int_equal(output_ring_read(&vm->output, &position, text, sizeof(text), &lost), 2);
	assert_memory_equal(text, "ok", 2);
	assert_int_equal(fake.kick_count[0], kicks + 2);
	step();
	assert_int_equal(fake.kick_count[0], kicks + 2);
}

static void test_input(void **state)
{
	static const char many[4096];
	size_t taken;

	(void)state;
	leave((struct exit){.reason = EXIT_HLT});
	assert_false(vm_is_ready(vm));
	assert_int_equal(vm->console.input(vm, "hi", 2), 2);
	assert_true(vm_is_ready(vm));
	step();
	vm->halted = false;
	assert_int_equal(in(UART, 1) & 0xff, 'h');
	assert_int_equal(in(UART, 1) & 0xff, 'i');
	/* What there is no room for is left to the caller. */
	taken = vm->console.input(vm, many, sizeof(many));
	assert_in_range(taken, 16, sizeof(many) - 1);
	/* Nobody reads what is typed to a guest that is stopped. */
	request(VM_REQUEST_STOP);
	assert_false(vm->console.alive(vm));
	assert_int_equal(vm->console.input(vm, "hi", 2), 2);
}

static void test_msrs(void **state)
{
	uint64_t *gpr = vcpu_gpr(vm->vcpu);
	const struct exit read = {.reason = EXIT_MSR_READ, .length = 2};
	const struct exit write = {.reason = EXIT_MSR_WRITE, .length = 2};

	(void)state;
	gpr[GPR_RCX] = UINT64_MAX << 32 | 0x200; /* IA32_MTRR_PHYSBASE0 */
	gpr[GPR_RAX] = UINT64_C(0xdead000080000006);
	gpr[GPR_RDX] = UINT64_C(0xdead000000000001);
	leave(write);
	gpr[GPR_RAX] = gpr[GPR_RDX] = UINT64_MAX;
	leave(read);
	assert_int_equal(gpr[GPR_RAX], 0x80000006);
	assert_int_equal(gpr[GPR_RDX], 1);
	assert_int_equal(vm->vcpu->state.rip, ENTRY + 4);
	assert_int_equal(vm->vcpu->event_count, 0);
	gpr[GPR_RCX] = 0x12345;
	leave(read);
	assert_gp();
	leave(write);
	assert_gp();
	assert_int_equal(gpr[GPR_RAX], 0x80000006);
	assert_int_equal(vm->vcpu->state.rip, ENTRY + 4);
}

/* INIT to its only CPU would start firmware that it does not have: a new start is it. */
static void test_init_to_itself(void **state)
{
	uint64_t *gpr = vcpu_gpr(vm->vcpu);
	uint64_t base;

	(void)state;
	assert_int_equal(platform_msr_read(vm->platform, 0x1b, &base), 0);
	assert_int_equal(platform_msr_write(vm->platform, 0x1b, base | BIT(10)), 0);
	gpr[GPR_RCX] = 0x830;
	gpr[GPR_RAX] = 0x4500; /* INIT, asserted, to the APIC ID in the high half: 0 */
	gpr[GPR_RDX] = 0;
	leave((struct exit){.reason = EXIT_MSR_WRITE, .length = 2});
	assert_int_equal(vm->state, VM_STOPPED);
	assert_string_equal(vm->ending, "INIT to its only CPU");
}

static void move_cr8(enum gpr gpr, bool write)
{
	leave((struct exit){
		.reason = EXIT_CR8, .length = 3, .cr8 = {.gpr = (uint8_t)gpr, .write = write}});
}

static void test_cr8(void **state)
{
	uint64_t *gpr = vcpu_gpr(vm->vcpu), value;

	(void)state;
	gpr[GPR_R9] = 5;
	move_cr8(GPR_R9, true);
	assert_true(platform_mmio_read(vm->platform, GPA(LAPIC + 0x80), 4, &value));
	assert_int_equal(value, 0x50);
	move_cr8(GPR_RDI, false);
	assert_int_equal(gpr[GPR_RDI], 5);
	vcpu_set_rsp(vm->vcpu, 7);
	move_cr8(GPR_RSP, true);
	vcpu_set_rsp(vm->vcpu, 0);
	move_cr8(GPR_RSP, false);
	assert_int_equal(vcpu_get_rsp(vm->vcpu), 7);
	assert_int_equal(vm->vcpu->state.rip, ENTRY + 12);
	gpr[GPR_R9] = 16;
	move_cr8(GPR_R9, true);
	assert_gp();
	assert_int_equal(vm->vcpu->state.rip, ENTRY + 12);
}

/* ---- Interrupts --------------------------------------------------------------------------- */

static const struct exit hlt = {.reason = EXIT_HLT, .length = 1};

static void test_halt_until_timer(void **state)
{
	uint64_t now = fake.now_ns;
	unsigned runs;

	(void)state;
	arm_timer(50 * MS);
	vm->vcpu->state.rflags |= IF;
	leave(hlt);
	assert_int_equal(vm->vcpu->state.rip, ENTRY + 1);
	assert_false(vm_is_ready(vm));
	assert_int_equal(vm_deadline_ns(vm), now + 50 * MS);
	runs = vm->vcpu->run_count;
	step(); /* too early: it sleeps on */
	assert_int_equal(vm->vcpu->run_count, runs);
	fake.now_ns = now + 50 * MS;
	assert_true(vm_is_ready(vm));
	step();
	assert_event(VCPU_EVENT_INTERRUPT, TIMER_VECTOR);
	assert_int_equal(vm->vcpu->run_count, runs + 1);
	assert_int_equal(vm_deadline_ns(vm), TIME_NEVER);
}

static void let_interrupts_in(struct vcpu *vcpu)
{
	vcpu->state.rflags |= IF;
}

/* With interrupts off it waits for the window, and HLT for ever. */
static void test_interrupt_window(void **state)
{
	(void)state;
	arm_timer(MS / 2);
	step();
	step();
	assert_int_equal(vm->vcpu->event_count, 0);
	assert_true(vm->vcpu->want_irq_window);
	fake_vcpu_script(vm->vcpu, (struct fake_exit){.exit = {.reason = EXIT_IRQ_WINDOW},
						      .guest = let_interrupts_in});
	step();
	assert_false(vm->vcpu->want_irq_window);
	assert_event(VCPU_EVENT_INTERRUPT, TIMER_VECTOR);
}

static void test_halt_with_interrupts_off(void **state)
{
	(void)state;
	arm_timer(MS / 2);
	leave(hlt);
	fake.now_ns += MS;
	step();
	assert_int_equal(vm->vcpu->event_count, 0);
	assert_true(vm->halted);
	assert_false(vm_is_ready(vm));
}

/* One that is blocked waits for its window, and does not end a HLT. */
static void test_nmi(void **state)
{
	(void)state;
	vm->vcpu->state.interruptibility = BIT(3); /* by the NMI before */
	vm_request(vm, VM_REQUEST_NMI);
	leave(hlt);
	assert_true(vm->halted);
	assert_true(vm->vcpu->want_nmi_window);
	assert_int_equal(vm->vcpu->event_count, 0);
	vm->vcpu->state.interruptibility = 0;
	step();
	assert_event(VCPU_EVENT_NMI, 2);
	assert_false(vm->halted);
	leave((struct exit){.reason = EXIT_IRQ_WINDOW});
	assert_false(vm->vcpu->want_nmi_window);
	assert_int_equal(vm->vcpu->event_count, 0);
}

/* A guest's next timer bounds its turn, and the turn bounds its run. */
static void test_deadlines(void **state)
{
	uint64_t now = fake.now_ns;

	(void)state;
	arm_timer(MS * 4);
	step();
	assert_int_equal(vm->vcpu->deadline_ns, now + MS);
	now = fake.now_ns;
	arm_timer(MS / 4);
	step();
	assert_int_equal(vm->vcpu->deadline_ns, now + MS / 4);
	vm->vcpu->state.rflags |= IF;
	step();
	assert_int_equal(vm->vcpu->deadline_ns, now + MS / 4 + MS);
}

/* ---- Memory without RAM ---------------------------------------------------------------------- */

/* The guest's next instruction, and an exit at `gpa` while it executes. */
static void touch(const char *code, size_t size, uint64_t gpa)
{
	vm->vcpu->state.rip = ENTRY;
	assert_int_equal(memory_write(&vm->memory, GPA(ENTRY), code, size), 0);
	leave((struct exit){
		.reason = EXIT_MEMORY,
		.memory = {.gpa = GPA(gpa), .linear = gpa, .linear_valid = true, .read = true}});
}

#define MOV_EAX_FROM_EBX "\x8b\x03"
#define MOV_EBX_FROM_EAX "\x89\x03"
#define CMP_EAX_WITH_EBX "\x3b\x03"
#define MOV_ESP_FROM_EBX "\x8b\x23"
#define MOV_EAX_FROM_ESP "\x8b\x04\x24"
#define MOVSD "\xa5"
#define OUTSB "\x6e"

static void test_device_memory(void **state)
{
	uint64_t *gpr = vcpu_gpr(vm->vcpu);

	(void)state;
	gpr[GPR_RBX] = LAPIC + 0x30;
	touch(MOV_EAX_FROM_EBX, 2, LAPIC + 0x30);
	assert_int_equal(gpr[GPR_RAX] & 0xff, 0x14); /* version of an integrated APIC */
	assert_int_equal(vm->vcpu->state.rip, ENTRY + 2);
	assert_int_equal(vm->hole_count, 0);
}

/* Instructions that use more than general registers: flags, the stack pointer. */
static void test_device_operands(void **state)
{
	uint64_t *gpr = vcpu_gpr(vm->vcpu);
	uint64_t version;

	(void)state;
	gpr[GPR_RBX] = LAPIC + 0x30;
	touch(MOV_ESP_FROM_EBX, 2, LAPIC + 0x30);
	version = vcpu_get_rsp(vm->vcpu);
	assert_int_equal(version & 0xff, 0x14);
	gpr[GPR_RAX] = version;
	touch(CMP_EAX_WITH_EBX, 2, LAPIC + 0x30);
	assert_true(vm->vcpu->state.rflags & BIT(6)); /* ZF */
	vcpu_set_rsp(vm->vcpu, LAPIC + 0x30);
	gpr[GPR_RAX] = 0;
	touch(MOV_EAX_FROM_ESP, 3, LAPIC + 0x30);
	assert_int_equal(gpr[GPR_RAX], version);
}

static void test_hole(void **state)
{
	uint64_t *gpr = vcpu_gpr(vm->vcpu);

	(void)state;
	gpr[GPR_RBX] = MACHINE_PCI_WINDOW_BASE;
	touch(MOV_EAX_FROM_EBX, 2, MACHINE_PCI_WINDOW_BASE);
	assert_int_equal(gpr[GPR_RAX], UINT32_MAX);
	assert_true(vm->hole_reported);
	touch(MOV_EBX_FROM_EAX, 2, MACHINE_PCI_WINDOW_BASE);
	assert_int_equal(vm->hole_count, 2);
	assert_int_equal(vm->vcpu->state.rip, ENTRY + 2);
	assert_int_equal(vm->state, VM_RUNNING);
	request(VM_REQUEST_RESET);
	assert_int_equal(vm->hole_count, 0);
	assert_false(vm->hole_reported);
}

/* From a device to a page that is not there: the guest's own page fault. */
static void test_fault_in_emulation(void **state)
{
	static const uint32_t code_page = 0x83, device_page = 0xfec00083;
	struct vcpu_state *s = &vm->vcpu->state;

	(void)state;
	assert_int_equal(memory_write(&vm->memory, GPA(0x1000), &code_page, 4), 0);
	assert_int_equal(memory_write(&vm->memory, GPA(0x1000 + 4 * 0x3fb), &device_page, 4), 0);
	s->cr0 |= BIT(31);
	s->cr3 = 0x1000;
	s->cr4 |= BIT(4); /* PSE */
	s->gpr[GPR_RSI] = LAPIC + 0x30;
	s->gpr[GPR_RDI] = 0x800000;
	touch(MOVSD, 1, LAPIC + 0x30);
	assert_int_equal(vm->vcpu->events[0].error, 2);
	assert_event(VCPU_EVENT_EXCEPTION, 14);
	assert_int_equal(s->cr2, 0x800000);
	assert_int_equal(s->rip, ENTRY);
}

static void test_string_output(void **state)
{
	uint64_t end = output_ring_end(&vm->output);

	(void)state;
	assert_int_equal(memory_write(&vm->memory, GPA(ENTRY), OUTSB, 1), 0);
	vcpu_gpr(vm->vcpu)[GPR_RSI] = ENTRY;
	vcpu_gpr(vm->vcpu)[GPR_RDX] = UART;
	leave((struct exit){.reason = EXIT_IO, .io = {.port = UART, .size = 1, .string = true}});
	assert_int_equal(output_ring_end(&vm->output), end + 1);
	assert_int_equal(vm->vcpu->state.rip, ENTRY + 1);
}

/* Many at once come in several goes, the guest's interrupts between them. */
static void test_string_input(void **state)
{
	static const char rep_insb[] = "\xf3\x6c";
	const struct exit insb = {.reason = EXIT_IO,
				  .io = {.port = 0x80, .size = 1, .in = true, .string = true}};
	uint64_t *gpr = vcpu_gpr(vm->vcpu);
	uint8_t bytes[302];

	(void)state;
	assert_int_equal(memory_write(&vm->memory, GPA(ENTRY), rep_insb, 2), 0);
	gpr[GPR_RCX] = 300;
	gpr[GPR_RDX] = 0x80;
	gpr[GPR_RDI] = 0x2001;
	leave(insb);
	assert_in_range(gpr[GPR_RCX], 1, 299);
	assert_int_equal(vm->vcpu->state.rip, ENTRY);
	leave(insb);
	assert_int_equal(gpr[GPR_RCX], 0);
	assert_int_equal(vm->vcpu->state.rip, ENTRY + 2);
	assert_int_equal(memory_read(&vm->memory, GPA(0x2000), bytes, sizeof(bytes)), 0);
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(bytes[i], i == 0 || i == 301 ? 0 : 0xff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUNNING_TEST(test_simple_exits),
		RUNNING_TEST(test_reason_names),
		RUNNING_TEST(test_hypercall),
		RUNNING_TEST(test_cpuid),
		RUNNING_TEST(test_ports),
		RUNNING_TEST(test_output),
		RUNNING_TEST(test_input),
		RUNNING_TEST(test_msrs),
		RUNNING_TEST(test_init_to_itself),
		RUNNING_TEST(test_cr8),
		RUNNING_TEST(test_halt_until_timer),
		RUNNING_TEST(test_interrupt_window),
		RUNNING_TEST(test_halt_with_interrupts_off),
		RUNNING_TEST(test_nmi),
		RUNNING_TEST(test_deadlines),
		RUNNING_TEST(test_device_memory),
		RUNNING_TEST(test_device_operands),
		RUNNING_TEST(test_hole),
		RUNNING_TEST(test_fault_in_emulation),
		RUNNING_TEST(test_string_output),
		RUNNING_TEST(test_string_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
