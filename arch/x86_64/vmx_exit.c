/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the VMCS's exit fields to the neutral struct exit: SDM 3, 29.2 and
 * appendix C. What only the CPU's registers are concerned with (CR0, CR4,
 * XCR0, debug exceptions) is finished here and comes out as EXIT_NONE.
 */
#include "arch/x86_64/vcpu.h"

#include "arch/x86_64/guest_state.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/vmcs.h"
#include "base/log.h"

#define EXIT_REASON_BASIC BITS(15, 0)

/* Basic exit reasons (appendix C) */
enum {
	REASON_EXCEPTION_OR_NMI = 0,
	REASON_EXTERNAL_INTERRUPT = 1,
	REASON_TRIPLE_FAULT = 2,
	REASON_INIT = 3,
	REASON_SIPI = 4,
	REASON_INTERRUPT_WINDOW = 7,
	REASON_NMI_WINDOW = 8,
	REASON_TASK_SWITCH = 9,
	REASON_CPUID = 10,
	REASON_GETSEC = 11,
	REASON_HLT = 12,
	REASON_INVD = 13,
	REASON_RDPMC = 15,
	REASON_RSM = 17,
	REASON_VMCALL = 18,
	REASON_VMCLEAR = 19,
	REASON_VMXON = 27,
	REASON_CR_ACCESS = 28,
	REASON_IO = 30,
	REASON_RDMSR = 31,
	REASON_WRMSR = 32,
	REASON_ENTRY_GUEST_STATE = 33,
	REASON_ENTRY_MSR_LOADING = 34,
	REASON_MWAIT = 36,
	REASON_MONITOR = 39,
	REASON_ENTRY_MACHINE_CHECK = 41,
	REASON_EPT_VIOLATION = 48,
	REASON_EPT_MISCONFIGURATION = 49,
	REASON_INVEPT = 50,
	REASON_PREEMPTION_TIMER = 52,
	REASON_INVVPID = 53,
	REASON_WBINVD = 54,
	REASON_XSETBV = 55,
};

/*
 * What each reason is to the rest of Dyad. EXIT_FATAL: it is taken apart below,
 * or it is one that cannot be gone on from.
 */
static const struct {
	const char *name;
	enum exit_reason reason;
} reasons[] = {
	[REASON_EXCEPTION_OR_NMI] = {"exception or NMI", EXIT_FATAL},
	[REASON_EXTERNAL_INTERRUPT] = {"external interrupt", EXIT_DEADLINE},
	[REASON_TRIPLE_FAULT] = {"triple fault", EXIT_TRIPLE_FAULT},
	[REASON_INIT] = {"INIT signal", EXIT_FATAL},
	[REASON_SIPI] = {"start-up IPI", EXIT_FATAL},
	[REASON_INTERRUPT_WINDOW] = {"interrupt window", EXIT_IRQ_WINDOW},
	[REASON_NMI_WINDOW] = {"NMI window", EXIT_IRQ_WINDOW},
	[REASON_TASK_SWITCH] = {"hardware task switch, which this machine does not have",
				EXIT_FATAL},
	[REASON_CPUID] = {"CPUID", EXIT_CPUID},
	[REASON_GETSEC] = {"GETSEC", EXIT_UNDEFINED},
	[REASON_HLT] = {"HLT", EXIT_HLT},
	[REASON_INVD] = {"INVD", EXIT_CACHE},
	[REASON_RDPMC] = {"RDPMC", EXIT_FORBIDDEN},
	[REASON_RSM] = {"RSM", EXIT_UNDEFINED},
	[REASON_VMCALL] = {"VMCALL", EXIT_HYPERCALL},
	[REASON_VMCLEAR... REASON_VMXON] = {"VMX instruction", EXIT_UNDEFINED},
	[REASON_CR_ACCESS] = {"control register", EXIT_FATAL},
	[REASON_IO] = {"I/O instruction", EXIT_IO},
	[REASON_RDMSR] = {"RDMSR", EXIT_MSR_READ},
	[REASON_WRMSR] = {"WRMSR", EXIT_MSR_WRITE},
	[REASON_ENTRY_GUEST_STATE] = {"VM entry failed: guest state", EXIT_FATAL},
	[REASON_ENTRY_MSR_LOADING] = {"VM entry failed: MSR loading", EXIT_FATAL},
	[REASON_MWAIT] = {"MWAIT", EXIT_UNDEFINED},
	[REASON_MONITOR] = {"MONITOR", EXIT_UNDEFINED},
	[REASON_ENTRY_MACHINE_CHECK] = {"VM entry failed: machine check", EXIT_FATAL},
	[REASON_EPT_VIOLATION] = {"EPT violation", EXIT_MEMORY},
	[REASON_EPT_MISCONFIGURATION] = {"EPT misconfiguration", EXIT_FATAL},
	[REASON_INVEPT] = {"INVEPT", EXIT_UNDEFINED},
	[REASON_PREEMPTION_TIMER] = {"preemption timer", EXIT_DEADLINE},
	[REASON_INVVPID] = {"INVVPID", EXIT_UNDEFINED},
	[REASON_WBINVD] = {"WBINVD", EXIT_CACHE},
	[REASON_XSETBV] = {"XSETBV", EXIT_FATAL},
};

