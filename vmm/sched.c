/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of each CPU. A guest's turn ends with its slice, with an interrupt,
 * or when a service is due.
 */
#include "vmm/sched.h"

#include "arch/x86_64/arch.h"
#include "vmm/vm.h"

#define SLICE_NS UINT64_C(10000000)

static service_fn *const *services;

void sched_init(service_fn *const *list)
{
	services = list;
}

static uint64_t step_services(void)
{
	uint64_t deadline_ns = TIME_NEVER;

	for (service_fn *const *service = services; *service != NULL; service++) {
		uint64_t next_ns = (*service)(time_now_ns());

		deadline_ns = MIN(deadline_ns, next_ns);
	}
	return deadline_ns;
}

/* The next guest of this CPU that is ready, going round from *turn. */
static struct vm *pick(unsigned cpu, unsigned *turn)
{
	for (unsigned i = 0; i < vm_count(); i++) {
		unsigned index = (*turn + i) % vm_count();
		struct vm *vm = vm_at(index);

		if (vm->cpu == cpu && vm_is_ready(vm)) {
			*turn = index + 1;
			return vm;
		}
	}
	return NULL;
}

/* When the first of this CPU's guests wants it again. */
static uint64_t guests_deadline_ns(unsigned cpu)
{
	uint64_t deadline_ns = TIME_NEVER;

	for (unsigned i = 0; i < vm_count(); i++) {
		struct vm *vm = vm_at(i);

		if (vm->cpu == cpu) {
			deadline_ns = MIN(deadline_ns, vm_deadline_ns(vm));
		}
	}
	return deadline_ns;
}

_Noreturn void sched_loop(void)
{
	unsigned cpu = cpu_id();
	unsigned turn = 0;

	for (;;) {
		uint64_t deadline_ns = cpu == 0 ? step_services() : TIME_NEVER;
		struct vm *vm = pick(cpu, &turn);

		if (vm == NULL) {
			cpu_idle(MIN(deadline_ns, guests_deadline_ns(cpu)));
		} else {
			uint64_t slice_end_ns = time_now_ns() + SLICE_NS;

			vm_step(vm, MIN(deadline_ns, slice_end_ns));
		}
	}
}
