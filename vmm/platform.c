/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/platform.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"
#include "vmm/ticks.h"

/* ---- Building the machine ------------------------------------------------------- */

size_t platform_size(void)
{
	return sizeof(struct platform);
}

/* Into its place by base; regions do not overlap. */
static void add_port_entry(struct platform *platform, struct port_entry entry)
{
	struct port_entry *entries = platform->port_entries;
	unsigned i = platform->port_entry_count++;

	CHECK(i < PLATFORM_PORT_REGION_MAX);
	for (; i > 0 && entries[i - 1].base > entry.base; i--) {
		entries[i] = entries[i - 1];
	}
	CHECK(i == 0 || entries[i - 1].base + entries[i - 1].size <= entry.base);
	entries[i] = entry;
}

static void add_device(struct platform *platform, struct device *device,
		       const struct device_ops *ops)
{
	uint16_t first = 0;

	CHECK(platform->device_count < PLATFORM_DEVICE_MAX);
	platform->devices[platform->device_count++] = device;
	*device = (struct device){ops, platform, TIME_NEVER};
	if (ops->step) {
		platform->timers[platform->timer_count++] = device;
	}
	for (unsigned i = 0; i < ops->port_count; i++) {
		const struct port_region *ports = &ops->ports[i];

		add_port_entry(platform,
			       (struct port_entry){ports->base, ports->size, first, device});
		first += ports->size;
	}
}

void platform_init(struct platform *platform, const struct platform_host *host, uint64_t tsc_hz,
		   uint64_t wall_clock_s)
{
	memset(platform, 0, sizeof(*platform));
	platform->host = *host;
	platform->tsc_hz = tsc_hz;
	platform->deadline_ns = TIME_NEVER;

	/* Before whom interrupts go to, who sends them: the order of resets. */
	add_device(platform, &platform->uart.device, &uart_ops);
	add_device(platform, &platform->pit.device, &pit_ops);
	add_device(platform, &platform->rtc.device, &rtc_ops);
	add_device(platform, &platform->pm.device, &pm_ops);
	add_device(platform, &platform->pci.device, &pci_ops);
	add_device(platform, &platform->i8042.device, &i8042_ops);
	add_device(platform, &platform->debug_exit.device, &debug_exit_ops);
	add_device(platform, &platform->ioapic.device, &ioapic_ops);
	add_device(platform, &platform->pic.device, &pic_ops);
	for (unsigned i = 0; i < PLATFORM_CPU_COUNT; i++) {
		platform->lapic[i].id = i;
		add_device(platform, &platform->lapic[i].device, &lapic_ops);
	}
	platform->port_last = &platform->port_entries[0];

	rtc_init(&platform->rtc, wall_clock_s);
	platform_reset(platform);
}

void platform_reset(struct platform *platform)
{
	platform->event = PLATFORM_NONE;
	for (unsigned i = 0; i < platform->device_count; i++) {
		platform->devices[i]->ops->reset(platform->devices[i]);
	}
	lapic_set_virtual_wire(&platform->lapic[0]);
}

/* ---- What devices ask for --------------------------------------------------------- */

uint64_t device_now_ns(const struct device *device)
{
	const struct platform_host *host = &device->platform->host;

	return host->now_ns(host->context);
}

static uint64_t earliest_deadline(const struct platform *platform)
{
	uint64_t deadline = TIME_NEVER;

	for (unsigned i = 0; i < platform->timer_count; i++) {
		deadline = MIN(deadline, platform->timers[i]->deadline_ns);
	}
	return deadline;
}

void device_set_deadline(struct device *device, uint64_t deadline_ns)
{
	struct platform *platform = device->platform;
	bool was_earliest = device->deadline_ns == platform->deadline_ns;

	device->deadline_ns = deadline_ns;
	if (deadline_ns <= platform->deadline_ns) {
		platform->deadline_ns = deadline_ns;
	} else if (was_earliest) {
		platform->deadline_ns = earliest_deadline(platform);
	}
}

void device_set_irq(struct device *device, unsigned irq, bool level)
{
	struct platform *platform = device->platform;

	pic_set_line(&platform->pic, irq, level);
	ioapic_set_line(&platform->ioapic, irq == MACHINE_IRQ_PIT ? MACHINE_PIN_PIT : irq, level);
}

void device_raise_event(struct device *device, enum platform_event event)
{
	/* The first one ends the guest; what follows has not happened. */
	if (device->platform->event == PLATFORM_NONE) {
		device->platform->event = event;
	}
}

/* ---- Ports ------------------------------------------------------------------------- */

static bool holds(const struct port_entry *entry, uint16_t port)
{
	return (unsigned)port - entry->base < entry->size;
}

/* Kept out of line, as all that is rare here: the usual access needs no stack frame then. */
#define OUT_OF_LINE __attribute__((noinline))

