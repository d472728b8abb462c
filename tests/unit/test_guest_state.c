/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vCPU's state may be: states that CPUs are in, and each of them with
 * one field changed, which is either still possible or breaks a rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86_64/guest_state.h"
#include "arch/x86_64/registers.h"
#include "vmm/loader.h"

#define CR0_BASE (CR0_PE | CR0_ET)
#define NOT_CANONICAL (UINT64_C(1) << 47)
#define KERNEL UINT64_C(0xffffffff80000000)

static const struct vcpu_limits limits = {
	.cr4 = CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | 1,
	.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX,
	.efer = EFER_SCE | EFER_LME | EFER_NXE,
};

/* ---- States that pass --------------------------------------------------------- */

static void state_flat(struct vcpu_state *s)
{
	struct loader loader = {.state = s};

	loader_state_flat(&loader, 0x100000);
}

static void state_real(struct vcpu_state *s)
{
	guest_state_reset(s);
	s->rip = 0x7c00;
	s->segment[SEG_CS].base = 0;
	s->segment[SEG_CS].selector = 0;
	s->segment[SEG_CS].attributes = 0x93;
}

static void state_long(struct vcpu_state *s)
{
	state_flat(s);
	s->rip = KERNEL;
	s->cr0 |= CR0_PG;
	s->cr3 = 0x1000;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
	s->segment[SEG_CS].attributes = 0xa09b;
}

/* 64-bit, CPL 3, without a stack or data segment. */
static void state_user(struct vcpu_state *s)
{
	state_long(s);
	s->rip = 0x400000;
	s->rflags |= RFLAGS_IF;
	s->segment[SEG_CS].attributes = 0xa0fb;
	s->segment[SEG_SS].attributes = SEG_UNUSABLE | 0x60;
	for (unsigned i = SEG_DS; i <= SEG_GS; i++) {
		s->segment[i] = (struct vcpu_segment){.attributes = SEG_UNUSABLE};
	}
	s->segment[SEG_FS].base = 0x7fff12345000;
}

static void state_pae(struct vcpu_state *s)
{
	state_flat(s);
	s->cr0 |= CR0_PG;
	s->cr4 = CR4_PAE;
	s->pdpte[0] = 0xffffffffff001;
	s->pdpte[3] = UINT64_MAX - 1; /* not present: nothing else counts */
}

static void state_32_bit_paging(struct vcpu_state *s)
{
	state_flat(s);
	s->cr0 |= CR0_PG;
}

static void state_virtual_8086(struct vcpu_state *s)
{
	state_flat(s);
	s->rip = 0x100;
	s->rflags |= RFLAGS_VM;
	for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
		s->segment[i] = (struct vcpu_segment){
			.selector = 0x1234, .base = 0x12340, .limit = 0xffff, .attributes = 0xf3};
	}
}

static void state_with_exception(struct vcpu_state *s)
{
	state_flat(s);
	s->event_kind = VCPU_EVENT_EXCEPTION;
	s->event_vector = 13;
	s->event_has_error = 1;
	s->event_error = 0x18;
}

static void state_with_interrupt(struct vcpu_state *s)
{
	state_flat(s);
	s->rflags |= RFLAGS_IF;
	s->event_kind = VCPU_EVENT_INTERRUPT;
	s->event_vector = 0x40;
}

static void state_with_nmi(struct vcpu_state *s)
{
	state_flat(s);
	s->rflags |= RFLAGS_IF;
	s->event_kind = VCPU_EVENT_NMI;
	s->event_vector = 2;
}

static void state_with_int_n(struct vcpu_state *s)
{
	state_flat(s);
	s->event_kind = VCPU_EVENT_SOFTWARE_INTERRUPT;
	s->event_vector = 0x80;
	s->event_length = 2;
}

/* Behind MOV SS, with a single step to come. */
static void state_held_step(struct vcpu_state *s)
{
	state_flat(s);
	s->rflags |= RFLAGS_TF;
	s->interruptibility = BIT(1);
	s->pending_debug = BIT(14);
}

