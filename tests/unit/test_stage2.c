/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Second-stage trees: a model of what is mapped, and a checker that walks the
 * tree after every single store, as a CPU would that runs the guest meanwhile:
 * at no time may an address lead anywhere but to its old or its new place.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/page.h"
#include "tests/fake_arch/fake_arch.h"
#include "vmm/memory.h"
#include "vmm/stage2.h"

#define POOL_SIZE (64 * MIB)
#define PROBE_COUNT 512
#define LEVEL_SIZE(level) (PAGE_SIZE << (9 * (level)))

static struct stage2 tree;

/* Addresses watched, and where each may lead now. */
static struct probe {
	gpa_t gpa;
	uint64_t old, new; /* hpa, UINT64_MAX for nowhere */
} probes[PROBE_COUNT];
static unsigned probe_count;
static unsigned store_count;

/* The number of the first probe that leads astray, -1 when all is well. */
static int find_stray_probe(void)
{
	for (unsigned i = 0; i < probe_count; i++) {
		uint64_t contiguous;
		hpa_t hpa = stage2_translate(&tree, probes[i].gpa, &contiguous);

		if (hpa.v != probes[i].old && hpa.v != probes[i].new) {
			return (int)i;
		}
	}
	return -1;
}

static void check_probes(s2_entry_t *entry)
{
	int stray = find_stray_probe();

	(void)entry;
	store_count++;
	if (stray >= 0) {
		fake_fail("gpa %lx leads neither to %lx nor to %lx in the middle of a change",
			  probes[stray].gpa.v, probes[stray].old, probes[stray].new);
	}
}

static int setup(void **state)
{
	(void)state;
	fake_arch_reset(POOL_SIZE);
	probe_count = 0;
	store_count = 0;
	assert_int_equal(stage2_init(&tree), 0);
	fake.entry_stored = check_probes;
	return 0;
}

static void release_nothing(hpa_t hpa, unsigned level)
{
	(void)hpa;
	(void)level;
}

static int teardown(void **state)
{
	(void)state;
	stage2_destroy(&tree, release_nothing);
	assert_int_equal(tree.table_count, 0);
	return 0;
}

static void add_probe(uint64_t gpa)
{
	uint64_t contiguous;
	hpa_t hpa = stage2_translate(&tree, GPA(gpa), &contiguous);

	assert_true(probe_count < PROBE_COUNT);
	probes[probe_count++] = (struct probe){GPA(gpa), hpa.v, hpa.v};
}

/* Maps under the checker's eyes. */
static int map(uint64_t gpa, uint64_t hpa, unsigned level)
{
	int error;

	for (unsigned i = 0; i < probe_count; i++) {
		uint64_t at = probes[i].gpa.v;

		if (at >= gpa && at < gpa + LEVEL_SIZE(level) && probes[i].old == UINT64_MAX) {
			probes[i].new = hpa + (at - gpa);
		}
	}
	error = stage2_map(&tree, GPA(gpa), HPA(hpa), level, S2_ALL);
	for (unsigned i = 0; i < probe_count; i++) {
		if (error == 0) {
			probes[i].old = probes[i].new;
		} else {
			probes[i].new = probes[i].old;
		}
	}
	check_probes(NULL);
	return error;
}

static void maps_each_level(void **state)
{
	(void)state;
	add_probe(0);
	add_probe(PAGE_SIZE);
	add_probe(2 * MIB + 0x1234);
	add_probe(GIB + 5 * MIB + 7);
	assert_int_equal(map(0, 0x5000, 0), 0);
	assert_int_equal(map(2 * MIB, 4 * MIB, 1), 0);
	assert_int_equal(map(GIB, 3 * GIB, 2), 0);
	assert_int_equal(probes[0].old, 0x5000);
	assert_int_equal(probes[1].old, UINT64_MAX);
	assert_int_equal(probes[2].old, 4 * MIB + 0x1234);
	assert_int_equal(probes[3].old, 3 * GIB + 5 * MIB + 7);
	/* Root, one table of level 2, one of level 1, one of level 0. */
	assert_int_equal(tree.table_count, 4);
	assert_true(store_count > 0);
}

static void refuses_what_is_mapped(void **state)
{
	(void)state;
	assert_int_equal(map(0, 0x200000, 1), 0);
	assert_int_equal(map(0x1000, 0x5000, 0), -EEXIST);
	assert_int_equal(map(0, 0x400000, 1), -EEXIST);
	assert_int_equal(map(0, 0, 2), -EEXIST);
	assert_int_equal(tree.table_count, 3);
}

static void beyond_the_tree_is_nowhere(void **state)
{
	uint64_t contiguous;

	(void)state;
	assert_true(hpa_is_none(stage2_translate(&tree, GPA(UINT64_C(1) << 48), &contiguous)));
	assert_true(hpa_is_none(stage2_translate(&tree, GPA(UINT64_MAX), &contiguous)));
}

