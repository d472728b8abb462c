/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest loaders: a small image of each format, every beginning of it, and
 * the same with fields that lie. Images live in memory of exactly their size,
 * so that a read beyond the end is seen.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/ram.h"
#include "vmm/load.h"

#define RAM_SIZE (8 * MIB)
#define RSDP UINT64_C(0xe0000)
#define IMAGE_MAX 8208

static struct guest_memory *ram;
static char error[LOAD_ERROR_MAX];
static struct vcpu_state vcpu;
static struct load_request request;

static uint8_t image[IMAGE_MAX];
static size_t image_size;

static int setup(void **state)
{
	(void)state;
	ram = ram_create(RAM_SIZE);
	memset(image, 0, sizeof(image));
	request = (struct load_request){.cmdline = "console=ttyS0", .rsdp = GPA(RSDP)};
	return 0;
}

static void put(size_t at, unsigned size, uint64_t value)
{
	assert_true(at + size <= sizeof(image));
	memcpy(image + at, &value, size);
}

static int load(size_t size)
{
	uint8_t *exact = malloc(size == 0 ? 1 : size);
	int result;

	memcpy(exact, image, size);
	memset(&vcpu, 0, sizeof(vcpu));
	error[0] = '\0';
	request.kernel = (struct load_image){.data = exact, .size = size};
	result = load_guest(ram, &request, &vcpu, error);
	free(exact);
	return result;
}

static void assert_refused(int result, const char *words)
{
	if (result != -EINVAL && result != -ENOSPC) {
		fail_msg("%d instead of a word about \"%s\"", result, words);
	}
	if (strstr(error, words) == NULL) {
		fail_msg("\"%s\" does not speak of \"%s\"", error, words);
	}
}

/* No beginning of an image loads, and each says why. */
static void refuse_beginnings(size_t enough)
{
	for (size_t size = 0; size < enough; size++) {
		if (load(size) == 0) {
			fail_msg("the first %zu bytes were loaded", size);
		}
		assert_true(strlen(error) > 20);
	}
	assert_int_equal(load(image_size), 0);
}

/* One field that lies, and what the refusal speaks of. */
struct lie {
	size_t at;
	unsigned size;
	uint64_t value;
	const char *words;
};

static void refuse_lies(const struct lie *lies, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t truth = 0;

		memcpy(&truth, image + lies[i].at, lies[i].size);
		put(lies[i].at, lies[i].size, lies[i].value);
		assert_refused(load(image_size), lies[i].words);
		put(lies[i].at, lies[i].size, truth);
	}
	assert_int_equal(load(image_size), 0);
}

static uint64_t get(uint64_t gpa, unsigned size)
{
	return ram_get(ram, gpa, size);
}

static void assert_string(uint64_t gpa, const char *text)
{
	char found[64];

	assert_int_equal(memory_read(ram, GPA(gpa), found, strlen(text) + 1), 0);
	assert_string_equal(found, text);
}

static void assert_flat_state(uint64_t entry)
{
	assert_int_equal(vcpu.rip, entry);
	assert_int_equal(vcpu.rflags, 2);
	assert_int_equal(vcpu.cr0, 0x11);
	assert_int_equal(vcpu.cr4, 0);
	assert_int_equal(vcpu.efer, 0);
	assert_int_equal(vcpu.segment[SEG_CS].attributes, 0xc09b);
	assert_int_equal(vcpu.segment[SEG_SS].attributes, 0xc093);
	assert_int_equal(vcpu.segment[SEG_GS].limit, UINT32_MAX);
	assert_int_equal(vcpu.segment[SEG_TR].attributes, 0x8b);
	assert_int_equal(vcpu.segment[SEG_LDTR].attributes, SEG_UNUSABLE);
}

/* ---- ELF ------------------------------------------------------------------------ */

#define ELF_HEADERS 0x40 /* program headers */
#define ELF_NOTE 0x100
#define ELF_CODE 0x200
#define ELF_CODE_SIZE 0x100
#define ELF_END (ELF_CODE + ELF_CODE_SIZE)

/* Offsets of a segment's fields in the 64-bit class. */
enum {
	SEGMENT_OFFSET = 8,
	SEGMENT_VIRTUAL = 16,
	SEGMENT_PHYSICAL = 24,
	SEGMENT_FILE = 32,
	SEGMENT_MEMORY = 40,
	SEGMENT_ALIGN = 48
};

