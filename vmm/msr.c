/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MSRs of a guest: first the APIC's (the platform), then those that live in
 * the CPU (arch), then the table below. Anything else is #GP.
 */
#include "vmm/msr.h"

#include <errno.h>

#include "base/bits.h"
#include "vmm/pvclock.h"
#include "vmm/vm.h"

#define MSR_TSC 0x10
#define MSR_PLATFORM_ID 0x17
#define MSR_FEATURE_CONTROL 0x3a
#define MSR_BIOS_UPDATE_TRIGGER 0x79
#define MSR_BIOS_SIGN_ID 0x8b
#define MSR_PLATFORM_INFO 0xce
#define MSR_MTRR_CAP 0xfe
#define MSR_MISC_FEATURES_ENABLES 0x140
#define MSR_MCG_CAP 0x179
#define MSR_MCG_STATUS 0x17a
#define MSR_MISC_ENABLE 0x1a0
#define MSR_DEBUGCTL 0x1d9
#define MSR_MTRR_VARIABLE 0x200
#define MSR_MTRR_FIXED_64K 0x250
#define MSR_MTRR_FIXED_16K 0x258
#define MSR_MTRR_FIXED_4K 0x268
#define MSR_MTRR_DEFAULT 0x2ff
/* KVM's clock by its two names, of CPUID 0x40000001 bits 0 and 3. */
#define MSR_KVM_WALL_CLOCK_OLD 0x11
#define MSR_KVM_SYSTEM_TIME_OLD 0x12
#define MSR_KVM_WALL_CLOCK 0x4b564d00
#define MSR_KVM_SYSTEM_TIME 0x4b564d01
#define KVM_SYSTEM_TIME_ENABLE BIT(0)

#define FEATURE_CONTROL_LOCKED BIT(0)

#define MTRR_CAP_FIXED BIT(8)
#define MTRR_CAP_WC BIT(10)
#define MTRR_DEFAULT_ENABLE BIT(11)
#define MTRR_DEFAULT_FIXED_ENABLE BIT(10)
#define MTRR_DEFAULT_TYPE BITS(7, 0)
#define MEMORY_TYPE_WB 6
#define MTRR_ALL_WB UINT64_C(0x0606060606060606)

#define MISC_ENABLE_FAST_STRINGS BIT(0)
#define MISC_ENABLE_NO_BTS BIT(11)
#define MISC_ENABLE_NO_PEBS BIT(12)
/* A guest may write these; their effect is CPUID's or none. */
#define MISC_ENABLE_WRITABLE (BIT(0) | BIT(3) | BIT(16) | BIT(18) | BIT(22) | BIT(34))

/* As firmware leaves them: all of RAM write-back. */
void msr_reset(struct msr_state *msrs)
{
	*msrs = (struct msr_state){
		.mtrr_default = MTRR_DEFAULT_ENABLE | MTRR_DEFAULT_FIXED_ENABLE | MEMORY_TYPE_WB,
		.misc_enable = MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_NO_BTS | MISC_ENABLE_NO_PEBS,
	};
	for (size_t i = 0; i < ARRAY_SIZE(msrs->mtrr_fixed); i++) {
		msrs->mtrr_fixed[i] = MTRR_ALL_WB;
	}
}

