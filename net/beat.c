/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heartbeats on their way: UDP and the second serial port, the period, the log
 * and the console. net/beat_core.c decides what they mean.
 *
 * Memory: what goes out by UDP is in buffers of the path's own, so that streams
 * which fill lwIP's memory cannot hold heartbeats back. A path whose buffers are
 * all on their way sends nothing.
 */
#include "net/beat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <lwip/udp.h>

#include "arch/x86_64/arch.h"
#include "base/check.h"
#include "base/log.h"
#include "drivers/serial.h"
#include "net/beat_core.h"
#include "net/interface.h"
#include "net/key.h"
#include "net/random.h"
#include "net/slip.h"

#define BUFFER_COUNT 4 /* for each path */
/* In front of a datagram: Ethernet, IPv6 and UDP, aligned. */
#define HEADERS_MAX 96
#define SERIAL_READ_MAX 256 /* bytes each turn */
#define KEY_WARNING_NS UINT64_C(60000000000)

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

_Static_assert(BEAT_DATAGRAM_MAX <= SLIP_FRAME_MAX, "a heartbeat is a frame on the line");
_Static_assert(SLIP_ENCODED_MAX(BEAT_DATAGRAM_MAX) <= SERIAL_TX_SIZE, "it has room there");

struct buffer {
	struct pbuf_custom pbuf; /* its memory must be behind it */
	bool busy; /* lwIP or a card has it */
	_Alignas(8) uint8_t memory[HEADERS_MAX + BEAT_DATAGRAM_MAX];
};

struct path {
	bool is_serial;
	ip_addr_t address;
	struct buffer buffers[BUFFER_COUNT];
	bool up; /* as it was told last */
	uint64_t key_warned_ns; /* 0: never */
};

static struct beat_core core;
static struct path paths[BEAT_PATH_MAX];
static struct udp_pcb *pcb;
static uint64_t stranger_count; /* datagrams from addresses that are no path */

static struct serial com2;
static struct slip_decoder decoder;
static bool has_serial;
static unsigned serial_path;
static uint64_t serial_due_ns;

static void (*listener)(void *context, unsigned path, const void *payload, size_t size);
static void *listener_context;

/* ---- Sending ------------------------------------------------------------------- */

static void free_buffer(struct pbuf *pbuf)
{
	CONTAINER_OF(pbuf, struct buffer, pbuf.pbuf)->busy = false;
}

static struct buffer *find_buffer(struct path *path)
{
	for (unsigned i = 0; i < BUFFER_COUNT; i++) {
		if (!path->buffers[i].busy) {
			return &path->buffers[i];
		}
	}
	return NULL;
}

static bool send_udp(unsigned index, bool answer)
{
	struct buffer *buffer = find_buffer(&paths[index]);
	uint8_t datagram[BEAT_DATAGRAM_MAX];
	struct pbuf *pbuf;
	err_t error;

	if (buffer == NULL) {
		return false;
	}
	size_t size = beat_core_make(&core, index, answer, time_now_ns(), datagram);

	buffer->pbuf.custom_free_function = free_buffer;
	pbuf = pbuf_alloced_custom(PBUF_TRANSPORT, (u16_t)size, PBUF_RAM, &buffer->pbuf,
				   buffer->memory, sizeof(buffer->memory));
	CHECK(pbuf != NULL);
	buffer->busy = true;
	memcpy(pbuf->payload, datagram, size);
	error = udp_sendto(pcb, pbuf, &paths[index].address, BEAT_PORT);
	pbuf_free(pbuf);
	return error == ERR_OK;
}

/* One at a time: what waits in the transmitter is old when it leaves. */
static bool send_serial(unsigned index, bool answer)
{
	uint8_t datagram[BEAT_DATAGRAM_MAX], line[SLIP_ENCODED_MAX(BEAT_DATAGRAM_MAX)];
	size_t size;

	if (serial_room(&com2) < SERIAL_TX_SIZE) {
		return false;
	}
	size = beat_core_make(&core, index, answer, time_now_ns(), datagram);
	size = slip_encode(datagram, size, line);
	serial_due_ns = 0;
	return serial_write(&com2, line, size) == size;
}

