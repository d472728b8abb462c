/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network cards made of plain C, for tests of net/: drivers/nic.h with frames
 * that a test puts in and looks at. Each buffer is an allocation of its own, so
 * that the sanitizer sees a use after it was given back.
 *
 * The MAC address of the n-th card is 52:54:00:12:34:0n, from 1.
 */
#ifndef TESTS_UNIT_FAKE_NIC_H
#define TESTS_UNIT_FAKE_NIC_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/nic.h"
#include "tests/fake_arch/fake_arch.h"

#define FAKE_NIC_FRAME_MAX 256

struct fake_frame {
	uint8_t bytes[NIC_FRAME_MAX];
	size_t size;
	unsigned piece_count;
	uint16_t checksum_start, checksum_offset;
	enum nic_checksum checksum; /* of a received one */
};

struct fake_nic {
	struct nic nic;
	struct pci_device device;
	bool started;
	unsigned mtu;
	int start_error;
	int send_error; /* what send returns when not 0 */
	unsigned room; /* frames until send says -EAGAIN; poll makes room for all */
	bool keep_sent; /* poll completes nothing */

	/* Sent by the host, until fake_nic_forget. */
	struct fake_frame sent[FAKE_NIC_FRAME_MAX];
	unsigned sent_count;
	struct {
		void (*done)(void *token);
		void *token;
	} in_flight[FAKE_NIC_FRAME_MAX];
	unsigned in_flight_count;

	/* To be received at the next polls. */
	struct fake_frame *incoming[FAKE_NIC_FRAME_MAX];
	unsigned incoming_count;
	unsigned piece_size; /* of the buffers that a frame comes in */
};

static struct fake_nic *fake_nics[NIC_COUNT_MAX];
static unsigned fake_nic_count;

/* ---- Buffers ------------------------------------------------------------------ */

static unsigned fake_buffer_count; /* given out */
static unsigned fake_buffer_max;

struct fake_buffer {
	struct nic_buffer buffer;
	uint8_t *block;
};

struct nic_buffer *nic_buffer_alloc(void)
{
	struct fake_buffer *fake_buffer;

	if (fake_buffer_count == fake_buffer_max) {
		return NULL;
	}
	fake_buffer = calloc(1, sizeof(*fake_buffer));
	fake_buffer->block = malloc(NIC_BUFFER_SIZE);
	fake_buffer->buffer.data = fake_buffer->block;
	fake_buffer_count++;
	return &fake_buffer->buffer;
}

void nic_buffer_free(struct nic_buffer *buffer)
{
	struct fake_buffer *fake_buffer = CONTAINER_OF(buffer, struct fake_buffer, buffer);

	free(fake_buffer->block);
	free(fake_buffer);
	fake_buffer_count--;
}

void nic_buffers_free(struct nic_buffer *first)
{
	while (first != NULL) {
		struct nic_buffer *next = first->next;

		nic_buffer_free(first);
		first = next;
	}
}

unsigned nic_buffer_free_count(void)
{
	return fake_buffer_max - fake_buffer_count;
}

unsigned nic_count(void)
{
	return fake_nic_count;
}

struct nic *nic_at(unsigned index)
{
	return index < fake_nic_count ? &fake_nics[index]->nic : NULL;
}

/* ---- The card ------------------------------------------------------------------- */

static struct fake_nic *fake_nic_of(struct nic *nic)
{
	return CONTAINER_OF(nic, struct fake_nic, nic);
}

static void fake_nic_complete(struct fake_nic *card)
{
	for (unsigned i = 0; i < card->in_flight_count; i++) {
		if (card->in_flight[i].done != NULL) {
			card->in_flight[i].done(card->in_flight[i].token);
		}
	}
	card->in_flight_count = 0;
}

static int fake_nic_start(struct nic *nic, unsigned mtu)
{
	struct fake_nic *card = fake_nic_of(nic);

	if (card->start_error == 0) {
		card->started = true;
		card->mtu = mtu;
	}
	return card->start_error;
}

static void fake_nic_stop(struct nic *nic)
{
	struct fake_nic *card = fake_nic_of(nic);

	card->started = false;
	fake_nic_complete(card);
}