static bool memory_type_is_valid(uint64_t type)
{
	return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

/* The fixed-range MTRR of this number, NULL when it is none (SDM 3, 12.11.2.2). */
static uint64_t *mtrr_fixed(struct msr_state *msrs, uint32_t index)
{
	if (index == MSR_MTRR_FIXED_64K) {
		return &msrs->mtrr_fixed[0];
	}
	if (index - MSR_MTRR_FIXED_16K < 2) {
		return &msrs->mtrr_fixed[1 + index - MSR_MTRR_FIXED_16K];
	}
	if (index - MSR_MTRR_FIXED_4K < 8) {
		return &msrs->mtrr_fixed[3 + index - MSR_MTRR_FIXED_4K];
	}
	return NULL;
}

/* Memory types have no effect here, but what is written is read back. */
static uint64_t *mtrr(struct msr_state *msrs, uint32_t index)
{
	if (index == MSR_MTRR_DEFAULT) {
		return &msrs->mtrr_default;
	}
	if (index - MSR_MTRR_VARIABLE < 2 * MTRR_VARIABLE_COUNT) {
		return &msrs->mtrr_variable[index - MSR_MTRR_VARIABLE];
	}
	return mtrr_fixed(msrs, index);
}

static bool mtrr_value_is_valid(const struct msr_state *msrs, const uint64_t *slot, uint64_t value)
{
	if (slot == &msrs->mtrr_default) {
		return !(value &
			 ~(MTRR_DEFAULT_ENABLE | MTRR_DEFAULT_FIXED_ENABLE | MTRR_DEFAULT_TYPE)) &&
		       memory_type_is_valid(value & MTRR_DEFAULT_TYPE);
	}
	if (slot >= msrs->mtrr_fixed) {
		for (unsigned i = 0; i < 64; i += 8) {
			if (!memory_type_is_valid(value >> i & 0xff)) {
				return false;
			}
		}
		return true;
	}
	if ((slot - msrs->mtrr_variable) % 2 != 0) {
		return !(value & (BITS(63, 52) | BITS(10, 0)));
	}
	return !(value & (BITS(63, 52) | BITS(11, 8))) && memory_type_is_valid(value & 0xff);
}

/* MSRs whose value never changes; a write of them is ignored or refused. */
static const struct {
	uint32_t index;
	bool writable; /* without effect */
	uint64_t value;
} constant_msrs[] = {
	{MSR_PLATFORM_ID, false, 0},
	{MSR_FEATURE_CONTROL, false, FEATURE_CONTROL_LOCKED},
	{MSR_BIOS_UPDATE_TRIGGER, true, 0},
	{MSR_BIOS_SIGN_ID, true, 0},
	{MSR_PLATFORM_INFO, false, 0},
	{MSR_MTRR_CAP, false, MTRR_VARIABLE_COUNT | MTRR_CAP_FIXED | MTRR_CAP_WC},
	{MSR_MISC_FEATURES_ENABLES, false, 0},
	{MSR_MCG_CAP, false, 0},
	{MSR_MCG_STATUS, true, 0},
	{MSR_DEBUGCTL, false, 0},
	/* The guest's TSC is its machine's time, which nobody sets. */
	{MSR_TSC, true, 0},
};

int msr_read_policy(struct vm *vm, uint32_t index, uint64_t *value)
{
	uint64_t *slot;
	int result = platform_msr_read(vm->platform, index, value);

	if (result != -ENOENT) {
		return result;
	}
	slot = mtrr(&vm->msrs, index);
	if (slot != NULL) {
		*value = *slot;
		return 0;
	}
	switch (index) {
	case MSR_MISC_ENABLE:
		*value = vm->msrs.misc_enable;
		return 0;
	case MSR_KVM_SYSTEM_TIME_OLD:
	case MSR_KVM_SYSTEM_TIME:
		*value = vm->msrs.system_time;
		return 0;
	case MSR_KVM_WALL_CLOCK_OLD:
	case MSR_KVM_WALL_CLOCK:
		*value = vm->msrs.wall_clock;
		return 0;
	default:
		break;
	}
	for (size_t i = 0; i < ARRAY_SIZE(constant_msrs); i++) {
		if (constant_msrs[i].index == index) {
			*value = constant_msrs[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

/* What cannot be written to memory is not kept either. */
static int write_system_time(struct vm *vm, uint64_t value)
{
	gpa_t gpa = GPA(value & ~KVM_SYSTEM_TIME_ENABLE);

	if ((value & KVM_SYSTEM_TIME_ENABLE) &&
	    pvclock_write_time(&vm->memory, gpa, tsc_hz, PVCLOCK_TSC_STABLE) != 0) {
		return -EINVAL;
	}
	vm->msrs.system_time = value;
	return 0;
}

static int write_wall_clock(struct vm *vm, uint64_t value)
{
	if (pvclock_write_wall_clock(&vm->memory, GPA(value), vm->wall_clock_s) != 0) {
		return -EINVAL;
	}
	vm->msrs.wall_clock = value;
	return 0;
}

int msr_write_policy(struct vm *vm, uint32_t index, uint64_t value)
{
	uint64_t *slot;
	int result = platform_msr_write(vm->platform, index, value);

	if (result != -ENOENT) {
		return result;
	}
	result = vcpu_write_msr(vm->vcpu, index, value);
	if (result != -ENOENT) {
		return result;
	}
	slot = mtrr(&vm->msrs, index);
	if (slot != NULL) {
		if (!mtrr_value_is_valid(&vm->msrs, slot, value)) {
			return -EINVAL;
		}
		*slot = value;
		return 0;
	}
	switch (index) {
	case MSR_MISC_ENABLE:
		if ((value ^ vm->msrs.misc_enable) & ~MISC_ENABLE_WRITABLE) {
			return -EINVAL;
		}
		vm->msrs.misc_enable = value;
		return 0;
	case MSR_KVM_SYSTEM_TIME_OLD:
	case MSR_KVM_SYSTEM_TIME:
		return write_system_time(vm, value);
	case MSR_KVM_WALL_CLOCK_OLD:
	case MSR_KVM_WALL_CLOCK:
		return write_wall_clock(vm, value);
	default:
		break;
	}
	for (size_t i = 0; i < ARRAY_SIZE(constant_msrs); i++) {
		if (constant_msrs[i].index == index) {
			bool same = value == constant_msrs[i].value;

			return constant_msrs[i].writable || same ? 0 : -EINVAL;
		}
	}
	return -EINVAL;
}
