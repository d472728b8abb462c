/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateways: the first interface that has one and a link. See route.h.
 */
#include "net/route.h"

#include "net/interface.h"

static bool has_link(const struct interface *interface)
{
	return netif_is_up(&interface->netif) && netif_is_link_up(&interface->netif);
}

/* In the network (/64) of one of the interface's addresses. */
static bool is_on_link(const struct netif *netif, const ip6_addr_t *destination)
{
	for (unsigned i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		if (ip6_addr_isvalid(netif_ip6_addr_state(netif, i)) &&
		    ip6_addr_netcmp(destination, netif_ip6_addr(netif, i))) {
			return true;
		}
	}
	return false;
}

struct netif *route_find_ip6(const ip6_addr_t *destination)
{
	struct netif *found = NULL;

	for (unsigned i = 0; i < interface_count(); i++) {
		struct interface *interface = interface_at(i);

		if (is_on_link(&interface->netif, destination)) {
			return NULL;
		}
		if (found == NULL && has_link(interface) && !ip6_addr_isany(&interface->gateway6)) {
			found = &interface->netif;
		}
	}
	return found;
}

const ip6_addr_t *route_gateway_ip6(struct netif *netif)
{
	const struct interface *interface = netif->state;

	return ip6_addr_isany(&interface->gateway6) ? NULL : &interface->gateway6;
}

void route_update(void)
{
	struct netif *found = NULL;

	for (unsigned i = 0; i < interface_count() && found == NULL; i++) {
		struct interface *interface = interface_at(i);

		if (has_link(interface) && !ip4_addr_isany(netif_ip4_gw(&interface->netif))) {
			found = &interface->netif;
		}
	}
	netif_set_default(found);
}
