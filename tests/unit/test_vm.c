/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a guest: starts, ends, pauses, and what an operator asks for.
 * After each the page pool is as it was before.
 */
#include "base/log.h"
#include "tests/unit/vm_fixture.h"
#include "vmm/devices/lapic.h"

#define MEMORY_OF_TWO_SLICES (20 * MIB)

/* ---- Before the first start ------------------------------------------------------ */

static void test_lists(void **state)
{
	(void)state;
	assert_int_equal(vm_count(), 2);
	assert_ptr_equal(vm_find("db"), vm_at(1));
	assert_null(vm_find("d"));
	assert_null(vm_at(2));
	assert_string_equal(vm_state_name(VM_STOPPED), "stopped");
	assert_string_equal(vm_state_name(VM_PAUSED), "paused");
	assert_int_equal(vm_overhead(vm), VM_OUTPUT_SIZE + platform_size());
	assert_false(vm_is_ready(vm));
	assert_int_equal(vm_deadline_ns(vm), TIME_NEVER);
}

/* Guests go round the CPUs, the service CPU excepted where there are others. */
static void test_placement(void **state)
{
	static const unsigned cpus[][2] = {{1, 0}, {1, 0}, {2, 1}, {3, 1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
		fake.cpu_count = cpus[i][0];
		make_guests();
		assert_int_equal(vm_at(0)->cpu, cpus[i][1]);
	}
	assert_int_equal(vm_at(1)->cpu, 2);
}

static void test_automatic_start(void **state)
{
	(void)state;
	config.guests[0].start = true;
	fake.virt_missing[0] = "VT-x is off";
	make_guests();
	assert_false(vm_is_ready(vm));
	fake.virt_missing[0] = NULL;
	make_guests();
	assert_true(vm_is_ready(vm));
	assert_true(vm->console.alive(vm));
	assert_false(vm_is_ready(vm_at(1)));
	step();
	assert_int_equal(vm->state, VM_RUNNING);
	request(VM_REQUEST_STOP);
	/* One with mistakes is listed with what it lacks. */
	config.guests[0].valid = false;
	make_guests();
	assert_false(vm_is_ready(vm));
	assert_ending("dyad.conf:7: its section has mistakes");
}

/* ---- Starts ------------------------------------------------------------------------ */

static void test_start(void **state)
{
	uint8_t code;

	(void)state;
	request(VM_REQUEST_START);
	assert_int_equal(vm->state, VM_RUNNING);
	assert_int_equal(vm->start_count, 1);
	assert_string_equal(vm->ending, "");
	assert_true(vm_is_ready(vm));
	assert_true(vm->console.alive(vm));
	assert_int_equal(vm->vcpu->state.rip, ENTRY);
	assert_int_equal(vm->vcpu->s2_root.v, vm->memory.tree.root.v);
	assert_int_equal(vm->vcpu->generation, vm->memory.tree.generation);
	assert_int_equal(memory_read(&vm->memory, GPA(ENTRY), &code, 1), 0);
	assert_int_equal(code, 0xf4);
	assert_int_equal(vm_overhead(vm), VM_OUTPUT_SIZE + platform_size() + vcpu_size() +
						  vm->memory.tree.table_count * PAGE_SIZE);
	assert_true(vm_overhead(vm) < MIB);
}

static void test_start_in_slices(void **state)
{
	(void)state;
	config.guests[0].memory = MEMORY_OF_TWO_SLICES;
	request(VM_REQUEST_START);
	assert_int_equal(vm->state, VM_STARTING);
	assert_int_equal(vm->memory.populated, 16 * MIB);
	assert_true(vm_is_ready(vm));
	assert_null(vm->vcpu);
	step();
	assert_int_equal(vm->state, VM_RUNNING);
}

/* Time is 0 at the first instruction, however long the load took. */
static void test_time_starts_at_zero(void **state)
{
	(void)state;
	fake.clock_step_ns = 1000;
	vm_request(vm, VM_REQUEST_START);
	vm_step(vm, fake.now_ns);
	fake.clock_step_ns = 0;
	assert_in_range(vm_guest_now_ns(vm), 0, 2 * 1000);
	assert_int_equal(ns_to_tsc(fake.now_ns) + vm->vcpu->tsc_offset,
			 ns_to_tsc(vm_guest_now_ns(vm)));
	assert_int_equal(vm->wall_clock_s, FAKE_WALL_CLOCK_START_S + 1);
}

static void invalid_section(struct config_guest *guest)
{
	guest->valid = false;
}

static void no_kernel(struct config_guest *guest)
{
	strcpy(guest->kernel, "nothing");
}

static void unread_kernel(struct config_guest *guest)
{
	strcpy(guest->kernel, "unread");
}

static void no_initrd(struct config_guest *guest)
{
	strcpy(guest->initrd, "initrd.gz");
}

static void no_module(struct config_guest *guest)
{
	guest->module_count = 1;
	strcpy(guest->modules[0], "module with arguments");
}

static void too_large(struct config_guest *guest)
{
	guest->memory = 2 * POOL_SIZE;
}

/* The pages are there, but not those of the tables. */
static void just_too_large(struct config_guest *guest)
{
	guest->memory = page_free_count() * PAGE_SIZE;
}

static void lies(struct config_guest *guest)
{
	strcpy(guest->kernel, "liar");
}

static void missing_features(struct config_guest *guest)
{
	guest->cpu = CPU_POLICY_X86_64_V3;
}

static void no_virtualisation(struct config_guest *guest)
{
	(void)guest;
	fake.virt_missing[0] = "VT-x is off";
}

static const struct {
	void (*spoil)(struct config_guest *guest);
	const char *words;
} refusals[] = {
	{invalid_section, "dyad.conf:7: its section has mistakes"},
	{no_kernel, "dyad.conf:7: \\dyad\\nothing was not found"},
	{unread_kernel, "\\dyad\\unread was not found or not readable"},
	{no_initrd, "\\dyad\\initrd.gz was not found"},
	{no_module, "\\dyad\\module was not found"},
	{too_large, "dyad.conf:7: it needs 64 MiB of memory; allowed: what is free, 31 MiB"},
	{just_too_large, "memory ran out after"},
	{lies, "not inside the guest's 4 MiB"},
	{missing_features, "the host's CPU lacks: sse3"},
	{no_virtualisation, "VT-x is off"},
};

static void test_refused_starts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		char name[CONFIG_NAME_MAX] = "web";

		refusals[i].spoil(&config.guests[0]);
		request(VM_REQUEST_START);
		for (unsigned steps = 0; vm->state == VM_STARTING; steps++) {
			assert_true(steps < 8);
			step();
		}
		assert_nothing_leaked();
		assert_ending(refusals[i].words);
		assert_int_equal(vm->start_count, 0);
		assert_false(vm_is_ready(vm));
		config.guests[0] = guest_default;
		strcpy(config.guests[0].name, name);
		fake.virt_missing[0] = NULL;
	}
	start();
}

