/* SPDX-License-Identifier: Apache-2.0 */
/* The CPUID policy, over hosts that have everything, nothing, or all but one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/cpuid.h"

static const struct cpuid_clocks clocks = {.tsc_hz = 2095076543, .apic_hz = 1000000000};
static struct cpuid_policy policy;
static char error[CPUID_ERROR_MAX];

/* ---- Hosts ---------------------------------------------------------------------- */

/* Every bit of every feature, three caches, and AVX-512 in XCR0. */
static struct cpuid host_full(uint32_t leaf, uint32_t subleaf)
{
	static const struct cpuid components[] = {
		[2] = {0x100, 0x240, 0, 0}, [5] = {0x40, 0x440, 0, 0}, [6] = {0x200, 0x480, 0, 0},
		[7] = {0x400, 0x680, 2, 0}, [9] = {8, 0xa80, 0, 0},
	};
	const struct cpuid ones = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};

	switch (leaf) {
	case 0:
		return (struct cpuid){0x20, 0x756e6547, 0x6c65746e, 0x49656e69};
	case 1:
		return (struct cpuid){0x00050654, 0x07100800, UINT32_MAX, UINT32_MAX};
	case 4:
		return subleaf < 3 ? (struct cpuid){0xfc3fc121 + subleaf, 1, 2, 3}
				   : (struct cpuid){0};
	case 7:
		return subleaf == 0 ? (struct cpuid){2, UINT32_MAX, UINT32_MAX, UINT32_MAX} : ones;
	case 0xd:
		return subleaf < 2			  ? ones
		       : subleaf < ARRAY_SIZE(components) ? components[subleaf]
							  : (struct cpuid){0};
	case 0x80000000:
		return (struct cpuid){.eax = 0x80000008};
	case 0x80000002:
		return (struct cpuid){0x74736f48, 0, 0, 0};
	case 0x80000008:
		return (struct cpuid){0x392e, UINT32_MAX, UINT32_MAX, UINT32_MAX};
	default:
		return ones;
	}
}

/* An old one, whose last leaf answers for those beyond it. */
static struct cpuid host_old(uint32_t leaf, uint32_t subleaf)
{
	switch (leaf) {
	case 0:
		return (struct cpuid){0x2, 0x756e6547, 0x6c65746e, 0x49656e69};
	case 1:
		/* SSE3, SSSE3, CX16; no SSE4, no POPCNT, no XSAVE. */
		return (struct cpuid){0x000006fb, 0x00020800, 0x00002201, 0xbfebfbff};
	case 0x80000000:
		return (struct cpuid){.eax = 0x80000001};
	case 0x80000001:
		return (struct cpuid){.ecx = 1, .edx = 0x20100800};
	case 4:
	case 0xd:
		return (struct cpuid){0};
	default:
		(void)subleaf;
		return (struct cpuid){UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
	}
}

static void init(enum config_cpu cpu, struct cpuid (*host)(uint32_t, uint32_t))
{
	int result = cpuid_policy_init(&policy, cpu, clocks, host, error);

	if (result != 0) {
		fail_msg("%s", error);
	}
}

static struct cpuid get(uint32_t leaf, uint32_t subleaf)
{
	const struct cpuid_state state = {.cr4 = 0, .xcr0 = 7, .apic_enabled = true};

