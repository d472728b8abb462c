/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual's rules for guest state, as one list of sentences.
 */
#include "arch/x86_64/guest_state.h"

#include <string.h>

#include "arch/x86_64/registers.h"

#define ATTR_TYPE_DATA 3 /* read-write, accessed */
#define ATTR_TYPE_CODE 11 /* execute-read, accessed */
#define ATTR_TYPE_STACK_DOWN 7 /* data that expands down */
#define ATTR_TYPE_LDT 2
#define ATTR_TYPE_TSS_BUSY_16 3
#define ATTR_TYPE_TSS_BUSY 11
#define ATTR_RESERVED (BITS(31, 17) | BITS(11, 8))
#define ATTR_VIRTUAL_8086 0xf3 /* DPL 3, present, read-write, accessed */

#define CR0_RESERVED                                                                        \
	(~(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | \
	   CR0_CD | CR0_PG))
#define RFLAGS_RESERVED (BITS(63, 22) | BIT(15) | BIT(5) | BIT(3))
#define PAT_RESERVED UINT64_C(0xf8f8f8f8f8f8f8f8)
#define PDPTE_PRESENT BIT(0)
#define PDPTE_RESERVED (BITS(63, 52) | BITS(8, 5) | BITS(2, 1))
/* Pending debug exceptions (SDM 3, table 26-4) */
#define DEBUG_BREAKPOINTS BITS(3, 0)
#define DEBUG_ENABLED BIT(12)
#define DEBUG_STEP BIT(14)
/* Exceptions that push an error code outside real mode. */
#define VECTORS_WITH_ERROR (BIT(8) | BITS(14, 10) | BIT(17))

void guest_state_reset(struct vcpu_state *state)
{
	static const uint32_t data = SEG_ATTR_P | SEG_ATTR_S | ATTR_TYPE_DATA;

	*state = (struct vcpu_state){
		.rip = 0xfff0,
		.rflags = RFLAGS_FIXED1,
		.gdtr_limit = 0xffff,
		.idtr_limit = 0xffff,
		.cr0 = CR0_CD | CR0_NW | CR0_ET,
		.xcr0 = XCR0_X87,
		.dr6 = DR6_INIT,
		.dr7 = DR7_INIT,
		.pat = UINT64_C(0x0007040600070406),
	};
	for (unsigned i = 0; i <= SEG_GS; i++) {
		state->segment[i] = (struct vcpu_segment){.limit = 0xffff, .attributes = data};
	}
	state->segment[SEG_CS].selector = 0xf000;
	state->segment[SEG_CS].base = 0xffff0000;
	state->segment[SEG_CS].attributes = SEG_ATTR_P | SEG_ATTR_S | ATTR_TYPE_CODE;
	state->segment[SEG_LDTR] =
		(struct vcpu_segment){.limit = 0xffff, .attributes = SEG_ATTR_P | ATTR_TYPE_LDT};
	state->segment[SEG_TR] = (struct vcpu_segment){
		.limit = 0xffff, .attributes = SEG_ATTR_P | ATTR_TYPE_TSS_BUSY};
}

bool guest_xcr0_is_valid(uint64_t value, uint64_t allowed)
{
	if (!(value & XCR0_X87) || (value & ~allowed)) {
		return false;
	}
	if ((value & XCR0_AVX) && !(value & XCR0_SSE)) {
		return false;
	}
	if ((value & XCR0_MPX) != 0 && (value & XCR0_MPX) != XCR0_MPX) {
		return false;
	}
	return !(value & XCR0_AVX512) ||
	       ((value & XCR0_AVX512) == XCR0_AVX512 && (value & XCR0_AVX));
}

static bool is_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static bool pat_is_valid(uint64_t pat)
{
	if (pat & PAT_RESERVED) {
		return false;
	}
	for (unsigned i = 0; i < 64; i += 8) {
		uint64_t type = pat >> i & 7;

		if (type == 2 || type == 3) {
			return false;
		}
	}
	return true;
}