/* Free pages are a linked list in themselves while the test holds them. */
static hpa_t hogged = {UINT64_MAX};

static hpa_t *next_of(hpa_t hpa)
{
	return hpa_to_virt(hpa);
}

static void hog_all_but(uint64_t count)
{
	while (page_free_count() > count) {
		hpa_t hpa = page_alloc(0);

		*next_of(hpa) = hogged;
		hogged = hpa;
	}
}

/* Every second page, so that no two are neighbours. */
static void release_scattered(uint64_t count)
{
	for (hpa_t *link = &hogged; page_free_count() < count;) {
		hpa_t hpa = *link;

		if (hpa.v / PAGE_SIZE % 2) {
			*link = *next_of(hpa);
			page_free(hpa, 0);
		} else {
			link = next_of(hpa);
		}
	}
}

static void release_all(void)
{
	while (!hpa_is_none(hogged)) {
		hpa_t hpa = hogged;

		hogged = *next_of(hpa);
		page_free(hpa, 0);
	}
}

/*
 * With each number of free pages, in large pieces and in small ones: it starts,
 * or is refused and has taken nothing.
 */
static void test_every_shortage(void **state)
{
	/* A tree of 2 MiB pages has three tables, one of 4 KiB pages has two more. */
	static const uint64_t tables[] = {3, 5};

	(void)state;
	for (unsigned scattered = 0; scattered < 2; scattered++) {
		for (unsigned spare = 0; spare < 8; spare++) {
			uint64_t count = MEMORY_SIZE / PAGE_SIZE + spare;
			bool starts = spare >= tables[scattered];

			hog_all_but(scattered ? 0 : count);
			release_scattered(count);
			request(VM_REQUEST_START);
			assert_int_equal(vm->state, starts ? VM_RUNNING : VM_STOPPED);
			assert_ending(starts ? "" : "memory ran out after");
			request(VM_REQUEST_STOP);
			release_all();
			assert_nothing_leaked();
		}
	}
}

