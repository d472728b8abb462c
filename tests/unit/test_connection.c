/* SPDX-License-Identifier: Apache-2.0 */
/* Who may begin a connection: net/connection.c's rule for lwIP's listener. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <lwip/ip.h>
#include <lwip/priv/tcp_priv.h>

#include "net/connection.h"

#define PCB_COUNT (CONNECTION_HALF_OPEN_MAX + 1)

static struct tcp_pcb pcbs[PCB_COUNT];
static unsigned refused_count;

static ip_addr_t address(uint8_t last)
{
	return (ip_addr_t)IPADDR4_INIT_BYTES(10, 0, 0, last);
}

/* The partner is 10.0.0.2. */
static bool is_partner(const ip_addr_t *asked)
{
	ip_addr_t partner = address(2);

	return ip_addr_cmp(asked, &partner);
}

static void refuse(const ip_addr_t *asked)
{
	ip_addr_t stranger = address(99);

	assert_true(ip_addr_cmp(asked, &stranger));
	refused_count++;
}

/* `count` connections from others than the partner are half open. */
static void crowd(unsigned count)
{
	memset(pcbs, 0, sizeof(pcbs));
	tcp_active_pcbs = NULL;
	for (unsigned i = 0; i < count; i++) {
		pcbs[i].state = SYN_RCVD;
		pcbs[i].remote_ip = address((uint8_t)(10 + i));
		pcbs[i].next = tcp_active_pcbs;
		tcp_active_pcbs = &pcbs[i];
	}
	refused_count = 0;
}

static int ask(uint8_t last, enum tcp_state state)
{
	struct tcp_pcb pcb = {.state = state};

	ip_data.current_iphdr_src = address(last);
	return connection_admit(&pcb);
}

static void test_strangers_leave_room(void **state)
{
	(void)state;
	connection_screen(is_partner, refuse);
	crowd(CONNECTION_HALF_OPEN_MAX - 1);
	assert_int_equal(ask(99, LISTEN), 0);
	crowd(CONNECTION_HALF_OPEN_MAX);
	assert_int_not_equal(ask(99, LISTEN), 0);
	assert_int_equal(refused_count, 1);
	/* The partner, and connections that have begun. */
	assert_int_equal(ask(2, LISTEN), 0);
	assert_int_equal(ask(99, SYN_RCVD), 0);
	assert_int_equal(ask(99, ESTABLISHED), 0);
	assert_int_equal(refused_count, 1);
	tcp_active_pcbs = NULL;
}

/* Only those count that are half open, and strangers'. */
static void test_who_counts(void **state)
{
	(void)state;
	connection_screen(is_partner, refuse);
	crowd(PCB_COUNT);
	pcbs[0].state = ESTABLISHED;
	pcbs[1].remote_ip = address(2);
	assert_int_equal(ask(99, LISTEN), 0);
	tcp_active_pcbs = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strangers_leave_room),
		cmocka_unit_test(test_who_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
