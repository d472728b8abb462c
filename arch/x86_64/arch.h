/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that the rest of Dyad sees of the CPU: processors, time, interrupts,
 * virtual CPUs and second-stage page tables.
 *
 * Neutral by rule: nothing here is a term of one vendor's virtualisation, so
 * that a second backend can be chosen at boot. tests/fake_arch implements the
 * same functions on a development machine. What is x86 architecture (registers,
 * vectors, MSRs) is named as in the Intel SDM.
 */
#ifndef ARCH_X86_64_ARCH_H
#define ARCH_X86_64_ARCH_H

#include "base/bits.h"
#include "base/types.h"

/* ---- Processors ------------------------------------------------------- */

#define CPU_COUNT_MAX 64

/* Processors that are up; they are numbered from 0, the service CPU. */
unsigned cpu_count(void);
/* Number of the processor that asks. */
unsigned cpu_id(void);

/*
 * Makes `cpu` leave its guest or its idle wait soon and look at its work
 * again. Post the work first. Callable from every CPU, also for itself.
 */
void cpu_kick(unsigned cpu);

/*
 * Waits until a kick, an interrupt or the host time `deadline_ns` (TIME_NEVER:
 * no deadline). Interrupt handlers run inside. Returns at once when one of
 * them came since the last call of cpu_idle or vcpu_run.
 */
void cpu_idle(uint64_t deadline_ns);

/* Never return. The firmware's reset services, then the chipset's, then force. */
_Noreturn void host_reset(void);
_Noreturn void host_poweroff(void);

/* Prints CPU model, features in use, and clock as the lines of `info`. */
void cpu_print_info(void (*print)(const char *format, ...));

/* ---- Time ------------------------------------------------------------- */

/* The invariant TSC in ticks, and its rate as calibrated at boot. */
uint64_t tsc_now(void);
extern uint64_t tsc_hz;

/* Nanoseconds since the TSC's zero; one multiplication each way. */
uint64_t tsc_to_ns(uint64_t ticks);
uint64_t ns_to_tsc(uint64_t ns);

static inline uint64_t time_now_ns(void)
{
	return tsc_to_ns(tsc_now());
}

/* Seconds since 1970 by the host's real-time clock, which keeps UTC. */
uint64_t wall_clock_s(void);

/* Busy-waits; for device protocols at boot only. */
void delay_us(unsigned us);

/* ---- Interrupts ------------------------------------------------------- */

/*
 * Routes the ISA interrupt `irq` (0 to 15, with ACPI's overrides applied) to
 * the service CPU, where `handler` then runs with interrupts off, in cpu_idle
 * or just after a guest left. Level-triggered ones may be shared: all their
 * handlers run. Returns 0, -ENODEV without an IOAPIC, -EBUSY.
 */
int irq_register(unsigned irq, void (*handler)(void *context), void *context) MUST_CHECK;

/* What a device must write, and where, to interrupt (PCI 3.0, 6.8.1). */
struct msi_message {
	uint64_t address;
	uint32_t data;
};

/*
 * A message-signalled interrupt of its own for `handler`, which runs as those
 * of irq_register do. Returns 0, or -ENOSPC when none is left.
 */
int msi_register(void (*handler)(void *context), void *context,
		 struct msi_message *message) MUST_CHECK;

/* ---- Device registers and DMA ------------------------------------------ */

uint8_t io_read8(uint16_t port);
uint16_t io_read16(uint16_t port);
uint32_t io_read32(uint16_t port);
void io_write8(uint16_t port, uint8_t value);
void io_write16(uint16_t port, uint16_t value);
void io_write32(uint16_t port, uint32_t value);

/*
 * Device registers, uncached. The range need not be aligned to pages. NULL
 * when there is no such address, or no memory for the tables. Any CPU, one at
 * a time at boot.
 */
void *mmio_map(hpa_t hpa, uint64_t size) MUST_CHECK;

/* One access of just that size to what mmio_map returned. */
uint8_t mmio_read8(const volatile void *reg);
uint16_t mmio_read16(const volatile void *reg);
uint32_t mmio_read32(const volatile void *reg);
void mmio_write8(volatile void *reg, uint8_t value);
void mmio_write16(volatile void *reg, uint16_t value);
void mmio_write32(volatile void *reg, uint32_t value);

/*
 * Where a device finds `size` bytes of the hypervisor's memory: of the direct
 * map or of the image. HPA_NONE when not all of them are in one of the two.
 */
