/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's paravirtual clock, written into guest memory.
 */
#include "vmm/pvclock.h"

#include "base/bits.h"

#define NS_PER_S UINT64_C(1000000000)

struct time_info {
	uint32_t version; /* odd while it is being written */
	uint32_t pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad[2];
};

_Static_assert(sizeof(struct time_info) == 32, "pvclock-abi.h");

struct wall_clock {
	uint32_t version;
	uint32_t sec;
	uint32_t nsec;
};

_Static_assert(sizeof(struct wall_clock) == 12, "pvclock-abi.h");

struct pvclock_scale pvclock_scale(uint64_t hz)
{
	struct pvclock_scale scale = {0};
	uint64_t ticks = hz;

	/* Shift until a tick is between half a nanosecond and one. */
	while (ticks > 2 * NS_PER_S) {
		ticks >>= 1;
		scale.shift--;
	}
	while (ticks <= NS_PER_S) {
		ticks <<= 1;
		scale.shift++;
	}
	scale.mul = (uint32_t)((NS_PER_S << 32) / ticks);
	return scale;
}

int pvclock_write_time(struct guest_memory *memory, gpa_t gpa, uint64_t hz, uint8_t flags)
{
	struct pvclock_scale scale = pvclock_scale(hz);
	struct time_info info = {
		.version = 2,
		.tsc_to_system_mul = scale.mul,
		.tsc_shift = scale.shift,
		.flags = flags,
	};

	return memory_write(memory, gpa, &info, sizeof(info));
}

int pvclock_write_wall_clock(struct guest_memory *memory, gpa_t gpa, uint64_t start_s)
{
	struct wall_clock clock = {.version = 2, .sec = (uint32_t)start_s};

	return memory_write(memory, gpa, &clock, sizeof(clock));
}
