/* SPDX-License-Identifier: Apache-2.0 */
/* Low memory as modes.S uses it; for C and assembly. */
#ifndef TESTS_GUESTS_LIB_MODES_H
#define TESTS_GUESTS_LIB_MODES_H

#define LOW_STACK 0x6000 /* grows down */
#define LOW_DATA 0x6000 /* for the routine to use */
#define LOW_CODE 0x7000 /* the routine */
#define LOW_SWITCH 0x7c00 /* the last step to real mode and back */

#endif
