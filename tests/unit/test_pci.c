/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI functions against a small model of configuration space, behind mechanism 1
 * or ECAM: what is found, what BARs are, what a driver's claim and its
 * interrupts write. Functions are described by bytes of their header.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/page.h"
#include "drivers/pci.c"
#include "tests/fake_arch/fake_arch.h"

#define FUNCTION_MAX 160
#define ECAM_BASE (256 * MIB)
#define BAR_BASE (64 * MIB)

struct function {
	uint8_t bus, slot, function;
	uint8_t bytes[256];
	uint32_t bar_writable[PCI_BAR_COUNT];
	bool sized_while_decoding;
};

static struct {
	struct function functions[FUNCTION_MAX];
	unsigned count;
	uint32_t address;
	bool ecam;
	uint16_t ecam_segment;
} bus;

static uint32_t get(const struct function *function, unsigned offset, unsigned size)
{
	uint32_t value = 0;

	assert_true(offset + size <= 256 && offset % size == 0);
	memcpy(&value, function->bytes + offset, size);
	return value;
}

static void set(struct function *function, unsigned offset, unsigned size, uint32_t value)
{
	memcpy(function->bytes + offset, &value, size);
}

static struct function *function_at(unsigned number, unsigned slot, unsigned index)
{
	for (unsigned i = 0; i < bus.count; i++) {
		struct function *function = &bus.functions[i];

		if (function->bus == number && function->slot == slot &&
		    function->function == index) {
			return function;
		}
	}
	return NULL;
}

static void config_write(struct function *function, unsigned offset, unsigned size, uint32_t value)
{
	if (offset >= REG_BAR && offset < REG_BAR + 4 * PCI_BAR_COUNT) {
		unsigned index = (offset - REG_BAR) / 4;
		uint32_t writable = function->bar_writable[index];

		assert_int_equal(size, 4);
		if (value == UINT32_MAX && (get(function, PCI_COMMAND, 2) & 7)) {
			function->sized_while_decoding = true;
		}
		value = (value & writable) | (get(function, offset, 4) & ~writable);
	}
	set(function, offset, size, value);
}

static uint32_t port_read(uint16_t port, unsigned size)
{
	struct function *function =
		function_at(bus.address >> 16 & 0xff, bus.address >> 11 & 31, bus.address >> 8 & 7);
	unsigned offset = (bus.address & 0xfc) + port - CONFIG_DATA;

	assert_in_range(port, 0xcfc, 0xcff);
	return function ? get(function, offset, size) : UINT32_MAX;
}

static void port_write(uint16_t port, unsigned size, uint32_t value)
{
	if (port == CONFIG_ADDRESS) {
		assert_int_equal(size, 4);
		assert_true(value & 0x80000000);
		assert_false(value & 0x7f000003);
		bus.address = value;
		return;
	}
	struct function *function =
		function_at(bus.address >> 16 & 0xff, bus.address >> 11 & 31, bus.address >> 8 & 7);

	assert_in_range(port, 0xcfc, 0xcff);
	assert_non_null(function);
	config_write(function, (bus.address & 0xfc) + port - CONFIG_DATA, size, value);
}

/* The function whose ECAM page a register is in; NULL: none, or no ECAM at all. */
static struct function *ecam_function(const volatile void *reg)
{
	uint64_t offset = virt_to_hpa((const void *)(uintptr_t)reg).v - ECAM_BASE;

	return function_at(offset >> 20 & 0xff, offset >> 15 & 31, offset >> 12 & 7);
}

static bool is_ecam(const volatile void *reg)
{
	uint64_t hpa = virt_to_hpa((const void *)(uintptr_t)reg).v;

	return bus.ecam && hpa >= ECAM_BASE && hpa < 2 * ECAM_BASE;
}

