/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NICs as lwIP's netifs. See interface.h.
 *
 * Checksums: with NIC_TX_CHECKSUM lwIP leaves out those of TCP and the card
 * fills them in; all others (UDP, ICMP, IPv4 headers) are of few bytes and
 * reckoned here. A received TCP or UDP checksum that the card calls good is not
 * looked at again.
 */
#include "net/interface.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <lwip/etharp.h>
#include <lwip/ethip6.h>
#include <lwip/inet_chksum.h>
#include <lwip/pbuf.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/prot/ip4.h>
#include <lwip/prot/ip6.h>
#include <lwip/prot/tcp.h>
#include <netif/ethernet.h>

#include "arch/x86_64/arch.h"
#include "base/check.h"
#include "base/log.h"
#include "net/random.h"

/* Acknowledgements, heartbeats and the like: copied when buffers are few. */
#define SMALL_FRAME 512

/* Of the buffers that are free when all cards run, one of so many is reserved. */
#define RESERVED_FRACTION 8

/* A duplicate address is told once in this time. */
#define DUPLICATE_NS UINT64_C(60000000000)

static struct interface interfaces[INTERFACE_COUNT_MAX];
static unsigned count;
static unsigned buffers_reserved;

void interface_init(void)
{
	count = 0;
	buffers_reserved = 0;
}

unsigned interface_count(void)
{
	return count;
}

struct interface *interface_at(unsigned index)
{
	return index < count ? &interfaces[index] : NULL;
}

struct interface *interface_find(const char *name)
{
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(interfaces[i].name, name) == 0) {
			return &interfaces[i];
		}
	}
	return NULL;
}

void interface_reserve_buffers(void)
{
	buffers_reserved = nic_buffer_free_count() / RESERVED_FRACTION;
}

/* ---- Receiving ------------------------------------------------------------------ */

/* What a buffer's owner field is while lwIP has it. */
_Static_assert(sizeof(struct pbuf_custom) <= sizeof(((struct nic_buffer *)0)->owner),
	       "a pbuf must fit into the buffer that it describes");

static void free_wrapped(struct pbuf *p)
{
	nic_buffer_free(CONTAINER_OF(p, struct nic_buffer, owner));
}

static struct pbuf *wrap_buffer(struct nic_buffer *buffer)
{
	struct pbuf_custom *custom = (struct pbuf_custom *)(void *)buffer->owner;

	custom->custom_free_function = free_wrapped;
	return pbuf_alloced_custom(PBUF_RAW, buffer->size, PBUF_REF, custom, buffer->data,
				   buffer->size);
}

/* The frame as a chain of pbufs that are inside its buffers. */
static struct pbuf *wrap(struct nic_buffer *frame)
{
	struct pbuf *first = NULL;

	while (frame != NULL) {
		struct nic_buffer *next = frame->next;
		struct pbuf *p = wrap_buffer(frame);

		if (first == NULL) {
			first = p;
		} else {
			pbuf_cat(first, p);
		}
		frame = next;
	}
	return first;
}

/* The frame in lwIP's own memory, if it is small; NULL: it cannot be kept. */
static struct pbuf *copy(const struct nic_buffer *frame)
{
	struct pbuf *p;

	pbuf_free_ooseq();
	if (frame->next != NULL || frame->size > SMALL_FRAME) {
		return NULL;
	}
	p = pbuf_alloc(PBUF_RAW, frame->size, PBUF_RAM);
	if (p != NULL) {
		memcpy(p->payload, frame->data, frame->size);
	}
	return p;
}

static struct pbuf *take(struct nic_buffer *frame)
{
	struct pbuf *p;

	if (frame->checksum == NIC_CHECKSUM_BAD) {
		p = NULL;
	} else if (nic_buffer_free_count() >= buffers_reserved) {
		return wrap(frame);
	} else {
		p = copy(frame);
	}
	nic_buffers_free(frame);
	return p;
}

/* RFC 5227, 2.4: ARP from another host, with our address as its own. */
static bool shows_duplicate(const struct netif *netif, const struct pbuf *p)
{
	const struct eth_hdr *eth = p->payload;
	struct etharp_hdr arp;

	return p->len >= SIZEOF_ETH_HDR && eth->type == PP_HTONS(ETHTYPE_ARP) &&
	       pbuf_copy_partial(p, &arp, sizeof(arp), SIZEOF_ETH_HDR) == sizeof(arp) &&
	       !ip4_addr_isany(netif_ip4_addr(netif)) &&
	       memcmp(&arp.sipaddr, netif_ip4_addr(netif), sizeof(arp.sipaddr)) == 0 &&
	       memcmp(&arp.shwaddr, netif->hwaddr, sizeof(arp.shwaddr)) != 0;
}

