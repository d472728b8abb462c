/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the runtime only; payloads include lib.h.
 */
#ifndef TESTS_GUESTS_LIB_INTERNAL_H
#define TESTS_GUESTS_LIB_INTERNAL_H

#include "tests/guests/lib/lib.h"

/* start.S: the callee-saved registers, RSP and RIP. */
struct checkpoint {
	uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
};

__attribute__((returns_twice)) int checkpoint_set(struct checkpoint *checkpoint);
_Noreturn void checkpoint_resume(const struct checkpoint *checkpoint);
_Noreturn void user_enter(void (*function)(void), uint64_t rsp);

extern const char vector_stubs[256][16];
extern uint64_t gdt[];
extern char stack_top[];
extern uint64_t page_map_1g[512], page_map_2m[4][512];

_Noreturn void payload_main(void);
void vector_handle(struct frame *frame);

/* Descriptor tables once; then handlers, counters and gates before each test. */
void traps_init(void);
void traps_reset(void);

/* No timer, no open input, and nothing in service or pending at the local APIC. */
void devices_settle(void);

#endif
