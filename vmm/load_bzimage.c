/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux bzImage by the 64-bit boot protocol (Documentation/arch/x86/boot.rst,
 * zero-page.rst): the kernel starts in long mode, identity-mapped, with RSI at
 * its boot_params.
 */
#include "vmm/loader.h"

#include <errno.h>
#include <inttypes.h>

/* The setup header: offsets in the image, and the same in boot_params. */
#define HDR_START 0x1f1
#define HDR_SETUP_SECTORS 0x1f1
#define HDR_PROTECTED_SIZE 0x1f4 /* in 16 bytes */
#define HDR_BOOT_FLAG 0x1fe
#define HDR_JUMP_LENGTH 0x201 /* the header ends that far behind 0x202 */
#define HDR_MAGIC 0x202
#define HDR_VERSION 0x206
#define HDR_LOADER_TYPE 0x210
#define HDR_LOAD_FLAGS 0x211
#define HDR_RAMDISK_BASE 0x218
#define HDR_RAMDISK_SIZE 0x21c
#define HDR_CMDLINE 0x228
#define HDR_INITRD_MAX 0x22c
#define HDR_ALIGNMENT 0x230
#define HDR_RELOCATABLE 0x234
#define HDR_XLOAD_FLAGS 0x236
#define HDR_CMDLINE_SIZE 0x238
#define HDR_PREF_ADDRESS 0x258
#define HDR_INIT_SIZE 0x260
#define HDR_MIN_END 0x264
#define HDR_MAX_END 0x290 /* what boot_params has room for */

#define PARAMS_RSDP 0x70
#define PARAMS_E820_COUNT 0x1e8
#define PARAMS_E820 0x2d0

#define VERSION_MIN 0x020c
#define LOAD_FLAGS_HIGH 0x01
#define XLOAD_FLAGS_64 0x01
#define LOADER_TYPE_OTHER 0xff
#define ENTRY_64 0x200

struct e820_entry {
	uint64_t base, size;
	uint32_t kind;
} __attribute__((packed));

/* What the header says, once it was checked against the file. */
struct bzimage {
	const uint8_t *header; /* the image; offsets above count from it */
	unsigned header_end;
	const uint8_t *code;
	uint64_t code_size;
	uint64_t alignment, init_size;
};

bool bzimage_is_bzimage(const struct load_image *image)
{
	return image->size >= HDR_VERSION + 2 && get_u16(image->data + HDR_BOOT_FLAG) == 0xaa55 &&
	       memcmp(image->data + HDR_MAGIC, "HdrS", 4) == 0;
}

static int bzimage_open(struct loader *loader, struct bzimage *bzimage)
{
	const struct load_image *image = &loader->request->kernel;
	const uint8_t *data = image->data;
	unsigned version = get_u16(data + HDR_VERSION);
	unsigned sectors;
	uint64_t setup_size;

	*bzimage = (struct bzimage){.header = data};
	if (image->size < HDR_MAX_END || version < VERSION_MIN) {
		return loader_fail(loader, -EINVAL,
				   "kernel: bzImage of %" PRIu64
				   " bytes with boot protocol %u.%02u, "
				   "2.12 is needed",
				   image->size, version >> 8, version & 0xff);
	}
	if ((data[HDR_LOAD_FLAGS] & LOAD_FLAGS_HIGH) == 0 ||
	    (get_u16(data + HDR_XLOAD_FLAGS) & XLOAD_FLAGS_64) == 0) {
		return loader_fail(loader, -EINVAL, "kernel: bzImage has no 64-bit entry");
	}
	/* 0 means 4, for compatibility. */
	sectors = data[HDR_SETUP_SECTORS] == 0 ? 4 : data[HDR_SETUP_SECTORS];
	setup_size = (sectors + 1) * 512;
	bzimage->header_end = MIN(HDR_MAGIC + (unsigned)data[HDR_JUMP_LENGTH], HDR_MAX_END);
	bzimage->code = data + setup_size;
	bzimage->code_size = (uint64_t)get_u32(data + HDR_PROTECTED_SIZE) * 16;
	bzimage->alignment = get_u32(data + HDR_ALIGNMENT);
	bzimage->init_size = get_u32(data + HDR_INIT_SIZE);
	if (!range_fits(setup_size, bzimage->code_size, image->size) ||
	    bzimage->code_size <= ENTRY_64) {
		return loader_fail(loader, -EINVAL,
				   "kernel: bzImage says %" PRIu64 " bytes of setup and %" PRIu64
				   " of code, the file has %" PRIu64,
				   setup_size, bzimage->code_size, image->size);
	}
	if (bzimage->header_end < HDR_MIN_END || bzimage->init_size < bzimage->code_size ||
	    bzimage->alignment == 0 || (bzimage->alignment & (bzimage->alignment - 1)) != 0) {
		return loader_fail(loader, -EINVAL,
				   "kernel: bzImage header ends at %#x, init_size %#" PRIx64
				   ", kernel_alignment %#" PRIx64 ": not possible",
				   bzimage->header_end, bzimage->init_size, bzimage->alignment);
	}
	return 0;
}

