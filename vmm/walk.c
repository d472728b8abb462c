/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest page walk: one loop for all paging modes of SDM 3, chapter 5.
 */
#include "vmm/walk.h"

#include <errno.h>

#define CR0_WP BIT(16)
#define CR0_PG BIT(31)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_LA57 BIT(12)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define RFLAGS_AC BIT(18)

#define ENTRY_PRESENT BIT(0)
#define ENTRY_WRITE BIT(1)
#define ENTRY_USER BIT(2)
#define ENTRY_ACCESSED BIT(5)
#define ENTRY_DIRTY BIT(6)
#define ENTRY_LARGE BIT(7)
#define ENTRY_NX BIT(63)

/* SDM 3, figure 4-12. */
#define ERROR_PRESENT BIT(0)
#define ERROR_WRITE BIT(1)
#define ERROR_USER BIT(2)
#define ERROR_RESERVED BIT(3)
#define ERROR_FETCH BIT(4)

#define LEVEL_COUNT_MAX 5

/* The shape of a tree. Levels count from the leaf: 0 = 4 KiB. */
struct paging {
	unsigned level_count;
	unsigned plain_level_count; /* above are PDPTEs, without rights and accessed bits */
	unsigned index_bits, entry_size;
	unsigned large_level_max; /* the largest level that may hold a page */
	uint64_t root, address; /* mask of addresses in entries */
	/* By level: bits that are always 0, and in entries with ENTRY_LARGE too. */
	uint64_t reserved[LEVEL_COUNT_MAX], reserved_large[LEVEL_COUNT_MAX];
};

/* clang-format off */
/* SDM 3, 5.4.2 and tables 5-15 to 5-20; above the largest pages ENTRY_LARGE is reserved. */
#define RESERVED_LONG {0, BITS(20, 13), BITS(29, 13), ENTRY_LARGE, ENTRY_LARGE}

enum { PAGING_32, PAGING_32_SMALL, PAGING_PAE, PAGING_4_LEVEL, PAGING_5_LEVEL };
static const struct paging pagings[] = {
	[PAGING_32]       = {2, 2, 10, 4, 1, BITS(31, 12), BITS(31, 12), {0}, {0, BIT(21)}},
	[PAGING_32_SMALL] = {2, 2, 10, 4, 0, BITS(31, 12), BITS(31, 12), {0}, {0}},
	[PAGING_PAE]      = {3, 2, 9, 8, 1, BITS(31, 5), BITS(51, 12),
			     {BITS(62, 52), BITS(62, 52), BITS(63, 52) | BITS(8, 5) | BITS(2, 1)},
			     {0, BITS(20, 13)}},
	[PAGING_4_LEVEL]  = {4, 4, 9, 8, 2, BITS(51, 12), BITS(51, 12), {0}, RESERVED_LONG},
	[PAGING_5_LEVEL]  = {5, 5, 9, 8, 2, BITS(51, 12), BITS(51, 12), {0}, RESERVED_LONG},
};
/* clang-format on */

static const struct paging *paging_of(const struct vcpu_mode *mode)
{
	if ((mode->efer & EFER_LMA) != 0) {
		return &pagings[(mode->cr4 & CR4_LA57) != 0 ? PAGING_5_LEVEL : PAGING_4_LEVEL];
	}
	if ((mode->cr4 & CR4_PAE) != 0) {
		return &pagings[PAGING_PAE];
	}
	return &pagings[(mode->cr4 & CR4_PSE) != 0 ? PAGING_32 : PAGING_32_SMALL];
}

/* One walk in progress. */
struct walk {
	struct guest_memory *memory;
	const struct vcpu_mode *mode;
	const struct paging *paging;
	uint64_t linear;
	unsigned access;
	unsigned level; /* of the last entry read */
	uint64_t error; /* bits of the page fault's code */
	uint64_t entries[LEVEL_COUNT_MAX];
	gpa_t entry_gpas[LEVEL_COUNT_MAX];
	uint64_t rights; /* ENTRY_WRITE and ENTRY_USER: of all levels together */
	bool no_execute;
};

static bool is_large(const struct walk *walk)
{
	return walk->level > 0 && (walk->entries[walk->level] & ENTRY_LARGE) != 0;
}

static bool has_reserved_bits(const struct walk *walk)
{
	const struct paging *paging = walk->paging;
	uint64_t reserved = paging->reserved[walk->level];

	if (is_large(walk)) {
		reserved |= paging->reserved_large[walk->level];
	}
	if (paging->entry_size == 8 && (walk->mode->efer & EFER_NXE) == 0) {
		reserved |= ENTRY_NX;
	}
	return (walk->entries[walk->level] & reserved) != 0;
}

/* Follows the tree to the leaf; false, with walk->error, when there is none. */
static bool walk_descend(struct walk *walk)
{
	const struct paging *paging = walk->paging;
	uint64_t table = walk->mode->cr3 & paging->root;

	walk->level = paging->level_count;
	walk->rights = ENTRY_WRITE | ENTRY_USER;
	do {
		unsigned level = --walk->level;
		uint64_t index = walk->linear >> (PAGE_SHIFT + paging->index_bits * level) &
				 (BIT(paging->index_bits) - 1);
		gpa_t gpa = GPA(table + index * paging->entry_size);
		uint64_t entry = 0;

		/* Where nothing answers the bus reads ones. */
		if (memory_read(walk->memory, gpa, &entry, paging->entry_size) != 0) {
			entry = BITS(8 * paging->entry_size - 1, 0);
		}
		walk->entries[level] = entry;
		walk->entry_gpas[level] = gpa;
		if ((entry & ENTRY_PRESENT) == 0) {
			return false;
		}
		if (has_reserved_bits(walk)) {
			walk->error |= ERROR_PRESENT | ERROR_RESERVED;
			return false;
		}
		if (level < paging->plain_level_count) {
			walk->rights &= entry;
			walk->no_execute = walk->no_execute || (entry & ENTRY_NX) != 0;
		}
		table = entry & paging->address;
	} while (walk->level > paging->large_level_max || (walk->level > 0 && !is_large(walk)));
	return true;
}

