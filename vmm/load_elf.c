/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF files (System V ABI, generic and x86-64 supplement), and the PVH way to
 * start one: the kernel names its 32-bit entry in a note, and finds a
 * hvm_start_info in EBX (xen/include/public/arch-x86/hvm/start_info.h).
 */
#include "vmm/loader.h"

#include <errno.h>
#include <inttypes.h>

#define PT_LOAD 1
#define PT_NOTE 4
#define EM_386 3
#define EM_X86_64 62

bool elf_is_elf(const struct load_image *image)
{
	return image->size >= 4 && memcmp(image->data, "\177ELF", 4) == 0;
}

/* A field whose place depends on the class, and that is as wide as a pointer. */
static uint64_t elf_word(const struct elf *elf, uint64_t at, unsigned offset_32, unsigned offset_64)
{
	return elf->is_64 ? get_u64(elf->data + at + offset_64)
			  : get_u32(elf->data + at + offset_32);
}

int elf_open(struct loader *loader, struct elf *elf)
{
	const struct load_image *image = &loader->request->kernel;
	unsigned machine, stride;

	*elf = (struct elf){.data = image->data, .size = image->size};
	/* e_ident: class 32 or 64, little-endian. */
	if (elf->size < 64 || image->data[4] < 1 || image->data[4] > 2 || image->data[5] != 1) {
		return loader_fail(loader, -EINVAL,
				   "kernel: ELF header is cut short or not little-endian "
				   "(%" PRIu64 " bytes)",
				   elf->size);
	}
	elf->is_64 = image->data[4] == 2;
	machine = get_u16(elf->data + 18);
	if (machine != EM_386 && machine != EM_X86_64) {
		return loader_fail(loader, -EINVAL, "kernel: ELF machine %u is not x86", machine);
	}
	elf->entry = elf_word(elf, 0, 24, 24);
	elf->table = elf_word(elf, 0, 28, 32);
	elf->segment_stride = get_u16(elf->data + (elf->is_64 ? 54 : 42));
	elf->segment_count = get_u16(elf->data + (elf->is_64 ? 56 : 44));
	stride = elf->is_64 ? 56 : 32;
	if (elf->segment_stride < stride ||
	    !range_fits(elf->table, (uint64_t)elf->segment_count * elf->segment_stride,
			elf->size)) {
		return loader_fail(loader, -EINVAL,
				   "kernel: %u ELF program headers of %u bytes at %#" PRIx64
				   " are not inside the file of %" PRIu64 " bytes",
				   elf->segment_count, elf->segment_stride, elf->table, elf->size);
	}
	return 0;
}

void elf_get_segment(const struct elf *elf, unsigned index, struct elf_segment *segment)
{
	uint64_t at = elf->table + (uint64_t)index * elf->segment_stride;

	*segment = (struct elf_segment){
		.type = get_u32(elf->data + at),
		.offset = elf_word(elf, at, 4, 8),
		.virtual = elf_word(elf, at, 8, 16),
		.physical = elf_word(elf, at, 12, 24),
		.file_size = elf_word(elf, at, 16, 32),
		.memory_size = elf_word(elf, at, 20, 40),
		.align = elf_word(elf, at, 28, 48),
	};
}

int elf_load(struct loader *loader, const struct elf *elf)
{
	for (unsigned i = 0; i < elf->segment_count; i++) {
		struct elf_segment segment;
		int result;

		elf_get_segment(elf, i, &segment);
		if (segment.type != PT_LOAD) {
			continue;
		}
		if (!range_fits(segment.offset, segment.file_size, elf->size) ||
		    segment.file_size > segment.memory_size) {
			return loader_fail(loader, -EINVAL,
					   "kernel: ELF segment %u has %#" PRIx64
					   " bytes at %#" PRIx64 " for %#" PRIx64
					   " in memory, the file has %#" PRIx64,
					   i, segment.file_size, segment.offset,
					   segment.memory_size, elf->size);
		}
		result = loader_put_at(loader, "kernel segment", GPA(segment.physical),
				       elf->data + segment.offset, segment.file_size,
				       segment.memory_size);
		if (result != 0) {
			return result;
		}
	}
	if (loader->claim_count == 0) {
		return loader_fail(loader, -EINVAL, "kernel: ELF file without a segment to load");
	}
	return 0;
}

