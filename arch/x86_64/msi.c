/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/msi.h"

#include <errno.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/traps.h"

/* Message address, and data: fixed delivery and edge are zeros (SDM 3, 11.11). */
#define MSI_ADDRESS 0xfee00000
#define MSI_DESTINATION BITS(19, 12)
#define DESTINATION_ALL 0xff

static struct {
	void (*handler)(void *context);
	void *context;
} messages[VECTOR_MSI_COUNT];

static unsigned message_count;

int msi_register(void (*handler)(void *context), void *context, struct msi_message *message)
{
	unsigned i = message_count;

	/* A message has no room for an x2APIC ID: then there are none to give. */
	if (i == VECTOR_MSI_COUNT || boot_cpu.apic_id >= DESTINATION_ALL) {
		return -ENOSPC;
	}
	messages[i].handler = handler;
	messages[i].context = context;
	message_count++;
	message->address = MSI_ADDRESS | field_set(MSI_DESTINATION, boot_cpu.apic_id);
	message->data = VECTOR_MSI + i;
	return 0;
}

void msi_dispatch(unsigned index)
{
	if (index < message_count) {
		messages[index].handler(messages[index].context);
	}
	apic_eoi();
}