static void fatal(struct exit *exit, const char *why)
{
	exit->reason = EXIT_FATAL;
	exit->why = why;
}

/*
 * An event whose delivery the exit cut short is delivered again first
 * (29.2.4). Only exits that delivery itself can cause come here.
 */
static bool keep_interrupted_event(struct vcpu *vcpu)
{
	uint64_t info = vmcs_read(VMCS_IDT_VECTORING);

	if (!(info & INTERRUPTION_VALID)) {
		return false;
	}
	vcpu->event.interruption = (uint32_t)(info & ~INTERRUPTION_NMI_UNBLOCKED);
	if (info & INTERRUPTION_HAS_ERROR) {
		vcpu->event.error = (uint32_t)vmcs_read(VMCS_IDT_VECTORING_ERROR);
	}
	vcpu->event.length = (uint32_t)vmcs_read(VMCS_EXIT_LENGTH);
	if (field_get(INTERRUPTION_TYPE, info) == INTERRUPTION_NMI) {
		/* Its delivery blocked NMIs; its entry must not find them so (28.3.1.5). */
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
			   vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & ~BLOCKED_BY_NMI);
	}
	return true;
}

/* The IRET that the exit cut short had unblocked NMIs already (29.2.3). */
static void undo_nmi_unblocking(bool unblocked)
{
	if (unblocked) {
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
			   vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) | BLOCKED_BY_NMI);
	}
}

/* What VM entry wants pending: a single step that STI or MOV SS holds back (28.3.1.5). */
static uint64_t pending_debug(void)
{
	bool held_back = (vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) &
			  (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)) != 0;
	bool step = (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_TF) != 0;

	return held_back && step ? PENDING_DEBUG_SINGLE_STEP : 0;
}

#define DEBUG_QUALIFICATION (BITS(3, 0) | BITS(14, 13))
#define DR6_CAUSES (BITS(3, 0))