/* PAE paging takes them from here and not from memory (SDM 3, 28.3.1.6). */
static bool pdptes_are_valid(const struct vcpu_state *s)
{
	if (!(s->cr0 & CR0_PG) || !(s->cr4 & CR4_PAE) || (s->efer & EFER_LMA)) {
		return true;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(s->pdpte); i++) {
		if ((s->pdpte[i] & PDPTE_PRESENT) && (s->pdpte[i] & PDPTE_RESERVED)) {
			return false;
		}
	}
	return true;
}

static const char *check_control_registers(const struct vcpu_state *s,
					   const struct vcpu_limits *limits)
{
	bool lma = (s->efer & EFER_LMA) != 0;

	if (s->cr0 & CR0_RESERVED) {
		return "CR0 has reserved bits set";
	}
	if ((s->cr0 & CR0_PG) && !(s->cr0 & CR0_PE)) {
		return "CR0.PG is set without CR0.PE";
	}
	if ((s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD)) {
		return "CR0.NW is set without CR0.CD";
	}
	if (s->cr4 & ~limits->cr4) {
		return "CR4 has bits that this guest's CPU does not have";
	}
	if (s->efer & ~(limits->efer | EFER_LMA)) {
		return "EFER has bits that this guest's CPU does not have";
	}
	if (lma != ((s->efer & EFER_LME) && (s->cr0 & CR0_PG))) {
		return "EFER.LMA is not EFER.LME and CR0.PG";
	}
	if (lma && !(s->cr4 & CR4_PAE)) {
		return "long mode is active without CR4.PAE";
	}
	if (!lma && (s->cr4 & CR4_PCIDE)) {
		return "CR4.PCIDE is set outside long mode";
	}
	if (s->cr3 >> 52) {
		return "CR3 is beyond the physical addresses";
	}
	if (!pdptes_are_valid(s)) {
		return "a PDPTE has reserved bits set";
	}
	if (!guest_xcr0_is_valid(s->xcr0, limits->xcr0 | XCR0_X87)) {
		return "XCR0 has an impossible value";
	}
	if (s->dr7 >> 32 || s->dr6 >> 32) {
		return "DR6 or DR7 has its high half set";
	}
	if (!pat_is_valid(s->pat)) {
		return "PAT has an undefined memory type";
	}
	if (!is_canonical(s->sysenter_esp) || !is_canonical(s->sysenter_eip) ||
	    !is_canonical(s->lstar) || !is_canonical(s->cstar) ||
	    !is_canonical(s->kernel_gs_base)) {
		return "an address in an MSR is not canonical";
	}
	if (s->fmask >> 32 || s->tsc_aux >> 32) {
		return "FMASK or TSC_AUX has its high half set";
	}
	return NULL;
}

static bool limit_fits(const struct vcpu_segment *segment)
{
	bool g = (segment->attributes & SEG_ATTR_G) != 0;

	return g ? (segment->limit & 0xfff) == 0xfff : segment->limit >> 20 == 0;
}

static uint64_t type_of(const struct vcpu_segment *segment)
{
	return field_get(SEG_ATTR_TYPE, segment->attributes);
}

static uint64_t dpl_of(const struct vcpu_segment *segment)
{
	return field_get(SEG_ATTR_DPL, segment->attributes);
}

static const char *check_code(const struct vcpu_state *s)
{
	const struct vcpu_segment *cs = &s->segment[SEG_CS];
	uint64_t type = type_of(cs);
	bool lma = (s->efer & EFER_LMA) != 0;

	if (cs->attributes & SEG_UNUSABLE) {
		return "CS is unusable";
	}
	if (type != ATTR_TYPE_DATA && type != 9 && type != 11 && type != 13 && type != 15) {
		return "CS is neither accessed code nor the flat data of real mode";
	}
	if (lma && (cs->attributes & SEG_ATTR_L) && (cs->attributes & SEG_ATTR_DB)) {
		return "CS is 64-bit and 32-bit at once";
	}
	return NULL;
}

