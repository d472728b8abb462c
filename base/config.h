/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: \dyad\dyad.conf, INI with sections [host], [interface NAME],
 * [partner] and [guest NAME].
 *
 * A pure parser. It reads the text once, reports every mistake with its line,
 * what is wrong and what is allowed, and keeps what is good: a mistake spoils
 * the section that it is in, and no other. The loader uses it too, to learn
 * which files to read. docs/configuration.md is its description for users.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/types.h"

#define CONFIG_NAME_MAX 32 /* with the terminating zero, as all below */
#define CONFIG_FILE_MAX 64
#define CONFIG_CMDLINE_MAX 1024
#define CONFIG_GUEST_MAX 16
#define CONFIG_MODULE_MAX 4
#define CONFIG_INTERFACE_MAX 4
#define CONFIG_ADDRESS_MAX 56 /* "IPv6/prefix%interface" and the like, as text */
#define CONFIG_ADDRESS_COUNT 4
#define CONFIG_KEY_SIZE 32 /* bytes */

/* What happens to a guest that ended in some way. */
enum config_action { ACTION_STOP, ACTION_RESTART };

enum config_cpu { CPU_POLICY_HOST, CPU_POLICY_X86_64_V2, CPU_POLICY_X86_64_V3 };

struct config_guest {
	char name[CONFIG_NAME_MAX]; /* letters, digits, - and _; unique */
	unsigned line; /* of its section */
	bool valid; /* false: had a mistake, is listed but cannot start */
	char kernel[CONFIG_FILE_MAX]; /* bzImage, PVH ELF or multiboot ELF */
	char initrd[CONFIG_FILE_MAX]; /* "" = none */
	char cmdline[CONFIG_CMDLINE_MAX];
	/* Multiboot modules after the kernel: "FILE [arguments]". */
	unsigned module_count;
	char modules[CONFIG_MODULE_MAX][CONFIG_FILE_MAX];
	uint64_t memory; /* bytes, a multiple of 2 MiB; 2 MiB to 1 TiB */
	enum config_cpu cpu;
	bool start; /* at boot: "start = auto" or "manual" */
	enum config_action on_poweroff, on_reboot, on_crash;
};

/*
 * A network interface. Addresses stay text here; net reads them, with lwIP's own
 * parser, and reports what is none with `line`.
 */
struct config_interface {
	char name[CONFIG_NAME_MAX];
	unsigned line; /* of its section */
	bool valid;
	bool has_mac; /* which NIC; else the next one that no section names */
	uint8_t mac[6];
	unsigned address_count; /* "dhcp", or IPv4 or IPv6 with prefix length */
	char addresses[CONFIG_ADDRESS_COUNT][CONFIG_ADDRESS_MAX];
	unsigned gateway_count;
	char gateways[2][CONFIG_ADDRESS_MAX];
	unsigned mtu; /* 576 to 9000, default 1500 */
};

/* The other host of the pair. */
struct config_partner {
	unsigned line; /* of the section; 0: there is none */
	bool valid;
	unsigned address_count; /* each is a path for heartbeats; IPv6 may have %interface */
	char addresses[CONFIG_ADDRESS_COUNT][CONFIG_ADDRESS_MAX];
	bool serial; /* "serial = com2": a path by the second serial port */
	bool has_key;
	uint8_t key[CONFIG_KEY_SIZE]; /* secret: never in a message, a log or a dump */
};

struct config {
	char host_name[CONFIG_NAME_MAX]; /* default "dyad" */
	unsigned panic_reboot_s; /* default 10; 0 = stay */
	unsigned interface_count;
	struct config_interface interfaces[CONFIG_INTERFACE_MAX];
	struct config_partner partner;
	unsigned guest_count;
	struct config_guest guests[CONFIG_GUEST_MAX];
};

/* One mistake: `text` is a sentence without the position. */
typedef void config_report_fn(void *context, unsigned line, const char *text);

/*
 * Parses `size` bytes of text (no zero needed at the end) into *config, with
 * defaults where nothing is said. Returns the number of mistakes reported.
 */
unsigned config_parse(const char *text, size_t size, struct config *config,
		      config_report_fn *report, void *context);

/* Overwrites the pair's key: what needs it has derived its own. has_key stays. */
void config_forget_key(struct config *config);

#endif