/* ---- Ends --------------------------------------------------------------------------------- */

#define OUT(p, s)                                                \
	{                                                        \
		.reason = EXIT_IO, .io = {.port = p, .size = s } \
	}
#define OUTS(p)                                                                  \
	{                                                                        \
		.reason = EXIT_IO, .io = {.port = p, .size = 1, .string = true } \
	}
#define HOLE(address, ...)                                                        \
	{                                                                         \
		.reason = EXIT_MEMORY, .memory = {.gpa = {address}, __VA_ARGS__ } \
	}

enum kind { POWEROFF, REBOOT, CRASH };

/* The image has HLT at its entry, which has no operand in memory. */
static const struct ending {
	enum kind kind;
	const char *words;
	uint32_t rax;
	struct exit exit;
} endings[] = {
	{POWEROFF, "power off", 0x3400, OUT(MACHINE_PORT_PM1_CONTROL, 2)},
	{POWEROFF, "exit code 0", 0, OUT(MACHINE_PORT_DEBUG_EXIT, 1)},
	{REBOOT, "reboot", 0x06, OUT(MACHINE_PORT_RESET, 1)},
	{REBOOT, "reboot", 0xfe, OUT(MACHINE_PORT_I8042_COMMAND, 1)},
	{REBOOT, "reboot", 0x01, OUT(MACHINE_PORT_SYSTEM_A, 1)},
	{CRASH, "exit code 7", 0x107, OUT(MACHINE_PORT_DEBUG_EXIT, 1)},
	{CRASH, "exit code 1000000", 1000000, OUT(MACHINE_PORT_DEBUG_EXIT, 4)},
	{CRASH, "triple fault", 0, {.reason = EXIT_TRIPLE_FAULT}},
	{CRASH, "VM entry failed", 0, {.reason = EXIT_FATAL, .why = "VM entry failed"}},
	{CRASH, "jumped to code at 0xd0000000", 0, HOLE(0xd0000000, .fetch = true)},
	{CRASH, "page tables are at 0xd0001000", 0, HOLE(0xd0001000, .page_walk = true)},
	{CRASH, "table or stack at 0xd0002000", 0, HOLE(0xd0002000, .delivery = true)},
	{CRASH, "unknown instruction on device memory at RIP 0x100000: f4", 0,
	 HOLE(0xd0003000, .read = true)},
	{CRASH, "unknown instruction", 0, OUTS(UART)},
};

static void end_by(const struct ending *ending)
{
	start();
	vcpu_gpr(vm->vcpu)[GPR_RAX] = ending->rax;
	fake_vcpu_script(vm->vcpu, (struct fake_exit){.exit = ending->exit});
	vm_step(vm, fake.now_ns + MS);
	assert_ending(ending->words);
}

/* Each way to end does what the configuration says of its kind, and only of it. */
static void test_endings(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(endings); i++) {
		const struct ending *ending = &endings[i / 2];
		bool restarts = i % 2;
		struct config_guest *guest = &config.guests[0];

		guest->on_poweroff = (ending->kind == POWEROFF) == restarts;
		guest->on_reboot = (ending->kind == REBOOT) == restarts;
		guest->on_crash = (ending->kind == CRASH) == restarts;
		end_by(ending);
		assert_int_equal(vm->crash_count, ending->kind == CRASH);
		if (restarts) {
			assert_int_equal(vm->state, VM_STARTING);
			step();
			assert_int_equal(vm->state, VM_RUNNING);
			request(VM_REQUEST_STOP);
		}
		assert_nothing_leaked();
	}
}

