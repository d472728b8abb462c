/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPUID policy: the table of features, how the leaves are built from it,
 * and the look-up. Leaves: SDM 2, CPUID; 0x40000000: Linux
 * Documentation/virt/kvm/x86/cpuid.rst.
 */
#include "vmm/cpuid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum cpuid_register { EAX, EBX, ECX, EDX };

/*
 * Which policies have a feature. V1 to V3 are the levels of the x86-64 psABI
 * and must be there; HOST is taken where the host has it; OURS is the work of
 * our own devices and there whatever the host has.
 */
enum cpuid_level { V1, V2, V3, HOST, OURS };

struct cpuid_feature {
	const char *name;
	uint32_t leaf;
	uint8_t subleaf;
	uint8_t reg; /* enum cpuid_register */
	uint8_t bit;
	uint8_t level; /* enum cpuid_level */
	/* Bits of control registers that come with it. */
	uint32_t cr4, xcr0, efer;
};

#define FEATURE(n, l, s, r, b, v, ...)                                                            \
	{                                                                                         \
		.name = n, .leaf = l, .subleaf = s, .reg = r, .bit = b, .level = v, ##__VA_ARGS__ \
	}

#define XCR0_AVX512 ((uint32_t)BITS(7, 5))

/* In the order of leaf, register, bit. What is not here no guest sees. */
static const struct cpuid_feature features[] = {
	FEATURE("sse3", 0x1, 0, ECX, 0, V2),
	FEATURE("pclmulqdq", 0x1, 0, ECX, 1, HOST),
	FEATURE("ssse3", 0x1, 0, ECX, 9, V2),
	FEATURE("fma", 0x1, 0, ECX, 12, V3),
	FEATURE("cx16", 0x1, 0, ECX, 13, V2),
	FEATURE("pcid", 0x1, 0, ECX, 17, HOST, .cr4 = BIT(17)),
	FEATURE("sse4.1", 0x1, 0, ECX, 19, V2),
	FEATURE("sse4.2", 0x1, 0, ECX, 20, V2),
	FEATURE("x2apic", 0x1, 0, ECX, 21, OURS),
	FEATURE("movbe", 0x1, 0, ECX, 22, V3),
	FEATURE("popcnt", 0x1, 0, ECX, 23, V2),
	FEATURE("tsc-deadline", 0x1, 0, ECX, 24, OURS),
	FEATURE("aes", 0x1, 0, ECX, 25, HOST),
	FEATURE("xsave", 0x1, 0, ECX, 26, V3, .cr4 = BIT(18), .xcr0 = 0x3),
	FEATURE("avx", 0x1, 0, ECX, 28, V3, .xcr0 = BIT(2)),
	FEATURE("f16c", 0x1, 0, ECX, 29, V3),
	FEATURE("rdrand", 0x1, 0, ECX, 30, HOST),
	FEATURE("hypervisor", 0x1, 0, ECX, 31, OURS),
	FEATURE("fpu", 0x1, 0, EDX, 0, V1),
	FEATURE("vme", 0x1, 0, EDX, 1, HOST, .cr4 = 0x3),
	FEATURE("de", 0x1, 0, EDX, 2, V1, .cr4 = BIT(3)),
	FEATURE("pse", 0x1, 0, EDX, 3, V1, .cr4 = BIT(4)),
	FEATURE("tsc", 0x1, 0, EDX, 4, V1, .cr4 = BIT(2)),
	FEATURE("msr", 0x1, 0, EDX, 5, V1),
	FEATURE("pae", 0x1, 0, EDX, 6, V1, .cr4 = BIT(5)),
	/* Machine checks with no banks: IA32_MCG_CAP reads 0. */
	FEATURE("mce", 0x1, 0, EDX, 7, OURS, .cr4 = BIT(6)),
	FEATURE("cx8", 0x1, 0, EDX, 8, V1),
	FEATURE("apic", 0x1, 0, EDX, 9, OURS),
	FEATURE("sep", 0x1, 0, EDX, 11, V1),
	FEATURE("mtrr", 0x1, 0, EDX, 12, OURS),
	FEATURE("pge", 0x1, 0, EDX, 13, V1, .cr4 = BIT(7)),
	FEATURE("mca", 0x1, 0, EDX, 14, OURS),
	FEATURE("cmov", 0x1, 0, EDX, 15, V1),
	FEATURE("pat", 0x1, 0, EDX, 16, V1),
	FEATURE("pse36", 0x1, 0, EDX, 17, V1),
	FEATURE("clflush", 0x1, 0, EDX, 19, V1),
	FEATURE("mmx", 0x1, 0, EDX, 23, V1),
	FEATURE("fxsr", 0x1, 0, EDX, 24, V1, .cr4 = BIT(9)),
	FEATURE("sse", 0x1, 0, EDX, 25, V1, .cr4 = BIT(10)),
	FEATURE("sse2", 0x1, 0, EDX, 26, V1),
	FEATURE("self-snoop", 0x1, 0, EDX, 27, HOST),
	/* The APIC timer runs in every sleep state: it is not one of the host's. */
	FEATURE("arat", 0x6, 0, EAX, 2, OURS),
	FEATURE("fsgsbase", 0x7, 0, EBX, 0, HOST, .cr4 = BIT(16)),
	FEATURE("bmi1", 0x7, 0, EBX, 3, V3),
	FEATURE("avx2", 0x7, 0, EBX, 5, V3),
	FEATURE("fdp-excptn-only", 0x7, 0, EBX, 6, HOST),
	FEATURE("smep", 0x7, 0, EBX, 7, HOST, .cr4 = BIT(20)),
	FEATURE("bmi2", 0x7, 0, EBX, 8, V3),
	FEATURE("erms", 0x7, 0, EBX, 9, HOST),
	FEATURE("invpcid", 0x7, 0, EBX, 10, HOST),
	FEATURE("zero-fcs-fds", 0x7, 0, EBX, 13, HOST),
	FEATURE("avx512f", 0x7, 0, EBX, 16, HOST, .xcr0 = XCR0_AVX512),
	FEATURE("avx512dq", 0x7, 0, EBX, 17, HOST),
	FEATURE("rdseed", 0x7, 0, EBX, 18, HOST),
	FEATURE("adx", 0x7, 0, EBX, 19, HOST),
	FEATURE("smap", 0x7, 0, EBX, 20, HOST, .cr4 = BIT(21)),
	FEATURE("avx512ifma", 0x7, 0, EBX, 21, HOST),
	FEATURE("clflushopt", 0x7, 0, EBX, 23, HOST),
	FEATURE("clwb", 0x7, 0, EBX, 24, HOST),
	FEATURE("avx512cd", 0x7, 0, EBX, 28, HOST),
	FEATURE("sha", 0x7, 0, EBX, 29, HOST),
	FEATURE("avx512bw", 0x7, 0, EBX, 30, HOST),
	FEATURE("avx512vl", 0x7, 0, EBX, 31, HOST),
	FEATURE("avx512vbmi", 0x7, 0, ECX, 1, HOST),
	FEATURE("umip", 0x7, 0, ECX, 2, HOST, .cr4 = BIT(11)),
	FEATURE("avx512vbmi2", 0x7, 0, ECX, 6, HOST),
	FEATURE("gfni", 0x7, 0, ECX, 8, HOST),
	FEATURE("vaes", 0x7, 0, ECX, 9, HOST),
	FEATURE("vpclmulqdq", 0x7, 0, ECX, 10, HOST),
	FEATURE("avx512vnni", 0x7, 0, ECX, 11, HOST),
	FEATURE("avx512bitalg", 0x7, 0, ECX, 12, HOST),
	FEATURE("avx512vpopcntdq", 0x7, 0, ECX, 14, HOST),
	FEATURE("rdpid", 0x7, 0, ECX, 22, HOST),
	FEATURE("movdiri", 0x7, 0, ECX, 27, HOST),
	FEATURE("movdir64b", 0x7, 0, ECX, 28, HOST),
	FEATURE("fsrm", 0x7, 0, EDX, 4, HOST),
	FEATURE("avx512vp2intersect", 0x7, 0, EDX, 8, HOST),
	/* VERW clears buffers: no state behind it. */
	FEATURE("md-clear", 0x7, 0, EDX, 10, HOST),
	FEATURE("serialize", 0x7, 0, EDX, 14, HOST),
	FEATURE("avx512fp16", 0x7, 0, EDX, 23, HOST),
	FEATURE("avx-vnni", 0x7, 1, EAX, 4, HOST),
	FEATURE("avx512bf16", 0x7, 1, EAX, 5, HOST),
	FEATURE("fzrm", 0x7, 1, EAX, 10, HOST),
	FEATURE("fsrs", 0x7, 1, EAX, 11, HOST),
	FEATURE("fsrc", 0x7, 1, EAX, 12, HOST),
	/* XSAVES is missing: no guest has IA32_XSS. */
	FEATURE("xsaveopt", 0xd, 1, EAX, 0, HOST),
	FEATURE("xsavec", 0xd, 1, EAX, 1, HOST),
	FEATURE("xgetbv1", 0xd, 1, EAX, 2, HOST),
	FEATURE("lahf64", 0x80000001, 0, ECX, 0, V2),
	FEATURE("lzcnt", 0x80000001, 0, ECX, 5, V3),
	FEATURE("prefetchw", 0x80000001, 0, ECX, 8, HOST),
	FEATURE("syscall", 0x80000001, 0, EDX, 11, V1, .efer = BIT(0)),
	FEATURE("nx", 0x80000001, 0, EDX, 20, V1, .efer = BIT(11)),
	FEATURE("pdpe1gb", 0x80000001, 0, EDX, 26, HOST),
	FEATURE("rdtscp", 0x80000001, 0, EDX, 27, HOST),
	FEATURE("lm", 0x80000001, 0, EDX, 29, V1, .efer = BIT(10) | BIT(8)),
	FEATURE("invariant-tsc", 0x80000007, 0, EDX, 8, OURS),
};

