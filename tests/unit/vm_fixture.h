/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests to test their life with: two of a configuration, of which `vm` is the
 * first, a kernel that is one HLT, and a CPU whose exits are written down.
 */
#ifndef TESTS_UNIT_VM_FIXTURE_H
#define TESTS_UNIT_VM_FIXTURE_H

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/page.h"
#include "tests/fake_arch/fake_arch.h"
#include "vmm/exit.h"
#include "vmm/machine.h"

#define POOL_SIZE (32 * MIB)
#define MEMORY_SIZE (4 * MIB)
#define ENTRY UINT64_C(0x100000)
#define MS UINT64_C(1000000)

#define UART MACHINE_PORT_UART
#define LAPIC MACHINE_LAPIC_BASE
#define TIMER_VECTOR 0x40

/* The smallest PVH kernel: its memory at ENTRY is a page of its own file. */
struct image {
	Elf64_Ehdr header;
	Elf64_Phdr load, note;
	struct {
		Elf64_Nhdr header;
		char name[4];
		uint32_t entry;
	} xen;
	uint8_t code[16];
};

static const struct image good_image = {
	.header =
		{
			.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
			.e_machine = EM_X86_64,
			.e_phoff = offsetof(struct image, load),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 2,
		},
	.load =
		{
			.p_type = PT_LOAD,
			.p_offset = offsetof(struct image, code),
			.p_paddr = ENTRY,
			.p_filesz = 16,
			.p_memsz = PAGE_SIZE,
		},
	.note =
		{
			.p_type = PT_NOTE,
			.p_offset = offsetof(struct image, xen),
			.p_filesz = 20,
			.p_align = 4,
		},
	.xen = {{.n_namesz = 4, .n_descsz = 4, .n_type = 18}, "Xen", ENTRY},
	.code = {0xf4},
};

static struct image lying_image;
static struct config config;

static const struct vm_image images[] = {
	{.name = "kernel", .data = &good_image, .size = sizeof(good_image)},
	{.name = "liar", .data = &lying_image, .size = sizeof(lying_image)},
	{.name = "unread", .error = -EIO},
};

static struct vm *vm;
static uint64_t pool_before;

static const struct config_guest guest_default = {
	.line = 7,
	.valid = true,
	.kernel = "kernel",
	.memory = MEMORY_SIZE,
	.cpu = CPU_POLICY_HOST,
};

/* The features that every x86-64 CPU has. */
static inline void set_host_cpu(void)
{
	fake_cpuid_set(0, 0, (struct cpuid){.eax = 1});
	fake_cpuid_set(1, 0, (struct cpuid){.edx = UINT32_MAX});
	fake_cpuid_set(0x80000000, 0, (struct cpuid){.eax = 0x80000001});
	fake_cpuid_set(0x80000001, 0, (struct cpuid){.edx = UINT32_MAX});
}

static inline void make_guests(void)
{
	vm_init(&config, images, ARRAY_SIZE(images));
	vm = vm_at(0);
	pool_before = page_free_count();
}

static inline int setup(void **state)
{
	(void)state;
	fake_arch_reset(POOL_SIZE);
	set_host_cpu();
	lying_image = good_image;
	lying_image.load.p_memsz = GIB;
	config = (struct config){.guest_count = 2};
	for (unsigned i = 0; i < 2; i++) {
		config.guests[i] = guest_default;
		strcpy(config.guests[i].name, i == 0 ? "web" : "db");
	}
	make_guests();
	return 0;
}

/* A turn of a millisecond. */
static inline void step(void)
{
	vm_step(vm, fake.now_ns + MS);
}

static inline void request(uint64_t bit)
{
	vm_request(vm, bit);
	step();
}

/* What the guest had is back in the pool. */
static inline void assert_nothing_leaked(void)
{
	assert_int_equal(vm->state, VM_STOPPED);
	assert_int_equal(page_free_count(), pool_before);
	for (unsigned i = 0; i < fake.vcpu_count; i++) {
		assert_null(fake.vcpus[i]);
	}
}

static inline int teardown(void **state)
{
	(void)state;
	request(VM_REQUEST_STOP);
	assert_nothing_leaked();
	for (unsigned i = 0; i < vm_count(); i++) {
		memset(vm_at(i), 0, sizeof(*vm));
	}
	return 0;
}

static inline void start(void)
{
	request(VM_REQUEST_START);
	while (vm->state == VM_STARTING) {
		step();
	}
	assert_int_equal(vm->state, VM_RUNNING);
}

static inline int setup_running(void **state)
{
	setup(state);
	start();
	return 0;
}

/* The guest leaves for this reason, then runs until the turn is over. */
static inline void leave(struct exit exit)
{
	fake_vcpu_script(vm->vcpu, (struct fake_exit){.exit = exit});
	step();
}

static inline void out(uint16_t port, unsigned size, uint32_t value)
{
	vcpu_gpr(vm->vcpu)[GPR_RAX] = value;
	leave((struct exit){.reason = EXIT_IO, .length = 2, .io = {.port = port, .size = size}});
}

static inline uint32_t in(uint16_t port, unsigned size)
{
	leave((struct exit){
		.reason = EXIT_IO, .length = 2, .io = {.port = port, .size = size, .in = true}});
	return (uint32_t)vcpu_gpr(vm->vcpu)[GPR_RAX];
}

static inline void lapic_out(unsigned offset, uint32_t value)
{
	assert_true(platform_mmio_write(vm->platform, GPA(LAPIC + offset), 4, value));
}

/* One interrupt after `ns` nanoseconds. */
static inline void arm_timer(uint32_t ns)
{
	lapic_out(0xf0, 0x1ff);
	lapic_out(0x3e0, 0xb);
	lapic_out(0x320, TIMER_VECTOR);
	lapic_out(0x380, ns);
}

static inline void assert_event(enum vcpu_event_kind kind, uint8_t vector)
{
	assert_int_equal(vm->vcpu->event_count, 1);
	assert_int_equal(vm->vcpu->events[0].kind, kind);
	assert_int_equal(vm->vcpu->events[0].vector, vector);
	vm->vcpu->event_count = 0;
}

static inline void assert_ending(const char *words)
{
	if (strstr(vm->ending, words) == NULL) {
		fail_msg("\"%s\" does not speak of \"%s\"", vm->ending, words);
	}
}

#define VM_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define RUNNING_TEST(f) cmocka_unit_test_setup_teardown(f, setup_running, teardown)

#endif
