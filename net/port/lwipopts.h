/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lwIP's options: those that differ from lwip/opt.h, or that others rely on.
 *
 * Memory: all of lwIP's is static, in its own heap and pools, about 900 KiB. Received
 * frames stay in the cards' buffers (custom pbufs); of what is sent, the heap has headers.
 * When either is short lwIP says ERR_MEM and goes on later.
 */
#ifndef NET_PORT_LWIPOPTS_H
#define NET_PORT_LWIPOPTS_H

/* ---- One loop on one CPU, no threads, no sockets ------------------------- */

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0

/* ---- Memory -------------------------------------------------------------- */

#define MEM_LIBC_MALLOC 0
#define MEMP_MEM_MALLOC 0
#define MEM_ALIGNMENT 8

/*
 * Headers of MEMP_NUM_TCP_SEG segments, and small datagrams: what TCP sends lies in the
 * rings of net/stream.c.
 */
#define MEM_SIZE (640 * 1024)

/* For frames that a driver receives by copying: ours do not. */
#define PBUF_POOL_SIZE 0
#define LWIP_SUPPORT_CUSTOM_PBUF 1

/* Pbufs that only refer to their data. */
#define MEMP_NUM_PBUF 4096

#define MEMP_NUM_RAW_PCB 4
#define MEMP_NUM_UDP_PCB 8
#define MEMP_NUM_TCP_PCB 16
#define MEMP_NUM_TCP_PCB_LISTEN 2
#define MEMP_NUM_TCP_SEG 4096
#define MEMP_NUM_ND6_QUEUE 16

/* Besides lwIP's own: ping, pcap, and what streams may want. */
#define MEMP_NUM_SYS_TIMEOUT (LWIP_NUM_SYS_TIMEOUT_INTERNAL + 8)

/* ---- Interfaces ---------------------------------------------------------- */

#define ETH_PAD_SIZE 0
#define LWIP_NETIF_HOSTNAME 1
#define LWIP_NETIF_EXT_STATUS_CALLBACK 1
#define LWIP_NETIF_LOOPBACK 0
#define LWIP_HAVE_LOOPIF 0
#define LWIP_HOOK_FILENAME "net/port/lwip_hooks.h"

/* Cards that reckon checksums differ from those that do not. */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
/* Of lwIP's ways to sum up, the one that takes eight bytes a turn. */
#define LWIP_CHKSUM_ALGORITHM 3

/* ---- IPv4 ---------------------------------------------------------------- */

#define LWIP_IPV4 1
#define LWIP_ARP 1
#define LWIP_ICMP 1
#define LWIP_DHCP 1
#define LWIP_AUTOIP 0
#define LWIP_IGMP 0
#define LWIP_DNS 0
#define ARP_TABLE_SIZE 16

/* Nothing of ours needs fragments, and a peer could fill memory with them. */
#define IP_FORWARD 0
#define IP_OPTIONS_ALLOWED 0
#define IP_FRAG 0
#define IP_REASSEMBLY 0

/* ---- IPv6 ---------------------------------------------------------------- */

#define LWIP_IPV6 1
#define LWIP_IPV6_MLD 1 /* for solicited-node addresses */
#define LWIP_ICMP6 1
#define LWIP_ND6_QUEUEING 1
#define LWIP_ND6_NUM_NEIGHBORS 16
#define LWIP_ND6_NUM_DESTINATIONS 16
#define LWIP_IPV6_NUM_ADDRESSES 5 /* link-local and four configured */
#define LWIP_IPV6_FORWARD 0
#define LWIP_IPV6_FRAG 0
#define LWIP_IPV6_REASS 0

/* Addresses and the MTU are the operator's, not a router's. */
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_DHCP6 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_ND6_ALLOW_RA_UPDATES 0

/* ---- UDP and raw (ping) --------------------------------------------------- */

#define LWIP_UDP 1
#define LWIP_RAW 1

/* ---- TCP ----------------------------------------------------------------- */

#define LWIP_TCP 1
#define TCP_MSS 8960 /* for an MTU of 9000; less where the interface's is less */

/* 1 Gbit/s at 5 ms round-trip time is 625 kB on the way. */
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 5
#define TCP_WND (1024 * 1024)
#define TCP_SND_BUF (1024 * 1024)
#define TCP_SNDLOWAT TCP_MSS /* only sockets use it, but init.c checks it */
#define TCP_SND_QUEUELEN 2048 /* pbufs: TCP_SND_BUF in segments for an MTU of 1500, twice */

/* What arrived behind a gap: as much as the cards' buffers can spare. */
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_BYTES TCP_WND
#define TCP_OOSEQ_MAX_PBUFS 512
#define LWIP_TCP_SACK_OUT 1

#define LWIP_TCP_TIMESTAMPS 0
#define LWIP_TCP_KEEPALIVE 1
#define TCP_LISTEN_BACKLOG 1

/*
 * Milliseconds; acknowledgements wait for one of these, and a retransmission for
 * at least six.
 */
#define TCP_TMR_INTERVAL 50

/* A peer that sees no segment of ours cannot guess where one would fit. */
#define LWIP_HOOK_TCP_ISN(local_ip, local_port, remote_ip, remote_port) random_number()
#define LWIP_RANDOMIZE_INITIAL_LOCAL_PORTS 1

/* ---- Statistics, for the console ------------------------------------------- */

#define LWIP_STATS 1
#define LWIP_STATS_LARGE 1
#define LWIP_STATS_DISPLAY 0

#endif