/* Rows of policy->subleaves, and how many sub-leaves each leaf has. */
enum { SUB_CACHE, SUB_FEATURES, SUB_TOPOLOGY, SUB_XSAVE };

/* XCR0's bits that features[] can allow: sub-leaves 2 to 7 of leaf 0xd. */
_Static_assert(CPUID_SUBLEAF_COUNT == 8, "XCR0 bits 7 to 0");

#define LEAF_1_ECX_OSXSAVE BIT(27)
#define LEAF_1_EDX_APIC BIT(9)
#define CR4_OSXSAVE BIT(18)
#define CR4_PCE BIT(8)

/* A processor of no real family that gets no work-around: "Common KVM processor". */
#define SIGNATURE_NEUTRAL 0xf61

/* More than config.h's memory needs, less than any x86-64-v2 server has. */
#define PHYSICAL_BITS_NEUTRAL 42
#define PHYSICAL_BITS_MAX 48 /* of a second-stage tree with four levels */

static struct cpuid *policy_leaf(struct cpuid_policy *policy, uint32_t leaf, uint32_t subleaf)
{
	if (leaf >= CPUID_EXTENDED_BASE) {
		return &policy->extended[leaf - CPUID_EXTENDED_BASE];
	}
	switch (leaf) {
	case 0x7:
		return &policy->subleaves[SUB_FEATURES][subleaf];
	case 0xd:
		return &policy->subleaves[SUB_XSAVE][subleaf];
	default:
		return &policy->basic[leaf];
	}
}

