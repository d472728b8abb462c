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

#define PACKED __attribute__((packed))

struct e820_entry {
	uint64_t base, size;
	uint32_t kind;
} PACKED;

struct boot_params {
	uint8_t screen[PARAMS_RSDP];
	uint64_t rsdp;
	uint8_t reserved[PARAMS_E820_COUNT - PARAMS_RSDP - 8];
	uint8_t e820_count;
	uint8_t reserved_2[HDR_START - PARAMS_E820_COUNT - 1];
	uint8_t header[HDR_MAX_END - HDR_START];
	uint8_t reserved_3[PARAMS_E820 - HDR_MAX_END];
	struct e820_entry e820[128];
	uint8_t reserved_4[PAGE_SIZE - 0xcd0];
} PACKED;
_Static_assert(sizeof(struct boot_params) == PAGE_SIZE, "zero-page.rst");

/* What the header says, once it was checked against the file. */
struct bzimage {
	const uint8_t *header; /* the image; offsets above count from it */
	unsigned header_end;
	uint64_t setup_size, code_size;
	uint64_t alignment, init_size;
};

bool bzimage_is_bzimage(const struct load_image *image)
{
	return image->size >= HDR_VERSION + 2 && get_u16(image->data + HDR_BOOT_FLAG) == 0xaa55 &&
	       memcmp(image->data + HDR_MAGIC, "HdrS", 4) == 0;
}

static void bzimage_open(struct loader *loader, struct bzimage *bzimage)
{
	const struct load_image *image = &loader->request->kernel;
	const uint8_t *data = image->data;
	unsigned version = get_u16(data + HDR_VERSION);
	/* 0 means 4, for compatibility. */
	unsigned sectors = data[HDR_SETUP_SECTORS] == 0 ? 4 : data[HDR_SETUP_SECTORS];

	if (image->size < HDR_MAX_END || version < VERSION_MIN) {
		loader_fail(loader, -EINVAL,
			    "kernel: bzImage of %" PRIu64 " bytes with boot protocol %u.%02u, "
			    "2.12 is needed",
			    image->size, version >> 8, version & 0xff);
		return;
	}
	*bzimage = (struct bzimage){
		.header = data,
		.header_end = MIN(HDR_MAGIC + (unsigned)data[HDR_JUMP_LENGTH], HDR_MAX_END),
		.setup_size = (sectors + 1) * 512,
		.code_size = (uint64_t)get_u32(data + HDR_PROTECTED_SIZE) * 16,
		.alignment = get_u32(data + HDR_ALIGNMENT),
		.init_size = get_u32(data + HDR_INIT_SIZE),
	};
	if ((data[HDR_LOAD_FLAGS] & LOAD_FLAGS_HIGH) == 0 ||
	    (get_u16(data + HDR_XLOAD_FLAGS) & XLOAD_FLAGS_64) == 0) {
		loader_fail(loader, -EINVAL, "kernel: bzImage has no 64-bit entry");
	} else if (!range_fits(bzimage->setup_size, bzimage->code_size, image->size) ||
		   bzimage->code_size <= ENTRY_64) {
		loader_fail(loader, -EINVAL,
			    "kernel: bzImage says %" PRIu64 " bytes of setup and %" PRIu64
			    " of code, the file has %" PRIu64,
			    bzimage->setup_size, bzimage->code_size, image->size);
	} else if (bzimage->header_end < HDR_MIN_END || bzimage->init_size < bzimage->code_size ||
		   bzimage->alignment == 0 || !is_aligned(bzimage->alignment, bzimage->alignment)) {
		loader_fail(loader, -EINVAL,
			    "kernel: bzImage header ends at %#x, init_size %#" PRIx64
			    ", kernel_alignment %#" PRIx64 ": not possible",
			    bzimage->header_end, bzimage->init_size, bzimage->alignment);
	}
}

/* Where the kernel prefers to run, else as low as it can be moved. */
static gpa_t put_kernel(struct loader *loader, const struct bzimage *bzimage)
{
	const uint8_t *code = bzimage->header + bzimage->setup_size;
	gpa_t base = GPA(get_u64(bzimage->header + HDR_PREF_ADDRESS));

	loader_put_at(loader, "kernel", base, code, bzimage->code_size, bzimage->init_size);
	if (loader->result != 0 && bzimage->header[HDR_RELOCATABLE] != 0) {
		loader->result = 0;
		base = GPA(align_up(MIB, bzimage->alignment));
		loader_put_at(loader, "kernel", base, code, bzimage->code_size, bzimage->init_size);
	}
	return base;
}

#define DIRECTORY_COUNT 4
#define PTE_TABLE 0x3 /* present, writable */
#define PTE_LARGE 0x83