/* The level is that of SS, also when SS is unusable; conforming code lies above it. */
static const char *check_privilege(const struct vcpu_state *s)
{
	const struct vcpu_segment *cs = &s->segment[SEG_CS];
	uint64_t type = type_of(cs), level = dpl_of(&s->segment[SEG_SS]);
	bool conforms = type == 13 || type == 15;

	if ((type == ATTR_TYPE_DATA || !(s->cr0 & CR0_PE)) && level != 0) {
		return "SS has a privilege level in real mode";
	}
	if (conforms ? dpl_of(cs) > level : dpl_of(cs) != level) {
		return "CS and SS differ in their privilege level";
	}
	return NULL;
}

static const char *check_usable(const struct vcpu_segment *segment, unsigned index)
{
	uint64_t type = type_of(segment);

	if (!(segment->attributes & SEG_ATTR_S) || !(segment->attributes & SEG_ATTR_P) ||
	    (segment->attributes & ATTR_RESERVED)) {
		return "a segment is not a present code or data segment";
	}
	if (!(type & 1)) {
		return "a segment is not marked accessed";
	}
	if (index == SEG_SS && type != ATTR_TYPE_DATA && type != ATTR_TYPE_STACK_DOWN) {
		return "SS is not writable data";
	}
	if (index != SEG_CS && (type == 9 || type == 13)) {
		return "a data segment is code that cannot be read";
	}
	if (!limit_fits(segment)) {
		return "a segment's limit does not fit its granularity";
	}
	if (index < SEG_FS && segment->base >> 32) {
		return "a segment's base is beyond its addresses";
	}
	return NULL;
}

/* CS, SS and the data segments (28.3.1.2). */
static const char *check_user_segments(const struct vcpu_state *s)
{
	const char *wrong = check_code(s);

	if (!is_canonical(s->segment[SEG_FS].base) || !is_canonical(s->segment[SEG_GS].base)) {
		return "the base of FS or GS is not canonical";
	}
	for (unsigned i = 0; i <= SEG_GS && wrong == NULL; i++) {
		if (!(s->segment[i].attributes & SEG_UNUSABLE)) {
			wrong = check_usable(&s->segment[i], i);
		}
	}
	return wrong != NULL ? wrong : check_privilege(s);
}

static const char *check_virtual_8086(const struct vcpu_state *s)
{
	for (unsigned i = 0; i <= SEG_GS; i++) {
		const struct vcpu_segment *segment = &s->segment[i];

		if (segment->base != (uint64_t)segment->selector << 4 || segment->limit != 0xffff ||
		    segment->attributes != ATTR_VIRTUAL_8086) {
			return "a segment is not one of virtual-8086 mode";
		}
	}
	return NULL;
}

static const char *check_segments(const struct vcpu_state *s)
{
	const struct vcpu_segment *tr = &s->segment[SEG_TR];
	const struct vcpu_segment *ldtr = &s->segment[SEG_LDTR];
	uint64_t tr_type = type_of(tr);
	bool lma = (s->efer & EFER_LMA) != 0;
	const char *wrong = s->rflags & RFLAGS_VM ? check_virtual_8086(s) : check_user_segments(s);

	if (wrong != NULL) {
		return wrong;
	}
	if ((tr->attributes & SEG_UNUSABLE) || (tr->attributes & (SEG_ATTR_S | ATTR_RESERVED)) ||
	    !(tr->attributes & SEG_ATTR_P) || !limit_fits(tr) || !is_canonical(tr->base) ||
	    (tr->selector & 4) ||
	    (tr_type != ATTR_TYPE_TSS_BUSY && (lma || tr_type != ATTR_TYPE_TSS_BUSY_16))) {
		return "TR is not a busy task state segment";
	}
	if (!(ldtr->attributes & SEG_UNUSABLE) &&
	    (type_of(ldtr) != ATTR_TYPE_LDT || (ldtr->attributes & (SEG_ATTR_S | ATTR_RESERVED)) ||
	     !(ldtr->attributes & SEG_ATTR_P) || !limit_fits(ldtr) || !is_canonical(ldtr->base) ||
	     (ldtr->selector & 4))) {
		return "LDTR is not a local descriptor table";
	}
	if (!is_canonical(s->gdtr_base) || !is_canonical(s->idtr_base) || s->gdtr_limit > 0xffff ||
	    s->idtr_limit > 0xffff) {
		return "GDTR or IDTR is out of range";
	}
	return NULL;
}