static void out_of_memory_changes_nothing(void **state)
{
	uint64_t tables = tree.table_count;
	hpa_t taken = HPA_NONE;

	(void)state;
	/* All but two pages go: three tables are wanted. */
	while (page_free_count() > 2) {
		hpa_t hpa = page_alloc(0);

		*(uint64_t *)hpa_to_virt(hpa) = taken.v;
		taken = hpa;
	}
	add_probe(0x40000000);
	assert_int_equal(map(0x40000000, 0x5000, 0), -ENOMEM);
	assert_int_equal(tree.table_count, tables);
	assert_int_equal(page_free_count(), 2);
	while (!hpa_is_none(taken)) {
		hpa_t next = HPA(*(uint64_t *)hpa_to_virt(taken));

		page_free(taken, 0);
		taken = next;
	}
}

/* A thousand leaves at random places, every store checked against the model. */
static void random_history(void **state)
{
	unsigned mapped = 0;

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 200; i++) {
		add_probe(((uint64_t)rand() << 12 | (uint64_t)rand() % 4096) % (8 * GIB));
	}
	for (unsigned i = 0; i < 1000; i++) {
		unsigned level = (unsigned)rand() % 3;
		uint64_t size = LEVEL_SIZE(level);
		/* Half of them over a probe, so that the checker has something to see. */
		uint64_t near = probes[(unsigned)rand() % probe_count].gpa.v;
		uint64_t gpa = rand() % 2 ? near : ((uint64_t)rand() << 12) % (8 * GIB);
		uint64_t hpa = ((uint64_t)rand() << 12) % (64 * GIB);
		int error = map(align_down(gpa, size), align_down(hpa, size), level);

		assert_true(error == 0 || error == -EEXIST);
		mapped += error == 0;
	}
	assert_true(mapped > 100);
	assert_true(store_count > mapped);
}

/* The checker itself: a table that is linked before it is filled must be seen. */
static void checker_sees_a_link_before_its_fill(void **state)
{
	s2_entry_t *root = hpa_to_virt(tree.root);
	hpa_t table = page_alloc(0);
	s2_entry_t *entries = hpa_to_virt(table);

	(void)state;
	for (unsigned i = 0; i < S2_ENTRY_COUNT; i++) {
		entries[i] = s2_entry_leaf(HPA(i * GIB), 2, S2_ALL); /* left-overs */
	}
	add_probe(3 * GIB);
	probes[0].new = 0x5000;
	assert_int_equal(find_stray_probe(), -1);
	root[0] = s2_entry_table(table);
	assert_int_equal(find_stray_probe(), 0);
	root[0] = 0;
	page_free(table, 0);
}

/* ---- Guest memory on top of it ------------------------------------------- */

static void memory_comes_and_goes_whole(void **state)
{
	struct guest_memory memory;
	uint64_t before = page_free_count();
	uint8_t bytes[32] = {1, 2, 3, 4, 5, 6, 7, 8}, back[32];
	int more;

	(void)state;
	fake.entry_stored = NULL;
	assert_int_equal(memory_create(&memory, 16 * MIB), 0);
	assert_int_equal(memory_write(&memory, GPA(0), bytes, sizeof(bytes)), -EFAULT);
	for (unsigned i = 0; (more = memory_populate(&memory, 4 * MIB)) > 0; i++) {
		assert_true(i < 16);
	}
	assert_int_equal(more, 0);
	/* Across the boundary of two leaves, and up to the last byte. */
	assert_int_equal(memory_write(&memory, GPA(2 * MIB - 7), bytes, sizeof(bytes)), 0);
	assert_int_equal(memory_read(&memory, GPA(2 * MIB - 7), back, sizeof(back)), 0);
	assert_memory_equal(bytes, back, sizeof(back));
	assert_int_equal(memory_write(&memory, GPA(16 * MIB - 32), bytes, sizeof(bytes)), 0);
	assert_int_equal(memory_write(&memory, GPA(16 * MIB - 31), bytes, sizeof(bytes)), -EFAULT);
	assert_int_equal(memory_read(&memory, GPA(UINT64_MAX - 7), back, sizeof(back)), -EFAULT);
	assert_int_equal(memory_fill(&memory, GPA(0), 0xaa, 16 * MIB), 0);
	assert_int_equal(memory_read(&memory, GPA(2 * MIB - 7), back, sizeof(back)), 0);
	assert_int_equal(back[0], 0xaa);
	memory_destroy(&memory);
	assert_int_equal(page_free_count(), before);
}

static void memory_that_runs_out_is_given_back(void **state)
{
	struct guest_memory memory;
	uint64_t before = page_free_count();
	int more;

	(void)state;
	fake.entry_stored = NULL;
	assert_int_equal(memory_create(&memory, 2 * POOL_SIZE), 0);
	while ((more = memory_populate(&memory, 4 * MIB)) > 0) {
	}
	assert_int_equal(more, -ENOMEM);
	memory_destroy(&memory);
	assert_int_equal(page_free_count(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(maps_each_level, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_is_mapped, setup, teardown),
		cmocka_unit_test_setup_teardown(beyond_the_tree_is_nowhere, setup, teardown),
		cmocka_unit_test_setup_teardown(out_of_memory_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(random_history, setup, teardown),
		cmocka_unit_test_setup_teardown(checker_sees_a_link_before_its_fill, setup,
						teardown),
		cmocka_unit_test_setup_teardown(memory_comes_and_goes_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_that_runs_out_is_given_back, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