hpa_t dma_address(const void *memory, size_t size);

/* All stores and loads before it are done before any after it: around doorbells. */
static inline void dma_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* One range of PCI Express configuration space: 1 MiB for each bus. */
struct pci_ecam {
	hpa_t base; /* of bus 0, whether or not it is in the range */
	uint16_t segment;
	uint8_t bus_first, bus_last;
};

/* The index-th range of ACPI's MCFG; false when there are no more. */
bool pci_ecam_get(unsigned index, struct pci_ecam *ecam);

/* ---- Vector registers, random numbers ---------------------------------- */

/*
 * Between the two calls the CPU's vector registers are the hypervisor's, in
 * their initial state; what a guest had in them is put back before it runs.
 * They do not nest, and no guest runs in between. For code that is compiled
 * with vector instructions (tests: `make check-vectors`).
 */
void fpu_begin(void);
void fpu_end(void);

/*
 * 64 bits from the CPU's random number generator (RDSEED, else RDRAND; SDM 1,
 * 7.3.17). Returns -ENODEV when it has none, -EIO when it does not deliver.
 */
int cpu_random(uint64_t *value) MUST_CHECK;

/* ---- Virtualisation --------------------------------------------------- */

/*
 * True when guests can run. Otherwise the host is in state `no-virt`, and
 * virt_missing(i) for i = 0, 1, … are the sentences that say what is missing
 * and how to get it, NULL after the last.
 */
bool virt_available(void);
const char *virt_missing(unsigned index);
/* False on a CPU that could not be made ready for guests, as the log says. */
bool virt_on_this_cpu(void);

/* ---- Second-stage page table entries ----------------------------------- */

/* Levels count from the leaf: 0 = 4 KiB, 1 = 2 MiB, 2 = 1 GiB, 3 = top. */
#define S2_LEVEL_TOP 3
#define S2_ENTRY_COUNT 512

typedef uint64_t s2_entry_t;

#define S2_READ 1u
#define S2_WRITE 2u
#define S2_EXECUTE 4u
#define S2_ALL (S2_READ | S2_WRITE | S2_EXECUTE)

/* The largest level that may hold a leaf on this CPU: 1 or 2. */
unsigned s2_leaf_level_max(void);

s2_entry_t s2_entry_leaf(hpa_t hpa, unsigned level, unsigned rights);
s2_entry_t s2_entry_table(hpa_t table);
bool s2_entry_present(s2_entry_t entry);
bool s2_entry_is_leaf(s2_entry_t entry, unsigned level);
hpa_t s2_entry_address(s2_entry_t entry, unsigned level);
unsigned s2_entry_rights(s2_entry_t entry);
/* Both false for ever on a CPU without accessed and dirty bits. */
bool s2_entry_accessed(s2_entry_t entry);
bool s2_entry_dirty(s2_entry_t entry, unsigned level);
s2_entry_t s2_entry_clear_accessed(s2_entry_t entry);
s2_entry_t s2_entry_clear_dirty(s2_entry_t entry);

/*
 * The one way to change an entry that the CPU may be walking: all stores before
 * it are visible before it is.
 */
void s2_entry_store(s2_entry_t *entry, s2_entry_t value);

/* ---- Virtual CPUs ------------------------------------------------------ */

/* Numbers of the general registers as instructions encode them (SDM 2, table 2-2). */
enum gpr {
	GPR_RAX,
	GPR_RCX,
	GPR_RDX,
	GPR_RBX,
	GPR_RSP,
	GPR_RBP,
	GPR_RSI,
	GPR_RDI,
	GPR_R8,
	GPR_R9,
	GPR_R10,
	GPR_R11,
	GPR_R12,
	GPR_R13,
	GPR_R14,
	GPR_R15,
	GPR_COUNT
};