/* INIT to itself, by the interrupt command register of either APIC mode. */
static void test_init(void **state)
{
	static const char mov_to_ebx[] = "\x89\x03";
	uint64_t *gpr;

	(void)state;
	start();
	gpr = vcpu_gpr(vm->vcpu);
	gpr[GPR_RAX] = 0x4500;
	gpr[GPR_RBX] = LAPIC + 0x300;
	assert_int_equal(memory_write(&vm->memory, GPA(ENTRY), mov_to_ebx, 2), 0);
	leave((struct exit)HOLE(LAPIC + 0x300, .write = true));
	assert_nothing_leaked();
	assert_ending("INIT to its only CPU");
	start();
	gpr = vcpu_gpr(vm->vcpu);
	assert_int_equal(platform_msr_write(vm->platform, MSR_APIC_BASE, LAPIC | 0xd00), 0);
	gpr[GPR_RCX] = 0x830;
	gpr[GPR_RAX] = 0x4500;
	gpr[GPR_RDX] = 0;
	leave((struct exit){.reason = EXIT_MSR_WRITE});
	assert_nothing_leaked();
	assert_ending("INIT to its only CPU");
}

/* True when a line since `sequence` has these words. */
static bool log_has(uint64_t sequence, const char *words)
{
	struct log_line line;

	while (log_read(&sequence, &line)) {
		if (strstr(line.text, words) != NULL) {
			return true;
		}
		sequence = line.sequence + 1;
	}
	return false;
}

static void test_crash_limit(void **state)
{
	(void)state;
	config.guests[0].on_crash = ACTION_RESTART;
	for (unsigned round = 0; round < 2; round++) {
		start(); /* by the operator: counts anew */
		for (unsigned i = 1; i <= VM_CRASH_RESTARTS_MAX + 1; i++) {
			uint64_t log = log_next();

			leave((struct exit){.reason = EXIT_TRIPLE_FAULT});
			assert_int_equal(vm->crash_count, i);
			assert_int_equal(log_has(log, "restarting"), i <= VM_CRASH_RESTARTS_MAX);
			assert_int_equal(log_has(log, "crashed 4 times, left stopped"),
					 i > VM_CRASH_RESTARTS_MAX);
			assert_int_equal(vm->state,
					 i <= VM_CRASH_RESTARTS_MAX ? VM_STARTING : VM_STOPPED);
			step();
		}
		assert_int_equal(vm->start_count, (round + 1) * (1 + VM_CRASH_RESTARTS_MAX));
		assert_nothing_leaked();
	}
}

/* A restart that finds no memory leaves the guest stopped, and says why. */
static void test_restart_without_memory(void **state)
{
	(void)state;
	config.guests[0].on_reboot = ACTION_RESTART;
	start();
	config.guests[0].memory = 2 * POOL_SIZE;
	out(MACHINE_PORT_RESET, 1, 6);
	assert_nothing_leaked();
	assert_ending("it needs 64 MiB");
}

/* ---- The operator ---------------------------------------------------------------------------- */

static void bring_to(enum vm_state target)
{
	config.guests[0].memory = MEMORY_OF_TWO_SLICES;
	if (target != VM_STOPPED) {
		request(VM_REQUEST_START);
	}
	if (target > VM_STARTING) {
		step();
	}
	if (target == VM_PAUSED) {
		request(VM_REQUEST_PAUSE);
	}
	assert_int_equal(vm->state, target);
}

static void test_every_request_in_every_state(void **state)
{
	enum { O = VM_STOPPED, S = VM_STARTING, R = VM_RUNNING, P = VM_PAUSED };
	/* A turn takes a guest from its first slice of memory to the second. */
	static const uint8_t after[4][6] = {
		/*	 START STOP RESET PAUSE RESUME INPUT */
		[O] = {S, O, S, O, O, O},
		[S] = {R, O, S, R, R, R},
		[R] = {R, O, S, P, R, R},
		[P] = {P, O, S, P, R, P},
	};

	(void)state;
	for (unsigned from = O; from <= P; from++) {
		for (unsigned bit = 0; bit < 6; bit++) {
			bring_to(from);
			request(BIT(bit));
			if (vm->state != after[from][bit]) {
				fail_msg("request %u: from %s to %s", bit, vm_state_name(from),
					 vm_state_name(vm->state));
			}
			assert_int_equal(vm->requests, 0);
			request(VM_REQUEST_STOP);
			assert_nothing_leaked();
		}
	}
}

