/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The payload runtime: what a tiny kernel needs to examine the machine that it
 * runs on, and to say on the serial port what it found.
 *
 * A payload is a table of tests. Each test is a function that returns when all
 * its expectations held; expect() leaves it at the first that did not:
 *
 *	BEGIN cpuid 2
 *	ok 1 leaf 0 names a vendor
 *	FAIL 2 no VMX: (cpuid(1, 0).ecx & BIT(5)) == 0, tests/guests/cpuid.c:31
 *	END cpuid 1/2
 *
 * and the payload leaves through the debug-exit port, with 0 when all held. The
 * verdict is the counted begin marker, the end marker and that code together.
 *
 * Machine: one CPU in 64-bit mode, the low 4 GiB mapped one to one and open to
 * user mode, interrupts off and both PICs masked at the start of each test.
 */
#ifndef TESTS_GUESTS_LIB_LIB_H
#define TESTS_GUESTS_LIB_LIB_H

#include "base/bits.h"
#include "base/types.h"
#include "tests/guests/lib/modes.h"

/* ---- Tests and verdicts ------------------------------------------------- */

struct test {
	const char *text;
	void (*run)(void);
};

/* Every payload defines its own, up to one without text. */
extern const struct test tests[];

#define expect(condition)                                          \
	do {                                                       \
		if (!(condition)) {                                \
			test_fail(#condition, __FILE__, __LINE__); \
		}                                                  \
	} while (0)

/* As expect(actual == wanted), and shows both. */
#define expect_equal(actual, wanted)                                                  \
	do {                                                                          \
		uint64_t actual_ = (uint64_t)(actual);                                \
		uint64_t wanted_ = (uint64_t)(wanted);                                \
		if (actual_ != wanted_) {                                             \
			print("# %s is %#lx, not %#lx\n", #actual, actual_, wanted_); \
			test_fail(#actual " == " #wanted, __FILE__, __LINE__);        \
		}                                                                     \
	} while (0)

_Noreturn void test_fail(const char *what, const char *file, int line);

/*
 * Leaves the test as neither passed nor failed when the machine cannot be
 * tried. The checker accepts that from other machines, never from Dyad.
 */
void need(bool condition, const char *why);

/* The same for what a CPU may lack: the checker warns. */
void need_cpu(bool condition, const char *feature);
void need_xsave(void);

/*
 * True on Dyad and on hardware; false in QEMU without KVM, where payloads are
 * tried out and which is lax about MSRs and holes in the address space.
 */
bool machine_is_strict(void);

/*
 * For a payload whose last test ends the guest: reports that test as passed
 * and prints the end marker. Whatever is printed after that is a failure.
 */
void farewell(void);

/* Ends the guest through the debug-exit port. */
_Noreturn void debug_exit(uint32_t code);

/* %s %c %d %u %x with l, width, 0 and #. */
void print(const char *format, ...) PRINTF_LIKE(1, 2);

/* The text behind `name` in the guest's command line, NULL without it. */
const char *argument(const char *name);
uint64_t argument_number(const char *name, uint64_t otherwise);

void *memcpy(void *target, const void *source, size_t size);
void *memset(void *target, int byte, size_t size);
int memcmp(const void *one, const void *other, size_t size);

/* ---- Exceptions and interrupts ------------------------------------------ */

enum vector {
	DE = 0,
	DB = 1,
	NMI = 2,
	BP = 3,
	OF = 4,
	BR = 5,
	UD = 6,
	NM = 7,
	DF = 8,
	TS = 10,
	NP = 11,
	SS = 12,
	GP = 13,
	PF = 14,
	MF = 16,
	AC = 17,
	XM = 19,
	NO_FAULT = -1,
};

/* What the CPU and the stubs of start.S push. */
struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* The last exception that TRY, fault_of or user_fault_of caught. */
extern volatile struct fault {
	int vector;
	uint64_t error, rip, rflags, cr2;
} fault;

/* Calls `handler` at every event of that vector, until the test is over. */
void on_vector(unsigned vector, void (*handler)(struct frame *frame));

/* Events of `vector` since on_vector(vector, count_event) or clearing it. */
void count_event(struct frame *frame);
extern volatile unsigned event_count[256];

/* As count_event, then EOI to the local APIC. */
void count_apic_event(struct frame *frame);

/* Runs one instruction; its exception's vector, or NO_FAULT. */
#define TRY(code, ...)                                                     \
	({                                                                 \
		fault.vector = NO_FAULT;                                   \
		__asm__ volatile("movq $99f, catch_rip\n\t" code           \
				 "\n99:\tmovq $0, catch_rip" __VA_ARGS__); \
		fault.vector;                                              \
	})

extern volatile uint64_t catch_rip;

/* Runs a function; its exception's vector, or NO_FAULT when it returned. */
int fault_of(void (*function)(void));
/* The same at CPL 3, on a stack of its own. */
int user_fault_of(void (*function)(void));

/* Selectors of start.S's descriptor table. */
#define SEL_CODE64 0x08
#define SEL_DATA 0x10
#define SEL_CODE32 0x18
#define SEL_CODE16 0x20
#define SEL_DATA16 0x28
#define SEL_USER_DATA 0x30
#define SEL_USER_CODE 0x38
#define SEL_TSS 0x40

/* Gate of `vector` to its stub: IST number 0 to 7, present or not. */
void idt_set(unsigned vector, unsigned ist, bool present);
/* Stack pointer that IST number 1 to 7 loads. */
void tss_set_ist(unsigned ist, uint64_t rsp);

/* ---- Paging -------------------------------------------------------------- */

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)

/*
 * A 2 MiB window of 4 KiB pages at linear addresses where nothing else is.
 * window_map points its page `index` at physical address | flags (0: absent).
 */
#define WINDOW 0x60000000
void window_map(unsigned index, uint64_t entry);
uint64_t window_entry(unsigned index);

extern uint64_t page_map[512]; /* the top level in use */

/* ---- Instructions --------------------------------------------------------- */

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline uint64_t rdmsr(uint32_t index)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t index, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

/* As above; the exception's vector or NO_FAULT. */
int try_rdmsr(uint32_t index, uint64_t *value);
int try_wrmsr(uint32_t index, uint64_t value);

#define DEFINE_IO(suffix, type)                                            \
	static inline type in##suffix(uint16_t port)                       \
	{                                                                  \
		type value;                                                \
		__asm__ volatile("in %1, %0" : "=a"(value) : "Nd"(port));  \
		return value;                                              \
	}                                                                  \
	static inline void out##suffix(uint16_t port, type value)          \
	{                                                                  \
		__asm__ volatile("out %0, %1" : : "a"(value), "Nd"(port)); \
	}
DEFINE_IO(b, uint8_t)
DEFINE_IO(w, uint16_t)
DEFINE_IO(l, uint32_t)

#define DEFINE_REGISTER(name)                                                   \
	static inline uint64_t read_##name(void)                                \
	{                                                                       \
		uint64_t value;                                                 \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(value));          \
		return value;                                                   \
	}                                                                       \
	static inline void write_##name(uint64_t value)                         \
	{                                                                       \
		__asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory"); \
	}                                                                       \
	static inline int try_write_##name(uint64_t value)                      \
	{                                                                       \
		return TRY("mov %0, %%" #name, : : "r"(value) : "memory");      \
	}
DEFINE_REGISTER(cr0)
DEFINE_REGISTER(cr2)
DEFINE_REGISTER(cr3)
DEFINE_REGISTER(cr4)
DEFINE_REGISTER(cr8)
DEFINE_REGISTER(dr6)
DEFINE_REGISTER(dr7)

static inline uint64_t read_rflags(void)
{
	uint64_t value;

	__asm__ volatile("pushfq; pop %0" : "=r"(value) : : "memory");
	return value;
}

static inline void invlpg(uint64_t linear)
{
	__asm__ volatile("invlpg (%0)" : : "r"(linear) : "memory");
}

static inline void sti(void)
{
	__asm__ volatile("sti; nop" : : : "memory");
}

static inline void cli(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Sleeps until an interrupt came, with interrupts off before and after. */
static inline void sleep_once(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PAE BIT(5)
#define CR4_PGE BIT(7)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP BIT(11)
#define CR4_LA57 BIT(12)
#define CR4_VMXE BIT(13)
#define CR4_SMXE BIT(14)
#define CR4_FSGSBASE BIT(16)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define RFLAGS_TF BIT(8)
#define RFLAGS_IF BIT(9)
#define RFLAGS_RF BIT(16)
#define RFLAGS_AC BIT(18)

#define MSR_APIC_BASE 0x1b
#define MSR_SYSENTER_CS 0x174
#define MSR_PAT 0x277
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_EFER 0xc0000080
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX 0xc0000103
#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

/* ---- Local APIC, IOAPIC, PIC, PIT ------------------------------------------ */

/* Registers by their offset in the page; x2APIC's MSR is 0x800 + offset / 16. */
enum apic_register {
	APIC_ID = 0x20,
	APIC_VERSION = 0x30,
	APIC_TPR = 0x80,
	APIC_PPR = 0xa0,
	APIC_EOI = 0xb0,
	APIC_LDR = 0xd0,
	APIC_DFR = 0xe0,
	APIC_SVR = 0xf0,
	APIC_ISR = 0x100,
	APIC_TMR = 0x180,
	APIC_IRR = 0x200,
	APIC_ESR = 0x280,
	APIC_ICR = 0x300,
	APIC_ICR_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_TIMER_INITIAL = 0x380,
	APIC_TIMER_CURRENT = 0x390,
	APIC_TIMER_DIVIDE = 0x3e0,
};

#define APIC_PAGE 0xfee00000u
#define APIC_BASE_X2 BIT(10)
#define APIC_BASE_ENABLE BIT(11)
#define APIC_SVR_ENABLE BIT(8)
#define APIC_LVT_MASKED BIT(16)
#define APIC_LVT_PERIODIC BIT(17)
#define APIC_LVT_DEADLINE BIT(18)
#define APIC_LVT_EXTINT 0x700u
#define APIC_ICR_SELF BIT(18)
#define APIC_ICR_NMI 0x400u
#define APIC_SPURIOUS_VECTOR 0xff

/* In the mode that IA32_APIC_BASE says. */
uint32_t apic_read(enum apic_register reg);
void apic_write(enum apic_register reg, uint32_t value);
/* Software-enabled, TPR 0, every LVT entry masked. */
void apic_enable(void);
void apic_self_ipi(unsigned vector);
/* The bit of `vector` in the ISR, TMR or IRR. */
bool apic_bit(enum apic_register first, unsigned vector);

#define IOAPIC_PAGE 0xfec00000u
#define IOAPIC_LEVEL BIT(15)
#define IOAPIC_MASKED BIT(16)
uint32_t ioapic_read(unsigned reg);
void ioapic_write(unsigned reg, uint32_t value);
/* The entry of `input`, to this CPU. Flags 0: edge, active high, fixed. */
void ioapic_route(unsigned input, unsigned vector, uint32_t flags);

#define PIC_VECTOR 0x20
/* Both PICs to vectors PIC_VECTOR and on, with only the inputs of `mask` open. */
void pic_open(uint16_t mask);
void pic_eoi(unsigned irq);

#define PIT_HZ 1193182u
/* Counter 0 in mode 2, a tick each `count` periods of PIT_HZ. */
void pit_periodic(uint16_t count);

/* ---- Time -------------------------------------------------------------------- */

/* The ACPI PM timer: 24 bits at 3,579,545 Hz. */
#define PM_TIMER_HZ 3579545u
#define PM_TIMER_PORT 0x608
void delay_us(unsigned us);

/* Spins until *count reaches target; false after far more time than it needs. */
bool wait_count(const volatile unsigned *count, unsigned target);

/* ---- Firmware ------------------------------------------------------------------ */

/* Offsets of the Multiboot Specification 0.6.96, 3.3. */
struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
};

struct multiboot_module {
	uint32_t start, end, string, reserved;
};

struct multiboot_range {
	uint32_t size; /* of what follows */
	uint64_t base, length;
	uint32_t type; /* 1: RAM */
} __attribute__((packed));

extern uint32_t multiboot_magic;
extern const struct multiboot_info *multiboot_info;

/* The first byte behind the RAM that starts at 1 MiB. */
uint64_t ram_end(void);

/* The ACPI table of that signature, its checksum verified; NULL without. */
const uint8_t *acpi_find(const char *signature);
uint32_t acpi_u32(const uint8_t *table, unsigned offset);
/* The IOAPIC's input for an ISA interrupt, by the MADT's overrides. */
unsigned acpi_ioapic_input(unsigned irq);

/* ---- Other modes (modes.S) ------------------------------------------------------ */

/*
 * Runs position-independent code copied to LOW_CODE, below 64 KiB, in another
 * mode and comes back: `code` to `end` is entered by a near call with EDI =
 * LOW_DATA, and returns its result in EAX. Interrupts stay off.
 */
uint32_t run_compatibility(const void *code, const void *end); /* 32 bits, paging on */
uint32_t run_protected(const void *code, const void *end); /* 32 bits, paging off */
uint32_t run_real(const void *code, const void *end);

#endif