static void tell_duplicate(struct interface *interface)
{
	uint64_t now_ns = time_now_ns();

	if (interface->duplicate_ns == 0 || now_ns - interface->duplicate_ns > DUPLICATE_NS) {
		interface->duplicate_ns = now_ns;
		log_error("%s: another host has the address %s: change one of the two",
			  interface->name,
			  interface_print_address(netif_ip_addr4(&interface->netif)));
	}
}

static void receive(void *context, struct nic_buffer *frame)
{
	struct interface *interface = context;
	struct netif *netif = &interface->netif;
	u16_t flags = netif->chksum_flags;
	bool good = frame->checksum == NIC_CHECKSUM_GOOD;
	struct pbuf *p = take(frame);

	if (p == NULL) {
		interface->input_dropped++;
		return;
	}
	if (interface->tap != NULL) {
		interface->tap(interface->tap_context, p, false);
	}
	if (shows_duplicate(netif, p)) {
		tell_duplicate(interface);
	}
	if (good) {
		netif->chksum_flags &=
			(u16_t) ~(NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP);
	}
	if (netif->input(p, netif) != ERR_OK) {
		pbuf_free(p);
	}
	netif->chksum_flags = flags;
}

/* ---- Sending --------------------------------------------------------------------- */

/* Where the frame's TCP header begins, 0: it has none. All headers are in its first pbuf. */
static uint16_t tcp_header_offset(const struct pbuf *p)
{
	const uint8_t *bytes = p->payload;
	const struct eth_hdr *eth = p->payload;
	const void *ip = bytes + SIZEOF_ETH_HDR;

	if (eth->type == PP_HTONS(ETHTYPE_IP) &&
	    IPH_PROTO((const struct ip_hdr *)ip) == IP_PROTO_TCP) {
		return (uint16_t)(SIZEOF_ETH_HDR + IPH_HL_BYTES((const struct ip_hdr *)ip));
	}
	if (eth->type == PP_HTONS(ETHTYPE_IPV6) &&
	    IP6H_NEXTH((const struct ip6_hdr *)ip) == IP6_NEXTH_TCP) {
		return SIZEOF_ETH_HDR + IP6_HLEN;
	}
	return 0;
}

/* The sum of the pseudo-header, as struct nic_frame wants it in the checksum's place. */
static u16_t pseudo_sum(struct pbuf *p, uint16_t offset)
{
	const void *ip = (const uint8_t *)p->payload + SIZEOF_ETH_HDR;
	u16_t size = (u16_t)(p->tot_len - offset);

	if (IPH_V((const struct ip_hdr *)ip) == 4) {
		ip4_addr_t source, destination;

		ip4_addr_copy(source, ((const struct ip_hdr *)ip)->src);
		ip4_addr_copy(destination, ((const struct ip_hdr *)ip)->dest);
		return (u16_t)~inet_chksum_pseudo_partial(p, IP_PROTO_TCP, size, 0, &source,
							  &destination);
	}
	ip6_addr_t source, destination;

	ip6_addr_copy_from_packed(source, ((const struct ip6_hdr *)ip)->src);
	ip6_addr_copy_from_packed(destination, ((const struct ip6_hdr *)ip)->dest);
	return (u16_t)~ip6_chksum_pseudo_partial(p, IP_PROTO_TCP, size, 0, &source, &destination);
}

static void request_checksum(struct nic_frame *frame, struct pbuf *p, uint16_t offset)
{
	struct tcp_hdr *tcp = (struct tcp_hdr *)(void *)((uint8_t *)p->payload + offset);

	CHECK(p->len >= offset + TCP_HLEN);
	tcp->chksum = pseudo_sum(p, offset);
	frame->checksum_start = offset;
	frame->checksum_offset = offsetof(struct tcp_hdr, chksum);
}

/* False when the card takes no frame of so many pieces. */
static bool gather(struct nic_frame *frame, const struct pbuf *p)
{
	frame->piece_count = 0;
	for (; p != NULL; p = p->next) {
		if (p->len == 0) {
			continue;
		}
		if (frame->piece_count == NIC_PIECE_MAX) {
			return false;
		}
		frame->pieces[frame->piece_count++] =
			(struct nic_piece){.data = p->payload, .size = p->len};
	}
	return true;
}

/* The card has read the frame. */
static void release(void *token)
{
	pbuf_free(token);
}

