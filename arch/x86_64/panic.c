/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/panic.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "arch/x86_64/percpu.h"
#include "arch/x86_64/power.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/smp.h"
#include "arch/x86_64/symbols.h"
#include "base/log.h"

/* The 16550's registers that polled output needs. */
#define COM1_DATA 0x3f8
#define COM1_LINE_STATUS 0x3fd
#define LINE_STATUS_READY BIT(5)
#define COM1_POLLS_MAX 100000

#define BACKTRACE_MAX 256
#define LOG_LINES 8

/* Machine-check registers (SDM 3, 16.3). */
#define MSR_MCG_CAP 0x179
#define MSR_MCG_STATUS 0x17a
#define MSR_MC0_STATUS 0x401 /* the banks follow by 4 */
#define MCG_CAP_COUNT BITS(7, 0)
#define MCI_STATUS_VALID BIT(63)
#define MCI_STATUS_ADDRV BIT(58)

/* Before the calibration: a few seconds on any CPU of today. */
#define TSC_HZ_UNKNOWN UINT64_C(1000000000)

unsigned panic_reboot_s = 10;

/* The CPU that panics, plus one. */
static atomic_uint panic_owner;

static void put(char c)
{
	for (int i = 0; i < COM1_POLLS_MAX; i++) {
		if (io_read8(COM1_LINE_STATUS) & LINE_STATUS_READY) {
			break;
		}
	}
	io_write8(COM1_DATA, (uint8_t)c);
}

static void put_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			put('\r');
		}
		put(*text);
	}
}

static void vprint(const char *format, va_list args)
{
	char text[LOG_LINE_MAX + 32];

	vsnprintf(text, sizeof(text), format, args);
	put_text(text);
}

PRINTF_LIKE(1, 2) static void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprint(format, args);
	va_end(args);
}

static void print_registers(const struct trap_frame *f)
{
	print("rax %016lx rcx %016lx rdx %016lx\n", f->rax, f->rcx, f->rdx);
	print("rbx %016lx rsp %016lx rbp %016lx\n", f->rbx, f->rsp, f->rbp);
	print("rsi %016lx rdi %016lx r8  %016lx\n", f->rsi, f->rdi, f->r8);
	print("r9  %016lx r10 %016lx r11 %016lx\n", f->r9, f->r10, f->r11);
	print("r12 %016lx r13 %016lx r14 %016lx\n", f->r12, f->r13, f->r14);
	print("r15 %016lx rip %016lx rfl %016lx\n", f->r15, f->rip, f->rflags);
	print("cs %04lx ss %04lx vector %lu error %lx\n", f->cs, f->ss, f->vector, f->error);
}

static void print_control_registers(void)
{
	print("cr0 %08lx cr2 %016lx cr3 %lx cr4 %lx efer %lx\n", cr0_read(), cr2_read(), cr3_read(),
	      cr4_read(), msr_read(MSR_EFER));
}

/* `back`: 1 for a return address, which may lie behind the function's end. */
static void print_function(uint64_t address, unsigned back)
{
	uint64_t offset;
	const char *name = symbol_find(address - back, &offset);

	if (name) {
		print("  %016lx %s+0x%lx\n", address, name, offset + back);
	} else {
		print("  %016lx\n", address);
	}
}

/*
 * Follows the frame pointers as long as they stay inside this CPU's stacks. A
 * recursion takes one line, so that its beginning is seen too.
 */
static void print_callers(uint64_t rbp)
{
	uint64_t last = 0;
	unsigned repeats = 0;

	for (int i = 0; i < BACKTRACE_MAX; i++) {
		uint64_t end = stacks_end(this_cpu()->stacks, rbp);
		const uint64_t *frame = (const uint64_t *)rbp;

		if (end == 0 || end - rbp < 16 || rbp % 8 != 0) {
			break;
		}
		if (frame[1] == last) {
			repeats++;
		} else {
			if (repeats > 0) {
				print("  ... %u times more\n", repeats);
			}
			print_function(frame[1], 1);
			repeats = 0;
		}
		last = frame[1];
		rbp = frame[0];
	}
	if (repeats > 0) {
		print("  ... %u times more\n", repeats);
	}
}