static uint32_t model_mmio_read(const volatile void *reg, unsigned size)
{
	uint32_t value = 0;

	if (is_ecam(reg)) {
		struct function *function = ecam_function(reg);

		return function ? get(function, (uintptr_t)reg % 4096, size) : UINT32_MAX;
	}
	memcpy(&value, (const void *)(uintptr_t)reg, size);
	return value;
}

static void model_mmio_write(volatile void *reg, unsigned size, uint32_t value)
{
	if (is_ecam(reg)) {
		assert_non_null(ecam_function(reg));
		config_write(ecam_function(reg), (uintptr_t)reg % 4096, size, value);
		return;
	}
	memcpy((void *)(uintptr_t)reg, &value, size);
}

static struct function *add(unsigned number, unsigned slot, unsigned index, uint32_t class_code)
{
	struct function *function = &bus.functions[bus.count++];

	assert_true(bus.count <= FUNCTION_MAX);
	function->bus = (uint8_t)number;
	function->slot = (uint8_t)slot;
	function->function = (uint8_t)index;
	set(function, PCI_VENDOR, 2, 0x8086);
	set(function, PCI_DEVICE, 2, 0x1000 + bus.count);
	set(function, PCI_COMMAND, 2, 7);
	set(function, REG_CLASS, 4, class_code << 8 | 0x05);
	return function;
}

static void add_bar(struct function *function, unsigned index, uint32_t value, uint32_t writable)
{
	set(function, REG_BAR + 4 * index, 4, value);
	function->bar_writable[index] = writable;
}

/* Puts a capability before those that are there. */
static void add_capability(struct function *function, unsigned offset, uint8_t id)
{
	set(function, PCI_STATUS, 2, 0x10);
	set(function, offset, 1, id);
	set(function, offset + 1, 1, get(function, REG_CAPABILITIES, 1));
	set(function, REG_CAPABILITIES, 1, offset);
}

static void add_ecam(uint8_t first, uint8_t last)
{
	bus.ecam = true;
	fake.ecams[fake.ecam_count++] =
		(struct pci_ecam){.base = HPA(ECAM_BASE), .bus_first = first, .bus_last = last};
}

static int setup(void **state)
{
	(void)state;
	memset(&bus, 0, sizeof(bus));
	fake_arch_reset(16 * MIB);
	fake.io_read = port_read;
	fake.io_write = port_write;
	fake.mmio_read = model_mmio_read;
	fake.mmio_write = model_mmio_write;
	return 0;
}

/* A network card with MSI-X, MSI and a line. */
static struct function *add_card(void)
{
	struct function *card = add(0, 3, 0, 0x020000);

	add_bar(card, 0, BAR_BASE, 0xfffe0000);
	add_bar(card, 1, 0xc001, 0xffffffe0);
	add_bar(card, 3, BAR_BASE + MIB, 0xffffc000);
	set(card, REG_INTERRUPT_LINE, 1, 11);
	set(card, REG_INTERRUPT_PIN, 1, 1);
	add_capability(card, 0x40, PCI_CAP_POWER);
	add_capability(card, 0x50, PCI_CAP_MSI);
	set(card, 0x52, 2, 0x1b0); /* 64-bit, masks, three bits of count set */
	add_capability(card, 0x70, PCI_CAP_MSIX);
	set(card, 0x72, 2, 0x0004); /* 5 entries */
	set(card, 0x74, 4, 0x00000103); /* BAR 3, offset 0x100 */
	return card;
}

static struct pci_device *found(unsigned slot)
{
	for (unsigned i = 0; i < pci_device_count(); i++) {
		if (pci_device_at(i)->slot == slot) {
			return pci_device_at(i);
		}
	}
	fail_msg("nothing in slot %u", slot);
	return NULL;
}

/* ---- Enumeration -------------------------------------------------------------- */

