/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/features.h"

#include <string.h>

#include "arch/x86_64/arch.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/panic.h"
#include "arch/x86_64/registers.h"
#include "base/log.h"

#define CR4_LA57 BIT(12)
#define APIC_BASE_EN BIT(11)

/* IA32_PAT after RESET: WB, WT, UC-, UC, twice (SDM 3, 12.12.4). */
#define PAT_HOST UINT64_C(0x0007040600070406)

/* CPUID leaves (SDM 2, CPUID) */
#define LEAF_FEATURES 0x1
#define LEAF1_ECX_X2APIC BIT(21)
#define LEAF1_ECX_TSC_DEADLINE BIT(24)
#define LEAF1_ECX_XSAVE BIT(26)
#define LEAF1_ECX_RDRAND BIT(30)
#define LEAF1_EDX_TSC BIT(4)
#define LEAF1_EDX_MSR BIT(5)
#define LEAF1_EDX_APIC BIT(9)
#define LEAF1_EDX_FXSR BIT(24)
#define LEAF_STRUCTURED 0x7
#define LEAF7_EBX_SMEP BIT(7)
#define LEAF7_EBX_RDSEED BIT(18)
#define LEAF7_EBX_SMAP BIT(20)
#define LEAF_EXTENDED_MAX 0x80000000
#define LEAF_EXTENDED 0x80000001
#define LEAFX1_EDX_NX BIT(20)
#define LEAFX1_EDX_PAGE_1G BIT(26)
#define LEAF_BRAND 0x80000002 /* and the two behind it */
#define LEAF_POWER 0x80000007
#define LEAFX7_EDX_INVARIANT_TSC BIT(8)
#define LEAF_ADDRESS 0x80000008
#define LEAFX8_EAX_PHYSICAL BITS(7, 0)

struct features features;

struct cpuid cpuid_host(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid c;

	__asm__ volatile("cpuid"
			 : "=a"(c.eax), "=b"(c.ebx), "=c"(c.ecx), "=d"(c.edx)
			 : "a"(leaf), "c"(subleaf));
	return c;
}

/* What the host itself needs: each that is missing is named before the host ends. */
static void require_all(const struct cpuid *leaf1, const struct cpuid *extended)
{
	bool apic = leaf1->edx & LEAF1_EDX_APIC && msr_read(MSR_APIC_BASE) & APIC_BASE_EN;
	const struct {
		bool there;
		const char *sentence;
	} required[] = {
		{leaf1->edx & LEAF1_EDX_TSC && leaf1->edx & LEAF1_EDX_MSR &&
			 leaf1->edx & LEAF1_EDX_FXSR,
		 "the CPU has no time stamp counter, no MSRs or no FXSAVE: "
		 "another CPU is needed; every Intel CPU of 64 bits has them"},
		{apic, "the CPU's local APIC is missing or disabled: "
		       "enable it in the firmware's setup"},
		{extended->edx & LEAFX1_EDX_NX,
		 "the CPU cannot forbid execution of data (NX): "
		 "enable \"Execute Disable Bit\" in the firmware's setup"},
		{leaf1->ecx & LEAF1_ECX_XSAVE,
		 "the CPU has no XSAVE: a CPU of 2011 or later is needed"},
		{!(cr4_read() & CR4_LA57),
		 "the loader left 5-level paging on: disable it in the firmware's setup"},
	};
	const char *first = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(required); i++) {
		if (!required[i].there) {
			log_error("%s", required[i].sentence);
			first = first ? first : required[i].sentence;
		}
	}
	if (first) {
		panic_reboot_s = 0; /* the next start would end here too */
		panic("this machine cannot run Dyad: %s", first);
	}
}

static void read_brand(uint32_t extended_max)
{
	if (extended_max < LEAF_BRAND + 2) {
		strcpy(features.brand, "unnamed");
		return;
	}
	for (uint32_t i = 0; i < 3; i++) {
		struct cpuid part = cpuid_host(LEAF_BRAND + i, 0);

		memcpy(features.brand + 16 * i, &part, sizeof(part));
	}
	/* Some are padded with blanks in front. */
	size_t blanks = strspn(features.brand, " ");
	memmove(features.brand, features.brand + blanks, sizeof(features.brand) - blanks);
}

void features_init(void)
{
	uint32_t basic_max = cpuid_host(0, 0).eax;
	uint32_t extended_max = cpuid_host(LEAF_EXTENDED_MAX, 0).eax;
	struct cpuid leaf1 = cpuid_host(LEAF_FEATURES, 0);
	struct cpuid leaf7 = {0};
	struct cpuid extended = {0};

	if (basic_max >= LEAF_STRUCTURED) {
		leaf7 = cpuid_host(LEAF_STRUCTURED, 0);
	}
	if (extended_max >= LEAF_EXTENDED) {
		extended = cpuid_host(LEAF_EXTENDED, 0);
	}
	require_all(&leaf1, &extended);

	features.x2apic = leaf1.ecx & LEAF1_ECX_X2APIC;
	features.tsc_deadline = leaf1.ecx & LEAF1_ECX_TSC_DEADLINE;
	features.rdrand = leaf1.ecx & LEAF1_ECX_RDRAND;
	features.rdseed = leaf7.ebx & LEAF7_EBX_RDSEED;
	features.smep = leaf7.ebx & LEAF7_EBX_SMEP;
	features.smap = leaf7.ebx & LEAF7_EBX_SMAP;
	features.page_1g = extended.edx & LEAFX1_EDX_PAGE_1G;
	if (extended_max >= LEAF_POWER) {
		features.invariant_tsc = cpuid_host(LEAF_POWER, 0).edx & LEAFX7_EDX_INVARIANT_TSC;
	}
	features.physical_bits = 36; /* where CPUID does not say */
	if (extended_max >= LEAF_ADDRESS) {
		features.physical_bits =
			(unsigned)field_get(LEAFX8_EAX_PHYSICAL, cpuid_host(LEAF_ADDRESS, 0).eax);
	}
	fpu_init();
	read_brand(extended_max);
}

void features_enable_cpu(void)
{
	msr_write(MSR_EFER, EFER_LME | EFER_NXE);
	msr_write(MSR_PAT, PAT_HOST);
	cr0_write(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
	cr4_write(CR4_DE | CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE |
		  (features.smep ? CR4_SMEP : 0) | (features.smap ? CR4_SMAP : 0));
	xcr0_write(fpu_features());
}
