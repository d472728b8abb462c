/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exits: what a guest did that it cannot do alone, one handler a reason.
 *
 * A handler returns an action and has no other say in what happens to the
 * guest; RIP moves in one place, exit_handle.
 */
#ifndef VMM_EXIT_H
#define VMM_EXIT_H

#include "vmm/vm.h"

enum exit_action {
	EXIT_RESUME, /* enter again, at the same instruction */
	EXIT_ADVANCE, /* enter again, behind it */
	EXIT_INJECT_UD,
	EXIT_INJECT_GP,
	EXIT_YIELD, /* to the CPU's loop: the deadline has come */
	EXIT_ENDED, /* the guest is no more */
};

const char *exit_reason_name(enum exit_reason reason);

/* Deals with one exit; true when the guest may be entered again at once. */
bool exit_handle(struct vm *vm, struct exit *exit);

#endif
