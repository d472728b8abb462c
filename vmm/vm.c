/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a guest. See vm.h for its states and for who may touch what.
 */
#include "vmm/vm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/page.h"
#include "vmm/acpi.h"
#include "vmm/exit.h"
#include "vmm/load.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"

/* Memory is zeroed in slices of this size, so that other guests run between. */
#define POPULATE_SLICE (16 * MIB)

static struct vm vms[CONFIG_GUEST_MAX];
static unsigned vm_total;
static const struct vm_image *images;
static unsigned image_total;

unsigned vm_count(void)
{
	return vm_total;
}

struct vm *vm_at(unsigned index)
{
	return index < vm_total ? &vms[index] : NULL;
}

struct vm *vm_find(const char *name)
{
	for (unsigned i = 0; i < vm_total; i++) {
		if (strcmp(vms[i].config->name, name) == 0) {
			return &vms[i];
		}
	}
	return NULL;
}

const char *vm_state_name(enum vm_state state)
{
	static const char *const names[] = {"stopped", "starting", "running", "paused"};

	return names[state];
}

/* What a later request takes back of those that wait: the last word counts. */
static uint64_t overruled_by(uint64_t request)
{
	if (request & (VM_REQUEST_STOP | VM_REQUEST_RESET)) {
		return VM_REQUEST_STOP | VM_REQUEST_RESET | VM_REQUEST_START | VM_REQUEST_PAUSE |
		       VM_REQUEST_RESUME | VM_REQUEST_NMI;
	}
	if (request & (VM_REQUEST_PAUSE | VM_REQUEST_RESUME)) {
		return VM_REQUEST_PAUSE | VM_REQUEST_RESUME;
	}
	return 0;
}

void vm_request(struct vm *vm, uint64_t request)
{
	uint64_t old = atomic_load_explicit(&vm->requests, memory_order_relaxed);
	uint64_t new;

	do {
		new = (old & ~overruled_by(request)) | request;
	} while (!atomic_compare_exchange_weak_explicit(
		&vm->requests, &old, new, memory_order_release, memory_order_relaxed));
	cpu_kick(vm->cpu);
}

static enum vm_state get_state(const struct vm *vm)
{
	return atomic_load_explicit(&vm->state, memory_order_acquire);
}

static void set_state(struct vm *vm, enum vm_state state)
{
	atomic_store_explicit(&vm->state, state, memory_order_release);
}

uint64_t vm_overhead(const struct vm *vm)
{
	uint64_t size = VM_OUTPUT_SIZE + platform_size();

	if (get_state(vm) != VM_STOPPED) {
		size += vm->memory.tree.table_count * PAGE_SIZE;
		size += vm->vcpu != NULL ? vcpu_size() : 0;
	}
	return size;
}

/* ---- Time ----------------------------------------------------------------- */

uint64_t vm_guest_now_ns(const struct vm *vm)
{
	return tsc_to_ns((get_state(vm) == VM_PAUSED ? vm->paused_tsc : tsc_now()) - vm->epoch_tsc);
}

static uint64_t guest_to_host_ns(const struct vm *vm, uint64_t guest_ns)
{
	uint64_t host_ns;

	if (__builtin_add_overflow(guest_ns, vm->epoch_ns, &host_ns)) {
		return TIME_NEVER;
	}
	return host_ns;
}

static void set_epoch(struct vm *vm, uint64_t epoch_tsc)
{
	vm->epoch_tsc = epoch_tsc;
	vm->epoch_ns = tsc_to_ns(epoch_tsc);
	vcpu_set_tsc_offset(vm->vcpu, -epoch_tsc);
}

/* ---- The seams to the devices and the console ------------------------------ */

static uint64_t platform_now(void *context)
{
	return vm_guest_now_ns(context);
}

static void platform_output(void *context, uint8_t byte)
{
	struct vm *vm = context;

	output_ring_put(&vm->output, byte);
}

/* At the end of a turn: the console's service, on CPU 0, has something to show. */
static void announce_output(struct vm *vm)
{
	uint64_t end = output_ring_end(&vm->output);

	if (end != vm->output_announced) {
		vm->output_announced = end;
		cpu_kick(0);
	}
}

