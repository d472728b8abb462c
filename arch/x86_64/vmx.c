/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMX operation on each CPU: SDM 3, 25.7 (enabling), appendix A (capability
 * MSRs), 32.4 (INVEPT, INVVPID). The feature gate has made sure that what is
 * demanded here can be had.
 */
#include "arch/x86_64/vmx.h"

#include <errno.h>
#include <string.h>

#include "arch/x86_64/ept.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/vmcs.h"
#include "base/log.h"
#include "base/page.h"

#define VMX_BASIC_REVISION BITS(30, 0)
#define VMX_BASIC_TRUE_CONTROLS BIT(55)
#define VMX_MISC_TIMER_SHIFT BITS(4, 0)
#define EPT_CAP_2M BIT(16)
#define EPT_CAP_1G BIT(17)
#define EPT_CAP_ACCESSED_DIRTY BIT(21)

#define INVEPT_SINGLE 1
#define INVVPID_SINGLE 1

#define IO_BITMAP_ORDER 1
#define MSR_BITMAP_ORDER 0

struct vmx vmx;

static void disable_cpu(void);

/*
 * A capability MSR's low half names the bits that must be 1, its high half
 * those that may be (appendix A.2).
 */
static uint32_t controls_adjust(uint32_t msr, uint64_t demanded, uint64_t optional)
{
	uint64_t capability = msr_read(msr);
	uint32_t must = (uint32_t)capability;
	uint32_t may = (uint32_t)(capability >> 32);

	/* The gate has asked for these. */
	CHECK((may & demanded) == demanded);
	return ((uint32_t)(demanded | optional) | must) & may;
}

static void controls_init(uint64_t basic)
{
	struct vmx_controls *c = &vmx.controls;
	/* The TRUE capabilities allow the default-1 controls to be 0. */
	uint32_t step = basic & VMX_BASIC_TRUE_CONTROLS
				? MSR_VMX_TRUE_PIN_CONTROLS - MSR_VMX_PIN_CONTROLS
				: 0;

	c->pin = controls_adjust(
		MSR_VMX_PIN_CONTROLS + step,
		PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER, 0);
	c->primary =
		controls_adjust(MSR_VMX_PRIMARY_CONTROLS + step,
				PRIMARY_TSC_OFFSET | PRIMARY_HLT | PRIMARY_MWAIT | PRIMARY_RDPMC |
					PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE | PRIMARY_IO_BITMAPS |
					PRIMARY_MSR_BITMAPS | PRIMARY_MONITOR | PRIMARY_SECONDARY,
				0);
	c->secondary = controls_adjust(MSR_VMX_SECONDARY_CONTROLS,
				       SECONDARY_EPT | SECONDARY_RDTSCP | SECONDARY_VPID |
					       SECONDARY_UNRESTRICTED,
				       SECONDARY_WBINVD | SECONDARY_INVPCID);
	c->exit =
		controls_adjust(MSR_VMX_EXIT_CONTROLS + step,
				EXIT_CTL_SAVE_DEBUG | EXIT_CTL_HOST_64 | EXIT_CTL_SAVE_PAT |
					EXIT_CTL_LOAD_PAT | EXIT_CTL_SAVE_EFER | EXIT_CTL_LOAD_EFER,
				0);
	c->entry =
		controls_adjust(MSR_VMX_ENTRY_CONTROLS + step,
				ENTRY_CTL_LOAD_DEBUG | ENTRY_CTL_LOAD_PAT | ENTRY_CTL_LOAD_EFER, 0);
}

/* The guest reads and writes these at full speed: vcpu.c switches them. */
static void msr_bitmap_init(uint8_t *bitmap)
{
	static const struct {
		uint32_t msr;
		bool read_only;
	} open[] = {
		{MSR_FS_BASE, false},	   {MSR_GS_BASE, false},     {MSR_KERNEL_GS_BASE, false},
		{MSR_STAR, false},	   {MSR_LSTAR, false},	     {MSR_CSTAR, false},
		{MSR_FMASK, false},	   {MSR_SYSENTER_CS, false}, {MSR_SYSENTER_ESP, false},
		{MSR_SYSENTER_EIP, false}, {MSR_PAT, false},	     {MSR_TSC_AUX, false},
		{MSR_EFER, true},	   {MSR_TSC, true},
	};

	/* Four parts of 1 KiB: read low, read high, write low, write high (26.6.9). */
	memset(bitmap, 0xff, PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(open); i++) {
		uint32_t bit = open[i].msr & 0x1fff;
		uint8_t *part = bitmap + (open[i].msr >= 0xc0000000 ? 1024 : 0);

		part[bit / 8] &= (uint8_t)~BIT(bit % 8);
		if (!open[i].read_only) {
			part[2048 + bit / 8] &= (uint8_t)~BIT(bit % 8);
		}
	}
}

