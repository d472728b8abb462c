/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU's other modes: compatibility, protected with three kinds of paging,
 * real, and all the ways between them, with exits and interrupts in each.
 */
#include "tests/guests/lib/lib.h"

/* A position-independent routine for modes.S; `ret` ends it. */
#define ROUTINE(name, bits, code)                                                         \
	__asm__(".pushsection .rodata\n.code" #bits "\n" #name ":\n" code "\nret\n" #name \
		"_end:\n.code64\n.popsection");                                           \
	extern const char name[], name##_end[]

#define RUN(mode, name) run_##mode(name, name##_end)

#define MARK 0x1badb002 /* the first word of the payload, at 1 MiB */
#define LINEAR 0x40000000 /* where the tests' own page tables map the page */
#define PDE_LARGE 0x83 /* present, writable, 4 MiB or 2 MiB */

static uint8_t page[PAGE_SIZE] __attribute__((aligned(4096)));
static uint32_t table_32[1024] __attribute__((aligned(4096)));
static uint64_t pae_root[4] __attribute__((aligned(32)));
static uint64_t pae_directory[512] __attribute__((aligned(4096)));
static uint64_t pae_table[512] __attribute__((aligned(4096)));

/* Words of low memory that routines read from [edi]. */
static void set_parameter(unsigned index, uint32_t value)
{
	((volatile uint32_t *)(uintptr_t)LOW_DATA)[index] = value;
}

static uint32_t get_parameter(unsigned index)
{
	return ((volatile uint32_t *)(uintptr_t)LOW_DATA)[index];
}

/* Real mode's vector to byte `offset` of the routine. */
static void set_ivt(unsigned vector, unsigned offset)
{
	uintptr_t at = vector * 4;

	__asm__ volatile("movl %0, (%1)" : : "r"(LOW_CODE + offset), "r"(at) : "memory");
}

ROUTINE(compat_push, 32,
	"push $0x12345678; mov %esp, %ecx; pop %eax; sub %esp, %ecx\n"
	"add %ecx, %eax"); /* 32-bit pushes: less 4 */

static void compat_stack(void)
{
	expect_equal(RUN(compatibility, compat_push), 0x12345678 - 4);
}

ROUTINE(compat_exits, 32,
	"push %ebx; xor %eax, %eax; cpuid; mov %ebx, (%edi); pop %ebx\n"
	"mov $0x3ff, %edx; mov $0xa7, %al; out %al, (%dx); xor %eax, %eax\n"
	"in (%dx), %al; mov %eax, 4(%edi)\n"
	"mov 0xfee00030, %eax; mov %eax, 8(%edi)");

static void check_exits(void)
{
	expect_equal(get_parameter(0), cpuid(0, 0).ebx);
	expect_equal(get_parameter(1), 0xa7);
	expect_equal(get_parameter(2), apic_read(APIC_VERSION));
}

static void compat_exit(void)
{
	RUN(compatibility, compat_exits);
	check_exits();
}

ROUTINE(compat_int3, 32, "mov $7, %eax; int3; inc %eax");

static void compat_exception(void)
{
	on_vector(BP, count_event);
	expect_equal(RUN(compatibility, compat_int3), 8);
	expect_equal(event_count[BP], 1);
}

static void protected_exit(void)
{
	RUN(protected, compat_exits);
	check_exits();
}

ROUTINE(read_cr0_32, 32, "mov %cr0, %eax");
ROUTINE(read_efer_32, 32, "mov $0xc0000080, %ecx; rdmsr");