static void put_elf_header(bool is_64, unsigned segment_count, uint64_t entry)
{
	memcpy(image, "\177ELF", 4);
	image[4] = is_64 ? 2 : 1;
	image[5] = 1;
	put(18, 2, is_64 ? 62 : 3);
	put(24, is_64 ? 8 : 4, entry);
	put(is_64 ? 32 : 28, is_64 ? 8 : 4, ELF_HEADERS);
	put(is_64 ? 54 : 42, 2, is_64 ? 56 : 32);
	put(is_64 ? 56 : 44, 2, segment_count);
}

static void put_segment(bool is_64, unsigned index, uint32_t type, uint64_t offset,
			uint64_t virtual, uint64_t physical, uint64_t file, uint64_t memory)
{
	size_t at = ELF_HEADERS + index * (is_64 ? 56u : 32u);
	unsigned word = is_64 ? 8 : 4;

	put(at, 4, type);
	put(at + word, word, offset);
	put(at + 2 * word, word, virtual);
	put(at + 3 * word, word, physical);
	put(at + 4 * word, word, file);
	put(at + 5 * word, word, memory);
}

static void put_code(size_t at)
{
	for (unsigned i = 0; i < ELF_CODE_SIZE; i++) {
		put(at + i, 1, i ^ 0x5a);
	}
	image_size = at + ELF_CODE_SIZE;
}

static void assert_code(uint64_t gpa, uint64_t bss)
{
	for (unsigned i = 0; i < ELF_CODE_SIZE; i++) {
		assert_int_equal(get(gpa + i, 1), (i ^ 0x5a) & 0xff);
	}
	for (unsigned i = 0; i < bss; i++) {
		assert_int_equal(get(gpa + ELF_CODE_SIZE + i, 1), 0);
	}
}

/* ---- PVH ------------------------------------------------------------------------ */

static void put_pvh(bool is_64)
{
	put_elf_header(is_64, 2, 0xffffffff81000000);
	put_segment(is_64, 0, 1, ELF_CODE, 0x81000000, 0x200000, ELF_CODE_SIZE,
		    ELF_CODE_SIZE + 0x40);
	put_segment(is_64, 1, 4, ELF_NOTE, 0, 0, 0x40, 0x40);
	/* A note of another, then ours. */
	put(ELF_NOTE, 4, 4);
	put(ELF_NOTE + 4, 4, 5);
	put(ELF_NOTE + 8, 4, 18);
	memcpy(image + ELF_NOTE + 12, "GNU", 4);
	put(ELF_NOTE + 24, 4, 4);
	put(ELF_NOTE + 28, 4, 4);
	put(ELF_NOTE + 32, 4, 18);
	memcpy(image + ELF_NOTE + 36, "Xen", 4);
	put(ELF_NOTE + 40, 4, 0x200010);
	put_code(ELF_CODE);
}

static void check_pvh(void)
{
	static const uint8_t initrd[5000] = "initrd";
	uint64_t info, list, map;

	request.initrd = (struct load_image){.data = initrd, .size = sizeof(initrd)};
	ram_set(ram, 0x200000 + ELF_CODE_SIZE, 8, UINT64_MAX);
	assert_int_equal(load(image_size), 0);
	assert_flat_state(0x200010);
	assert_code(0x200000, 0x40);
	info = vcpu.gpr[GPR_RBX];
	assert_int_equal(get(info, 4), 0x336ec578);
	assert_int_equal(get(info + 4, 4), 1);
	assert_int_equal(get(info + 12, 4), 1);
	assert_string(get(info + 24, 8), "console=ttyS0");
	assert_int_equal(get(info + 32, 8), RSDP);
	list = get(info + 16, 8);
	assert_int_equal(get(list, 8), align_down(RAM_SIZE - sizeof(initrd), PAGE_SIZE));
	assert_int_equal(get(list + 8, 8), sizeof(initrd));
	assert_string(get(list, 8), "initrd");
	map = get(info + 40, 8);
	assert_int_equal(get(info + 48, 4), 3);
	assert_int_equal(get(map, 8), 0);
	assert_int_equal(get(map + 8, 8), 0x9fc00);
	assert_int_equal(get(map + 16, 4), 1);
	assert_int_equal(get(map + 24, 8), 0x9fc00);
	assert_int_equal(get(map + 40, 4), 2);
	assert_int_equal(get(map + 48, 8), 0x100000);
	assert_int_equal(get(map + 56, 8), RAM_SIZE - MIB);
}

