/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest loaders: which format it is, and what all formats share (memory map,
 * claims on guest memory, the flat first state).
 */
#include "vmm/loader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

static unsigned loader_map(const struct guest_memory *memory,
			   struct loader_range ranges[LOADER_RANGE_COUNT]);

int load_guest(struct guest_memory *memory, const struct load_request *request,
	       struct vcpu_state *state, char *error)
{
	struct loader loader = {
		.memory = memory,
		.request = request,
		.state = state,
		.error = error,
	};
	struct elf elf;
	uint64_t entry;
	size_t header;
	int result;

	loader.range_count = loader_map(memory, loader.ranges);
	if (bzimage_is_bzimage(&request->kernel)) {
		return bzimage_load(&loader);
	}
	if (elf_is_elf(&request->kernel)) {
		result = elf_open(&loader, &elf);
		if (result != 0) {
			return result;
		}
		if (pvh_find_entry(&elf, &entry)) {
			return pvh_load(&loader, &elf, entry);
		}
	}
	if (multiboot_find(&request->kernel, &header)) {
		return multiboot_load(&loader, header);
	}
	return loader_fail(&loader, -EINVAL,
			   "kernel: %" PRIu64 " bytes, neither a bzImage nor an ELF file "
			   "with a PVH note nor a multiboot kernel",
			   request->kernel.size);
}

int loader_fail(struct loader *loader, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(loader->error, LOAD_ERROR_MAX, format, arguments);
	va_end(arguments);
	return error;
}

static unsigned loader_map(const struct guest_memory *memory,
			   struct loader_range ranges[LOADER_RANGE_COUNT])
{
	uint64_t low = memory_low_size(memory);
	uint64_t high = memory_size(memory) - low;

	CHECK(low > MIB);
	/* From LOADER_LOW_END to 1 MiB: extended BIOS data, VGA, ACPI tables. */
	ranges[0] = (struct loader_range){0, LOADER_LOW_END, RANGE_RAM};
	ranges[1] = (struct loader_range){LOADER_LOW_END, MIB - LOADER_LOW_END, RANGE_RESERVED};
	ranges[2] = (struct loader_range){MIB, low - MIB, RANGE_RAM};
	ranges[3] = (struct loader_range){RAM_HIGH_BASE, high, RANGE_RAM};
	return high == 0 ? 3 : 4;
}

/* The first claim that [base, end) would overlap, NULL when it is free. */
static const struct loader_claim *claim_find(const struct loader *loader, uint64_t base,
					     uint64_t end)
{
	for (unsigned i = 0; i < loader->claim_count; i++) {
		const struct loader_claim *claim = &loader->claims[i];

		if (base < claim->end && claim->base < end) {
			return claim;
		}
	}
	return NULL;
}

bool loader_is_claimed(const struct loader *loader, uint64_t address)
{
	return address != UINT64_MAX && claim_find(loader, address, address + 1) != NULL;
}

static bool loader_is_ram(const struct loader *loader, uint64_t base, uint64_t size)
{
	for (unsigned i = 0; i < loader->range_count; i++) {
		const struct loader_range *range = &loader->ranges[i];

		if (range->kind == RANGE_RAM && base >= range->base &&
		    range_fits(base - range->base, size, range->size)) {
			return true;
		}
	}
	return false;
}

int loader_claim(struct loader *loader, const char *what, gpa_t base, uint64_t size)
{
	const struct loader_claim *other;

	if (size == 0) {
		return 0;
	}
	if (!loader_is_ram(loader, base.v, size)) {
		return loader_fail(loader, -ENOSPC,
				   "%s: %#" PRIx64 " bytes at %#" PRIx64
				   " are not inside the guest's %" PRIu64 " MiB of memory",
				   what, size, base.v, memory_size(loader->memory) / MIB);
	}
	other = claim_find(loader, base.v, base.v + size);
	if (other != NULL) {
		return loader_fail(loader, -EINVAL,
				   "%s: %#" PRIx64 " bytes at %#" PRIx64
				   " overlap the %s at %#" PRIx64,
				   what, size, base.v, other->what, other->base);
	}
	if (loader->claim_count == LOADER_CLAIM_MAX) {
		return loader_fail(loader, -EINVAL, "%s: more than %d pieces to load", what,
				   LOADER_CLAIM_MAX);
	}
	loader->claims[loader->claim_count++] = (struct loader_claim){what, base.v, base.v + size};
	return 0;
}

/* Into a claimed range: it fails only when the memory lacks its pages. */
static int loader_copy(struct loader *loader, const char *what, gpa_t base, const void *data,
		       uint64_t size, uint64_t memory_size)
{
	gpa_t rest = GPA(base.v + size);

	CHECK(size <= memory_size);
	if ((size != 0 && memory_write(loader->memory, base, data, size) != 0) ||
	    (memory_size != size &&
	     memory_fill(loader->memory, rest, 0, memory_size - size) != 0)) {
		return loader_fail(loader, -EFAULT,
				   "%s: no pages for %#" PRIx64 " bytes at %#" PRIx64, what,
				   memory_size, base.v);
	}
	return 0;
}