/* ---- One field of them changed --------------------------------------------------- */

#define SET(member, value) \
	offsetof(struct vcpu_state, member), sizeof(((struct vcpu_state *)0)->member), value

#define POSSIBLE NULL

static const char unaccessed[] = "a segment is not marked accessed";
static const char absent[] = "a segment is not a present code or data segment";
static const char limit[] = "a segment's limit does not fit its granularity";
static const char base[] = "a segment's base is beyond its addresses";
static const char privilege[] = "CS and SS differ in their privilege level";
static const char fs_gs[] = "the base of FS or GS is not canonical";
static const char msr[] = "an address in an MSR is not canonical";
static const char tr[] = "TR is not a busy task state segment";
static const char ldtr[] = "LDTR is not a local descriptor table";
static const char table[] = "GDTR or IDTR is out of range";
static const char code[] = "CS is neither accessed code nor the flat data of real mode";
static const char rip[] = "RIP is beyond the addresses of its mode";
static const char rflags[] = "RFLAGS has reserved bits changed";
static const char blocking[] = "the interruptibility state is impossible";
static const char debug[] = "the pending debug exceptions are impossible";
static const char event[] = "the pending event is impossible";
static const char cr4[] = "CR4 has bits that this guest's CPU does not have";
static const char efer[] = "EFER has bits that this guest's CPU does not have";
static const char lma[] = "EFER.LMA is not EFER.LME and CR0.PG";
static const char pat[] = "PAT has an undefined memory type";
static const char dr[] = "DR6 or DR7 has its high half set";
static const char pdpte[] = "a PDPTE has reserved bits set";
static const char fmask[] = "FMASK or TSC_AUX has its high half set";
static const char v86[] = "a segment is not one of virtual-8086 mode";

