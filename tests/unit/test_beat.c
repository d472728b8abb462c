/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heartbeats without a network: two hosts joined by links that lose, delay,
 * duplicate and keep what went over them, by a clock that the test moves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "net/beat_core.h"
#include "net/slip.h"

#define MS UINT64_C(1000000)
#define START_NS (1000 * MS)
#define FLIGHT_MAX 64
#define KEPT_MAX 256

static const uint8_t secret[HMAC_SIZE] = "the key of the pair", other[HMAC_SIZE] = "another";

struct datagram {
	uint64_t due_ns;
	unsigned to, path; /* host, and its path */
	size_t size;
	uint8_t bytes[BEAT_DATAGRAM_MAX];
};

/* A host's clock runs from its own start, as a TSC does. */
struct host {
	struct beat_core core;
	uint64_t clock_offset_ns; /* host time = now + offset */
	unsigned heard, round_count;
	uint8_t last_payload[BEAT_PAYLOAD_MAX];
	size_t last_size;
};

static struct host hosts[2];
static struct datagram flight[FLIGHT_MAX];
static unsigned flight_count;
static struct datagram kept[KEPT_MAX]; /* all that was ever sent */
static unsigned kept_count;
static uint64_t now_ns, delay_ns[2]; /* by sender */
static bool cut[2][BEAT_PATH_MAX]; /* by sender and path */

static uint64_t host_time(unsigned host)
{
	return now_ns + hosts[host].clock_offset_ns;
}

static void boot(unsigned host, uint64_t session, unsigned path_count)
{
	hosts[host] = (struct host){0};
	/* The clocks of two hosts have nothing in common. */
	hosts[host].clock_offset_ns = session * 1000000000 - now_ns;
	beat_core_init(&hosts[host].core, secret, session, host_time(host));
	for (unsigned i = 0; i < path_count; i++) {
		beat_core_add_path(&hosts[host].core, i == 0 ? "first" : "other");
	}
}

static void setup(unsigned path_count)
{
	now_ns = START_NS;
	flight_count = 0;
	kept_count = 0;
	delay_ns[0] = 2 * MS;
	delay_ns[1] = 3 * MS;
	memset(cut, 0, sizeof(cut));
	boot(0, 11, path_count);
	boot(1, 22, path_count);
}

static void put(const struct datagram *datagram)
{
	assert_true(flight_count < FLIGHT_MAX);
	flight[flight_count++] = *datagram;
}

static void send(unsigned host, unsigned path, bool answer)
{
	struct datagram datagram = {now_ns + delay_ns[host], 1 - host, path, 0, {0}};

	datagram.size =
		beat_core_make(&hosts[host].core, path, answer, host_time(host), datagram.bytes);
	assert_true(datagram.size <= BEAT_DATAGRAM_MAX);
	kept[kept_count++ % KEPT_MAX] = datagram;
	if (!cut[host][path]) {
		put(&datagram);
	}
}

static enum beat_verdict deliver(const struct datagram *datagram)
{
	struct host *host = &hosts[datagram->to];
	const uint8_t *payload;
	size_t size;
	enum beat_verdict verdict =
		beat_core_hear(&host->core, datagram->path, host_time(datagram->to),
			       datagram->bytes, datagram->size, &payload, &size);

	if (verdict == BEAT_HEARD) {
		host->heard++;
		host->last_size = size;
		memcpy(host->last_payload, payload, size);
	} else if (verdict == BEAT_ANSWER) {
		send(datagram->to, datagram->path, true);
	}
	return verdict;
}

static void round_of(unsigned host)
{
	for (unsigned i = 0; i < hosts[host].core.path_count; i++) {
		send(host, i, false);
	}
	hosts[host].round_count++;
}

static void deliver_due(void)
{
	for (unsigned i = 0; i < flight_count;) {
		if (flight[i].due_ns > now_ns) {
			i++;
			continue;
		}
		struct datagram datagram = flight[i];

		flight[i] = flight[--flight_count];
		(void)deliver(&datagram);
	}
}

static void run_ms(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		deliver_due();
		for (unsigned host = 0; host < 2; host++) {
			if (beat_core_is_due(&hosts[host].core, host_time(host))) {
				round_of(host);
			}
		}
		now_ns += MS;
	}
}

