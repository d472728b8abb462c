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
	const char *name; /* NULL behind the last one of a word */
	uint8_t bit;
	uint8_t level; /* enum cpuid_level */
	/* Bits of control registers that come with it. */
	uint32_t cr4, xcr0, efer;
	uint8_t insns; /* VCPU_INSN_* */
};

struct cpuid_word {
	uint32_t leaf;
	uint8_t subleaf;
	uint8_t reg; /* enum cpuid_register */
	struct cpuid_feature features[32];
};

#define F(n, b, v, ...)                                        \
	{                                                      \
		.name = n, .bit = b, .level = v, ##__VA_ARGS__ \
	}

#define XCR0_AVX512 ((uint32_t)BITS(7, 5))

/*
 * What is not here no guest sees. Among OURS: "mce" and "mca" are machine checks
 * without banks, IA32_MCG_CAP reads 0; "arat" is no feature of the host, our APIC
 * timer runs in every sleep state. Of HOST: VERW ("md-clear") clears buffers, there
 * is no state behind it. XSAVES is missing: no guest has IA32_XSS.
 */
/* clang-format off */
static const struct cpuid_word words[] = {
	{0x1, 0, ECX, {
		F("sse3", 0, V2), F("pclmulqdq", 1, HOST), F("ssse3", 9, V2), F("fma", 12, V3),
		F("cx16", 13, V2), F("pcid", 17, HOST, .cr4 = BIT(17)), F("sse4.1", 19, V2),
		F("sse4.2", 20, V2), F("x2apic", 21, OURS), F("movbe", 22, V3),
		F("popcnt", 23, V2), F("tsc-deadline", 24, OURS), F("aes", 25, HOST),
		F("xsave", 26, V3, .cr4 = BIT(18), .xcr0 = 0x3),
		F("avx", 28, V3, .xcr0 = BIT(2)), F("f16c", 29, V3), F("rdrand", 30, HOST),
		F("hypervisor", 31, OURS),
	}},
	{0x1, 0, EDX, {
		F("fpu", 0, V1), F("vme", 1, HOST, .cr4 = 0x3), F("de", 2, V1, .cr4 = BIT(3)),
		F("pse", 3, V1, .cr4 = BIT(4)), F("tsc", 4, V1, .cr4 = BIT(2)),
		F("msr", 5, V1), F("pae", 6, V1, .cr4 = BIT(5)),
		F("mce", 7, OURS, .cr4 = BIT(6)), F("cx8", 8, V1), F("apic", 9, OURS),
		F("sep", 11, V1), F("mtrr", 12, OURS), F("pge", 13, V1, .cr4 = BIT(7)),
		F("mca", 14, OURS), F("cmov", 15, V1), F("pat", 16, V1), F("pse36", 17, V1),
		F("clflush", 19, V1), F("mmx", 23, V1), F("fxsr", 24, V1, .cr4 = BIT(9)),
		F("sse", 25, V1, .cr4 = BIT(10)), F("sse2", 26, V1), F("self-snoop", 27, HOST),
	}},
	{0x6, 0, EAX, {
		F("arat", 2, OURS),
	}},
	{0x7, 0, EBX, {
		F("fsgsbase", 0, HOST, .cr4 = BIT(16)), F("bmi1", 3, V3), F("avx2", 5, V3),
		F("fdp-excptn-only", 6, HOST), F("smep", 7, HOST, .cr4 = BIT(20)),
		F("bmi2", 8, V3), F("erms", 9, HOST), F("invpcid", 10, HOST, .insns = VCPU_INSN_INVPCID),
		F("zero-fcs-fds", 13, HOST), F("avx512f", 16, HOST, .xcr0 = XCR0_AVX512),
		F("avx512dq", 17, HOST), F("rdseed", 18, HOST), F("adx", 19, HOST),
		F("smap", 20, HOST, .cr4 = BIT(21)), F("avx512ifma", 21, HOST),
		F("clflushopt", 23, HOST), F("clwb", 24, HOST), F("avx512cd", 28, HOST),
		F("sha", 29, HOST), F("avx512bw", 30, HOST), F("avx512vl", 31, HOST),
	}},
	{0x7, 0, ECX, {
		F("avx512vbmi", 1, HOST), F("umip", 2, HOST, .cr4 = BIT(11)),
		F("avx512vbmi2", 6, HOST), F("gfni", 8, HOST), F("vaes", 9, HOST),
		F("vpclmulqdq", 10, HOST), F("avx512vnni", 11, HOST),
		F("avx512bitalg", 12, HOST), F("avx512vpopcntdq", 14, HOST),
		F("rdpid", 22, HOST), F("movdiri", 27, HOST), F("movdir64b", 28, HOST),
	}},
	{0x7, 0, EDX, {
		F("fsrm", 4, HOST), F("avx512vp2intersect", 8, HOST), F("md-clear", 10, HOST),
		F("serialize", 14, HOST), F("avx512fp16", 23, HOST),
	}},
	{0x7, 1, EAX, {
		F("avx-vnni", 4, HOST), F("avx512bf16", 5, HOST), F("fzrm", 10, HOST),
		F("fsrs", 11, HOST), F("fsrc", 12, HOST),
	}},
	{0xd, 1, EAX, {
		F("xsaveopt", 0, HOST), F("xsavec", 1, HOST), F("xgetbv1", 2, HOST),
	}},
	{0x80000001, 0, ECX, {
		F("lahf64", 0, V2), F("lzcnt", 5, V3), F("prefetchw", 8, HOST),
	}},
	{0x80000001, 0, EDX, {
		F("syscall", 11, V1, .efer = BIT(0)), F("nx", 20, V1, .efer = BIT(11)),
		F("pdpe1gb", 26, HOST), F("rdtscp", 27, HOST, .insns = VCPU_INSN_RDTSCP),
		F("lm", 29, V1, .efer = BIT(10) | BIT(8)),
	}},
	{0x80000007, 0, EDX, {
		F("invariant-tsc", 8, OURS),
	}},
};
/* clang-format on */

