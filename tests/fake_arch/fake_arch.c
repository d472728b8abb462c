/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake CPU: see fake_arch.h. Whatever a test did not foresee fails it by
 * name, rather than going on with a value that was made up.
 */
#include "tests/fake_arch/fake_arch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/log.h"
#include "base/page.h"

/* Free in every process, and 1 GiB aligned as the direct map is. */
#define ARENA_BASE ((uintptr_t)0x200000000000)

/* Ticks and nanoseconds differ, so that a mix-up shows. */
#define TICKS_PER_NS 2

/* Of the first message; their data go up by one (SDM 3, 11.11). */
#define MSI_ADDRESS 0xfee00000
#define MSI_DATA 0x40

#define CR0_PE BIT(0)
#define CR0_PG BIT(31)
#define EFER_LMA BIT(10)
#define RFLAGS_IF BIT(9)
#define BLOCKED_BY_STI_OR_SS BITS(1, 0)
#define BLOCKED_BY_NMI BIT(3)

struct fake_arch fake;
const uintptr_t direct_map = ARENA_BASE;
uint64_t tsc_hz = TICKS_PER_NS * UINT64_C(1000000000);

static uint8_t page_map[FAKE_MEMORY_SIZE / PAGE_SIZE];

void fake_arch_reset(uint64_t pool_size)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fake.vcpus); i++) {
		free(fake.vcpus[i]);
	}
	fake = (struct fake_arch){.cpu_count = 1, .now_ns = 1000000000};

	void *arena = mmap((void *)ARENA_BASE, FAKE_MEMORY_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	if (arena == MAP_FAILED) {
		fake_fail("no room for the arena: %s", strerror(errno));
	}
	memset(page_map, 0, sizeof(page_map));
	page_init(page_map, FAKE_MEMORY_SIZE);
	page_add(HPA(MIB), pool_size);
}

void fake_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

/* ---- The ends --------------------------------------------------------- */

static _Noreturn void end_host(enum fake_end end, const char *text)
{
	if (fake.end_expected != end) {
		fake_fail("the host ended: %s", text);
	}
	fake.end = end;
	longjmp(fake.end_jump, 1);
}

void panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fake.panic_text, sizeof(fake.panic_text), format, args);
	va_end(args);
	end_host(FAKE_PANIC, fake.panic_text);
}

void host_reset(void)
{
	end_host(FAKE_RESET, "reset");
}

void host_poweroff(void)
{
	end_host(FAKE_POWEROFF, "power-off");
}

/* ---- Processors ------------------------------------------------------- */

unsigned cpu_count(void)
{
	return fake.cpu_count;
}

unsigned cpu_id(void)
{
	return fake.cpu_id;
}

void cpu_kick(unsigned cpu)
{
	CHECK(cpu < fake.cpu_count);
	fake.kick_count[cpu]++;
}

void cpu_idle(uint64_t deadline_ns)
{
	fake.idle_count++;
	fake.idle_deadline_ns = deadline_ns;
	if (fake.idle) {
		fake.idle(deadline_ns);
	} else if (deadline_ns != TIME_NEVER) {
		fake.now_ns = MAX(fake.now_ns, deadline_ns);
	} else {
		fake_fail("cpu_idle without a deadline: it would never return");
	}
}

void cpu_print_info(void (*print)(const char *format, ...))
{
	print("CPU: fake\n");
}

/* ---- Time ------------------------------------------------------------- */

uint64_t tsc_now(void)
{
	fake.now_ns += fake.clock_step_ns;
	return ns_to_tsc(fake.now_ns);
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	return ticks / TICKS_PER_NS;
}

uint64_t ns_to_tsc(uint64_t ns)
{
	return ns * TICKS_PER_NS;
}

void delay_us(unsigned us)
{
	fake.now_ns += us * UINT64_C(1000);
}

/* ---- Interrupts and ports --------------------------------------------- */

int irq_register(unsigned irq, void (*handler)(void *context), void *context)
{
	unsigned i = 0;

	CHECK(irq < ARRAY_SIZE(fake.irqs));
	if (fake.irq_error) {
		return fake.irq_error;
	}
	while (i < FAKE_IRQ_SHARERS_MAX && fake.irqs[irq][i].run) {
		i++;
	}
	if (i == FAKE_IRQ_SHARERS_MAX || (i > 0 && (fake.irq_edge & BIT(irq)))) {
		return -EBUSY;
	}
	fake.irqs[irq][i] = (struct fake_handler){.run = handler, .context = context};
	return 0;
}

