/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's commands about the network.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lwip/dhcp.h>
#include <lwip/memp.h>
#include <lwip/stats.h>

#include "arch/x86_64/arch.h"
#include "net/interface.h"
#include "net/net.h"
#include "net/pcap.h"
#include "net/ping.h"

#define NS_PER_MS UINT64_C(1000000)

/* ---- Helpers ------------------------------------------------------------------- */

static struct interface *find(const char *name)
{
	struct interface *interface = interface_find(name);

	if (interface == NULL) {
		console_print("There is no interface \"%s\"; `net` lists them.\n", name);
	}
	return interface;
}

static const char *interface_name(unsigned index)
{
	const struct interface *interface = interface_at(index);

	return interface != NULL ? interface->name : NULL;
}

/* A number from `min` to `max`; -1 after having said what is allowed. */
static int parse_count(const char *text, unsigned min, unsigned max)
{
	char *end;
	unsigned long count = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || count < min || count > max) {
		console_print("\"%s\" is no number from %u to %u.\n", text, min, max);
		return -1;
	}
	return (int)count;
}

static void print_if_any(const char *name, uint64_t value)
{
	if (value > 0) {
		console_print(", %s %lu", name, value);
	}
}

/* ---- net: the interfaces ----------------------------------------------------------- */

static void print_link(const struct nic_link *link)
{
	if (!link->up) {
		console_print("link down");
	} else if (link->mbit == 0) {
		console_print("link up");
	} else {
		console_print("link up, %u Mbit/s %s duplex", link->mbit,
			      link->full_duplex ? "full" : "half");
	}
}

static void print_card(const struct interface *interface)
{
	const struct nic *nic = interface->nic;
	const uint8_t *mac = nic->mac;
	char interrupt[16];

	console_print("%-8s  ", interface->name);
	print_link(&nic->link);
	console_print(", MTU %u\n", interface->mtu);
	console_print("          %s (%s), %02x:%02x:%02x:%02x:%02x:%02x, %s", nic->model,
		      nic->device->driver != NULL ? nic->device->driver : "no driver", mac[0],
		      mac[1], mac[2], mac[3], mac[4], mac[5],
		      pci_interrupt_name(nic->device, interrupt));
	console_print("%s%s\n", nic->features & NIC_TX_CHECKSUM ? ", sums what is sent" : "",
		      nic->features & NIC_RX_CHECKSUM ? ", checks what is received" : "");
}

static unsigned prefix_length(const ip4_addr_t *mask)
{
	uint32_t bits = lwip_ntohl(ip4_addr_get_u32(mask));
	unsigned length = 0;

	while (length < 32 && (bits & BIT(31 - length))) {
		length++;
	}
	return length;
}

static void print_ip4(const struct interface *interface)
{
	const struct netif *netif = &interface->netif;
	bool dhcp = netif_dhcp_data(netif) != NULL;

	if (!ip4_addr_isany(netif_ip4_addr(netif))) {
		console_print("          %s/%u%s", interface_print_address(netif_ip_addr4(netif)),
			      prefix_length(netif_ip4_netmask(netif)), dhcp ? " by DHCP" : "");
		if (!ip4_addr_isany(netif_ip4_gw(netif))) {
			console_print(", gateway %s", interface_print_address(netif_ip_gw4(netif)));
		}
		if (interface->duplicate_ns != 0) {
			console_print(", another host had it %lu s ago",
				      (time_now_ns() - interface->duplicate_ns) / NS_PER_MS / 1000);
		}
		console_print("\n");
	} else if (dhcp) {
		console_print("          no address yet by DHCP\n");
	}
}

static const char *ip6_state(u8_t state)
{
	if (ip6_addr_isduplicated(state)) {
		return ", not used: another host has it";
	}
	return ip6_addr_istentative(state) ? ", not used yet: is it another host's?" : "";
}

