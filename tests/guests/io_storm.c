/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes every port in every size, but for those that end the guest. */
#include "tests/guests/lib/lib.h"

/* Ports with an end: debug exit, PM1 control, reset lines. reset.c tries them. */
static const struct {
	uint16_t first, last;
} deadly[] = {
	{0xf4, 0xf7}, {0x600, 0x607}, {0xcf9, 0xcf9},
	{0x64, 0x64}, {0x92, 0x92},   {0x505, 0x505}, /* pvpanic */
};

/* The UART's data goes to the console, where the verdict is read. */
#define UART_FIRST 0x3f8
#define UART_LAST 0x3ff

static bool touches(unsigned port, unsigned size, unsigned first, unsigned last)
{
	return port <= last && port + size > first;
}

static bool writable(unsigned port, unsigned size)
{
	for (unsigned i = 0; i < ARRAY_SIZE(deadly); i++) {
		if (touches(port, size, deadly[i].first, deadly[i].last)) {
			return false;
		}
	}
	return !touches(port, size, UART_FIRST, UART_LAST);
}

static void read_all(void)
{
	need(machine_is_strict(), "real devices take that ill");
	for (unsigned port = 0; port <= 0xffff; port++) {
		inb((uint16_t)port);
		inw((uint16_t)port);
		inl((uint16_t)port);
	}
}

static void write_all(void)
{
	static const uint32_t values[] = {0xffffffff, 0, 0xa5a5a5a5};

	need(machine_is_strict(), "real devices take that ill");
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		for (unsigned port = 0; port <= 0xffff; port++) {
			if (writable(port, 1)) {
				outb((uint16_t)port, (uint8_t)values[i]);
			}
			if (writable(port, 2)) {
				outw((uint16_t)port, (uint16_t)values[i]);
			}
			if (writable(port, 4)) {
				outl((uint16_t)port, values[i]);
			}
		}
	}
}

static void strings(void)
{
	static uint32_t words[4];

	need(machine_is_strict(), "real devices take that ill");
	for (unsigned port = 0; port <= 0xffff; port += 4) {
		void *to = words;
		const void *from = words;
		uint64_t count = ARRAY_SIZE(words);

		__asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(port) : "memory");
		if (writable(port, 4)) {
			count = ARRAY_SIZE(words);
			__asm__ volatile("rep outsl"
					 : "+S"(from), "+c"(count)
					 : "d"(port)
					 : "memory");
		}
	}
}

static void uart_garbage(void)
{
	need(machine_is_strict(), "real devices take that ill");
	for (unsigned value = 0; value < 256; value++) {
		for (uint16_t port = UART_FIRST + 1; port <= UART_LAST; port++) {
			outb(port, (uint8_t)(value ^ port * 37));
			inb(port);
		}
	}
	/* Interrupts and loop-back off, FIFO cleared, 8N1 at 115,200. */
	outb(UART_FIRST + 3, 0x83);
	outb(UART_FIRST, 1);
	outb(UART_FIRST + 1, 0);
	outb(UART_FIRST + 3, 0x03);
	outb(UART_FIRST + 1, 0);
	outb(UART_FIRST + 2, 0x07);
	outb(UART_FIRST + 4, 0x03);
}

static void still_alive(void)
{
	apic_enable();
	apic_write(APIC_LVT_LINT0, APIC_LVT_EXTINT);
	on_vector(PIC_VECTOR, count_event);
	pic_open(BIT(0));
	pit_periodic(PIT_HZ / 1000);
	expect(wait_count(&event_count[PIC_VECTOR], 1));
}

const struct test tests[] = {
	{"every port is read", read_all},
	{"every port is written", write_all},
	{"string instructions on every fourth port", strings},
	{"garbage in the UART's registers", uart_garbage},
	{"PIC and PIT still work", still_alive},
	{NULL, NULL},
};
