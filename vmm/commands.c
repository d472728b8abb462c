/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's commands about the host and its guests.
 */
#include "vmm/commands.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/page.h"
#include "vmm/exit.h"

static struct host_facts host;

void commands_init(const struct host_facts *facts)
{
	host = *facts;
}

/* ---- Helpers ---------------------------------------------------------------- */

static struct vm *find(const char *name)
{
	struct vm *vm = vm_find(name);

	if (vm == NULL) {
		console_print("There is no guest \"%s\"; `guests` lists them.\n", name);
	}
	return vm;
}

static const char *complete_guest(int argument, unsigned index)
{
	struct vm *vm = argument == 1 ? vm_at(index) : NULL;

	return vm != NULL ? vm->config->name : NULL;
}

/*
 * Posts a request that makes sense in some states only: bit n of `states` is
 * enum vm_state n.
 */
static int request(const char *name, uint64_t bit, unsigned states, const char *doing)
{
	struct vm *vm = find(name);

	if (vm == NULL) {
		return -ENOENT;
	}
	if (!(states & BIT(vm->state))) {
		console_print("Guest %s is %s.\n", name, vm_state_name(vm->state));
		return -EINVAL;
	}
	console_print("%s %s\n", doing, name);
	vm_request(vm, bit);
	return 0;
}

#define IF_STOPPED BIT(VM_STOPPED)
#define IF_RUNNING BIT(VM_RUNNING)
#define IF_PAUSED BIT(VM_PAUSED)
#define IF_ALIVE (BIT(VM_STARTING) | IF_RUNNING | IF_PAUSED)

static int run_start(int argc, char **argv)
{
	(void)argc;
	return request(argv[1], VM_REQUEST_START, IF_STOPPED, "Starting");
}

static int run_stop(int argc, char **argv)
{
	(void)argc;
	return request(argv[1], VM_REQUEST_STOP, IF_ALIVE, "Stopping");
}

static int run_reset(int argc, char **argv)
{
	(void)argc;
	return request(argv[1], VM_REQUEST_RESET, IF_ALIVE, "Resetting");
}

static int run_pause(int argc, char **argv)
{
	(void)argc;
	return request(argv[1], VM_REQUEST_PAUSE, IF_RUNNING, "Pausing");
}

static int run_resume(int argc, char **argv)
{
	(void)argc;
	return request(argv[1], VM_REQUEST_RESUME, IF_PAUSED, "Resuming");
}

static int run_nmi(int argc, char **argv)
{
	(void)argc;
	return request(argv[1], VM_REQUEST_NMI, IF_RUNNING, "Sending an NMI to");
}

static int run_console(int argc, char **argv)
{
	struct vm *vm = find(argv[1]);

	(void)argc;
	if (vm == NULL) {
		return -ENOENT;
	}
	if (vm->state == VM_STOPPED && output_ring_end(&vm->output) == 0) {
		console_print("Guest %s has not run yet: there is nothing to show.\n", argv[1]);
		return -EINVAL;
	}
	if (vm->state == VM_PAUSED) {
		console_print("Guest %s is paused: `resume %s` lets it go on.\n", argv[1], argv[1]);
	}
	console_attach(&vm->console);
	return 0;
}

/* ---- Lists -------------------------------------------------------------------- */

static int run_guests(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (vm_count() == 0) {
		console_print("No guests: \\dyad\\dyad.conf has no [guest NAME] section.\n");
		return 0;
	}
	console_print("%-16s %-9s %4s %9s %7s  %s\n", "NAME", "STATE", "CPU", "MEMORY", "STARTS",
		      "LAST ENDING");
	for (unsigned i = 0; i < vm_count(); i++) {
		struct vm *vm = vm_at(i);
		char ending[VM_ENDING_MAX];

		vm_copy_ending(vm, ending);
		console_print("%-16s %-9s %4u %5lu MiB %7lu  %s\n", vm->config->name,
			      vm_state_name(vm->state), vm->cpu, vm->config->memory / MIB,
			      vm->start_count, ending);
	}
	return 0;
}

static int run_stats(int argc, char **argv)
{
	struct vm *vm = find(argv[1]);

	(void)argc;
	if (vm == NULL) {
		return -ENOENT;
	}
	console_print("Guest %s: %s, starts: %lu, %lu KiB beyond its RAM.\n", argv[1],
		      vm_state_name(vm->state), vm->start_count, vm_overhead(vm) / KIB);
	console_print("Exits since its start:\n");
	for (unsigned i = 0; i < EXIT_REASON_COUNT; i++) {
		if (vm->exit_count[i] != 0) {
			console_print("  %-24s %12lu\n", exit_reason_name(i), vm->exit_count[i]);
		}
	}
	if (vm->hole_count != 0) {
		console_print("  %-24s %12lu\n", "of which to nothing", vm->hole_count);
	}
	return 0;
}