static void print_ip6(const struct interface *interface)
{
	const struct netif *netif = &interface->netif;

	for (unsigned i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		u8_t state = netif_ip6_addr_state(netif, i);

		if (!ip6_addr_isinvalid(state) || ip6_addr_isduplicated(state)) {
			console_print("          %s/64%s\n",
				      interface_print_address(netif_ip_addr6(netif, i)),
				      ip6_state(state));
		}
	}
	if (!ip6_addr_isany(&interface->gateway6)) {
		ip_addr_t gateway;

		ip_addr_copy_from_ip6(gateway, interface->gateway6);
		console_print("          gateway %s\n", interface_print_address(&gateway));
	}
}

/* What `net` last saw of each interface. */
static struct {
	uint64_t time_ns, rx_bytes, tx_bytes;
} seen[INTERFACE_COUNT_MAX];

static uint64_t kbit_per_s(uint64_t bytes, uint64_t ns)
{
	return bytes * 8 * NS_PER_MS / MAX(ns, NS_PER_MS);
}

static void print_rates(unsigned index)
{
	const struct nic_stats *stats = &interface_at(index)->nic->stats;
	uint64_t now_ns = time_now_ns(), ns = now_ns - seen[index].time_ns;

	console_print("          received %lu frames, %lu bytes, %lu kbit/s\n", stats->rx_frames,
		      stats->rx_bytes, kbit_per_s(stats->rx_bytes - seen[index].rx_bytes, ns));
	console_print("          sent     %lu frames, %lu bytes, %lu kbit/s", stats->tx_frames,
		      stats->tx_bytes, kbit_per_s(stats->tx_bytes - seen[index].tx_bytes, ns));
	console_print(", over the last %lu.%lu s\n", ns / NS_PER_MS / 1000,
		      ns / NS_PER_MS / 100 % 10);
	seen[index].time_ns = now_ns;
	seen[index].rx_bytes = stats->rx_bytes;
	seen[index].tx_bytes = stats->tx_bytes;
}

/* ---- net: lwIP ------------------------------------------------------------------------ */

static void print_protocol(const char *name, const struct stats_proto *stats)
{
	console_print("%-8s  sent %u, received %u", name, stats->xmit, stats->recv);
	print_if_any("dropped", stats->drop);
	print_if_any("bad checksum", stats->chkerr);
	print_if_any("bad length", stats->lenerr);
	print_if_any("no memory", stats->memerr);
	print_if_any("no route", stats->rterr);
	print_if_any("bad protocol", stats->proterr);
	print_if_any("bad option", stats->opterr);
	print_if_any("other errors", stats->err);
	console_print("\n");
}

static void print_pool(const char *name, uint64_t used, uint64_t max, uint64_t size, uint64_t err)
{
	console_print("          %-20s %8lu used, %8lu at most, of %8lu", name, used, max, size);
	print_if_any("refused", err);
	console_print("\n");
}

static void print_memory(void)
{
	static const struct {
		memp_t pool;
		const char *name;
	} pools[] = {
		{MEMP_TCP_PCB, "TCP connections"}, {MEMP_TCP_PCB_LISTEN, "TCP listeners"},
		{MEMP_TCP_SEG, "TCP segments"},	   {MEMP_UDP_PCB, "UDP ports"},
		{MEMP_PBUF, "references"},	   {MEMP_SYS_TIMEOUT, "timers"},
	};

	console_print("memory    %u buffers of the cards are free\n", nic_buffer_free_count());
	print_pool("heap, bytes", lwip_stats.mem.used, lwip_stats.mem.max, lwip_stats.mem.avail,
		   lwip_stats.mem.err);
	for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
		const struct stats_mem *stats = lwip_stats.memp[pools[i].pool];

		print_pool(pools[i].name, stats->used, stats->max, stats->avail, stats->err);
	}
}