static uint32_t *cpuid_word(struct cpuid *cpuid, unsigned reg)
{
	uint32_t *words[] = {&cpuid->eax, &cpuid->ebx, &cpuid->ecx, &cpuid->edx};

	return words[reg];
}

static bool host_has(struct cpuid (*host)(uint32_t, uint32_t), const struct cpuid_feature *feature)
{
	/* Beyond its last leaf a CPU answers with another leaf's data. */
	struct cpuid last = host(feature->leaf & CPUID_EXTENDED_BASE, 0);
	struct cpuid cpuid;

	if (feature->leaf > last.eax) {
		return false;
	}
	if (feature->leaf == 0x7 && feature->subleaf > host(0x7, 0).eax) {
		return false;
	}
	cpuid = host(feature->leaf, feature->subleaf);
	return (*cpuid_word(&cpuid, feature->reg) & BIT(feature->bit)) != 0;
}

/* Appends a name to the list of what is missing, cut off at its end. */
static void error_append(char *error, const char *name)
{
	size_t length = strlen(error);

	snprintf(error + length, CPUID_ERROR_MAX - length, " %s", name);
}

static int policy_set_features(struct cpuid_policy *policy, enum config_cpu cpu,
			       struct cpuid (*host)(uint32_t, uint32_t), char *error)
{
	/* The policy "host" demands of the host what every x86-64 has. */
	unsigned demanded = cpu == CPU_POLICY_X86_64_V3	  ? V3
			    : cpu == CPU_POLICY_X86_64_V2 ? V2
							  : V1;
	bool missing = false;

