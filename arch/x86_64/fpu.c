/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/fpu.h"

#include <string.h>

#include "arch/x86_64/percpu.h"
#include "arch/x86_64/registers.h"
#include "base/check.h"

#define LEAF_XSAVE 0xd

/* XCR0 (SDM 1, 13.3). MPX is dead; AMX's 8 KiB wait for a guest that asks. */
#define XCR0_X87 BIT(0)
#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)
#define XCR0_AVX512 BITS(7, 5)
#define XCR0_PKRU BIT(9)
#define XCR0_SAVED (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU)

#define XSAVE_LEGACY_SIZE 512
#define XSAVE_HEADER_SIZE 64
#define XSAVE_FCW 0 /* offsets in the legacy region (table 10-2) */
#define XSAVE_MXCSR 24
#define FCW_INIT 0x37f
#define MXCSR_INIT 0x1f80

static uint64_t components;
static size_t area_size;

/* What fpu_begin loads. */
static uint8_t initial[PAGE_SIZE] __attribute__((aligned(64)));

void fpu_init(void)
{
	struct cpuid leaf = cpuid_host(LEAF_XSAVE, 0);

	components = ((uint64_t)leaf.edx << 32 | leaf.eax) & XCR0_SAVED;
	/* To the end of the last component, as CPUID places them (standard format). */
	area_size = XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE;
	for (unsigned i = 2; i < 64; i++) {
		if (components & BIT(i)) {
			leaf = cpuid_host(LEAF_XSAVE, i);
			area_size = MAX(area_size, (size_t)leaf.eax + leaf.ebx);
		}
	}
	CHECK(area_size <= sizeof(initial));
	fpu_area_init(initial);
}

uint64_t fpu_features(void)
{
	return components;
}

size_t fpu_area_size(void)
{
	return area_size;
}

void fpu_area_init(void *area)
{
	uint16_t fcw = FCW_INIT;
	uint32_t mxcsr = MXCSR_INIT;

	/* A zeroed header says: all components in their initial state. */
	memset(area, 0, area_size);
	memcpy((uint8_t *)area + XSAVE_FCW, &fcw, sizeof(fcw));
	memcpy((uint8_t *)area + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
}

void fpu_begin(void)
{
	struct cpu *cpu = this_cpu();

	CHECK(cpu->id == 0 && !cpu->fpu_begun);
	cpu->fpu_begun = true;
	if (cpu->fpu_guest != NULL) {
		cpu->fpu_guest_xcr0 = xcr0_read();
		xcr0_write(components);
		fpu_save(cpu->fpu_guest);
	}
	fpu_restore(initial);
}

void fpu_end(void)
{
	struct cpu *cpu = this_cpu();

	CHECK(cpu->fpu_begun);
	if (cpu->fpu_guest != NULL) {
		fpu_restore(cpu->fpu_guest);
		xcr0_write(cpu->fpu_guest_xcr0);
	}
	cpu->fpu_begun = false;
}
