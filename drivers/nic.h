/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network cards: four calls (start, stop, send, poll) and what a card says of
 * itself. Nothing above this header knows a model.
 *
 * Rules: all on the service CPU, none of it waits. A card's interrupt only
 * sets `pending` and masks itself; poll does the work and lets it come again
 * when there is none left, so that a loaded card is polled. What a card writes
 * (descriptors, used rings, lengths) is foreign: it is checked before it is used.
 */
#ifndef DRIVERS_NIC_H
#define DRIVERS_NIC_H

#include "base/bits.h"
#include "drivers/pci.h"

#define NIC_COUNT_MAX 8
#define NIC_MTU_MIN 576
#define NIC_MTU_MAX 9000
#define NIC_HEADER_SIZE 14 /* Ethernet: destination, source, type */
#define NIC_FRAME_MAX (NIC_HEADER_SIZE + 4 + NIC_MTU_MAX) /* with a VLAN tag, no FCS */
#define NIC_PIECE_MAX 16

/* ---- Receive buffers --------------------------------------------------- */

/*
 * One pool for all cards. A frame is a chain of buffers; whoever has it gives
 * each of them back with nic_buffer_free.
 */
#define NIC_BUFFER_SIZE 2048

/* What the card found out about the L4 checksum (of TCP or UDP), in the first buffer. */
enum nic_checksum { NIC_CHECKSUM_UNKNOWN, NIC_CHECKSUM_GOOD, NIC_CHECKSUM_BAD };

struct nic_buffer {
	struct nic_buffer *next; /* the rest of the frame */
	/*
	 * The first byte received: within a block of NIC_BUFFER_SIZE bytes that is
	 * aligned to that. nic_buffer_alloc gives the block's start; a driver may
	 * have moved it on behind a header of its own, and nic_buffer_free moves it
	 * back.
	 */
	uint8_t *data;
	uint16_t size; /* bytes of them that were received */
	uint8_t checksum; /* enum nic_checksum */
	uint64_t owner[6]; /* whoever has the buffer: for the header of its own kind */
};

/* NULL when the pool is empty. The buffer's next is NULL. */
struct nic_buffer *nic_buffer_alloc(void) MUST_CHECK;
void nic_buffer_free(struct nic_buffer *buffer);
/* The whole chain. */
void nic_buffers_free(struct nic_buffer *first);
unsigned nic_buffer_free_count(void);

/* ---- Frames to send ----------------------------------------------------- */

struct nic_piece {
	const void *data;
	uint32_t size; /* bytes, not 0 */
};

struct nic_frame {
	struct nic_piece pieces[NIC_PIECE_MAX];
	unsigned piece_count;
	/*
	 * With NIC_TX_CHECKSUM, and when checksum_offset is not 0: the Internet
	 * checksum of all bytes from checksum_start on goes to checksum_start +
	 * checksum_offset, where its pseudo-header's sum is already (virtio 1.1,
	 * 5.1.6.2; 8254x manual 3.3.3). Both count from the frame's first byte.
	 */
	uint16_t checksum_start, checksum_offset;
	/* Called by poll or stop when the card has read all pieces; NULL: nobody waits. */
	void (*done)(void *token);
	void *token;
};

/* ---- Cards --------------------------------------------------------------- */

#define NIC_TX_CHECKSUM BIT(0) /* fills in L4 checksums as struct nic_frame says */
#define NIC_RX_CHECKSUM BIT(1) /* tells nic_buffer.checksum of most frames */

struct nic_link {
	bool up;
	bool full_duplex;
	unsigned mbit; /* 0: not known */
};

struct nic_stats {
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
	uint64_t rx_errors; /* damaged on the wire, or descriptors that make no sense */
	uint64_t rx_dropped; /* for want of buffers */
	uint64_t tx_errors;
	uint64_t interrupts, polls, resets;
};

struct nic;

struct nic_ops {
	/* Resets the card and lets it go. -EIO: it does not answer; -ENOMEM; -EINVAL: the MTU. */
	int (*start)(struct nic *nic, unsigned mtu);
	/* The card is silent on return: no interrupt, no DMA; all frames are done. */
	void (*stop)(struct nic *nic);
	/*
	 * 0: the card has it; -EAGAIN: no room until a later poll; -ENETDOWN: not
	 * started, or no link; -EFAULT: not memory that a card can read; -EMSGSIZE.
	 */
	int (*send)(struct nic *nic, const struct nic_frame *frame);
	/*
	 * Completes sent frames, hands up to `budget` received ones to receive, reads
	 * the link's state. Returns how many were received: `budget` means that
	 * more may wait, less lets the interrupt come again.
	 */
	unsigned (*poll)(struct nic *nic, unsigned budget);
};

struct nic {
	const struct nic_ops *ops;
	struct pci_device *device;
	const char *model; /* "Intel 82540EM" */
	uint8_t mac[6];
	unsigned mtu_max;
	uint64_t features; /* NIC_TX_CHECKSUM, NIC_RX_CHECKSUM */
	struct nic_link link; /* as of the last poll */
	struct nic_stats stats;
	volatile bool pending; /* an interrupt came since the last poll */
	/* Set by whoever uses the card, before start. The frame is the receiver's. */
	void (*receive)(void *context, struct nic_buffer *frame);
	void *context;
};

/* A driver: NULL when the function is not one of its cards, or does not work. */
struct nic_driver {
	const char *name;
	struct nic *(*probe)(struct pci_device *device);
};

extern const struct nic_driver e1000_driver, virtio_net_driver;

/* After pci_init: the pool, and a card for each function that a driver knows. */
void nic_init(void);

unsigned nic_count(void);
struct nic *nic_at(unsigned index); /* in PCI order */

#endif
