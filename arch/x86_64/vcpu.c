/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual CPUs on VT-x: creation, load and park, state, injection, run.
 *
 * Rules: a vCPU is loaded on at most one CPU, and every function but
 * vcpu_create and vcpu_destroy loads it on the one that calls. A loaded vCPU's
 * VMCS is the current one. Manual: SDM 3, chapters 26 to 29.
 */
#include "arch/x86_64/vcpu.h"

#include <errno.h>
#include <string.h>

#include "arch/x86_64/ept.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/guest_state.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/vmcs.h"
#include "arch/x86_64/vmx.h"
#include "base/log.h"
#include "base/page.h"
#include "base/spinlock.h"

_Static_assert(offsetof(struct vcpu, gpr) == 0, "vmx_enter.S");
_Static_assert(offsetof(struct vcpu, host_rsp) == 128, "vmx_enter.S");

#define VPID_COUNT 1024
/* #DB and #AC can loop inside the CPU without an exit unless they are taken. */
#define EXCEPTION_BITMAP (BIT(VECTOR_DB) | BIT(VECTOR_AC) | BIT(VECTOR_MC))

/*
 * Bits whose true value is ours, and of which the guest sees its own in the
 * shadow: VMX demands NE and VMXE, caches stay on, and a machine check must find
 * MCE set or it shuts the CPU down.
 */
#define CR0_HOST_OWNED ((vmx.cr0_fixed1 & ~(CR0_PE | CR0_PG)) | CR0_NW | CR0_CD)
#define CR4_HOST_OWNED (vmx.cr4_fixed1 | CR4_VMXE | CR4_MCE)

static void vmclear(struct vcpu *vcpu);

static struct vcpu *loaded[CPU_COUNT_MAX];

/* VPIDs in use; 0 is the host's. */
static uint64_t vpid_used[VPID_COUNT / 64] = {1};
static struct spinlock vpid_lock = SPINLOCK_INIT;

/* ---- Creation ---------------------------------------------------------- */

static uint16_t vpid_alloc(void)
{
	uint16_t vpid = 0;

	spin_lock(&vpid_lock);
	for (unsigned i = 0; i < ARRAY_SIZE(vpid_used) && vpid == 0; i++) {
		if (~vpid_used[i] != 0) {
			unsigned bit = (unsigned)__builtin_ctzll(~vpid_used[i]);

			vpid_used[i] |= BIT(bit);
			vpid = (uint16_t)(i * 64 + bit);
		}
	}
	spin_unlock(&vpid_lock);
	return vpid;
}

static void vpid_free(uint16_t vpid)
{
	spin_lock(&vpid_lock);
	vpid_used[vpid / 64] &= ~BIT(vpid % 64);
	spin_unlock(&vpid_lock);
}

struct vcpu *vcpu_create(hpa_t s2_root, const struct vcpu_limits *limits)
{
	struct vcpu *vcpu = page_new(sizeof(*vcpu));

	if (vcpu == NULL) {
		goto fail;
	}
	vcpu->fpu = page_new(fpu_area_size());
	if (vcpu->fpu == NULL) {
		goto free_vcpu;
	}
	vcpu->vmcs = page_alloc(0);
	if (hpa_is_none(vcpu->vmcs)) {
		goto free_fpu;
	}
	vcpu->vpid = vpid_alloc();
	if (vcpu->vpid == 0) {
		goto free_vmcs;
	}
	memset(hpa_to_virt(vcpu->vmcs), 0, PAGE_SIZE);
	*(uint32_t *)hpa_to_virt(vcpu->vmcs) = vmx.revision;
	fpu_area_init(vcpu->fpu);
	vcpu->cpu = -1;
	vcpu->last_cpu = -1;
	vcpu->limits = *limits;
	vcpu->ept_pointer = ept_pointer(s2_root);
	vcpu->parked.dr6 = DR6_INIT;
	vcpu->parked.xcr0 = XCR0_X87;
	vmclear(vcpu);
	return vcpu;

free_vmcs:
	page_free(vcpu->vmcs, 0);
free_fpu:
	page_delete(vcpu->fpu, fpu_area_size());
free_vcpu:
	page_delete(vcpu, sizeof(*vcpu));
fail:
	return NULL;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	CHECK(vcpu->cpu == -1);
	vpid_free(vcpu->vpid);
	page_free(vcpu->vmcs, 0);
	page_delete(vcpu->fpu, fpu_area_size());
	page_delete(vcpu, sizeof(*vcpu));
}

