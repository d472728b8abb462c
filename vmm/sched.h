/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of each CPU: run a guest that is ready, else wait. The service CPU
 * also steps the services, before each turn.
 */
#ifndef VMM_SCHED_H
#define VMM_SCHED_H

#include "base/types.h"

/*
 * One bounded amount of work that never blocks. Returns the host time at which
 * it wants the CPU again, TIME_NEVER for after the next interrupt or kick.
 */
typedef uint64_t service_fn(uint64_t now_ns);

/* The services of CPU 0; a NULL ends the list. Before any CPU is in its loop. */
void sched_init(service_fn *const *services);

/* This CPU's life from now on. */
_Noreturn void sched_loop(void);

#endif
