/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GDT, TSS and IDT: SDM 3, 3.4.5 (segment descriptors), 6.14 (64-bit interrupt
 * handling), 8.7 (64-bit TSS). Each CPU has a GDT and a TSS; the IDT is shared.
 */
#ifndef ARCH_X86_64_DESCRIPTORS_H
#define ARCH_X86_64_DESCRIPTORS_H

#include "base/types.h"

#define SELECTOR_NULL 0x00
#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10 /* SS, DS, ES, FS, GS */
#define SELECTOR_TSS 0x18 /* takes two entries */

#define GDT_COUNT 5
#define IDT_COUNT 256

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7]; /* IST 1 to 7 */
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map_base;
} __attribute__((packed));

_Static_assert(sizeof(struct tss) == 104, "SDM 3, figure 8-11");

struct cpu;

/* Fills the IDT: once, before the first CPU loads it. */
void idt_init(void);

/* Fills this CPU's GDT and TSS, and loads them and the IDT. */
void descriptors_load(struct cpu *cpu);

/*
 * What the backend must restore when a guest leaves: the base of the shared
 * IDT; GDT and TSS are in struct cpu. Limits may be anything from the tables'
 * own up to 0xffff.
 */
uint64_t idt_base(void);

static inline void idt_load(uint64_t base, uint16_t limit)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = {limit, base};

	__asm__ volatile("lidt %0" : : "m"(idtr));
}

static inline void gdt_load(uint64_t base, uint16_t limit)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr = {limit, base};

	__asm__ volatile("lgdt %0" : : "m"(gdtr));
}

#endif