size_t vcpu_size(void)
{
	return sizeof(struct vcpu) + fpu_area_size() + PAGE_SIZE;
}

/* ---- Load and park ------------------------------------------------------ */

static void vmclear(struct vcpu *vcpu)
{
	bool failed;

	__asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vcpu->vmcs.v) : "memory");
	CHECK(!failed);
	vcpu->launched = false;
}

static void vmptrld(struct vcpu *vcpu)
{
	bool failed;

	__asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(vcpu->vmcs.v) : "memory");
	CHECK(!failed);
}

/* Without its control an instruction raises #UD (26.6.2): the guest's CPU lacks it. */
static uint32_t secondary_controls(const struct vcpu *vcpu)
{
	uint32_t controls = vmx.controls.secondary;

	if (!(vcpu->limits.insns & VCPU_INSN_RDTSCP)) {
		controls &= ~(uint32_t)SECONDARY_RDTSCP;
	}
	if (!(vcpu->limits.insns & VCPU_INSN_INVPCID)) {
		controls &= ~(uint32_t)SECONDARY_INVPCID;
	}
	return controls;
}

/* Controls and fields that never change while the vCPU exists. */
static void write_controls(struct vcpu *vcpu)
{
	const struct vmx_controls *controls = &vmx.controls;

	vmcs_write(VMCS_VPID, vcpu->vpid);
	vmcs_write(VMCS_IO_BITMAP_A, vmx.io_bitmaps.v);
	vmcs_write(VMCS_IO_BITMAP_B, vmx.io_bitmaps.v + PAGE_SIZE);
	vmcs_write(VMCS_MSR_BITMAP, vmx.msr_bitmap.v);
	vmcs_write(VMCS_TSC_OFFSET, 0);
	vmcs_write(VMCS_EPT_POINTER, vcpu->ept_pointer);
	vmcs_write(VMCS_LINK_POINTER, UINT64_MAX);
	vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_write(VMCS_PIN_CONTROLS, controls->pin);
	vmcs_write(VMCS_PRIMARY_CONTROLS, controls->primary);
	vmcs_write(VMCS_EXCEPTION_BITMAP, EXCEPTION_BITMAP);
	vmcs_write(VMCS_PAGE_FAULT_ERROR_MASK, 0);
	vmcs_write(VMCS_PAGE_FAULT_ERROR_MATCH, 0);
	vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
	vmcs_write(VMCS_EXIT_CONTROLS, controls->exit);
	vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write(VMCS_ENTRY_CONTROLS, controls->entry);
	vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write(VMCS_ENTRY_INTERRUPTION, 0);
	vmcs_write(VMCS_SECONDARY_CONTROLS, secondary_controls(vcpu));
	vmcs_write(VMCS_GUEST_ACTIVITY, 0);
	vmcs_write(VMCS_CR0_MASK, CR0_HOST_OWNED);
	vmcs_write(VMCS_CR4_MASK, ~vcpu->limits.cr4 | CR4_HOST_OWNED);
	vcpu->primary = controls->primary;
}

/* What an exit loads: this CPU's own state (26.5). */
static void write_host_state(void)
{
	const struct cpu *cpu = this_cpu();

	vmcs_write(VMCS_HOST_ES_SELECTOR, 0);
	vmcs_write(VMCS_HOST_CS_SELECTOR, SELECTOR_CODE);
	vmcs_write(VMCS_HOST_SS_SELECTOR, SELECTOR_DATA);
	vmcs_write(VMCS_HOST_DS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_FS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_GS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_TR_SELECTOR, SELECTOR_TSS);
	vmcs_write(VMCS_HOST_PAT, msr_read(MSR_PAT));
	vmcs_write(VMCS_HOST_EFER, msr_read(MSR_EFER));
	vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
	vmcs_write(VMCS_HOST_CR0, cr0_read());
	vmcs_write(VMCS_HOST_CR3, cr3_read());
	vmcs_write(VMCS_HOST_CR4, cr4_read());
	vmcs_write(VMCS_HOST_FS_BASE, 0);
	vmcs_write(VMCS_HOST_GS_BASE, (uint64_t)(uintptr_t)cpu);
	vmcs_write(VMCS_HOST_TR_BASE, (uint64_t)(uintptr_t)&cpu->tss);
	vmcs_write(VMCS_HOST_GDTR_BASE, (uint64_t)(uintptr_t)cpu->gdt);
	vmcs_write(VMCS_HOST_IDTR_BASE, idt_base());
	vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
	vmcs_write(VMCS_HOST_RIP, (uint64_t)(uintptr_t)vmx_exit_point);
}