static void send_one(unsigned index, bool answer)
{
	struct beat_path *info = &core.paths[index].info;
	bool sent = paths[index].is_serial ? send_serial(index, answer) : send_udp(index, answer);

	info->sent += sent;
	info->send_failed += !sent;
}

void beat_send_now(void)
{
	for (unsigned i = 0; i < core.path_count; i++) {
		send_one(i, false);
	}
}

/* ---- What the log says ------------------------------------------------------------ */

static void tell_up(unsigned index, uint64_t before_ns, uint64_t now_ns)
{
	const char *name = core.paths[index].info.name;
	uint64_t silence_ms = (now_ns - before_ns) / NS_PER_MS;

	paths[index].up = true;
	if (before_ns == 0) {
		log_info("%s: heartbeats are heard", name);
	} else {
		log_info("%s: heartbeats are heard again, after %lu.%03lu s of silence", name,
			 silence_ms / 1000, silence_ms % 1000);
	}
}

static void tell_silent_paths(uint64_t now_ns)
{
	for (unsigned i = 0; i < core.path_count; i++) {
		const struct beat_path *info = &core.paths[i].info;

		if (paths[i].up && !beat_core_is_up(&core, i, now_ns)) {
			paths[i].up = false;
			log_warn("%s: no heartbeat for %lu ms", info->name,
				 (now_ns - info->last_heard_ns) / NS_PER_MS);
		}
	}
}

static void tell_wrong_key(unsigned index, uint64_t now_ns)
{
	struct path *path = &paths[index];

	if (path->key_warned_ns == 0 || now_ns - path->key_warned_ns >= KEY_WARNING_NS) {
		path->key_warned_ns = now_ns;
		log_warn("%s: heartbeats with a wrong key (%lu so far): the hosts must have the "
			 "same key in [partner]",
			 core.paths[index].info.name, core.paths[index].info.bad_mac);
	}
}

/* ---- Hearing ------------------------------------------------------------------------ */

static void hear(unsigned index, const uint8_t *datagram, size_t datagram_size)
{
	uint64_t now_ns = time_now_ns(), before_ns = core.paths[index].info.last_heard_ns;
	uint64_t session_before = core.peer_session;
	const uint8_t *payload;
	size_t size;

	switch (beat_core_hear(&core, index, now_ns, datagram, datagram_size, &payload, &size)) {
	case BEAT_HEARD:
		if (session_before != 0 && session_before != core.peer_session) {
			log_info("the partner was started anew, as its heartbeats say");
		}
		if (!paths[index].up) {
			tell_up(index, before_ns, now_ns);
		}
		if (listener != NULL) {
			listener(listener_context, index, payload, size);
		}
		break;
	case BEAT_ANSWER:
		send_one(index, true);
		break;
	case BEAT_BAD_MAC:
		tell_wrong_key(index, now_ns);
		break;
	case BEAT_REFUSED:
		break;
	}
}

/* The path to this address, or -1. */
static int path_to(const ip_addr_t *address)
{
	for (unsigned i = 0; i < core.path_count; i++) {
		if (!paths[i].is_serial && ip_addr_cmp(&paths[i].address, address)) {
			return (int)i;
		}
	}
	return -1;
}

static void receive_udp(void *context, struct udp_pcb *from, struct pbuf *pbuf,
			const ip_addr_t *address, u16_t port)
{
	/* One byte more than is allowed shows that it is too long. */
	uint8_t datagram[BEAT_DATAGRAM_MAX + 1];
	int path = path_to(address);

	(void)context;
	(void)from;
	(void)port;
	if (path < 0) {
		stranger_count++;
	} else {
		hear((unsigned)path, datagram,
		     pbuf_copy_partial(pbuf, datagram, sizeof(datagram), 0));
	}
	pbuf_free(pbuf);
}

static void read_serial(void)
{
	struct beat_path *info = &core.paths[serial_path].info;
	uint8_t bytes[SERIAL_READ_MAX];
	size_t count = serial_read(&com2, bytes, sizeof(bytes));

	for (size_t i = 0; i < count; i++) {
		uint64_t broken = decoder.broken_count;
		size_t size = slip_decode(&decoder, bytes[i]);

		info->malformed += decoder.broken_count - broken;
		if (size > 0) {
			hear(serial_path, decoder.frame, size);
		}
	}
	/* More may wait. */
	serial_due_ns = count == sizeof(bytes) ? 0 : serial_due_ns;
}

