/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/power.h"

#include "arch/x86_64/arch.h"
#include "arch/x86_64/descriptors.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/smp.h"
#include "base/log.h"

/* EFI_RUNTIME_SERVICES (UEFI 2.10, 4.5.1 and 8.5.1) */
#define EFI_RUNTIME_SIGNATURE UINT64_C(0x56524553544e5552) /* "RUNTSERV" */

enum efi_reset { EFI_RESET_COLD, EFI_RESET_WARM, EFI_RESET_SHUTDOWN };

struct efi_runtime {
	uint64_t signature;
	uint8_t before_reset[96];
	void(__attribute__((ms_abi)) * reset_system)(enum efi_reset type, uint64_t status,
						     uint64_t data_size, void *data);
};

_Static_assert(offsetof(struct efi_runtime, reset_system) == 104, "the tenth service");

/* Reset control register of every PC chipset since the PIIX3. */
#define PORT_RESET_CONTROL 0xcf9
#define RESET_CONTROL_HARD 0x02
#define RESET_CONTROL_PULSE 0x06
#define PORT_KEYBOARD_COMMAND 0x64
#define KEYBOARD_PULSE_RESET 0xfe
#define RESET_WAIT_US 50000

static uint64_t efi_runtime;
static volatile uint8_t *reset_register;

void power_init(const struct boot_info *info)
{
	efi_runtime = info->efi_runtime.v;
	if (machine.reset.space == SPACE_MEMORY) {
		reset_register = mmio_map(HPA(machine.reset.address), 1);
	}
}

/*
 * In physical mode, as the loader left it: on the low tables, where the
 * firmware's memory and devices are at their own addresses. Returns if the
 * firmware does.
 */
static void efi_reset(enum efi_reset type)
{
	if (efi_runtime == 0) {
		return;
	}
	paging_load_low();
	const struct efi_runtime *runtime = (const struct efi_runtime *)efi_runtime;
	if (runtime->signature == EFI_RUNTIME_SIGNATURE) {
		runtime->reset_system(type, 0, 0, NULL);
	}
	paging_load();
}

static void end_of_guests(void)
{
	__asm__ volatile("cli");
	smp_stop_others();
	log_enter_panic();
	/* A CPU in the midst of virtualisation ignores INIT (SDM 3, 25.8). */
	if (this_cpu()->stop) {
		this_cpu()->stop();
	}
}

static void write_and_wait(uint16_t port, uint8_t value)
{
	io_write8(port, value);
	delay_us(RESET_WAIT_US);
}

void reset_by_force(void)
{
	if (machine.reset.space == SPACE_PORT) {
		write_and_wait((uint16_t)machine.reset.address, machine.reset_value);
	} else if (reset_register) {
		*reset_register = machine.reset_value;
		delay_us(RESET_WAIT_US);
	}
	write_and_wait(PORT_KEYBOARD_COMMAND, KEYBOARD_PULSE_RESET);
	/* One reset in two writes: the kind of it, then the rising edge that starts it. */
	write_and_wait(PORT_RESET_CONTROL, RESET_CONTROL_HARD);
	write_and_wait(PORT_RESET_CONTROL, RESET_CONTROL_PULSE);
	/* No IDT: an exception, its double fault, and shutdown (SDM 3, 6.15, #DF). */
	idt_load(0, 0);
	for (;;) {
		__asm__ volatile("ud2");
	}
}

void host_reset(void)
{
	end_of_guests();
	/* Warm, so that memory, and the log in it, may survive. */
	efi_reset(EFI_RESET_WARM);
	reset_by_force();
}

void host_poweroff(void)
{
	end_of_guests();
	efi_reset(EFI_RESET_SHUTDOWN);
	log_error("the firmware did not switch this machine off: it is halted and can be "
		  "switched off by hand");
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}
