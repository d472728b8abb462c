/* SPDX-License-Identifier: Apache-2.0 */
/* Where lwIP asks us: it includes this file for its hooks (lwipopts.h). */
#ifndef NET_PORT_LWIP_HOOKS_H
#define NET_PORT_LWIP_HOOKS_H

#include "net/connection.h"
#include "net/route.h"

#define LWIP_HOOK_IP6_ROUTE(source, destination) route_find_ip6(destination)
#define LWIP_HOOK_ND6_GET_GW(netif, destination) route_gateway_ip6(netif)
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, header, size, size1, options, p) connection_admit(pcb)

#endif