	return cpuid_policy_get(&policy, leaf, subleaf, cpuid_needs_state(leaf) ? &state : NULL);
}

static void assert_cpuid(struct cpuid found, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	assert_int_equal(found.eax, eax);
	assert_int_equal(found.ebx, ebx);
	assert_int_equal(found.ecx, ecx);
	assert_int_equal(found.edx, edx);
}

/* ---- Tests ------------------------------------------------------------------------ */

/* What must never be seen, whatever the host has. */
static void test_hidden(void **state)
{
	static const struct {
		const char *name;
		uint32_t leaf, subleaf, word, bit;
	} hidden[] = {
		{"DTES64", 1, 0, 2, 2},	    {"MONITOR", 1, 0, 2, 3},	  {"DS-CPL", 1, 0, 2, 4},
		{"VMX", 1, 0, 2, 5},	    {"SMX", 1, 0, 2, 6},	  {"EIST", 1, 0, 2, 7},
		{"TM2", 1, 0, 2, 8},	    {"PDCM", 1, 0, 2, 15},	  {"DCA", 1, 0, 2, 18},
		{"OSXSAVE", 1, 0, 2, 27},   {"PSN", 1, 0, 3, 18},	  {"DS", 1, 0, 3, 21},
		{"ACPI", 1, 0, 3, 22},	    {"HTT", 1, 0, 3, 28},	  {"TM", 1, 0, 3, 29},
		{"PBE", 1, 0, 3, 31},	    {"TSC_ADJUST", 7, 0, 1, 1},	  {"SGX", 7, 0, 1, 2},
		{"HLE", 7, 0, 1, 4},	    {"RTM", 7, 0, 1, 11},	  {"PQM", 7, 0, 1, 12},
		{"MPX", 7, 0, 1, 14},	    {"PQE", 7, 0, 1, 15},	  {"PT", 7, 0, 1, 25},
		{"PKU", 7, 0, 2, 3},	    {"OSPKE", 7, 0, 2, 4},	  {"WAITPKG", 7, 0, 2, 5},
		{"CET_SS", 7, 0, 2, 7},	    {"LA57", 7, 0, 2, 16},	  {"KL", 7, 0, 2, 23},
		{"ENQCMD", 7, 0, 2, 29},    {"PKS", 7, 0, 2, 31},	  {"UINTR", 7, 0, 3, 5},
		{"HYBRID", 7, 0, 3, 15},    {"PCONFIG", 7, 0, 3, 18},	  {"LBR", 7, 0, 3, 19},
		{"CET_IBT", 7, 0, 3, 20},   {"AMX_BF16", 7, 0, 3, 22},	  {"AMX_TILE", 7, 0, 3, 24},
		{"SPEC_CTRL", 7, 0, 3, 26}, {"ARCH_CAP", 7, 0, 3, 29},	  {"CORE_CAP", 7, 0, 3, 30},
		{"HRESET", 7, 1, 0, 22},    {"LAM", 7, 1, 0, 26},	  {"XSAVES", 0xd, 1, 0, 3},
		{"XFD", 0xd, 1, 0, 4},	    {"SVM", 0x80000001, 0, 2, 2},
	};

	(void)state;
	for (unsigned cpu = CPU_POLICY_HOST; cpu <= CPU_POLICY_X86_64_V3; cpu++) {
		init(cpu, host_full);
		for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++) {
			struct cpuid cpuid = get(hidden[i].leaf, hidden[i].subleaf);
			const uint32_t words[] = {cpuid.eax, cpuid.ebx, cpuid.ecx, cpuid.edx};

			if ((words[hidden[i].word] & BIT(hidden[i].bit)) != 0) {
				fail_msg("policy %u shows %s", cpu, hidden[i].name);
			}
		}
		/* Leaves of what is not there: MONITOR, PMU, SGX, PT, topology v2 and up. */
		static const uint32_t zero[] = {3,    5,    8,	  9,	0xa,	    0xc,
						0xe,  0xf,  0x10, 0x11, 0x12,	    0x13,
						0x14, 0x17, 0x1f, 0x20, 0x80000006, 0x80000009};
		for (unsigned i = 0; i < ARRAY_SIZE(zero); i++) {
			assert_cpuid(get(zero[i], 0), 0, 0, 0, 0);
		}
		assert_cpuid(get(UINT32_MAX, 0), 0, 0, 0, 0);
	}
}