static OUT_OF_LINE const struct port_entry *search_entry(struct platform *platform, uint16_t port)
{
	unsigned low = 0, high = platform->port_entry_count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct port_entry *entry = &platform->port_entries[middle];

		if (holds(entry, port)) {
			platform->port_last = entry;
			return entry;
		}
		if (port < entry->base) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return NULL;
}

/* The region with this port, NULL when there is none. */
static inline const struct port_entry *find_entry(struct platform *platform, uint16_t port)
{
	return holds(platform->port_last, port) ? platform->port_last
						: search_entry(platform, port);
}

static unsigned offset_in(const struct port_entry *entry, unsigned port)
{
	return port - entry->base + entry->first;
}

static uint8_t read_byte(struct platform *platform, uint16_t port)
{
	const struct port_entry *entry = find_entry(platform, port);
	const struct device_ops *ops = entry ? entry->device->ops : NULL;

	if (ops && ops->read) {
		return ops->read(entry->device, offset_in(entry, port));
	}
	if (ops && ops->read_wide) {
		return ops->read_wide(entry->device, offset_in(entry, port), 1);
	}
	return 0xff;
}

static void write_byte(struct platform *platform, uint16_t port, uint8_t value)
{
	const struct port_entry *entry = find_entry(platform, port);
	const struct device_ops *ops = entry ? entry->device->ops : NULL;

	if (ops && ops->write) {
		ops->write(entry->device, offset_in(entry, port), value);
	} else if (ops && ops->write_wide) {
		ops->write_wide(entry->device, offset_in(entry, port), 1, value);
	}
}

/* The device that takes such an access as a whole, NULL: by bytes. */
static const struct port_entry *find_wide(struct platform *platform, uint16_t port, unsigned size)
{
	const struct port_entry *entry = find_entry(platform, port);

	return entry && port - entry->base + size <= entry->size ? entry : NULL;
}

static uint32_t size_mask(unsigned size)
{
	return size < 4 ? (1u << size * 8) - 1 : UINT32_MAX;
}

/* In one, or byte by byte; behind the last port there is nothing. */
static OUT_OF_LINE uint32_t read_wide(struct platform *platform, uint16_t port, unsigned size)
{
	const struct port_entry *entry = find_wide(platform, port, size);
	uint32_t value = 0;

	if (entry && entry->device->ops->read_wide) {
		value = entry->device->ops->read_wide(entry->device, offset_in(entry, port), size);
		return value & size_mask(size);
	}
	for (unsigned i = 0; i < size; i++) {
		uint8_t byte = port + i > UINT16_MAX ? 0xff : read_byte(platform, port + i);

		value |= (uint32_t)byte << i * 8;
	}
	return value;
}

static OUT_OF_LINE void write_wide(struct platform *platform, uint16_t port, unsigned size,
				   uint32_t value)
{
	const struct port_entry *entry = find_wide(platform, port, size);

	if (entry && entry->device->ops->write_wide) {
		entry->device->ops->write_wide(entry->device, offset_in(entry, port), size,
					       value & size_mask(size));
		return;
	}
	for (unsigned i = 0; i < size && port + i <= UINT16_MAX; i++) {
		write_byte(platform, port + i, value >> i * 8);
	}
}

uint32_t platform_io_read(struct platform *platform, uint16_t port, unsigned size)
{
	return size == 1 ? read_byte(platform, port) : read_wide(platform, port, size);
}

void platform_io_write(struct platform *platform, uint16_t port, unsigned size, uint32_t value)
{
	if (size == 1) {
		write_byte(platform, port, value);
	} else {
		write_wide(platform, port, size, value);
	}
}

/* ---- Memory-mapped: the APIC pages -------------------------------------------------- */

/*
 * Registers are 32 bits wide, one each 16 bytes. A read of another size sees the
 * bytes that it asks for, zeros beyond the register; a write of another size or
 * beside a register's start does nothing (SDM 3, "Local APIC Register Address Map").
 */
static uint64_t cut_register(uint32_t value, unsigned offset, unsigned size)
{
	unsigned first = offset % 16;

	if (first >= 4) {
		return 0;
	}
	return value >> first * 8 & size_mask(size);
}

bool platform_mmio_read(struct platform *platform, gpa_t gpa, unsigned size, uint64_t *value)
{
	unsigned offset = gpa.v % PAGE_SIZE;

	if (lapic_claims(&platform->lapic[0], gpa.v)) {
		*value = cut_register(lapic_read(&platform->lapic[0], offset), offset, size);
		return true;
	}
	if (gpa.v - MACHINE_IOAPIC_BASE < IOAPIC_SIZE) {
		*value = cut_register(ioapic_read(&platform->ioapic, offset & ~3u), offset, size);
		return true;
	}
	return false;
}

