/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of the network in one process: the cards net0 and net1 of one host are
 * at the two ends of a wire with faults, and its addresses are link-local, so that
 * lwIP sends from one to the other instead of to itself. Streams to the partner
 * leave by net0 and come back in by net1.
 */
#ifndef TESTS_UNIT_PAIR_FIXTURE_H
#define TESTS_UNIT_PAIR_FIXTURE_H

#include "net/key.h"
#include "net/stream.h"
#include "tests/unit/net_fixture.h"

/* By the MAC addresses of the fake cards, with their interfaces. */
#define PAIR_FAR "fe80::5054:ff:fe12:3402%net0" /* net1's, as seen from net0 */
#define PAIR_NEAR "fe80::5054:ff:fe12:3401%net1"

#define PAIR_BUFFERS 4096
#define PAIR_TURN_NS (50 * MS / 1000)

static struct {
	uint64_t seed;
	unsigned loss, doubled, late; /* of 1000 frames */
	bool cut;
	uint64_t lost_count, doubled_count, late_count;
	struct fake_frame kept; /* comes behind its successor */
	bool has_kept;
} wire;

static inline unsigned wire_random(void)
{
	wire.seed ^= wire.seed << 13;
	wire.seed ^= wire.seed >> 7;
	wire.seed ^= wire.seed << 17;
	return (unsigned)(wire.seed >> 20) % 1000;
}

static inline void wire_put(struct fake_nic *to, const struct fake_frame *frame)
{
	/* As a card whose ring is full. */
	if (to->incoming_count < FAKE_NIC_FRAME_MAX) {
		fake_nic_put(to, frame->bytes, frame->size, NIC_CHECKSUM_GOOD);
	}
}

static inline void wire_frame(struct fake_nic *to, const struct fake_frame *frame)
{
	unsigned luck = wire_random();

	if (wire.cut || luck < wire.loss) {
		wire.lost_count++;
	} else if (luck < wire.loss + wire.late && !wire.has_kept) {
		wire.kept = *frame;
		wire.has_kept = true;
		wire.late_count++;
		return;
	} else {
		wire_put(to, frame);
		if (luck >= 1000 - wire.doubled) {
			wire_put(to, frame);
			wire.doubled_count++;
		}
	}
	if (wire.has_kept) {
		wire_put(to, &wire.kept);
		wire.has_kept = false;
	}
}

/* What one card has sent arrives at the other. */
static inline void wire_carry(struct fake_nic *from, struct fake_nic *to)
{
	for (unsigned i = 0; i < from->sent_count; i++) {
		wire_frame(to, &from->sent[i]);
	}
	if (wire.has_kept) {
		wire_put(to, &wire.kept);
		wire.has_kept = false;
	}
	fake_nic_forget(from);
}

static inline void pair_turn(void)
{
	net_step(fake.now_ns);
	stream_step(fake.now_ns);
	wire_carry(fake_nics[0], fake_nics[1]);
	wire_carry(fake_nics[1], fake_nics[0]);
	fake.now_ns += PAIR_TURN_NS;
}

static inline void pair_run(unsigned ms)
{
	uint64_t end_ns = fake.now_ns + ms * MS;

	while (fake.now_ns < end_ns) {
		pair_turn();
	}
}

/* Until it holds; the test fails when it does not within `ms`. */
#define pair_until(condition, ms)                                \
	do {                                                     \
		uint64_t limit_ns = fake.now_ns + (ms)*MS;       \
		while (!(condition)) {                           \
			if (fake.now_ns >= limit_ns) {           \
				pair_fail(__LINE__, #condition); \
			}                                        \
			pair_turn();                             \
		}                                                \
	} while (0)

static inline void pair_fail(int line, const char *condition)
{
	uint64_t sequence = net_log_start;
	struct log_line text;

	while (log_read(&sequence, &text)) {
		print_error("%s\n", text.text);
	}
	fail_msg("line %d: in vain: %s", line, condition);
}

/* The two interfaces, and streams with a key. */
static inline int pair_setup(void **state)
{
	net_setup(state);
	/* Buffers of streams are in the page pool. */
	uint64_t now_ns = fake.now_ns;
	fake_arch_reset(64 * MIB);
	fake.now_ns = now_ns;
	fake_buffer_max = PAIR_BUFFERS;
	memset(&wire, 0, sizeof(wire));
	wire.seed = 1;
	fake_nic_new(NIC_TX_CHECKSUM | NIC_RX_CHECKSUM);
	fake_nic_new(NIC_TX_CHECKSUM | NIC_RX_CHECKSUM);
	net_section("net0", NULL, NULL);
	net_section("net1", NULL, NULL);
	net_init(&net_config);
	pair_run(3000);

	struct config_partner *partner = &net_config.partner;

	*partner = (struct config_partner){.line = 9, .valid = true, .has_key = true};
	strcpy(partner->addresses[partner->address_count++], PAIR_FAR);
	memset(partner->key, 0x5a, sizeof(partner->key));
	stream_init(&net_config);
	return 0;
}

#endif