static struct beat_path info(unsigned host, unsigned path)
{
	struct beat_path result;

	beat_core_get(&hosts[host].core, path, host_time(host), &result);
	return result;
}

/* Both hosts hear each other on every path, and have refused nothing. */
static void assert_healthy(void)
{
	for (unsigned host = 0; host < 2; host++) {
		for (unsigned i = 0; i < hosts[host].core.path_count; i++) {
			assert_true(info(host, i).up);
		}
	}
}

/* A datagram that host 0 would send now, for host 1, without a delay. */
static struct datagram make(unsigned path)
{
	struct datagram datagram = {now_ns, 1, path, 0, {0}};

	datagram.size = beat_core_make(&hosts[0].core, path, false, host_time(0), datagram.bytes);
	return datagram;
}

/* ---- Two hosts ------------------------------------------------------------------- */

static void test_two_hosts(void **state)
{
	(void)state;
	setup(2);
	assert_false(info(0, 0).up);
	run_ms(1);
	memcpy(hosts[0].core.payload, "hello", 5);
	hosts[0].core.payload_size = 5;
	run_ms(2000);
	assert_healthy();
	assert_int_equal(hosts[1].last_size, 5);
	assert_memory_equal(hosts[1].last_payload, "hello", 5);
	assert_int_equal(hosts[0].last_size, 0);
	for (unsigned host = 0; host < 2; host++) {
		for (unsigned i = 0; i < 2; i++) {
			struct beat_path path = info(host, i);

			assert_int_equal(path.lost, 0);
			assert_int_equal(path.loss_permille, 0);
			assert_int_equal(path.bad_mac + path.replayed + path.malformed, 0);
			assert_true(path.received >= 19);
		}
	}
	assert_string_equal(info(0, 0).name, "first");
}

/* 2 ms there and 3 ms back, however long the partner waits in between. */
static void test_round_trip(void **state)
{
	(void)state;
	setup(1);
	run_ms(1000);
	assert_int_equal(info(0, 0).rtt_ns, 5 * MS);
	assert_int_equal(info(1, 0).rtt_ns, 5 * MS);
	delay_ns[0] = 40 * MS;
	run_ms(1000);
	assert_int_equal(info(0, 0).rtt_ns, 43 * MS);
	assert_int_equal(info(0, 0).rtt_min_ns, 5 * MS);
	assert_int_equal(info(1, 0).rtt_max_ns, 43 * MS);
}

/* An age by a partner's clock that runs fast gives no negative time. */
static void test_round_trip_of_a_fast_clock(void **state)
{
	(void)state;
	setup(1);
	delay_ns[0] = 0;
	delay_ns[1] = 0;
	run_ms(1000);
	hosts[1].clock_offset_ns += 50 * MS;
	run_ms(2);
	send(1, 0, false);
	run_ms(1);
	assert_int_equal(info(0, 0).rtt_min_ns, 1);
}

static void test_every_payload_size(void **state)
{
	(void)state;
	setup(1);
	run_ms(300);
	for (size_t size = 0; size <= BEAT_PAYLOAD_MAX; size++) {
		memset(hosts[0].core.payload, (int)size, size);
		hosts[0].core.payload_size = size;
		struct datagram datagram = make(0);

		assert_int_equal(datagram.size, BEAT_HEADER_SIZE + size + BEAT_MAC_SIZE);
		assert_int_equal(deliver(&datagram), BEAT_HEARD);
		assert_int_equal(hosts[1].last_size, size);
		assert_memory_equal(hosts[1].last_payload, hosts[0].core.payload, size);
	}
}

/* ---- Loss and order ----------------------------------------------------------------- */

