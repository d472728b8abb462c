/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's pings. See ping.h. Formats: RFC 792, RFC 4443 section 4.
 */
#include "net/ping.h"

#include <errno.h>
#include <string.h>

#include <lwip/icmp.h>
#include <lwip/icmp6.h>
#include <lwip/inet_chksum.h>
#include <lwip/prot/icmp.h>
#include <lwip/raw.h>
#include <lwip/timeouts.h>

#include "arch/x86_64/arch.h"
#include "base/command.h"
#include "net/interface.h"
#include "net/random.h"

#define PERIOD_MS 1000
#define LAST_ANSWER_MS 2000
#define DATA_SIZE 32 /* bytes behind the header */
#define SENT_KEPT 4 /* requests that may still be answered */

#define NS_PER_US 1000

struct request {
	uint64_t sent_ns;
	bool answered;
};

static struct {
	struct raw_pcb *pcb; /* NULL: no series goes on */
	char text[CONFIG_ADDRESS_MAX];
	ip_addr_t address;
	uint16_t id;
	unsigned count, sent, received;
	struct request requests[SENT_KEPT]; /* by sequence number */
	uint64_t min_us, max_us, sum_us;
} ping;

static bool is_ip6(void)
{
	return IP_IS_V6_VAL(ping.address);
}

static struct request *request_at(unsigned sequence)
{
	return &ping.requests[sequence % SENT_KEPT];
}

/* ---- The end ------------------------------------------------------------------ */

static void tick(void *context);

static void print_summary(void)
{
	unsigned lost = ping.sent - ping.received;
	uint64_t mean_us = ping.sum_us / MAX(ping.received, 1);

	console_print("%s: %u sent, %u received, %u%% lost", ping.text, ping.sent, ping.received,
		      100 * lost / MAX(ping.sent, 1));
	if (ping.received > 0) {
		console_print(", rtt min/avg/max %lu.%03lu/%lu.%03lu/%lu.%03lu ms",
			      ping.min_us / 1000, ping.min_us % 1000, mean_us / 1000,
			      mean_us % 1000, ping.max_us / 1000, ping.max_us % 1000);
	}
	console_print("\n");
}

static void end(void)
{
	sys_untimeout(tick, NULL);
	raw_remove(ping.pcb);
	ping.pcb = NULL;
}

void ping_stop(void)
{
	if (ping.pcb != NULL) {
		end();
		print_summary();
	}
}

/* ---- Answers --------------------------------------------------------------------- */

/* The sequence number of an answer to a request of ours, or -1. */
static int answer_sequence(const struct pbuf *p)
{
	struct icmp_echo_hdr echo;
	uint8_t answer_type = is_ip6() ? ICMP6_TYPE_EREP : ICMP_ER;
	unsigned sequence;

	if (pbuf_copy_partial(p, &echo, sizeof(echo), ip_current_header_tot_len()) !=
		    sizeof(echo) ||
	    echo.type != answer_type || echo.code != 0 || echo.id != ping.id) {
		return -1;
	}
	sequence = lwip_ntohs(echo.seqno);
	if (sequence >= ping.sent || ping.sent - sequence > SENT_KEPT) {
		return -1;
	}
	return (int)sequence;
}

/* `p` begins with the ICMP header. */
static bool checksum_is_good(struct pbuf *p)
{
	return (is_ip6() ? ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->tot_len, ip6_current_src_addr(),
					     ip6_current_dest_addr())
			 : inet_chksum_pbuf(p)) == 0;
}

static void count_answer(unsigned sequence)
{
	struct request *request = request_at(sequence);
	uint64_t us = (time_now_ns() - request->sent_ns) / NS_PER_US;

	if (request->answered) {
		console_print("%s: answer %u came twice\n", ping.text, sequence + 1);
		return;
	}
	request->answered = true;
	ping.min_us = ping.received == 0 ? us : MIN(ping.min_us, us);
	ping.max_us = MAX(ping.max_us, us);
	ping.sum_us += us;
	ping.received++;
	console_print("%s: answer %u, %lu.%03lu ms\n", ping.text, sequence + 1, us / 1000,
		      us % 1000);
	if (ping.received == ping.count) {
		/* Not here: lwIP still holds what it called. */
		sys_untimeout(tick, NULL);
		sys_timeout(0, tick, NULL);
	}
}