static void put_entry(struct loader *loader, uint64_t table, uint64_t index, uint64_t entry)
{
	loader_write(loader, "page tables", GPA(table + index * sizeof(entry)), &entry,
		     sizeof(entry));
}

/* Identity map of the first 4 GiB in 2 MiB pages: PML4, PDPT, page directories. */
static gpa_t put_page_tables(struct loader *loader)
{
	gpa_t base = loader_put(loader, "page tables", NULL, (2 + DIRECTORY_COUNT) * PAGE_SIZE,
				PAGE_SIZE, LOADER_LOW_END);
	uint64_t pdpt = base.v + PAGE_SIZE;
	uint64_t directories = pdpt + PAGE_SIZE;

	put_entry(loader, base.v, 0, pdpt | PTE_TABLE);
	for (unsigned i = 0; i < DIRECTORY_COUNT; i++) {
		put_entry(loader, pdpt, i, (directories + i * PAGE_SIZE) | PTE_TABLE);
	}
	for (unsigned i = 0; i < DIRECTORY_COUNT * 512; i++) {
		put_entry(loader, directories, i, i * 2 * MIB | PTE_LARGE);
	}
	return base;
}

static gpa_t put_initrd(struct loader *loader, const struct bzimage *bzimage)
{
	const struct load_image *initrd = &loader->request->initrd;
	uint64_t limit = (uint64_t)get_u32(bzimage->header + HDR_INITRD_MAX) + 1;

	if (initrd->size == 0) {
		return GPA(0);
	}
	return loader_put(loader, "initrd", initrd->data, initrd->size, PAGE_SIZE,
			  MIN(limit, RAM_LOW_MAX));
}

static uint32_t put_cmdline(struct loader *loader, const struct bzimage *bzimage)
{
	size_t length = strlen(loader->request->cmdline);
	uint32_t limit = get_u32(bzimage->header + HDR_CMDLINE_SIZE);

	if (length > limit) {
		loader_fail(loader, -EINVAL,
			    "kernel: command line of %" PRIu64 " bytes, bzImage takes %" PRIu32,
			    length, limit);
	}
	return loader_put_string(loader, "command line", loader->request->cmdline);
}

static void set_u32(struct boot_params *params, unsigned field, uint64_t value)
{
	memcpy(&params->header[field - HDR_START], &value, 4);
}

static gpa_t put_params(struct loader *loader, const struct bzimage *bzimage)
{
	struct boot_params params = {
		.rsdp = loader->request->rsdp.v,
		.e820_count = (uint8_t)loader->range_count,
	};

	memcpy(params.header, bzimage->header + HDR_START, bzimage->header_end - HDR_START);
	params.header[HDR_LOADER_TYPE - HDR_START] = LOADER_TYPE_OTHER;
	set_u32(&params, HDR_RAMDISK_BASE, put_initrd(loader, bzimage).v);
	set_u32(&params, HDR_RAMDISK_SIZE, loader->request->initrd.size);
	set_u32(&params, HDR_CMDLINE, put_cmdline(loader, bzimage));
	for (unsigned i = 0; i < loader->range_count; i++) {
		params.e820[i] = (struct e820_entry){loader->ranges[i].base, loader->ranges[i].size,
						     loader->ranges[i].kind};
	}
	return loader_put(loader, "boot_params", &params, sizeof(params), PAGE_SIZE,
			  LOADER_LOW_END);
}

void bzimage_load(struct loader *loader)
{
	/* Selectors as the protocol wants them: code 0x10, data 0x18. */
	static const uint64_t gdt[] = {
		0,
		0,
		UINT64_C(0x00af9b000000ffff),
		UINT64_C(0x00cf93000000ffff),
	};
	struct vcpu_state *state = loader->state;
	struct bzimage bzimage;
	gpa_t kernel;

	if (loader->request->module_count != 0) {
		loader_fail(loader, -EINVAL,
			    "module: %u given, a bzImage takes an initrd and no modules",
			    loader->request->module_count);
	}
	bzimage_open(loader, &bzimage);
	if (loader->result != 0) {
		return;
	}
	kernel = put_kernel(loader, &bzimage);
	loader_state_flat(loader, kernel.v + ENTRY_64);
	state->segment[SEG_CS].attributes = 0xa09b; /* 64-bit code */
	state->gdtr_base = loader_put_low(loader, "GDT", gdt, sizeof(gdt));
	state->gdtr_limit = sizeof(gdt) - 1;
	state->cr0 |= BIT(31); /* PG */
	state->cr3 = put_page_tables(loader).v;
	state->cr4 = BIT(5); /* PAE */
	state->efer = BIT(10) | BIT(8); /* LMA, LME */
	state->gpr[GPR_RSI] = put_params(loader, &bzimage).v;
}
