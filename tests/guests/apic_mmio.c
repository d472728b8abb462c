/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC's page: every operand form, and its registers. */
#include "tests/guests/lib/compare.h"
#include "tests/guests/lib/lib.h"

/*
 * The timer's initial count, with the timer masked, is 32 bits of storage. The
 * values are even: count 1 would be the only one that matters to the timer.
 */
static void storage_prepare(uint32_t word)
{
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	apic_write(APIC_TIMER_INITIAL, word);
}

static bool storage_left_as(uint32_t word)
{
	uint32_t seen = apic_read(APIC_TIMER_INITIAL);

	if (seen != word) {
		print("# the register holds %#x, not %#x\n", seen, word);
	}
	return seen == word;
}

static const struct compare_device storage = {storage_prepare, storage_left_as};

static void forms_zero(void)
{
	compare_forms(FORM_WORD, 0, APIC_PAGE, &storage);
}

static void forms_sign(void)
{
	compare_forms(FORM_WORD, 0x80000001, APIC_PAGE, &storage);
}

static void forms_ones(void)
{
	compare_forms(FORM_WORD, 0xffffffff, APIC_PAGE, &storage);
}

static void forms_mixed(void)
{
	compare_forms(FORM_WORD, 0x12ab9cd0, APIC_PAGE, &storage);
}

static void identity(void)
{
	uint32_t version = apic_read(APIC_VERSION);

	expect_equal(apic_read(APIC_ID) & BITS(23, 0), 0);
	expect((version & 0xff) >= 0x10 && (version & 0xff) <= 0x15);
	expect((version >> 16 & 0xff) >= 3); /* four LVT entries at least */
	apic_write(APIC_VERSION, 0);
	expect_equal(apic_read(APIC_VERSION), version);
}

static void task_priority(void)
{
	apic_write(APIC_TPR, 0x35);
	expect_equal(apic_read(APIC_TPR), 0x35);
	expect_equal(read_cr8(), 3);
	apic_write(APIC_TPR, 0xffffff00);
	expect_equal(apic_read(APIC_TPR), 0);
}

static void destinations(void)
{
	apic_write(APIC_LDR, 0xffffffff);
	expect_equal(apic_read(APIC_LDR), 0xff000000);
	apic_write(APIC_DFR, 0x0fffffff);
	expect_equal(apic_read(APIC_DFR) >> 28, 0);
	apic_write(APIC_DFR, 0xffffffff);
	expect_equal(apic_read(APIC_DFR), 0xffffffff);
}

static void command_high(void)
{
	apic_write(APIC_ICR_HIGH, 0xab000000);
	expect_equal(apic_read(APIC_ICR_HIGH), 0xab000000);
	apic_write(APIC_ICR_HIGH, 0);
}

static void self_ipis(void)
{
	apic_enable();
	on_vector(0x41, count_apic_event);
	apic_self_ipi(0x41);
	apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
	sti();
	cli();
	expect_equal(event_count[0x41], 1);
	apic_write(APIC_ICR, 0x41); /* physical, to this CPU */
	sti();
	cli();
	expect_equal(event_count[0x41], 2);
	apic_write(APIC_ICR, 0x80000 | 0x41); /* all, including self */
	sti();
	cli();
	expect_equal(event_count[0x41], 3);
	apic_write(APIC_ICR, 0xc0000 | 0x41); /* all, excluding self */
	sti();
	cli();
	expect_equal(event_count[0x41], 3);
	apic_write(APIC_DFR, 0xffffffff);
	apic_write(APIC_LDR, 0x01000000);
	apic_write(APIC_ICR_HIGH, 0x01000000);
	apic_write(APIC_ICR, 0x800 | 0x41); /* logical, flat */
	sti();
	cli();
	expect_equal(event_count[0x41], 4);
}

static void local_vectors(void)
{
	static const enum apic_register entries[] = {
		APIC_LVT_TIMER,
		APIC_LVT_LINT0,
		APIC_LVT_LINT1,
		APIC_LVT_ERROR,
	};

	apic_enable();
	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
		apic_write(entries[i], APIC_LVT_MASKED | 0x77);
		expect_equal(apic_read(entries[i]), APIC_LVT_MASKED | 0x77);
	}
}

static void reserved_offsets(void)
{
	volatile uint32_t *page = (volatile uint32_t *)(uintptr_t)APIC_PAGE;

	for (unsigned offset = 0; offset < PAGE_SIZE; offset += 16) {
		(void)page[offset / 4];
	}
	for (unsigned offset = 0x400; offset < PAGE_SIZE; offset += 16) {
		page[offset / 4] = UINT32_MAX;
	}
	expect_equal(page[0x40 / 4], 0);
}

static void odd_accesses(void)
{
	/* Undefined by the manual (SDM 3, 11.4.1): whatever comes, no harm. */
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	for (uintptr_t at = APIC_PAGE + APIC_TPR; at < APIC_PAGE + APIC_TPR + 20; at++) {
		(void)*(volatile uint8_t *)at;
		(void)*(volatile uint16_t *)at;
		(void)*(volatile uint32_t *)at;
		(void)*(volatile uint64_t *)at;
	}
	(void)*(volatile uint64_t *)(uintptr_t)(APIC_PAGE + PAGE_SIZE - 4);
	(void)*(volatile uint64_t *)(uintptr_t)(APIC_PAGE - 4);
	*(volatile uint8_t *)(uintptr_t)(APIC_PAGE + APIC_TPR) = 0;
	*(volatile uint64_t *)(uintptr_t)(APIC_PAGE + APIC_TPR) = 0;
}

static void out_of_the_way(void)
{
	/* Other linear addresses reach the same page. */
	window_map(3, APIC_PAGE | PTE_P | PTE_W);
	*(volatile uint32_t *)(uintptr_t)(WINDOW + 3 * PAGE_SIZE + APIC_TPR) = 0x20;
	expect_equal(apic_read(APIC_TPR), 0x20);
	apic_write(APIC_TPR, 0);
}

static void write_protected(void)
{
	/* The guest's own tables count first. */
	window_map(3, APIC_PAGE | PTE_P);
	expect_equal(TRY("movl $0, 0x60003080", ), PF);
	expect_equal(fault.error, 3);
	expect_equal(fault.cr2, WINDOW + 3 * PAGE_SIZE + APIC_TPR);
}

const struct test tests[] = {
	{"every form on 00000000", forms_zero},
	{"every form on 80000001", forms_sign},
	{"every form on ffffffff", forms_ones},
	{"every form on 12ab9cd0", forms_mixed},
	{"ID and version", identity},
	{"TPR", task_priority},
	{"LDR and DFR", destinations},
	{"ICR, high half", command_high},
	{"IPIs to itself by each way", self_ipis},
	{"LVT entries hold", local_vectors},
	{"offsets without a register", reserved_offsets},
	{"accesses that the manual forbids do no harm", odd_accesses},
	{"through another mapping", out_of_the_way},
	{"through a read-only mapping", write_protected},
	{NULL, NULL},
};