static void test_pvh(void **state)
{
	(void)state;
	put_pvh(true);
	check_pvh();
	refuse_beginnings(image_size);
}

static void test_pvh_32(void **state)
{
	(void)state;
	put_pvh(false);
	check_pvh();
	refuse_beginnings(image_size);
}

static void test_pvh_lies(void **state)
{
	const size_t code = ELF_HEADERS, note = ELF_HEADERS + 56;
	const struct lie lies[] = {
		{5, 1, 2, "little-endian"},
		{4, 1, 3, "ELF header"},
		{18, 2, 40, "machine 40"},
		{54, 2, 55, "program headers of 55 bytes"},
		{56, 2, 0xffff, "65535 ELF program headers"},
		{32, 8, UINT64_MAX, "program headers"},
		{32, 8, ELF_END - 111, "program headers"},
		{code + SEGMENT_OFFSET, 8, UINT64_MAX - 0xff, "the file has 0x300"},
		{code + SEGMENT_OFFSET, 8, ELF_CODE + 1, "the file has 0x300"},
		{code + SEGMENT_FILE, 8, UINT64_MAX, "the file has 0x300"},
		{code + SEGMENT_FILE, 8, 0x141, "the file has 0x300"},
		{code + SEGMENT_MEMORY, 8, 0xff, "for 0xff in memory"},
		{code + SEGMENT_MEMORY, 8, UINT64_MAX, "not inside the guest's 8 MiB"},
		{code + SEGMENT_MEMORY, 8, RAM_SIZE - 0x200000 + 1, "not inside"},
		{code + SEGMENT_PHYSICAL, 8, UINT64_MAX - 0x80, "not inside"},
		{code + SEGMENT_PHYSICAL, 8, RAM_SIZE - 0x10, "not inside"},
		{code + SEGMENT_PHYSICAL, 8, 0xa0000, "not inside"},
		{code + SEGMENT_PHYSICAL, 8, 0xfff00, "not inside"},
		{code + SEGMENT_PHYSICAL, 8, 0x200020, "entry 0x200010 is not in what"},
		{code, 4, 0, "without a segment"},
		{note + SEGMENT_OFFSET, 8, UINT64_MAX, "neither"},
		{note + SEGMENT_FILE, 8, 0x20, "neither"},
		{ELF_NOTE, 4, UINT32_MAX, "neither"},
		{ELF_NOTE + 4, 4, UINT32_MAX, "neither"},
		{ELF_NOTE + 28, 4, 3, "neither"},
		{ELF_NOTE + 40, 4, 0xffffffff, "PVH entry 0xffffffff"},
		{ELF_NOTE + 40, 4, 0x200140, "PVH entry 0x200140"},
	};

	(void)state;
	put_pvh(true);
	refuse_lies(lies, ARRAY_SIZE(lies));
}

static void test_overlap(void **state)
{
	(void)state;
	put_pvh(true);
	put(56, 2, 3);
	put_segment(true, 2, 1, ELF_CODE, 0, 0x20013f, 1, 1);
	assert_refused(load(image_size), "overlap the kernel segment at 0x200000");
	put_segment(true, 2, 1, ELF_CODE, 0, 0x200140, 1, 1);
	assert_int_equal(load(image_size), 0);
}

/* Segments without end, none of them impossible alone. */
static void test_many_segments(void **state)
{
	(void)state;
	put_pvh(true);
	put(32, 8, 0x400);
	put(56, 2, 64);
	memcpy(image + 0x400 + 63 * 56, image + ELF_HEADERS + 56, 56);
	for (unsigned i = 0; i < 63; i++) {
		memcpy(image + 0x400 + i * 56, image + ELF_HEADERS, 56);
		put(0x400 + i * 56 + SEGMENT_PHYSICAL, 8, 0x200000 + i * 0x1000);
	}
	image_size = 0x400 + 64 * 56;
	assert_refused(load(image_size), "more than 32 pieces");
}