static void test_host(void **state)
{
	struct cpuid cpuid;

	(void)state;
	init(CPU_POLICY_HOST, host_full);
	assert_cpuid(get(0, 0), 0x16, 0x756e6547, 0x6c65746e, 0x49656e69);
	cpuid = get(1, 0);
	assert_int_equal(cpuid.eax, 0x00050654);
	assert_int_equal(cpuid.ebx, 0x00010800); /* APIC ID 0, one CPU */
	/* hypervisor, rdrand, f16c, avx, xsave, aes, tsc-deadline, popcnt, movbe, x2apic … */
	assert_int_equal(cpuid.ecx, 0xf7fa3203);
	assert_int_equal(cpuid.edx, 0x0f8bfbff);
	assert_int_equal(get(0x80000001, 0).edx, 0x2c100800);
	assert_int_equal(get(0x80000007, 0).edx, BIT(8));
	assert_cpuid(get(0x80000008, 0), 0x302e, 0, 0, 0);
	assert_int_equal(get(0x80000002, 0).eax, 0x74736f48);
	assert_int_equal(policy.limits.cr4, 0x370fff);
	assert_int_equal(policy.limits.xcr0, 0xe7);
	assert_int_equal(policy.limits.efer, 0xd01);
	assert_int_equal(policy.limits.insns, VCPU_INSN_RDTSCP | VCPU_INSN_INVPCID);
}

static void test_levels(void **state)
{
	const uint32_t ours = 0x81200000; /* hypervisor, tsc-deadline, x2apic */

	(void)state;
	init(CPU_POLICY_X86_64_V2, host_full);
	assert_int_equal(get(1, 0).eax, 0xf61);
	assert_int_equal(get(1, 0).ecx, 0x00982201 | ours);
	assert_cpuid(get(7, 0), 1, 0, 0, 0);
	assert_cpuid(get(0xd, 0), 0, 0, 0, 0);
	assert_int_equal(get(0x80000001, 0).ecx, 1);
	assert_cpuid(get(0x80000008, 0), 0x302a, 0, 0, 0);
	assert_int_equal(policy.limits.cr4 & (BIT(18) | BIT(20)), 0);
	assert_int_equal(policy.limits.insns, 0);
	assert_int_equal(policy.limits.xcr0, 1);

	init(CPU_POLICY_X86_64_V3, host_full);
	assert_int_equal(get(1, 0).ecx, 0x34d83201 | ours);
	assert_int_equal(get(7, 0).ebx, 0x128);
	assert_int_equal(get(0x80000001, 0).ecx, 0x21);
	assert_int_equal(policy.limits.xcr0, 7);
	assert_int_equal(policy.limits.cr4 & BIT(18), BIT(18));
}

static void test_missing(void **state)
{
	(void)state;
	init(CPU_POLICY_HOST, host_old);
	assert_int_equal(get(1, 0).ecx & 0x7fffffff, 0x00002201 | 0x01200000);
	assert_int_equal(get(7, 0).ebx, 0);
	assert_int_equal(policy.limits.xcr0, 1);
	assert_cpuid(get(0xd, 0), 0, 0, 0, 0);
	assert_cpuid(get(0x80000008, 0), 0x3024, 0, 0, 0);
	assert_int_equal(get(0x80000002, 0).eax, 0x64617944); /* "Dyad" */
	assert_int_equal(cpuid_policy_init(&policy, CPU_POLICY_X86_64_V2, clocks, host_old, error),
			 -ENOTSUP);
	assert_string_equal(error, "the host's CPU lacks: sse4.1 sse4.2 popcnt");
	assert_int_equal(cpuid_policy_init(&policy, CPU_POLICY_X86_64_V3, clocks, host_old, error),
			 -ENOTSUP);
	assert_string_equal(error, "the host's CPU lacks: fma sse4.1 sse4.2 movbe popcnt xsave "
				   "avx f16c bmi1 avx2 bmi2 lzcnt");
}

static struct cpuid host_without_all(uint32_t leaf, uint32_t subleaf)
{
	(void)leaf;
	(void)subleaf;
	return (struct cpuid){0};
}

/* More names than there is room for. */
static void test_missing_all(void **state)
{
	(void)state;
	memset(error, 'x', sizeof(error));
	assert_int_equal(cpuid_policy_init(&policy, CPU_POLICY_X86_64_V3, clocks, host_without_all,
					   error),
			 -ENOTSUP);
	assert_true(strlen(error) < sizeof(error));
	assert_non_null(strstr(error, "lacks: sse3"));
}