/* Rows of policy->subleaves, and how many sub-leaves each leaf has. */
enum { SUB_CACHE, SUB_FEATURES, SUB_TOPOLOGY, SUB_XSAVE };

/* XCR0's bits that words[] can allow: sub-leaves 2 to 7 of leaf 0xd. */
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

/* NULL: there is no such leaf, which reads as 0. */
static const struct cpuid *policy_leaf(const struct cpuid_policy *policy, uint32_t leaf,
				       uint32_t subleaf)
{
	/* The row of a leaf with sub-leaves, plus one. */
	static const uint8_t rows[CPUID_BASIC_COUNT] = {[0x4] = SUB_CACHE + 1,
							[0x7] = SUB_FEATURES + 1,
							[0xb] = SUB_TOPOLOGY + 1,
							[0xd] = SUB_XSAVE + 1};

	if (leaf < CPUID_BASIC_COUNT) {
		if (rows[leaf] == 0) {
			return &policy->basic[leaf];
		}
		return subleaf < CPUID_SUBLEAF_COUNT ? &policy->subleaves[rows[leaf] - 1][subleaf]
						     : NULL;
	}
	if (leaf - CPUID_EXTENDED_BASE < CPUID_EXTENDED_COUNT) {
		return &policy->extended[leaf - CPUID_EXTENDED_BASE];
	}
	if (leaf - CPUID_HYPERVISOR_BASE < CPUID_HYPERVISOR_COUNT) {
		return &policy->hypervisor[leaf - CPUID_HYPERVISOR_BASE];
	}
	return NULL;
}

static uint32_t *cpuid_register(struct cpuid *cpuid, unsigned reg)
{
	uint32_t *registers[] = {&cpuid->eax, &cpuid->ebx, &cpuid->ecx, &cpuid->edx};

	return registers[reg];
}

/* The host's bits of a word of CPUID; 0 when it does not have the leaf. */
static uint32_t host_word(struct cpuid (*host)(uint32_t, uint32_t), const struct cpuid_word *word)
{
	/* Beyond its last leaf a CPU answers with another leaf's data. */
	struct cpuid last = host(word->leaf & CPUID_EXTENDED_BASE, 0);
	struct cpuid cpuid;

	if (word->leaf > last.eax || (word->leaf == 0x7 && word->subleaf > host(0x7, 0).eax)) {
		return 0;
	}
	cpuid = host(word->leaf, word->subleaf);
	return *cpuid_register(&cpuid, word->reg);
}