static void decode_exception(struct vcpu *vcpu, struct exit *exit)
{
	uint64_t info = vmcs_read(VMCS_EXIT_INTERRUPTION);
	uint64_t vector = field_get(INTERRUPTION_VECTOR, info);
	uint64_t qualification;

	exit->reason = EXIT_NONE;
	if (field_get(INTERRUPTION_TYPE, info) == INTERRUPTION_NMI) {
		__asm__ volatile("int $2" ::: "memory"); /* the host's NMI handler */
		return;
	}
	if (vector == VECTOR_MC) {
		__asm__ volatile("int $18" ::: "memory");
		return;
	}
	/* #DB and #AC, taken only so that they cannot loop: they go on. */
	if (vector == VECTOR_DB) {
		/* The exit came before DR6 and DR7 were written (29.1). */
		qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
		dr6_write((dr6_read() & ~DR6_CAUSES) | (qualification & DEBUG_QUALIFICATION));
		vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~DR7_GD);
		/* The exit cleared what was pending, and VM entry wants it back. */
		vmcs_write(VMCS_GUEST_PENDING_DEBUG, pending_debug());
	}
	if (keep_interrupted_event(vcpu)) {
		vcpu_inject_exception(vcpu, (uint8_t)vector, (info & INTERRUPTION_HAS_ERROR) != 0,
				      (uint32_t)vmcs_read(VMCS_EXIT_ERROR_CODE));
		return;
	}
	/* Undefined while an event was being delivered (29.2.2). */
	undo_nmi_unblocking((info & INTERRUPTION_NMI_UNBLOCKED) != 0);
	vcpu->event.interruption = (uint32_t)(info & ~INTERRUPTION_NMI_UNBLOCKED);
	vcpu->event.error = (uint32_t)vmcs_read(VMCS_EXIT_ERROR_CODE);
	vcpu->event.length = (uint32_t)vmcs_read(VMCS_EXIT_LENGTH);
}

#define CR_NUMBER BITS(3, 0)
#define CR_ACCESS_TYPE BITS(5, 4)
#define CR_ACCESS_MOV_TO 0
#define CR_GPR BITS(11, 8)

/* The operand of a MOV to a control register: 32 bits outside 64-bit mode. */
static uint64_t read_gpr(struct vcpu *vcpu, uint64_t number)
{
	uint64_t value = number == GPR_RSP ? vmcs_read(VMCS_GUEST_RSP) : vcpu->gpr[number];
	uint64_t cs = vmcs_read(VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * SEG_CS);
	bool is_64_bit = (vmcs_read(VMCS_GUEST_EFER) & EFER_LMA) && (cs & SEG_ATTR_L);

	return is_64_bit ? value : (uint32_t)value;
}

/*
 * MOV to CR0 or CR4 exits when it changes a bit that is ours. The guest sees
 * those bits in the shadow: put them there and let the instruction run again, so
 * that the CPU itself does all that the rest of the write means.
 */
static void write_cr0(struct vcpu *vcpu, uint64_t value)
{
	if ((value >> 32) || ((value & CR0_NW) && !(value & CR0_CD)) ||
	    ((value & CR0_PG) && !(value & CR0_PE))) {
		vcpu_inject_exception(vcpu, VECTOR_GP, true, 0);
	} else {
		vmcs_write(VMCS_CR0_SHADOW, value);
	}
}

static void write_cr4(struct vcpu *vcpu, uint64_t value)
{
	if (value & ~vcpu->limits.cr4) {
		vcpu_inject_exception(vcpu, VECTOR_GP, true, 0);
	} else {
		vmcs_write(VMCS_CR4_SHADOW, value);
	}
}

static void decode_cr_access(struct vcpu *vcpu, struct exit *exit)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	uint64_t gpr = field_get(CR_GPR, qualification);
	uint64_t type = field_get(CR_ACCESS_TYPE, qualification);

	exit->reason = EXIT_NONE;
	switch (field_get(CR_NUMBER, qualification)) {
	case 0:
		write_cr0(vcpu, read_gpr(vcpu, gpr));
		break;
	case 4:
		write_cr4(vcpu, read_gpr(vcpu, gpr));
		break;
	case 8:
		exit->reason = EXIT_CR8;
		exit->length = (uint8_t)vmcs_read(VMCS_EXIT_LENGTH);
		exit->cr8.gpr = (uint8_t)gpr;
		exit->cr8.write = type == CR_ACCESS_MOV_TO;
		break;
	default:
		fatal(exit, "access to a control register that does not exit");
	}
}

#define IO_SIZE BITS(2, 0)
#define IO_IN BIT(3)
#define IO_STRING BIT(4)
#define IO_REPEAT BIT(5)
#define IO_PORT BITS(31, 16)