/* Hands the frame to the card, which then has a reference to it: as nic_ops.send. */
static int send(struct interface *interface, struct pbuf *p, uint16_t tcp_offset)
{
	struct nic *nic = interface->nic;
	struct nic_frame frame;
	int error;

	frame.checksum_start = frame.checksum_offset = 0;
	frame.done = release;
	frame.token = p;
	if (tcp_offset != 0 && (nic->features & NIC_TX_CHECKSUM)) {
		request_checksum(&frame, p, tcp_offset);
	}
	pbuf_ref(p);
	if (!gather(&frame, p)) {
		frame.token = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
		pbuf_free(p);
		if (frame.token == NULL) {
			return -ENOMEM;
		}
		gather(&frame, frame.token);
	}
	error = nic->ops->send(nic, &frame);
	if (error != 0) {
		pbuf_free(frame.token);
	}
	return error;
}

/*
 * TCP keeps what it could not send, and goes on when it hears of room (unblock).
 * The others, a heartbeat above all, wait here for it.
 */
static err_t hold(struct interface *interface, struct pbuf *p, uint16_t tcp_offset)
{
	interface->blocked = true;
	if (tcp_offset != 0) {
		return ERR_MEM;
	}
	if (interface->queue_count == INTERFACE_QUEUE_MAX) {
		interface->output_dropped++;
		return ERR_MEM;
	}
	/* What is below may change as soon as this returns. */
	p = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
	if (p == NULL) {
		interface->output_dropped++;
		return ERR_MEM;
	}
	interface->queue[interface->queue_count++] = p;
	return ERR_OK;
}

static err_t output(struct netif *netif, struct pbuf *p)
{
	struct interface *interface = netif->state;
	uint16_t tcp_offset = tcp_header_offset(p);
	int error = interface->blocked ? -EAGAIN : send(interface, p, tcp_offset);

	if (error == -EAGAIN) {
		return hold(interface, p, tcp_offset);
	}
	if (error != 0) {
		interface->output_dropped++;
		return ERR_IF;
	}
	if (interface->tap != NULL) {
		interface->tap(interface->tap_context, p, true);
	}
	return ERR_OK;
}

/* After a poll: what waited goes first. */
static void unblock(struct interface *interface)
{
	unsigned sent = 0;
	int error = 0;

	for (; sent < interface->queue_count; sent++) {
		struct pbuf *p = interface->queue[sent];

		error = send(interface, p, 0);
		if (error == -EAGAIN) {
			break;
		}
		if (error != 0) {
			interface->output_dropped++;
		} else if (interface->tap != NULL) {
			interface->tap(interface->tap_context, p, true);
		}
		pbuf_free(p);
	}
	interface->queue_count -= sent;
	memmove(interface->queue, interface->queue + sent,
		interface->queue_count * sizeof(interface->queue[0]));
	interface->blocked = error == -EAGAIN;
}

/* ---- The link ------------------------------------------------------------------------ */

static void follow_link(struct interface *interface)
{
	struct nic_link link = interface->nic->link;

	if (link.up == interface->link.up && link.mbit == interface->link.mbit &&
	    link.full_duplex == interface->link.full_duplex) {
		return;
	}
	interface->link = link;
	if (!link.up) {
		log_warn("%s: link down: is the cable in, and the switch on?", interface->name);
		netif_set_link_down(&interface->netif);
		return;
	}
	if (link.mbit != 0) {
		log_info("%s: link up, %u Mbit/s %s duplex", interface->name, link.mbit,
			 link.full_duplex ? "full" : "half");
	} else {
		log_info("%s: link up", interface->name);
	}
	/* Announces the addresses to switches and neighbours, and asks DHCP again. */
	netif_set_link_up(&interface->netif);
}

/* ---- Polling ---------------------------------------------------------------------------- */

bool interface_poll(unsigned budget)
{
	bool more = false, unblocked = false;

	for (unsigned i = 0; i < count; i++) {
		struct interface *interface = &interfaces[i];

		more |= interface->nic->ops->poll(interface->nic, budget) >= budget;
		follow_link(interface);
		if (interface->blocked) {
			unblock(interface);
			unblocked |= !interface->blocked;
		}
	}
	if (unblocked) {
		tcp_txnow();
	}
	return more;
}

bool interface_is_pending(void)
{
	for (unsigned i = 0; i < count; i++) {
		if (interfaces[i].nic->pending || interfaces[i].blocked) {
			return true;
		}
	}
	return false;
}

