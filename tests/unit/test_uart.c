/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A, above all what drivers probe (PC16550D data sheet). */
#include "tests/unit/platform_fixture.h"

#define DATA 0x3f8
#define IER 0x3f9
#define IIR 0x3fa
#define FCR 0x3fa
#define LCR 0x3fb
#define MCR 0x3fc
#define LSR 0x3fd
#define MSR_PORT 0x3fe
#define SCR 0x3ff

#define VECTOR 0x44
#define OUT2 0x08
#define LOOP 0x10

static void type(struct machine *m, const char *text)
{
	assert_int_equal(byte_queue_write(&m->input, text, strlen(text)), strlen(text));
	platform_step(m->platform);
}

static void listen(struct machine *m)
{
	ioapic_route_pin(m, MACHINE_IRQ_UART, VECTOR);
	out(m, MCR, OUT2);
}

static bool interrupted(struct machine *m)
{
	int vector = take(m);

	if (vector < 0) {
		return false;
	}
	assert_int_equal(vector, VECTOR);
	end_of_interrupt(m);
	return true;
}

static void test_output(void **state)
{
	struct machine *m = *state;

	for (const char *c = "hello"; *c; c++) {
		assert_int_equal(in(m, LSR), 0x60);
		out(m, DATA, (uint8_t)*c);
	}
	assert_int_equal(m->output_size, 5);
	assert_memory_equal(m->output, "hello", 5);
}

static void test_registers(void **state)
{
	struct machine *m = *state;

	assert_int_equal(in(m, IER), 0);
	assert_int_equal(in(m, IIR), 0x01);
	assert_int_equal(in(m, LCR), 0);
	assert_int_equal(in(m, MSR_PORT), 0xb0);
	out(m, SCR, 0x5a);
	assert_int_equal(in(m, SCR), 0x5a);
	out(m, IER, 0xff);
	assert_int_equal(in(m, IER), 0x0f);
	out(m, IER, 0);
	out(m, LCR, 0x83);
	assert_int_equal(in(m, LCR), 0x83);
	out(m, DATA, 0x34);
	out(m, IER, 0x12);
	assert_int_equal(in(m, DATA), 0x34);
	assert_int_equal(in(m, IER), 0x12);
	assert_int_equal(m->output_size, 0);
	out(m, LCR, 0x03);
	assert_int_equal(in(m, IER), 0);
	out(m, MCR, 0xff);
	assert_int_equal(in(m, MCR), 0x1f);
	out(m, LSR, 0xff);
	out(m, MSR_PORT, 0xff);
	assert_int_equal(in(m, LSR), 0x60);
}

/* Linux, 8250_port.c: autoconfig, autoconfig_16550a, the THRE and TXEN tests. */
static void test_what_linux_probes(void **state)
{
	struct machine *m = *state;

	out(m, IER, 0);
	assert_int_equal(in(m, IER) & 0x0f, 0);
	out(m, IER, 0x0f);
	assert_int_equal(in(m, IER) & 0x0f, 0x0f);
	out(m, IER, 0);
	out(m, MCR, LOOP | 0x0a);
	assert_int_equal(in(m, MSR_PORT) & 0xf0, 0x90);
	out(m, MCR, 0);
	out(m, LCR, 0xbf);
	out(m, FCR, 0);
	out(m, LCR, 0);
	out(m, FCR, 0x01);
	assert_int_equal(in(m, IIR) >> 6, 3);
	out(m, FCR, 0x21); /* a 16750 would show bit 5 */
	assert_int_equal(in(m, IIR) >> 5, 6);
	out(m, IER, 0x40); /* an XScale would keep bit 6 */
	assert_int_equal(in(m, IER), 0);

	out(m, IER, 0x02);
	assert_int_equal(in(m, IIR) & 0x0f, 0x02);
	out(m, IER, 0x00);
	out(m, IER, 0x02);
	assert_int_equal(in(m, IIR) & 0x0f, 0x02);
	assert_int_equal(in(m, IIR) & 0x0f, 0x01);
	assert_int_equal(in(m, LSR) & 0x40, 0x40);
}

static void test_transmitter_interrupt(void **state)
{
	struct machine *m = *state;

	listen(m);
	out(m, IER, 0x02);
	assert_true(interrupted(m));
	assert_int_equal(in(m, IIR), 0x02);
	assert_false(interrupted(m));
	out(m, DATA, 'x');
	assert_true(interrupted(m));
	assert_int_equal(in(m, IIR), 0x02);
	assert_int_equal(in(m, IIR), 0x01);
}

static void test_out2_connects_the_interrupt(void **state)
{
	struct machine *m = *state;

	listen(m);
	out(m, MCR, 0);
	out(m, IER, 0x02);
	assert_false(interrupted(m));
	out(m, MCR, OUT2);
	assert_true(interrupted(m));
}

static void test_input_without_fifo(void **state)
{
	struct machine *m = *state;

	listen(m);
	out(m, IER, 0x01);
	type(m, "ab");
	assert_true(interrupted(m));
	assert_int_equal(in(m, IIR), 0x04);
	assert_int_equal(in(m, LSR), 0x61);
	assert_int_equal(in(m, DATA), 'a');
	assert_int_equal(in(m, LSR), 0x61);
	assert_int_equal(in(m, DATA), 'b');
	assert_int_equal(in(m, LSR), 0x60);
	assert_int_equal(in(m, IIR), 0x01);
}