static void check_order(void)
{
	pci_init();
	assert_int_equal(pci_device_count(), 5);
	assert_int_equal(pci_device_at(0)->slot, 0);
	assert_int_equal(pci_device_at(1)->slot, 2);
	assert_int_equal(pci_device_at(2)->function, 5);
	assert_int_equal(pci_device_at(3)->slot, 31);
	assert_int_equal(pci_device_at(4)->bus, 7);
	assert_null(pci_device_at(5));
	assert_int_equal(pci_device_at(4)->class_code, 0x020000);
	assert_int_equal(pci_device_at(4)->device, 0x1001);
}

static void add_several(void)
{
	add(7, 0, 0, 0x020000);
	add(0, 31, 0, 0x010100);
	add(0, 2, 5, 0x0c0300);
	set(add(0, 2, 0, 0x0c0300), REG_HEADER_TYPE, 1, 0x80);
	add(0, 0, 0, 0x060000);
	/* The function of a slot whose first one says that it is alone. */
	add(0, 31, 1, 0x010100);
}

static void test_mechanism_1_order(void **state)
{
	(void)state;
	add_several();
	check_order();
}

static void test_ecam_order(void **state)
{
	(void)state;
	add_several();
	add_ecam(0, 255);
	check_order();
	assert_int_equal(fake.io_count, 0);
}

/* A range that starts at a later bus is mapped from there on. */
static void test_ecam_part(void **state)
{
	(void)state;
	add_several();
	add_ecam(5, 9);
	pci_init();
	assert_int_equal(pci_device_count(), 1);
	assert_int_equal(pci_device_at(0)->bus, 7);
	assert_int_equal(pci_read16(pci_device_at(0), PCI_VENDOR), 0x8086);
	assert_int_equal(pci_read32(&(struct pci_device){.bus = 4}, 0), UINT32_MAX);
	assert_int_equal(pci_read32(&(struct pci_device){.segment = 1, .bus = 7}, 0), UINT32_MAX);
	assert_int_equal(pci_read32(pci_device_at(0), 4096), UINT32_MAX);
}

/* Ranges that make no sense: the host falls back on mechanism 1. */
static void test_ecam_refused(void **state)
{
	(void)state;
	add_several();
	add_ecam(9, 5);
	add_ecam(0, 255);
	fake.ecams[1].base = HPA(UINT64_MAX - 0xfffff);
	bus.ecam = false;
	check_order();
}

static void test_ecam_twice(void **state)
{
	(void)state;
	add_several();
	add_ecam(0, 255);
	add_ecam(7, 7);
	check_order();
}

static void test_too_many(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PCI_DEVICE_MAX + 9; i++) {
		add(i / 32, i % 32, 0, 0x020000);
	}
	pci_init();
	assert_int_equal(pci_device_count(), PCI_DEVICE_MAX);
	assert_int_equal(get(&bus.functions[PCI_DEVICE_MAX - 1], PCI_COMMAND, 2), 3);
	assert_int_equal(get(&bus.functions[PCI_DEVICE_MAX], PCI_COMMAND, 2), 7);
}

static void test_nothing(void **state)
{
	(void)state;
	pci_init();
	assert_int_equal(pci_device_count(), 0);
	assert_null(pci_device_at(0));
}

static void assert_bar(const struct pci_bar *bar, uint64_t address, uint64_t size, bool io)
{
	assert_int_equal(bar->address, address);
	assert_int_equal(bar->size, size);
	assert_int_equal(bar->io, io);
}