void fake_irq_raise(unsigned irq)
{
	if (!fake.irqs[irq][0].run) {
		fake_fail("irq %u has no handler", irq);
	}
	for (unsigned i = 0; i < FAKE_IRQ_SHARERS_MAX && fake.irqs[irq][i].run; i++) {
		fake.irqs[irq][i].run(fake.irqs[irq][i].context);
	}
}

int msi_register(void (*handler)(void *context), void *context, struct msi_message *message)
{
	if (fake.msi_error) {
		return fake.msi_error;
	}
	if (fake.msi_count == FAKE_MSI_MAX) {
		return -ENOSPC;
	}
	*message = (struct msi_message){.address = MSI_ADDRESS, .data = MSI_DATA + fake.msi_count};
	fake.msis[fake.msi_count++] = (struct fake_handler){.run = handler, .context = context};
	return 0;
}

void fake_msi_raise(uint32_t data)
{
	if (data < MSI_DATA || data - MSI_DATA >= fake.msi_count) {
		fake_fail("no handler for a message with data 0x%x", data);
	}
	fake.msis[data - MSI_DATA].run(fake.msis[data - MSI_DATA].context);
}

static void record_io(struct fake_io io)
{
	if (fake.io_count < FAKE_IO_MAX) {
		fake.io[fake.io_count] = io;
	}
	fake.io_count++;
}

static uint32_t io_read(uint16_t port, uint8_t size)
{
	uint32_t value = fake.io_read ? fake.io_read(port, size) : UINT32_MAX;

	value &= (uint32_t)BITS(8 * size - 1, 0);
	record_io((struct fake_io){.port = port, .size = size, .value = value});
	return value;
}

static void io_write(uint16_t port, uint8_t size, uint32_t value)
{
	record_io((struct fake_io){.write = true, .port = port, .size = size, .value = value});
	if (fake.io_write) {
		fake.io_write(port, size, value);
	}
}

uint8_t io_read8(uint16_t port)
{
	return (uint8_t)io_read(port, 1);
}

uint16_t io_read16(uint16_t port)
{
	return (uint16_t)io_read(port, 2);
}

uint32_t io_read32(uint16_t port)
{
	return io_read(port, 4);
}

void io_write8(uint16_t port, uint8_t value)
{
	io_write(port, 1, value);
}

void io_write16(uint16_t port, uint16_t value)
{
	io_write(port, 2, value);
}

void io_write32(uint16_t port, uint32_t value)
{
	io_write(port, 4, value);
}

/* ---- Device registers and DMA ------------------------------------------ */

static bool is_in_arena(uint64_t offset, uint64_t size)
{
	return offset < FAKE_MEMORY_SIZE && size <= FAKE_MEMORY_SIZE - offset;
}

void *mmio_map(hpa_t hpa, uint64_t size)
{
	if (fake.mmio_map) {
		return fake.mmio_map(hpa, size);
	}
	return is_in_arena(hpa.v, size) ? hpa_to_virt(hpa) : NULL;
}