static void test_input_through_the_fifo(void **state)
{
	struct machine *m = *state;
	char text[101], byte;

	for (size_t i = 0; i < 100; i++) {
		text[i] = (char)('0' + i % 64);
	}
	text[100] = '\0';
	listen(m);
	out(m, FCR, 0xc1); /* trigger: 14 */
	out(m, IER, 0x01);
	type(m, text);
	assert_true(interrupted(m));
	for (size_t i = 0; i < 100; i++) {
		/* The queue refills the FIFO; the last 13 bytes are a time-out. */
		assert_int_equal(in(m, IIR), 100 - i >= 14 ? 0xc4 : 0xcc);
		byte = (char)in(m, DATA);
		assert_int_equal(byte, text[i]);
	}
	assert_int_equal(in(m, IIR), 0xc1);
}

static void test_input_waits_for_room(void **state)
{
	struct machine *m = *state;
	char text[sizeof(m->input_bytes) + 100];

	memset(text, 'x', sizeof(text));
	assert_int_equal(byte_queue_write(&m->input, text, sizeof(text)), sizeof(m->input_bytes));
	assert_int_equal(byte_queue_write(&m->input, "y", 1), 0);
	platform_step(m->platform);
	assert_int_equal(byte_queue_write(&m->input, "yz", 2), 1);
	for (size_t i = 0; i < sizeof(m->input_bytes); i++) {
		assert_int_equal(in(m, DATA), 'x');
	}
	assert_int_equal(in(m, DATA), 'y');
	assert_int_equal(in(m, LSR), 0x60);
}

static void test_fifo_control(void **state)
{
	struct machine *m = *state;

	out(m, FCR, 0x01);
	type(m, "abc");
	out(m, FCR, 0x03);
	assert_int_equal(in(m, LSR), 0x60);
	type(m, "def");
	out(m, FCR, 0x00); /* switching clears */
	assert_int_equal(in(m, LSR), 0x60);
	assert_int_equal(in(m, IIR), 0x01);
}

static void test_loopback(void **state)
{
	struct machine *m = *state;

	out(m, MCR, LOOP);
	out(m, MCR, LOOP | 0x02); /* CTS back: its delta stays */
	out(m, MCR, LOOP);
	assert_int_equal(in(m, MSR_PORT), 0x0b); /* the lines fell: deltas */
	assert_int_equal(in(m, MSR_PORT), 0);
	type(m, "k");
	out(m, DATA, 'q');
	assert_int_equal(m->output_size, 0);
	assert_int_equal(in(m, LSR), 0x61);
	out(m, DATA, 'r'); /* no room: overrun */
	assert_int_equal(in(m, LSR), 0x63);
	assert_int_equal(in(m, LSR), 0x61);
	assert_int_equal(in(m, DATA), 'q');
	out(m, MCR, LOOP | 0x04);
	assert_int_equal(in(m, MSR_PORT), 0x40); /* RI rises: not noted */
	out(m, MCR, LOOP);
	assert_int_equal(in(m, MSR_PORT), 0x04); /* and falls */
	out(m, MCR, 0);
	assert_int_equal(in(m, DATA), 'k'); /* what was typed meanwhile */
}

static void test_interrupt_priorities(void **state)
{
	struct machine *m = *state;

	out(m, MCR, LOOP);
	out(m, IER, 0x0f);
	out(m, DATA, 'a');
	out(m, DATA, 'b');
	assert_int_equal(in(m, IIR), 0x06);
	assert_int_equal(in(m, LSR), 0x63);
	assert_int_equal(in(m, IIR), 0x04);
	assert_int_equal(in(m, DATA), 'a');
	assert_int_equal(in(m, IIR), 0x02);
	assert_int_equal(in(m, IIR), 0x00);
	in(m, MSR_PORT);
	assert_int_equal(in(m, IIR), 0x01);
}

/* Each cause alone, with all of them there. */
static void test_interrupt_enables(void **state)
{
	static const uint8_t causes[][2] = {
		{0x01, 0x04}, {0x02, 0x02}, {0x04, 0x06}, {0x08, 0x00}, {0x00, 0x01},
	};
	struct machine *m = *state;

	out(m, MCR, LOOP);
	out(m, DATA, 'a');
	out(m, DATA, 'b');
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
		out(m, IER, causes[i][0]);
		assert_int_equal(in(m, IIR), causes[i][1]);
	}
}

static void test_wide_access_is_split(void **state)
{
	struct machine *m = *state;

	out_wide(m, SCR, 4, 0x11223344); /* only its first byte is a UART's */
	assert_int_equal(in(m, SCR), 0x44);
	assert_int_equal(in_wide(m, MSR_PORT, 2), 0x44b0);
	assert_int_equal(in_wide(m, SCR, 4), 0xffffff44);
}

static void test_saved_with_input(void **state)
{
	struct machine *m = *state;

	listen(m);
	out(m, FCR, 0x41);
	out(m, IER, 0x0f);
	type(m, "abcde");
	assert_int_equal(in(m, DATA), 'a');
	reload(m);
	assert_int_equal(in(m, IIR), 0xc4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(in(m, DATA), 'b' + i);
	}
	assert_int_equal(in(m, LSR), 0x60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_output),
		MACHINE_TEST(test_registers),
		MACHINE_TEST(test_what_linux_probes),
		MACHINE_TEST(test_transmitter_interrupt),
		MACHINE_TEST(test_out2_connects_the_interrupt),
		MACHINE_TEST(test_input_without_fifo),
		MACHINE_TEST(test_input_through_the_fifo),
		MACHINE_TEST(test_input_waits_for_room),
		MACHINE_TEST(test_fifo_control),
		MACHINE_TEST(test_loopback),
		MACHINE_TEST(test_interrupt_priorities),
		MACHINE_TEST(test_interrupt_enables),
		MACHINE_TEST(test_wide_access_is_split),
		MACHINE_TEST(test_saved_with_input),
	};

	return cmocka_run_group_tests_name("uart", tests, NULL, NULL);
}