/* The registers that exits leave in the CPU: out of it, and into it. */
static struct vcpu_parked live_read(void)
{
	CHECK(!this_cpu()->fpu_begun); /* XCR0 is not the guest's */
	return (struct vcpu_parked){
		.cr2 = cr2_read(),
		.dr = {dr0_read(), dr1_read(), dr2_read(), dr3_read()},
		.dr6 = dr6_read(),
		.xcr0 = xcr0_read(),
		.star = msr_read(MSR_STAR),
		.lstar = msr_read(MSR_LSTAR),
		.cstar = msr_read(MSR_CSTAR),
		.fmask = msr_read(MSR_FMASK),
		.kernel_gs_base = msr_read(MSR_KERNEL_GS_BASE),
		.tsc_aux = msr_read(MSR_TSC_AUX),
	};
}

static void live_write(const struct vcpu_parked *live)
{
	CHECK(!this_cpu()->fpu_begun);
	cr2_write(live->cr2);
	dr0_write(live->dr[0]);
	dr1_write(live->dr[1]);
	dr2_write(live->dr[2]);
	dr3_write(live->dr[3]);
	dr6_write(live->dr6);
	xcr0_write(live->xcr0);
	msr_write(MSR_STAR, live->star);
	msr_write(MSR_LSTAR, live->lstar);
	msr_write(MSR_CSTAR, live->cstar);
	msr_write(MSR_FMASK, live->fmask);
	msr_write(MSR_KERNEL_GS_BASE, live->kernel_gs_base);
	msr_write(MSR_TSC_AUX, live->tsc_aux);
}

/* XSAVE and XRSTOR move what XCR0 names: the host's, which is all of it. */
static void parked_load(const struct vcpu *vcpu)
{
	fpu_restore(vcpu->fpu);
	live_write(&vcpu->parked);
	this_cpu()->fpu_guest = vcpu->fpu;
}

static void parked_save(struct vcpu *vcpu)
{
	vcpu->parked = live_read();
	this_cpu()->fpu_guest = NULL;
	xcr0_write(fpu_features());
	fpu_save(vcpu->fpu);
}

void vcpu_park(struct vcpu *vcpu)
{
	if (vcpu->cpu == -1) {
		return;
	}
	CHECK(vcpu->cpu == (int)cpu_id());
	parked_save(vcpu);
	vmclear(vcpu);
	loaded[vcpu->cpu] = NULL;
	vcpu->cpu = -1;
}

static void load(struct vcpu *vcpu)
{
	int cpu = (int)cpu_id();

	CHECK(vcpu->cpu == -1);
	if (loaded[cpu] != NULL) {
		vcpu_park(loaded[cpu]);
	}
	vmptrld(vcpu);
	vcpu->cpu = cpu;
	loaded[cpu] = vcpu;
	if (vcpu->last_cpu == -1) {
		write_controls(vcpu);
	}
	write_host_state();
	vcpu->host_rsp = 0; /* written again by vmx_enter */
	parked_load(vcpu);
	if (vcpu->last_cpu != cpu) {
		/* This CPU may hold translations from an earlier stay. */
		vmx_invalidate_ept(vcpu->ept_pointer);
		vmx_invalidate_vpid(vcpu->vpid);
	}
	if (vcpu->last_cpu == -1) {
		struct vcpu_state state;

		guest_state_reset(&state);
		CHECK(vcpu_set_state(vcpu, &state) == 0);
	}
	vcpu->last_cpu = cpu;
}

static inline void ensure_loaded(struct vcpu *vcpu)
{
	if (vcpu->cpu == -1) {
		load(vcpu);
	}
}