/* ---- PVH ----------------------------------------------------------------- */

#define XEN_ELFNOTE_PHYS32_ENTRY 18

/* One note segment: entries of three words, a name and a description. */
static bool notes_find_entry(const uint8_t *notes, uint64_t size, uint64_t align, uint64_t *entry)
{
	/* Each turn takes 12 bytes at least. */
	while (size >= 12) {
		uint32_t name_size = get_u32(notes);
		uint32_t value_size = get_u32(notes + 4);
		uint64_t value = align_up(12 + (uint64_t)name_size, align);
		uint64_t next = align_up(value + value_size, align);

		if (!range_fits(value, value_size, size)) {
			return false;
		}
		if (get_u32(notes + 8) == XEN_ELFNOTE_PHYS32_ENTRY && name_size == 4 &&
		    memcmp(notes + 12, "Xen", 4) == 0 && value_size >= 4) {
			*entry = value_size >= 8 ? get_u64(notes + value) : get_u32(notes + value);
			return true;
		}
		if (next >= size) {
			return false;
		}
		notes += next;
		size -= next;
	}
	return false;
}

bool pvh_find_entry(const struct elf *elf, uint64_t *entry)
{
	for (unsigned i = 0; i < elf->segment_count; i++) {
		struct elf_segment segment;

		elf_get_segment(elf, i, &segment);
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

struct hvm_module {
	uint64_t base, size, cmdline, reserved;
};

struct hvm_range {
	uint64_t base, size;
	uint32_t kind, reserved;
};

#define HVM_START_MAGIC 0x336ec578

int pvh_load(struct loader *loader, const struct elf *elf, uint64_t entry)
{
	struct loader_module modules[LOADER_MODULE_MAX];
	struct hvm_module list[LOADER_MODULE_MAX] = {0};
	struct hvm_range map[LOADER_RANGE_COUNT] = {0};
	struct hvm_start_info info = {
		.magic = HVM_START_MAGIC,
		.version = 1,
		.rsdp = loader->request->rsdp.v,
		.memory_map_count = loader->range_count,
	};
	gpa_t list_base = GPA(0), map_base = GPA(0), cmdline = GPA(0), info_base;
	int result = elf_load(loader, elf);

	/* It starts in 32-bit mode. */
	if (result == 0 && (entry > UINT32_MAX || !loader_is_claimed(loader, entry))) {
		result = loader_fail(loader, -EINVAL,
				     "kernel: PVH entry %#" PRIx64 " is in no ELF segment", entry);
	}
	if (result == 0) {
		result = loader_put_modules(loader, modules, &info.module_count);
	}
	if (result != 0) {
		return result;
	}
	for (unsigned i = 0; i < info.module_count; i++) {
		list[i] = (struct hvm_module){.base = modules[i].base.v,
					      .size = modules[i].size,
					      .cmdline = modules[i].cmdline.v};
	}
	for (unsigned i = 0; i < loader->range_count; i++) {
		map[i] = (struct hvm_range){.base = loader->ranges[i].base,
					    .size = loader->ranges[i].size,
					    .kind = loader->ranges[i].kind};
	}
	if (info.module_count != 0) {
		result =
			loader_put(loader, "module list", list, info.module_count * sizeof(list[0]),
				   8, LOADER_LOW_END, &list_base);
	}
	if (result == 0) {
		result = loader_put(loader, "memory map", map, loader->range_count * sizeof(map[0]),
				    8, LOADER_LOW_END, &map_base);
	}
	if (result == 0) {
		result = loader_put_string(loader, "command line", loader->request->cmdline,
					   &cmdline);
	}
	if (result != 0) {
		return result;
	}
	info.modules = list_base.v;
	info.memory_map = map_base.v;
	info.cmdline = cmdline.v;
	result = loader_put(loader, "start info", &info, sizeof(info), 8, LOADER_LOW_END,
			    &info_base);
	loader_state_flat(loader, entry);
	loader->state->gpr[GPR_RBX] = info_base.v;
	return result;
}