/* In the order of the checks. */
static const struct change {
	void (*state)(struct vcpu_state *state);
	size_t at, size;
	uint64_t value;
	const char *sentence;
} changes[] = {
	{state_flat, SET(cr0, CR0_BASE | BIT(6)), "CR0 has reserved bits set"},
	{state_flat, SET(cr0, CR0_BASE | BIT(32)), "CR0 has reserved bits set"},
	{state_flat, SET(cr0, CR0_BASE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM),
	 POSSIBLE},
	{state_real, SET(cr0, CR0_ET | CR0_PG), "CR0.PG is set without CR0.PE"},
	{state_flat, SET(cr0, CR0_BASE | CR0_NW), "CR0.NW is set without CR0.CD"},
	{state_flat, SET(cr0, CR0_BASE | CR0_NW | CR0_CD), POSSIBLE},
	{state_flat, SET(cr4, CR4_VMXE), cr4},
	{state_flat, SET(cr4, BIT(63)), cr4},
	{state_flat, SET(cr4, CR4_PSE | CR4_PGE), POSSIBLE},
	{state_flat, SET(efer, BIT(1)), efer},
	{state_flat, SET(efer, BIT(12)), efer},
	{state_flat, SET(efer, EFER_SCE | EFER_NXE | EFER_LME), POSSIBLE},
	{state_flat, SET(efer, EFER_LMA), lma},
	{state_long, SET(efer, EFER_LME), lma},
	{state_long, SET(efer, EFER_LMA), lma},
	{state_long, SET(cr0, CR0_BASE), lma},
	{state_long, SET(cr4, 0), "long mode is active without CR4.PAE"},
	{state_flat, SET(cr4, CR4_PCIDE), "CR4.PCIDE is set outside long mode"},
	{state_long, SET(cr4, CR4_PAE | CR4_PCIDE), POSSIBLE},
	{state_long, SET(cr3, BIT(52)), "CR3 is beyond the physical addresses"},
	{state_long, SET(cr3, BIT(51)), POSSIBLE},
	{state_pae, SET(pdpte[0], 0x1003), pdpte},
	{state_pae, SET(pdpte[1], 0x1021), pdpte},
	{state_pae, SET(pdpte[2], 0x1101), pdpte},
	{state_pae, SET(pdpte[3], BIT(52) | 1), pdpte},
	{state_pae, SET(pdpte[3], 0x1e19), POSSIBLE},
	{state_long, SET(pdpte[0], UINT64_MAX), POSSIBLE},
	{state_flat, SET(pdpte[0], UINT64_MAX), POSSIBLE},
	{state_32_bit_paging, SET(pdpte[0], UINT64_MAX), POSSIBLE},
	{state_flat, SET(xcr0, XCR0_SSE), "XCR0 has an impossible value"},
	{state_flat, SET(xcr0, 0xe7), "XCR0 has an impossible value"},
	{state_flat, SET(xcr0, 7), POSSIBLE},
	{state_flat, SET(dr7, BIT(32)), dr},
	{state_flat, SET(dr6, BIT(32)), dr},
	{state_flat, SET(pat, 0x0007040600070402), pat},
	{state_flat, SET(pat, 0x0307040600070406), pat},
	{state_flat, SET(pat, 0x0007040608070406), pat},
	{state_flat, SET(pat, 0x0706050401000000), POSSIBLE},
	{state_flat, SET(sysenter_esp, NOT_CANONICAL), msr},
	{state_flat, SET(sysenter_eip, NOT_CANONICAL), msr},
	{state_flat, SET(lstar, NOT_CANONICAL), msr},
	{state_flat, SET(cstar, NOT_CANONICAL), msr},
	{state_flat, SET(kernel_gs_base, NOT_CANONICAL), msr},
	{state_flat, SET(lstar, KERNEL), POSSIBLE},
	{state_flat, SET(fmask, BIT(32)), fmask},
	{state_flat, SET(tsc_aux, BIT(32)), fmask},
	{state_flat, SET(star, UINT64_MAX), POSSIBLE},

	{state_flat, SET(segment[SEG_CS].attributes, SEG_UNUSABLE | 0xc09b), "CS is unusable"},
	{state_flat, SET(segment[SEG_CS].attributes, 0xc09a), code},
	{state_flat, SET(segment[SEG_CS].attributes, 0xc097), code},
	{state_flat, SET(segment[SEG_CS].attributes, 0xc099), POSSIBLE},
	{state_flat, SET(segment[SEG_CS].attributes, 0xc09f), POSSIBLE},
	{state_flat, SET(segment[SEG_CS].attributes, 0xc093), POSSIBLE},
	{state_long, SET(segment[SEG_CS].attributes, 0xe09b), "CS is 64-bit and 32-bit at once"},
	{state_flat, SET(segment[SEG_CS].attributes, 0xe09b), POSSIBLE},
	{state_user, SET(segment[SEG_CS].attributes, 0xc0fb), POSSIBLE},
	{state_user, SET(segment[SEG_FS].base, NOT_CANONICAL), fs_gs},
	{state_user, SET(segment[SEG_GS].base, NOT_CANONICAL), fs_gs},
	{state_flat, SET(segment[SEG_FS].base, NOT_CANONICAL), fs_gs},
	{state_flat, SET(segment[SEG_GS].base, KERNEL), POSSIBLE},
	{state_flat, SET(segment[SEG_CS].attributes, 0xc08b), absent},
	{state_flat, SET(segment[SEG_CS].attributes, 0xc01b), absent},
	{state_flat, SET(segment[SEG_DS].attributes, 0xc193), absent},
	{state_flat, SET(segment[SEG_DS].attributes, BIT(17) | 0xc093), absent},
	{state_flat, SET(segment[SEG_ES].attributes, 0xc092), unaccessed},
	{state_flat, SET(segment[SEG_ES].attributes, SEG_UNUSABLE), POSSIBLE},
	{state_flat, SET(segment[SEG_SS].attributes, 0xc09b), "SS is not writable data"},
	{state_flat, SET(segment[SEG_SS].attributes, 0xc091), "SS is not writable data"},
	{state_flat, SET(segment[SEG_SS].attributes, 0xc097), POSSIBLE},
	{state_flat, SET(segment[SEG_DS].attributes, 0xc099),
	 "a data segment is code that cannot be read"},
	{state_flat, SET(segment[SEG_GS].attributes, 0xc09d),
	 "a data segment is code that cannot be read"},
	{state_flat, SET(segment[SEG_DS].attributes, 0xc09b), POSSIBLE},
	{state_flat, SET(segment[SEG_DS].attributes, 0x4093), limit},
	{state_flat, SET(segment[SEG_DS].limit, 0xffffeffe), limit},
	{state_flat, SET(segment[SEG_DS].limit, 0xfff), POSSIBLE},
	{state_real, SET(segment[SEG_DS].limit, 0x100000), limit},
	{state_real, SET(segment[SEG_DS].limit, 0xfffff), POSSIBLE},
	{state_flat, SET(segment[SEG_DS].base, BIT(32)), base},
	{state_flat, SET(segment[SEG_CS].base, BIT(32)), base},
	{state_flat, SET(segment[SEG_SS].base, BIT(32) - 1), POSSIBLE},
	{state_real, SET(segment[SEG_SS].attributes, 0xf3),
	 "SS has a privilege level in real mode"},
	{state_real, SET(segment[SEG_CS].attributes, 0xf3), privilege},
	{state_flat, SET(segment[SEG_SS].attributes, 0xc0f3), privilege},
	{state_flat, SET(segment[SEG_CS].attributes, 0xc0fb), privilege},
	{state_flat, SET(segment[SEG_CS].attributes, 0xc0ff), privilege},
	{state_user, SET(segment[SEG_CS].attributes, 0xa09b), privilege},
	{state_user, SET(segment[SEG_CS].attributes, 0xa09f), POSSIBLE},
	{state_user, SET(segment[SEG_SS].attributes, 0xc0f3 | SEG_UNUSABLE), POSSIBLE},
	{state_virtual_8086, SET(segment[SEG_CS].base, 0x12350), v86},
	{state_virtual_8086, SET(segment[SEG_GS].limit, 0xfffff), v86},
	{state_virtual_8086, SET(segment[SEG_SS].attributes, 0x93), v86},
	{state_virtual_8086, SET(segment[SEG_ES].selector, 0), v86},
	{state_flat, SET(segment[SEG_TR].attributes, SEG_UNUSABLE | 0x8b), tr},
	{state_flat, SET(segment[SEG_TR].attributes, 0x9b), tr},
	{state_flat, SET(segment[SEG_TR].attributes, 0x18b), tr},
	{state_flat, SET(segment[SEG_TR].attributes, 0x0b), tr},
	{state_flat, SET(segment[SEG_TR].attributes, 0x89), tr},
	{state_flat, SET(segment[SEG_TR].attributes, 0x83), POSSIBLE},
	{state_long, SET(segment[SEG_TR].attributes, 0x83), tr},
	{state_long, SET(segment[SEG_TR].limit, 0x100000), tr},
	{state_long, SET(segment[SEG_TR].base, NOT_CANONICAL), tr},
	{state_long, SET(segment[SEG_TR].base, KERNEL), POSSIBLE},
	{state_long, SET(segment[SEG_TR].selector, 4), tr},
	{state_real, SET(segment[SEG_LDTR].attributes, 0x83), ldtr},
	{state_real, SET(segment[SEG_LDTR].attributes, 0x92), ldtr},
	{state_real, SET(segment[SEG_LDTR].attributes, 0x182), ldtr},
	{state_real, SET(segment[SEG_LDTR].attributes, 0x02), ldtr},
	{state_real, SET(segment[SEG_LDTR].limit, 0x100000), ldtr},
	{state_real, SET(segment[SEG_LDTR].base, NOT_CANONICAL), ldtr},
	{state_real, SET(segment[SEG_LDTR].selector, 4), ldtr},
	{state_flat, SET(segment[SEG_LDTR].selector, 4), POSSIBLE},
	{state_flat, SET(gdtr_base, NOT_CANONICAL), table},
	{state_flat, SET(idtr_base, NOT_CANONICAL), table},
	{state_flat, SET(gdtr_limit, 0x10000), table},
	{state_flat, SET(idtr_limit, 0x10000), table},

	{state_flat, SET(rip, BIT(32)), rip},
	{state_long, SET(rip, BIT(48)), rip},
	{state_long, SET(rip, UINT64_C(0xfffe) << 48), rip},
	/* Where a program gets that runs past the end of its half. */
	{state_long, SET(rip, NOT_CANONICAL), POSSIBLE},
	{state_flat, SET(rflags, 0), rflags},
	{state_flat, SET(rflags, 2 | BIT(3)), rflags},
	{state_flat, SET(rflags, 2 | BIT(5)), rflags},
	{state_flat, SET(rflags, 2 | BIT(15)), rflags},
	{state_flat, SET(rflags, 2 | BIT(22)), rflags},
	{state_flat, SET(rflags, 0x3d7fd7 & ~RFLAGS_VM), POSSIBLE},
	{state_virtual_8086, SET(cr0, CR0_ET), "RFLAGS.VM is set outside protected mode"},
	{state_flat, SET(interruptibility, BIT(1)), POSSIBLE},
	{state_flat, SET(interruptibility, BIT(3)), POSSIBLE},
	{state_user, SET(interruptibility, BIT(0)), POSSIBLE},
	{state_flat, SET(interruptibility, BIT(0)), blocking},
	{state_user, SET(interruptibility, 3), blocking},
	{state_flat, SET(interruptibility, BIT(2)), blocking},
	{state_flat, SET(interruptibility, BIT(4)), blocking},
	{state_flat, SET(pending_debug, BITS(3, 0) | BIT(12) | BIT(14)), POSSIBLE},
	{state_flat, SET(pending_debug, BIT(4)), debug},
	{state_flat, SET(pending_debug, BIT(11)), debug},
	{state_flat, SET(pending_debug, BIT(13)), debug},
	{state_flat, SET(pending_debug, BIT(15)), debug},
	{state_flat, SET(pending_debug, BIT(63)), debug},
	{state_held_step, SET(dr6, DR6_INIT), POSSIBLE},
	{state_held_step, SET(pending_debug, 0), debug},
	{state_held_step, SET(rflags, 2), debug},
	{state_held_step, SET(interruptibility, 0), POSSIBLE},

	{state_flat, SET(event_kind, VCPU_EVENT_SOFTWARE_EXCEPTION + 1), event},
	{state_flat, SET(event_has_error, 1), event},
	{state_with_exception, SET(event_vector, 32), event},
	{state_with_exception, SET(event_vector, 6), event},
	{state_with_exception, SET(event_vector, 17), POSSIBLE},
	{state_with_exception, SET(event_has_error, 0), event},
	{state_with_exception, SET(event_has_error, 2), event},
	{state_with_exception, SET(event_error, 0x10000), event},
	{state_with_exception, SET(event_error, 0xffff), POSSIBLE},
	{state_with_exception, SET(cr0, CR0_ET), event},
	{state_with_exception, SET(event_length, 16), event},
	{state_with_interrupt, SET(event_vector, 256), event},
	{state_with_interrupt, SET(event_vector, 255), POSSIBLE},
	{state_with_interrupt, SET(event_has_error, 1), event},
	{state_with_interrupt, SET(rflags, 2), event},
	{state_with_interrupt, SET(interruptibility, BIT(0)), event},
	{state_with_interrupt, SET(interruptibility, BIT(1)), event},
	{state_with_interrupt, SET(interruptibility, BIT(3)), POSSIBLE},
	{state_with_nmi, SET(event_vector, 3), event},
	{state_with_nmi, SET(interruptibility, BIT(0)), event},
	{state_with_nmi, SET(interruptibility, BIT(1)), event},
	{state_with_nmi, SET(interruptibility, BIT(3)), event},
	{state_with_int_n, SET(event_length, 0), event},
	{state_with_int_n, SET(event_kind, VCPU_EVENT_EXCEPTION), event},
	{state_with_int_n, SET(event_length, 15), POSSIBLE},
	{state_with_int_n, SET(event_kind, VCPU_EVENT_PRIVILEGED_EXCEPTION), POSSIBLE},
	{state_with_int_n, SET(event_kind, VCPU_EVENT_SOFTWARE_EXCEPTION), POSSIBLE},
};