/* ---- State -------------------------------------------------------------- */

uint64_t *vcpu_gpr(struct vcpu *vcpu)
{
	return vcpu->gpr;
}

uint64_t vcpu_get_rsp(struct vcpu *vcpu)
{
	ensure_loaded(vcpu);
	return vmcs_read(VMCS_GUEST_RSP);
}

void vcpu_set_rsp(struct vcpu *vcpu, uint64_t rsp)
{
	ensure_loaded(vcpu);
	vmcs_write(VMCS_GUEST_RSP, rsp);
}

static uint64_t get_cr0(void)
{
	return (vmcs_read(VMCS_GUEST_CR0) & ~CR0_HOST_OWNED) |
	       (vmcs_read(VMCS_CR0_SHADOW) & CR0_HOST_OWNED);
}

static uint64_t get_cr4(void)
{
	return (vmcs_read(VMCS_GUEST_CR4) & ~CR4_HOST_OWNED) |
	       (vmcs_read(VMCS_CR4_SHADOW) & CR4_HOST_OWNED);
}

/* Access rights of a VMCS segment: the neutral attributes, as they are (table 26-2). */
static struct vcpu_segment get_segment(unsigned index)
{
	return (struct vcpu_segment){
		.base = vmcs_read(VMCS_GUEST_ES_BASE + 2 * index),
		.limit = (uint32_t)vmcs_read(VMCS_GUEST_ES_LIMIT + 2 * index),
		.attributes = (uint32_t)vmcs_read(VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * index),
		.selector = (uint16_t)vmcs_read(VMCS_GUEST_ES_SELECTOR + 2 * index),
	};
}

static void set_segment(unsigned index, const struct vcpu_segment *segment)
{
	vmcs_write(VMCS_GUEST_ES_BASE + 2 * index, segment->base);
	vmcs_write(VMCS_GUEST_ES_LIMIT + 2 * index, segment->limit);
	vmcs_write(VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * index, segment->attributes);
	vmcs_write(VMCS_GUEST_ES_SELECTOR + 2 * index, segment->selector);
}

void vcpu_set_rflags(struct vcpu *vcpu, uint64_t rflags)
{
	ensure_loaded(vcpu);
	vmcs_write(VMCS_GUEST_RFLAGS, rflags);
}

struct vcpu_segment vcpu_get_segment(struct vcpu *vcpu, enum segment segment)
{
	ensure_loaded(vcpu);
	return get_segment(segment);
}

void vcpu_get_mode(struct vcpu *vcpu, struct vcpu_mode *mode)
{
	uint64_t cs, ss;

	ensure_loaded(vcpu);
	cs = vmcs_read(VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * SEG_CS);
	ss = vmcs_read(VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * SEG_SS);
	*mode = (struct vcpu_mode){
		.rip = vmcs_read(VMCS_GUEST_RIP),
		.rflags = vmcs_read(VMCS_GUEST_RFLAGS),
		.cr0 = get_cr0(),
		.cr3 = vmcs_read(VMCS_GUEST_CR3),
		.cr4 = get_cr4(),
		.efer = vmcs_read(VMCS_GUEST_EFER),
		.cs_base = vmcs_read(VMCS_GUEST_ES_BASE + 2 * SEG_CS),
		/* The privilege level is that of SS (SDM 3, 26.4.1). */
		.cpl = (uint8_t)field_get(SEG_ATTR_DPL, ss),
	};
	mode->code_size = cs & SEG_ATTR_DB ? 4 : 2;
	if ((mode->efer & EFER_LMA) && (cs & SEG_ATTR_L)) {
		mode->code_size = 8;
	}
}

void vcpu_get_cpuid_state(struct vcpu *vcpu, uint64_t *cr4, uint64_t *xcr0)
{
	ensure_loaded(vcpu);
	*cr4 = get_cr4();
	*xcr0 = xcr0_read();
}

