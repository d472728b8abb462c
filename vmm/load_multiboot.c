/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiboot kernels (Multiboot Specification 0.6.96, sections 3.1 to 3.3): an
 * ELF file of either class, or any file whose header says where it goes.
 */
#include "vmm/loader.h"

#include <errno.h>
#include <inttypes.h>

#define MULTIBOOT_SEARCH 8192
#define MULTIBOOT_HEADER_MAGIC 0x1badb002
#define MULTIBOOT_BOOT_MAGIC 0x2badb002

/* Header flags. Of bits 15:0 the kernel depends on each that it sets. */
#define HEADER_PAGE_ALIGN BIT(0)
#define HEADER_MEMORY_INFO BIT(1)
#define HEADER_REQUIRED BITS(15, 0)
#define HEADER_ADDRESSES BIT(16)

struct multiboot_header {
	uint32_t magic, flags, checksum;
	/* With HEADER_ADDRESSES. */
	uint32_t header, load, load_end, bss_end, entry;
};

#define INFO_MEMORY BIT(0)
#define INFO_CMDLINE BIT(2)
#define INFO_MODULES BIT(3)
#define INFO_MAP BIT(6)
#define INFO_LOADER_NAME BIT(9)

struct multiboot_info {
	uint32_t flags;
	uint32_t memory_lower, memory_upper; /* KiB */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t module_count, modules;
	uint32_t symbols[4];
	uint32_t map_size, map;
	uint32_t drives_size, drives, config_table;
	uint32_t loader_name;
	uint32_t apm_table;
	uint32_t vbe[4];
};
_Static_assert(offsetof(struct multiboot_info, map_size) == 44, "specification 3.3");
_Static_assert(sizeof(struct multiboot_info) == 88, "specification 3.3");

struct multiboot_module {
	uint32_t start, end, cmdline, reserved;
};

struct multiboot_range {
	uint32_t size; /* of what follows */
	uint64_t base, length;
	uint32_t kind;
} __attribute__((packed));

bool multiboot_find(const struct load_image *image, size_t *offset)
{
	size_t end = MIN(image->size, MULTIBOOT_SEARCH);

	for (size_t at = 0; at + 12 <= end; at += 4) {
		const uint8_t *header = image->data + at;

		if (get_u32(header) == MULTIBOOT_HEADER_MAGIC &&
		    get_u32(header) + get_u32(header + 4) + get_u32(header + 8) == 0) {
			*offset = at;
			return true;
		}
	}
	return false;
}

/* Loads by the addresses in the header (specification 3.1.3). */
static int load_by_addresses(struct loader *loader, size_t at,
			     const struct multiboot_header *header)
{
	uint64_t size = loader->request->kernel.size;
	/* What wraps around is larger than any file or memory, and caught as such. */
	uint64_t before = (uint64_t)header->header - header->load;
	uint64_t load_size, memory_size;

	/* load_end 0: to the end of the file; bss_end 0: no bss. */
	load_size = header->load_end != 0 ? (uint64_t)header->load_end - header->load
					  : size - (at - before);
	memory_size = header->bss_end != 0 ? (uint64_t)header->bss_end - header->load : load_size;
	if (size - at < sizeof(*header) || !range_fits(at - before, load_size, size) ||
	    memory_size < load_size || memory_size > UINT32_MAX) {
		return loader_fail(loader, -EINVAL,
				   "kernel: multiboot addresses (header %#" PRIx32
				   ", load %#" PRIx32 " to %#" PRIx32 ", bss to %#" PRIx32
				   ") do not match the file of %#" PRIx64 " bytes",
				   header->header, header->load, header->load_end, header->bss_end,
				   size);
	}
	return loader_put_at(loader, "kernel", GPA(header->load),
			     loader->request->kernel.data + (at - before), load_size, memory_size);
}

/* The entry of an ELF file is virtual where its segments are. */
static int load_elf(struct loader *loader, uint64_t *entry)
{
	struct elf elf;
	int result = elf_open(loader, &elf);

	if (result == 0) {
		result = elf_load(loader, &elf);
	}
	if (result != 0) {
		return result;
	}
	*entry = elf.entry;
	for (unsigned i = 0; i < elf.segment_count; i++) {
		struct elf_segment segment;

		elf_get_segment(&elf, i, &segment);
		if (segment.type == 1 && elf.entry - segment.virtual < segment.memory_size) {
			*entry = elf.entry - segment.virtual + segment.physical;
			break;
		}
	}
	return 0;
}