bool platform_mmio_write(struct platform *platform, gpa_t gpa, unsigned size, uint64_t value)
{
	unsigned offset = gpa.v % PAGE_SIZE;

	if (lapic_claims(&platform->lapic[0], gpa.v)) {
		if (size == 4 && offset % 16 == 0) {
			lapic_write(&platform->lapic[0], offset, value);
		}
		return true;
	}
	if (gpa.v - MACHINE_IOAPIC_BASE < IOAPIC_SIZE) {
		ioapic_write(&platform->ioapic, offset, value & size_mask(size));
		return true;
	}
	return false;
}

/* ---- MSRs ----------------------------------------------------------------------------- */

int platform_msr_read(struct platform *platform, uint32_t index, uint64_t *value)
{
	return lapic_read_msr(&platform->lapic[0], index, value);
}

int platform_msr_write(struct platform *platform, uint32_t index, uint64_t value)
{
	return lapic_write_msr(&platform->lapic[0], index, value);
}

/* ---- What the vCPU's loop asks ----------------------------------------------------------- */

void platform_step(struct platform *platform)
{
	uint64_t now = platform->host.now_ns(platform->host.context);

	uart_poll(&platform->uart);
	if (now < platform->deadline_ns) {
		return;
	}
	for (unsigned i = 0; i < platform->timer_count; i++) {
		struct device *device = platform->timers[i];

		if (device->deadline_ns <= now) {
			device->ops->step(device, now);
		}
	}
}

int platform_irq_acknowledge(struct platform *platform)
{
	return lapic_acknowledge(&platform->lapic[0]);
}

void platform_nmi_raise(struct platform *platform)
{
	if (!platform->rtc.state.nmi_masked) {
		lapic_pulse_lint1(&platform->lapic[0]);
	}
}

bool platform_init_take(struct platform *platform)
{
	bool pending = platform->lapic[0].state.init_pending;

	if (pending) {
		lapic_init(&platform->lapic[0]);
	}
	return pending;
}

enum platform_event platform_event_take(struct platform *platform)
{
	enum platform_event event = platform->event;

	platform->event = PLATFORM_NONE;
	return event;
}

uint32_t platform_exit_code(const struct platform *platform)
{
	return platform->debug_exit.state.code;
}

uint32_t platform_apic_id(const struct platform *platform)
{
	return platform->lapic[0].id;
}

bool platform_apic_enabled(const struct platform *platform)
{
	return lapic_is_enabled(&platform->lapic[0]);
}

/* ---- Saved state ------------------------------------------------------------------------- */

struct record {
	char name[8];
	uint32_t version;
	uint32_t size; /* of the state that follows; a multiple of 8 */
};
_Static_assert(sizeof(struct record) == 16, "no padding");

static uint8_t *state_of(const struct device *device)
{
	return (uint8_t *)device + device->ops->state_offset;
}

static struct record record_of(const struct device *device)
{
	struct record record = {
		.version = device->ops->state_version,
		.size = device->ops->state_size,
	};

	memcpy(record.name, device->ops->name, sizeof(record.name));
	return record;
}

size_t platform_state_size(const struct platform *platform)
{
	size_t size = 0;

	for (unsigned i = 0; i < platform->device_count; i++) {
		size += sizeof(struct record) + platform->devices[i]->ops->state_size;
	}
	return size;
}

void platform_save(const struct platform *platform, void *state)
{
	uint8_t *to = state;

	for (unsigned i = 0; i < platform->device_count; i++) {
		const struct device *device = platform->devices[i];
		struct record record = record_of(device);

		memcpy(to, &record, sizeof(record));
		memcpy(to + sizeof(record), state_of(device), record.size);
		to += sizeof(record) + record.size;
	}
}

/* Foreign bytes: every record is what this machine would have written, and legal. */
static int validate_all(const struct platform *platform, const uint8_t *state)
{
	for (unsigned i = 0; i < platform->device_count; i++) {
		const struct device *device = platform->devices[i];
		struct record record = record_of(device);

		if (memcmp(state, &record, sizeof(record)) != 0 ||
		    device->ops->validate(state + sizeof(record)) != 0) {
			return -EINVAL;
		}
		state += sizeof(record) + record.size;
	}
	return 0;
}

int platform_load(struct platform *platform, const void *state, size_t size)
{
	const uint8_t *from = state;

	if (size != platform_state_size(platform) || validate_all(platform, state) != 0) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < platform->device_count; i++) {
		struct device *device = platform->devices[i];

		from += sizeof(struct record);
		memcpy(state_of(device), from, device->ops->state_size);
		from += device->ops->state_size;
	}
	for (unsigned i = 0; i < platform->device_count; i++) {
		struct device *device = platform->devices[i];

		if (device->ops->load) {
			device->ops->load(device);
		}
	}
	return 0;
}