static void get_event(const struct vcpu *vcpu, struct vcpu_state *state)
{
	static const uint8_t kinds[8] = {
		[INTERRUPTION_EXTERNAL] = VCPU_EVENT_INTERRUPT,
		[INTERRUPTION_NMI] = VCPU_EVENT_NMI,
		[INTERRUPTION_EXCEPTION] = VCPU_EVENT_EXCEPTION,
		[INTERRUPTION_SOFTWARE] = VCPU_EVENT_SOFTWARE_INTERRUPT,
		[INTERRUPTION_PRIVILEGED_EXCEPTION] = VCPU_EVENT_PRIVILEGED_EXCEPTION,
		[INTERRUPTION_SOFTWARE_EXCEPTION] = VCPU_EVENT_SOFTWARE_EXCEPTION,
	};
	const struct vcpu_event *event = &vcpu->event;

	if (event->interruption & INTERRUPTION_VALID) {
		state->event_kind = kinds[field_get(INTERRUPTION_TYPE, event->interruption)];
		state->event_vector = field_get(INTERRUPTION_VECTOR, event->interruption);
		state->event_has_error = (event->interruption & INTERRUPTION_HAS_ERROR) != 0;
		state->event_error = event->error;
		state->event_length = event->length;
	}
}

static void set_event(struct vcpu *vcpu, const struct vcpu_state *state)
{
	static const uint8_t types[] = {
		[VCPU_EVENT_INTERRUPT] = INTERRUPTION_EXTERNAL,
		[VCPU_EVENT_NMI] = INTERRUPTION_NMI,
		[VCPU_EVENT_EXCEPTION] = INTERRUPTION_EXCEPTION,
		[VCPU_EVENT_SOFTWARE_INTERRUPT] = INTERRUPTION_SOFTWARE,
		[VCPU_EVENT_PRIVILEGED_EXCEPTION] = INTERRUPTION_PRIVILEGED_EXCEPTION,
		[VCPU_EVENT_SOFTWARE_EXCEPTION] = INTERRUPTION_SOFTWARE_EXCEPTION,
	};

	vcpu->event = (struct vcpu_event){0};
	if (state->event_kind != VCPU_EVENT_NONE) {
		vcpu->event = (struct vcpu_event){
			.interruption =
				(uint32_t)(INTERRUPTION_VALID |
					   field_set(INTERRUPTION_TYPE, types[state->event_kind]) |
					   field_set(INTERRUPTION_VECTOR, state->event_vector) |
					   (state->event_has_error ? INTERRUPTION_HAS_ERROR : 0)),
			.error = (uint32_t)state->event_error,
			.length = (uint32_t)state->event_length,
		};
	}
}

void vcpu_get_state(struct vcpu *vcpu, struct vcpu_state *state)
{
	struct vcpu_parked live;

	ensure_loaded(vcpu);
	live = live_read();
	*state = (struct vcpu_state){
		.rip = vmcs_read(VMCS_GUEST_RIP),
		.rflags = vmcs_read(VMCS_GUEST_RFLAGS),
		.gdtr_base = vmcs_read(VMCS_GUEST_GDTR_BASE),
		.idtr_base = vmcs_read(VMCS_GUEST_IDTR_BASE),
		.gdtr_limit = (uint32_t)vmcs_read(VMCS_GUEST_GDTR_LIMIT),
		.idtr_limit = (uint32_t)vmcs_read(VMCS_GUEST_IDTR_LIMIT),
		.cr0 = get_cr0(),
		.cr2 = live.cr2,
		.cr3 = vmcs_read(VMCS_GUEST_CR3),
		.cr4 = get_cr4(),
		.xcr0 = live.xcr0,
		.dr = {live.dr[0], live.dr[1], live.dr[2], live.dr[3]},
		.dr6 = live.dr6,
		.dr7 = vmcs_read(VMCS_GUEST_DR7),
		.efer = vmcs_read(VMCS_GUEST_EFER),
		.pat = vmcs_read(VMCS_GUEST_PAT),
		.star = live.star,
		.lstar = live.lstar,
		.cstar = live.cstar,
		.fmask = live.fmask,
		.kernel_gs_base = live.kernel_gs_base,
		.tsc_aux = live.tsc_aux,
		.sysenter_cs = vmcs_read(VMCS_GUEST_SYSENTER_CS),
		.sysenter_esp = vmcs_read(VMCS_GUEST_SYSENTER_ESP),
		.sysenter_eip = vmcs_read(VMCS_GUEST_SYSENTER_EIP),
		.interruptibility = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY),
		.pending_debug = vmcs_read(VMCS_GUEST_PENDING_DEBUG),
	};
	memcpy(state->gpr, vcpu->gpr, sizeof(state->gpr));
	state->gpr[GPR_RSP] = vmcs_read(VMCS_GUEST_RSP);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		state->segment[i] = get_segment(i);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(state->pdpte); i++) {
		state->pdpte[i] = vmcs_read(VMCS_GUEST_PDPTE0 + 2 * i);
	}
	get_event(vcpu, state);
}

