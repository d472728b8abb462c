/* SPDX-License-Identifier: Apache-2.0 */
/* Code that changes: executed and emulated instructions are the new ones. */
#include "tests/guests/lib/lib.h"

static uint8_t code[2 * PAGE_SIZE] __attribute__((aligned(4096)));

static uint32_t call(const uint8_t *at)
{
	return ((uint32_t(*)(void))(uintptr_t)at)();
}

/* mov $value, %eax; ret */
static void put_constant(uint8_t *at, uint32_t value)
{
	at[0] = 0xb8;
	memcpy(at + 1, &value, sizeof(value));
	at[5] = 0xc3;
}

static void in_place(void)
{
	for (uint32_t i = 0; i < 100; i++) {
		put_constant(code, i);
		expect_equal(call(code), i);
	}
}

static void over_a_page_boundary(void)
{
	for (uint32_t i = 0; i < 100; i++) {
		put_constant(code + PAGE_SIZE - 3, i << 16 | i);
		expect_equal(call(code + PAGE_SIZE - 3), i << 16 | i);
	}
}

static void through_an_alias(void)
{
	window_map(0, (uintptr_t)code | PTE_P | PTE_W);
	for (uint32_t i = 0; i < 100; i++) {
		put_constant((uint8_t *)(uintptr_t)WINDOW + 64, ~i);
		cpuid(0, 0);
		expect_equal(call(code + 64), ~i);
	}
}

/* mov reg of the APIC's page, %eax; ret: read by the emulator each time. */
static void emulated(void)
{
	static const uint16_t registers[] = {APIC_VERSION, APIC_SVR, APIC_TPR, APIC_LDR};
	uint8_t *at = code + PAGE_SIZE - 4; /* over a page boundary */

	apic_enable();
	for (unsigned i = 0; i < 16; i++) {
		uint16_t reg = registers[i % ARRAY_SIZE(registers)];
		uint32_t address = APIC_PAGE + reg;

		/* mov (%rdx), %eax with RDX loaded before: 8b 02 */
		at[0] = 0xba; /* mov $address, %edx */
		memcpy(at + 1, &address, sizeof(address));
		at[5] = 0x8b;
		at[6] = 0x02;
		at[7] = 0xc3;
		__asm__ volatile("" : : : "memory");

		uint32_t value;

		__asm__ volatile("call *%1" : "=a"(value) : "r"(at) : "rdx", "memory");
		expect_equal(value, apic_read(reg));
	}
}

/* The instruction itself is changed by another mapping before each exit. */
static void emulated_operand(void)
{
	uint8_t *at = code + 128;

	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	for (uint8_t i = 0; i < 16; i++) {
		/* movl $i, 0x380(%rdx); ret */
		static const uint8_t store[] = {0xc7, 0x82, 0x80, 0x03, 0, 0};

		memcpy(at, store, sizeof(store));
		memset(at + 6, 0, 4);
		at[6] = (uint8_t)(i + 2);
		at[10] = 0xc3;
		__asm__ volatile("call *%0" : : "r"(at), "d"(APIC_PAGE) : "memory");
		expect_equal(apic_read(APIC_TIMER_INITIAL), i + 2u);
	}
}

const struct test tests[] = {
	{"rewritten in place", in_place},
	{"over a page boundary", over_a_page_boundary},
	{"through another mapping", through_an_alias},
	{"an emulated load over a page boundary", emulated},
	{"an emulated store", emulated_operand},
	{NULL, NULL},
};