static void test_bars(void **state)
{
	struct function *card = add(0, 3, 0, 0x020000);

	(void)state;
	add_bar(card, 0, 0xfebc0000, 0xfffe0000);
	add_bar(card, 1, 0xc001, 0x0000ffe0); /* ports, high half fixed */
	add_bar(card, 2, 0xc, 0xfffffff0); /* 64 bits, 4 GiB at 0x12_0000_0000 */
	card->bar_writable[2] = 0;
	add_bar(card, 3, 0x12, 0xffffffff);
	add_bar(card, 4, 0x0, 0xfffff000); /* no address */
	add_bar(card, 5, 0xfe000004, 0xff000000); /* 64 bits with nothing behind it */
	pci_init();

	const struct pci_bar *bars = found(3)->bars;

	assert_bar(&bars[0], 0xfebc0000, 0x20000, false);
	assert_bar(&bars[1], 0xc000, 0x20, true);
	assert_bar(&bars[2], UINT64_C(0x1200000000), UINT64_C(0x100000000), false);
	assert_bar(&bars[3], 0, 0, false);
	assert_bar(&bars[4], 0, 0x1000, false);
	assert_bar(&bars[5], 0xfe000000, 0x1000000, false);
	assert_false(card->sized_while_decoding);
	/* All as it was, mastering apart. */
	assert_int_equal(get(card, REG_BAR, 4), 0xfebc0000);
	assert_int_equal(get(card, REG_BAR + 12, 4), 0x12);
	assert_int_equal(get(card, PCI_COMMAND, 2), 3);
}

static void test_bridges_stay(void **state)
{
	struct function *host = add(0, 0, 0, 0x060000);
	struct function *port = add(0, 1, 0, 0x088000);

	(void)state;
	add_bar(host, 0, 0xfe000000, 0xff000000);
	set(port, REG_HEADER_TYPE, 1, 1);
	add_bar(port, 2, 0x00010100, 0x00ffffff);
	pci_init();
	assert_int_equal(get(host, PCI_COMMAND, 2), 7);
	assert_int_equal(get(port, PCI_COMMAND, 2), 7);
	assert_int_equal(found(1)->bars[2].size, 0);
	assert_false(host->sized_while_decoding || port->sized_while_decoding);
}

/* ---- Capabilities ----------------------------------------------------------------- */

static void test_capabilities(void **state)
{
	struct function *card = add(0, 3, 0, 0x020000);

	(void)state;
	add_capability(card, 0x50, PCI_CAP_VENDOR);
	add_capability(card, 0xfc, PCI_CAP_MSI);
	add_capability(card, 0x40, PCI_CAP_VENDOR);
	pci_init();
	assert_int_equal(pci_capability(found(3), PCI_CAP_VENDOR, 0), 0x40);
	assert_int_equal(pci_capability(found(3), PCI_CAP_VENDOR, 0x40), 0x50);
	assert_int_equal(pci_capability(found(3), PCI_CAP_VENDOR, 0x50), 0);
	assert_int_equal(pci_capability(found(3), PCI_CAP_MSI, 0), 0xfc);
	assert_int_equal(pci_capability(found(3), PCI_CAP_MSIX, 0), 0);
	/* The status bit says whether there are any. */
	set(card, PCI_STATUS, 2, 0);
	assert_int_equal(pci_capability(found(3), PCI_CAP_MSI, 0), 0);
}

static void test_capability_chains(void **state)
{
	struct function *card = add(0, 3, 0, 0x020000);

	(void)state;
	pci_init();
	add_capability(card, 0x40, PCI_CAP_VENDOR);
	set(card, 0x41, 1, 0x40); /* to itself */
	assert_int_equal(pci_capability(found(3), PCI_CAP_MSI, 0), 0);
	set(card, 0x41, 1, 0x3c); /* into the header */
	assert_int_equal(pci_capability(found(3), PCI_CAP_MSI, 0), 0);
	set(card, REG_CAPABILITIES, 1, 0x43); /* the low bits are reserved */
	assert_int_equal(pci_capability(found(3), PCI_CAP_VENDOR, 0), 0x40);
	memset(card->bytes + 0x40, 0xff, 0xc0);
	assert_int_equal(pci_capability(found(3), PCI_CAP_MSI, 0), 0);
}

/* ---- Drivers ------------------------------------------------------------------------ */

static void handler(void *context)
{
	++*(unsigned *)context;
}

