/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the forms on RAM and on a device, and compares. */
#include "tests/guests/lib/compare.h"
#include "tests/guests/lib/lib.h"

#define COMPLAINTS_MAX 20

static uint8_t ram[PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t fault_stack[4096] __attribute__((aligned(16)));
static const struct form *running;
static struct form_registers registers;

static void run(void)
{
	form_run(running, &registers);
}

/* The fault, or NO_FAULT; registers and scratch memory as the form left them. */
static int run_on(const struct form *form, uint64_t physical, uint64_t fill)
{
	static const uint64_t pattern = 0x8142c3348556a778;
	int vector;

	window_map(0, physical | PTE_P | PTE_W);
	for (unsigned i = 0; i < 16; i++) {
		registers.gpr[i] = pattern * (2 * i + 1) ^ fill << i;
	}
	registers.rflags = 2;
	memset(form_scratch, 0xa5, sizeof(form_scratch));
	running = form;
	vector = fault_of(run);
	registers.rflags &= form->flags;
	return vector;
}

static bool same(const struct form *form, uint64_t fill, uint64_t device,
		 const struct compare_device *operations)
{
	struct form_registers wanted;
	uint8_t wanted_scratch[sizeof(form_scratch)];
	uint32_t word = (uint32_t)fill;

	for (unsigned i = 0; i < sizeof(ram); i += sizeof(word)) {
		memcpy(ram + i, &word, sizeof(word));
	}
	if (run_on(form, (uintptr_t)ram, fill) != NO_FAULT) {
		return false;
	}
	wanted = registers;
	memcpy(wanted_scratch, form_scratch, sizeof(form_scratch));
	memcpy(&word, ram + FORM_TARGET % PAGE_SIZE, sizeof(word));

	operations->prepare((uint32_t)fill);

	int vector = run_on(form, device, fill);

	if (vector != NO_FAULT) {
		print("# vector %d\n", vector);
		return false;
	}
	for (unsigned i = 0; i < 16; i++) {
		if (registers.gpr[i] != wanted.gpr[i]) {
			print("# register %u is %#lx, not %#lx\n", i, registers.gpr[i],
			      wanted.gpr[i]);
			return false;
		}
	}
	if (registers.rflags != wanted.rflags) {
		print("# RFLAGS are %#lx, not %#lx\n", registers.rflags, wanted.rflags);
		return false;
	}
	return memcmp(wanted_scratch, form_scratch, sizeof(form_scratch)) == 0 &&
	       operations->left_as(word);
}

void compare_forms(uint64_t kinds, uint64_t fill, uint64_t device,
		   const struct compare_device *operations)
{
	unsigned wrong = 0;

	for (unsigned vector = 0; vector < 32; vector++) {
		idt_set(vector, 1, true);
	}
	tss_set_ist(1, (uintptr_t)fault_stack + sizeof(fault_stack));
	for (const struct form *form = forms; form < forms_end; form++) {
		if ((form->kind & kinds) != 0 && !same(form, fill, device, operations)) {
			print("# %s, on %#lx\n", form->text, fill);
			if (++wrong == COMPLAINTS_MAX) {
				break;
			}
		}
	}
	expect_equal(wrong, 0);
}