/* Access rights: SDM 3, 5.6.1. */
static bool walk_is_allowed(const struct walk *walk)
{
	const struct vcpu_mode *mode = walk->mode;
	bool user_page = (walk->rights & ENTRY_USER) != 0;
	bool is_user = mode->cpl == 3;

	if (is_user && !user_page) {
		return false;
	}
	if ((walk->access & WALK_FETCH) != 0) {
		return !walk->no_execute && (is_user || !user_page || (mode->cr4 & CR4_SMEP) == 0);
	}
	if (!is_user && user_page && (mode->cr4 & CR4_SMAP) != 0 &&
	    (mode->rflags & RFLAGS_AC) == 0) {
		return false;
	}
	return (walk->access & WALK_WRITE) == 0 || (walk->rights & ENTRY_WRITE) != 0 ||
	       (!is_user && (mode->cr0 & CR0_WP) == 0);
}

/* Accessed in all levels, dirty in the leaf: SDM 3, 5.8. */
static void walk_mark(struct walk *walk)
{
	for (unsigned level = walk->level; level < walk->paging->plain_level_count; level++) {
		uint64_t entry = walk->entries[level] | ENTRY_ACCESSED;

		if (level == walk->level && (walk->access & WALK_WRITE) != 0) {
			entry |= ENTRY_DIRTY;
		}
		/* Where no memory is the write has no effect, as on the bus. */
		if (entry != walk->entries[level] &&
		    memory_write(walk->memory, walk->entry_gpas[level], &entry,
				 walk->paging->entry_size) != 0) {
			continue;
		}
	}
}

static gpa_t walk_result(const struct walk *walk)
{
	uint64_t entry = walk->entries[walk->level];
	uint64_t size = BIT(PAGE_SHIFT + walk->paging->index_bits * walk->level);
	uint64_t base = align_down(entry & walk->paging->address, size);

	/* PSE-36: SDM 3, table 5-4. */
	if (walk->paging->entry_size == 4 && walk->level == 1) {
		base |= field_get(BITS(20, 13), entry) << 32;
	}
	return GPA(base | (walk->linear & (size - 1)));
}

static bool is_canonical(uint64_t linear, const struct paging *paging)
{
	unsigned spare = 64 - PAGE_SHIFT - 9 * paging->level_count;

	return (uint64_t)((int64_t)(linear << spare) >> spare) == linear;
}

int walk_translate(struct guest_memory *memory, const struct vcpu_mode *mode, uint64_t linear,
		   unsigned access, gpa_t *gpa, uint32_t *error)
{
	struct walk walk = {
		.memory = memory,
		.mode = mode,
		.paging = paging_of(mode),
		.linear = linear,
		.access = access,
	};

	*error = 0;
	if ((mode->efer & EFER_LMA) == 0) {
		walk.linear = (uint32_t)linear;
	} else if (!is_canonical(linear, walk.paging)) {
		return -EINVAL;
	}
	if ((mode->cr0 & CR0_PG) == 0) {
		*gpa = GPA(walk.linear);
		return 0;
	}
	if (walk_descend(&walk)) {
		if (walk_is_allowed(&walk)) {
			if ((access & WALK_FETCH) == 0) {
				walk_mark(&walk);
			}
			*gpa = walk_result(&walk);
			return 0;
		}
		walk.error |= ERROR_PRESENT;
	}
	walk.error |= (access & WALK_WRITE) != 0 ? ERROR_WRITE : 0;
	walk.error |= mode->cpl == 3 ? ERROR_USER : 0;
	/* Told only where something can forbid it: SDM 3, 5.7. */
	if ((access & WALK_FETCH) != 0 &&
	    ((mode->cr4 & CR4_SMEP) != 0 ||
	     ((mode->cr4 & CR4_PAE) != 0 && (mode->efer & EFER_NXE) != 0))) {
		walk.error |= ERROR_FETCH;
	}
	*error = (uint32_t)walk.error;
	return -EFAULT;
}

size_t walk_read_code(struct guest_memory *memory, const struct vcpu_mode *mode,
		      uint8_t bytes[INSN_LENGTH_MAX])
{
	/* The base of CS does not count in 64-bit mode: SDM 1, 3.4.2.1. */
	uint64_t linear = mode->code_size == 8 ? mode->rip : (uint32_t)(mode->cs_base + mode->rip);
	size_t count = 0;

	/* At most two pages. */
	while (count < INSN_LENGTH_MAX) {
		uint64_t in_page = PAGE_SIZE - ((linear + count) & (PAGE_SIZE - 1));
		size_t size = MIN(INSN_LENGTH_MAX - count, in_page);
		uint32_t error;
		gpa_t gpa;

		if (walk_translate(memory, mode, linear + count, WALK_FETCH, &gpa, &error) != 0 ||
		    memory_read(memory, gpa, bytes + count, size) != 0) {
			break;
		}
		count += size;
	}
	return count;
}