static void decode_io(struct exit *exit)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);

	exit->reason = EXIT_IO;
	exit->length = (uint8_t)vmcs_read(VMCS_EXIT_LENGTH);
	exit->io.port = (uint16_t)field_get(IO_PORT, qualification);
	exit->io.size = (uint8_t)(field_get(IO_SIZE, qualification) + 1);
	exit->io.in = (qualification & IO_IN) != 0;
	exit->io.string = (qualification & IO_STRING) != 0;
	exit->io.repeat = (qualification & IO_REPEAT) != 0;
}

#define EPT_QUAL_READ BIT(0)
#define EPT_QUAL_WRITE BIT(1)
#define EPT_QUAL_FETCH BIT(2)
#define EPT_QUAL_LINEAR_VALID BIT(7)
#define EPT_QUAL_FINAL BIT(8)
#define EPT_QUAL_NMI_UNBLOCKED BIT(12)

static void decode_ept_violation(struct vcpu *vcpu, struct exit *exit)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	bool linear_valid = (qualification & EPT_QUAL_LINEAR_VALID) != 0;

	exit->reason = EXIT_MEMORY;
	exit->memory.gpa = GPA(vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS));
	exit->memory.linear = linear_valid ? vmcs_read(VMCS_GUEST_LINEAR_ADDRESS) : 0;
	exit->memory.linear_valid = linear_valid;
	/* A page walk sets both R and W when accessed bits are on (29.2.1). */
	exit->memory.read = (qualification & EPT_QUAL_READ) != 0;
	exit->memory.write = (qualification & EPT_QUAL_WRITE) != 0;
	exit->memory.fetch = (qualification & EPT_QUAL_FETCH) != 0;
	exit->memory.page_walk = linear_valid && !(qualification & EPT_QUAL_FINAL);
	exit->memory.delivery = keep_interrupted_event(vcpu);
	if (!exit->memory.delivery) {
		undo_nmi_unblocking((qualification & EPT_QUAL_NMI_UNBLOCKED) != 0);
	}
}

static void decode_xsetbv(struct vcpu *vcpu, struct exit *exit)
{
	uint64_t value = vcpu->gpr[GPR_RDX] << 32 | (uint32_t)vcpu->gpr[GPR_RAX];
	/* The manual's CPU raises #GP before it exits (26.1.1); Bochs does not look. */
	uint64_t cpl = field_get(SEG_ATTR_DPL, vmcs_read(VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * SEG_SS));

	exit->reason = EXIT_NONE;
	if (cpl == 0 && (uint32_t)vcpu->gpr[GPR_RCX] == 0 &&
	    guest_xcr0_is_valid(value, vcpu->limits.xcr0)) {
		xcr0_write(value);
		vcpu_advance(vcpu, (unsigned)vmcs_read(VMCS_EXIT_LENGTH));
	} else {
		vcpu_inject_exception(vcpu, VECTOR_GP, true, 0);
	}
}

void vmx_exit_decode(struct vcpu *vcpu, struct exit *exit)
{
	uint64_t word = vmcs_read(VMCS_EXIT_REASON);
	uint64_t basic = field_get(EXIT_REASON_BASIC, word);

	if (basic >= ARRAY_SIZE(reasons) || reasons[basic].name == NULL) {
		fatal(exit, "unknown exit reason");
		return;
	}
	exit->reason = reasons[basic].reason;
	switch (basic) {
	case REASON_EXCEPTION_OR_NMI:
		decode_exception(vcpu, exit);
		return;
	case REASON_EXTERNAL_INTERRUPT:
	case REASON_PREEMPTION_TIMER: /* Bochs holds them back while the guest has IF=0 */
		vcpu_take_interrupts();
		return;
	case REASON_CR_ACCESS:
		decode_cr_access(vcpu, exit);
		return;
	case REASON_IO:
		decode_io(exit);
		return;
	case REASON_EPT_VIOLATION:
		decode_ept_violation(vcpu, exit);
		return;
	case REASON_XSETBV:
		decode_xsetbv(vcpu, exit);
		return;
	case REASON_ENTRY_MACHINE_CHECK:
		__asm__ volatile("int $18" ::: "memory"); /* the host's, not the guest's */
		break;
	default:
		break;
	}
	if (exit->reason == EXIT_FATAL) {
		exit->why = reasons[basic].name;
	} else {
		exit->length = (uint8_t)vmcs_read(VMCS_EXIT_LENGTH);
	}
}