/* What VM entry asks of an event that it injects (28.2.1.3, 28.3.1.4, 28.3.1.5). */
static bool event_is_possible(const struct vcpu_state *s)
{
	uint64_t vector = s->event_vector, blocked = s->interruptibility;
	bool is_protected = (s->cr0 & CR0_PE) != 0;

	if (vector > 255 || s->event_error >> 16 || s->event_length > 15 ||
	    (s->event_kind != VCPU_EVENT_EXCEPTION && s->event_has_error)) {
		return false;
	}
	switch (s->event_kind) {
	case VCPU_EVENT_NONE:
		return true;
	case VCPU_EVENT_INTERRUPT:
		return (s->rflags & RFLAGS_IF) && !(blocked & 3);
	case VCPU_EVENT_NMI:
		return vector == 2 && blocked == 0;
	case VCPU_EVENT_EXCEPTION:
		return vector <= 31 &&
		       s->event_has_error == (is_protected && (VECTORS_WITH_ERROR >> vector & 1));
	case VCPU_EVENT_SOFTWARE_INTERRUPT:
	case VCPU_EVENT_PRIVILEGED_EXCEPTION:
	case VCPU_EVENT_SOFTWARE_EXCEPTION:
		return s->event_length > 0;
	default:
		return false;
	}
}

/* A single step that is held back must be pending, and no other then (28.3.1.5). */
static bool pending_debug_is_possible(const struct vcpu_state *s)
{
	bool step = (s->pending_debug & DEBUG_STEP) != 0;
	bool held_back = (s->interruptibility & 3) != 0;

	return !(s->pending_debug & ~(DEBUG_BREAKPOINTS | DEBUG_ENABLED | DEBUG_STEP)) &&
	       (!held_back || step == ((s->rflags & RFLAGS_TF) != 0));
}

static const char *check_rip_and_event(const struct vcpu_state *s)
{
	bool code64 = (s->efer & EFER_LMA) && (s->segment[SEG_CS].attributes & SEG_ATTR_L);
	uint64_t blocked = s->interruptibility;

	/* Just behind the last canonical address is still possible: the fetch faults. */
	if (code64 ? s->rip >> 48 != 0 && s->rip >> 48 != 0xffff : s->rip >> 32 != 0) {
		return "RIP is beyond the addresses of its mode";
	}
	if ((s->rflags & RFLAGS_RESERVED) || !(s->rflags & RFLAGS_FIXED1)) {
		return "RFLAGS has reserved bits changed";
	}
	if ((s->rflags & RFLAGS_VM) && ((s->efer & EFER_LMA) || !(s->cr0 & CR0_PE))) {
		return "RFLAGS.VM is set outside protected mode";
	}
	if ((blocked & ~(BIT(0) | BIT(1) | BIT(3))) || (blocked & 3) == 3 ||
	    ((blocked & BIT(0)) && !(s->rflags & RFLAGS_IF))) {
		return "the interruptibility state is impossible";
	}
	if (!pending_debug_is_possible(s)) {
		return "the pending debug exceptions are impossible";
	}
	if (!event_is_possible(s)) {
		return "the pending event is impossible";
	}
	return NULL;
}

const char *guest_state_check(const struct vcpu_state *state, const struct vcpu_limits *limits)
{
	const char *wrong = check_control_registers(state, limits);

	if (wrong == NULL) {
		wrong = check_segments(state);
	}
	if (wrong == NULL) {
		wrong = check_rip_and_event(state);
	}
	return wrong;
}
