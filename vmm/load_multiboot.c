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
static void load_by_addresses(struct loader *loader, size_t at,
			      const struct multiboot_header *header)
{
	const struct load_image *image = &loader->request->kernel;
	/* What wraps around is larger than any file or memory, and caught as such. */
	uint64_t before = (uint64_t)header->header - header->load;
	/* load_end 0: to the end of the file; bss_end 0: no bss. */
	uint64_t load_size = header->load_end != 0 ? (uint64_t)header->load_end - header->load
						   : image->size - (at - before);
	uint64_t memory_size =
		header->bss_end != 0 ? (uint64_t)header->bss_end - header->load : load_size;

	if (image->size - at < sizeof(*header) ||
	    !range_fits(at - before, load_size, image->size) || memory_size < load_size ||
	    memory_size > UINT32_MAX) {
		loader_fail(loader, -EINVAL,
			    "kernel: multiboot addresses (header %#" PRIx32 ", load %#" PRIx32
			    " to %#" PRIx32 ", bss to %#" PRIx32
			    ") do not match the file of %#" PRIx64 " bytes",
			    header->header, header->load, header->load_end, header->bss_end,
			    image->size);
		return;
	}
	loader_put_at(loader, "kernel", GPA(header->load), image->data + (at - before), load_size,
		      memory_size);
}

/* The entry of an ELF file is virtual where its segments are. */
static uint64_t elf_physical_entry(const struct elf *elf)
{
	for (unsigned i = 0; i < elf->segment_count; i++) {
		struct elf_segment segment = elf_get_segment(elf, i);

		if (segment.type == PT_LOAD && elf->entry - segment.virtual < segment.memory_size) {
			return elf->entry - segment.virtual + segment.physical;
		}
	}
	return elf->entry;
}

/* Returns the entry. */
static uint64_t load_kernel(struct loader *loader, size_t at)
{
	const struct load_image *image = &loader->request->kernel;
	struct multiboot_header header = {0};
	uint32_t unknown;
	uint64_t entry;

	memcpy(&header, image->data + at, MIN(sizeof(header), image->size - at));
	unknown = header.flags & HEADER_REQUIRED & ~(HEADER_PAGE_ALIGN | HEADER_MEMORY_INFO);
	if (unknown != 0) {
		loader_fail(loader, -EINVAL,
			    "kernel: requires multiboot features %#" PRIx32
			    " (bit 2: a video mode), only 0x3 are there",
			    unknown);
	}
	if ((header.flags & HEADER_ADDRESSES) != 0) {
		entry = header.entry;
		load_by_addresses(loader, at, &header);
	} else if (loader->elf.data != NULL) {
		entry = elf_physical_entry(&loader->elf);
		elf_load(loader);
	} else {
		entry = 0;
		loader_fail(loader, -EINVAL,
			    "kernel: multiboot header without addresses, and no ELF file");
	}
	loader_check_entry(loader, "multiboot", entry);
	return entry;
}

void multiboot_load(struct loader *loader, size_t header)
{
	struct loader_module modules[LOADER_MODULE_MAX];
	struct multiboot_module list[LOADER_MODULE_MAX] = {0};
	struct multiboot_range map[LOADER_RANGE_COUNT] = {0};
	struct multiboot_info info = {
		.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MAP | INFO_LOADER_NAME,
		.memory_lower = LOADER_LOW_END / KIB,
		.memory_upper = (uint32_t)((memory_low_size(loader->memory) - MIB) / KIB),
		.map_size = (uint32_t)(loader->range_count * sizeof(map[0])),
	};
	uint64_t entry = load_kernel(loader, header);

	info.module_count = loader_put_modules(loader, modules);
	for (unsigned i = 0; i < info.module_count; i++) {
		list[i] = (struct multiboot_module){
			.start = (uint32_t)modules[i].base.v,
			.end = (uint32_t)(modules[i].base.v + modules[i].size),
			.cmdline = (uint32_t)modules[i].cmdline,
		};
	}
	for (unsigned i = 0; i < loader->range_count; i++) {
		map[i] = (struct multiboot_range){
			.size = sizeof(map[0]) - sizeof(map[0].size),
			.base = loader->ranges[i].base,
			.length = loader->ranges[i].size,
			.kind = loader->ranges[i].kind,
		};
	}
	info.flags |= info.module_count != 0 ? INFO_MODULES : 0;
	info.modules = loader_put_low(loader, "module list", list, sizeof(list));
	info.map = loader_put_low(loader, "memory map", map, sizeof(map));
	info.cmdline = loader_put_string(loader, "command line", loader->request->cmdline);
	info.loader_name = loader_put_string(loader, "loader name", "Dyad");
	loader_state_flat(loader, entry);
	loader->state->gpr[GPR_RAX] = MULTIBOOT_BOOT_MAGIC;
	loader->state->gpr[GPR_RBX] = loader_put_low(loader, "multiboot info", &info, sizeof(info));
}