/* ---- The dump of a guest that ends badly ---------------------------------- */

static void dump_segments(const struct vcpu_state *s)
{
	static const char *const names[SEG_COUNT] = {"ES", "CS", "SS",	 "DS",
						     "FS", "GS", "LDTR", "TR"};

	for (unsigned i = 0; i < SEG_COUNT; i++) {
		log_error("  %-4s %04x base %016lx limit %08x attributes %05x", names[i],
			  s->segment[i].selector, s->segment[i].base, s->segment[i].limit,
			  s->segment[i].attributes);
	}
}

void vcpu_dump(struct vcpu *vcpu)
{
	struct vcpu_state s;

	vcpu_get_state(vcpu, &s);
	log_error("  RIP %016lx RFLAGS %08lx CR0 %08lx CR2 %016lx CR3 %016lx CR4 %06lx EFER %04lx",
		  s.rip, s.rflags, s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
	log_error("  RAX %016lx RBX %016lx RCX %016lx RDX %016lx", s.gpr[GPR_RAX], s.gpr[GPR_RBX],
		  s.gpr[GPR_RCX], s.gpr[GPR_RDX]);
	log_error("  RSI %016lx RDI %016lx RBP %016lx RSP %016lx", s.gpr[GPR_RSI], s.gpr[GPR_RDI],
		  s.gpr[GPR_RBP], s.gpr[GPR_RSP]);
	log_error("  R8  %016lx R9  %016lx R10 %016lx R11 %016lx", s.gpr[GPR_R8], s.gpr[GPR_R9],
		  s.gpr[GPR_R10], s.gpr[GPR_R11]);
	log_error("  R12 %016lx R13 %016lx R14 %016lx R15 %016lx", s.gpr[GPR_R12], s.gpr[GPR_R13],
		  s.gpr[GPR_R14], s.gpr[GPR_R15]);
	dump_segments(&s);
	log_error("  GDTR %016lx/%04x IDTR %016lx/%04x interruptibility %lx event %lu/%lu",
		  s.gdtr_base, s.gdtr_limit, s.idtr_base, s.idtr_limit, s.interruptibility,
		  s.event_kind, s.event_vector);
	log_error("  pending debug %lx activity %lx entry interruption %lx error %lx length %lx",
		  vmcs_read(VMCS_GUEST_PENDING_DEBUG), vmcs_read(VMCS_GUEST_ACTIVITY),
		  vmcs_read(VMCS_ENTRY_INTERRUPTION), vmcs_read(VMCS_ENTRY_ERROR_CODE),
		  vmcs_read(VMCS_ENTRY_LENGTH));
	log_error("  exit reason %08lx qualification %lx GPA %lx linear %lx "
		  "interruption %lx IDT-vectoring %lx",
		  vmcs_read(VMCS_EXIT_REASON), vmcs_read(VMCS_EXIT_QUALIFICATION),
		  vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS), vmcs_read(VMCS_GUEST_LINEAR_ADDRESS),
		  vmcs_read(VMCS_EXIT_INTERRUPTION), vmcs_read(VMCS_IDT_VECTORING));
	log_error("  controls: pin %lx primary %lx secondary %lx exit %lx entry %lx",
		  vmcs_read(VMCS_PIN_CONTROLS), vmcs_read(VMCS_PRIMARY_CONTROLS),
		  vmcs_read(VMCS_SECONDARY_CONTROLS), vmcs_read(VMCS_EXIT_CONTROLS),
		  vmcs_read(VMCS_ENTRY_CONTROLS));
}
