/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The emulator and the page walk: registers and an instruction from outside, in
 * a small RAM whose page tables point to themselves and to a device.
 *
 * Input: a byte for mode and options, the registers, the instruction.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/ram.h"
#include "vmm/emulate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CODE 0x1000
#define TABLES 0x100000

static uint64_t get_rsp(void *context)
{
	(void)context;
	return 0x8000;
}

static void set_word(void *context, uint64_t value)
{
	(void)context;
	(void)value;
}

static void get_segment(void *context, enum segment segment, struct vcpu_segment *value)
{
	(void)context;
	if (segment >= SEG_COUNT) {
		abort();
	}
	*value = (struct vcpu_segment){.base = segment * 0x1000, .attributes = SEG_ATTR_DB};
}

static uint64_t mmio_read(void *context, gpa_t gpa, unsigned size)
{
	(void)context;
	if (size == 0 || size > 8 || (size & (size - 1)) != 0) {
		abort();
	}
	return gpa.v;
}

static void mmio_write(void *context, gpa_t gpa, unsigned size, uint64_t value)
{
	mmio_read(context, gpa, size);
	/* No more than what fits. */
	if (size < 8 && value >> (8 * size) != 0) {
		abort();
	}
}

static uint32_t port_read(void *context, uint16_t port, unsigned size)
{
	(void)context;
	if (size > 4) {
		abort();
	}
	return port;
}

static void port_write(void *context, uint16_t port, unsigned size, uint32_t value)
{
	(void)value;
	port_read(context, port, size);
}

static const struct emulate_host host = {
	.get_rsp = get_rsp,
	.set_rsp = set_word,
	.get_segment = get_segment,
	.set_rflags = set_word,
	.mmio_read = mmio_read,
	.mmio_write = mmio_write,
	.port_read = port_read,
	.port_write = port_write,
};

/* 64-bit tables: 2 MiB pages at 0 and the device, and a table as its own entry. */
static void set_tables(struct guest_memory *ram)
{
	ram_set(ram, TABLES, 8, (TABLES + 0x1000) | 7);
	ram_set(ram, TABLES + 8 * 511, 8, TABLES | 7);
	ram_set(ram, TABLES + 0x1000, 8, (TABLES + 0x2000) | 7);
	ram_set(ram, TABLES + 0x2000, 8, 0x87);
	ram_set(ram, TABLES + 0x2000 + 8, 8, 0xfee00087);
	ram_set(ram, TABLES + 0x2000 + 16, 8, 0x87);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest_memory *ram;
	uint64_t gpr[GPR_COUNT];
	struct emulate emulate = {
		.host = &host, .gpr = gpr, .mode = {.rip = CODE, .rflags = 2, .code_size = 4}};
	size_t code_size;

	if (size < 1 + sizeof(gpr)) {
		return 0;
	}
	if (ram == NULL) {
		ram = ram_create(2 * MIB);
	}
	emulate.memory = ram;
	set_tables(ram);
	if ((data[0] & 1) != 0) {
		emulate.mode.code_size = 8;
		emulate.mode.cr0 = BIT(31) | BIT(16) | 1;
		emulate.mode.cr3 = TABLES;
		emulate.mode.cr4 = BIT(5);
		emulate.mode.efer = BIT(10);
	} else if ((data[0] & 2) != 0) {
		emulate.mode.code_size = 2;
	}
	emulate.mode.cpl = (data[0] & 4) != 0 ? 3 : 0;
	emulate.mode.rflags |= (data[0] & 8) != 0 ? BIT(10) : 0;
	emulate.has_access = (data[0] & 16) != 0;
	memcpy(gpr, data + 1, sizeof(gpr));
	code_size = MIN(size - 1 - sizeof(gpr), INSN_LENGTH_MAX);
	if (memory_write(ram, GPA(CODE), data + 1 + sizeof(gpr), code_size) != 0) {
		abort();
	}
	if (emulate_insn(&emulate) == EMULATE_FAULT &&
	    (emulate.vector < 13 || emulate.vector > 14)) {
		abort();
	}
	return 0;
}