static void test_claim(void **state)
{
	struct function *card = add_card();

	(void)state;
	pci_init();
	pci_claim(found(3), "e1000");
	assert_int_equal(get(card, PCI_COMMAND, 2), 0x403);
	assert_string_equal(found(3)->driver, "e1000");
	pci_set_master(found(3), true);
	assert_int_equal(get(card, PCI_COMMAND, 2), 0x407);
	pci_set_master(found(3), false);
	assert_int_equal(get(card, PCI_COMMAND, 2), 0x403);
	pci_set_master(found(3), true);
	assert_int_equal(fake.now_ns, 1000000000);
	pci_release(found(3));
	assert_int_equal(get(card, PCI_COMMAND, 2), 0x403);
	assert_null(found(3)->driver);
}

static void test_claim_powers_up(void **state)
{
	struct function *card = add_card();

	(void)state;
	add_bar(card, 4, 0xc, 0xfff00000);
	add_bar(card, 5, 0x20, 0xffffffff);
	set(card, 0x44, 2, 0x8103); /* D3hot */
	pci_init();
	memset(card->bytes + REG_BAR, 0, 4);
	set(card, REG_BAR + 20, 4, 0);
	pci_claim(found(3), "e1000");
	assert_int_equal(get(card, 0x44, 2), 0x8100);
	assert_int_equal(fake.now_ns, 1010000000);
	assert_int_equal(get(card, REG_BAR, 4), BAR_BASE);
	assert_int_equal(get(card, REG_BAR + 20, 4), 0x20);
}

static void test_map_bar(void **state)
{
	struct function *card = add_card();

	(void)state;
	add_bar(card, 2, 0, 0xfffff000);
	pci_init();
	assert_ptr_equal(pci_map_bar(found(3), 0), hpa_to_virt(HPA(BAR_BASE)));
	assert_null(pci_map_bar(found(3), 1)); /* ports */
	assert_null(pci_map_bar(found(3), 2)); /* no address */
	assert_null(pci_map_bar(found(3), 5)); /* absent */
	assert_null(pci_map_bar(found(3), 6));
}

static void assert_interrupt(enum pci_interrupt_kind kind, const char *name)
{
	char text[16];

	assert_int_equal(found(3)->interrupt, kind);
	assert_string_equal(pci_interrupt_name(found(3), text), name);
}

static void test_msix(void **state)
{
	struct function *card = add_card();
	uint32_t *table = hpa_to_virt(HPA(BAR_BASE + MIB + 0x100));
	unsigned count = 0;

	(void)state;
	memset(table, 0, 5 * 16);
	pci_init();
	pci_claim(found(3), "e1000");
	assert_int_equal(pci_interrupt_enable(found(3), handler, &count), 0);
	assert_interrupt(PCI_MSIX, "MSI-X");
	assert_int_equal(table[0], 0xfee00000);
	assert_int_equal(table[1], 0);
	assert_int_equal(table[3], 0);
	for (unsigned i = 1; i < 5; i++) {
		assert_int_equal(table[4 * i + 3], 1);
	}
	assert_int_equal(table[4 * 5 + 3], 0); /* not ours */
	assert_int_equal(get(card, 0x72, 2), 0x8000);
	assert_int_equal(get(card, PCI_COMMAND, 2), 0x403);
	fake_msi_raise(table[2]);
	assert_int_equal(count, 1);
	pci_release(found(3));
	assert_int_equal(get(card, 0x72, 2), 0);
	assert_interrupt(PCI_POLLED, "polled");
}

/* A table outside its BAR, in ports, or in none: MSI is next. */
static void test_msi(void **state)
{
	static const uint32_t places[] = {0x3fc3, 0x4003, 0xfffffff3, 0x1, 0x2, 0x6, 0x7};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		unsigned count = 0;

		setup(NULL);
		struct function *card = add_card();
		set(card, 0x74, 4, places[i]);
		set(card, 0x60, 4, 0xffffffff);
		pci_init();
		pci_claim(found(3), "e1000");
		assert_int_equal(pci_interrupt_enable(found(3), handler, &count), 0);
		assert_interrupt(PCI_MSI, "MSI");
		assert_int_equal(get(card, 0x52, 2), 0x181);
		assert_int_equal(get(card, 0x54, 4), 0xfee00000);
		assert_int_equal(get(card, 0x58, 4), 0);
		assert_int_equal(get(card, 0x60, 4), 0);
		assert_int_equal(fake.msi_count, 1);
		fake_msi_raise(get(card, 0x5c, 2));
		assert_int_equal(count, 1);
		pci_release(found(3));
		assert_int_equal(get(card, 0x52, 2), 0);
	}
}

