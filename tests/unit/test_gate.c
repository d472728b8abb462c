/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The feature gate: a CPU with everything passes, and each thing that one lacks
 * is named, alone and with its remedy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "arch/x86_64/gate.h"

/* As a Skylake server shows them; the firmware left IA32_FEATURE_CONTROL open. */
static const struct gate_facts good = {
	.vendor = {'G', 'e', 'n', 'u', 'i', 'n', 'e', 'I', 'n', 't', 'e', 'l'},
	.leaf1_ecx = LEAF1_ECX_VMX,
	.basic = 0x00d8100000000004,
	.pin = 0x0000007f00000016,
	.primary = 0xfff9fffe0401e172,
	.secondary = 0x025d7fff00000000,
	.exit = 0x01ffffff00036dff,
	.entry = 0x0003ffff000011ff,
	.ept_vpid = 0x00000f0106334141,
};

static struct gate_result check(const struct gate_facts *facts)
{
	static struct gate_result result;

	memset(&result, 0xff, sizeof(result));
	gate_check(facts, &result);
	return result;
}

/* One sentence, which holds both texts. */
static void expect_only(const struct gate_facts *facts, const char *what, const char *how)
{
	struct gate_result result = check(facts);

	assert_int_equal(result.count, 1);
	if (!strstr(result.missing[0], what) || !strstr(result.missing[0], how)) {
		fail_msg("\"%s\" names not \"%s\" and \"%s\"", result.missing[0], what, how);
	}
}

static void lets_a_whole_cpu_pass(void **state)
{
	struct gate_facts facts = good;

	(void)state;
	assert_int_equal(check(&facts).count, 0);
	facts.feature_control = 5;
	assert_int_equal(check(&facts).count, 0);
	facts.feature_control = 4;
	assert_int_equal(check(&facts).count, 0);
}

static void names_the_lock_with_its_value(void **state)
{
	struct gate_facts facts = good;

	(void)state;
	facts.feature_control = 1;
	expect_only(&facts, "locked by firmware (IA32_FEATURE_CONTROL=0x1)",
		    "enable \"Intel Virtualization Technology\" in setup");
	facts.feature_control = 3; /* inside SMX only */
	expect_only(&facts, "IA32_FEATURE_CONTROL=0x3", "in setup");
}

static void tells_why_there_is_no_vmx(void **state)
{
	struct gate_facts facts = {.vendor = "GenuineInte"};

	(void)state;
	expect_only(&facts, "no VT-x", "in setup");
	facts.leaf1_ecx = LEAF1_ECX_HYPERVISOR;
	expect_only(&facts, "virtual machine", "nested");
	memcpy(facts.vendor, "AuthenticAMD", sizeof(facts.vendor));
	expect_only(&facts, "AMD", "not supported yet");
}

/* Each fact without each bit that is needed. */
static void names_each_missing_feature(void **state)
{
	static const struct {
		size_t fact;
		unsigned bit;
		const char *name;
	} cases[] = {
		{offsetof(struct gate_facts, basic), 55, "TRUE"},
		{offsetof(struct gate_facts, basic), 51, "uncached"},
		{offsetof(struct gate_facts, pin), 32 + 0, "external-interrupt"},
		{offsetof(struct gate_facts, pin), 32 + 3, "virtual NMIs"},
		{offsetof(struct gate_facts, pin), 32 + 5, "virtual NMIs"},
		{offsetof(struct gate_facts, pin), 32 + 6, "preemption timer"},
		{offsetof(struct gate_facts, primary), 32 + 3, "TSC offsetting"},
		{offsetof(struct gate_facts, primary), 32 + 7, "HLT exiting"},
		{offsetof(struct gate_facts, primary), 32 + 10, "MWAIT"},
		{offsetof(struct gate_facts, primary), 32 + 11, "RDPMC"},
		{offsetof(struct gate_facts, primary), 32 + 19, "CR8-load"},
		{offsetof(struct gate_facts, primary), 32 + 20, "CR8-store"},
		{offsetof(struct gate_facts, primary), 32 + 25, "I/O bitmaps"},
		{offsetof(struct gate_facts, primary), 32 + 28, "MSR bitmaps"},
		{offsetof(struct gate_facts, primary), 32 + 29, "MONITOR"},
		{offsetof(struct gate_facts, primary), 32 + 31, "secondary controls"},
		{offsetof(struct gate_facts, secondary), 32 + 1, "(EPT)"},
		{offsetof(struct gate_facts, secondary), 32 + 3, "RDTSCP"},
		{offsetof(struct gate_facts, secondary), 32 + 5, "(VPID)"},
		{offsetof(struct gate_facts, secondary), 32 + 7, "unrestricted"},
		{offsetof(struct gate_facts, exit), 32 + 2, "debug registers at VM exit"},
		{offsetof(struct gate_facts, exit), 32 + 9, "64-bit host"},
		{offsetof(struct gate_facts, exit), 32 + 18, "IA32_PAT at VM exit"},
		{offsetof(struct gate_facts, exit), 32 + 19, "IA32_PAT at VM exit"},
		{offsetof(struct gate_facts, exit), 32 + 20, "IA32_EFER at VM exit"},
		{offsetof(struct gate_facts, exit), 32 + 21, "IA32_EFER at VM exit"},
		{offsetof(struct gate_facts, entry), 32 + 2, "debug registers at VM entry"},
		{offsetof(struct gate_facts, entry), 32 + 9, "64-bit guests"},
		{offsetof(struct gate_facts, entry), 32 + 14, "IA32_PAT at VM entry"},
		{offsetof(struct gate_facts, entry), 32 + 15, "IA32_EFER at VM entry"},
		{offsetof(struct gate_facts, ept_vpid), 6, "4 levels"},
		{offsetof(struct gate_facts, ept_vpid), 14, "write-back"},
		{offsetof(struct gate_facts, ept_vpid), 16, "2 MiB"},
		{offsetof(struct gate_facts, ept_vpid), 25, "INVEPT"},
		{offsetof(struct gate_facts, ept_vpid), 32, "INVVPID"},
		{offsetof(struct gate_facts, ept_vpid), 41, "INVVPID"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gate_facts facts = good;
		uint64_t fact;

		memcpy(&fact, (char *)&facts + cases[i].fact, sizeof(fact));
		fact &= ~BIT(cases[i].bit);
		memcpy((char *)&facts + cases[i].fact, &fact, sizeof(fact));
		expect_only(&facts, cases[i].name, "a newer Intel CPU is needed");
		facts.leaf1_ecx |= LEAF1_ECX_HYPERVISOR;
		expect_only(&facts, cases[i].name, "its host must offer nested VT-x");
	}
}

/* In the order of the facts, and never more than fit. */
static void names_all_that_an_early_cpu_lacks(void **state)
{
	struct gate_facts facts = {.leaf1_ecx = LEAF1_ECX_VMX, .feature_control = 1};
	struct gate_result result = check(&facts);

	(void)state;
	assert_in_range(result.count, 26, GATE_MISSING_MAX - 1);
	assert_non_null(strstr(result.missing[0], "locked"));
	for (unsigned i = 0; i < result.count; i++) {
		assert_true(strlen(result.missing[i]) < GATE_SENTENCE_MAX - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lets_a_whole_cpu_pass),
		cmocka_unit_test(names_the_lock_with_its_value),
		cmocka_unit_test(tells_why_there_is_no_vmx),
		cmocka_unit_test(names_each_missing_feature),
		cmocka_unit_test(names_all_that_an_early_cpu_lacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
