/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the three loaders share: one load in progress.
 *
 * Everything that is put into the guest's memory is claimed first: the range
 * must be RAM that the guest will be told of, and no two claims may overlap.
 * So an image that lies about its addresses can harm nothing but its own load.
 */
#ifndef VMM_LOADER_H
#define VMM_LOADER_H

#include <string.h>

#include "vmm/load.h"

/* The guest's memory map: kinds as in ACPI 6.5, table 15.9 ("E820"). */
#define RANGE_RAM 1
#define RANGE_RESERVED 2
#define LOADER_RANGE_COUNT 4

struct loader_range {
	uint64_t base, size;
	uint32_t kind;
};

/* End of the RAM below the BIOS data area, where small structures go. */
#define LOADER_LOW_END UINT64_C(0x9fc00)

#define LOADER_CLAIM_MAX 32

struct loader_claim {
	const char *what;
	uint64_t base, end;
};

struct loader {
	struct guest_memory *memory;
	const struct load_request *request;
	struct vcpu_state *state;
	char *error; /* LOAD_ERROR_MAX bytes */
	unsigned range_count;
	struct loader_range ranges[LOADER_RANGE_COUNT];
	unsigned claim_count;
	struct loader_claim claims[LOADER_CLAIM_MAX];
};

/* Writes the sentence and returns `error`. */
int loader_fail(struct loader *loader, int error, const char *format, ...) PRINTF_LIKE(3, 4);

/* Claims a range that the image asks for. Nothing is claimed for size 0. */
int loader_claim(struct loader *loader, const char *what, gpa_t base, uint64_t size) MUST_CHECK;

/* Claims memory_size bytes at `base`; copies `size` of them, the rest are 0. */
int loader_put_at(struct loader *loader, const char *what, gpa_t base, const void *data,
		  uint64_t size, uint64_t memory_size) MUST_CHECK;

/*
 * Claims the highest free range of RAM that ends at or below `limit`, and
 * copies `data` to it (NULL: zeroes).
 */
int loader_put(struct loader *loader, const char *what, const void *data, uint64_t size,
	       uint64_t align, uint64_t limit, gpa_t *base) MUST_CHECK;

/* The same for a string with its terminating zero, in low memory. */
int loader_put_string(struct loader *loader, const char *what, const char *string,
		      gpa_t *base) MUST_CHECK;

/* True when `address` was claimed: an entry point of code that was loaded. */
bool loader_is_claimed(const struct loader *loader, uint64_t address);

/*
 * The initrd and the modules as one list, as PVH and multiboot take them. At
 * most LOADER_MODULE_MAX of them.
 */
#define LOADER_MODULE_MAX 8

struct loader_module {
	gpa_t base, cmdline;
	uint64_t size;
};

int loader_put_modules(struct loader *loader, struct loader_module modules[LOADER_MODULE_MAX],
		       unsigned *count) MUST_CHECK;

/* 32-bit protected mode, flat segments, no paging; registers 0. */
void loader_state_flat(struct loader *loader, uint64_t entry);

/* ---- ELF --------------------------------------------------------------- */

/* An ELF file of either class whose header was found to be sound. */
struct elf {
	const uint8_t *data;
	size_t size;
	bool is_64;
	uint64_t entry;
	uint64_t table; /* of program headers, inside the file */
	unsigned segment_count, segment_stride;
};

struct elf_segment {
	uint32_t type;
	uint64_t offset, virtual, physical, file_size, memory_size, align;
};

bool elf_is_elf(const struct load_image *image);
int elf_open(struct loader *loader, struct elf *elf) MUST_CHECK;
void elf_get_segment(const struct elf *elf, unsigned index, struct elf_segment *segment);
/* Puts all PT_LOAD segments to their physical addresses. */
int elf_load(struct loader *loader, const struct elf *elf) MUST_CHECK;

/* The physical entry by the PVH note; false when there is none. */
bool pvh_find_entry(const struct elf *elf, uint64_t *entry);
int pvh_load(struct loader *loader, const struct elf *elf, uint64_t entry) MUST_CHECK;

/* ---- Multiboot, bzImage ------------------------------------------------ */

/* Offset of the multiboot header in the kernel image; false: there is none. */
bool multiboot_find(const struct load_image *image, size_t *offset);
int multiboot_load(struct loader *loader, size_t header) MUST_CHECK;

bool bzimage_is_bzimage(const struct load_image *image);
int bzimage_load(struct loader *loader) MUST_CHECK;

/* ---- Little-endian fields of images ------------------------------------- */

static inline uint16_t get_u16(const uint8_t *bytes)
{
	uint16_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static inline uint32_t get_u32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static inline uint64_t get_u64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

/* True when [offset, offset + size) lies inside `limit` bytes. */
static inline bool range_fits(uint64_t offset, uint64_t size, uint64_t limit)
{
	return offset <= limit && size <= limit - offset;
}

#endif