static void test_losses_are_counted(void **state)
{
	(void)state;
	setup(2);
	run_ms(500);
	for (unsigned i = 0; i < 40; i++) {
		cut[0][1] = i % 4 == 0;
		send(0, 1, false);
		cut[0][1] = false;
		send(0, 1, false);
		run_ms(5);
	}
	assert_int_equal(info(1, 1).lost, 10);
	assert_int_equal(info(1, 0).lost, 0);
	assert_int_equal(info(0, 1).lost, 0);
	/* 10 of about 86, and out of sight after 100 more. */
	assert_in_range(info(1, 1).loss_permille, 100, 130);
	for (unsigned i = 0; i < 100; i++) {
		send(0, 1, false);
		run_ms(5);
	}
	assert_int_equal(info(1, 1).loss_permille, 0);
	assert_int_equal(info(1, 1).lost, 10);
	beat_core_reset_counters(&hosts[1].core);
	assert_int_equal(info(1, 1).lost, 0);
	assert_int_equal(info(1, 1).received, 0);
	assert_string_equal(info(1, 1).name, "other");
	assert_true(info(1, 1).up);
	assert_healthy();
}

static void test_loss_of_the_last_hundred(void **state)
{
	(void)state;
	setup(1);
	run_ms(300);
	beat_core_reset_counters(&hosts[1].core);
	assert_int_equal(info(1, 0).loss_permille, 0);
	for (unsigned i = 0; i < 200; i++) {
		struct datagram datagram = make(0);

		/* Every other one of the second hundred. */
		if (i < 100 || i % 2 == 1) {
			assert_int_equal(deliver(&datagram), BEAT_HEARD);
		}
		if (i == 149) {
			assert_int_equal(info(1, 0).loss_permille, 250);
		}
	}
	assert_int_equal(info(1, 0).loss_permille, 500);
	assert_int_equal(info(1, 0).lost, 50);
}

static void test_late_ones_are_not_lost(void **state)
{
	struct datagram datagrams[4];

	(void)state;
	setup(1);
	run_ms(300);
	for (unsigned i = 0; i < 4; i++) {
		datagrams[i] = make(0);
	}
	assert_int_equal(deliver(&datagrams[3]), BEAT_HEARD);
	assert_int_equal(info(1, 0).lost, 3);
	assert_int_equal(deliver(&datagrams[1]), BEAT_HEARD);
	assert_int_equal(deliver(&datagrams[0]), BEAT_HEARD);
	assert_int_equal(deliver(&datagrams[2]), BEAT_HEARD);
	assert_int_equal(info(1, 0).lost, 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(deliver(&datagrams[i]), BEAT_REFUSED);
	}
	assert_int_equal(info(1, 0).replayed, 4);
}

/* One that was overtaken by the first that was heard is no replay. */
static void test_overtaken_by_the_first(void **state)
{
	struct datagram first, second;

	(void)state;
	setup(2);
	cut[0][1] = true;
	run_ms(300);
	first = make(1);
	second = make(1);
	assert_int_equal(deliver(&second), BEAT_HEARD);
	assert_int_equal(deliver(&first), BEAT_REFUSED);
	assert_int_equal(info(1, 1).stale, 1);
	assert_int_equal(info(1, 1).replayed, 0);
	assert_int_equal(deliver(&second), BEAT_REFUSED);
	assert_int_equal(info(1, 1).replayed, 1);
}

/* The window's end: 127 numbers back is taken, 128 is not. */
static void test_too_late(void **state)
{
	struct datagram first, second, last;

	(void)state;
	setup(1);
	run_ms(300);
	first = make(0);
	second = make(0);
	for (unsigned i = 0; i < 127; i++) {
		last = make(0);
	}
	assert_int_equal(deliver(&last), BEAT_HEARD);
	assert_int_equal(deliver(&first), BEAT_REFUSED);
	assert_int_equal(deliver(&second), BEAT_HEARD);
	assert_int_equal(info(1, 0).lost, 127);
	assert_int_equal(info(1, 0).loss_permille, 990);
	/* A gap wider than the window forgets it all. */
	for (unsigned i = 0; i < 1000; i++) {
		last = make(0);
	}
	assert_int_equal(deliver(&last), BEAT_HEARD);
	assert_int_equal(deliver(&last), BEAT_REFUSED);
	assert_int_equal(info(1, 0).lost, 127 + 999);
}

static void test_duplicates(void **state)
{
	uint64_t heard;

	(void)state;
	setup(1);
	run_ms(300);
	heard = hosts[1].heard;
	for (unsigned i = 0; i < 20; i++) {
		send(0, 0, false);
		put(&kept[(kept_count - 1) % KEPT_MAX]);
		run_ms(5);
	}
	/* With those of the period. */
	assert_int_equal(hosts[1].heard - heard, 21);
	assert_int_equal(info(1, 0).replayed, 20);
	assert_int_equal(info(1, 0).lost, 0);
}