static void set_control_registers(const struct vcpu_state *state)
{
	uint64_t entry = vmcs_read(VMCS_ENTRY_CONTROLS) & ~ENTRY_CTL_IA32E_GUEST;

	vmcs_write(VMCS_GUEST_CR0,
		   (state->cr0 & ~(CR0_NW | CR0_CD)) | (vmx.cr0_fixed1 & ~(CR0_PE | CR0_PG)));
	vmcs_write(VMCS_CR0_SHADOW, state->cr0);
	vmcs_write(VMCS_GUEST_CR3, state->cr3);
	vmcs_write(VMCS_GUEST_CR4,
		   (state->cr4 & ~CR4_HOST_OWNED) | vmx.cr4_fixed1 | (cr4_read() & CR4_MCE));
	vmcs_write(VMCS_CR4_SHADOW, state->cr4);
	vmcs_write(VMCS_GUEST_EFER, state->efer);
	vmcs_write(VMCS_ENTRY_CONTROLS,
		   entry | (state->efer & EFER_LMA ? ENTRY_CTL_IA32E_GUEST : 0));
	for (unsigned i = 0; i < ARRAY_SIZE(state->pdpte); i++) {
		vmcs_write(VMCS_GUEST_PDPTE0 + 2 * i, state->pdpte[i]);
	}
}

int vcpu_set_state(struct vcpu *vcpu, const struct vcpu_state *state)
{
	const char *wrong = guest_state_check(state, &vcpu->limits);
	const struct vcpu_parked live = {
		.cr2 = state->cr2,
		.dr = {state->dr[0], state->dr[1], state->dr[2], state->dr[3]},
		.dr6 = state->dr6,
		.xcr0 = state->xcr0,
		.star = state->star,
		.lstar = state->lstar,
		.cstar = state->cstar,
		.fmask = state->fmask,
		.kernel_gs_base = state->kernel_gs_base,
		.tsc_aux = state->tsc_aux,
	};

	if (wrong != NULL) {
		log_error("vCPU state refused: %s", wrong);
		return -EINVAL;
	}
	ensure_loaded(vcpu);
	memcpy(vcpu->gpr, state->gpr, sizeof(vcpu->gpr));
	vmcs_write(VMCS_GUEST_RSP, state->gpr[GPR_RSP]);
	vmcs_write(VMCS_GUEST_RIP, state->rip);
	vmcs_write(VMCS_GUEST_RFLAGS, state->rflags);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		set_segment(i, &state->segment[i]);
	}
	vmcs_write(VMCS_GUEST_GDTR_BASE, state->gdtr_base);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, state->gdtr_limit);
	vmcs_write(VMCS_GUEST_IDTR_BASE, state->idtr_base);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, state->idtr_limit);
	set_control_registers(state);
	vmcs_write(VMCS_GUEST_DR7, state->dr7);
	vmcs_write(VMCS_GUEST_PAT, state->pat);
	vmcs_write(VMCS_GUEST_SYSENTER_CS, state->sysenter_cs);
	vmcs_write(VMCS_GUEST_SYSENTER_ESP, state->sysenter_esp);
	vmcs_write(VMCS_GUEST_SYSENTER_EIP, state->sysenter_eip);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state->interruptibility);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, state->pending_debug);
	vmcs_write(VMCS_GUEST_ACTIVITY, 0);
	live_write(&live);
	set_event(vcpu, state);
	vcpu->triple_fault = false;
	return 0;
}

