/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID: the policy's promises, and what follows the guest's own registers. */
#include "tests/guests/lib/lib.h"

#define HYPERVISOR_BASE 0x40000000
#define FEATURES_ECX_VMX BIT(5)
#define FEATURES_ECX_OSXSAVE BIT(27)
#define FEATURES_ECX_HYPERVISOR BIT(31)
#define FEATURES_ECX_X2APIC BIT(21)
#define FEATURES_ECX_TSC_DEADLINE BIT(24)
#define FEATURES_EDX_APIC BIT(9)
#define EXTENDED_ECX_SVM BIT(2)
#define EXTENDED_EDX_LM BIT(29)

static bool is_printable(uint32_t word)
{
	for (unsigned i = 0; i < 32; i += 8) {
		uint8_t c = (uint8_t)(word >> i);

		if (c < ' ' || c > '~') {
			return false;
		}
	}
	return true;
}

static void vendor(void)
{
	struct cpuid leaf = cpuid(0, 0);

	expect(leaf.eax >= 1);
	expect(is_printable(leaf.ebx) && is_printable(leaf.ecx) && is_printable(leaf.edx));
}

static void hypervisor(void)
{
	struct cpuid leaf = cpuid(HYPERVISOR_BASE, 0);

	expect(cpuid(1, 0).ecx & FEATURES_ECX_HYPERVISOR);
	need(machine_is_strict(), "another hypervisor's signature");
	expect_equal(leaf.ebx, 0x4b4d564b); /* "KVMK" */
	expect_equal(leaf.ecx, 0x564b4d56); /* "VMKV" */
	expect_equal(leaf.edx, 0x4d); /* "M" */
	expect(leaf.eax >= HYPERVISOR_BASE + 1);
	expect(cpuid(HYPERVISOR_BASE + 1, 0).eax & BIT(3)); /* pvclock's new MSRs */
}

static void no_virtualisation(void)
{
	expect_equal(cpuid(1, 0).ecx & FEATURES_ECX_VMX, 0);
	need(machine_is_strict(), "QEMU's TCG has SVM");
	expect_equal(cpuid(0x80000001, 0).ecx & EXTENDED_ECX_SVM, 0);
}

static void required(void)
{
	struct cpuid features = cpuid(1, 0);

	expect(features.edx & FEATURES_EDX_APIC);
	expect(cpuid(0x80000001, 0).edx & EXTENDED_EDX_LM);
	need(machine_is_strict(), "no x2APIC or TSC deadline in QEMU's TCG");
	expect(features.ecx & FEATURES_ECX_X2APIC);
	expect(features.ecx & FEATURES_ECX_TSC_DEADLINE);
}

static void osxsave(void)
{
	need_xsave();
	write_cr4(read_cr4() & ~CR4_OSXSAVE);
	expect_equal(cpuid(1, 0).ecx & FEATURES_ECX_OSXSAVE, 0);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	expect(cpuid(1, 0).ecx & FEATURES_ECX_OSXSAVE);
}

static void apic_bit_follows_msr(void)
{
	expect(cpuid(1, 0).edx & FEATURES_EDX_APIC);
	expect_equal(cpuid(1, 0).ebx >> 24, apic_read(APIC_ID) >> 24);
}

static void xsave_sizes(void)
{
	struct cpuid leaf;

	need_xsave();
	write_cr4(read_cr4() | CR4_OSXSAVE);
	__asm__ volatile("xsetbv" : : "a"(1), "d"(0), "c"(0));
	leaf = cpuid(0xd, 0);
	expect(leaf.eax & 1);
	expect_equal(leaf.ebx, 512 + 64); /* legacy area and header */
	expect(leaf.ecx >= leaf.ebx);
	if (leaf.eax & BIT(2)) {
		struct cpuid avx = cpuid(0xd, 2);

		expect_equal(avx.eax, 256);
		__asm__ volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
		expect_equal(cpuid(0xd, 0).ebx, avx.ebx + avx.eax);
	}
}

static void beyond_the_end(void)
{
	/* Leaves above the largest: data of the largest basic leaf or zero, no fault. */
	struct cpuid last = cpuid(cpuid(0, 0).eax, 0);
	struct cpuid over = cpuid(0x3fffffff, 0);

	expect(over.eax == last.eax || over.eax == 0);
	expect(cpuid(0x80000000, 0).eax >= 0x80000008);
}

static void deterministic(void)
{
	for (uint32_t leaf = 0; leaf <= cpuid(0, 0).eax; leaf++) {
		struct cpuid one = cpuid(leaf, 0), other = cpuid(leaf, 0);

		expect(memcmp(&one, &other, sizeof(one)) == 0);
	}
}

static void upper_halves(void)
{
	uint64_t rax = UINT64_MAX << 32, rbx = UINT64_MAX, rcx = UINT64_MAX << 32, rdx = UINT64_MAX;

	__asm__ volatile("cpuid" : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx));
	expect_equal((rax | rbx | rcx | rdx) >> 32, 0);
}

const struct test tests[] = {
	{"leaf 0 names a vendor", vendor},
	{"the hypervisor's leaves say KVM", hypervisor},
	{"no virtualisation inside", no_virtualisation},
	{"APIC, long mode, x2APIC, TSC deadline", required},
	{"OSXSAVE follows CR4", osxsave},
	{"the APIC's ID is that of its page", apic_bit_follows_msr},
	{"XSAVE sizes follow XCR0", xsave_sizes},
	{"leaves beyond the last", beyond_the_end},
	{"the same answer twice", deterministic},
	{"upper halves of the registers are cleared", upper_halves},
	{NULL, NULL},
};