static void print_backtrace(uint64_t rip, uint64_t rbp, uint64_t rsp)
{
	uint64_t offset;

	print("backtrace:\n");
	print_function(rip, 0);
	/* A jump to nowhere: the caller has pushed its address, but no frame is made. */
	if (!symbol_find(rip, &offset) && stacks_end(this_cpu()->stacks, rsp) != 0) {
		print_function(*(const uint64_t *)rsp, 1);
	}
	print_callers(rbp);
}

static void print_log(void)
{
	uint64_t next = log_next();
	uint64_t sequence = next > LOG_LINES ? next - LOG_LINES : 0;
	struct log_line line;

	print("end of the log:\n");
	while (log_read(&sequence, &line)) {
		print("  [%5lu.%06lu] %s\n", line.time_ns / 1000000000,
		      line.time_ns / 1000 % 1000000, line.text);
	}
}

static _Noreturn void finish(void)
{
	if (panic_reboot_s == 0) {
		print("halted\n");
		for (;;) {
			__asm__ volatile("cli; hlt");
		}
	}
	print("reset in %u s\n", panic_reboot_s);
	uint64_t start = tsc_now();
	while (tsc_now() - start < panic_reboot_s * (tsc_hz ? tsc_hz : TSC_HZ_UNKNOWN)) {
		__builtin_ia32_pause();
	}
	host_reset();
}

/*
 * From here on this CPU is the only one, and it panics for the first time.
 * Returns how many others could not be stopped.
 */
static unsigned begin(void)
{
	unsigned owner = 0;
	unsigned self = cpu_id() + 1;

	__asm__ volatile("cli");
	if (!atomic_compare_exchange_strong(&panic_owner, &owner, self)) {
		if (owner == self) {
			put_text("\npanic inside a panic, reset\n");
			reset_by_force();
		}
		for (;;) {
			__asm__ volatile("hlt"); /* until the owner's NMI */
		}
	}
	unsigned deaf = smp_stop_others();
	log_enter_panic();
	return deaf;
}

/* `frame` may be NULL: then `rip` and `rbp` are the caller's. */
static _Noreturn void dump(const struct trap_frame *frame, uint64_t rip, uint64_t rbp,
			   const char *format, va_list args)
{
	unsigned deaf = begin();

	print("\n*** panic on CPU %u: ", cpu_id());
	vprint(format, args);
	print("\n");
	if (deaf > 0) {
		print("%u CPUs do not answer and may still run\n", deaf);
	}
	if (frame) {
		print_registers(frame);
	}
	print_control_registers();
	print_backtrace(rip, rbp, frame ? frame->rsp : rbp);
	print_log();
	finish();
}

void panic_at(const struct trap_frame *frame, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	dump(frame, frame->rip, frame->rbp, format, args);
}

void panic(const char *format, ...)
{
	const uint64_t *frame = __builtin_frame_address(0);
	va_list args;

	va_start(args, format);
	dump(NULL, frame[1], frame[0], format, args);
}

void panic_machine_check(const struct trap_frame *frame)
{
	uint64_t count = field_get(MCG_CAP_COUNT, msr_read(MSR_MCG_CAP));

	for (uint32_t bank = 0; bank < count; bank++) {
		uint64_t status = msr_read(MSR_MC0_STATUS + 4 * bank);

		if (status & MCI_STATUS_VALID) {
			panic_at(frame,
				 "machine check: the CPU reports a hardware fault: bank %u, "
				 "status 0x%lx, address 0x%lx, MCG_STATUS 0x%lx",
				 bank, status,
				 status & MCI_STATUS_ADDRV ? msr_read(MSR_MC0_STATUS + 4 * bank + 1)
							   : 0,
				 msr_read(MSR_MCG_STATUS));
		}
	}
	panic_at(frame, "machine check: the CPU reports a hardware fault, MCG_STATUS 0x%lx",
		 msr_read(MSR_MCG_STATUS));
}