void vcpu_advance(struct vcpu *vcpu, unsigned length)
{
	uint64_t rip, blocking;

	ensure_loaded(vcpu);
	rip = vmcs_read(VMCS_GUEST_RIP) + length;
	blocking = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
	if (rip - 4 * GIB < length && !(vmcs_read(VMCS_ENTRY_CONTROLS) & ENTRY_CTL_IA32E_GUEST)) {
		rip = (uint32_t)rip; /* it wraps outside long mode */
	}
	vmcs_write(VMCS_GUEST_RIP, rip);
	if (blocking & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)) {
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
			   blocking & ~(BLOCKED_BY_STI | BLOCKED_BY_MOV_SS));
	}
	if (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_TF) {
		/* A single step over it traps behind it, as without us. */
		vmcs_write(VMCS_GUEST_PENDING_DEBUG, PENDING_DEBUG_SINGLE_STEP);
	}
}

/* Only EFER's writes exit; the others the CPU itself checks as it stores them. */
int vcpu_write_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	uint64_t old;

	if (index != MSR_EFER) {
		return -ENOENT;
	}
	ensure_loaded(vcpu);
	old = vmcs_read(VMCS_GUEST_EFER);
	value = (value & ~EFER_LMA) | (old & EFER_LMA); /* LMA is read-only */
	if (value & ~(vcpu->limits.efer | EFER_LMA)) {
		return -EINVAL;
	}
	if (((value ^ old) & EFER_LME) && (vmcs_read(VMCS_GUEST_CR0) & CR0_PG)) {
		return -EINVAL;
	}
	vmcs_write(VMCS_GUEST_EFER, value);
	return 0;
}

void vcpu_set_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
	ensure_loaded(vcpu);
	vmcs_write(VMCS_TSC_OFFSET, offset);
}

/* ---- Events -------------------------------------------------------------- */

bool vcpu_can_take_interrupt(struct vcpu *vcpu)
{
	ensure_loaded(vcpu);
	return !(vcpu->event.interruption & INTERRUPTION_VALID) &&
	       (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF) &&
	       !(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS));
}

bool vcpu_can_take_nmi(struct vcpu *vcpu)
{
	ensure_loaded(vcpu);
	return !(vcpu->event.interruption & INTERRUPTION_VALID) &&
	       !(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) &
		 (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS | BLOCKED_BY_NMI));
}

static void inject(struct vcpu *vcpu, enum interruption_type type, uint8_t vector)
{
	CHECK(!(vcpu->event.interruption & INTERRUPTION_VALID));
	vcpu->event = (struct vcpu_event){
		.interruption = (uint32_t)(INTERRUPTION_VALID | field_set(INTERRUPTION_TYPE, type) |
					   vector),
	};
}

void vcpu_inject_interrupt(struct vcpu *vcpu, uint8_t vector)
{
	inject(vcpu, INTERRUPTION_EXTERNAL, vector);
}

void vcpu_inject_nmi(struct vcpu *vcpu)
{
	inject(vcpu, INTERRUPTION_NMI, 2);
}

/* Exceptions in whose delivery a second one is a double fault (table 6-5). */
static bool is_contributory(uint64_t vector)
{
	return vector == 0 || (vector >= 10 && vector <= 13);
}

void vcpu_inject_exception(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
	uint32_t first = vcpu->event.interruption;

	if (first & INTERRUPTION_VALID) {
		uint64_t first_vector = field_get(INTERRUPTION_VECTOR, first);
		uint64_t type = field_get(INTERRUPTION_TYPE, first);

		if (type == INTERRUPTION_EXTERNAL || type == INTERRUPTION_NMI) {
			/* It must not be lost: it is delivered anew, and this fault with it. */
			return;
		}
		if (type == INTERRUPTION_EXCEPTION && first_vector == VECTOR_DF) {
			vcpu->triple_fault = true;
			return;
		}
		/* A software event's instruction runs again: only the fault counts. */
		if (type == INTERRUPTION_EXCEPTION &&
		    ((is_contributory(first_vector) && is_contributory(vector)) ||
		     (first_vector == VECTOR_PF &&
		      (is_contributory(vector) || vector == VECTOR_PF)))) {
			vector = VECTOR_DF;
			has_error = true;
			error = 0;
		}
	}
	vcpu->event = (struct vcpu_event){
		.interruption = (uint32_t)(INTERRUPTION_VALID |
					   field_set(INTERRUPTION_TYPE, INTERRUPTION_EXCEPTION) |
					   (has_error ? INTERRUPTION_HAS_ERROR : 0) | vector),
		.error = error,
	};
	/* No error code is pushed in real mode (27.2.1.3). */
	if (!(vmcs_read(VMCS_GUEST_CR0) & CR0_PE)) {
		vcpu->event.interruption &= ~(uint32_t)INTERRUPTION_HAS_ERROR;
	}
}