/* lwIP's raw_recv_fn: 1 when the packet was ours, and is gone. */
static u8_t receive(void *context, struct raw_pcb *pcb, struct pbuf *p, const ip_addr_t *source)
{
	int sequence;

	(void)context;
	(void)pcb;
	sequence = ip_addr_cmp_zoneless(source, &ping.address) ? answer_sequence(p) : -1;
	if (sequence < 0) {
		return 0;
	}
	pbuf_remove_header(p, ip_current_header_tot_len());
	if (checksum_is_good(p)) {
		count_answer((unsigned)sequence);
	} else {
		console_print("%s: answer %d is damaged\n", ping.text, sequence + 1);
	}
	pbuf_free(p);
	return 1;
}

/* ---- Requests ---------------------------------------------------------------------- */

static struct pbuf *new_request(void)
{
	struct icmp_echo_hdr echo = {.type = is_ip6() ? ICMP6_TYPE_EREQ : ICMP_ECHO,
				     .id = ping.id,
				     .seqno = lwip_htons((u16_t)ping.sent)};
	struct pbuf *p = pbuf_alloc(PBUF_IP, sizeof(echo) + DATA_SIZE, PBUF_RAM);

	if (p == NULL) {
		return NULL;
	}
	memset(p->payload, 0, p->len);
	memcpy(p->payload, &echo, sizeof(echo));
	/* ICMPv6's covers addresses, and is lwIP's to reckon. */
	if (!is_ip6()) {
		echo.chksum = inet_chksum_pbuf(p);
		memcpy(p->payload, &echo, sizeof(echo));
	}
	return p;
}

static err_t send(void)
{
	struct pbuf *p = new_request();
	err_t error = ERR_MEM;

	*request_at(ping.sent) = (struct request){.sent_ns = time_now_ns()};
	ping.sent++;
	if (p != NULL) {
		error = raw_sendto(ping.pcb, p, &ping.address);
		pbuf_free(p);
	}
	return error;
}

static void tick(void *context)
{
	(void)context;
	if (!request_at(ping.sent - 1)->answered) {
		console_print("%s: no answer %u yet\n", ping.text, ping.sent);
	}
	if (ping.sent == ping.count) {
		ping_stop();
		return;
	}
	if (send() != ERR_OK) {
		console_print("%s: request %u could not be sent\n", ping.text, ping.sent);
	}
	sys_timeout(ping.sent == ping.count ? LAST_ANSWER_MS : PERIOD_MS, tick, NULL);
}

/* ---- The start ------------------------------------------------------------------------ */

static int parse(const char *text)
{
	int error = strlen(text) < sizeof(ping.text) ? interface_parse_address(text, &ping.address)
						     : -EINVAL;

	if (error == -EINVAL) {
		console_print("\"%s\" is no address; allowed: IPv4 as 10.0.0.2, IPv6 as fd00::2 "
			      "or fe80::2%%net0.\n",
			      text);
	} else if (error != 0) {
		console_print("\"%s\" names no interface; `net` lists them: say "
			      "fe80::2%%INTERFACE.\n",
			      text);
	} else if (interface_is_own(&ping.address)) {
		console_print("%s is this host's own address.\n", text);
		error = -EINVAL;
	}
	return error;
}

int ping_start(const char *address, unsigned count)
{
	int error;
	err_t sent;

	ping_stop();
	memset(&ping, 0, sizeof(ping));
	error = parse(address);
	if (error != 0) {
		return error;
	}
	strcpy(ping.text, address);
	ping.count = count;
	ping.id = (uint16_t)random_number();
	ping.pcb = raw_new_ip_type(IP_GET_TYPE(&ping.address),
				   is_ip6() ? IP6_NEXTH_ICMP6 : IP_PROTO_ICMP);
	if (ping.pcb == NULL) {
		console_print("No memory for a ping: `net` shows what is used.\n");
		return -ENOMEM;
	}
	ping.pcb->chksum_reqd = is_ip6();
	ping.pcb->chksum_offset = offsetof(struct icmp_echo_hdr, chksum);
	raw_recv(ping.pcb, receive, NULL);
	sent = send();
	if (sent != ERR_OK) {
		end();
		console_print("There is no way to %s: %s.\n", address,
			      sent == ERR_RTE ? "no interface with a link has its network, and "
						"none has a gateway"
					      : "the card takes nothing, or memory is short");
		return -EHOSTUNREACH;
	}
	sys_timeout(count == 1 ? LAST_ANSWER_MS : PERIOD_MS, tick, NULL);
	return 0;
}