static void test_a_path_goes_down_and_up(void **state)
{
	uint64_t heard_ns;

	(void)state;
	setup(2);
	run_ms(1000);
	cut[0][0] = true;
	run_ms(5);
	heard_ns = info(1, 0).last_heard_ns;
	now_ns = heard_ns - hosts[1].clock_offset_ns + BEAT_UP_NS;
	assert_true(info(1, 0).up);
	now_ns++;
	assert_false(info(1, 0).up);
	run_ms(2000);
	assert_true(info(1, 1).up);
	assert_true(info(0, 0).up);
	assert_false(info(1, 0).up);
	cut[0][0] = false;
	run_ms(200);
	assert_healthy();
}

/* ---- Sessions ------------------------------------------------------------------------ */

/* Each cable works in one direction only, and after the pair is formed. */
static void test_one_way_cuts(void **state)
{
	(void)state;
	setup(2);
	run_ms(1000);
	cut[0][0] = true;
	cut[1][1] = true;
	run_ms(1000);
	assert_false(info(1, 0).up);
	assert_true(info(1, 1).up);
	assert_true(info(0, 0).up);
	assert_false(info(0, 1).up);
	/* However long it lasts. */
	run_ms(20000);
	assert_true(info(1, 1).up);
	assert_true(info(0, 0).up);
}

static void test_a_restart_is_noticed(void **state)
{
	(void)state;
	setup(2);
	run_ms(2000);
	boot(1, 33, 2);
	run_ms(1000);
	assert_healthy();
	assert_int_equal(hosts[0].core.peer_session, 33);
	assert_int_equal(hosts[1].core.peer_session, 11);
	assert_int_equal(info(0, 0).malformed, 0);
	/* The other one, whose clock then starts far behind. */
	boot(0, 7, 2);
	run_ms(1000);
	assert_healthy();
	assert_int_equal(hosts[1].core.peer_session, 7);
	assert_int_equal(info(1, 0).malformed, 0);
	/* Both at once. */
	boot(0, 5, 2);
	boot(1, 3, 2);
	run_ms(1000);
	assert_healthy();
	assert_int_equal(info(0, 0).lost, 0);
}

/* A second host with the key does not displace one that is alive. */
static void test_a_living_session_stays(void **state)
{
	struct host first;

	(void)state;
	setup(1);
	run_ms(1000);
	first = hosts[1];
	boot(1, 33, 1);
	for (unsigned i = 0; i < 20; i++) {
		/* 33 has the wire, but 22 says something now and then. */
		run_ms(90);
		assert_int_equal(hosts[0].core.peer_session, 22);
		struct host second = hosts[1];

		hosts[1] = first;
		send(1, 0, false);
		first = hosts[1];
		hosts[1] = second;
		run_ms(10);
	}
	assert_true(info(0, 0).stale > 0);
	run_ms(1000);
	assert_int_equal(hosts[0].core.peer_session, 33);
}

/* Everything that was ever sent, again and again: nothing is heard, nothing is disturbed. */
static void replay_all(unsigned count)
{
	struct datagram old[KEPT_MAX];

	memcpy(old, kept, sizeof(old));
	for (unsigned i = 0; i < count; i++) {
		assert_int_not_equal(deliver(&old[i]), BEAT_HEARD);
	}
}

static void test_replays_do_not_disturb(void **state)
{
	uint64_t received;

	(void)state;
	setup(1);
	run_ms(1000);
	boot(1, 33, 1);
	run_ms(1000);
	boot(0, 44, 1);
	run_ms(1000);
	boot(1, 55, 1);
	run_ms(1000);
	received = info(0, 0).received;
	replay_all(kept_count);
	assert_int_equal(hosts[0].core.peer_session, 55);
	assert_int_equal(hosts[1].core.peer_session, 44);
	assert_int_equal(info(0, 0).received, received);
	run_ms(1000);
	assert_healthy();
	assert_int_equal(info(0, 0).lost, 0);
}