static uint64_t step_serial(uint64_t now_ns)
{
	if (now_ns >= serial_due_ns) {
		serial_due_ns = serial_step(&com2, now_ns);
	}
	if (byte_queue_used(&com2.rx) > 0) {
		read_serial();
	}
	return MAX(serial_due_ns, now_ns);
}

uint64_t beat_step(uint64_t now_ns)
{
	uint64_t next_ns = TIME_NEVER;

	if (core.path_count == 0) {
		return TIME_NEVER;
	}
	if (now_ns >= core.due_ns && beat_core_is_due(&core, time_now_ns())) {
		beat_send_now();
		tell_silent_paths(now_ns);
	}
	if (has_serial) {
		next_ns = step_serial(now_ns);
	}
	return MIN(next_ns, core.due_ns);
}

/* ---- Start ------------------------------------------------------------------------------ */

/* Returns what is wrong with the address, or NULL. */
static const char *set_address(struct path *path, const char *text)
{
	int error = interface_parse_address(text, &path->address);

	if (error != 0) {
		return error == -ENODEV ? "does not say which interface" : "is no address";
	}
	return interface_is_own(&path->address) ? "is this host's own" : NULL;
}

static void add_udp_path(const char *text, unsigned line)
{
	struct path *path = &paths[core.path_count];
	const char *zone = strchr(text, '%');
	const char *wrong = set_address(path, text);
	char name[sizeof(core.paths[0].info.name)];

	if (wrong != NULL) {
		log_error("dyad.conf:%u: address = \"%s\" in [partner] %s; allowed: an IPv4 or "
			  "IPv6 address of the partner's, a link-local one as fe80::2%%INTERFACE",
			  line, text, wrong);
		return;
	}
	snprintf(name, sizeof(name), "%s%s", interface_print_address(&path->address),
		 zone != NULL ? zone : "");
	beat_core_add_path(&core, name);
}

static void add_serial_path(void)
{
	if (serial_init(&com2, SERIAL_COM2_BASE, SERIAL_COM2_IRQ) != 0) {
		log_error("com2: no UART answers at 0x%x: no heartbeats go there",
			  SERIAL_COM2_BASE);
		return;
	}
	if (serial_enable_interrupts(&com2) != 0) {
		log_warn("com2: interrupt %u cannot be had; the port is polled", SERIAL_COM2_IRQ);
	}
	has_serial = true;
	serial_path = core.path_count;
	serial_due_ns = 0;
	decoder = (struct slip_decoder){0};
	paths[serial_path].is_serial = true;
	beat_core_add_path(&core, "com2");
}

/* lwIP's options leave room for it. */
static void open_port(void)
{
	pcb = udp_new_ip_type(IPADDR_TYPE_ANY);
	CHECK(pcb != NULL && udp_bind(pcb, IP_ANY_TYPE, BEAT_PORT) == ERR_OK);
	udp_recv(pcb, receive_udp, NULL);
}

static void start_core(const struct config_partner *partner)
{
	uint8_t secret[KEY_SIZE];
	uint64_t session;

	if (random_bytes(&session, sizeof(session)) != 0) {
		return;
	}
	key_derive(partner->key, KEY_PURPOSE_BEAT, secret);
	/* Zero stands for no session. */
	beat_core_init(&core, secret, MAX(session, 1), time_now_ns());
	wipe(secret, sizeof(secret));
	for (unsigned i = 0; i < partner->address_count; i++) {
		add_udp_path(partner->addresses[i], partner->line);
	}
	if (core.path_count > 0) {
		open_port();
	}
	if (partner->serial) {
		add_serial_path();
	}
}

void beat_init(const struct config *config)
{
	memset(&core, 0, sizeof(core));
	memset(paths, 0, sizeof(paths));
	has_serial = false;
	stranger_count = 0;
	if (!config->partner.valid || !config->partner.has_key) {
		return;
	}
	start_core(&config->partner);
}

/* ---- For the others ------------------------------------------------------------------------ */

