/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which way packets leave that are for no network of ours: by the configured
 * gateways.
 */
#ifndef NET_ROUTE_H
#define NET_ROUTE_H

#include <lwip/ip6_addr.h>

struct netif;

/* The interface of a gateway, when `destination` is for one; NULL: lwIP decides. */
struct netif *route_find_ip6(const ip6_addr_t *destination);

/* NULL: there is no gateway on this interface. */
const ip6_addr_t *route_gateway_ip6(struct netif *netif);

/* After a change of links or addresses: the interface of IPv4's gateway. */
void route_update(void);

#endif