int vmx_init(void)
{
	uint64_t basic = msr_read(MSR_VMX_BASIC);
	uint64_t ept = msr_read(MSR_VMX_EPT_VPID_CAP);
	struct ept_features features = {
		.leaf_level_max = ept & EPT_CAP_1G   ? 2
				  : ept & EPT_CAP_2M ? 1
						     : 0,
		.accessed_dirty = (ept & EPT_CAP_ACCESSED_DIRTY) != 0,
	};

	vmx.revision = (uint32_t)field_get(VMX_BASIC_REVISION, basic);
	vmx.timer_shift = (unsigned)field_get(VMX_MISC_TIMER_SHIFT, msr_read(MSR_VMX_MISC));
	vmx.cr0_fixed1 = msr_read(MSR_VMX_CR0_FIXED0);
	vmx.cr4_fixed1 = msr_read(MSR_VMX_CR4_FIXED0);
	controls_init(basic);
	ept_init(&features);

	vmx.io_bitmaps = page_alloc(IO_BITMAP_ORDER);
	vmx.msr_bitmap = page_alloc(MSR_BITMAP_ORDER);
	if (hpa_is_none(vmx.io_bitmaps) || hpa_is_none(vmx.msr_bitmap)) {
		return -ENOMEM;
	}
	memset(hpa_to_virt(vmx.io_bitmaps), 0xff, PAGE_SIZE << IO_BITMAP_ORDER);
	msr_bitmap_init(hpa_to_virt(vmx.msr_bitmap));
	return 0;
}

int vmx_enable_cpu(void)
{
	uint64_t control = msr_read(MSR_FEATURE_CONTROL);
	hpa_t region = page_alloc(0);
	bool failed;

	if (hpa_is_none(region)) {
		return -ENOMEM;
	}
	if (!(control & FEATURE_CONTROL_LOCKED)) {
		/* The firmware left it to us (25.7): allow VMX outside SMX, and lock. */
		control |= FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX;
		msr_write(MSR_FEATURE_CONTROL, control);
	}
	if (!(control & FEATURE_CONTROL_VMX)) {
		page_free(region, 0);
		return -EPERM; /* VMXON would be #GP */
	}
	memset(hpa_to_virt(region), 0, PAGE_SIZE);
	*(uint32_t *)hpa_to_virt(region) = vmx.revision;

	cr0_write(cr0_read() | vmx.cr0_fixed1);
	cr4_write(cr4_read() | vmx.cr4_fixed1 | CR4_VMXE);
	__asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");
	if (failed) {
		page_free(region, 0);
		return -EIO;
	}
	this_cpu()->stop = disable_cpu;
	return 0;
}

bool virt_on_this_cpu(void)
{
	return this_cpu()->stop != NULL;
}

/* Before a reset: INIT is blocked in VMX operation (25.8). */
static void disable_cpu(void)
{
	__asm__ volatile("vmxoff" ::: "cc", "memory");
	cr4_write(cr4_read() & ~CR4_VMXE);
}

void vmx_invalidate_ept(uint64_t ept_pointer)
{
	struct {
		uint64_t ept_pointer, reserved;
	} descriptor = {ept_pointer, 0};
	bool failed;

	__asm__ volatile("invept %1, %2"
			 : "=@ccbe"(failed)
			 : "m"(descriptor), "r"((uint64_t)INVEPT_SINGLE)
			 : "memory");
	CHECK(!failed);
}

void vmx_invalidate_vpid(uint16_t vpid)
{
	struct {
		uint64_t vpid, linear;
	} descriptor = {vpid, 0};
	bool failed;

	__asm__ volatile("invvpid %1, %2"
			 : "=@ccbe"(failed)
			 : "m"(descriptor), "r"((uint64_t)INVVPID_SINGLE)
			 : "memory");
	CHECK(!failed);
}

void s2_entry_store(s2_entry_t *entry, s2_entry_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}