#define MMIO_ACCESSORS(bits)                                                          \
	uint##bits##_t mmio_read##bits(const volatile void *reg)                      \
	{                                                                             \
		return fake.mmio_read ? (uint##bits##_t)fake.mmio_read(reg, bits / 8) \
				      : *(const volatile uint##bits##_t *)reg;        \
	}                                                                             \
                                                                                      \
	void mmio_write##bits(volatile void *reg, uint##bits##_t value)               \
	{                                                                             \
		if (fake.mmio_write) {                                                \
			fake.mmio_write(reg, bits / 8, value);                        \
		} else {                                                              \
			*(volatile uint##bits##_t *)reg = value;                      \
		}                                                                     \
	}

MMIO_ACCESSORS(8)
MMIO_ACCESSORS(16)
MMIO_ACCESSORS(32)

hpa_t dma_address(const void *memory, size_t size)
{
	uint64_t offset = (uintptr_t)memory - direct_map;

	if (is_in_arena(offset, size)) {
		return HPA(offset);
	}
	return fake.dma_everything ? HPA((uintptr_t)memory) : HPA_NONE;
}

void *fake_dma_memory(uint64_t address, size_t size)
{
	if (is_in_arena(address, size)) {
		return hpa_to_virt(HPA(address));
	}
	if (!fake.dma_everything || address < FAKE_MEMORY_SIZE) {
		fake_fail("a device uses %zu bytes at 0x%llx, where there is no memory", size,
			  (unsigned long long)address);
	}
	return (void *)(uintptr_t)address;
}

bool pci_ecam_get(unsigned index, struct pci_ecam *ecam)
{
	if (index >= fake.ecam_count) {
		return false;
	}
	*ecam = fake.ecams[index];
	return true;
}

/* ---- Vector registers, random numbers ---------------------------------- */

void fpu_begin(void)
{
	CHECK(fake.cpu_id == 0 && !fake.fpu_begun);
	fake.fpu_begun = true;
	fake.fpu_count++;
}

void fpu_end(void)
{
	CHECK(fake.fpu_begun);
	fake.fpu_begun = false;
}

/* SplitMix64. */
int cpu_random(uint64_t *value)
{
	uint64_t z = fake.random_seed += UINT64_C(0x9e3779b97f4a7c15);

	if (fake.random_error) {
		return fake.random_error;
	}
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	*value = z ^ z >> 31;
	return 0;
}

/* ---- Virtualisation --------------------------------------------------- */

bool virt_available(void)
{
	return !fake.virt_missing[0];
}

const char *virt_missing(unsigned index)
{
	return index < ARRAY_SIZE(fake.virt_missing) ? fake.virt_missing[index] : NULL;
}

struct cpuid cpuid_host(uint32_t leaf, uint32_t subleaf)
{
	for (unsigned i = 0; i < fake.cpuid_count; i++) {
		if (fake.cpuids[i].leaf == leaf && fake.cpuids[i].subleaf == subleaf) {
			return fake.cpuids[i].value;
		}
	}
	return (struct cpuid){0};
}

void fake_cpuid_set(uint32_t leaf, uint32_t subleaf, struct cpuid value)
{
	unsigned i = 0;

	while (i < fake.cpuid_count &&
	       (fake.cpuids[i].leaf != leaf || fake.cpuids[i].subleaf != subleaf)) {
		i++;
	}
	CHECK(i < FAKE_CPUID_MAX);
	fake.cpuids[i].leaf = leaf;
	fake.cpuids[i].subleaf = subleaf;
	fake.cpuids[i].value = value;
	fake.cpuid_count = MAX(fake.cpuid_count, i + 1);
}

/* ---- Virtual CPUs ----------------------------------------------------- */

/* SDM 3, table 10-1. */
static const struct vcpu_state state_after_reset = {
	.gpr[GPR_RDX] = 0x600,
	.rip = 0xfff0,
	.rflags = 2,
	.segment =
		{
			[SEG_ES] = {.limit = 0xffff, .attributes = 0x93},
			[SEG_CS] = {.base = 0xffff0000,
				    .limit = 0xffff,
				    .attributes = 0x9b,
				    .selector = 0xf000},
			[SEG_SS] = {.limit = 0xffff, .attributes = 0x93},
			[SEG_DS] = {.limit = 0xffff, .attributes = 0x93},
			[SEG_FS] = {.limit = 0xffff, .attributes = 0x93},
			[SEG_GS] = {.limit = 0xffff, .attributes = 0x93},
			[SEG_LDTR] = {.limit = 0xffff, .attributes = 0x82},
			[SEG_TR] = {.limit = 0xffff, .attributes = 0x8b},
		},
	.gdtr_limit = 0xffff,
	.idtr_limit = 0xffff,
	.cr0 = 0x60000010,
	.xcr0 = 1,
	.dr6 = 0xffff0ff0,
	.dr7 = 0x400,
	.pat = UINT64_C(0x0007040600070406),
};

struct vcpu *vcpu_create(hpa_t s2_root, const struct vcpu_limits *limits)
{
	CHECK(fake.vcpu_count < FAKE_VCPU_MAX);

	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
	if (!vcpu) {
		fake_fail("no memory");
	}
	vcpu->state = state_after_reset;
	vcpu->limits = *limits;
	vcpu->s2_root = s2_root;
	fake.vcpus[fake.vcpu_count++] = vcpu;
	return vcpu;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	for (unsigned i = 0; i < fake.vcpu_count; i++) {
		if (fake.vcpus[i] == vcpu) {
			fake.vcpus[i] = NULL;
			free(vcpu);
			return;
		}
	}
	fake_fail("vcpu_destroy of what is no vCPU");
}

void fake_vcpu_script(struct vcpu *vcpu, struct fake_exit exit)
{
	CHECK(vcpu->script_count < FAKE_SCRIPT_MAX);
	vcpu->script[vcpu->script_count++] = exit;
}

void vcpu_run(struct vcpu *vcpu, uint64_t generation, uint64_t deadline_ns, struct exit *exit)
{
	const struct fake_exit *next = &vcpu->script[vcpu->script_next];
	bool scripted = vcpu->script_next < vcpu->script_count;

	CHECK(!fake.fpu_begun);
	vcpu->run_count++;
	vcpu->generation = generation;
	vcpu->deadline_ns = deadline_ns;
	vcpu->state.event_kind = VCPU_EVENT_NONE;

	if (scripted && (deadline_ns == TIME_NEVER || fake.now_ns + next->after_ns < deadline_ns)) {
		vcpu->script_next++;
		fake.now_ns += next->after_ns;
		if (next->guest) {
			next->guest(vcpu);
		}
		*exit = next->exit;
	} else if (deadline_ns != TIME_NEVER) {
		fake.now_ns = MAX(fake.now_ns, deadline_ns);
		*exit = (struct exit){.reason = EXIT_DEADLINE};
	} else {
		fake_fail("vcpu_run: the script has ended and there is no deadline");
	}
}

void vcpu_park(struct vcpu *vcpu)
{
	CHECK(!fake.fpu_begun);
	vcpu->park_count++;
}

uint64_t *vcpu_gpr(struct vcpu *vcpu)
{
	return vcpu->state.gpr;
}

uint64_t vcpu_get_rsp(struct vcpu *vcpu)
{
	return vcpu->state.gpr[GPR_RSP];
}

void vcpu_set_rsp(struct vcpu *vcpu, uint64_t rsp)
{
	vcpu->state.gpr[GPR_RSP] = rsp;
}

void vcpu_set_cr2(struct vcpu *vcpu, uint64_t cr2)
{
	vcpu->state.cr2 = cr2;
}

static uint8_t code_size(const struct vcpu_state *state)
{
	uint32_t attributes = state->segment[SEG_CS].attributes;

	if ((state->efer & EFER_LMA) && (attributes & SEG_ATTR_L)) {
		return 8;
	}
	return attributes & SEG_ATTR_DB ? 4 : 2;
}

void vcpu_get_mode(struct vcpu *vcpu, struct vcpu_mode *mode)
{
	const struct vcpu_state *state = &vcpu->state;

	*mode = (struct vcpu_mode){
		.rip = state->rip,
		.rflags = state->rflags,
		.cr0 = state->cr0,
		.cr3 = state->cr3,
		.cr4 = state->cr4,
		.efer = state->efer,
		.cs_base = state->segment[SEG_CS].base,
		.code_size = code_size(state),
		.cpl = (uint8_t)field_get(SEG_ATTR_DPL, state->segment[SEG_SS].attributes),
	};
}

void vcpu_get_state(struct vcpu *vcpu, struct vcpu_state *state)
{
	*state = vcpu->state;
}

int vcpu_set_state(struct vcpu *vcpu, const struct vcpu_state *state)
{
	if ((state->cr0 & CR0_PG) && !(state->cr0 & CR0_PE)) {
		return -EINVAL;
	}
	vcpu->state = *state;
	return 0;
}

void vcpu_advance(struct vcpu *vcpu, unsigned length)
{
	struct vcpu_state *state = &vcpu->state;

	state->rip += length;
	if (code_size(state) != 8) {
		state->rip &= UINT32_MAX;
	}
	state->interruptibility &= ~BLOCKED_BY_STI_OR_SS;
}

static uint64_t *msr_of(struct vcpu_state *state, uint32_t index)
{
	switch (index) {
	case 0x174:
		return &state->sysenter_cs;
	case 0x175:
		return &state->sysenter_esp;
	case 0x176:
		return &state->sysenter_eip;
	case 0x277:
		return &state->pat;
	case 0xc0000080:
		return &state->efer;
	case 0xc0000081:
		return &state->star;
	case 0xc0000082:
		return &state->lstar;
	case 0xc0000083:
		return &state->cstar;
	case 0xc0000084:
		return &state->fmask;
	case 0xc0000100:
		return &state->segment[SEG_FS].base;
	case 0xc0000101:
		return &state->segment[SEG_GS].base;
	case 0xc0000102:
		return &state->kernel_gs_base;
	case 0xc0000103:
		return &state->tsc_aux;
	default:
		return NULL;
	}
}

int vcpu_write_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	uint64_t *msr = msr_of(&vcpu->state, index);

	if (!msr) {
		return -ENOENT;
	}
	if (msr == &vcpu->state.efer && (value & ~(vcpu->limits.efer | EFER_LMA))) {
		return -EINVAL;
	}
	*msr = value;
	return 0;
}

void vcpu_set_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
	vcpu->tsc_offset = offset;
}

bool vcpu_can_take_interrupt(struct vcpu *vcpu)
{
	const struct vcpu_state *state = &vcpu->state;

	return (state->rflags & RFLAGS_IF) && !(state->interruptibility & BLOCKED_BY_STI_OR_SS) &&
	       state->event_kind == VCPU_EVENT_NONE;
}

bool vcpu_can_take_nmi(struct vcpu *vcpu)
{
	const struct vcpu_state *state = &vcpu->state;

	return !(state->interruptibility & (BLOCKED_BY_STI_OR_SS | BLOCKED_BY_NMI)) &&
	       state->event_kind == VCPU_EVENT_NONE;
}

static void inject(struct vcpu *vcpu, struct fake_event event)
{
	struct vcpu_state *state = &vcpu->state;

	CHECK(vcpu->event_count < FAKE_EVENT_MAX);
	vcpu->events[vcpu->event_count++] = event;
	state->event_kind = event.kind;
	state->event_vector = event.vector;
	state->event_has_error = event.has_error;
	state->event_error = event.error;
	state->event_length = 0;
}

void vcpu_inject_interrupt(struct vcpu *vcpu, uint8_t vector)
{
	CHECK(vcpu_can_take_interrupt(vcpu));
	inject(vcpu, (struct fake_event){.kind = VCPU_EVENT_INTERRUPT, .vector = vector});
}

void vcpu_inject_nmi(struct vcpu *vcpu)
{
	CHECK(vcpu_can_take_nmi(vcpu));
	inject(vcpu, (struct fake_event){.kind = VCPU_EVENT_NMI, .vector = 2});
}

void vcpu_inject_exception(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
	inject(vcpu, (struct fake_event){.kind = VCPU_EVENT_EXCEPTION,
					 .vector = vector,
					 .has_error = has_error,
					 .error = error});
}

void vcpu_want_irq_window(struct vcpu *vcpu, bool want)
{
	vcpu->want_irq_window = want;
}

void vcpu_want_nmi_window(struct vcpu *vcpu, bool want)
{
	vcpu->want_nmi_window = want;
}

void vcpu_dump(struct vcpu *vcpu)
{
	vcpu->dump_count++;
	log_error("rip 0x%llx", (unsigned long long)vcpu->state.rip);
}

size_t vcpu_size(void)
{
	return sizeof(struct vcpu);
}

void vcpu_get_cpuid_state(struct vcpu *vcpu, uint64_t *cr4, uint64_t *xcr0)
{
	*cr4 = vcpu->state.cr4;
	*xcr0 = vcpu->state.xcr0;
}

uint64_t wall_clock_s(void)
{
	return FAKE_WALL_CLOCK_START_S + fake.now_ns / 1000000000;
}

void s2_entry_store(s2_entry_t *entry, s2_entry_t value)
{
	*entry = value;
	if (fake.entry_stored != NULL) {
		fake.entry_stored(entry);
	}
}

void vcpu_set_rflags(struct vcpu *vcpu, uint64_t rflags)
{
	vcpu->state.rflags = rflags;
}

struct vcpu_segment vcpu_get_segment(struct vcpu *vcpu, enum segment segment)
{
	return vcpu->state.segment[segment];
}

bool virt_on_this_cpu(void)
{
	return fake.virt_missing[0] == NULL;
}
