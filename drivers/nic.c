/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of network cards, and the pool of receive buffers that they share.
 * See nic.h.
 */
#include "drivers/nic.h"

#include "base/check.h"
#include "base/log.h"
#include "base/page.h"

/* What the rings of a card hold, and what receivers of all cards may keep. */
#define BUFFERS_PER_CARD 512
#define BUFFERS_KEPT 1024

static const struct nic_driver *const drivers[] = {&e1000_driver, &virtio_net_driver};

static struct nic *nics[NIC_COUNT_MAX];
static unsigned card_count;

static struct {
	struct nic_buffer *buffers;
	uint8_t *blocks; /* the n-th is that of buffers[n] */
	unsigned count, free_count;
	struct nic_buffer *free; /* linked by next; the last one given back is the first */
} pool;

/* ---- Buffers ------------------------------------------------------------------ */

static uint8_t *block_of(const struct nic_buffer *buffer)
{
	return pool.blocks + (size_t)(buffer - pool.buffers) * NIC_BUFFER_SIZE;
}

/* A buffer without data is in the pool. */
struct nic_buffer *nic_buffer_alloc(void)
{
	struct nic_buffer *buffer = pool.free;

	if (buffer) {
		pool.free = buffer->next;
		pool.free_count--;
		buffer->next = NULL;
		buffer->data = block_of(buffer);
		buffer->size = 0;
		buffer->checksum = NIC_CHECKSUM_UNKNOWN;
	}
	return buffer;
}

void nic_buffer_free(struct nic_buffer *buffer)
{
	CHECK(buffer >= pool.buffers && buffer < pool.buffers + pool.count && buffer->data);
	buffer->data = NULL;
	buffer->next = pool.free;
	pool.free = buffer;
	pool.free_count++;
}

void nic_buffers_free(struct nic_buffer *first)
{
	while (first) {
		struct nic_buffer *next = first->next;

		nic_buffer_free(first);
		first = next;
	}
}

unsigned nic_buffer_free_count(void)
{
	return pool.free_count;
}

static void pool_init(unsigned buffer_count)
{
	pool.buffers = page_new(buffer_count * sizeof(*pool.buffers));
	pool.blocks = page_new(buffer_count * (size_t)NIC_BUFFER_SIZE);
	pool.count = 0;
	pool.free_count = 0;
	pool.free = NULL;
	if (!pool.buffers || !pool.blocks) {
		log_error("no memory for %u network buffers: the network stays down", buffer_count);
		return;
	}
	pool.count = buffer_count;
	while (buffer_count > 0) {
		struct nic_buffer *buffer = &pool.buffers[--buffer_count];

		buffer->data = block_of(buffer);
		nic_buffer_free(buffer);
	}
}

/* ---- Cards ------------------------------------------------------------------------ */

static void nic_add(struct nic *nic)
{
	const uint8_t *mac = nic->mac;
	char name[PCI_NAME_SIZE];

	nics[card_count++] = nic;
	log_info("NIC %s: %s, %02x:%02x:%02x:%02x:%02x:%02x", pci_name(nic->device, name),
		 nic->model, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void device_probe(struct pci_device *device)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers) && card_count < NIC_COUNT_MAX; i++) {
		struct nic *nic = drivers[i]->probe(device);

		if (nic) {
			nic_add(nic);
			return;
		}
	}
}

void nic_init(void)
{
	card_count = 0;
	for (unsigned i = 0; i < pci_device_count(); i++) {
		device_probe(pci_device_at(i));
	}
	if (card_count > 0) {
		pool_init(BUFFERS_KEPT + card_count * BUFFERS_PER_CARD);
	}
}

unsigned nic_count(void)
{
	return card_count;
}

struct nic *nic_at(unsigned index)
{
	return index < card_count ? nics[index] : NULL;
}