static void check(const struct vcpu_state *state, const char *sentence, size_t row)
{
	const char *found = guest_state_check(state, &limits);

	if (found == NULL || sentence == NULL ? found != sentence : strcmp(found, sentence) != 0) {
		fail_msg("row %zu: \"%s\" instead of \"%s\"", row,
			 found != NULL ? found : "possible",
			 sentence != NULL ? sentence : "possible");
	}
}

static void test_changes(void **state)
{
	struct vcpu_state s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		const struct change *change = &changes[i];

		change->state(&s);
		check(&s, POSSIBLE, i);
		memcpy((uint8_t *)&s + change->at, &change->value, change->size);
		check(&s, change->sentence, i);
	}
}

/* SDM 3, table 11-1. */
static void test_reset(void **state)
{
	struct vcpu_state s;

	(void)state;
	guest_state_reset(&s);
	check(&s, POSSIBLE, 0);
	assert_int_equal(s.rip, 0xfff0);
	assert_int_equal(s.rflags, 2);
	assert_int_equal(s.cr0, 0x60000010);
	assert_int_equal(s.cr4, 0);
	assert_int_equal(s.efer, 0);
	assert_int_equal(s.dr6, 0xffff0ff0);
	assert_int_equal(s.dr7, 0x400);
	assert_int_equal(s.pat, 0x0007040600070406);
	assert_int_equal(s.xcr0, 1);
	assert_int_equal(s.segment[SEG_CS].selector, 0xf000);
	assert_int_equal(s.segment[SEG_CS].base, 0xffff0000);
	assert_int_equal(s.segment[SEG_CS].attributes, 0x9b);
	assert_int_equal(s.segment[SEG_GS].attributes, 0x93);
	assert_int_equal(s.segment[SEG_LDTR].attributes, 0x82);
	assert_int_equal(s.segment[SEG_TR].attributes, 0x8b);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		assert_int_equal(s.segment[i].limit, 0xffff);
		assert_int_equal(s.segment[i].selector, i == SEG_CS ? 0xf000 : 0);
	}
}