static void protected_registers(void)
{
	uint32_t cr0 = RUN(protected, read_cr0_32);

	expect_equal(cr0 & (CR0_PE | CR0_PG), CR0_PE);
	expect_equal(RUN(protected, read_efer_32) & (EFER_LME | EFER_LMA), 0);
	expect_equal(rdmsr(MSR_EFER) & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
}

ROUTINE(mmio_16bit_operand, 32,
	"movw $0, 0xfee00380; mov $0xfee00380, %ecx\n"
	"movl $0x13579bdf, (%ecx); addl $1, (%ecx); mov (%ecx), %eax");

static void protected_mmio(void)
{
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	expect_equal(RUN(protected, mmio_16bit_operand), 0x13579be0);
}

/*
 * [edi]: CR3, [edi + 4]: CR4 bits, [edi + 8]: the address to read. Paging on,
 * read, write, exit, paging off.
 */
ROUTINE(with_paging, 32,
	"mov %cr4, %ecx; and $~0x30, %ecx; or 4(%edi), %ecx; mov %ecx, %cr4\n"
	"mov (%edi), %ecx; mov %ecx, %cr3\n"
	"mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0\n"
	"mov 8(%edi), %ecx; mov (%ecx), %eax; notl 4(%ecx)\n"
	"push %eax; push %ebx; xor %eax, %eax; cpuid; pop %ebx\n"
	"mov 0xfee00030, %eax; mov %eax, 12(%edi)\n"
	"mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0; pop %eax");

static void check_paging(uintptr_t root, uint32_t cr4)
{
	uint32_t *words = (uint32_t *)page;

	words[4] = 0x2468ace0;
	words[5] = 0x0f0f0f0f;
	set_parameter(0, (uint32_t)root);
	set_parameter(1, cr4);
	set_parameter(2, LINEAR + 16);
	set_parameter(3, 0);
	expect_equal(RUN(protected, with_paging), 0x2468ace0);
	expect_equal(((volatile uint32_t *)words)[5], 0xf0f0f0f0);
	expect_equal(get_parameter(3), apic_read(APIC_VERSION));
}

static void paging_32(void)
{
	static uint32_t leaf[1024] __attribute__((aligned(4096)));

	memset(table_32, 0, sizeof(table_32));
	for (uint32_t i = 0; i < 8; i++) {
		table_32[i] = i << 22 | PDE_LARGE;
	}
	table_32[APIC_PAGE >> 22] = (APIC_PAGE & ~UINT32_C(0x3fffff)) | PDE_LARGE;
	table_32[LINEAR >> 22] = (uint32_t)(uintptr_t)leaf | 3;
	leaf[0] = (uint32_t)(uintptr_t)page | 3;
	check_paging((uintptr_t)table_32, BIT(4)); /* PSE */
	expect_equal(leaf[0] & (PTE_A | PTE_D), PTE_A | PTE_D);
}

static void paging_pae(void)
{
	static uint64_t apic_directory[512] __attribute__((aligned(4096)));

	for (uint64_t i = 0; i < 16; i++) {
		pae_directory[i] = i << 21 | PDE_LARGE;
	}
	apic_directory[APIC_PAGE >> 21 & 511] = (APIC_PAGE & ~UINT64_C(0x1fffff)) | PDE_LARGE;
	pae_table[0] = (uintptr_t)page | 3;
	apic_directory[0] = (uintptr_t)pae_table | 3;
	pae_root[0] = (uintptr_t)pae_directory | 1;
	pae_root[1] = (uintptr_t)apic_directory | 1;
	pae_root[3] = (uintptr_t)apic_directory | 1;
	check_paging((uintptr_t)pae_root, CR4_PAE);
	expect_equal(pae_table[0] & (PTE_A | PTE_D), PTE_A | PTE_D);
}

ROUTINE(real_segments, 16, "mov $0xffff, %ax; mov %ax, %es; mov %es:0x10, %eax");

static void real_a20(void)
{
	expect_equal(RUN(real, real_segments), MARK); /* ffff:0010 is 1 MiB */
}

ROUTINE(real_exits, 16,
	"xor %eax, %eax; push %bx; cpuid; mov %ebx, (%di); pop %bx\n"
	"mov $0x3ff, %dx; mov $0xa7, %al; out %al, (%dx); xor %eax, %eax\n"
	"in (%dx), %al; mov %eax, 4(%di)\n"
	"mov $0xc0000080, %ecx; rdmsr; mov %eax, 8(%di); mov %cr0, %eax\n"
	"mov %eax, 12(%di)");

static void real_exit(void)
{
	RUN(real, real_exits);
	expect_equal(get_parameter(0), cpuid(0, 0).ebx);
	expect_equal(get_parameter(1), 0xa7);
	expect_equal(get_parameter(2) & (EFER_LME | EFER_LMA), 0);
	expect_equal(get_parameter(3) & (CR0_PE | CR0_PG), 0);
}

/* Handlers lie behind the RET; their offsets are asked of the assembler. */
#define HANDLER(name) "\nret\n.globl " #name "\n" #name ":\n"
#define OFFSET(routine, name) ((unsigned)((name) - (routine)))

extern const char real_int_handler[], real_ud_handler[], real_tick_handler[], real_gp_handler[],
	real_de_handler[];

ROUTINE(real_int, 16,
	"mov $5, %eax; int $0x21; inc %eax" HANDLER(real_int_handler) "add $0x100, %eax; iret");

static void real_software_interrupt(void)
{
	set_ivt(0x21, OFFSET(real_int, real_int_handler));
	expect_equal(RUN(real, real_int), 0x106);
}

ROUTINE(real_ud, 16,
	"xor %eax, %eax; ud2; inc %eax" HANDLER(
		real_ud_handler) "push %bp; mov %sp, %bp; addw $2, 2(%bp); pop %bp; mov $0x600, %eax; iret");

static void real_undefined(void)
{
	set_ivt(UD, OFFSET(real_ud, real_ud_handler));
	expect_equal(RUN(real, real_ud), 0x601);
}

ROUTINE(real_de, 16,
	"xor %ecx, %ecx; mov $9, %eax; cwd; div %cx; inc %eax" HANDLER(
		real_de_handler) "push %bp; mov %sp, %bp; addw $2, 2(%bp); pop %bp; mov $0x700, %eax; iret");

static void real_divide_error(void)
{
	set_ivt(DE, OFFSET(real_de, real_de_handler));
	expect_equal(RUN(real, real_de), 0x701);
}

/* The limit is 64 KiB also for 32-bit addresses; no error code is pushed. */
ROUTINE(real_gp, 16,
	"mov $0x10000, %ecx; xor %eax, %eax; .byte 0x67, 0x8b, 0x01; inc %eax" HANDLER(
		real_gp_handler) "push %bp; mov %sp, %bp; addw $3, 2(%bp); pop %bp; mov $0xd00, %eax; iret");

static void real_limit(void)
{
	need(machine_is_strict(), "QEMU's TCG has no limits in real mode");
	set_ivt(GP, OFFSET(real_gp, real_gp_handler));
	expect_equal(RUN(real, real_gp), 0xd01);
}

ROUTINE(real_tick, 16,
	"xor %eax, %eax; sti; 1: hlt; cmp $3, %eax; jb 1b; cli" HANDLER(
		real_tick_handler) "push %ax; mov $0x20, %al; out %al, $0x20; pop %ax; inc %eax; iret");

static void real_interrupts(void)
{
	apic_enable();
	apic_write(APIC_LVT_LINT0, APIC_LVT_EXTINT);
	set_ivt(PIC_VECTOR, OFFSET(real_tick, real_tick_handler));
	pic_open(BIT(0));
	pit_periodic(PIT_HZ / 1000);
	expect_equal(RUN(real, real_tick), 3);
	apic_enable();
}

ROUTINE(real_string, 16,
	"mov $0x1234, %dx; mov $3, %cx; cld; rep insw; mov %di, %ax\n"
	"movzwl %ax, %eax");

static void real_string_io(void)
{
	set_parameter(0, 0);
	set_parameter(1, 0);
	expect_equal(RUN(real, real_string), LOW_DATA + 6);
	expect_equal(get_parameter(0), 0xffffffff);
	expect_equal(get_parameter(1), 0x0000ffff);
}

/* Flat segments taken along from protected mode: "unreal". [edi]: GDTR. */
ROUTINE(real_unreal, 16,
	"lgdtl (%di); mov %cr0, %eax; or $1, %al; mov %eax, %cr0\n"
	"mov 8(%di), %cx; mov %cx, %ds; and $~1, %al; mov %eax, %cr0\n"
	"mov $0x100000, %ecx; .byte 0x66, 0x67, 0x8b, 0x01\n"
	"mov $0xfee00030, %ecx; .byte 0x66, 0x67, 0x8b, 0x11; mov %edx, %cs:12(%di)\n"
	"xor %cx, %cx; mov %cx, %ds");

static void unreal(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr;

	__asm__ volatile("sgdt %0" : "=m"(gdtr));
	memcpy((void *)(uintptr_t)LOW_DATA, &gdtr, 6);
	set_parameter(2, SEL_DATA);
	expect_equal(RUN(real, real_unreal), MARK);
	expect_equal(get_parameter(3), apic_read(APIC_VERSION));
}

static void many_times(void)
{
	for (unsigned i = 0; i < 50; i++) {
		expect_equal(RUN(real, real_segments), MARK);
		expect_equal(RUN(compatibility, compat_push), 0x12345678 - 4);
	}
}

const struct test tests[] = {
	{"compatibility mode", compat_stack},
	{"exits from compatibility mode", compat_exit},
	{"an exception in compatibility mode", compat_exception},
	{"exits from protected mode", protected_exit},
	{"long mode is left and entered", protected_registers},
	{"the APIC's page without paging", protected_mmio},
	{"32-bit paging", paging_32},
	{"PAE paging", paging_pae},
	{"real mode, A20 open", real_a20},
	{"exits from real mode", real_exit},
	{"INT n in real mode", real_software_interrupt},
	{"#UD in real mode", real_undefined},
	{"#DE in real mode", real_divide_error},
	{"#GP in real mode", real_limit},
	{"timer interrupts and HLT in real mode", real_interrupts},
	{"string I/O in real mode", real_string_io},
	{"flat segments in real mode", unreal},
	{"there and back, fifty times", many_times},
	{NULL, NULL},
};
