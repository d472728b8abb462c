/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network's start from the configuration, and its service. See net.h.
 */
#include "net/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lwip/dhcp.h>
#include <lwip/init.h>
#include <lwip/sys.h>
#include <lwip/timeouts.h>

#include "arch/x86_64/arch.h"
#include "base/log.h"
#include "net/interface.h"
#include "net/route.h"

#define FRAMES_PER_STEP 64

#define NS_PER_MS UINT64_C(1000000)

/* How long cards are not looked at: without an interrupt, without room, else (the link). */
#define POLL_SILENT_NS (1 * NS_PER_MS)
#define POLL_BLOCKED_NS (NS_PER_MS / 5)
#define POLL_NS (1000 * NS_PER_MS)

#define MTU_DEFAULT 1500

/* lwIP knows no other length of an IPv6 network. */
#define IPV6_PREFIX 64

static uint64_t next_poll_ns;

/* lwIP's clock. */
u32_t sys_now(void)
{
	return (u32_t)(time_now_ns() / NS_PER_MS);
}

/* ---- The service -------------------------------------------------------------- */

static uint64_t poll_period_ns(void)
{
	if (interface_is_blocked()) {
		return POLL_BLOCKED_NS;
	}
	return interface_is_silent() ? POLL_SILENT_NS : POLL_NS;
}

static uint64_t deadline_ns(uint64_t now_ns, uint32_t timer_ms)
{
	return MIN(next_poll_ns, now_ns + timer_ms * NS_PER_MS);
}

uint64_t net_step(uint64_t now_ns)
{
	uint32_t timer_ms;

	if (interface_count() == 0) {
		return TIME_NEVER;
	}
	/* Most turns of the service CPU. */
	timer_ms = sys_timeouts_sleeptime();
	if (timer_ms > 0 && now_ns < next_poll_ns && !interface_is_pending()) {
		return deadline_ns(now_ns, timer_ms);
	}
	/* Cards before timers: what arrived in time is not late. */
	bool more = interface_poll(FRAMES_PER_STEP);

	sys_check_timeouts();
	next_poll_ns = more ? now_ns : now_ns + poll_period_ns();
	return deadline_ns(now_ns, sys_timeouts_sleeptime());
}

/* ---- What changes later ---------------------------------------------------------- */

static void tell_dhcp(const struct interface *interface, const ip_addr_t *old)
{
	const struct netif *netif = &interface->netif;

	if (ip4_addr_isany(netif_ip4_addr(netif))) {
		log_warn("%s: address %s is no longer ours: DHCP's lease has ended, or was refused",
			 interface->name, interface_print_address(old));
	} else {
		log_info("%s: address %s by DHCP", interface->name,
			 interface_print_address(netif_ip_addr4(netif)));
	}
}

static void changed(struct netif *netif, netif_nsc_reason_t reason,
		    const netif_ext_callback_args_t *args)
{
	const struct interface *interface = netif->state;

	if ((reason & LWIP_NSC_IPV4_ADDRESS_CHANGED) && netif_dhcp_data(netif) != NULL) {
		tell_dhcp(interface, args->ipv4_changed.old_address);
	}
	if (reason & LWIP_NSC_IPV6_ADDR_STATE_CHANGED) {
		unsigned index = (unsigned)args->ipv6_addr_state_changed.addr_index;

		if (ip6_addr_isduplicated(netif_ip6_addr_state(netif, index))) {
			log_error("%s: another host has the address %s: change one of the two",
				  interface->name,
				  interface_print_address(netif_ip_addr6(netif, index)));
		}
	}
	route_update();
}

/* ---- Addresses of the configuration ------------------------------------------------ */

/* Reads "ADDRESS/PREFIX"; false when it is not that. */
static bool read_network(const char *text, ip_addr_t *address, unsigned long *prefix)
{
	const char *slash = strchr(text, '/');
	char plain[CONFIG_ADDRESS_MAX], *end;

	if (slash == NULL || slash[1] < '0' || slash[1] > '9') {
		return false;
	}
	*prefix = strtoul(slash + 1, &end, 10);
	if (*end != '\0') {
		return false;
	}
	snprintf(plain, sizeof(plain), "%.*s", (int)(slash - text), text);
	return interface_parse_address(plain, address) == 0;
}