/* Appends a name to the list of what is missing, cut off at its end. */
static void error_append(char *error, const char *name)
{
	size_t length = strlen(error);

	snprintf(error + length, CPUID_ERROR_MAX - length, " %s", name);
}

static int policy_set_word(struct cpuid_policy *policy, enum config_cpu cpu,
			   const struct cpuid_word *word, uint32_t host, char *error)
{
	/* The policy "host" demands of the host what every x86-64 has. */
	static const uint8_t demands[] = {
		[CPU_POLICY_HOST] = V1, [CPU_POLICY_X86_64_V2] = V2, [CPU_POLICY_X86_64_V3] = V3};
	/* Of a policy that is still being made. */
	struct cpuid *leaf = (struct cpuid *)policy_leaf(policy, word->leaf, word->subleaf);
	int result = 0;

	for (const struct cpuid_feature *feature = word->features; feature->name != NULL;
	     feature++) {
		bool is_demanded = feature->level <= demands[cpu];

		if (feature->level != OURS && (host & BIT(feature->bit)) == 0) {
			if (is_demanded) {
				error_append(error, feature->name);
				result = -ENOTSUP;
			}
		} else if (is_demanded || cpu == CPU_POLICY_HOST || feature->level == OURS) {
			*cpuid_register(leaf, word->reg) |= (uint32_t)BIT(feature->bit);
			policy->limits.cr4 |= feature->cr4;
			policy->limits.xcr0 |= feature->xcr0;
			policy->limits.efer |= feature->efer;
			policy->limits.insns |= feature->insns;
		}
	}
	return result;
}

static int policy_set_features(struct cpuid_policy *policy, enum config_cpu cpu,
			       struct cpuid (*host)(uint32_t, uint32_t), char *error)
{
	int result = 0;

	snprintf(error, CPUID_ERROR_MAX, "the host's CPU lacks:");
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (policy_set_word(policy, cpu, &words[i], host_word(host, &words[i]), error) !=
		    0) {
			result = -ENOTSUP;
		}
	}
	/* Older than its CPUID bit: every x86-64 CPU has it. */
	policy->limits.cr4 |= CR4_PCE;
	return result;
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

/* Sizes of the XSAVE area for what is on in XCR0: SDM 1, 13.4.2 and 13.4.3. */
static uint32_t xsave_size(const struct cpuid *xsave, uint64_t xcr0, bool compacted)
{
	uint32_t size = 576; /* legacy area and header: SDM 1, 13.4 */

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

/* Leaf 0xd: the state components that XCR0 may switch on, as the host has them. */
static void policy_set_xsave(struct cpuid_policy *policy, struct cpuid (*host)(uint32_t, uint32_t))
{
	struct cpuid *xsave = policy->subleaves[SUB_XSAVE];
	uint64_t xcr0 = policy->limits.xcr0;

	if (xcr0 == 0) {
		/* Without XSAVE there is no leaf 0xd; XCR0 stays at its reset value. */
		memset(xsave, 0, sizeof(policy->subleaves[SUB_XSAVE]));
		policy->limits.xcr0 = 1;
		return;
	}
	for (unsigned i = 2; i < CPUID_SUBLEAF_COUNT; i++) {
		xsave[i] = (xcr0 & BIT(i)) != 0 ? host(0xd, i) : (struct cpuid){0};
	}
	xsave[0].eax = (uint32_t)xcr0;
	xsave[0].ecx = xsave_size(xsave, xcr0, false);
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

/* Leaves that are not there read 0, as on AMD; Intel repeats the last one. */
struct cpuid cpuid_policy_get(const struct cpuid_policy *policy, uint32_t leaf, uint32_t subleaf,
			      const struct cpuid_state *state)
{
	const struct cpuid *found = policy_leaf(policy, leaf, subleaf);
	struct cpuid result = found == NULL ? (struct cpuid){0} : *found;

	if (leaf == 0x1) {
		result.ecx |= (state->cr4 & CR4_OSXSAVE) != 0 ? (uint32_t)LEAF_1_ECX_OSXSAVE : 0;
		result.edx &= state->apic_enabled ? UINT32_MAX : (uint32_t)~LEAF_1_EDX_APIC;
	} else if (leaf == 0xd && subleaf <= 1 && result.eax != 0) {
		result.ebx = xsave_size(policy->subleaves[SUB_XSAVE], state->xcr0, subleaf == 1);
	}
	return result;
}
