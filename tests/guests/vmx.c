/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that the guest's CPU does not have, or that belong to its host:
 * virtualisation of either vendor, safer mode, system management, monitors.
 */
#include "tests/guests/lib/lib.h"

#define MSR_FEATURE_CONTROL 0x3a
#define EXTENDED_ECX_SVM BIT(2)
#define FEATURES_ECX_MONITOR BIT(3)

static uint64_t operand[2] __attribute__((aligned(4096)));

static void enable_bit(void)
{
	need(machine_is_strict(), "QEMU's TCG takes CR4.VMXE");
	expect_equal(try_write_cr4(read_cr4() | CR4_VMXE), GP);
	expect_equal(try_write_cr4(read_cr4() | CR4_SMXE), GP);
	expect_equal(read_cr4() & (CR4_VMXE | CR4_SMXE), 0);
}

static void vmx(void)
{
	expect_equal(TRY("vmxon %0", : : "m"(operand[0])), UD);
	expect_equal(TRY("vmxoff", ), UD);
	expect_equal(TRY("vmclear %0", : : "m"(operand[0])), UD);
	expect_equal(TRY("vmptrld %0", : : "m"(operand[0])), UD);
	expect_equal(TRY("vmptrst %0", : "=m"(operand[0])), UD);
	expect_equal(TRY("vmread %%rax, %0", : "=m"(operand[0])), UD);
	expect_equal(TRY("vmwrite %0, %%rax", : : "m"(operand[0])), UD);
	expect_equal(TRY("vmlaunch", ), UD);
	expect_equal(TRY("vmresume", ), UD);
	expect_equal(TRY("invept %0, %1", : : "m"(operand), "r"(UINT64_C(2))), UD);
	expect_equal(TRY("invvpid %0, %1", : : "m"(operand), "r"(UINT64_C(2))), UD);
	expect_equal(TRY("vmfunc", : : "a"(0), "c"(0)), UD);
}

/* A hypercall nobody offers: #UD or an error in RAX, never more. */
static void vmcall(void)
{
	uint64_t result = 0x7777;
	int vector = TRY("vmcall", : "+a"(result) : : "memory");

	expect(vector == UD || (vector == NO_FAULT && (int64_t)result < 0));
	vector = TRY("vmmcall", : "+a"(result) : : "memory");
	expect(vector == UD || vector == NO_FAULT);
}

static void svm(void)
{
	need((cpuid(0x80000001, 0).ecx & EXTENDED_ECX_SVM) == 0, "QEMU's TCG has SVM");
	expect_equal(TRY("vmrun", : : "a"(operand)), UD);
	expect_equal(TRY("vmload", : : "a"(operand)), UD);
	expect_equal(TRY("vmsave", : : "a"(operand)), UD);
	expect_equal(TRY("stgi", ), UD);
	expect_equal(TRY("clgi", ), UD);
	expect_equal(TRY("skinit", : : "a"(0)), UD);
	expect_equal(TRY("invlpga", : : "a"(0), "c"(0)), UD);
}

static void safer_mode(void)
{
	expect_equal(TRY("getsec", : "+a"((int){0}) : : "rbx", "rcx", "memory"), UD);
	expect_equal(TRY("rsm", ), UD);
}

static void monitor(void)
{
	int vector = TRY("monitor", : : "a"(operand), "c"(0), "d"(0));

	if ((cpuid(1, 0).ecx & FEATURES_ECX_MONITOR) == 0) {
		expect_equal(vector, UD);
		expect_equal(TRY("mwait", : : "a"(0), "c"(0)), UD);
	} else {
		expect_equal(vector, NO_FAULT);
	}
}

/* What CPUID does not offer is not there. */
static void unoffered(void)
{
	struct cpuid seven = cpuid(7, 0);
	uint32_t low, high;

	need(machine_is_strict(), "QEMU's TCG checks none of these");
	if ((seven.ebx & BIT(10)) == 0) {
		expect_equal(TRY("invpcid %0, %1", : : "m"(operand), "r"(UINT64_C(2))), UD);
	}
	if ((cpuid(0x80000001, 0).edx & BIT(27)) == 0) {
		expect_equal(TRY("rdtscp", : "=a"(low), "=d"(high) : : "ecx"), UD);
	}
	if ((seven.ecx & BIT(5)) == 0) {
		expect_equal(TRY("tpause %%eax", : : "a"(0), "d"(0)), UD);
	}
	if ((seven.edx & BIT(18)) == 0) {
		expect_equal(TRY("pconfig", : : "a"(0)), UD);
	}
	if ((cpuid(0xd, 1).eax & BIT(3)) == 0) {
		expect_equal(TRY("xsaves %0", : "=m"(operand) : "a"(0), "d"(0)), UD);
	}
	if ((seven.ebx & BIT(25)) == 0) {
		expect_equal(try_rdmsr(0x570, &(uint64_t){0}), GP); /* processor trace */
	}
}

static void feature_control(void)
{
	uint64_t value = 0;

	need(machine_is_strict(), "QEMU's TCG has VMX's MSRs");
	/* Absent, or locked without VMX. */
	if (try_rdmsr(MSR_FEATURE_CONTROL, &value) == NO_FAULT) {
		expect_equal(value & BIT(2), 0);
	}
	expect_equal(try_rdmsr(0x480, &value), GP); /* VMX_BASIC */
	expect_equal(try_rdmsr(0xc0010117, &value), GP); /* VM_HSAVE_PA */
}

const struct test tests[] = {
	{"CR4.VMXE and SMXE are refused", enable_bit},
	{"VMX instructions", vmx},
	{"VMCALL, VMMCALL", vmcall},
	{"SVM instructions", svm},
	{"GETSEC, RSM", safer_mode},
	{"MONITOR, MWAIT", monitor},
	{"instructions that CPUID does not offer", unoffered},
	{"MSRs of virtualisation", feature_control},
	{NULL, NULL},
};
