/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the three loaders share: one load in progress.
 *
 * Everything that is put into the guest's memory is claimed first: the range
 * must be RAM that the guest will be told of, and no two claims may overlap.
 * So an image that lies about its addresses can harm nothing but its own load.
 *
 * The first error stays: nothing is put from then on, and addresses are 0.
 */
#ifndef VMM_LOADER_H
#define VMM_LOADER_H

#include <string.h>

#include "vmm/load.h"

/* The guest's memory map, as PVH wants it: kinds as in ACPI 6.5, table 15.9 ("E820"). */
#define RANGE_RAM 1
#define RANGE_RESERVED 2
#define LOADER_RANGE_COUNT 4

struct loader_range {
	uint64_t base, size;
	uint32_t kind, reserved;
};

/* End of the RAM below the BIOS data area, where small structures go. */
#define LOADER_LOW_END UINT64_C(0x9fc00)

#define LOADER_CLAIM_MAX 32

struct loader_claim {
	const char *what;
	uint64_t base, end;
};

/* An ELF file of either class whose header was found to be sound. */
struct elf {
	const uint8_t *data; /* NULL: the kernel is none */
	size_t size;
	bool is_64;
	uint64_t entry;
	uint64_t table; /* of program headers, inside the file */
	unsigned segment_count, segment_stride;
};

struct loader {
	struct guest_memory *memory;
	const struct load_request *request;
	struct vcpu_state *state;
	char *error; /* LOAD_ERROR_MAX bytes */
	int result; /* 0 or the first error */
	struct elf elf;
	unsigned range_count;
	struct loader_range ranges[LOADER_RANGE_COUNT];
	unsigned claim_count;
	struct loader_claim claims[LOADER_CLAIM_MAX];
};

/* Sets the result and writes the sentence, if there was no error before. */
void loader_fail(struct loader *loader, int error, const char *format, ...) PRINTF_LIKE(3, 4);

/* Claims memory_size bytes at `base`; copies `size` of them, the rest are 0. */
void loader_put_at(struct loader *loader, const char *what, gpa_t base, const void *data,
		   uint64_t size, uint64_t memory_size);

/*
 * Claims the highest free range of RAM that ends at or below `limit`, and
 * copies `data` to it (NULL: zeroes).
 */
gpa_t loader_put(struct loader *loader, const char *what, const void *data, uint64_t size,
		 uint64_t align, uint64_t limit);

/* The same in low memory, for a structure of the boot protocol and a string with its zero. */
uint32_t loader_put_low(struct loader *loader, const char *what, const void *data, uint64_t size);
uint32_t loader_put_string(struct loader *loader, const char *what, const char *string);

/* Copies (NULL: zeroes) into what was put before. */
void loader_write(struct loader *loader, const char *what, gpa_t gpa, const void *data,
		  uint64_t size);

/* Fails when `entry` is beyond 4 GiB or not in what was loaded. */
void loader_check_entry(struct loader *loader, const char *protocol, uint64_t entry);

/*
 * The initrd and the modules as one list, in the form of PVH. At most
 * LOADER_MODULE_MAX of them; returns their count.
 */
#define LOADER_MODULE_MAX 8

struct loader_module {
	gpa_t base;
	uint64_t size, cmdline, reserved;
};

unsigned loader_put_modules(struct loader *loader, struct loader_module modules[LOADER_MODULE_MAX]);

/* 32-bit protected mode, flat segments, no paging; registers 0. */
void loader_state_flat(struct loader *loader, uint64_t entry);

/* ---- ELF --------------------------------------------------------------- */

#define PT_LOAD 1
#define PT_NOTE 4

struct elf_segment {
	uint32_t type;
	uint64_t offset, virtual, physical, file_size, memory_size, align;
};

/* Fills loader->elf, when the kernel is an ELF file. */
void elf_open(struct loader *loader);
struct elf_segment elf_get_segment(const struct elf *elf, unsigned index);
/* Puts all PT_LOAD segments to their physical addresses. */
void elf_load(struct loader *loader);

/* The physical entry by the PVH note; false when there is none. */
bool pvh_find_entry(const struct elf *elf, uint64_t *entry);
void pvh_load(struct loader *loader, uint64_t entry);

/* ---- Multiboot, bzImage ------------------------------------------------ */

/* Offset of the multiboot header in the kernel image; false: there is none. */
bool multiboot_find(const struct load_image *image, size_t *offset);
void multiboot_load(struct loader *loader, size_t header);

bool bzimage_is_bzimage(const struct load_image *image);
void bzimage_load(struct loader *loader);

/* ---- Little-endian fields of images ------------------------------------- */

static inline uint64_t get_field(const uint8_t *bytes, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, bytes, size);
	return value;
}

static inline uint16_t get_u16(const uint8_t *bytes)
{
	return (uint16_t)get_field(bytes, 2);
}

static inline uint32_t get_u32(const uint8_t *bytes)
{
	return (uint32_t)get_field(bytes, 4);
}

static inline uint64_t get_u64(const uint8_t *bytes)
{
	return get_field(bytes, 8);
}

/* True when [offset, offset + size) lies inside `limit` bytes. */
static inline bool range_fits(uint64_t offset, uint64_t size, uint64_t limit)
{
	return offset <= limit && size <= limit - offset;
}

#endif
