/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixed addresses of the machine type dyad-1. A guest that moves between
 * releases finds everything where it was: a change here is a new machine type.
 *
 * Ports that nobody claims read as ones and swallow writes: also 0x80 and 0xed,
 * which guests write to for their delay.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include "base/types.h"

/* ---- Interrupts: ISA numbers; on the IOAPIC IRQ 0 is wired to pin 2 ------ */

#define MACHINE_IRQ_PIT 0
#define MACHINE_IRQ_UART 4
#define MACHINE_IRQ_RTC 8
#define MACHINE_IRQ_SCI 9
#define MACHINE_PIN_PIT 2

/* ---- Ports ---------------------------------------------------------------- */

#define MACHINE_PORT_PIC_MASTER 0x20
#define MACHINE_PORT_PIT 0x40
#define MACHINE_PORT_I8042_DATA 0x60
#define MACHINE_PORT_SYSTEM_B 0x61
#define MACHINE_PORT_I8042_COMMAND 0x64
#define MACHINE_PORT_RTC 0x70
#define MACHINE_PORT_SYSTEM_A 0x92
#define MACHINE_PORT_PIC_SLAVE 0xa0
#define MACHINE_PORT_DEBUG_EXIT 0xf4
#define MACHINE_PORT_UART 0x3f8
#define MACHINE_PORT_ELCR 0x4d0
#define MACHINE_PORT_PM1_EVENT 0x600
#define MACHINE_PORT_PM1_CONTROL 0x604
#define MACHINE_PORT_PM_TIMER 0x608
#define MACHINE_PORT_PCI_ADDRESS 0xcf8
#define MACHINE_PORT_RESET 0xcf9
#define MACHINE_PORT_PCI_DATA 0xcfc

#define MACHINE_RESET_VALUE 0x06 /* to MACHINE_PORT_RESET */
#define MACHINE_SLEEP_TYPE_S5 5 /* SLP_TYP of power-off */
#define MACHINE_CMOS_CENTURY 0x32

/* ---- Memory ---------------------------------------------------------------- */

/* RSDP first, where firmware scans for it too; the other tables follow. */
#define MACHINE_ACPI_BASE UINT64_C(0xe0000)
#define MACHINE_ACPI_SIZE UINT64_C(0x2000)
#define MACHINE_PCI_WINDOW_BASE UINT64_C(0xc0000000)
#define MACHINE_PCI_WINDOW_END UINT64_C(0xfebfffff) /* inclusive */
#define MACHINE_IOAPIC_BASE UINT64_C(0xfec00000)
#define MACHINE_LAPIC_BASE UINT64_C(0xfee00000)

#define MACHINE_IOAPIC_ID 0

/* ---- Clocks ---------------------------------------------------------------- */

#define MACHINE_PIT_HZ 1193182
#define MACHINE_PM_TIMER_HZ 3579545
/* The LAPIC timer counts nanoseconds, before its divider. */
#define MACHINE_LAPIC_HZ 1000000000

#endif