static void test_reset(void **state)
{
	struct vcpu *old = vm->vcpu;

	(void)state;
	config.guests[0].memory = MEMORY_OF_TWO_SLICES;
	old->state.rip = 0;
	request(VM_REQUEST_RESET);
	assert_int_equal(vm->state, VM_STARTING);
	assert_ending("reset by the operator");
	/* Half-way again: its memory is thrown away and begun anew. */
	request(VM_REQUEST_RESET);
	assert_int_equal(vm->state, VM_STARTING);
	assert_int_equal(vm->memory.populated, 16 * MIB);
	step();
	assert_int_equal(vm->vcpu->state.rip, ENTRY);
	assert_int_equal(vm->start_count, 2);
	assert_string_equal(vm->ending, "");
}

/* Several requests before the guest's CPU looks: what was said last is done. */
static void test_the_last_request_counts(void **state)
{
	(void)state;
	vm_request(vm, VM_REQUEST_RESET);
	vm_request(vm, VM_REQUEST_STOP);
	step();
	assert_int_equal(vm->state, VM_STOPPED);
	assert_ending("stopped by the operator");

	start();
	vm_request(vm, VM_REQUEST_STOP);
	vm_request(vm, VM_REQUEST_RESET);
	step();
	assert_int_not_equal(vm->state, VM_STOPPED);
	while (vm->state == VM_STARTING) {
		step();
	}
	vm_request(vm, VM_REQUEST_PAUSE);
	vm_request(vm, VM_REQUEST_RESUME);
	step();
	assert_int_equal(vm->state, VM_RUNNING);
	vm_request(vm, VM_REQUEST_RESUME);
	vm_request(vm, VM_REQUEST_PAUSE);
	step();
	assert_int_equal(vm->state, VM_PAUSED);
}

static void test_stop_while_starting(void **state)
{
	(void)state;
	bring_to(VM_STARTING);
	request(VM_REQUEST_STOP);
	assert_ending("stopped by the operator");
	assert_nothing_leaked();
	assert_int_equal(vm->start_count, 0);
}

/* Guest time stands still, with what is left of its timers. */
static void test_pause(void **state)
{
	uint64_t guest_now, runs;

	(void)state;
	arm_timer(10 * MS);
	guest_now = vm_guest_now_ns(vm);
	request(VM_REQUEST_PAUSE);
	runs = vm->vcpu->run_count;
	assert_int_equal(vm->vcpu->park_count, 1);
	fake.now_ns += 5000 * MS;
	assert_int_equal(vm_guest_now_ns(vm), guest_now);
	assert_false(vm_is_ready(vm));
	assert_int_equal(vm_deadline_ns(vm), TIME_NEVER);
	step();
	assert_int_equal(vm->vcpu->run_count, runs);
	vm_request(vm, VM_REQUEST_RESUME);
	vm_step(vm, fake.now_ns);
	assert_int_equal(vm_guest_now_ns(vm), guest_now);
	assert_int_equal(ns_to_tsc(fake.now_ns) + vm->vcpu->tsc_offset, ns_to_tsc(guest_now));
	assert_int_equal(vm_deadline_ns(vm), fake.now_ns + 10 * MS);
	assert_true(vm_is_ready(vm));
}

static void test_fifty_rounds(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		start();
		out(UART, 1, 'x');
		request(VM_REQUEST_STOP);
		assert_nothing_leaked();
	}
	assert_int_equal(vm->start_count, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_lists),
		VM_TEST(test_placement),
		VM_TEST(test_automatic_start),
		VM_TEST(test_start),
		VM_TEST(test_start_in_slices),
		VM_TEST(test_time_starts_at_zero),
		VM_TEST(test_refused_starts),
		VM_TEST(test_every_shortage),
		VM_TEST(test_endings),
		VM_TEST(test_init),
		VM_TEST(test_crash_limit),
		VM_TEST(test_restart_without_memory),
		VM_TEST(test_every_request_in_every_state),
		RUNNING_TEST(test_reset),
		VM_TEST(test_stop_while_starting),
		RUNNING_TEST(test_the_last_request_counts),
		RUNNING_TEST(test_pause),
		VM_TEST(test_fifty_rounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