static size_t console_input(void *context, const void *bytes, size_t size)
{
	struct vm *vm = context;
	size_t taken;

	if (get_state(vm) != VM_RUNNING && get_state(vm) != VM_PAUSED) {
		return size; /* nobody is there to read it */
	}
	taken = byte_queue_write(&vm->input, bytes, size);
	vm_request(vm, VM_REQUEST_INPUT);
	return taken;
}

static bool console_alive(void *context)
{
	const struct vm *vm = context;

	return get_state(vm) != VM_STOPPED ||
	       atomic_load_explicit(&vm->requests, memory_order_relaxed) & VM_REQUEST_START;
}

/* ---- Init ------------------------------------------------------------------ */

/* Guests go round the CPUs that are not the service CPU, where there are any. */
static unsigned place(unsigned index)
{
	unsigned others = cpu_count() - 1;

	return others == 0 ? 0 : 1 + index % others;
}

/*
 * The console on the service CPU may reach for these at any moment, so they stay
 * for as long as the host runs.
 */
static void make_console(struct vm *vm)
{
	void *ring = page_new(VM_OUTPUT_SIZE);

	vm->platform = page_new(platform_size());
	if (ring == NULL || vm->platform == NULL) {
		panic("no memory for the console of guest %s", vm->config->name);
	}
	output_ring_init(&vm->output, ring, VM_OUTPUT_SIZE);
	byte_queue_init(&vm->input, vm->input_bytes, VM_INPUT_SIZE);
	vm->console = (struct console_target){
		.name = vm->config->name,
		.output = &vm->output,
		.input = console_input,
		.alive = console_alive,
		.context = vm,
	};
}

void vm_init(const struct config *config, const struct vm_image *files, unsigned file_count)
{
	images = files;
	image_total = file_count;
	vm_total = config->guest_count;
	for (unsigned i = 0; i < vm_total; i++) {
		struct vm *vm = &vms[i];

		vm->config = &config->guests[i];
		vm->cpu = place(i);
		make_console(vm);
		if (!vm->config->valid) {
			snprintf(vm->ending, sizeof(vm->ending),
				 "dyad.conf:%u: its section has mistakes; the log names them",
				 vm->config->line);
		} else if (vm->config->start && virt_available()) {
			vm_request(vm, VM_REQUEST_START);
		}
	}
}

/* Written whole, since the console reads it from another CPU. */
static PRINTF_LIKE(2, 0) void set_ending(struct vm *vm, const char *format, va_list args)
{
	char text[VM_ENDING_MAX];

	vsnprintf(text, sizeof(text), format, args);
	spin_lock(&vm->ending_lock);
	memcpy(vm->ending, text, sizeof(text));
	spin_unlock(&vm->ending_lock);
}

void vm_copy_ending(struct vm *vm, char copy[VM_ENDING_MAX])
{
	spin_lock(&vm->ending_lock);
	memcpy(copy, vm->ending, VM_ENDING_MAX);
	spin_unlock(&vm->ending_lock);
}

/* ---- Start ----------------------------------------------------------------- */

static PRINTF_LIKE(2, 3) int refuse(struct vm *vm, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set_ending(vm, format, args);
	va_end(args);
	log_error("guest %s: cannot start: %s", vm->config->name, vm->ending);
	return -EINVAL;
}

static void free_parts(struct vm *vm)
{
	if (vm->vcpu != NULL) {
		vcpu_park(vm->vcpu);
		vcpu_destroy(vm->vcpu);
		vm->vcpu = NULL;
	}
	memory_destroy(&vm->memory);
}

/* Any file that the loader read: its bytes, or the sentence why not. */
static int find_image(struct vm *vm, const char *name, struct load_image *image)
{
	for (unsigned i = 0; i < image_total; i++) {
		if (strcmp(images[i].name, name) != 0) {
			continue;
		}
		if (images[i].error != 0) {
			break;
		}
		image->data = images[i].data;
		image->size = images[i].size;
		return 0;
	}
	return refuse(vm,
		      "dyad.conf:%u: \\dyad\\%s was not found or not readable; allowed: "
		      "a file of the volume that Dyad was started from",
		      vm->config->line, name);
}

