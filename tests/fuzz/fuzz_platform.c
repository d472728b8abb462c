/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that does anything to its devices: each record of the input is an
 * access or a passing of time. At its end the machine's state is one that it
 * accepts again. The first byte chooses: accesses, or a saved state that the
 * input overwrites in places.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/ring.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"

#define STEPS_MAX 64
#define TIME_MAX (UINT64_C(1) << 60)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t now_ns;

static uint64_t fuzz_now(void *context)
{
	(void)context;
	return now_ns;
}

static void fuzz_output(void *context, uint8_t byte)
{
	(void)context;
	(void)byte;
}

static uint8_t input_bytes[256];
static struct byte_queue input = {.data = input_bytes, .size = sizeof(input_bytes)};

static struct platform *create(void)
{
	static const struct platform_host host = {
		.now_ns = fuzz_now,
		.console_output = fuzz_output,
		.console_input = &input,
	};
	struct platform *platform = malloc(platform_size());

	CHECK(platform);
	platform_init(platform, &host, UINT64_C(2500000000), 1700000000);
	return platform;
}

struct record {
	uint8_t kind;
	uint8_t size; /* of the access: 1 << (size % 4) */
	uint16_t where;
	uint8_t value[8];
};

/* Ports and registers near devices, mostly. */
static uint16_t port_of(uint16_t where)
{
	static const uint16_t bases[] = {0x20, 0x40,  0x60,  0x70,  0x92,  0xa0,
					 0xf0, 0x3f8, 0x4d0, 0x600, 0x608, 0xcf8};

	return where & 0x8000 ? where : bases[where % ARRAY_SIZE(bases)] + (where >> 8 & 7);
}

static uint32_t msr_of(uint16_t where)
{
	static const uint32_t others[] = {MSR_APIC_BASE, MSR_TSC_DEADLINE, 0x10, 0xc0000080};

	return where & 0x100 ? others[where % 4] : MSR_X2APIC_FIRST + (where & 0x7f);
}

static gpa_t gpa_of(uint16_t where)
{
	return GPA((where & 0x8000 ? MACHINE_IOAPIC_BASE : MACHINE_LAPIC_BASE) + (where & 0xfff));
}

/* Time moves to the next deadline or by any span; deadlines must be served. */
static void pass(struct platform *platform, uint64_t value)
{
	uint64_t deadline = platform_deadline_ns(platform);

	if ((value & 1) && deadline < TIME_MAX) {
		now_ns = MAX(now_ns, deadline);
	} else {
		now_ns += value >> (value & 63);
	}
	now_ns %= TIME_MAX;
	for (unsigned i = 0; platform_deadline_ns(platform) <= now_ns; i++) {
		CHECK(i < STEPS_MAX);
		platform_step(platform);
	}
}

static void enter(struct platform *platform)
{
	if (platform_irq_pending(platform)) {
		int vector = platform_irq_acknowledge(platform);

		CHECK(vector >= -1 && vector <= 255);
	}
	platform_nmi_take(platform);
	platform_init_take(platform);
	if (platform_event_take(platform) == PLATFORM_RESET) {
		platform_reset(platform);
	}
}

static void run(struct platform *platform, const struct record *record)
{
	unsigned io_size = 1u << record->size % 3;
	unsigned mmio_size = 1u << record->size % 4;
	uint64_t value;

	memcpy(&value, record->value, sizeof(value));
	switch (record->kind % 10) {
	case 0:
	case 1:
		platform_io_write(platform, port_of(record->where), io_size, (uint32_t)value);
		break;
	case 2:
		platform_io_read(platform, port_of(record->where), io_size);
		break;
	case 3:
		platform_mmio_write(platform, gpa_of(record->where), mmio_size, value);
		break;
	case 4:
		platform_mmio_read(platform, gpa_of(record->where), mmio_size, &value);
		break;
	case 5:
		CHECK(platform_msr_write(platform, msr_of(record->where), value) <= 0);
		break;
	case 6:
		CHECK(platform_msr_read(platform, msr_of(record->where), &value) <= 0);
		break;
	case 7:
		pass(platform, value);
		break;
	case 8:
		byte_queue_write(&input, record->value, sizeof(record->value));
		platform_step(platform);
		break;
	case 9:
		enter(platform);
		break;
	}
}

/* The state that a guest led its machine to is one that it can be loaded from. */
static void check_state(struct platform *platform)
{
	struct platform *copy = create();
	size_t size = platform_state_size(platform);
	uint8_t *before = malloc(size), *after = malloc(size);

	CHECK(before && after);
	platform_save(platform, before);
	CHECK(platform_load(copy, before, size) == 0);
	platform_save(copy, after);
	CHECK(memcmp(before, after, size) == 0);
	CHECK(platform_irq_pending(copy) == platform_irq_pending(platform));
	free(before);
	free(after);
	free(copy);
}

/* A hostile state is refused, or the machine runs on with it. */
static void load_hostile(struct platform *platform, const uint8_t *data, size_t size)
{
	size_t state_size = platform_state_size(platform);
	uint8_t *state = malloc(state_size);

	CHECK(state);
	platform_save(platform, state);
	while (size >= 4) {
		state[(data[0] | data[1] << 8) % state_size] = data[2];
		data += 3;
		size -= 3;
	}
	if (platform_load(platform, state, state_size) == 0) {
		for (unsigned i = 0; i < 16; i++) {
			pass(platform, i % 2 ? 1 : UINT64_C(1) << (i * 2 + 1));
			enter(platform);
			for (uint16_t port = 0; port < 16; port++) {
				platform_io_read(platform, port_of(port), 1);
			}
		}
	}
	free(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct platform *platform = create();
	struct record record;

	now_ns = 0;
	if (size > 0 && data[0] == 0xff) {
		load_hostile(platform, data + 1, size - 1);
		size = 0;
	}
	for (; size >= sizeof(record); data += sizeof(record), size -= sizeof(record)) {
		memcpy(&record, data, sizeof(record));
		run(platform, &record);
	}
	check_state(platform);
	free(platform);
	return 0;
}
