/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as dyad.conf: what comes out keeps the promises of base/config.h. */
#include <string.h>

#include "base/check.h"
#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
	size_t size;
	unsigned count;
};

/* More than any name has, and than a quote may show: it would be a piece of the pair's key. */
#define DIGIT_RUN_MAX 31

static void check_report(void *context, unsigned line, const char *text)
{
	struct told *told = context;

	CHECK(line >= 1 && line <= told->size + 1);
	CHECK(strlen(text) > 0 && strlen(text) < 320);
	for (; *text != '\0'; text++) {
		CHECK(*text >= ' ' && *text <= '~');
		CHECK(strspn(text, "0123456789abcdefABCDEF") <= DIGIT_RUN_MAX);
	}
	told->count++;
}

static bool is_terminated(const char *string, size_t size)
{
	return memchr(string, '\0', size) != NULL;
}

static void check_guest(const struct config_guest *guest)
{
	CHECK(guest->name[0] != '\0' && is_terminated(guest->name, sizeof(guest->name)));
	CHECK(is_terminated(guest->kernel, sizeof(guest->kernel)));
	CHECK(is_terminated(guest->initrd, sizeof(guest->initrd)));
	CHECK(is_terminated(guest->cmdline, sizeof(guest->cmdline)));
	CHECK(guest->module_count <= CONFIG_MODULE_MAX);
	for (unsigned i = 0; i < guest->module_count; i++) {
		CHECK(guest->modules[i][0] != '\0' && guest->modules[i][0] != ' ');
		CHECK(is_terminated(guest->modules[i], sizeof(guest->modules[i])));
	}
	CHECK(guest->cpu <= CPU_POLICY_X86_64_V3);
	CHECK(guest->on_poweroff <= ACTION_RESTART && guest->on_reboot <= ACTION_RESTART &&
	      guest->on_crash <= ACTION_RESTART);
	if (guest->valid) {
		CHECK(guest->kernel[0] != '\0');
		CHECK(guest->memory >= 2 * MIB && guest->memory <= 1024 * GIB);
		CHECK(guest->memory % (2 * MIB) == 0);
	}
}

static void check_addresses(char (*addresses)[CONFIG_ADDRESS_MAX], unsigned count, unsigned max)
{
	CHECK(count <= max);
	for (unsigned i = 0; i < count; i++) {
		CHECK(addresses[i][0] != '\0' && is_terminated(addresses[i], CONFIG_ADDRESS_MAX));
	}
}

static void check_interface(struct config_interface *interface)
{
	CHECK(interface->name[0] != '\0');
	CHECK(is_terminated(interface->name, sizeof(interface->name)));
	CHECK(interface->mtu >= 576 && interface->mtu <= 9000);
	CHECK(!interface->has_mac || (interface->mac[0] & 1) == 0);
	check_addresses(interface->addresses, interface->address_count, CONFIG_ADDRESS_COUNT);
	check_addresses(interface->gateways, interface->gateway_count, 2);
}

static void check_partner(struct config_partner *partner)
{
	static const uint8_t zero[CONFIG_KEY_SIZE];

	CHECK(partner->line != 0 || !partner->valid);
	CHECK(!partner->valid || partner->has_key);
	CHECK(!partner->valid || partner->serial || partner->address_count > 0);
	CHECK(partner->has_key == (memcmp(partner->key, zero, sizeof(zero)) != 0));
	check_addresses(partner->addresses, partner->address_count, CONFIG_ADDRESS_COUNT);
	config_forget_key(CONTAINER_OF(partner, struct config, partner));
	CHECK(memcmp(partner->key, zero, sizeof(zero)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config;
	struct told told = {.size = size};
	unsigned mistakes = config_parse((const char *)data, size, &config, check_report, &told);

	CHECK(mistakes == told.count);
	CHECK(config.host_name[0] != '\0');
	CHECK(is_terminated(config.host_name, sizeof(config.host_name)));
	CHECK(config.panic_reboot_s <= 3600);
	CHECK(config.interface_count <= CONFIG_INTERFACE_MAX);
	for (unsigned i = 0; i < config.interface_count; i++) {
		CHECK(config.interfaces[i].valid || mistakes > 0);
		check_interface(&config.interfaces[i]);
	}
	CHECK(config.partner.valid || config.partner.line == 0 || mistakes > 0);
	check_partner(&config.partner);
	CHECK(config.guest_count <= CONFIG_GUEST_MAX);
	for (unsigned i = 0; i < config.guest_count; i++) {
		CHECK(config.guests[i].valid || mistakes > 0);
		check_guest(&config.guests[i]);
	}
	return 0;
}