/* Where the kernel prefers to run, else as low as it can be moved. */
static int put_kernel(struct loader *loader, const struct bzimage *bzimage, gpa_t *base)
{
	const uint8_t *header = bzimage->header;
	int result;

	*base = GPA(get_u64(header + HDR_PREF_ADDRESS));
	result = loader_put_at(loader, "kernel", *base, bzimage->code, bzimage->code_size,
			       bzimage->init_size);
	if (result != 0 && header[HDR_RELOCATABLE] != 0) {
		*base = GPA(align_up(MIB, bzimage->alignment));
		result = loader_put_at(loader, "kernel", *base, bzimage->code, bzimage->code_size,
				       bzimage->init_size);
	}
	return result;
}

#define PAGE_TABLE_COUNT 6 /* PML4, PDPT, four page directories */
#define PTE_TABLE 0x3 /* present, writable */
#define PTE_LARGE 0x83

/* Identity map of the first 4 GiB in 2 MiB pages. */
static int put_page_tables(struct loader *loader, gpa_t *base)
{
	uint64_t entries[64];
	uint64_t table, at;
	int result = loader_put(loader, "page tables", NULL, PAGE_TABLE_COUNT * PAGE_SIZE,
				PAGE_SIZE, LOADER_LOW_END, base);

	if (result != 0) {
		return result;
	}
	table = base->v + PAGE_SIZE;
	entries[0] = table | PTE_TABLE;
	result = memory_write(loader->memory, *base, entries, sizeof(entries[0]));
	for (unsigned i = 0; i < 4; i++) {
		entries[i] = (table + (i + 1) * PAGE_SIZE) | PTE_TABLE;
	}
	if (result == 0) {
		result = memory_write(loader->memory, GPA(table), entries, 4 * sizeof(entries[0]));
	}
	at = table + PAGE_SIZE;
	for (uint64_t i = 0; i < 4 * GIB / (2 * MIB) && result == 0; i += ARRAY_SIZE(entries)) {
		for (unsigned j = 0; j < ARRAY_SIZE(entries); j++) {
			entries[j] = (i + j) * 2 * MIB | PTE_LARGE;
		}
		result = memory_write(loader->memory, GPA(at + i * sizeof(entries[0])), entries,
				      sizeof(entries));
	}
	return result;
}

static void set_u32(uint8_t *header, unsigned field, uint64_t value)
{
	uint32_t word = (uint32_t)value;

	memcpy(&header[field - HDR_START], &word, sizeof(word));
}