static void test_too_large(void **state)
{
	static uint8_t initrd[7 * MIB];
	static char cmdline[700 * 1024];

	(void)state;
	put_pvh(true);
	request.initrd = (struct load_image){.data = initrd, .size = 6 * MIB - 0x1000};
	assert_int_equal(load(image_size), 0);
	request.initrd.size = 6 * MIB;
	assert_refused(load(image_size), "initrd: 6291456 bytes do not fit");
	request.initrd.size = 0;
	memset(cmdline, 'x', sizeof(cmdline) - 1);
	request.cmdline = cmdline;
	assert_refused(load(image_size), "command line: 716800 bytes do not fit");
}

/* The initrd goes around a kernel that lies high, and to the top otherwise. */
static void test_initrd_place(void **state)
{
	static const uint8_t initrd[1 * MIB] = "initrd";
	uint64_t list;

	(void)state;
	put_pvh(true);
	put_segment(true, 0, 1, ELF_CODE, 0, RAM_SIZE - 0x10000, ELF_CODE_SIZE, ELF_CODE_SIZE);
	put(ELF_NOTE + 40, 4, RAM_SIZE - 0x10000);
	request.initrd = (struct load_image){.data = initrd, .size = sizeof(initrd)};
	assert_int_equal(load(image_size), 0);
	list = get(vcpu.gpr[GPR_RBX] + 16, 8);
	assert_int_equal(get(list, 8), RAM_SIZE - 0x10000 - MIB);
}

/* RAM from 4 GiB on is in the map; a guest that large need not have its pages yet. */
static void test_high_memory(void **state)
{
	uint64_t info, map;

	(void)state;
	put_pvh(true);
	ram->size = 4 * GIB;
	assert_int_equal(load(image_size), 0);
	info = vcpu.gpr[GPR_RBX];
	map = get(info + 40, 8);
	assert_int_equal(get(info + 48, 4), 4);
	assert_int_equal(get(map + 56, 8), RAM_LOW_MAX - MIB);
	assert_int_equal(get(map + 72, 8), RAM_HIGH_BASE);
	assert_int_equal(get(map + 80, 8), GIB);
	/* What has no pages yet cannot be loaded to. */
	put(ELF_HEADERS + SEGMENT_PHYSICAL, 8, 0x10000000);
	assert_int_equal(load(image_size), -EFAULT);
	assert_non_null(strstr(error, "no pages"));
}

/* ---- Multiboot -------------------------------------------------------------------- */

#define MULTIBOOT 0x180

static void put_multiboot_header(size_t at, uint32_t flags)
{
	put(at, 4, 0x1badb002);
	put(at + 4, 4, flags);
	put(at + 8, 4, -(0x1badb002 + flags));
}

static void put_multiboot_elf(bool is_64)
{
	put_elf_header(is_64, 1, 0x80000010);
	put_segment(is_64, 0, 1, ELF_CODE, 0x80000000, 0x100000, ELF_CODE_SIZE, ELF_CODE_SIZE + 8);
	put_multiboot_header(MULTIBOOT, 3);
	put_code(ELF_CODE);
}

static void check_multiboot(void)
{
	static const struct load_image modules[] = {
		{(const uint8_t *)"first", 6, "one a=b"},
		{(const uint8_t *)"second", 7, ""},
	};
	uint64_t info, list, map;

	request.module_count = 2;
	request.modules = modules;
	assert_int_equal(load(image_size), 0);
	assert_flat_state(0x100010);
	assert_code(0x100000, 8);
	assert_int_equal(vcpu.gpr[GPR_RAX], 0x2badb002);
	info = vcpu.gpr[GPR_RBX];
	assert_int_equal(get(info, 4), 0x24d);
	assert_int_equal(get(info + 4, 4), 639);
	assert_int_equal(get(info + 8, 4), (RAM_SIZE - MIB) / KIB);
	assert_string(get(info + 16, 4), "console=ttyS0");
	assert_int_equal(get(info + 20, 4), 2);
	list = get(info + 24, 4);
	assert_int_equal(get(list, 4), RAM_SIZE - 0x1000);
	assert_int_equal(get(list + 4, 4), RAM_SIZE - 0x1000 + 6);
	assert_string(get(list, 4), "first");
	assert_string(get(list + 8, 4), "one a=b");
	assert_string(get(list + 16, 4), "second");
	assert_string(get(list + 24, 4), "");
	assert_int_equal(get(info + 44, 4), 3 * 24);
	map = get(info + 48, 4);
	assert_int_equal(get(map, 4), 20);
	assert_int_equal(get(map + 12, 8), 0x9fc00);
	assert_int_equal(get(map + 44, 4), 2);
	assert_int_equal(get(map + 52, 8), 0x100000);
	assert_string(get(info + 64, 4), "Dyad");
}