static int load_kernel(struct loader *loader, size_t at, uint64_t *entry)
{
	const struct load_image *image = &loader->request->kernel;
	struct multiboot_header header = {0};
	uint32_t unknown;
	int result;

	memcpy(&header, image->data + at, MIN(sizeof(header), image->size - at));
	unknown = header.flags & HEADER_REQUIRED & ~(HEADER_PAGE_ALIGN | HEADER_MEMORY_INFO);
	if (unknown != 0) {
		return loader_fail(loader, -EINVAL,
				   "kernel: requires multiboot features %#" PRIx32
				   " (bit 2: a video mode), only 0x3 are there",
				   unknown);
	}
	if ((header.flags & HEADER_ADDRESSES) != 0) {
		*entry = header.entry;
		result = load_by_addresses(loader, at, &header);
	} else if (elf_is_elf(image)) {
		result = load_elf(loader, entry);
	} else {
		return loader_fail(loader, -EINVAL,
				   "kernel: multiboot header without addresses, and no ELF file");
	}
	if (result == 0 && (*entry > UINT32_MAX || !loader_is_claimed(loader, *entry))) {
		result = loader_fail(loader, -EINVAL,
				     "kernel: multiboot entry %#" PRIx64
				     " is not in what was loaded",
				     *entry);
	}
	return result;
}

static int put_modules(struct loader *loader, struct multiboot_info *info)
{
	struct loader_module modules[LOADER_MODULE_MAX];
	struct multiboot_module list[LOADER_MODULE_MAX] = {0};
	unsigned count;
	gpa_t base = GPA(0);
	int result = loader_put_modules(loader, modules, &count);

	if (result != 0 || count == 0) {
		return result;
	}
	for (unsigned i = 0; i < count; i++) {
		list[i] = (struct multiboot_module){
			.start = (uint32_t)modules[i].base.v,
			.end = (uint32_t)(modules[i].base.v + modules[i].size),
			.cmdline = (uint32_t)modules[i].cmdline.v,
		};
	}
	result = loader_put(loader, "module list", list, count * sizeof(list[0]), 4, LOADER_LOW_END,
			    &base);
	info->flags |= INFO_MODULES;
	info->module_count = count;
	info->modules = (uint32_t)base.v;
	return result;
}

static int put_map(struct loader *loader, struct multiboot_info *info)
{
	struct multiboot_range map[LOADER_RANGE_COUNT];
	gpa_t base = GPA(0);
	int result;

	for (unsigned i = 0; i < loader->range_count; i++) {
		map[i] = (struct multiboot_range){
			.size = sizeof(map[0]) - sizeof(map[0].size),
			.base = loader->ranges[i].base,
			.length = loader->ranges[i].size,
			.kind = loader->ranges[i].kind,
		};
	}
	info->map_size = (uint32_t)(loader->range_count * sizeof(map[0]));
	result = loader_put(loader, "memory map", map, info->map_size, 4, LOADER_LOW_END, &base);
	info->map = (uint32_t)base.v;
	return result;
}

int multiboot_load(struct loader *loader, size_t header)
{
	struct multiboot_info info = {
		.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MAP | INFO_LOADER_NAME,
		.memory_lower = LOADER_LOW_END / KIB,
		.memory_upper = (uint32_t)((memory_low_size(loader->memory) - MIB) / KIB),
	};
	gpa_t cmdline = GPA(0), name = GPA(0), base = GPA(0);
	uint64_t entry = 0;
	int result = load_kernel(loader, header, &entry);

	if (result == 0) {
		result = put_modules(loader, &info);
	}
	if (result == 0) {
		result = put_map(loader, &info);
	}
	if (result == 0) {
		result = loader_put_string(loader, "command line", loader->request->cmdline,
					   &cmdline);
	}
	if (result == 0) {
		result = loader_put_string(loader, "loader name", "Dyad", &name);
	}
	if (result != 0) {
		return result;
	}
	info.cmdline = (uint32_t)cmdline.v;
	info.loader_name = (uint32_t)name.v;
	result =
		loader_put(loader, "multiboot info", &info, sizeof(info), 4, LOADER_LOW_END, &base);
	loader_state_flat(loader, entry);
	loader->state->gpr[GPR_RAX] = MULTIBOOT_BOOT_MAGIC;
	loader->state->gpr[GPR_RBX] = base.v;
	return result;
}