/* Nor when the real partner has fallen silent: an earlier session does not come back. */
static void test_replays_do_not_revive(void **state)
{
	(void)state;
	setup(1);
	run_ms(1000);
	boot(1, 33, 1);
	run_ms(1000);
	now_ns += 1000 * MS;
	assert_false(info(0, 0).up);
	replay_all(kept_count);
	assert_false(info(0, 0).up);
	assert_int_equal(hosts[0].core.peer_session, 33);
}

/* What somebody held back while the partner lived does not keep it alive after its death. */
static void test_what_was_held_back_is_late(void **state)
{
	unsigned first, last, heard;

	(void)state;
	setup(2);
	run_ms(1000);
	cut[1][0] = true;
	first = kept_count;
	run_ms(3000);
	last = kept_count;
	assert_true(last <= KEPT_MAX);
	assert_true(info(0, 1).up);
	/* Host 1 dies. */
	now_ns += 1000 * MS;
	flight_count = 0;
	heard = hosts[0].heard;
	for (unsigned i = first; i < last; i++) {
		if (kept[i].to == 0 && kept[i].path == 0) {
			assert_int_equal(deliver(&kept[i]), BEAT_REFUSED);
			now_ns += 100 * MS;
		}
	}
	assert_int_equal(hosts[0].heard, heard);
	assert_true(info(0, 0).stale >= 29);
	assert_false(info(0, 0).up);
	/* Its next start is heard at once. */
	boot(1, 33, 2);
	cut[1][0] = false;
	run_ms(200);
	assert_int_equal(hosts[0].core.peer_session, 33);
}

/* A host that was started just now believes nothing that was recorded before. */
static void test_a_new_host_believes_no_recording(void **state)
{
	(void)state;
	setup(1);
	run_ms(1000);
	boot(0, 44, 1);
	flight_count = 0;
	replay_all(kept_count);
	assert_int_equal(hosts[0].core.peer_session, 0);
	assert_int_equal(info(0, 0).received, 0);
}

/* Old greetings are answered at most once a period, and no answer is answered for ever. */
static void test_answers_are_bounded(void **state)
{
	struct datagram greeting;
	uint64_t before;

	(void)state;
	setup(1);
	greeting = make(0);
	run_ms(1000);
	boot(0, 33, 1);
	run_ms(1000);
	before = hosts[1].core.paths[0].sequence;
	for (unsigned i = 0; i < 1000; i++) {
		greeting.due_ns = now_ns;
		put(&greeting);
		run_ms(1);
	}
	/* Ten of the period, and ten answers. */
	assert_in_range(hosts[1].core.paths[0].sequence - before, 19, 21);
	assert_healthy();
	assert_int_equal(info(0, 0).lost, 0);
	run_ms(10);
	assert_int_equal(flight_count, 0);
}

/* ---- Those who do not have the key ------------------------------------------------------ */

static void test_wrong_key(void **state)
{
	(void)state;
	setup(1);
	hmac_key_set(&hosts[0].core.key, other, sizeof(other));
	run_ms(1000);
	for (unsigned host = 0; host < 2; host++) {
		assert_false(info(host, 0).up);
		assert_int_equal(hosts[host].heard, 0);
		assert_int_equal(info(host, 0).bad_mac, 10);
		/* Nor was anything answered. */
		assert_int_equal(hosts[host].core.paths[0].sequence, 10);
	}
}

/* Whichever bit of a datagram is changed, it is refused. */
static void test_every_bit_counts(void **state)
{
	struct datagram datagram;

	(void)state;
	setup(1);
	run_ms(300);
	hosts[0].core.payload_size = 4;
	datagram = make(0);
	for (size_t bit = 0; bit < 8 * datagram.size; bit++) {
		struct datagram changed = datagram;

		changed.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(deliver(&changed), BEAT_HEARD);
	}
	assert_int_equal(info(1, 0).bad_mac + info(1, 0).malformed, 8 * datagram.size);
	/* Magic, version and payload size are looked at before the MAC. */
	assert_int_equal(info(1, 0).malformed, 8 * 7);
	assert_int_equal(deliver(&datagram), BEAT_HEARD);
}