static void test_multiboot(void **state)
{
	(void)state;
	put_multiboot_elf(true);
	check_multiboot();
	refuse_beginnings(image_size);
}

static void test_multiboot_32(void **state)
{
	(void)state;
	put_multiboot_elf(false);
	check_multiboot();
	refuse_beginnings(image_size);
}

static void test_multiboot_lies(void **state)
{
	const struct lie lies[] = {
		{MULTIBOOT, 4, 0x1badb003, "neither"},
		{MULTIBOOT + 8, 4, 0, "neither"},
		{24, 8, 0x80000108, "entry 0x80000108 is not in what was loaded"},
		{ELF_HEADERS + SEGMENT_VIRTUAL, 8, UINT64_MAX - 8, "entry 0x80000010 is not"},
		{ELF_HEADERS + SEGMENT_PHYSICAL, 8, UINT64_C(0xfffffffff), "not inside"},
	};

	(void)state;
	put_multiboot_elf(true);
	refuse_lies(lies, ARRAY_SIZE(lies));
	put_multiboot_header(MULTIBOOT, 7);
	assert_refused(load(image_size), "multiboot features 0x4");
	put_multiboot_header(MULTIBOOT, 0x8001);
	assert_refused(load(image_size), "multiboot features 0x8000");
	/* The header counts in the first 8 KiB only, and at multiples of 4. */
	memset(image + MULTIBOOT, 0, 12);
	put_multiboot_header(MULTIBOOT + 2, 3);
	assert_refused(load(image_size), "neither");
	image_size = IMAGE_MAX;
	put_multiboot_header(8192 - 8, 3);
	assert_refused(load(image_size), "neither");
	put_multiboot_header(8192 - 12, 3);
	assert_int_equal(load(image_size), 0);
}

enum { HEADER = 12, LOAD = 16, LOAD_END = 20, BSS_END = 24, ENTRY = 28 };

static void put_multiboot_flat(void)
{
	put_multiboot_header(0x40, 0x10003);
	put(0x40 + HEADER, 4, 0x300020);
	put(0x40 + LOAD, 4, 0x300000);
	put(0x40 + LOAD_END, 4, 0x300000 + 0x1e0 + ELF_CODE_SIZE);
	put(0x40 + BSS_END, 4, 0x301000);
	put(0x40 + ENTRY, 4, 0x300030);
	put_code(0x200);
}

static void test_multiboot_flat(void **state)
{
	(void)state;
	put_multiboot_flat();
	ram_set(ram, 0x300ff8, 8, UINT64_MAX);
	assert_int_equal(load(image_size), 0);
	assert_flat_state(0x300030);
	/* Offset 0x20 of the file goes to 0x300000. */
	assert_code(0x3001e0, 8);
	assert_int_equal(get(0x300ff8, 8), 0);
	refuse_beginnings(image_size);
	/* To the end of the file, without bss. */
	put(0x40 + LOAD_END, 4, 0);
	put(0x40 + BSS_END, 4, 0);
	assert_int_equal(load(image_size), 0);
	assert_code(0x3001e0, 0);
}

static void test_multiboot_flat_lies(void **state)
{
	const struct lie lies[] = {
		{0x40 + HEADER, 4, 0x2fffff, "do not match"},
		{0x40 + HEADER, 4, 0x300041, "do not match"},
		{0x40 + HEADER, 4, 0, "do not match"},
		{0x40 + LOAD, 4, UINT32_MAX, "do not match"},
		{0x40 + LOAD, 4, 0, "do not match"},
		{0x40 + LOAD_END, 4, 0x2fffff, "do not match"},
		{0x40 + LOAD_END, 4, 0x3002e1, "do not match"},
		{0x40 + LOAD_END, 4, UINT32_MAX, "do not match"},
		{0x40 + BSS_END, 4, 0x3002df, "do not match"},
		{0x40 + BSS_END, 4, UINT32_MAX, "not inside"},
		{0x40 + ENTRY, 4, 0x301000, "entry 0x301000"},
		{0x40 + ENTRY, 4, 0x2fffff, "entry 0x2fffff"},
	};

	(void)state;
	put_multiboot_flat();
	refuse_lies(lies, ARRAY_SIZE(lies));
	put_multiboot_header(0x40, 3);
	assert_refused(load(image_size), "without addresses");
}