static int put_params(struct loader *loader, const struct bzimage *bzimage, gpa_t initrd,
		      gpa_t cmdline, gpa_t *base)
{
	uint8_t header[HDR_MAX_END - HDR_START];
	struct e820_entry map[LOADER_RANGE_COUNT];
	uint8_t map_count = (uint8_t)loader->range_count;
	unsigned header_size = bzimage->header_end - HDR_START;
	int result =
		loader_put(loader, "boot_params", NULL, PAGE_SIZE, PAGE_SIZE, LOADER_LOW_END, base);

	if (result != 0) {
		return result;
	}
	memcpy(header, bzimage->header + HDR_START, header_size);
	header[HDR_LOADER_TYPE - HDR_START] = LOADER_TYPE_OTHER;
	set_u32(header, HDR_RAMDISK_BASE, initrd.v);
	set_u32(header, HDR_RAMDISK_SIZE, loader->request->initrd.size);
	set_u32(header, HDR_CMDLINE, cmdline.v);
	for (unsigned i = 0; i < map_count; i++) {
		map[i] = (struct e820_entry){loader->ranges[i].base, loader->ranges[i].size,
					     loader->ranges[i].kind};
	}

	const struct {
		uint64_t offset;
		const void *data;
		size_t size;
	} parts[] = {
		{HDR_START, header, header_size},
		{PARAMS_RSDP, &loader->request->rsdp.v, 8},
		{PARAMS_E820_COUNT, &map_count, 1},
		{PARAMS_E820, map, map_count * sizeof(map[0])},
	};
	for (unsigned i = 0; i < ARRAY_SIZE(parts) && result == 0; i++) {
		result = memory_write(loader->memory, GPA(base->v + parts[i].offset), parts[i].data,
				      parts[i].size);
	}
	return result;
}

static int put_cmdline(struct loader *loader, const struct bzimage *bzimage, gpa_t *base)
{
	size_t length = strlen(loader->request->cmdline);
	uint32_t limit = get_u32(bzimage->header + HDR_CMDLINE_SIZE);

	if (length > limit) {
		return loader_fail(loader, -EINVAL,
				   "kernel: command line of %" PRIu64
				   " bytes, bzImage takes %" PRIu32,
				   length, limit);
	}
	return loader_put_string(loader, "command line", loader->request->cmdline, base);
}

/* Selectors as the protocol wants them: code 0x10, data 0x18. */
static int put_state(struct loader *loader, gpa_t kernel, gpa_t params, gpa_t tables)
{
	static const uint64_t gdt[] = {
		0,
		0,
		UINT64_C(0x00af9b000000ffff),
		UINT64_C(0x00cf93000000ffff),
	};
	struct vcpu_state *state = loader->state;
	gpa_t base = GPA(0);
	int result = loader_put(loader, "GDT", gdt, sizeof(gdt), 8, LOADER_LOW_END, &base);

	loader_state_flat(loader, kernel.v + ENTRY_64);
	state->segment[SEG_CS].attributes = 0xa09b; /* 64-bit code */
	state->gdtr_base = base.v;
	state->gdtr_limit = sizeof(gdt) - 1;
	state->cr0 |= BIT(31); /* PG */
	state->cr3 = tables.v;
	state->cr4 = BIT(5); /* PAE */
	state->efer = BIT(10) | BIT(8); /* LMA, LME */
	state->gpr[GPR_RSI] = params.v;
	return result;
}

int bzimage_load(struct loader *loader)
{
	const struct load_request *request = loader->request;
	struct bzimage bzimage;
	gpa_t kernel = GPA(0), tables = GPA(0), params = GPA(0), initrd = GPA(0), cmdline = GPA(0);
	int result = bzimage_open(loader, &bzimage);

	if (result != 0) {
		return result;
	}
	if (request->module_count != 0) {
		return loader_fail(loader, -EINVAL,
				   "module: %u given, a bzImage takes an initrd and no modules",
				   request->module_count);
	}
	result = put_kernel(loader, &bzimage, &kernel);
	if (result == 0) {
		result = put_page_tables(loader, &tables);
	}
	if (result == 0 && request->initrd.size != 0) {
		uint64_t limit = (uint64_t)get_u32(bzimage.header + HDR_INITRD_MAX) + 1;

		result = loader_put(loader, "initrd", request->initrd.data, request->initrd.size,
				    PAGE_SIZE, MIN(limit, RAM_LOW_MAX), &initrd);
	}
	if (result == 0) {
		result = put_cmdline(loader, &bzimage, &cmdline);
	}
	if (result == 0) {
		result = put_params(loader, &bzimage, initrd, cmdline, &params);
	}
	if (result == 0) {
		result = put_state(loader, kernel, params, tables);
	}
	return result;
}
