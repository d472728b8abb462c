/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meaning of each bit of an extended page table entry: SDM 3, 30.3.2,
 * tables 30-1 to 30-7. Pure; the shape of the tree is vmm/stage2.c.
 */
#include "arch/x86_64/ept.h"

#include "base/check.h"

#define EPT_READ BIT(0)
#define EPT_WRITE BIT(1)
#define EPT_EXECUTE BIT(2)
#define EPT_RIGHTS BITS(2, 0)
#define EPT_MEMORY_TYPE BITS(5, 3)
/* The guest's PAT does not count: its memory is RAM, always write-back. */
#define EPT_IGNORE_PAT BIT(6)
#define EPT_LEAF BIT(7)
#define EPT_ACCESSED BIT(8)
#define EPT_DIRTY BIT(9)
#define EPT_ADDRESS BITS(51, 12)

#define MEMORY_TYPE_WB UINT64_C(6)

#define EPTP_MEMORY_TYPE BITS(2, 0)
#define EPTP_WALK_LENGTH BITS(5, 3)
#define EPTP_ACCESSED_DIRTY BIT(6)

_Static_assert(S2_READ == EPT_READ && S2_WRITE == EPT_WRITE && S2_EXECUTE == EPT_EXECUTE,
	       "rights are the entry's lowest bits as they are");

static struct ept_features features = {.leaf_level_max = 2, .accessed_dirty = true};

void ept_init(const struct ept_features *found)
{
	features = *found;
}

uint64_t ept_pointer(hpa_t root)
{
	return root.v | field_set(EPTP_MEMORY_TYPE, MEMORY_TYPE_WB) |
	       field_set(EPTP_WALK_LENGTH, S2_LEVEL_TOP) |
	       (features.accessed_dirty ? EPTP_ACCESSED_DIRTY : 0);
}

unsigned s2_leaf_level_max(void)
{
	return features.leaf_level_max;
}

s2_entry_t s2_entry_leaf(hpa_t hpa, unsigned level, unsigned rights)
{
	CHECK(level <= features.leaf_level_max);
	CHECK(is_aligned(hpa.v, PAGE_SIZE << (9 * level)));
	return hpa.v | (rights & EPT_RIGHTS) | field_set(EPT_MEMORY_TYPE, MEMORY_TYPE_WB) |
	       EPT_IGNORE_PAT | (level > 0 ? EPT_LEAF : 0);
}

s2_entry_t s2_entry_table(hpa_t table)
{
	return table.v | EPT_RIGHTS;
}

bool s2_entry_present(s2_entry_t entry)
{
	return (entry & EPT_RIGHTS) != 0;
}

bool s2_entry_is_leaf(s2_entry_t entry, unsigned level)
{
	return s2_entry_present(entry) && (level == 0 || (entry & EPT_LEAF) != 0);
}

hpa_t s2_entry_address(s2_entry_t entry, unsigned level)
{
	/* The low address bits of a large leaf are reserved, hence zero. */
	return HPA(align_down(entry & EPT_ADDRESS, s2_entry_is_leaf(entry, level)
							   ? PAGE_SIZE << (9 * level)
							   : PAGE_SIZE));
}

unsigned s2_entry_rights(s2_entry_t entry)
{
	return (unsigned)(entry & EPT_RIGHTS);
}

bool s2_entry_accessed(s2_entry_t entry)
{
	return (entry & EPT_ACCESSED) != 0;
}

bool s2_entry_dirty(s2_entry_t entry, unsigned level)
{
	return s2_entry_is_leaf(entry, level) && (entry & EPT_DIRTY) != 0;
}

s2_entry_t s2_entry_clear_accessed(s2_entry_t entry)
{
	return entry & ~EPT_ACCESSED;
}

s2_entry_t s2_entry_clear_dirty(s2_entry_t entry)
{
	return entry & ~EPT_DIRTY;
}