/* ---- bzImage ------------------------------------------------------------------------ */

#define BZIMAGE_CODE 0x800 /* three sectors of setup and the boot sector */
#define BZIMAGE_CODE_SIZE 0x400

static void put_bzimage(void)
{
	put(0x1f1, 1, 3);
	put(0x1f4, 4, BZIMAGE_CODE_SIZE / 16);
	put(0x1fe, 2, 0xaa55);
	put(0x200, 2, 0x6aeb); /* jmp 0x26c */
	memcpy(image + 0x202, "HdrS", 4);
	put(0x206, 2, 0x020f);
	put(0x211, 1, 1);
	put(0x22c, 4, 0x7fffffff);
	put(0x230, 4, 0x200000);
	put(0x234, 1, 1);
	put(0x236, 2, 1);
	put(0x238, 4, 64);
	put(0x258, 8, 0x400000);
	put(0x260, 4, 0x100000);
	put(0x264, 4, 0x12345678);
	put(0x26c, 4, 0xdeadbeef); /* behind the header */
	put_code(BZIMAGE_CODE + 0x200);
	image_size = BZIMAGE_CODE + BZIMAGE_CODE_SIZE;
}

/* Where the page tables of the first state lead. */
static uint64_t translate(uint64_t linear)
{
	uint64_t table = vcpu.cr3;

	for (unsigned shift = 39; shift >= 30; shift -= 9) {
		uint64_t entry = get(table + (linear >> shift & 511) * 8, 8);

		assert_int_equal(entry & 0xfff, 3);
		table = entry & ~UINT64_C(0xfff);
	}
	return (get(table + (linear >> 21 & 511) * 8, 8) & ~UINT64_C(0x1fffff)) |
	       (linear & 0x1fffff);
}

static void test_bzimage(void **state)
{
	static const uint8_t initrd[5000] = "initrd";
	uint64_t params;

	(void)state;
	put_bzimage();
	request.initrd = (struct load_image){.data = initrd, .size = sizeof(initrd)};
	assert_int_equal(load(image_size), 0);
	assert_int_equal(vcpu.rip, 0x400200);
	assert_code(0x400200, 0x40);
	assert_int_equal(vcpu.cr0, 0x80000011);
	assert_int_equal(vcpu.cr4, 0x20);
	assert_int_equal(vcpu.efer, 0x500);
	assert_int_equal(vcpu.segment[SEG_CS].attributes, 0xa09b);
	assert_int_equal(vcpu.segment[SEG_CS].selector, 0x10);
	assert_int_equal(vcpu.segment[SEG_DS].selector, 0x18);
	assert_int_equal(get(vcpu.gdtr_base + 0x10, 8), 0x00af9b000000ffff);
	assert_int_equal(vcpu.gdtr_limit, 31);
	for (uint64_t linear = 0x1234; linear < 4 * GIB; linear += 64 * MIB + 4096) {
		assert_int_equal(translate(linear), linear);
	}
	params = vcpu.gpr[GPR_RSI];
	assert_int_equal(get(params + 0x70, 8), RSDP);
	assert_int_equal(get(params + 0x1e8, 1), 3);
	assert_int_equal(get(params + 0x1f1, 1), 3);
	assert_int_equal(get(params + 0x210, 1), 0xff);
	assert_int_equal(get(params + 0x218, 4), RAM_SIZE - 0x2000);
	assert_int_equal(get(params + 0x21c, 4), sizeof(initrd));
	assert_string(get(params + 0x218, 4), "initrd");
	assert_string(get(params + 0x228, 4), "console=ttyS0");
	assert_int_equal(get(params + 0x260, 4), 0x100000);
	assert_int_equal(get(params + 0x264, 4), 0x12345678);
	assert_int_equal(get(params + 0x26c, 4), 0);
	assert_int_equal(get(params + 0x2d0 + 8, 8), 0x9fc00);
	assert_int_equal(get(params + 0x2d0 + 40 + 8, 8), RAM_SIZE - MIB);
	refuse_beginnings(image_size);
}