static const char *set_ip4(struct netif *netif, const ip4_addr_t *address, unsigned long prefix)
{
	ip4_addr_t mask;
	uint32_t host;

	if (!ip4_addr_isany(netif_ip4_addr(netif)) || netif_dhcp_data(netif) != NULL) {
		return "is a second IPv4 address";
	}
	if (prefix < 1 || prefix > 32) {
		return "has no prefix of 1 to 32 bits";
	}
	ip4_addr_set_u32(&mask, lwip_htonl((u32_t)BITS(31, 32 - prefix)));
	host = address->addr & ~mask.addr;
	if (ip4_addr_ismulticast(address) || ip4_addr_isloopback(address) ||
	    ip4_addr_isany(address) || (prefix < 31 && (host == 0 || host == ~mask.addr))) {
		return "is not the address of a host";
	}
	netif_set_addr(netif, address, &mask, IP4_ADDR_ANY4);
	return NULL;
}

static const char *set_ip6(struct netif *netif, const ip6_addr_t *address, unsigned long prefix)
{
	if (prefix != IPV6_PREFIX) {
		return "has another prefix than 64 bits";
	}
	if (ip6_addr_ismulticast(address) || ip6_addr_isloopback(address) ||
	    ip6_addr_isany(address) || ip6_addr_islinklocal(address)) {
		return "is not the address of a host";
	}
	/* What is there already is said twice; there is room for all others. */
	return netif_add_ip6_address(netif, address, NULL) == ERR_OK ? NULL : "has no room";
}

static const char *set_dhcp(struct netif *netif)
{
	if (!ip4_addr_isany(netif_ip4_addr(netif)) || netif_dhcp_data(netif) != NULL) {
		return "is a second IPv4 address";
	}
	return dhcp_start(netif) == ERR_OK ? NULL : "cannot be started for want of memory";
}

/* Returns what is wrong with the address, or NULL. */
static const char *set_address(struct netif *netif, const char *text)
{
	ip_addr_t address;
	unsigned long prefix;

	if (strcmp(text, "dhcp") == 0) {
		return set_dhcp(netif);
	}
	if (!read_network(text, &address, &prefix)) {
		return "is no address with a prefix length";
	}
	return IP_IS_V4(&address) ? set_ip4(netif, ip_2_ip4(&address), prefix)
				  : set_ip6(netif, ip_2_ip6(&address), prefix);
}

static const char *set_gateway(struct interface *interface, const char *text)
{
	struct netif *netif = &interface->netif;
	ip_addr_t gateway;

	if (interface_parse_address(text, &gateway) == -EINVAL) {
		return "is no address";
	}
	if (IP_IS_V6(&gateway)) {
		if (!ip6_addr_isany(&interface->gateway6)) {
			return "is a second IPv6 gateway";
		}
		ip6_addr_copy(interface->gateway6, *ip_2_ip6(&gateway));
		ip6_addr_assign_zone(&interface->gateway6, IP6_UNICAST, netif);
		return NULL;
	}
	if (netif_dhcp_data(netif) != NULL) {
		return "is DHCP's to say";
	}
	if (!ip4_addr_isany(netif_ip4_gw(netif))) {
		return "is a second IPv4 gateway";
	}
	if (ip4_addr_isany(netif_ip4_addr(netif)) ||
	    !ip4_addr_netcmp(ip_2_ip4(&gateway), netif_ip4_addr(netif), netif_ip4_netmask(netif))) {
		return "is in no network of this interface";
	}
	netif_set_gw(netif, ip_2_ip4(&gateway));
	return NULL;
}

static void configure(struct interface *interface, const struct config_interface *section)
{
	const char *wrong;

	for (unsigned i = 0; i < section->address_count; i++) {
		wrong = set_address(&interface->netif, section->addresses[i]);
		if (wrong != NULL) {
			log_error("dyad.conf:%u: address = \"%s\" in [interface %s] %s; allowed: "
				  "one IPv4 address as 10.0.0.1/24, or dhcp, and IPv6 addresses "
				  "as fd00::1/64",
				  section->line, section->addresses[i], section->name, wrong);
		}
	}
	for (unsigned i = 0; i < section->gateway_count; i++) {
		wrong = set_gateway(interface, section->gateways[i]);
		if (wrong != NULL) {
			log_error("dyad.conf:%u: gateway = \"%s\" in [interface %s] %s; allowed: "
				  "one IPv4 address of the interface's network, and one IPv6 "
				  "address",
				  section->line, section->gateways[i], section->name, wrong);
		}
	}
}