	snprintf(error, CPUID_ERROR_MAX, "the host's CPU lacks:");
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		const struct cpuid_feature *feature = &features[i];
		bool present = feature->level == OURS || host_has(host, feature);

		if (!present && feature->level <= demanded) {
			error_append(error, feature->name);
			missing = true;
		}
		if (!present || (cpu != CPU_POLICY_HOST && feature->level > demanded &&
				 feature->level != OURS)) {
			continue;
		}
		*cpuid_word(policy_leaf(policy, feature->leaf, feature->subleaf), feature->reg) |=
			(uint32_t)BIT(feature->bit);
		policy->limits.cr4 |= feature->cr4;
		policy->limits.xcr0 |= feature->xcr0;
		policy->limits.efer |= feature->efer;
	}
	/* Older than its CPUID bit: every x86-64 CPU has it. */
	policy->limits.cr4 |= CR4_PCE;
	return missing ? -ENOTSUP : 0;
}

/* Leaves 2 and 4: caches as the host's, shared with nobody. */
static void policy_set_caches(struct cpuid_policy *policy, struct cpuid (*host)(uint32_t, uint32_t))
{
	/* Descriptor 0xff: look at leaf 4. */
	policy->basic[2].eax = 0xff01;
	for (unsigned i = 0; i < CPUID_SUBLEAF_COUNT - 1; i++) {
		struct cpuid cache = host(4, i);

		if (field_get(BITS(4, 0), cache.eax) == 0) {
			break;
		}
		cache.eax &= (uint32_t)~BITS(31, 14);
		policy->subleaves[SUB_CACHE][i] = cache;
	}
}

/* Leaf 0xd: the state components that XCR0 may switch on, as the host has them. */
static void policy_set_xsave(struct cpuid_policy *policy, struct cpuid (*host)(uint32_t, uint32_t))
{
	struct cpuid *xsave = policy->subleaves[SUB_XSAVE];
	uint32_t size = 576; /* legacy area and header: SDM 1, 13.4 */

	if (policy->limits.xcr0 == 0) {
		/* Without XSAVE there is no leaf 0xd; XCR0 stays at its reset value. */
		memset(xsave, 0, sizeof(policy->subleaves[SUB_XSAVE]));
		policy->limits.xcr0 = 1;
		return;
	}
	for (unsigned i = 2; i < CPUID_SUBLEAF_COUNT; i++) {
		if ((policy->limits.xcr0 & BIT(i)) != 0) {
			xsave[i] = host(0xd, i);
			size = MAX(size, xsave[i].eax + xsave[i].ebx);
		}
	}
	xsave[0].eax = (uint32_t)policy->limits.xcr0;
	xsave[0].ecx = size;
}

