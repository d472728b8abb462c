/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's network: lwIP on the service CPU, over every NIC that a driver
 * runs. Streams (net/stream.h) and heartbeats (net/beat.h) are what it is for.
 *
 * Rules: nobody outside net/ sees lwIP. Everything here runs on the service CPU
 * and none of it waits; a step does a bounded amount of work, so that
 * heartbeats and the console keep their turn while the network is loaded.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/command.h"
#include "base/config.h"

/*
 * Brings up an interface for each NIC: those of the configuration by their
 * section, others as ethN with a link-local address only. What cannot be had
 * (a section without a NIC, an address that is none) is an error in the log
 * that names it; the rest comes up. After nic_init.
 */
void net_init(const struct config *config);

/* The service (service_fn): frames in, timers, frames out. */
uint64_t net_step(uint64_t now_ns);

/* net, ping, pcap. */
extern const struct command net_commands[];
extern const size_t net_command_count;

#endif