/* ---- Cards and sections --------------------------------------------------------------- */

static struct interface *bring_up(struct nic *nic, const char *name, unsigned mtu)
{
	int error = interface_add(nic, name, mtu);

	if (error != 0) {
		log_error("%s: %s does not start (error %d): the interface is missing", name,
			  nic->model, -error);
		return NULL;
	}
	log_info("%s: %s, MTU %u", name, nic->model, mtu);
	return interface_at(interface_count() - 1);
}

static void start_section(struct nic *nic, const struct config_interface *section,
			  const char *host_name)
{
	unsigned mtu = section->valid ? section->mtu : MTU_DEFAULT;
	struct interface *interface;

	if (mtu > nic->mtu_max) {
		log_error("dyad.conf:%u: mtu = %u in [interface %s] is more than %s can do; "
			  "allowed: 576 to %u",
			  section->line, mtu, section->name, nic->model, nic->mtu_max);
		mtu = nic->mtu_max;
	}
	interface = bring_up(nic, section->name, mtu);
	if (interface == NULL) {
		return;
	}
	netif_set_hostname(&interface->netif, host_name);
	if (section->valid) {
		configure(interface, section);
	}
}

/* Under the first name of its kind that no section has. */
static void start_other(struct nic *nic, unsigned *number)
{
	char name[CONFIG_NAME_MAX];

	do {
		snprintf(name, sizeof(name), "eth%u", (*number)++);
	} while (interface_find(name) != NULL);
	(void)bring_up(nic, name, MTU_DEFAULT);
}

/* The first card that no section has taken: with this MAC address, or any. */
static struct nic *take_nic(bool *taken, const uint8_t *mac)
{
	for (unsigned i = 0; i < nic_count(); i++) {
		struct nic *nic = nic_at(i);

		if (!taken[i] && (mac == NULL || memcmp(nic->mac, mac, sizeof(nic->mac)) == 0)) {
			taken[i] = true;
			return nic;
		}
	}
	return NULL;
}

static void tell_no_nic(const struct config_interface *section)
{
	const uint8_t *mac = section->mac;

	if (section->has_mac) {
		log_error("dyad.conf:%u: [interface %s] has no network card: none has the address "
			  "%02x:%02x:%02x:%02x:%02x:%02x",
			  section->line, section->name, mac[0], mac[1], mac[2], mac[3], mac[4],
			  mac[5]);
	} else {
		log_error("dyad.conf:%u: [interface %s] has no network card: Dyad has a driver "
			  "for %u here",
			  section->line, section->name, nic_count());
	}
}

static void start_interfaces(const struct config *config)
{
	struct nic *nics[CONFIG_INTERFACE_MAX] = {NULL};
	bool taken[NIC_COUNT_MAX] = {false};
	unsigned number = 0;

	/* Those that name their card choose before those that take what is left. */
	for (unsigned i = 0; i < config->interface_count; i++) {
		if (config->interfaces[i].has_mac) {
			nics[i] = take_nic(taken, config->interfaces[i].mac);
		}
	}
	for (unsigned i = 0; i < config->interface_count; i++) {
		const struct config_interface *section = &config->interfaces[i];

		if (!section->has_mac) {
			nics[i] = take_nic(taken, NULL);
		}
		if (nics[i] == NULL) {
			tell_no_nic(section);
		} else {
			start_section(nics[i], section, config->host_name);
		}
	}
	for (struct nic *nic; (nic = take_nic(taken, NULL)) != NULL;) {
		start_other(nic, &number);
	}
}

void net_init(const struct config *config)
{
	static bool initialised;
	static netif_ext_callback_t callback;

	if (!initialised) {
		lwip_init();
		netif_add_ext_callback(&callback, changed);
		initialised = true;
	}
	interface_init();
	start_interfaces(config);
	interface_reserve_buffers();
	next_poll_ns = 0;
}