/* "FILE [arguments]": the file's name ends at the first blank. */
static int find_module(struct vm *vm, const char *line, struct load_image *image)
{
	char name[CONFIG_FILE_MAX];
	size_t length = strcspn(line, " ");

	memcpy(name, line, length);
	name[length] = '\0';
	image->cmdline = line;
	return find_image(vm, name, image);
}

/* What its section names; `modules` has room for CONFIG_MODULE_MAX. */
static int find_images(struct vm *vm, struct load_request *request, struct load_image *modules)
{
	const struct config_guest *config = vm->config;

	*request = (struct load_request){
		.cmdline = config->cmdline,
		.module_count = config->module_count,
		.modules = modules,
	};
	if (find_image(vm, config->kernel, &request->kernel) != 0 ||
	    (config->initrd[0] != '\0' && find_image(vm, config->initrd, &request->initrd) != 0)) {
		return -ENOENT;
	}
	for (unsigned i = 0; i < config->module_count; i++) {
		if (find_module(vm, config->modules[i], &modules[i]) != 0) {
			return -ENOENT;
		}
	}
	return 0;
}

/* Everything but the pages of its RAM, which come in slices. */
static int start_begin(struct vm *vm)
{
	uint64_t needed = vm->config->memory / PAGE_SIZE;
	struct cpuid_clocks clocks = {.tsc_hz = tsc_hz, .apic_hz = MACHINE_LAPIC_HZ};
	struct load_image modules[CONFIG_MODULE_MAX] = {0};
	struct load_request request;
	char error[CPUID_ERROR_MAX];

	if (!virt_available()) {
		return refuse(vm, "%s", virt_missing(0));
	}
	if (!virt_on_this_cpu()) {
		return refuse(vm, "CPU %u, where it belongs, cannot run guests", vm->cpu);
	}
	if (!vm->config->valid) {
		return refuse(vm, "dyad.conf:%u: its section has mistakes; the log names them",
			      vm->config->line);
	}
	if (find_images(vm, &request, modules) != 0) {
		return -ENOENT;
	}
	if (cpuid_policy_init(&vm->cpuid, vm->config->cpu, clocks, cpuid_host, error) != 0) {
		return refuse(vm, "dyad.conf:%u: %s", vm->config->line, error);
	}
	if (needed > page_free_count()) {
		return refuse(vm,
			      "dyad.conf:%u: it needs %lu MiB of memory; allowed: what is "
			      "free, %lu MiB",
			      vm->config->line, vm->config->memory / MIB,
			      page_free_count() * PAGE_SIZE / MIB);
	}
	if (memory_create(&vm->memory, vm->config->memory) != 0) {
		return refuse(vm, "no memory for its page tables");
	}
	set_state(vm, VM_STARTING);
	return 0;
}

static int load(struct vm *vm, struct vcpu_state *state)
{
	struct load_image modules[CONFIG_MODULE_MAX] = {0};
	struct load_request request;
	char error[LOAD_ERROR_MAX];

	if (find_images(vm, &request, modules) != 0) {
		return -ENOENT;
	}
	if (acpi_build(&vm->memory, 1, &request.rsdp) != 0) {
		return refuse(vm, "its memory is too small for the ACPI tables");
	}
	if (load_guest(&vm->memory, &request, state, error) != 0) {
		return refuse(vm, "dyad.conf:%u: %s", vm->config->line, error);
	}
	return 0;
}

static int make_machine(struct vm *vm)
{
	struct platform_host host = {
		.now_ns = platform_now,
		.console_output = platform_output,
		.console_input = &vm->input,
		.context = vm,
	};

	vm->vcpu = vcpu_create(vm->memory.tree.root, &vm->cpuid.limits);
	if (vm->vcpu == NULL) {
		return refuse(vm, "no memory for its vCPU");
	}
	byte_queue_drain(&vm->input);
	vm->wall_clock_s = wall_clock_s();
	set_epoch(vm, tsc_now());
	platform_init(vm->platform, &host, tsc_hz, vm->wall_clock_s);
	msr_reset(&vm->msrs);
	vm->halted = false;
	vm->nmi_pending = false;
	vm->hole_reported = false;
	vm->hole_count = 0;
	memset(vm->exit_count, 0, sizeof(vm->exit_count));
	return 0;
}

