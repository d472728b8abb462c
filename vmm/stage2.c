/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of a guest's second-stage tree. See stage2.h for the rules.
 */
#include "vmm/stage2.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/page.h"

#define INDEX_BITS 9

static uint64_t level_size(unsigned level)
{
	return PAGE_SIZE << (INDEX_BITS * level);
}

static unsigned level_index(gpa_t gpa, unsigned level)
{
	return gpa.v >> (PAGE_SHIFT + INDEX_BITS * level) & (S2_ENTRY_COUNT - 1);
}

static s2_entry_t *table_at(hpa_t hpa)
{
	return hpa_to_virt(hpa);
}

static hpa_t table_new(struct stage2 *tree)
{
	hpa_t table = page_alloc(0);

	if (!hpa_is_none(table)) {
		memset(hpa_to_virt(table), 0, PAGE_SIZE);
		tree->table_count++;
	}
	return table;
}

int stage2_init(struct stage2 *tree)
{
	*tree = (struct stage2){.generation = 1};
	tree->root = table_new(tree);
	return hpa_is_none(tree->root) ? -ENOMEM : 0;
}

/* The four-level walk: the one recursion there is. */
static void destroy_table(struct stage2 *tree, hpa_t table, unsigned level,
			  void (*release)(hpa_t hpa, unsigned level))
{
	const s2_entry_t *entries = table_at(table);

	for (unsigned i = 0; i < S2_ENTRY_COUNT; i++) {
		if (!s2_entry_present(entries[i])) {
			continue;
		}
		if (s2_entry_is_leaf(entries[i], level)) {
			release(s2_entry_address(entries[i], level), level);
		} else {
			destroy_table(tree, s2_entry_address(entries[i], level), level - 1,
				      release);
		}
	}
	page_free(table, 0);
	tree->table_count--;
}

void stage2_destroy(struct stage2 *tree, void (*release)(hpa_t hpa, unsigned level))
{
	tree->generation++;
	destroy_table(tree, tree->root, S2_LEVEL_TOP, release);
	CHECK(tree->table_count == 0);
	tree->root = HPA_NONE;
}

/*
 * Prepare: the `count` tables that are missing on the way, or none of them.
 */
static int tables_prepare(struct stage2 *tree, hpa_t *tables, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		tables[i] = table_new(tree);
		if (hpa_is_none(tables[i])) {
			while (i-- > 0) {
				page_free(tables[i], 0);
				tree->table_count--;
			}
			return -ENOMEM;
		}
	}
	return 0;
}

int stage2_map(struct stage2 *tree, gpa_t gpa, hpa_t hpa, unsigned level, unsigned rights)
{
	s2_entry_t *table = table_at(tree->root);
	s2_entry_t below = s2_entry_leaf(hpa, level, rights);
	hpa_t tables[S2_LEVEL_TOP];
	unsigned at = S2_LEVEL_TOP;
	s2_entry_t *link;

	CHECK(is_aligned(gpa.v, level_size(level)));
	for (;; at--) {
		link = &table[level_index(gpa, at)];
		if (at == level || !s2_entry_present(*link)) {
			break;
		}
		if (s2_entry_is_leaf(*link, at)) {
			return -EEXIST;
		}
		table = table_at(s2_entry_address(*link, at));
	}
	if (s2_entry_present(*link)) {
		return -EEXIST;
	}
	if (tables_prepare(tree, tables, at - level) != 0) {
		return -ENOMEM;
	}
	/* Commit: from the leaf up, so that one store links a chain that is whole. */
	for (unsigned i = level; i < at; i++) {
		s2_entry_store(&table_at(tables[i - level])[level_index(gpa, i)], below);
		below = s2_entry_table(tables[i - level]);
	}
	s2_entry_store(link, below);
	return 0;
}

hpa_t stage2_translate(const struct stage2 *tree, gpa_t gpa, uint64_t *contiguous)
{
	const s2_entry_t *table = table_at(tree->root);

	if (gpa.v >= level_size(S2_LEVEL_TOP + 1)) {
		return HPA_NONE;
	}
	for (unsigned level = S2_LEVEL_TOP;; level--) {
		s2_entry_t entry = table[level_index(gpa, level)];
		uint64_t offset = gpa.v & (level_size(level) - 1);

		if (!s2_entry_present(entry)) {
			return HPA_NONE;
		}
		if (s2_entry_is_leaf(entry, level)) {
			*contiguous = level_size(level) - offset;
			return HPA(s2_entry_address(entry, level).v + offset);
		}
		table = table_at(s2_entry_address(entry, level));
	}
}
