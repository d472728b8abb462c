/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look-up in the sorted table that tools/symbols wrote. Runs in a panic: it
 * needs no lock, no memory, and nothing that could have been damaged.
 */
#include "arch/x86_64/symbols.h"

/* One function: its distance from the start of the text, and of its name. */
struct symbol {
	uint32_t offset;
	uint32_t name;
};

_Static_assert(sizeof(struct symbol) == 8, "as tools/symbols writes it");

/* By linker.ld. The names follow the last entry. */
extern const struct symbol __symbols_start[], __symbols_end[];
extern const char __text_start[], __text_end[];

const char *symbol_find(uint64_t address, uint64_t *offset)
{
	const char *names = (const char *)__symbols_end;
	uint64_t start = (uintptr_t)__text_start;
	size_t low = 0, high = (size_t)(__symbols_end - __symbols_start);

	if (address < start || address >= (uintptr_t)__text_end || high == 0) {
		return NULL;
	}
	address -= start;
	/* The entry sought is in [low, high): the last that is not behind address. */
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (__symbols_start[middle].offset <= address) {
			low = middle;
		} else {
			high = middle;
		}
	}
	*offset = address - __symbols_start[low].offset;
	return names + __symbols_start[low].name;
}