/* Its console keeps what earlier runs printed: where this one begins. */
static void mark_start(struct vm *vm)
{
	char mark[80];

	snprintf(mark, sizeof(mark), "\r\n--- start %lu of %s ---\r\n", vm->start_count,
		 vm->config->name);
	output_ring_write(&vm->output, mark, strlen(mark));
}

/* A slice of its RAM; with the last one, the image and its first instruction. */
static void start_continue(struct vm *vm)
{
	struct vcpu_state state;
	int more = memory_populate(&vm->memory, POPULATE_SLICE);

	if (more > 0) {
		return;
	}
	if (more < 0) {
		refuse(vm, "memory ran out after %lu of %lu MiB", vm->memory.populated / MIB,
		       vm->memory.size / MIB);
		goto undo;
	}
	/* The machine last: its wall clock is read there. */
	if (load(vm, &state) != 0 || make_machine(vm) != 0) {
		goto undo;
	}
	if (vcpu_set_state(vm->vcpu, &state) != 0) {
		refuse(vm, "its image asks for a CPU state that cannot be");
		goto undo;
	}
	/* Guest time begins with its first instruction. */
	set_epoch(vm, tsc_now());
	vm->start_count++;
	if (vm->start_count > 1) {
		mark_start(vm);
	}
	vm->ending[0] = '\0';
	set_state(vm, VM_RUNNING);
	log_info("guest %s: running, %lu MiB, on CPU %u", vm->config->name, vm->memory.size / MIB,
		 vm->cpu);
	return;
undo:
	free_parts(vm);
	set_state(vm, VM_STOPPED);
}

/* ---- End ------------------------------------------------------------------- */

static enum config_action ending_action(const struct vm *vm, enum vm_ending ending)
{
	switch (ending) {
	case ENDING_POWEROFF:
		return vm->config->on_poweroff;
	case ENDING_REBOOT:
		return vm->config->on_reboot;
	case ENDING_CRASH:
		return vm->config->on_crash;
	case ENDING_RESET:
		return ACTION_RESTART;
	case ENDING_STOP:
		break;
	}
	return ACTION_STOP;
}

void vm_end(struct vm *vm, enum vm_ending ending, const char *format, ...)
{
	bool restart = ending_action(vm, ending) == ACTION_RESTART;
	bool gives_up;
	va_list args;

	va_start(args, format);
	set_ending(vm, format, args);
	va_end(args);
	vm->crash_count += ending == ENDING_CRASH;
	gives_up = restart && vm->crash_count > VM_CRASH_RESTARTS_MAX;
	log_info("guest %s: %s: %s", vm->config->name,
		 restart && !gives_up ? "restarting" : "stopped", vm->ending);
	if (ending == ENDING_CRASH) {
		vcpu_dump(vm->vcpu);
	}
	free_parts(vm);
	if (gives_up) {
		log_error("guest %s: crashed %u times, left stopped; `start %s` tries again",
			  vm->config->name, vm->crash_count, vm->config->name);
	}
	/* A guest that starts again is never seen stopped: its console stays with it. */
	if (!restart || gives_up || start_begin(vm) != 0) {
		set_state(vm, VM_STOPPED);
	}
}

/* ---- Requests and running --------------------------------------------------- */

static void pause(struct vm *vm)
{
	if (get_state(vm) == VM_RUNNING) {
		vm->paused_tsc = tsc_now();
		set_state(vm, VM_PAUSED);
		vcpu_park(vm->vcpu);
		log_info("guest %s: paused", vm->config->name);
	} else {
		log_warn("guest %s: not paused: it is %s", vm->config->name,
			 vm_state_name(get_state(vm)));
	}
}