static void test_every_length(void **state)
{
	struct datagram datagram;
	uint8_t *copy;
	const uint8_t *payload;
	size_t size;

	(void)state;
	setup(1);
	run_ms(300);
	datagram = make(0);
	for (size_t length = 0; length <= BEAT_DATAGRAM_MAX + 1; length++) {
		copy = test_calloc(1, length);
		memcpy(copy, datagram.bytes, MIN(length, datagram.size));
		assert_int_equal(beat_core_hear(&hosts[1].core, 0, host_time(1), copy, length,
						&payload, &size) == BEAT_HEARD,
				 length == datagram.size);
		test_free(copy);
	}
}

static void test_reflection(void **state)
{
	struct datagram datagram;

	(void)state;
	setup(1);
	/* A greeting of our own, and later a heartbeat. */
	for (unsigned i = 0; i < 2; i++) {
		datagram = make(0);
		datagram.to = 0;
		assert_int_equal(deliver(&datagram), BEAT_REFUSED);
		assert_int_equal(info(0, 0).replayed, i + 1);
		run_ms(500);
	}
	assert_healthy();
}

/* A datagram that is carried to another path counts once, and hurts neither. */
static void test_carried_to_another_path(void **state)
{
	struct datagram datagram;

	(void)state;
	setup(2);
	run_ms(300);
	for (unsigned i = 0; i < 50; i++) {
		(void)make(0);
	}
	run_ms(200);
	beat_core_reset_counters(&hosts[1].core);
	datagram = make(0);
	datagram.path = 1;
	assert_int_equal(deliver(&datagram), BEAT_HEARD);
	datagram.path = 0;
	assert_int_equal(deliver(&datagram), BEAT_REFUSED);
	run_ms(500);
	assert_healthy();
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(info(1, i).lost, 0);
		assert_int_equal(info(1, i).loss_permille, 0);
		assert_int_equal(info(1, i).received, 5 + i);
	}
}

/* What has the right MAC, and is nonsense all the same. */
static void test_nonsense(void **state)
{
	static const struct {
		size_t offset;
		uint64_t value;
	} fields[] = {
		{8, 0},
		{24, 0},
		{32, 0},
		{40, UINT64_MAX},
	};

	(void)state;
	setup(1);
	run_ms(300);
	for (size_t i = 0; i <= ARRAY_SIZE(fields); i++) {
		struct datagram datagram = make(0);
		uint8_t mac[HMAC_SIZE];

		if (i < ARRAY_SIZE(fields)) {
			memcpy(datagram.bytes + fields[i].offset, &fields[i].value, 8);
		} else {
			datagram.bytes[5] = BEAT_PATH_MAX;
		}
		hmac(&hosts[0].core.key, datagram.bytes, datagram.size - BEAT_MAC_SIZE, mac);
		memcpy(datagram.bytes + datagram.size - BEAT_MAC_SIZE, mac, BEAT_MAC_SIZE);
		assert_int_equal(deliver(&datagram), BEAT_REFUSED);
		assert_int_equal(info(1, 0).malformed, i + 1);
	}
}

/* ---- The period ---------------------------------------------------------------------------- */

static void test_the_period_does_not_drift(void **state)
{
	struct beat_core *core = &hosts[0].core;

	(void)state;
	setup(1);
	beat_core_init(core, secret, 1, START_NS);
	assert_true(beat_core_is_due(core, START_NS + 7 * MS));
	assert_false(beat_core_is_due(core, START_NS + 99 * MS));
	assert_true(beat_core_is_due(core, START_NS + 101 * MS));
	assert_true(beat_core_is_due(core, START_NS + 200 * MS));
	/* Late by more than two periods: one round, and the next as if nothing had been. */
	assert_true(beat_core_is_due(core, START_NS + 530 * MS));
	assert_false(beat_core_is_due(core, START_NS + 599 * MS));
	assert_true(beat_core_is_due(core, START_NS + 600 * MS));
	assert_int_equal(core->timing.period_ns, 100 * MS);
	assert_int_equal(core->timing.count, 4);
	assert_int_equal(core->timing.shortest_ns, 70 * MS);
	assert_int_equal(core->timing.longest_ns, 330 * MS);
	assert_int_equal(core->timing.mean_ns, 593 * MS / 4);
	beat_core_reset_timing(core);
	assert_true(beat_core_is_due(core, START_NS + 700 * MS));
	assert_int_equal(core->timing.count, 1);
	assert_int_equal(core->timing.shortest_ns, 100 * MS);
}

