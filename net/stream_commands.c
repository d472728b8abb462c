/* SPDX-License-Identifier: Apache-2.0 */
/* The console's command about streams. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/probe.h"
#include "net/stream.h"

static void print(const struct stream_info *info)
{
	console_print("%-29s %-10s %-9s %-11s ", info->peer, info->state, info->service_name,
		      info->cipher);
	if (info->rtt_us != 0) {
		console_print("%u.%03u ms", info->rtt_us / 1000, info->rtt_us % 1000);
	}
	console_print("\n  sent %lu bytes in %lu frames, received %lu bytes in %lu frames\n",
		      info->sent, info->sent_frames, info->received, info->received_frames);
}

static int list(void)
{
	struct stream_info info;

	if (!stream_info_get(0, &info)) {
		console_print("No streams.\n");
		return 0;
	}
	console_print("%-29s %-10s %-9s %-11s %s\n", "PEER", "STATE", "SERVICE", "CIPHER", "RTT");
	for (unsigned i = 0; stream_info_get(i, &info); i++) {
		print(&info);
	}
	return 0;
}

/* "32M", "1G"; 0: it is no size that can be tested. */
static uint64_t parse_size(const char *text)
{
	char *end;
	uint64_t number = strtoul(text, &end, 10), unit;

	if (*text < '0' || *text > '9' || number > PROBE_SIZE_MAX / MIB) {
		return 0;
	}
	unit = strcmp(end, "M") == 0 ? MIB : strcmp(end, "G") == 0 ? GIB : 0;
	return number * unit < PROBE_SIZE_MIN || number * unit > PROBE_SIZE_MAX ? 0 : number * unit;
}

static int run_stream(int argc, char **argv)
{
	uint64_t size = PROBE_SIZE_DEFAULT;

	if (argc == 1) {
		return list();
	}
	if (strcmp(argv[1], "stop") == 0 && argc == 2) {
		probe_stop();
		return 0;
	}
	if (strcmp(argv[1], "test") != 0) {
		console_print("\"%s\" is not known; allowed: test [SIZE], stop, or nothing.\n",
			      argv[1]);
		return -EINVAL;
	}
	if (argc == 3) {
		size = parse_size(argv[2]);
	}
	if (size == 0) {
		console_print("\"%s\" is no size from 1M to 16G.\n", argv[2]);
		return -EINVAL;
	}
	return probe_start(size);
}

static const char *complete_stream(int argument, unsigned index)
{
	static const char *const words[] = {"test", "stop"};

	return argument == 1 && index < ARRAY_SIZE(words) ? words[index] : NULL;
}

const struct command stream_commands[] = {
	{"stream", "[test [SIZE] | stop]", "Lists the streams to the partner, or tests one.", 0, 2,
	 run_stream, complete_stream},
};

const size_t stream_command_count = ARRAY_SIZE(stream_commands);