void vcpu_set_cr2(struct vcpu *vcpu, uint64_t cr2)
{
	ensure_loaded(vcpu);
	cr2_write(cr2);
}

static void want_window(struct vcpu *vcpu, uint64_t control, bool want)
{
	uint32_t primary = (uint32_t)((vcpu->primary & ~control) | (want ? control : 0));

	if (primary != vcpu->primary) {
		ensure_loaded(vcpu);
		vmcs_write(VMCS_PRIMARY_CONTROLS, primary);
		vcpu->primary = primary;
	}
}

void vcpu_want_irq_window(struct vcpu *vcpu, bool want)
{
	want_window(vcpu, PRIMARY_INTERRUPT_WINDOW, want);
}

void vcpu_want_nmi_window(struct vcpu *vcpu, bool want)
{
	bool is_sti;

	ensure_loaded(vcpu);
	/* STI need not hold back an NMI window (26.2), but it does an interrupt's. */
	is_sti = want && (vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & BLOCKED_BY_STI);
	want_window(vcpu, is_sti ? PRIMARY_INTERRUPT_WINDOW : PRIMARY_NMI_WINDOW, want);
}

/* ---- Run ------------------------------------------------------------------ */

/* Ticks until the deadline in the unit of the preemption timer; 0: it has come. */
static uint64_t timer_ticks(struct vcpu *vcpu, uint64_t deadline_ns)
{
	uint64_t now = tsc_now();

	if (deadline_ns != vcpu->deadline_ns) {
		vcpu->deadline_ns = deadline_ns;
		vcpu->deadline_tsc =
			deadline_ns == TIME_NEVER ? TIME_NEVER : ns_to_tsc(deadline_ns);
	}
	if (vcpu->deadline_tsc <= now) {
		return 0;
	}
	return MIN(((vcpu->deadline_tsc - now) >> vmx.timer_shift) + 1, (uint64_t)UINT32_MAX);
}

static void write_event(struct vcpu *vcpu)
{
	struct vcpu_event *event = &vcpu->event;

	vmcs_write(VMCS_ENTRY_INTERRUPTION, event->interruption);
	if (event->interruption & INTERRUPTION_HAS_ERROR) {
		vmcs_write(VMCS_ENTRY_ERROR_CODE, event->error);
	}
	if (field_get(INTERRUPTION_TYPE, event->interruption) >= INTERRUPTION_SOFTWARE) {
		vmcs_write(VMCS_ENTRY_LENGTH, event->length);
	}
	/* The CPU clears the valid bit of the field at the exit (28.2.5). */
	event->interruption = 0;
}

void vcpu_run(struct vcpu *vcpu, uint64_t generation, uint64_t deadline_ns, struct exit *exit)
{
	uint64_t ticks;

	CHECK(!this_cpu()->fpu_begun);
	ensure_loaded(vcpu);
	if (vcpu->triple_fault) {
		*exit = (struct exit){.reason = EXIT_TRIPLE_FAULT};
		return;
	}
	ticks = timer_ticks(vcpu, deadline_ns);
	if (ticks == 0) {
		vcpu_take_interrupts();
		*exit = (struct exit){.reason = EXIT_DEADLINE};
		return;
	}
	vmcs_write(VMCS_PREEMPTION_TIMER, ticks);
	if (generation != vcpu->generation) {
		vmx_invalidate_ept(vcpu->ept_pointer);
		vcpu->generation = generation;
	}
	if (vcpu->event.interruption & INTERRUPTION_VALID) {
		write_event(vcpu);
	}
	if (vmx_enter(vcpu, vcpu->launched) != 0) {
		log_error("VM entry failed: VM-instruction error %lu (SDM 3, table 32-1)",
			  vmcs_read(VMCS_INSTRUCTION_ERROR));
		*exit = (struct exit){.reason = EXIT_FATAL,
				      .why = "VM entry failed: invalid control fields"};
		return;
	}
	vcpu->launched = true;
	vmx_exit_decode(vcpu, exit);
}