static void test_state(void **state)
{
	struct cpuid_state now = {.cr4 = BIT(18), .xcr0 = 1, .apic_enabled = true};

	(void)state;
	init(CPU_POLICY_HOST, host_full);
	assert_int_equal(cpuid_policy_get(&policy, 1, 0, &now).ecx & BIT(27), BIT(27));
	assert_int_equal(cpuid_policy_get(&policy, 1, 0, &now).edx & BIT(9), BIT(9));
	now = (struct cpuid_state){.xcr0 = 1};
	assert_int_equal(cpuid_policy_get(&policy, 1, 0, &now).ecx & BIT(27), 0);
	assert_int_equal(cpuid_policy_get(&policy, 1, 0, &now).edx & BIT(9), 0);
	/* Sizes for XCR0 as it is, and for all that it may be. */
	assert_cpuid(cpuid_policy_get(&policy, 0xd, 0, &now), 0xe7, 576, 0xa80, 0);
	now.xcr0 = 7;
	assert_cpuid(cpuid_policy_get(&policy, 0xd, 0, &now), 0xe7, 832, 0xa80, 0);
	assert_cpuid(cpuid_policy_get(&policy, 0xd, 1, &now), 7, 832, 0, 0);
	now.xcr0 = 0xe7;
	assert_cpuid(cpuid_policy_get(&policy, 0xd, 0, &now), 0xe7, 0xa80, 0xa80, 0);
	/* Compacted: 576 + 256 + 64 + 512, then 1024 at a multiple of 64. */
	assert_cpuid(cpuid_policy_get(&policy, 0xd, 1, &now), 7, 576 + 256 + 64 + 512 + 1024, 0, 0);
	assert_cpuid(cpuid_policy_get(&policy, 0xd, 2, &now), 0x100, 0x240, 0, 0);
	assert_cpuid(cpuid_policy_get(&policy, 0xd, 9, &now), 0, 0, 0, 0);
	assert_cpuid(cpuid_policy_get(&policy, 0xd, UINT32_MAX, &now), 0, 0, 0, 0);
}

static void test_topology(void **state)
{
	(void)state;
	init(CPU_POLICY_HOST, host_full);
	assert_cpuid(get(0xb, 0), 0, 1, 0x100, 0);
	assert_cpuid(get(0xb, 1), 0, 1, 0x201, 0);
	assert_cpuid(get(0xb, 2), 0, 0, 0, 0);
	assert_cpuid(get(4, 0), 0x121, 1, 2, 3);
	assert_cpuid(get(4, 2), 0x123, 1, 2, 3);
	assert_cpuid(get(4, 3), 0, 0, 0, 0);
	assert_cpuid(get(4, 1000), 0, 0, 0, 0);
}

static void test_hypervisor(void **state)
{
	struct cpuid cpuid;
	char signature[13] = "";

	(void)state;
	init(CPU_POLICY_HOST, host_full);
	cpuid = get(0x40000000, 0);
	memcpy(signature, &cpuid.ebx, 12);
	assert_string_equal(signature, "KVMKVMKVM");
	assert_int_equal(cpuid.eax, 0x40000010);
	assert_cpuid(get(0x40000001, 0), 0x0100000b, 0, 0, 0);
	assert_cpuid(get(0x40000010, 0), 2095076, 1000000, 0, 0);
	assert_cpuid(get(0x40000011, 0), 0, 0, 0, 0);
	assert_cpuid(get(0x15, 0), 1, 1, 2095076543, 0);
	assert_cpuid(get(0x16, 0), 2095, 2095, 0, 0);
	/* Faster than a word can say. */
	assert_int_equal(cpuid_policy_init(&policy, CPU_POLICY_HOST,
					   (struct cpuid_clocks){UINT64_C(5000000000), 1000000000},
					   host_full, error),
			 0);
	assert_cpuid(get(0x15, 0), 1, 2, 2500000000, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hidden),	    cmocka_unit_test(test_host),
		cmocka_unit_test(test_levels),	    cmocka_unit_test(test_missing),
		cmocka_unit_test(test_missing_all), cmocka_unit_test(test_state),
		cmocka_unit_test(test_topology),    cmocka_unit_test(test_hypervisor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