/* Leaf 0xb: one thread, one core. */
static void policy_set_topology(struct cpuid_policy *policy)
{
	struct cpuid *topology = policy->subleaves[SUB_TOPOLOGY];

	topology[0] = (struct cpuid){.ebx = 1, .ecx = 1 << 8}; /* threads */
	topology[1] = (struct cpuid){.ebx = 1, .ecx = 2 << 8 | 1}; /* cores */
}

/*
 * Leaf 0x15 is true for the TSC, one tick a crystal tick; leaf 0x16 in MHz.
 * The APIC timer's rate is in leaf 0x40000010, in kHz.
 */
static void policy_set_clocks(struct cpuid_policy *policy, struct cpuid_clocks clocks)
{
	uint32_t ratio = (uint32_t)(clocks.tsc_hz >> 32) + 1;
	uint32_t mhz = (uint32_t)((clocks.tsc_hz + 500000) / 1000000);

	policy->basic[0x15] =
		(struct cpuid){.eax = 1, .ebx = ratio, .ecx = (uint32_t)(clocks.tsc_hz / ratio)};
	policy->basic[0x16] = (struct cpuid){.eax = mhz, .ebx = mhz};
	policy->hypervisor[0x10] = (struct cpuid){.eax = (uint32_t)(clocks.tsc_hz / 1000),
						  .ebx = (uint32_t)(clocks.apic_hz / 1000)};
}

/* KVM's signature and the features of its clock that are there. */
static void policy_set_hypervisor(struct cpuid_policy *policy)
{
	struct cpuid *leaf = policy->hypervisor;

	leaf[0].eax = CPUID_HYPERVISOR_BASE + CPUID_HYPERVISOR_COUNT - 1;
	memcpy(&leaf[0].ebx, "KVMK", 4);
	memcpy(&leaf[0].ecx, "VMKV", 4);
	memcpy(&leaf[0].edx, "M\0\0", 4);
	/* CLOCKSOURCE, NOP_IO_DELAY, CLOCKSOURCE2, CLOCKSOURCE_STABLE_BIT. */
	leaf[1].eax = (uint32_t)(BIT(0) | BIT(1) | BIT(3) | BIT(24));
}

/* Vendor, model, brand and address widths. */
static void policy_set_identity(struct cpuid_policy *policy, enum config_cpu cpu,
				struct cpuid (*host)(uint32_t, uint32_t))
{
	static const char brand[48] = "Dyad virtual CPU";
	struct cpuid widths = {.eax = 36}; /* of the first x86-64 CPUs */
	uint32_t physical;

	policy->basic[0] = host(0, 0);
	policy->basic[0].eax = CPUID_BASIC_COUNT - 1;
	policy->basic[1].eax = cpu == CPU_POLICY_HOST ? host(1, 0).eax : SIGNATURE_NEUTRAL;
	/* One logical processor, APIC ID 0; the line size of CLFLUSH is the host's. */
	policy->basic[1].ebx = (uint32_t)((host(1, 0).ebx & BITS(15, 8)) | 1 << 16);
	policy->subleaves[SUB_FEATURES][0].eax = 1; /* last sub-leaf */