bool interface_is_blocked(void)
{
	for (unsigned i = 0; i < count; i++) {
		if (interfaces[i].blocked) {
			return true;
		}
	}
	return false;
}

bool interface_is_silent(void)
{
	for (unsigned i = 0; i < count; i++) {
		if (interfaces[i].nic->device->interrupt == PCI_POLLED) {
			return true;
		}
	}
	return false;
}

/* ---- Start -------------------------------------------------------------------------------- */

static err_t init_netif(struct netif *netif)
{
	struct interface *interface = netif->state;
	const struct nic *nic = interface->nic;

	netif->name[0] = 'n';
	netif->name[1] = 't';
	netif->output = etharp_output;
	netif->output_ip6 = ethip6_output;
	netif->linkoutput = output;
	netif->mtu = (u16_t)interface->mtu;
	netif->hwaddr_len = sizeof(nic->mac);
	memcpy(netif->hwaddr, nic->mac, sizeof(nic->mac));
	netif->flags =
		NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_MLD6;
	if (nic->features & NIC_TX_CHECKSUM) {
		netif->chksum_flags &= (u16_t)~NETIF_CHECKSUM_GEN_TCP;
	}
	return ERR_OK;
}

int interface_add(struct nic *nic, const char *name, unsigned mtu)
{
	struct interface *interface = &interfaces[count];
	int error;

	CHECK(count < INTERFACE_COUNT_MAX);
	*interface = (struct interface){.nic = nic, .mtu = mtu};
	strncpy(interface->name, name, sizeof(interface->name) - 1);
	nic->receive = receive;
	nic->context = interface;
	error = nic->ops->start(nic, mtu);
	if (error != 0) {
		return error;
	}
	if (netif_add_noaddr(&interface->netif, interface, init_netif, ethernet_input) == NULL) {
		nic->ops->stop(nic);
		return -ENOMEM;
	}
	count++;
	random_mix(nic->mac, sizeof(nic->mac));
	netif_set_up(&interface->netif);
	netif_create_ip6_linklocal_address(&interface->netif, 1);
	return 0;
}

int interface_reset(struct interface *interface)
{
	struct nic *nic = interface->nic;

	nic->ops->stop(nic);
	while (interface->queue_count > 0) {
		pbuf_free(interface->queue[--interface->queue_count]);
	}
	interface->blocked = false;
	return nic->ops->start(nic, interface->mtu);
}

/* ---- Addresses ------------------------------------------------------------------------------ */

static struct interface *only_interface(void)
{
	return count == 1 ? &interfaces[0] : NULL;
}

int interface_parse_address(const char *text, ip_addr_t *address)
{
	const char *zone = strchr(text, '%');
	size_t size = zone != NULL ? (size_t)(zone - text) : strlen(text);
	char plain[IPADDR_STRLEN_MAX];
	struct interface *interface;

	if (size >= sizeof(plain)) {
		return -EINVAL;
	}
	memcpy(plain, text, size);
	plain[size] = '\0';
	if (!ipaddr_aton(plain, address)) {
		return -EINVAL;
	}
	/* "10.1" is 10.0.0.1 to some, and 10.1.0.0 to others. */
	if (IP_IS_V4(address)) {
		return zone == NULL && strcmp(interface_print_address(address), plain) == 0
			       ? 0
			       : -EINVAL;
	}
	if (!ip6_addr_islinklocal(ip_2_ip6(address))) {
		return zone == NULL ? 0 : -EINVAL;
	}
	interface = zone != NULL ? interface_find(zone + 1) : only_interface();
	if (interface == NULL) {
		return -ENODEV;
	}
	ip6_addr_assign_zone(ip_2_ip6(address), IP6_UNICAST, &interface->netif);
	return 0;
}

static bool has_address(struct netif *netif, const ip_addr_t *address)
{
	return IP_IS_V4(address) ? ip4_addr_cmp(ip_2_ip4(address), netif_ip4_addr(netif))
				 : netif_get_ip6_addr_match(netif, ip_2_ip6(address)) >= 0;
}

bool interface_is_own(const ip_addr_t *address)
{
	bool own = ip_addr_isloopback(address);

	for (unsigned i = 0; i < count && !own; i++) {
		own = has_address(&interfaces[i].netif, address);
	}
	return own;
}

const char *interface_print_address(const ip_addr_t *address)
{
	static char text[IPADDR_STRLEN_MAX];

	ipaddr_ntoa_r(address, text, sizeof(text));
	for (char *c = text; *c != '\0'; c++) {
		*c = (char)tolower((unsigned char)*c);
	}
	return text;
}