static void test_msi_32(void **state)
{
	struct function *card = add(0, 3, 0, 0x020000);
	unsigned count = 0;

	(void)state;
	add_capability(card, 0x50, PCI_CAP_MSI);
	set(card, 0x60, 4, 0x12345678);
	pci_init();
	pci_claim(found(3), "e1000");
	assert_int_equal(pci_interrupt_enable(found(3), handler, &count), 0);
	assert_int_equal(get(card, 0x54, 4), 0xfee00000);
	fake_msi_raise(get(card, 0x58, 2));
	assert_int_equal(count, 1);
	assert_int_equal(get(card, 0x60, 4), 0x12345678);
}

static void test_intx(void **state)
{
	struct function *card = add_card();
	unsigned count = 0;

	(void)state;
	fake.msi_error = -ENOSPC;
	pci_init();
	pci_claim(found(3), "e1000");
	assert_int_equal(pci_interrupt_enable(found(3), handler, &count), 0);
	assert_interrupt(PCI_INTX, "IRQ 11");
	assert_int_equal(get(card, PCI_COMMAND, 2), 0x003);
	assert_int_equal(get(card, 0x72, 2) & 0x8000, 0);
	assert_int_equal(get(card, 0x52, 2) & 1, 0);
	fake_irq_raise(11);
	assert_int_equal(count, 1);
	pci_release(found(3));
	assert_int_equal(get(card, PCI_COMMAND, 2), 0x403);
}

static void test_no_interrupt(void **state)
{
	static const uint8_t lines[] = {0, 16, 255};
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; i <= ARRAY_SIZE(lines) + 1; i++) {
		setup(NULL);
		struct function *card = add_card();
		fake.msi_error = -ENOSPC;
		if (i < ARRAY_SIZE(lines)) {
			set(card, REG_INTERRUPT_LINE, 1, lines[i]);
		} else if (i == ARRAY_SIZE(lines)) {
			set(card, REG_INTERRUPT_PIN, 1, 0);
		} else {
			fake.irq_error = -EBUSY;
		}
		pci_init();
		pci_claim(found(3), "e1000");
		assert_int_equal(pci_interrupt_enable(found(3), handler, &count), -ENODEV);
		assert_interrupt(PCI_POLLED, "polled");
		assert_int_equal(get(card, PCI_COMMAND, 2), 0x403);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_mechanism_1_order, setup),
		cmocka_unit_test_setup(test_ecam_order, setup),
		cmocka_unit_test_setup(test_ecam_part, setup),
		cmocka_unit_test_setup(test_ecam_refused, setup),
		cmocka_unit_test_setup(test_ecam_twice, setup),
		cmocka_unit_test_setup(test_too_many, setup),
		cmocka_unit_test_setup(test_nothing, setup),
		cmocka_unit_test_setup(test_bars, setup),
		cmocka_unit_test_setup(test_bridges_stay, setup),
		cmocka_unit_test_setup(test_capabilities, setup),
		cmocka_unit_test_setup(test_capability_chains, setup),
		cmocka_unit_test_setup(test_claim, setup),
		cmocka_unit_test_setup(test_claim_powers_up, setup),
		cmocka_unit_test_setup(test_map_bar, setup),
		cmocka_unit_test_setup(test_msix, setup),
		cmocka_unit_test_setup(test_msi, setup),
		cmocka_unit_test_setup(test_msi_32, setup),
		cmocka_unit_test_setup(test_intx, setup),
		cmocka_unit_test_setup(test_no_interrupt, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
