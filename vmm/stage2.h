/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of a guest's second-stage tree: gpa to hpa, in four levels with
 * leaves of 4 KiB, 2 MiB and 1 GiB. What the bits of an entry mean is arch's.
 *
 * Order of every change: fill the table, link it, bump the generation; whoever
 * runs the guest invalidates before the next entry, and only then may what was
 * unlinked be freed. Changes are made by one CPU at a time, the guest's.
 */
#ifndef VMM_STAGE2_H
#define VMM_STAGE2_H

#include "arch/x86_64/arch.h"

struct stage2 {
	hpa_t root;
	/* Bumped by every change that takes away or moves a translation. */
	uint64_t generation;
	uint64_t table_count; /* pages that the tree itself takes */
};

/* An empty tree. Returns 0 or -ENOMEM. */
int stage2_init(struct stage2 *tree) MUST_CHECK;

/*
 * Frees the tree; `release` gets each leaf's memory. The guest does not run,
 * and no CPU holds translations that it will use again.
 */
void stage2_destroy(struct stage2 *tree, void (*release)(hpa_t hpa, unsigned level));

/*
 * Maps one leaf of `level` at gpa, both aligned to its size, where nothing was.
 * Returns 0, -ENOMEM (the tree is as it was), -EEXIST.
 */
int stage2_map(struct stage2 *tree, gpa_t gpa, hpa_t hpa, unsigned level,
	       unsigned rights) MUST_CHECK;

/*
 * Where gpa lies, HPA_NONE for nowhere; *contiguous is how many bytes from
 * there on lie in the same leaf.
 */
hpa_t stage2_translate(const struct stage2 *tree, gpa_t gpa, uint64_t *contiguous);

#endif
