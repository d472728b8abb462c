/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A card that does anything to the rings and registers of the e1000 driver,
 * between calls of send and poll. The first byte chooses the model; each record
 * behind it is one act. At the end all buffers are in the pool again, and each
 * frame that was taken has had its done() once.
 */
#include "tests/unit/e1000_model.h"

#define SENDS_MAX 4096
#define KEPT_MAX 64
#define BUDGET 32
#define MEMORY_SIZE 12288

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct record {
	uint8_t act, where;
	uint8_t value[8];
};

static uint8_t done_count[SENDS_MAX];
static unsigned send_count;
static struct nic_buffer *kept[KEPT_MAX];
static unsigned kept_count;

static void sent(void *token)
{
	++*(uint8_t *)token;
}

/* Reads all that it is given; keeps some frames for a while. */
static void receive(void *context, struct nic_buffer *frame)
{
	static uint8_t copy[NIC_FRAME_MAX];
	size_t size = 0;

	(void)context;
	for (const struct nic_buffer *buffer = frame; buffer; buffer = buffer->next) {
		CHECK(buffer->size > 0 && buffer->size <= NIC_BUFFER_SIZE &&
		      size + buffer->size <= NIC_FRAME_MAX);
		memcpy(copy + size, buffer->data, buffer->size);
		size += buffer->size;
	}
	CHECK(size >= NIC_HEADER_SIZE);
	if (kept_count < KEPT_MAX) {
		kept[kept_count++] = frame;
	} else {
		nic_buffers_free(frame);
	}
}

static void kept_free(void)
{
	while (kept_count > 0) {
		nic_buffers_free(kept[--kept_count]);
	}
}

static void send_frame(struct nic *nic, uint8_t *memory, const struct record *record)
{
	struct nic_frame frame = {.piece_count = record->where % NIC_PIECE_MAX + 1,
				  .checksum_start = record->value[0],
				  .checksum_offset = record->value[1] & 31,
				  .done = sent};

	if (send_count == SENDS_MAX) {
		return;
	}
	for (unsigned i = 0; i < frame.piece_count; i++) {
		frame.pieces[i].data = memory + i;
		frame.pieces[i].size = record->value[2] * (1 + record->value[3] % 4) + 1;
	}
	frame.token = &done_count[send_count];
	if (nic->ops->send(nic, &frame) == 0) {
		send_count++;
	}
}

/* What the card may have written back, also at a slot that is likely to matter. */
static void write_ring(const struct record *record, uint64_t value)
{
	struct card *card = card_of(nic_at(0));
	unsigned slot = record->where % RING_COUNT;

	if (record->act & 0x10) {
		slot = (card->rx_next + record->where % 8) % RING_COUNT;
	}
	if (record->act & 0x20) {
		card->tx_ring[slot].info = value;
	} else {
		card->rx_ring[slot].info = value;
	}
}

static void write_register(const struct record *record, uint32_t value)
{
	static const uint16_t places[] = {REG_CTRL, REG_STATUS, REG_RDH,    REG_RDT,
					  REG_TDH,  REG_TDT,	REG_RXDCTL, REG_MPC};

	*chip_at(places[record->where % ARRAY_SIZE(places)]) = value;
}

/* A frame as a card receives it, or a part of one; of any size and state. */
static void receive_frame(const struct record *record, uint64_t value, const uint8_t *memory)
{
	size_t size = value & 0xffff;

	if (*chip_at(REG_RDH) >= RING_COUNT || *chip_at(REG_RDT) >= RING_COUNT) {
		return;
	}
	if (record->act & 0x10) {
		(void)chip_receive(memory, size % MEMORY_SIZE, value & BITS(47, 32));
	} else {
		(void)chip_receive_piece(memory, size % (NIC_BUFFER_SIZE + 1),
					 value & BITS(47, 32));
	}
}

static void run(struct nic *nic, uint8_t *memory, const struct record *record)
{
	uint64_t value;

	memcpy(&value, record->value, sizeof(value));
	switch (record->act & 15) {
	case 0:
	case 1:
		write_ring(record, value);
		break;
	case 2:
		write_register(record, (uint32_t)value);
		break;
	case 3:
		receive_frame(record, value, memory);
		break;
	case 4:
		send_frame(nic, memory, record);
		break;
	case 5:
		chip.icr |= (uint32_t)value;
		chip_interrupt(0);
		break;
	case 6:
		fake.now_ns += value % 4000000000;
		break;
	case 7:
		kept_free();
		break;
	case 8:
		if (record->where == 0) {
			nic->ops->stop(nic);
			(void)nic->ops->start(nic, record->value[0] % 2 ? 1500 : nic->mtu_max);
		}
		break;
	case 9:
		chip.hung = record->where & 1;
		break;
	default:
		CHECK(nic->ops->poll(nic, BUDGET) <= BUDGET);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ids[] = {0x100e, 0x10d3, 0x1533, 0x156f};
	struct record record;

	model_reset();
	chip.keeps = true;
	struct nic *nic = size > 0 ? model_probe(ids[data[0] % 4], data[0] >> 2 & 3) : NULL;

	if (!nic) {
		return 0;
	}
	unsigned buffer_count = nic_buffer_free_count();
	uint8_t *memory = page_new(MEMORY_SIZE);

	CHECK(memory);
	send_count = 0;
	memset(done_count, 0, sizeof(done_count));
	nic->receive = receive;
	CHECK(nic->ops->start(nic, nic->mtu_max) == 0);
	nic->ops->poll(nic, BUDGET);
	for (data++, size--; size >= sizeof(record);
	     data += sizeof(record), size -= sizeof(record)) {
		memcpy(&record, data, sizeof(record));
		run(nic, memory, &record);
	}
	nic->ops->stop(nic);
	kept_free();
	CHECK(nic_buffer_free_count() == buffer_count);
	for (unsigned i = 0; i < SENDS_MAX; i++) {
		CHECK(done_count[i] == (i < send_count));
	}
	return 0;
}