static int fake_nic_send(struct nic *nic, const struct nic_frame *frame)
{
	struct fake_nic *card = fake_nic_of(nic);
	struct fake_frame *sent = &card->sent[card->sent_count];

	if (card->send_error != 0 || card->room == 0) {
		return card->send_error != 0 ? card->send_error : -EAGAIN;
	}
	if (card->sent_count == FAKE_NIC_FRAME_MAX || frame->piece_count > NIC_PIECE_MAX) {
		fake_fail("too many frames, or pieces");
	}
	card->room--;
	sent->size = 0;
	sent->piece_count = frame->piece_count;
	sent->checksum_start = frame->checksum_start;
	sent->checksum_offset = frame->checksum_offset;
	for (unsigned i = 0; i < frame->piece_count; i++) {
		if (frame->pieces[i].size == 0 ||
		    sent->size + frame->pieces[i].size > sizeof(sent->bytes)) {
			fake_fail("a frame's piece %u has %u bytes", i, frame->pieces[i].size);
		}
		memcpy(sent->bytes + sent->size, frame->pieces[i].data, frame->pieces[i].size);
		sent->size += frame->pieces[i].size;
	}
	card->sent_count++;
	card->in_flight[card->in_flight_count].done = frame->done;
	card->in_flight[card->in_flight_count++].token = frame->token;
	nic->stats.tx_frames++;
	nic->stats.tx_bytes += sent->size;
	return 0;
}

static struct nic_buffer *fake_nic_buffers(const struct fake_nic *card,
					   const struct fake_frame *frame)
{
	struct nic_buffer *first = NULL, **last = &first;

	for (size_t at = 0; at < frame->size; at += (*last)->size, last = &(*last)->next) {
		*last = nic_buffer_alloc();
		if (*last == NULL) {
			nic_buffers_free(first);
			return NULL;
		}
		(*last)->size = (uint16_t)MIN(card->piece_size, frame->size - at);
		memcpy((*last)->data, frame->bytes + at, (*last)->size);
	}
	first->checksum = (uint8_t)frame->checksum;
	return first;
}

static unsigned fake_nic_poll(struct nic *nic, unsigned budget)
{
	struct fake_nic *card = fake_nic_of(nic);
	unsigned count = MIN(budget, card->incoming_count);

	nic->pending = false;
	nic->stats.polls++;
	if (!card->keep_sent) {
		fake_nic_complete(card);
		card->room = FAKE_NIC_FRAME_MAX;
	}
	for (unsigned i = 0; i < count; i++) {
		struct nic_buffer *buffers = fake_nic_buffers(card, card->incoming[i]);

		nic->stats.rx_frames++;
		nic->stats.rx_bytes += card->incoming[i]->size;
		free(card->incoming[i]);
		if (buffers != NULL) {
			nic->receive(nic->context, buffers);
		} else {
			nic->stats.rx_dropped++;
		}
	}
	card->incoming_count -= count;
	memmove(card->incoming, card->incoming + count,
		card->incoming_count * sizeof(card->incoming[0]));
	return count;
}

static const struct nic_ops fake_nic_ops = {
	.start = fake_nic_start,
	.stop = fake_nic_stop,
	.send = fake_nic_send,
	.poll = fake_nic_poll,
};

/* ---- For tests -------------------------------------------------------------------- */

/* All cards are gone; `buffers` are there for new ones. */
static inline void fake_nics_reset(unsigned buffers)
{
	while (fake_nic_count > 0) {
		struct fake_nic *card = fake_nics[--fake_nic_count];

		fake_nic_complete(card);
		while (card->incoming_count > 0) {
			free(card->incoming[--card->incoming_count]);
		}
		free(card);
	}
	fake_buffer_max = buffers;
}

/* A card with a cable in it. */
static inline struct fake_nic *fake_nic_new(uint64_t features)
{
	struct fake_nic *card = calloc(1, sizeof(*card));

	fake_nics[fake_nic_count++] = card;
	card->device.interrupt = PCI_MSIX;
	card->nic = (struct nic){.ops = &fake_nic_ops,
				 .device = &card->device,
				 .model = "Fake 1000",
				 .mtu_max = NIC_MTU_MAX,
				 .features = features,
				 .link = {.up = true, .full_duplex = true, .mbit = 1000}};
	memcpy(card->nic.mac, "\x52\x54\x00\x12\x34", 5);
	card->nic.mac[5] = (uint8_t)fake_nic_count;
	card->room = FAKE_NIC_FRAME_MAX;
	card->piece_size = NIC_BUFFER_SIZE;
	return card;
}

static inline void fake_nic_forget(struct fake_nic *card)
{
	card->sent_count = 0;
}

/* A frame arrives, and the card interrupts. */
static inline void fake_nic_put(struct fake_nic *card, const void *bytes, size_t size,
				enum nic_checksum checksum)
{
	struct fake_frame *frame = malloc(sizeof(*frame));

	if (card->incoming_count == FAKE_NIC_FRAME_MAX || size > sizeof(frame->bytes)) {
		fake_fail("too many frames, or one of %zu bytes", size);
	}
	memcpy(frame->bytes, bytes, size);
	frame->size = size;
	frame->checksum = checksum;
	card->incoming[card->incoming_count++] = frame;
	card->nic.pending = true;
}

#endif