static int show_all(void)
{
	for (unsigned i = 0; i < interface_count(); i++) {
		struct interface *interface = interface_at(i);

		print_card(interface);
		print_ip4(interface);
		print_ip6(interface);
		print_rates(i);
	}
	if (interface_count() == 0) {
		console_print("There is no network card that Dyad has a driver for.\n");
		return 0;
	}
	print_protocol("ARP", &lwip_stats.etharp);
	print_protocol("IPv4", &lwip_stats.ip);
	print_protocol("IPv6", &lwip_stats.ip6);
	print_protocol("ICMP", &lwip_stats.icmp);
	print_protocol("ICMPv6", &lwip_stats.icmp6);
	print_protocol("UDP", &lwip_stats.udp);
	print_protocol("TCP", &lwip_stats.tcp);
	print_memory();
	return 0;
}

/* ---- net stats, net reset ---------------------------------------------------------------- */

static int show_stats(struct interface *interface)
{
	const struct nic_stats *stats = &interface->nic->stats;
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"received frames", stats->rx_frames},
		{"received bytes", stats->rx_bytes},
		{"received with errors", stats->rx_errors},
		{"dropped by the card, no buffer", stats->rx_dropped},
		{"dropped after the card", interface->input_dropped},
		{"sent frames", stats->tx_frames},
		{"sent bytes", stats->tx_bytes},
		{"sent with errors", stats->tx_errors},
		{"not sent, no room or no link", interface->output_dropped},
		{"waiting for room", interface->queue_count},
		{"interrupts", stats->interrupts},
		{"polls", stats->polls},
		{"resets", stats->resets},
	};

	console_print("%s:\n", interface->name);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		console_print("  %-32s %16lu\n", rows[i].name, rows[i].value);
	}
	return 0;
}

static int reset(struct interface *interface)
{
	int error = interface_reset(interface);

	if (error != 0) {
		console_print("%s does not start again (error %d): it stays without a network.\n",
			      interface->name, -error);
		return error;
	}
	console_print("%s was reset.\n", interface->name);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct interface *interface);
} actions[] = {{"stats", show_stats}, {"reset", reset}};

static int run_net(int argc, char **argv)
{
	struct interface *interface;

	if (argc == 1) {
		return show_all();
	}
	for (size_t i = 0; i < ARRAY_SIZE(actions) && argc == 3; i++) {
		if (strcmp(argv[1], actions[i].name) == 0) {
			interface = find(argv[2]);
			return interface != NULL ? actions[i].run(interface) : -ENOENT;
		}
	}
	console_print("allowed: net, net stats IFACE, net reset IFACE\n");
	return -EINVAL;
}

static const char *complete_net(int argument, unsigned index)
{
	if (argument == 1) {
		return index < ARRAY_SIZE(actions) ? actions[index].name : NULL;
	}
	return argument == 2 ? interface_name(index) : NULL;
}

/* ---- ping, pcap ------------------------------------------------------------------------------ */

static int run_ping(int argc, char **argv)
{
	int count = PING_COUNT_DEFAULT;

	if (argc == 1) {
		ping_stop();
		return 0;
	}
	if (argc == 3) {
		count = parse_count(argv[2], 1, PING_COUNT_MAX);
	}
	return count < 0 ? -EINVAL : ping_start(argv[1], (unsigned)count);
}

static int run_pcap(int argc, char **argv)
{
	struct interface *interface = find(argv[1]);
	int count;

	(void)argc;
	if (interface == NULL) {
		return -ENOENT;
	}
	count = parse_count(argv[2], 0, PCAP_COUNT_MAX);
	return count < 0 ? -EINVAL : pcap_start(interface, (unsigned)count);
}

static const char *complete_interface(int argument, unsigned index)
{
	return argument == 1 ? interface_name(index) : NULL;
}

const struct command net_commands[] = {
	{"net", "[stats|reset IFACE]", "Shows the network: cards, addresses, counters.", 0, 2,
	 run_net, complete_net},
	{"ping", "[ADDR [COUNT]]", "Asks a host for answers; alone it ends that.", 0, 2, run_ping,
	 NULL},
	{"pcap", "IFACE N", "Shows the next N frames as a hex dump; 0 ends that.", 2, 2, run_pcap,
	 complete_interface},
};

const size_t net_command_count = ARRAY_SIZE(net_commands);
