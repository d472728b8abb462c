/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual's rules for guest state, as one list of sentences.
 */
#include "arch/x86_64/guest_state.h"

#include <string.h>

#include "arch/x86_64/registers.h"

#define ATTR_TYPE_DATA 3 /* read-write, accessed */
#define ATTR_TYPE_CODE 11 /* execute-read, accessed */
#define ATTR_TYPE_LDT 2
#define ATTR_TYPE_TSS_BUSY_16 3
#define ATTR_TYPE_TSS_BUSY 11
#define ATTR_RESERVED (BITS(31, 17) | BITS(11, 8))

#define CR0_RESERVED                                                                        \
	(~(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | \
	   CR0_CD | CR0_PG))
#define RFLAGS_RESERVED (BITS(63, 22) | BIT(15) | BIT(5) | BIT(3))
#define PAT_RESERVED UINT64_C(0xf8f8f8f8f8f8f8f8)

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
	return NULL;
}

static bool limit_fits(const struct vcpu_segment *segment)
{
	bool g = (segment->attributes & SEG_ATTR_G) != 0;

	return g ? (segment->limit & 0xfff) == 0xfff : segment->limit >> 20 == 0;
}

static const char *check_code(const struct vcpu_state *s)
{
	const struct vcpu_segment *cs = &s->segment[SEG_CS];
	uint64_t type = field_get(SEG_ATTR_TYPE, cs->attributes);
	bool lma = (s->efer & EFER_LMA) != 0;

	if (cs->attributes & SEG_UNUSABLE) {
		return "CS is unusable";
	}
	if (type != 3 && type != 9 && type != 11 && type != 13 && type != 15) {
		return "CS is neither accessed code nor the flat data of real mode";
	}
	if (lma && (cs->attributes & SEG_ATTR_L) && (cs->attributes & SEG_ATTR_DB)) {
		return "CS is 64-bit and 32-bit at once";
	}
	return NULL;
}

static const char *check_segments(const struct vcpu_state *s)
{
	const struct vcpu_segment *tr = &s->segment[SEG_TR];
	const struct vcpu_segment *ldtr = &s->segment[SEG_LDTR];
	uint64_t tr_type = field_get(SEG_ATTR_TYPE, tr->attributes);
	bool lma = (s->efer & EFER_LMA) != 0;
	const char *wrong = check_code(s);

	for (unsigned i = 0; i <= SEG_GS && wrong == NULL; i++) {
		const struct vcpu_segment *segment = &s->segment[i];

		if (segment->attributes & SEG_UNUSABLE) {
			continue;
		}
		if (!(segment->attributes & SEG_ATTR_S) || !(segment->attributes & SEG_ATTR_P) ||
		    (segment->attributes & ATTR_RESERVED)) {
			wrong = "a segment is not a present code or data segment";
		} else if (!(segment->attributes & 1)) {
			wrong = "a segment is not marked accessed";
		} else if (!limit_fits(segment)) {
			wrong = "a segment's limit does not fit its granularity";
		} else if (i >= SEG_FS ? !is_canonical(segment->base) : segment->base >> 32) {
			wrong = "a segment's base is beyond its addresses";
		}
	}
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
	    (field_get(SEG_ATTR_TYPE, ldtr->attributes) != ATTR_TYPE_LDT ||
	     (ldtr->attributes & (SEG_ATTR_S | ATTR_RESERVED)) ||
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

static const char *check_rip_and_event(const struct vcpu_state *s)
{
	bool code64 = (s->efer & EFER_LMA) && (s->segment[SEG_CS].attributes & SEG_ATTR_L);
	uint64_t blocked = s->interruptibility;

	if (code64 ? !is_canonical(s->rip) : s->rip >> 32) {
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
	if (s->event_kind > VCPU_EVENT_SOFTWARE_EXCEPTION || s->event_vector > 255 ||
	    s->event_has_error > 1 || s->event_error >> 32 || s->event_length > 15 ||
	    (s->event_kind == VCPU_EVENT_NMI && s->event_vector != 2) ||
	    (s->event_kind == VCPU_EVENT_EXCEPTION && s->event_vector > 31) ||
	    (s->event_kind != VCPU_EVENT_EXCEPTION && s->event_has_error) ||
	    (s->event_kind == VCPU_EVENT_INTERRUPT &&
	     (!(s->rflags & RFLAGS_IF) || (blocked & 3)))) {
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