/* ---- Host ----------------------------------------------------------------------- */

static void print_virtualisation(void)
{
	if (virt_available()) {
		console_print("guests    can run\n");
		return;
	}
	console_print("guests    cannot run, state no-virt:\n");
	for (unsigned i = 0; virt_missing(i) != NULL; i++) {
		console_print("          %s\n", virt_missing(i));
	}
}

static void print_memory(void)
{
	uint64_t guests = 0, overhead = 0;
	uint64_t used = (page_total_count() - page_free_count()) * PAGE_SIZE;

	for (unsigned i = 0; i < vm_count(); i++) {
		struct vm *vm = vm_at(i);

		guests += vm->state != VM_STOPPED ? memory_taken(&vm->memory) : 0;
		overhead += vm_overhead(vm);
	}
	console_print("memory    %lu MiB, %lu MiB free (%lu pages)\n", host.ram / MIB,
		      page_free_count() * PAGE_SIZE / MIB, page_free_count());
	console_print("          guests %lu MiB, and %lu KiB beyond their RAM\n", guests / MIB,
		      overhead / KIB);
	console_print("          images %lu KiB kept for the guests' next start\n",
		      host.files / KIB);
	/* The guests' sizes are read while they change: never less than the image. */
	console_print("          hypervisor %lu KiB\n",
		      (host.image + used - MIN(used, guests + overhead)) / KIB);
}

static int run_info(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	console_print("host      %s\n", host.name);
	cpu_print_info(console_print);
	print_virtualisation();
	print_memory();
	console_print("boot      %lu ticks from the loader to the prompt, %lu in firmware\n",
		      host.boot_ticks, host.firmware_ticks);
	return 0;
}

/* Guests that would be cut off; the operator decides, not we. */
static bool guests_forbid(int argc, char **argv)
{
	unsigned running = 0;

	if (argc == 2 && strcmp(argv[1], "--force") == 0) {
		return false;
	}
	for (unsigned i = 0; i < vm_count(); i++) {
		running += vm_at(i)->state != VM_STOPPED;
	}
	if (argc == 2) {
		console_print("\"%s\" is not an option; --force is the only one.\n", argv[1]);
		return true;
	}
	if (running != 0) {
		console_print("%u guest%s would be cut off: shut them down first, or say "
			      "`%s --force`.\n",
			      running, running == 1 ? "" : "s", argv[0]);
	}
	return running != 0;
}

static int run_reboot(int argc, char **argv)
{
	if (guests_forbid(argc, argv)) {
		return -EBUSY;
	}
	console_print("Rebooting.\n");
	console_flush();
	host_reset();
}

static int run_poweroff(int argc, char **argv)
{
	if (guests_forbid(argc, argv)) {
		return -EBUSY;
	}
	console_print("Powering off.\n");
	console_flush();
	host_poweroff();
}

/* For who wants to see what a dying host looks like, to its operator and its partner. */
static int run_panic(int argc, char **argv)
{
	(void)argc;
	if (strcmp(argv[1], "--force") != 0) {
		console_print(
			"This ends the host and its guests; if you mean it: `panic --force`.\n");
		return -EINVAL;
	}
	panic("asked for on the console");
}

const struct command vmm_commands[] = {
	{"info", "", "Shows the host: CPUs, features, memory.", 0, 0, run_info, NULL},
	{"guests", "", "Lists the guests and their states.", 0, 0, run_guests, NULL},
	{"start", "NAME", "Starts a stopped guest.", 1, 1, run_start, complete_guest},
	{"stop", "NAME", "Stops a guest at once, as if its power were cut.", 1, 1, run_stop,
	 complete_guest},
	{"reset", "NAME", "Stops a guest at once and starts it again.", 1, 1, run_reset,
	 complete_guest},
	{"pause", "NAME", "Pauses a guest: its time stands still.", 1, 1, run_pause,
	 complete_guest},
	{"resume", "NAME", "Lets a paused guest go on.", 1, 1, run_resume, complete_guest},
	{"nmi", "NAME", "Sends a guest an NMI: a hung kernel then tells where it is.", 1, 1,
	 run_nmi, complete_guest},
	{"console", "NAME", "Connects to a guest's serial port; Ctrl-] comes back.", 1, 1,
	 run_console, complete_guest},
	{"stats", "NAME", "Counts a guest's exits by reason.", 1, 1, run_stats, complete_guest},
	{"reboot", "[--force]", "Restarts the host.", 0, 1, run_reboot, NULL},
	{"poweroff", "[--force]", "Switches the host off.", 0, 1, run_poweroff, NULL},
	{"panic", "--force", "Lets the host die as by a fault of its own, to try it.", 1, 1,
	 run_panic, NULL},
};

const size_t vmm_command_count = ARRAY_SIZE(vmm_commands);
