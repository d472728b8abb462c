/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration of the clock whose reading is in arch.h. */
#ifndef ARCH_X86_64_TIME_H
#define ARCH_X86_64_TIME_H

/*
 * Measures the TSC's rate and says in the log by what; after machine_init.
 * Ends the host when no clock runs.
 */
void time_init(void);

/* What the rate was taken from, for `info`. */
const char *time_source(void);

#endif
