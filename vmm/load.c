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

static void loader_map(struct loader *loader);

int load_guest(struct guest_memory *memory, const struct load_request *request,
	       struct vcpu_state *state, char *error)
{
	struct loader loader = {
		.memory = memory,
		.request = request,
		.state = state,
		.error = error,
	};
	uint64_t entry;
	size_t header;

	loader_map(&loader);
	elf_open(&loader);
	if (bzimage_is_bzimage(&request->kernel)) {
		bzimage_load(&loader);
	} else if (pvh_find_entry(&loader.elf, &entry)) {
		pvh_load(&loader, entry);
	} else if (multiboot_find(&request->kernel, &header)) {
		multiboot_load(&loader, header);
	} else {
		loader_fail(&loader, -EINVAL,
			    "kernel: %" PRIu64 " bytes, neither a bzImage nor an ELF file "
			    "with a PVH note nor a multiboot kernel",
			    request->kernel.size);
	}
	return loader.result;
}

void loader_fail(struct loader *loader, int error, const char *format, ...)
{
	va_list arguments;

	if (loader->result == 0) {
		loader->result = error;
		va_start(arguments, format);
		vsnprintf(loader->error, LOAD_ERROR_MAX, format, arguments);
		va_end(arguments);
	}
}

static void loader_map(struct loader *loader)
{
	uint64_t low = memory_low_size(loader->memory);
	uint64_t high = memory_size(loader->memory) - low;
	struct loader_range *ranges = loader->ranges;

	CHECK(low > MIB);
	/* From LOADER_LOW_END to 1 MiB: extended BIOS data, VGA, ACPI tables. */
	ranges[0] = (struct loader_range){0, LOADER_LOW_END, RANGE_RAM, 0};
	ranges[1] = (struct loader_range){LOADER_LOW_END, MIB - LOADER_LOW_END, RANGE_RESERVED, 0};
	ranges[2] = (struct loader_range){MIB, low - MIB, RANGE_RAM, 0};
	ranges[3] = (struct loader_range){RAM_HIGH_BASE, high, RANGE_RAM, 0};
	loader->range_count = high == 0 ? 3 : 4;
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

void loader_check_entry(struct loader *loader, const char *protocol, uint64_t entry)
{
	if (entry > UINT32_MAX || claim_find(loader, entry, entry + 1) == NULL) {
		loader_fail(loader, -EINVAL,
			    "kernel: %s entry %#" PRIx64 " is not in what was loaded", protocol,
			    entry);
	}
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

static void loader_claim(struct loader *loader, const char *what, uint64_t base, uint64_t size)
{
	const struct loader_claim *other = claim_find(loader, base, base + size);

	if (!loader_is_ram(loader, base, size)) {
		loader_fail(loader, -ENOSPC,
			    "%s: %#" PRIx64 " bytes at %#" PRIx64
			    " are not inside the guest's %" PRIu64 " MiB of memory",
			    what, size, base, memory_size(loader->memory) / MIB);
	} else if (other != NULL) {
		loader_fail(loader, -EINVAL,
			    "%s: %#" PRIx64 " bytes at %#" PRIx64 " overlap the %s at %#" PRIx64,
			    what, size, base, other->what, other->base);
	} else if (loader->claim_count == LOADER_CLAIM_MAX) {
		loader_fail(loader, -EINVAL, "%s: more than %d pieces to load", what,
			    LOADER_CLAIM_MAX);
	} else {
		loader->claims[loader->claim_count++] =
			(struct loader_claim){what, base, base + size};
	}
}

/* It fails only when the memory lacks its pages. */
void loader_write(struct loader *loader, const char *what, gpa_t gpa, const void *data,
		  uint64_t size)
{
	int result;

	if (loader->result != 0 || size == 0) {
		return;
	}
	result = data == NULL ? memory_fill(loader->memory, gpa, 0, size)
			      : memory_write(loader->memory, gpa, data, size);
	if (result != 0) {
		loader_fail(loader, -EFAULT, "%s: no pages for %#" PRIx64 " bytes at %#" PRIx64,
			    what, size, gpa.v);
	}
}

void loader_put_at(struct loader *loader, const char *what, gpa_t base, const void *data,
		   uint64_t size, uint64_t memory_size)
{
	if (memory_size != 0) {
		loader_claim(loader, what, base.v, memory_size);
		loader_write(loader, what, base, data, size);
		loader_write(loader, what, GPA(base.v + size), NULL, memory_size - size);
	}
}

/* Top down in one range of RAM; each step leaves one claim behind. 0: there is none. */
static uint64_t range_find_free(const struct loader *loader, const struct loader_range *range,
				uint64_t size, uint64_t align, uint64_t limit)
{
	/* Page 0 holds the real-mode vectors and looks like NULL. */
	uint64_t bottom = MAX(range->base, PAGE_SIZE);
	uint64_t end = MIN(range->base + range->size, limit);

	while (range->kind == RANGE_RAM && end >= bottom && end - bottom >= size) {
		uint64_t base = align_down(end - size, align);
		const struct loader_claim *claim = claim_find(loader, base, base + size);

		if (base < bottom) {
			return 0;
		}
		if (claim == NULL) {
			return base;
		}
		end = claim->base;
	}
	return 0;
}

gpa_t loader_put(struct loader *loader, const char *what, const void *data, uint64_t size,
		 uint64_t align, uint64_t limit)
{
	uint64_t base = 0;

	for (unsigned i = loader->range_count; base == 0 && i-- > 0;) {
		base = range_find_free(loader, &loader->ranges[i], size, align, limit);
	}
	if (base == 0) {
		loader_fail(loader, -ENOSPC,
			    "%s: %" PRIu64 " bytes do not fit below %#" PRIx64
			    " in the guest's %" PRIu64 " MiB of memory",
			    what, size, limit, memory_size(loader->memory) / MIB);
	}
	if (loader->result != 0) {
		return GPA(0);
	}
	loader_put_at(loader, what, GPA(base), data, size, size);
	return GPA(base);
}

uint32_t loader_put_low(struct loader *loader, const char *what, const void *data, uint64_t size)
{
	return (uint32_t)loader_put(loader, what, data, size, 8, LOADER_LOW_END).v;
}

uint32_t loader_put_string(struct loader *loader, const char *what, const char *string)
{
	return loader_put_low(loader, what, string, strlen(string) + 1);
}

unsigned loader_put_modules(struct loader *loader, struct loader_module modules[LOADER_MODULE_MAX])
{
	const struct load_request *request = loader->request;
	bool has_initrd = request->initrd.size != 0;
	unsigned count = request->module_count + has_initrd;

	if (count > LOADER_MODULE_MAX) {
		loader_fail(loader, -EINVAL, "modules: %u, at most %d are possible", count,
			    LOADER_MODULE_MAX);
		return 0;
	}
	for (unsigned i = 0; i < count; i++) {
		bool is_initrd = has_initrd && i == 0;
		const struct load_image *image =
			is_initrd ? &request->initrd : &request->modules[i - has_initrd];

		modules[i].size = image->size;
		modules[i].base = loader_put(loader, is_initrd ? "initrd" : "module", image->data,
					     image->size, PAGE_SIZE, RAM_LOW_MAX);
		modules[i].cmdline =
			loader_put_string(loader, "module command line",
					  image->cmdline == NULL ? "" : image->cmdline);
	}
	return count;
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
		.gdtr_limit = 0xffff,
		.idtr_limit = 0xffff,
		.cr0 = 0x11, /* PE, ET */
		.xcr0 = 1,
		/* As after RESET (SDM 3, table 10-1 and 12.12.4). */
		.dr6 = 0xffff0ff0,
		.dr7 = 0x400,
		.pat = UINT64_C(0x0007040600070406),
	};
	for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
		state->segment[i] = data;
	}
	state->segment[SEG_CS].attributes = 0xc09b;
	state->segment[SEG_CS].selector = 0x10;
	state->segment[SEG_LDTR].attributes = SEG_UNUSABLE;
	/* A CPU outside real mode has a busy TSS (SDM 3, 27.3.1.2). */
	state->segment[SEG_TR] = (struct vcpu_segment){.limit = 0x67, .attributes = 0x8b};
}