int loader_put_at(struct loader *loader, const char *what, gpa_t base, const void *data,
		  uint64_t size, uint64_t memory_size)
{
	int result = loader_claim(loader, what, base, memory_size);

	return result != 0 ? result : loader_copy(loader, what, base, data, size, memory_size);
}

/* Top down in one range of RAM; each step leaves one claim behind. */
static bool range_find_free(const struct loader *loader, const struct loader_range *range,
			    uint64_t size, uint64_t align, uint64_t limit, uint64_t *found)
{
	/* Page 0 holds the real-mode vectors and looks like NULL. */
	uint64_t bottom = MAX(range->base, PAGE_SIZE);
	uint64_t end = MIN(range->base + range->size, limit);

	while (end >= bottom && end - bottom >= size) {
		const struct loader_claim *claim;
		uint64_t base = align_down(end - size, align);

		if (base < bottom) {
			return false;
		}
		claim = claim_find(loader, base, base + size);
		if (claim == NULL) {
			*found = base;
			return true;
		}
		end = claim->base;
	}
	return false;
}

int loader_put(struct loader *loader, const char *what, const void *data, uint64_t size,
	       uint64_t align, uint64_t limit, gpa_t *base)
{
	for (unsigned i = loader->range_count; i-- > 0;) {
		const struct loader_range *range = &loader->ranges[i];
		int result;

		if (range->kind != RANGE_RAM ||
		    !range_find_free(loader, range, size, align, limit, &base->v)) {
			continue;
		}
		result = loader_claim(loader, what, *base, size);
		if (result != 0) {
			return result;
		}
		return loader_copy(loader, what, *base, data, data == NULL ? 0 : size, size);
	}
	return loader_fail(loader, -ENOSPC,
			   "%s: %" PRIu64 " bytes do not fit below %#" PRIx64
			   " in the guest's %" PRIu64 " MiB of memory",
			   what, size, limit, memory_size(loader->memory) / MIB);
}

int loader_put_string(struct loader *loader, const char *what, const char *string, gpa_t *base)
{
	return loader_put(loader, what, string, strlen(string) + 1, 1, LOADER_LOW_END, base);
}

int loader_put_modules(struct loader *loader, struct loader_module modules[LOADER_MODULE_MAX],
		       unsigned *count)
{
	const struct load_request *request = loader->request;
	bool has_initrd = request->initrd.size != 0;

	*count = request->module_count + has_initrd;
	if (*count > LOADER_MODULE_MAX) {
		return loader_fail(loader, -EINVAL, "modules: %u, at most %d are possible", *count,
				   LOADER_MODULE_MAX);
	}
	for (unsigned i = 0; i < *count; i++) {
		bool is_initrd = has_initrd && i == 0;
		const struct load_image *image =
			is_initrd ? &request->initrd : &request->modules[i - has_initrd];
		const char *cmdline = image->cmdline == NULL ? "" : image->cmdline;
		int result;

		modules[i].size = image->size;
		result = loader_put(loader, is_initrd ? "initrd" : "module", image->data,
				    image->size, PAGE_SIZE, RAM_LOW_MAX, &modules[i].base);
		if (result == 0) {
			result = loader_put_string(loader, "module command line", cmdline,
						   &modules[i].cmdline);
		}
		if (result != 0) {
			return result;
		}
	}
	return 0;
}

void loader_state_flat(struct loader *loader, uint64_t entry)
{
	/* SDM 3, 3.4.5: accessed, present, 4 GiB in pages, 32 bits. */
	const struct vcpu_segment data = {
		.limit = UINT32_MAX, .attributes = 0xc093, .selector = 0x18};
	struct vcpu_state *state = loader->state;

	*state = (struct vcpu_state){
		.rip = entry,
		.rflags = BIT(1), /* always 1 */
		.segment =
			{
				[SEG_ES] = data,
				[SEG_SS] = data,
				[SEG_DS] = data,
				[SEG_FS] = data,
				[SEG_GS] = data,
				[SEG_CS] = {.limit = UINT32_MAX,
					    .attributes = 0xc09b,
					    .selector = 0x10},
				[SEG_LDTR] = {.attributes = SEG_UNUSABLE},
				/* A CPU outside real mode has a busy TSS (SDM 3, 27.3.1.2). */
				[SEG_TR] = {.limit = 0x67, .attributes = 0x8b},
			},
		.gdtr_limit = 0xffff,
		.idtr_limit = 0xffff,
		.cr0 = 0x11, /* PE, ET */
		.xcr0 = 1,
		/* As after RESET (SDM 3, table 10-1 and 12.12.4). */
		.dr6 = 0xffff0ff0,
		.dr7 = 0x400,
		.pat = UINT64_C(0x0007040600070406),
	};
}