/* SDM 1, 13.3: x87 always; AVX needs SSE; MPX and AVX-512 whole, the latter with AVX. */
static void test_xcr0(void **state)
{
	static const struct {
		uint64_t value, allowed;
		bool valid;
	} cases[] = {
		{0x1, 0x1, true},    {0x0, 0xff, false},   {0x2, 0xff, false},
		{0x3, 0x3, true},    {0x3, 0x1, false},	   {0x7, 0x7, true},
		{0x5, 0xff, false},  {0x7, 0x3, false},	   {0x9, 0xff, false},
		{0x11, 0xff, false}, {0x19, 0xff, true},   {0x1f, 0xff, true},
		{0x1f, 0x7, false},  {0x27, 0xff, false},  {0x47, 0xff, false},
		{0x87, 0xff, false}, {0x67, 0xff, false},  {0xe7, 0xff, true},
		{0xe3, 0xff, false}, {0xe1, 0xff, false},  {0xff, 0xff, true},
		{0xe7, 0x7, false},  {0x101, 0xff, false}, {BIT(63) | 1, 0xff, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (guest_xcr0_is_valid(cases[i].value, cases[i].allowed) != cases[i].valid) {
			fail_msg("XCR0 0x%lx of 0x%lx", cases[i].value, cases[i].allowed);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_xcr0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