/* Moved down where it does not fit, if it can be moved. */
static void test_bzimage_relocated(void **state)
{
	(void)state;
	put_bzimage();
	put(0x258, 8, 0x1000000);
	assert_int_equal(load(image_size), 0);
	assert_int_equal(vcpu.rip, 0x200200);
	put(0x234, 1, 0);
	assert_refused(load(image_size), "0x100000 bytes at 0x1000000 are not inside");
}

static void test_bzimage_initrd_limit(void **state)
{
	static const uint8_t initrd[5000] = "initrd";

	(void)state;
	put_bzimage();
	put(0x22c, 4, 0x6fffff);
	request.initrd = (struct load_image){.data = initrd, .size = sizeof(initrd)};
	assert_int_equal(load(image_size), 0);
	assert_int_equal(get(vcpu.gpr[GPR_RSI] + 0x218, 4), 0x700000 - 0x2000);
	put(0x22c, 4, 100);
	assert_refused(load(image_size), "initrd: 5000 bytes do not fit below 0x65");
}

static void test_bzimage_lies(void **state)
{
	const struct lie lies[] = {
		{0x1f1, 1, 255, "131072 bytes of setup"},
		{0x1f1, 1, 0, "2560 bytes of setup"},
		{0x1f4, 4, UINT32_MAX, "68719476720 of code"},
		{0x1f4, 4, BZIMAGE_CODE_SIZE / 16 + 1, "1040 of code"},
		{0x1f4, 4, 0x20, "512 of code"},
		{0x1f4, 4, 0, "0 of code"},
		{0x1fe, 2, 0, "neither"},
		{0x201, 1, 0x61, "header ends at 0x263"},
		{0x202, 1, 'X', "neither"},
		{0x206, 2, 0x020b, "boot protocol 2.11"},
		{0x211, 1, 0, "no 64-bit entry"},
		{0x236, 2, 0xfffe, "no 64-bit entry"},
		{0x230, 4, 0, "kernel_alignment 0:"},
		{0x230, 4, 0x300000, "kernel_alignment 0x300000"},
		{0x238, 4, 12, "command line of 13 bytes, bzImage takes 12"},
		{0x260, 4, BZIMAGE_CODE_SIZE - 1, "init_size 0x3ff"},
		{0x260, 4, UINT32_MAX, "not inside"},
	};
	const struct load_image module = {.data = image, .size = 1};

	(void)state;
	put_bzimage();
	refuse_lies(lies, ARRAY_SIZE(lies));
	/* An address that cannot be is as one that does not fit. */
	put(0x258, 8, UINT64_MAX - 0xfff);
	put(0x230, 4, 0x80000000);
	assert_refused(load(image_size), "at 0x80000000 are not inside");
	request.modules = &module;
	request.module_count = 1;
	assert_refused(load(image_size), "takes an initrd and no modules");
}

/* ---- None of them -------------------------------------------------------------------- */

static void test_unknown(void **state)
{
	(void)state;
	for (size_t size = 0; size < 2048; size += 31) {
		assert_refused(load(size), "neither a bzImage");
	}
	memset(image, 0xff, sizeof(image));
	assert_refused(load(sizeof(image)), "kernel: 8208 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_pvh, setup),
		cmocka_unit_test_setup(test_pvh_32, setup),
		cmocka_unit_test_setup(test_pvh_lies, setup),
		cmocka_unit_test_setup(test_overlap, setup),
		cmocka_unit_test_setup(test_many_segments, setup),
		cmocka_unit_test_setup(test_too_large, setup),
		cmocka_unit_test_setup(test_initrd_place, setup),
		cmocka_unit_test_setup(test_high_memory, setup),
		cmocka_unit_test_setup(test_multiboot, setup),
		cmocka_unit_test_setup(test_multiboot_32, setup),
		cmocka_unit_test_setup(test_multiboot_lies, setup),
		cmocka_unit_test_setup(test_multiboot_flat, setup),
		cmocka_unit_test_setup(test_multiboot_flat_lies, setup),
		cmocka_unit_test_setup(test_bzimage, setup),
		cmocka_unit_test_setup(test_bzimage_relocated, setup),
		cmocka_unit_test_setup(test_bzimage_initrd_limit, setup),
		cmocka_unit_test_setup(test_bzimage_lies, setup),
		cmocka_unit_test_setup(test_unknown, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