	policy->extended[0].eax = CPUID_EXTENDED_BASE + CPUID_EXTENDED_COUNT - 1;
	memcpy(&policy->extended[2], brand, sizeof(brand));
	if (cpu == CPU_POLICY_HOST && host(CPUID_EXTENDED_BASE, 0).eax >= 0x80000004) {
		for (unsigned i = 2; i <= 4; i++) {
			policy->extended[i] = host(CPUID_EXTENDED_BASE + i, 0);
		}
	}
	if (host(CPUID_EXTENDED_BASE, 0).eax >= 0x80000008) {
		widths = host(0x80000008, 0);
	}
	physical = MIN(widths.eax & 0xff,
		       cpu == CPU_POLICY_HOST ? PHYSICAL_BITS_MAX : PHYSICAL_BITS_NEUTRAL);
	policy->extended[8].eax = 48 << 8 | physical; /* linear, physical */
}

int cpuid_policy_init(struct cpuid_policy *policy, enum config_cpu cpu, struct cpuid_clocks clocks,
		      struct cpuid (*host)(uint32_t leaf, uint32_t subleaf), char *error)
{
	int result;

	*policy = (struct cpuid_policy){0};
	result = policy_set_features(policy, cpu, host, error);
	policy_set_identity(policy, cpu, host);
	policy_set_caches(policy, host);
	policy_set_topology(policy);
	policy_set_xsave(policy, host);
	policy_set_clocks(policy, clocks);
	policy_set_hypervisor(policy);
	return result;
}

/* Sizes of the XSAVE area for the present XCR0: SDM 1, 13.4.2 and 13.4.3. */
static uint32_t xsave_size(const struct cpuid *xsave, uint64_t xcr0, bool compacted)
{
	uint32_t size = 576;

	for (unsigned i = 2; i < CPUID_SUBLEAF_COUNT; i++) {
		if ((xcr0 & BIT(i)) == 0) {
			continue;
		}
		if (!compacted) {
			size = MAX(size, xsave[i].eax + xsave[i].ebx);
			continue;
		}
		if ((xsave[i].ecx & BIT(1)) != 0) {
			size = (uint32_t)align_up(size, 64);
		}
		size += xsave[i].eax;
	}
	return size;
}

static struct cpuid get_subleaf(const struct cpuid *subleaves, uint32_t subleaf)
{
	return subleaf < CPUID_SUBLEAF_COUNT ? subleaves[subleaf] : (struct cpuid){0};
}

/* Leaves that are not there read 0, as on AMD; Intel repeats the last one. */
struct cpuid cpuid_policy_get(const struct cpuid_policy *policy, uint32_t leaf, uint32_t subleaf,
			      const struct cpuid_state *state)
{
	struct cpuid result = {0};

	switch (leaf) {
	case 0x1:
		result = policy->basic[1];
		if ((state->cr4 & CR4_OSXSAVE) != 0) {
			result.ecx |= (uint32_t)LEAF_1_ECX_OSXSAVE;
		}
		if (!state->apic_enabled) {
			result.edx &= (uint32_t)~LEAF_1_EDX_APIC;
		}
		return result;
	case 0x4:
		return get_subleaf(policy->subleaves[SUB_CACHE], subleaf);
	case 0x7:
		return get_subleaf(policy->subleaves[SUB_FEATURES], subleaf);
	case 0xb:
		return get_subleaf(policy->subleaves[SUB_TOPOLOGY], subleaf);
	case 0xd:
		result = get_subleaf(policy->subleaves[SUB_XSAVE], subleaf);
		if (subleaf <= 1 && result.eax != 0) {
			result.ebx =
				xsave_size(policy->subleaves[SUB_XSAVE], state->xcr0, subleaf == 1);
		}
		return result;
	default:
		break;
	}
	if (leaf < CPUID_BASIC_COUNT) {
		return policy->basic[leaf];
	}
	if (leaf - CPUID_EXTENDED_BASE < CPUID_EXTENDED_COUNT) {
		return policy->extended[leaf - CPUID_EXTENDED_BASE];
	}
	if (leaf - CPUID_HYPERVISOR_BASE < CPUID_HYPERVISOR_COUNT) {
		return policy->hypervisor[leaf - CPUID_HYPERVISOR_BASE];
	}
	return result;
}