enum segment { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

/*
 * `attributes` is bytes 5 and 6 of a descriptor with the limit's bits cleared
 * (type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15), and bit 16 set
 * when the register is unusable. `limit` is in bytes, granularity applied.
 */
struct vcpu_segment {
	uint64_t base;
	uint32_t limit;
	uint32_t attributes;
	uint16_t selector;
	uint16_t reserved[3];
};

#define SEG_ATTR_TYPE BITS(3, 0)
#define SEG_ATTR_S BIT(4)
#define SEG_ATTR_DPL BITS(6, 5)
#define SEG_ATTR_P BIT(7)
#define SEG_ATTR_L BIT(13)
#define SEG_ATTR_DB BIT(14)
#define SEG_ATTR_G BIT(15)
#define SEG_UNUSABLE BIT(16)

/* An event on its way into the guest: kinds as in SDM 3, table 25-17's types. */
enum vcpu_event_kind {
	VCPU_EVENT_NONE,
	VCPU_EVENT_INTERRUPT,
	VCPU_EVENT_NMI,
	VCPU_EVENT_EXCEPTION,
	VCPU_EVENT_SOFTWARE_INTERRUPT,
	VCPU_EVENT_PRIVILEGED_EXCEPTION,
	VCPU_EVENT_SOFTWARE_EXCEPTION,
};

/* The whole architectural state that is not in memory, FPU and AVX apart. */
struct vcpu_state {
	uint64_t gpr[GPR_COUNT];
	uint64_t rip, rflags;
	struct vcpu_segment segment[SEG_COUNT];
	uint64_t gdtr_base, idtr_base;
	uint32_t gdtr_limit, idtr_limit;
	uint64_t cr0, cr2, cr3, cr4, xcr0;
	uint64_t pdpte[4]; /* PAE paging's, loaded when CR3 was (SDM 3, 5.4.1) */
	uint64_t dr[4], dr6, dr7;
	uint64_t efer, pat, star, lstar, cstar, fmask, kernel_gs_base, tsc_aux;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t interruptibility; /* bit 0 STI, 1 MOV SS, 3 NMI blocking */
	/* Debug traps before the next instruction: as DR6, bit 12 when one is enabled. */
	uint64_t pending_debug;
	uint64_t event_kind; /* enum vcpu_event_kind: to be delivered first */
	uint64_t event_vector, event_has_error, event_error, event_length;
};

/* Replaces the low `size` bytes of a register; four clear the high half (SDM 1, 3.4.1.1). */
static inline uint64_t gpr_merge(uint64_t old, uint64_t value, unsigned size)
{
	uint64_t mask = BITS(8 * size - 1, 0);

	return size == 4 ? (uint32_t)value : (old & ~mask) | (value & mask);
}

/* What is needed to read an instruction and its operands. */
struct vcpu_mode {
	uint64_t rip, rflags, cr0, cr3, cr4, efer, cs_base;
	uint8_t code_size; /* default operand size of CS: 2, 4, or 8 in 64-bit mode */
	uint8_t cpl;
};

enum exit_reason {
	EXIT_NONE, /* the backend or an interrupt handler dealt with it */
	EXIT_DEADLINE, /* the deadline given to vcpu_run has come */
	EXIT_IRQ_WINDOW, /* the guest can take an interrupt now */
	EXIT_CPUID,
	EXIT_HLT,
	EXIT_HYPERCALL,
	EXIT_IO,
	EXIT_MSR_READ,
	EXIT_MSR_WRITE,
	EXIT_MEMORY, /* no right to, or nothing at, a guest-physical address */
	EXIT_CR8, /* access to the task priority */
	EXIT_CACHE, /* INVD, WBINVD: nothing to do for RAM that is always coherent */
	EXIT_UNDEFINED, /* an instruction that the guest's CPU does not have: #UD */
	EXIT_FORBIDDEN, /* one that it has and refuses: #GP(0) */
	EXIT_TRIPLE_FAULT,
	EXIT_FATAL, /* the backend cannot go on with this guest; `why` says it */
	EXIT_REASON_COUNT
};

/* One reason to leave a guest, decoded. Only the member of `reason` is set. */
struct exit {
	enum exit_reason reason;
	/* Length of the instruction that caused it; 0 when it is not known. */
	uint8_t length;
	union {
		struct {
			uint16_t port;
			uint8_t size; /* 1, 2, 4 */
			bool in, string, repeat;
		} io;
		struct {
			gpa_t gpa;
			uint64_t linear; /* valid only with linear_valid */
			bool read, write, fetch;
			bool linear_valid;
			/* The guest's own page walk touched gpa, not an operand. */
			bool page_walk;
			/* While an event was being delivered. */
			bool delivery;
		} memory;
		struct {
			uint8_t gpr;
			bool write;
		} cr8;
		const char *why;
	};
};

/* Instructions that the backend must switch on. */
#define VCPU_INSN_RDTSCP 1u
#define VCPU_INSN_INVPCID 2u

/* What a guest's CPU may use beyond CPUID's word: set once, before it runs. */
struct vcpu_limits {
	uint64_t cr4; /* CR4 bits that the guest may set */
	uint64_t xcr0; /* XCR0 bits that the guest may set */
	uint64_t efer; /* EFER bits that the guest may set */
	uint32_t insns; /* VCPU_INSN_*: others of these raise #UD */
};

struct vcpu; /* the backend's; one CPU at a time may touch it */

/*
 * A vCPU that translates through the second-stage tree at `s2_root`. Returns
 * NULL when there is no memory. State after creation: as after RESET (SDM 3,
 * table 10-1).
 */
struct vcpu *vcpu_create(hpa_t s2_root, const struct vcpu_limits *limits);
void vcpu_destroy(struct vcpu *vcpu);
/* Host memory that one vCPU takes, in bytes. */
size_t vcpu_size(void);

/*
 * Runs the guest once, until it leaves or host time deadline_ns has come.
 * `generation` is that of the second-stage tree: when it differs from the last
 * one that this CPU saw, cached translations are dropped before the entry.
 * Returns with interrupts off and everything in `exit`.
 */
void vcpu_run(struct vcpu *vcpu, uint64_t generation, uint64_t deadline_ns, struct exit *exit);

/*
 * Takes the FPU and MSR state off this CPU, so that another vCPU or CPU may
 * follow. vcpu_run puts it back by itself.
 */
void vcpu_park(struct vcpu *vcpu);

/*
 * The general registers, valid between two runs, gpr[GPR_RSP] excepted: read
 * and written by vcpu_get_rsp and vcpu_set_rsp.
 */
uint64_t *vcpu_gpr(struct vcpu *vcpu);
uint64_t vcpu_get_rsp(struct vcpu *vcpu);
void vcpu_set_rsp(struct vcpu *vcpu, uint64_t rsp);
void vcpu_set_rflags(struct vcpu *vcpu, uint64_t rflags);
struct vcpu_segment vcpu_get_segment(struct vcpu *vcpu, enum segment segment);
/* The address of a page fault that is injected. */
void vcpu_set_cr2(struct vcpu *vcpu, uint64_t cr2);

void vcpu_get_mode(struct vcpu *vcpu, struct vcpu_mode *mode);
/* The registers that CPUID's answers depend on. */
void vcpu_get_cpuid_state(struct vcpu *vcpu, uint64_t *cr4, uint64_t *xcr0);
void vcpu_get_state(struct vcpu *vcpu, struct vcpu_state *state);
/* Returns -EINVAL when the state is one that no CPU can be in. */
int vcpu_set_state(struct vcpu *vcpu, const struct vcpu_state *state) MUST_CHECK;

/*
 * Moves RIP behind the instruction that left (`length` bytes), and ends STI
 * and MOV SS blocking, as its execution would have.
 */
void vcpu_advance(struct vcpu *vcpu, unsigned length);

/*
 * Writes of MSRs that live in the CPU while the guest runs, as far as they leave
 * the guest; reads of them do not. -ENOENT: not one of them. -EINVAL: the value
 * is refused, the guest gets #GP.
 */
int vcpu_write_msr(struct vcpu *vcpu, uint32_t index, uint64_t value) MUST_CHECK;

/* Guest TSC = host TSC + offset. */
void vcpu_set_tsc_offset(struct vcpu *vcpu, uint64_t offset);

/* True when the guest can take an external interrupt (or NMI) at once. */
bool vcpu_can_take_interrupt(struct vcpu *vcpu);
bool vcpu_can_take_nmi(struct vcpu *vcpu);
/* Only when vcpu_can_take_interrupt (or _nmi). Delivered at the next run. */
void vcpu_inject_interrupt(struct vcpu *vcpu, uint8_t vector);
void vcpu_inject_nmi(struct vcpu *vcpu);
/* A fault at the present RIP; with an event pending, by SDM 3, table 6-5. */
void vcpu_inject_exception(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error);
/* Asks for EXIT_IRQ_WINDOW as soon as an interrupt (or NMI) could be taken. */
void vcpu_want_irq_window(struct vcpu *vcpu, bool want);
void vcpu_want_nmi_window(struct vcpu *vcpu, bool want);

/* The backend's registers of this guest into the log, for a guest that ends badly. */
void vcpu_dump(struct vcpu *vcpu);

/* ---- Host CPUID and MSRs, for the guest's policy ------------------------ */

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

struct cpuid cpuid_host(uint32_t leaf, uint32_t subleaf);

#endif