/* ---- The serial line ------------------------------------------------------------------------ */

/* Feeds bytes; returns the size of the last frame that ended. */
static size_t feed(struct slip_decoder *decoder, const uint8_t *line, size_t count)
{
	size_t last = 0;

	for (size_t i = 0; i < count; i++) {
		size_t size = slip_decode(decoder, line[i]);

		last = size > 0 ? size : last;
	}
	return last;
}

static void test_frames_on_the_line(void **state)
{
	static struct slip_decoder decoder;
	uint8_t frame[SLIP_FRAME_MAX], line[SLIP_ENCODED_MAX(SLIP_FRAME_MAX)];

	(void)state;
	for (size_t size = 1; size <= SLIP_FRAME_MAX; size++) {
		for (size_t i = 0; i < size; i++) {
			/* All bytes, those that need an escape often. */
			frame[i] = i % 3 == 0 ? 0xc0 : i % 5 == 0 ? 0xdb : (uint8_t)(size + i);
		}
		size_t count = slip_encode(frame, size, line);

		assert_true(count <= SLIP_ENCODED_MAX(size));
		assert_int_equal(feed(&decoder, line, count), size);
		assert_memory_equal(decoder.frame, frame, size);
	}
	assert_int_equal(decoder.broken_count, 0);
	memset(frame, 0xc0, sizeof(frame));
	assert_int_equal(slip_encode(frame, sizeof(frame), line), sizeof(line));
}

/* Noise before a frame, a wrong escape, a torn one, one too long: the next is whole. */
static void test_noise_on_the_line(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t size;
		unsigned broken;
	} noises[] = {
		{{1, 2, 3}, 3, 0},    {{0xdb, 7}, 2, 1},	  {{9, 0xdb}, 2, 1},
		{{0xdb, 0xdb}, 2, 1}, {{0xdb, 0xdc, 0xdd}, 3, 0}, {{0xc0, 0xc0}, 2, 0},
	};
	static struct slip_decoder decoder;
	uint8_t line[SLIP_ENCODED_MAX(5)];
	size_t count = slip_encode((const uint8_t *)"whole", 5, line);
	unsigned broken = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(noises); i++) {
		(void)feed(&decoder, noises[i].bytes, noises[i].size);
		assert_int_equal(feed(&decoder, line, count), 5);
		assert_memory_equal(decoder.frame, "whole", 5);
		broken += noises[i].broken;
		assert_int_equal(decoder.broken_count, broken);
	}
	for (unsigned i = 0; i < 3 * SLIP_FRAME_MAX; i++) {
		assert_int_equal(slip_decode(&decoder, 'x'), 0);
	}
	assert_int_equal(feed(&decoder, line, count), 5);
	assert_int_equal(decoder.broken_count, broken + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_hosts),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_round_trip_of_a_fast_clock),
		cmocka_unit_test(test_every_payload_size),
		cmocka_unit_test(test_losses_are_counted),
		cmocka_unit_test(test_loss_of_the_last_hundred),
		cmocka_unit_test(test_late_ones_are_not_lost),
		cmocka_unit_test(test_overtaken_by_the_first),
		cmocka_unit_test(test_too_late),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_a_path_goes_down_and_up),
		cmocka_unit_test(test_one_way_cuts),
		cmocka_unit_test(test_a_restart_is_noticed),
		cmocka_unit_test(test_a_living_session_stays),
		cmocka_unit_test(test_replays_do_not_disturb),
		cmocka_unit_test(test_replays_do_not_revive),
		cmocka_unit_test(test_what_was_held_back_is_late),
		cmocka_unit_test(test_a_new_host_believes_no_recording),
		cmocka_unit_test(test_answers_are_bounded),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_reflection),
		cmocka_unit_test(test_carried_to_another_path),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_the_period_does_not_drift),
		cmocka_unit_test(test_frames_on_the_line),
		cmocka_unit_test(test_noise_on_the_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
