/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers and descriptors of Intel's gigabit cards, as far as they are used:
 * PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual
 * (317453), chapters 3 and 13, where no other source is named; 82574 datasheet,
 * chapter 10; I210 datasheet, chapter 8, and with it I350 and 82576; I219
 * datasheet.
 */
#ifndef DRIVERS_E1000_REGISTERS_H
#define DRIVERS_E1000_REGISTERS_H

#include "base/bits.h"

/* ---- Registers ---------------------------------------------------------------- */

#define REG_CTRL 0x0000
#define CTRL_MASTER_DISABLE BIT(2) /* PCI Express ones (82574, 10.2.2.1) */
#define CTRL_ASDE BIT(5)
#define CTRL_SLU BIT(6)
#define CTRL_RST BIT(26)
#define REG_STATUS 0x0008
#define STATUS_FD BIT(0)
#define STATUS_LU BIT(1)
#define STATUS_SPEED BITS(7, 6)
#define REG_EERD 0x0014 /* laid out like this in the PCI and PCI-X ones */
#define EERD_START BIT(0)
#define EERD_DONE BIT(4)
#define EERD_ADDRESS BITS(15, 8)
#define EERD_DATA BITS(31, 16)
#define REG_ICR 0x00c0 /* read clears, while all are masked */
#define REG_IMS 0x00d0
#define REG_IMC 0x00d8
#define INTERRUPT_TXDW BIT(0)
#define INTERRUPT_LSC BIT(2)
#define INTERRUPT_RXDMT0 BIT(4)
#define INTERRUPT_RXO BIT(6)
#define INTERRUPT_RXT0 BIT(7)
#define INTERRUPT_QUEUES (BIT(20) | BIT(22) | BIT(24)) /* RxQ0, TxQ0, other (82574, 10.2.4.1) */
#define INTERRUPT_ALL UINT32_MAX
#define REG_IVAR 0x00e4 /* 82574, 10.2.4.7 */
#define IVAR_ALL_TO_0 (BIT(3) | BIT(11) | BIT(19)) /* vector 0 is valid for the three */
#define REG_RCTL 0x0100
#define RCTL_EN BIT(1)
#define RCTL_MPE BIT(4)
#define RCTL_LPE BIT(5)
#define RCTL_BAM BIT(15)
#define RCTL_BSIZE_2048 0
#define RCTL_SECRC BIT(26)
#define REG_TCTL 0x0400
#define TCTL_EN BIT(1)
#define TCTL_PSP BIT(3)
#define TCTL_CT BITS(11, 4)
#define TCTL_COLD BITS(21, 12)
#define REG_TIPG 0x0410
#define TIPG_COPPER                                               \
	(field_set(BITS(9, 0), 10) | field_set(BITS(19, 10), 8) | \
	 field_set(BITS(29, 20), 6)) /* 13.4.34 */
#define REG_RDBAL 0x2800
#define REG_RDBAH 0x2804
#define REG_RDLEN 0x2808
#define REG_SRRCTL 0x280c /* I210, 8.10.2 */
#define SRRCTL_BSIZEPACKET BITS(6, 0) /* KiB; descriptor type 0 is the legacy one */
#define REG_RDH 0x2810
#define REG_RDT 0x2818
#define REG_RXDCTL 0x2828
#define REG_TDBAL 0x3800
#define REG_TDBAH 0x3804
#define REG_TDLEN 0x3808
#define REG_TDH 0x3810
#define REG_TDT 0x3818
#define REG_TXDCTL 0x3828
#define TXDCTL_COUNT BIT(22) /* must be set (82574, 10.2.6.7) */
#define DCTL_ENABLE BIT(25) /* I210, 8.10.9 and 8.12.14 */
#define REG_CRCERRS 0x4000 /* the counters: read clears */
#define REG_ALGNERRC 0x4004
#define REG_RXERRC 0x400c
#define REG_MPC 0x4010
#define REG_ECOL 0x4018
#define REG_LATECOL 0x4020
#define REG_RLEC 0x4040
#define REG_RXCSUM 0x5000
#define RXCSUM_IPOFL BIT(8)
#define RXCSUM_TUOFL BIT(9)
#define REG_RLPML 0x5004 /* I210, 8.10.13 */
#define REG_RAL 0x5400
#define REG_RAH 0x5404
#define RAH_AV BIT(31)
#define REG_FEXTNVM11 0x5bbc /* I219 */
#define FEXTNVM11_NO_MULR_FIX BIT(13)

/* In the PCI Express capability (PCI Express base 4.0, 7.5.3.7). */
#define LINK_CONTROL 0x10
#define LINK_CONTROL_ASPM BITS(1, 0)

/* ---- Descriptors (3.2.3, 3.3.3, 3.3.6, 3.3.7) --------------------------------------- */

struct descriptor {
	uint64_t address; /* a context has its offsets there */
	uint64_t info;
};

_Static_assert(sizeof(struct descriptor) == 16, "as the manual draws it");

#define RX_LENGTH BITS(15, 0)
#define RX_DD BIT(32)
#define RX_EOP BIT(33)
#define RX_IXSM BIT(34)
#define RX_TCPCS BIT(37)
#define RX_TCPE BIT(45)
#define RX_DAMAGED (BITS(42, 40) | BIT(44) | BIT(47)) /* CE, SE, SEQ, CXE, RXE */

/* Legacy; the data descriptor differs in its type and options. */
#define TX_LENGTH BITS(15, 0)
#define TX_CSO BITS(23, 16)
#define TX_EOP BIT(24)
#define TX_IFCS BIT(25)
#define TX_IC BIT(26)
#define TX_RS BIT(27)
#define TX_DD BIT(32)
#define TX_CSS BITS(47, 40)
#define TX_DATA BIT(20) /* with TX_DEXT; without it: a context */
#define TX_DEXT BIT(29)
#define TX_TXSM BIT(41)
#define CONTEXT_TCP BIT(24)
#define CONTEXT_TUCSS BITS(39, 32)
#define CONTEXT_TUCSO BITS(47, 40)
#define TCP_CHECKSUM_OFFSET 16

#endif
