/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captured frames on the console. See pcap.h.
 */
#include "net/pcap.h"

#include <errno.h>
#include <stdio.h>

#include <lwip/pbuf.h>
#include <lwip/timeouts.h>

#include "arch/x86_64/arch.h"
#include "base/command.h"
#include "base/ring.h"
#include "net/interface.h"

#define MEMORY_SIZE (256 * KIB)
#define ROW_SIZE 16 /* bytes in a line */
#define SHOW_PERIOD_MS 20

#define NS_PER_US 1000
#define US_PER_S 1000000

struct record {
	uint64_t time_us; /* of the day, UTC */
	uint32_t size;
	bool out;
};

static struct {
	struct interface *interface; /* NULL: no capture goes on */
	unsigned wanted, seen, left_out;
	uint64_t day_us; /* the time of day when the host's clock was 0 */
	struct byte_queue queue; /* records, each followed by its frame */
	uint8_t memory[MEMORY_SIZE];
} pcap;

/* ---- Taking -------------------------------------------------------------------- */

static void capture(void *context, const struct pbuf *frame, bool out)
{
	struct record record = {.time_us = pcap.day_us + time_now_ns() / NS_PER_US,
				.size = frame->tot_len,
				.out = out};

	(void)context;
	if (pcap.seen == pcap.wanted) {
		return;
	}
	pcap.seen++;
	if (byte_queue_room(&pcap.queue) < sizeof(record) + record.size) {
		pcap.left_out++;
		return;
	}
	byte_queue_write(&pcap.queue, &record, sizeof(record));
	for (const struct pbuf *p = frame; p != NULL; p = p->next) {
		byte_queue_write(&pcap.queue, p->payload, p->len);
	}
}

/* ---- Showing ------------------------------------------------------------------- */

static void show_time(const struct record *record)
{
	unsigned s = (unsigned)(record->time_us / US_PER_S % (24 * 60 * 60));

	/* The row that the prompt was in is not the time's, whoever reads the line raw. */
	console_print("\n%c %02u:%02u:%02u.%06u\n", record->out ? 'O' : 'I', s / 3600, s / 60 % 60,
		      s % 60, (unsigned)(record->time_us % US_PER_S));
}

static void show_row(unsigned offset, const uint8_t *bytes, unsigned size)
{
	char text[3 * ROW_SIZE + 1];

	for (unsigned i = 0; i < size; i++) {
		snprintf(text + 3 * i, 4, " %02x", bytes[i]);
	}
	console_print("%06x %s\n", offset, text);
}

static void show_frame(void)
{
	struct record record;
	uint8_t row[ROW_SIZE];

	byte_queue_read(&pcap.queue, &record, sizeof(record));
	show_time(&record);
	for (unsigned offset = 0; offset < record.size; offset += ROW_SIZE) {
		unsigned size = MIN(ROW_SIZE, record.size - offset);

		byte_queue_read(&pcap.queue, row, size);
		show_row(offset, row, size);
	}
}

static void end(void)
{
	console_print("pcap %s: %u frames", pcap.interface->name, pcap.seen);
	if (pcap.left_out > 0) {
		console_print(", %u of them left out: they came faster than this console shows "
			      "them",
			      pcap.left_out);
	}
	console_print("\n");
	pcap.interface->tap = NULL;
	pcap.interface = NULL;
}

/* A frame is shown whole, so that no other line stands in it. */
static void show(void *context)
{
	(void)context;
	while (byte_queue_used(&pcap.queue) > 0 && console_keeps_up()) {
		show_frame();
	}
	if (pcap.seen == pcap.wanted && byte_queue_used(&pcap.queue) == 0) {
		end();
	} else {
		sys_timeout(SHOW_PERIOD_MS, show, NULL);
	}
}

/* ---- The command ----------------------------------------------------------------- */

static void stop(void)
{
	sys_untimeout(show, NULL);
	byte_queue_drain(&pcap.queue);
	end();
}

int pcap_start(struct interface *interface, unsigned count)
{
	if (pcap.interface != NULL && count > 0) {
		console_print("A capture on %s goes on: `pcap %s 0` ends it.\n",
			      pcap.interface->name, pcap.interface->name);
		return -EBUSY;
	}
	if (count == 0) {
		if (pcap.interface != NULL) {
			stop();
		}
		return 0;
	}
	pcap.interface = interface;
	pcap.wanted = count;
	pcap.seen = pcap.left_out = 0;
	pcap.day_us = wall_clock_s() * US_PER_S - time_now_ns() / NS_PER_US;
	byte_queue_init(&pcap.queue, pcap.memory, sizeof(pcap.memory));
	interface->tap = capture;
	sys_timeout(SHOW_PERIOD_MS, show, NULL);
	return 0;
}