void beat_set_payload(const void *payload, size_t size)
{
	CHECK(size <= BEAT_PAYLOAD_MAX);
	memcpy(core.payload, payload, size);
	core.payload_size = size;
}

void beat_listen(void (*heard)(void *context, unsigned path, const void *payload, size_t size),
		 void *context)
{
	listener = heard;
	listener_context = context;
}

bool beat_path_get(unsigned index, struct beat_path *path)
{
	if (index >= core.path_count) {
		return false;
	}
	beat_core_get(&core, index, time_now_ns(), path);
	return true;
}

struct beat_timing beat_timing_get(void)
{
	return core.timing;
}

void beat_timing_reset(void)
{
	beat_core_reset_timing(&core);
}

/* ---- The console ----------------------------------------------------------------------------- */

static void print_if_any(const char *reason, uint64_t count)
{
	if (count > 0) {
		console_print(", %s %lu", reason, count);
	}
}

static void print_path(const struct beat_path *path, uint64_t now_ns)
{
	uint64_t silence_ms = (now_ns - path->last_heard_ns) / NS_PER_MS;

	console_print("%-16s %-5s", path->name, path->up ? "up" : "down");
	if (path->last_heard_ns == 0) {
		console_print("never heard");
	} else {
		console_print("heard %lu ms ago, loss %u.%u%%", silence_ms,
			      path->loss_permille / 10, path->loss_permille % 10);
	}
	console_print(", received %lu, lost %lu", path->received, path->lost);
	print_if_any("wrong key", path->bad_mac);
	print_if_any("replayed", path->replayed);
	print_if_any("stale", path->stale);
	print_if_any("malformed", path->malformed);
	console_print("\n  sent %lu", path->sent);
	print_if_any("not sent", path->send_failed);
	if (path->rtt_ns != 0) {
		uint64_t us[] = {path->rtt_ns / 1000, path->rtt_min_ns / 1000,
				 path->rtt_max_ns / 1000};

		console_print(", rtt last/min/max %lu.%03lu/%lu.%03lu/%lu.%03lu ms", us[0] / 1000,
			      us[0] % 1000, us[1] / 1000, us[1] % 1000, us[2] / 1000, us[2] % 1000);
	}
	console_print("\n");
}

/* Tenths of a millisecond. */
static unsigned long tenths(uint64_t ns)
{
	return (ns + NS_PER_MS / 20) / (NS_PER_MS / 10);
}

static void print_timing(const struct beat_timing *timing)
{
	unsigned long shortest = tenths(timing->shortest_ns), longest = tenths(timing->longest_ns);
	unsigned long mean = tenths(timing->mean_ns);

	console_print("period %lu ms: shortest %lu.%lu, longest %lu.%lu, mean %lu.%lu over %lu\n",
		      timing->period_ns / NS_PER_MS, shortest / 10, shortest % 10, longest / 10,
		      longest % 10, mean / 10, mean % 10, timing->count);
}

static int run_paths(int argc, char **argv)
{
	struct beat_path path;

	if (argc == 2) {
		if (strcmp(argv[1], "reset") != 0) {
			console_print("Unknown word \"%s\"; allowed: reset\n", argv[1]);
			return -EINVAL;
		}
		beat_core_reset_counters(&core);
		beat_timing_reset();
		stranger_count = 0;
		return 0;
	}
	if (core.path_count == 0) {
		console_print("No heartbeats: no partner, no key, no path to it, or no random\n"
			      "numbers; the log says more.\n");
		return 0;
	}
	for (unsigned i = 0; beat_path_get(i, &path); i++) {
		print_path(&path, time_now_ns());
	}
	if (stranger_count > 0) {
		console_print("from addresses that are none of the partner's: %lu\n",
			      stranger_count);
	}
	print_timing(&core.timing);
	return 0;
}

static const char *complete_paths(int argument, unsigned index)
{
	return argument == 1 && index == 0 ? "reset" : NULL;
}

const struct command beat_commands[] = {
	{"paths", "[reset]", "Shows the paths to the partner, loss and delay.", 0, 1, run_paths,
	 complete_paths},
};

const size_t beat_command_count = ARRAY_SIZE(beat_commands);
