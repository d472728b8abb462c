/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor's start: all that is initialised, in order. The loader
 * (boot/efi_main.c) enters here by way of arch/x86_64/entry.S.
 */
#include <errno.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/descriptors.h"
#include "arch/x86_64/features.h"
#include "arch/x86_64/gate.h"
#include "arch/x86_64/ioapic.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/panic.h"
#include "arch/x86_64/power.h"
#include "arch/x86_64/ram.h"
#include "arch/x86_64/smp.h"
#include "arch/x86_64/time.h"
#include "arch/x86_64/vmx.h"
#include "base/check.h"
#include "base/log.h"
#include "base/page.h"
#include "boot/boot_info.h"
#include "boot/version.h"
#include "boot/volume.h"
#include "console/console.h"
#include "drivers/commands.h"
#include "drivers/nic.h"
#include "drivers/pci.h"
#include "drivers/serial.h"
#include "net/beat.h"
#include "net/net.h"
#include "net/probe.h"
#include "net/random.h"
#include "net/stream.h"
#include "vmm/commands.h"
#include "vmm/sched.h"
#include "vmm/vm.h"

_Noreturn void boot_main(struct boot_info *info);

static struct serial com1;

/* The stack protector's, in base/newlib.c. */
extern uintptr_t __stack_chk_guard;

/*
 * What CPU 0 does beside its guests, in this order, at each turn. A heartbeat that
 * is due waits for one of the others at most.
 */
static service_fn *const services[] = {beat_step, console_step, beat_step, net_step,
				       beat_step, stream_step,	NULL};

/* From here on there is a log that someone sees. */
static void start_log(void)
{
	if (serial_init(&com1, SERIAL_COM1_BASE, SERIAL_COM1_IRQ) != 0) {
		log_warn("COM1: no UART answers at 0x%x; the console has no line",
			 SERIAL_COM1_BASE);
	}
	console_init(&com1);
}

/* This CPU's own tables, then the memory of the machine. */
static void start_boot_cpu(const struct boot_info *info)
{
	hpa_t low_page;

	idt_init();
	descriptors_load(&boot_cpu);
	features_init();
	low_page = ram_init(info);
	features_enable_cpu();
	paging_init(info, low_page);
	paging_load();
	ram_add_high(info);
}

/* Clocks, interrupts, and the other CPUs, which wait for smp_release. */
static void start_machine(const struct boot_info *info)
{
	machine_init(info);
	time_init();
	power_init(info);
	apic_init();
	apic_enable_cpu();
	apic_timer_enable_cpu();
	smp_init_boot_cpu();
	ioapic_init();
	smp_start(info->trampoline);
}

/* VT-x, or state no-virt and the reasons. */
static void start_virtualisation(void)
{
	gate_init();
	for (unsigned i = 0; virt_missing(i) != NULL; i++) {
		log_warn("no-virt: %s", virt_missing(i));
	}
	if (virt_available() && vmx_init() != 0) {
		panic("no memory for the VMX bitmaps");
	}
}

static void read_volume(const struct boot_info *info)
{
	volume_init(info);
	panic_reboot_s = volume_config()->panic_reboot_s;
}

/* Cards, lwIP over them, and what only the partner can talk to. */
static void start_network(void)
{
	bool has_secrets = random_init() == 0;

	pci_init();
	nic_init();
	net_init(volume_config());
	if (has_secrets) {
		stream_init(volume_config());
		probe_init();
		beat_init(volume_config());
	}
	volume_forget_key();
}

static void start_guests(void)
{
	const struct vm_image *images;
	unsigned image_count;

	images = volume_images(&image_count);
	vm_init(volume_config(), images, image_count);
}

static void start_console(const struct boot_info *info)
{
	struct host_facts facts = {
		.name = volume_config()->host_name,
		.image = info->image_size,
		.files = volume_size(),
		.firmware_ticks = info->tsc_in_firmware,
	};
	struct console_host host = {.version = DYAD_VERSION, .name = facts.name};

	for (uint64_t i = 0; i < info->memory_count; i++) {
		host.memory += info->memory[i].size;
	}
	facts.ram = host.memory;
	facts.boot_ticks = tsc_now() - info->tsc_loader_start;
	commands_init(&facts);
	console_add(vmm_commands, vmm_command_count);
	console_add(drivers_commands, drivers_command_count);
	console_add(net_commands, net_command_count);
	console_add(stream_commands, stream_command_count);
	console_add(beat_commands, beat_command_count);
	console_start(&host);
}

void boot_main(struct boot_info *info)
{
	/* How long the firmware took is different at each start. Nothing returns from here. */
	__stack_chk_guard ^= (tsc_now() * UINT64_C(0x9e3779b97f4a7c15)) << 8;
	start_log();
	CHECK(info->magic == BOOT_INFO_MAGIC);
	start_boot_cpu(info);
	start_machine(info);
	start_virtualisation();
	read_volume(info);
	start_network();
	start_guests();
	start_console(info);
	sched_init(services);
	smp_release();
	cpu_main(0);
}

/* Every CPU's life, once all of the above is done. */
void cpu_main(unsigned cpu)
{
	int error = virt_available() ? vmx_enable_cpu() : 0;

	if (error != 0) {
		log_error("CPU %u cannot run guests (error %d): %s", cpu, -error,
			  error == -EPERM ? "the firmware has locked VT-x off on it alone; "
					    "a firmware update is needed"
					  : "it does not enter VMX operation");
	}
	sched_loop();
}