/* Guest time goes on where it stood, and the guest is told so by nothing but it. */
static void resume(struct vm *vm)
{
	if (get_state(vm) == VM_PAUSED) {
		set_epoch(vm, vm->epoch_tsc + (tsc_now() - vm->paused_tsc));
		set_state(vm, VM_RUNNING);
		log_info("guest %s: resumed", vm->config->name);
	} else {
		log_warn("guest %s: not resumed: it is %s", vm->config->name,
			 vm_state_name(get_state(vm)));
	}
}

static void serve_requests(struct vm *vm)
{
	uint64_t requests = atomic_exchange_explicit(&vm->requests, 0, memory_order_acquire);
	bool is_stopped = get_state(vm) == VM_STOPPED;

	if (requests & (VM_REQUEST_START | VM_REQUEST_STOP | VM_REQUEST_RESET)) {
		vm->crash_count = 0;
	}
	if ((requests & VM_REQUEST_STOP) && !is_stopped) {
		vm_end(vm, ENDING_STOP, "stopped by the operator");
	}
	if ((requests & VM_REQUEST_RESET) && !is_stopped) {
		vm_end(vm, ENDING_RESET, "reset by the operator");
	}
	if ((requests & (VM_REQUEST_START | VM_REQUEST_RESET)) && is_stopped) {
		start_begin(vm);
	}
	if ((requests & VM_REQUEST_NMI) && get_state(vm) == VM_RUNNING) {
		platform_nmi_raise(vm->platform);
	}
	if (requests & VM_REQUEST_PAUSE) {
		pause(vm);
	}
	if (requests & VM_REQUEST_RESUME) {
		resume(vm);
	}
}

bool vm_is_ready(struct vm *vm)
{
	if (atomic_load_explicit(&vm->requests, memory_order_acquire) != 0) {
		return true;
	}
	switch (get_state(vm)) {
	case VM_STARTING:
		return true;
	case VM_RUNNING:
		return !vm->halted || vm_deadline_ns(vm) <= time_now_ns();
	default:
		return false;
	}
}

uint64_t vm_deadline_ns(struct vm *vm)
{
	if (get_state(vm) != VM_RUNNING) {
		return TIME_NEVER;
	}
	return guest_to_host_ns(vm, platform_deadline_ns(vm->platform));
}

static void deliver_nmi(struct vm *vm)
{
	vm->nmi_pending = !vcpu_can_take_nmi(vm->vcpu);
	if (vm->nmi_pending) {
		vcpu_want_nmi_window(vm->vcpu, true);
	} else {
		vcpu_inject_nmi(vm->vcpu);
		vm->halted = false;
	}
}

/* The interrupt that the devices raise: into the vCPU, or when it can take it. */
static void deliver_interrupt(struct vm *vm)
{
	int vector;

	if (!vcpu_can_take_interrupt(vm->vcpu)) {
		vcpu_want_irq_window(vm->vcpu, true);
		return;
	}
	vector = platform_irq_acknowledge(vm->platform);
	if (vector >= 0) {
		vcpu_inject_interrupt(vm->vcpu, (uint8_t)vector);
		vm->halted = false;
	}
}

static void run(struct vm *vm, uint64_t until_ns)
{
	struct exit exit;
	uint64_t deadline_ns;

	do {
		if (vm->nmi_pending || platform_nmi_take(vm->platform)) {
			deliver_nmi(vm);
		}
		if (platform_irq_pending(vm->platform)) {
			deliver_interrupt(vm);
		}
		if (vm->halted) {
			return;
		}
		deadline_ns = guest_to_host_ns(vm, platform_deadline_ns(vm->platform));
		vcpu_run(vm->vcpu, vm->memory.tree.generation, MIN(until_ns, deadline_ns), &exit);
		vm->exit_count[exit.reason]++;
	} while (exit_handle(vm, &exit));
}

void vm_step(struct vm *vm, uint64_t until_ns)
{
	if (atomic_load_explicit(&vm->requests, memory_order_relaxed) != 0) {
		serve_requests(vm);
	}
	if (get_state(vm) == VM_STARTING) {
		start_continue(vm);
	}
	if (get_state(vm) == VM_RUNNING) {
		platform_step(vm->platform);
		run(vm, until_ns);
		announce_output(vm);
	}
}
