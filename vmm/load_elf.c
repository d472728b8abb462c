/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF files (System V ABI, generic and x86-64 supplement), and the PVH way to
 * start one: the kernel names its 32-bit entry in a note, and finds a
 * hvm_start_info in EBX (xen/include/public/arch-x86/hvm/start_info.h).
 */
#include "vmm/loader.h"

#include <errno.h>
#include <inttypes.h>

#define EM_386 3
#define EM_X86_64 62

/* A field whose place depends on the class, and that is as wide as a pointer. */
static uint64_t elf_word(const struct elf *elf, uint64_t at, unsigned offset_32, unsigned offset_64)
{
	return elf->is_64 ? get_u64(elf->data + at + offset_64)
			  : get_u32(elf->data + at + offset_32);
}

void elf_open(struct loader *loader)
{
	const struct load_image *image = &loader->request->kernel;
	struct elf elf = {.data = image->data, .size = image->size};
	unsigned machine;

	if (elf.size < 4 || memcmp(elf.data, "\177ELF", 4) != 0) {
		return;
	}
	/* e_ident: class 32 or 64, little-endian. */
	if (elf.size < 64 || elf.data[4] < 1 || elf.data[4] > 2 || elf.data[5] != 1) {
		loader_fail(loader, -EINVAL,
			    "kernel: ELF header is cut short or not little-endian "
			    "(%" PRIu64 " bytes)",
			    elf.size);
		return;
	}
	machine = get_u16(elf.data + 18);
	elf.is_64 = elf.data[4] == 2;
	elf.entry = elf_word(&elf, 0, 24, 24);
	elf.table = elf_word(&elf, 0, 28, 32);
	elf.segment_stride = get_u16(elf.data + (elf.is_64 ? 54 : 42));
	elf.segment_count = get_u16(elf.data + (elf.is_64 ? 56 : 44));
	if (machine != EM_386 && machine != EM_X86_64) {
		loader_fail(loader, -EINVAL, "kernel: ELF machine %u is not x86", machine);
	} else if (elf.segment_stride < (elf.is_64 ? 56 : 32) ||
		   !range_fits(elf.table, (uint64_t)elf.segment_count * elf.segment_stride,
			       elf.size)) {
		loader_fail(loader, -EINVAL,
			    "kernel: %u ELF program headers of %u bytes at %#" PRIx64
			    " are not inside the file of %" PRIu64 " bytes",
			    elf.segment_count, elf.segment_stride, elf.table, elf.size);
	} else {
		loader->elf = elf;
	}
}

struct elf_segment elf_get_segment(const struct elf *elf, unsigned index)
{
	uint64_t at = elf->table + (uint64_t)index * elf->segment_stride;

	return (struct elf_segment){
		.type = get_u32(elf->data + at),
		.offset = elf_word(elf, at, 4, 8),
		.virtual = elf_word(elf, at, 8, 16),
		.physical = elf_word(elf, at, 12, 24),
		.file_size = elf_word(elf, at, 16, 32),
		.memory_size = elf_word(elf, at, 20, 40),
		.align = elf_word(elf, at, 28, 48),
	};
}

void elf_load(struct loader *loader)
{
	const struct elf *elf = &loader->elf;

	for (unsigned i = 0; i < elf->segment_count && loader->result == 0; i++) {
		struct elf_segment segment = elf_get_segment(elf, i);

		if (segment.type != PT_LOAD) {
			continue;
		}
		if (!range_fits(segment.offset, segment.file_size, elf->size) ||
		    segment.file_size > segment.memory_size) {
			loader_fail(loader, -EINVAL,
				    "kernel: ELF segment %u has %#" PRIx64 " bytes at %#" PRIx64
				    " for %#" PRIx64 " in memory, the file has %#" PRIx64,
				    i, segment.file_size, segment.offset, segment.memory_size,
				    elf->size);
			return;
		}
		loader_put_at(loader, "kernel segment", GPA(segment.physical),
			      elf->data + segment.offset, segment.file_size, segment.memory_size);
	}
	if (loader->claim_count == 0) {
		loader_fail(loader, -EINVAL, "kernel: ELF file without a segment to load");
	}
}

/* ---- PVH ----------------------------------------------------------------- */

#define XEN_ELFNOTE_PHYS32_ENTRY 18

/* One note segment: entries of three words, a name and a description. */
static bool notes_find_entry(const uint8_t *notes, uint64_t size, uint64_t align, uint64_t *entry)
{
	/* Each turn takes 12 bytes at least. */
	for (uint64_t next = 0; next < size && size - next >= 12;) {
		const uint8_t *note = notes + next;
		uint32_t name_size = get_u32(note);
		uint32_t value_size = get_u32(note + 4);
		uint64_t value = next + align_up(12 + (uint64_t)name_size, align);

		if (!range_fits(value, value_size, size)) {
			return false;
		}
		if (get_u32(note + 8) == XEN_ELFNOTE_PHYS32_ENTRY && name_size == 4 &&
		    memcmp(note + 12, "Xen", 4) == 0 && value_size >= 4) {
			*entry = get_field(notes + value, value_size >= 8 ? 8 : 4);
			return true;
		}
		next = align_up(value + value_size, align);
	}
	return false;
}

bool pvh_find_entry(const struct elf *elf, uint64_t *entry)
{
	for (unsigned i = 0; i < elf->segment_count; i++) {
		struct elf_segment segment = elf_get_segment(elf, i);

		if (segment.type == PT_NOTE &&
		    range_fits(segment.offset, segment.file_size, elf->size) &&
		    notes_find_entry(elf->data + segment.offset, segment.file_size,
				     segment.align == 8 ? 8 : 4, entry)) {
			return true;
		}
	}
	return false;
}

struct hvm_start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp, memory_map;
	uint32_t memory_map_count, reserved;
};
_Static_assert(sizeof(struct hvm_start_info) == 56, "start_info.h, version 1");
_Static_assert(sizeof(struct loader_module) == 32, "hvm_modlist_entry");
_Static_assert(sizeof(struct loader_range) == 24, "hvm_memmap_table_entry");

#define HVM_START_MAGIC 0x336ec578

void pvh_load(struct loader *loader, uint64_t entry)
{
	struct loader_module modules[LOADER_MODULE_MAX] = {0};
	struct hvm_start_info info = {
		.magic = HVM_START_MAGIC,
		.version = 1,
		.rsdp = loader->request->rsdp.v,
		.memory_map_count = loader->range_count,
	};

	elf_load(loader);
	/* It starts in 32-bit mode. */
	loader_check_entry(loader, "PVH", entry);
	info.module_count = loader_put_modules(loader, modules);
	info.modules = loader_put_low(loader, "module list", modules, sizeof(modules));
	info.memory_map =
		loader_put_low(loader, "memory map", loader->ranges, sizeof(loader->ranges));
	info.cmdline = loader_put_string(loader, "command line", loader->request->cmdline);
	loader_state_flat(loader, entry);
	loader->state->gpr[GPR_RBX] = loader_put_low(loader, "start info", &info, sizeof(info));
}
