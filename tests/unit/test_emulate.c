/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instruction emulator: results and flags against the CPU that runs the
 * test, and what reaches devices, memory and registers in each form.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/ram.h"
#include "vmm/emulate.h"

#define CF BIT(0)
#define PF BIT(2)
#define AF BIT(4)
#define ZF BIT(6)
#define SF BIT(7)
#define DF BIT(10)
#define OF BIT(11)
#define STATUS (CF | PF | AF | ZF | SF | OF)

#define CODE UINT64_C(0x1000)
#define DEVICE UINT64_C(0xfee00000)
#define DEVICE_SIZE 8192

/* ---- A guest ----------------------------------------------------------------- */

struct access {
	bool write;
	uint64_t address; /* in DEVICE; ports as they are */
	unsigned size;
	uint64_t value;
};

static struct guest_memory *ram;
static uint8_t device[DEVICE_SIZE];
static struct access accesses[1024];
static unsigned access_count;
static uint64_t rsp, rflags_set;
static unsigned rsp_get_count, rflags_set_count;
static struct vcpu_segment segments[SEG_COUNT];
static uint64_t gpr[GPR_COUNT];
static struct emulate emulate;

static void record(bool write, uint64_t address, unsigned size, uint64_t value)
{
	assert_true(access_count < ARRAY_SIZE(accesses));
	accesses[access_count++] = (struct access){write, address, size, value};
}

static uint64_t get_rsp(void *context)
{
	(void)context;
	rsp_get_count++;
	return rsp;
}

static void set_rsp(void *context, uint64_t value)
{
	(void)context;
	rsp = value;
}

static void get_segment(void *context, enum segment segment, struct vcpu_segment *value)
{
	(void)context;
	*value = segments[segment];
}

static void set_rflags(void *context, uint64_t value)
{
	(void)context;
	rflags_set = value;
	rflags_set_count++;
}

static uint64_t mmio_read(void *context, gpa_t gpa, unsigned size)
{
	uint64_t value = UINT64_MAX; /* more than was asked for, as from a hole */

	(void)context;
	if (gpa.v >= DEVICE && gpa.v < DEVICE + DEVICE_SIZE) {
		value = 0;
		memcpy(&value, &device[gpa.v - DEVICE], size);
	}
	record(false, gpa.v - DEVICE, size, value);
	return value;
}

static void mmio_write(void *context, gpa_t gpa, unsigned size, uint64_t value)
{
	(void)context;
	if (gpa.v >= DEVICE && gpa.v < DEVICE + DEVICE_SIZE) {
		memcpy(&device[gpa.v - DEVICE], &value, size);
	}
	record(true, gpa.v - DEVICE, size, value);
}

static uint32_t port_read(void *context, uint16_t port, unsigned size)
{
	(void)context;
	record(false, port, size, 0x44332211 + access_count);
	return 0x44332211 + access_count - 1;
}

static void port_write(void *context, uint16_t port, unsigned size, uint32_t value)
{
	(void)context;
	record(true, port, size, value);
}

static const struct emulate_host host = {
	.get_rsp = get_rsp,
	.set_rsp = set_rsp,
	.get_segment = get_segment,
	.set_rflags = set_rflags,
	.mmio_read = mmio_read,
	.mmio_write = mmio_write,
	.port_read = port_read,
	.port_write = port_write,
};

static int setup(void **state)
{
	(void)state;
	ram = ram_create(2 * MIB);
	memset(device, 0, sizeof(device));
	memset(gpr, 0, sizeof(gpr));
	memset(segments, 0, sizeof(segments));
	access_count = 0;
	rsp_get_count = 0;
	rflags_set_count = 0;
	rsp = 0x8000;
	emulate = (struct emulate){
		.host = &host,
		.memory = ram,
		.gpr = gpr,
		.mode = {.rip = CODE, .rflags = 2, .code_size = 4},
	};
	return 0;
}

/* In 64-bit mode 2 MiB from 0 and 4 MiB from DEVICE are mapped to themselves. */
static void set_64_bit(void)
{
	ram_set(ram, 0x100000, 8, 0x101003);
	ram_set(ram, 0x101000, 8, 0x102003);
	ram_set(ram, 0x101018, 8, 0x103003);
	ram_set(ram, 0x102000, 8, 0x83);
	ram_set(ram, 0x103000 + 8 * 503, 8, DEVICE | 0x83);
	emulate.mode.code_size = 8;
	emulate.mode.cr0 = BIT(31) | BIT(16) | 1;
	emulate.mode.cr3 = 0x100000;
	emulate.mode.cr4 = BIT(5);
	emulate.mode.efer = BIT(10);
}

static enum emulate_action run_bytes(const char *bytes, size_t size)
{
	enum emulate_action action;

	assert_int_equal(memory_write(ram, GPA(CODE), bytes, size), 0);
	action = emulate_insn(&emulate);
	if (action == EMULATE_DONE) {
		assert_int_equal(emulate.length, size);
	}
	return action;
}

#define RUN(bytes) run_bytes(bytes, sizeof(bytes) - 1)
#define RUN_DONE(bytes) assert_int_equal(RUN(bytes), EMULATE_DONE)

static void assert_access(unsigned index, bool write, uint64_t address, unsigned size,
			  uint64_t value)
{
	assert_true(index < access_count);
	assert_int_equal(accesses[index].write, write);
	assert_int_equal(accesses[index].address, address);
	assert_int_equal(accesses[index].size, size);
	assert_int_equal(accesses[index].value, value);
}

static void set_device(unsigned offset, unsigned size, uint64_t value)
{
	memcpy(&device[offset], &value, size);
}

static uint64_t get_device(unsigned offset, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, &device[offset], size);
	return value;
}

/* ---- MOV ------------------------------------------------------------------------ */

static void test_mov(void **state)
{
	(void)state;
	set_64_bit();
	gpr[GPR_RBX] = DEVICE;
	gpr[GPR_RAX] = UINT64_C(0x1122334455667788);
	RUN_DONE("\x89\x43\x10"); /* mov [rbx + 0x10], eax */
	assert_access(0, true, 0x10, 4, 0x55667788);
	RUN_DONE("\x48\x89\x43\x18"); /* mov [rbx + 0x18], rax */
	assert_access(1, true, 0x18, 8, UINT64_C(0x1122334455667788));
	RUN_DONE("\x66\xc7\x43\x20\x34\x92"); /* mov word ptr [rbx + 0x20], 0x9234 */
	assert_access(2, true, 0x20, 2, 0x9234);
	RUN_DONE("\x48\xc7\x43\x20\xff\xff\xff\xff"); /* mov qword ptr [rbx + 0x20], -1 */
	assert_access(3, true, 0x20, 8, UINT64_MAX);
	RUN_DONE("\x88\x63\x08"); /* mov [rbx + 8], ah */
	assert_access(4, true, 8, 1, 0x77);
	/* Nothing else was touched. */
	assert_int_equal(access_count, 5);
	assert_int_equal(rsp_get_count, 0);
	assert_int_equal(rflags_set_count, 0);
}

static void test_sub_registers(void **state)
{
	const uint64_t old = UINT64_C(0x1122334455667788);

	(void)state;
	set_64_bit();
	gpr[GPR_RBX] = DEVICE;
	set_device(0, 8, UINT64_C(0xf0f1f2f3f4f5f6f7));
	gpr[GPR_RCX] = old;
	RUN_DONE("\x8a\x0b"); /* mov cl, [rbx] */
	assert_int_equal(gpr[GPR_RCX], UINT64_C(0x11223344556677f7));
	gpr[GPR_RCX] = old;
	RUN_DONE("\x8a\x2b"); /* mov ch, [rbx] */
	assert_int_equal(gpr[GPR_RCX], UINT64_C(0x112233445566f788));
	gpr[GPR_RCX] = old;
	RUN_DONE("\x66\x8b\x0b"); /* mov cx, [rbx] */
	assert_int_equal(gpr[GPR_RCX], UINT64_C(0x112233445566f6f7));
	gpr[GPR_RCX] = old;
	RUN_DONE("\x8b\x0b"); /* mov ecx, [rbx] */
	assert_int_equal(gpr[GPR_RCX], 0xf4f5f6f7);
	RUN_DONE("\x48\x8b\x0b"); /* mov rcx, [rbx] */
	assert_int_equal(gpr[GPR_RCX], UINT64_C(0xf0f1f2f3f4f5f6f7));
	RUN_DONE("\x40\x8a\x3b"); /* mov dil, [rbx] */
	assert_int_equal(gpr[GPR_RDI], 0xf7);
}

static void test_extension(void **state)
{
	(void)state;
	set_64_bit();
	gpr[GPR_RBX] = DEVICE;
	set_device(0, 4, 0x84838281);
	gpr[GPR_RCX] = UINT64_MAX;
	RUN_DONE("\x0f\xb6\x0b"); /* movzx ecx, byte ptr [rbx] */
	assert_int_equal(gpr[GPR_RCX], 0x81);
	RUN_DONE("\x0f\xbe\x0b"); /* movsx ecx, byte ptr [rbx] */
	assert_int_equal(gpr[GPR_RCX], 0xffffff81);
	RUN_DONE("\x48\x0f\xbf\x0b"); /* movsx rcx, word ptr [rbx] */
	assert_int_equal(gpr[GPR_RCX], UINT64_C(0xffffffffffff8281));
	RUN_DONE("\x66\x0f\xb6\x0b"); /* movzx cx, byte ptr [rbx] */
	assert_int_equal(gpr[GPR_RCX], UINT64_C(0xffffffffffff0081));
	RUN_DONE("\x48\x63\x0b"); /* movsxd rcx, dword ptr [rbx] */
	assert_int_equal(gpr[GPR_RCX], UINT64_C(0xffffffff84838281));
	/* A hole gives ones, but not more of them than were asked for. */
	gpr[GPR_RBX] = DEVICE + 0x3000;
	RUN_DONE("\x0f\xb6\x0b");
	assert_int_equal(gpr[GPR_RCX], 0xff);
	RUN_DONE("\x0f\xbe\x0b");
	assert_int_equal(gpr[GPR_RCX], 0xffffffff);
}

static void test_rsp(void **state)
{
	(void)state;
	set_64_bit();
	rsp = DEVICE;
	RUN_DONE("\x89\x64\x24\x08"); /* mov [rsp + 8], esp */
	assert_access(0, true, 8, 4, DEVICE);
	set_device(0, 4, 0x1234);
	RUN_DONE("\x8b\x24\x24"); /* mov esp, [rsp] */
	assert_int_equal(rsp, 0x1234);
}

static void test_segments(void **state)
{
	(void)state;
	segments[SEG_DS].base = DEVICE;
	segments[SEG_SS].base = DEVICE + 0x100;
	segments[SEG_GS].base = DEVICE + 0x200;
	set_device(0x010, 4, 1);
	set_device(0x110, 4, 2);
	set_device(0x210, 4, 3);
	gpr[GPR_RBX] = 0x10;
	gpr[GPR_RBP] = 0x10;
	RUN_DONE("\x8b\x03"); /* mov eax, [ebx] */
	assert_int_equal(gpr[GPR_RAX], 1);
	RUN_DONE("\x8b\x45\x00"); /* mov eax, [ebp] */
	assert_int_equal(gpr[GPR_RAX], 2);
	RUN_DONE("\x65\x8b\x45\x00"); /* mov eax, gs:[ebp] */
	assert_int_equal(gpr[GPR_RAX], 3);
	/* In 64-bit mode only FS and GS have a base. */
	set_64_bit();
	gpr[GPR_RBX] = DEVICE + 0x10;
	RUN_DONE("\x8b\x03");
	assert_int_equal(gpr[GPR_RAX], 1);
	gpr[GPR_RBX] = 0x10;
	RUN_DONE("\x65\x8b\x03");
	assert_int_equal(gpr[GPR_RAX], 3);
}

/* ---- Arithmetic against the CPU ----------------------------------------------------- */

/* Runs one instruction on real registers, in flags and out of them. */
#define NATIVE(name, instruction)                                                               \
	static void name(uint64_t *a, uint64_t b, uint64_t *flags)                              \
	{                                                                                       \
		uint64_t f = *flags, x = *a;                                                    \
                                                                                                \
		__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpush %[f]\n\tpopfq\n\t" instruction \
				 "\n\tpushfq\n\tpop %[f]\n\tlea 128(%%rsp), %%rsp"              \
				 : [f] "+r"(f), [x] "+&a"(x)                                    \
				 : [y] "d"(b)                                                   \
				 : "cc", "memory");                                             \
		*a = x;                                                                         \
		*flags = f;                                                                     \
	}

#define NATIVE_SIZES(op)                    \
	NATIVE(op##_1, #op " %%dl, %%al")   \
	NATIVE(op##_2, #op " %%dx, %%ax")   \
	NATIVE(op##_4, #op " %%edx, %%eax") \
	NATIVE(op##_8, #op " %%rdx, %%rax")

#define NATIVE_UNARY(op)             \
	NATIVE(op##_1, #op " %%al")  \
	NATIVE(op##_2, #op " %%ax")  \
	NATIVE(op##_4, #op " %%eax") \
	NATIVE(op##_8, #op " %%rax")

#define NATIVE_BITS(op)                     \
	NATIVE(op##_2, #op " %%dx, %%ax")   \
	NATIVE(op##_4, #op " %%edx, %%eax") \
	NATIVE(op##_8, #op " %%rdx, %%rax")

NATIVE_SIZES(add)
NATIVE_SIZES(or)
NATIVE_SIZES(adc)
NATIVE_SIZES(sbb)
NATIVE_SIZES(and)
NATIVE_SIZES(sub)
NATIVE_SIZES(xor)
NATIVE_SIZES(cmp)
NATIVE_SIZES(test)
NATIVE_UNARY(inc)
NATIVE_UNARY(dec)
NATIVE_UNARY(not )
NATIVE_UNARY(neg)
NATIVE_BITS(bt)
NATIVE_BITS(bts)
NATIVE_BITS(btr)
NATIVE_BITS(btc)

typedef void native_fn(uint64_t *a, uint64_t b, uint64_t *flags);

/* Memory and register forms; `load` is "op reg, mem", 0 when there is none. */
static const struct {
	const char *name;
	native_fn *native[4]; /* for sizes 1, 2, 4, 8 */
	const char *store, *load; /* opcodes, of the 8-bit form; bits: of the wide one */
	unsigned modrm;
	uint64_t flags; /* that are defined */
} arithmetic[] = {
	{"add", {add_1, add_2, add_4, add_8}, "\x00", "\x02", 0x13, STATUS},
	{"or", {or_1, or_2, or_4, or_8}, "\x08", "\x0a", 0x13, STATUS & ~AF},
	{"adc", {adc_1, adc_2, adc_4, adc_8}, "\x10", "\x12", 0x13, STATUS},
	{"sbb", {sbb_1, sbb_2, sbb_4, sbb_8}, "\x18", "\x1a", 0x13, STATUS},
	{"and", {and_1, and_2, and_4, and_8}, "\x20", "\x22", 0x13, STATUS & ~AF},
	{"sub", {sub_1, sub_2, sub_4, sub_8}, "\x28", "\x2a", 0x13, STATUS},
	{"xor", {xor_1, xor_2, xor_4, xor_8}, "\x30", "\x32", 0x13, STATUS & ~AF},
	{"cmp", {cmp_1, cmp_2, cmp_4, cmp_8}, "\x38", "\x3a", 0x13, STATUS},
	{"test", {test_1, test_2, test_4, test_8}, "\x84", NULL, 0x13, STATUS & ~AF},
	{"inc", {inc_1, inc_2, inc_4, inc_8}, "\xfe", NULL, 0x03, STATUS},
	{"dec", {dec_1, dec_2, dec_4, dec_8}, "\xfe", NULL, 0x0b, STATUS},
	{"not", {not_1, not_2, not_4, not_8}, "\xf6", NULL, 0x13, STATUS},
	{"neg", {neg_1, neg_2, neg_4, neg_8}, "\xf6", NULL, 0x1b, STATUS},
	{"bt", {NULL, bt_2, bt_4, bt_8}, "\x0f\xa3", NULL, 0x13, CF | ZF},
	{"bts", {NULL, bts_2, bts_4, bts_8}, "\x0f\xab", NULL, 0x13, CF | ZF},
	{"btr", {NULL, btr_2, btr_4, btr_8}, "\x0f\xb3", NULL, 0x13, CF | ZF},
	{"btc", {NULL, btc_2, btc_4, btc_8}, "\x0f\xbb", NULL, 0x13, CF | ZF},
};

static const uint64_t operands[] = {
	0,
	1,
	2,
	0xf,
	0x10,
	0x7f,
	0x80,
	0xff,
	0x7fff,
	0x8000,
	0xffff,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	UINT64_C(0x7fffffffffffffff),
	UINT64_C(0x8000000000000000),
	UINT64_MAX,
	UINT64_C(0x123456789abcdef0),
};

/* The bytes of "op [rbx], reg" or "op reg, [rbx]" with the prefixes for `size`. */
static size_t encode(char *bytes, const char *opcode, unsigned modrm, unsigned size)
{
	size_t at = 0;
	bool is_bits = opcode[0] == 0x0f;

	if (size == 2) {
		bytes[at++] = 0x66;
	} else if (size == 8) {
		bytes[at++] = 0x48;
	}
	if (is_bits) {
		bytes[at++] = opcode[0];
		bytes[at++] = opcode[1];
	} else {
		bytes[at++] = (char)(opcode[0] | (size != 1));
	}
	bytes[at++] = (char)modrm;
	return at;
}

static void check_arithmetic(unsigned op, unsigned size, uint64_t a, uint64_t b, uint64_t carry,
			     bool is_load)
{
	const char *opcode = is_load ? arithmetic[op].load : arithmetic[op].store;
	uint64_t mask = BITS(8 * size - 1, 0);
	uint64_t flags = carry | ZF | 2;
	uint64_t expected = a, found;
	char bytes[INSN_LENGTH_MAX];
	size_t length = encode(bytes, opcode, arithmetic[op].modrm, size);

	if (opcode[0] == 0x0f) {
		b &= 8 * size - 1; /* a larger bit number leaves the operand */
	}
	arithmetic[op].native[size == 8 ? 3 : size / 2](&expected, b, &flags);
	emulate.mode.rflags = carry | ZF | 2;
	set_device(0, 8, is_load ? b : a);
	gpr[GPR_RBX] = DEVICE;
	gpr[GPR_RDX] = is_load ? a : b;
	access_count = 0;
	assert_int_equal(run_bytes(bytes, length), EMULATE_DONE);
	found = is_load ? gpr[GPR_RDX] : get_device(0, 8);
	if ((found & mask) != (expected & mask) ||
	    ((emulate.mode.rflags ^ flags) & arithmetic[op].flags) != 0) {
		fail_msg("%s %u: %lx, %lx, carry %lu: %lx flags %lx, not %lx flags %lx",
			 arithmetic[op].name, size, a, b, carry, found,
			 emulate.mode.rflags & STATUS, expected, flags & STATUS);
	}
	assert_int_equal(emulate.mode.rflags & ~STATUS, 2);
}

static void test_arithmetic(void **state)
{
	(void)state;
	set_64_bit();
	for (unsigned op = 0; op < ARRAY_SIZE(arithmetic); op++) {
		for (unsigned i = 0; i < ARRAY_SIZE(operands) * ARRAY_SIZE(operands) * 8; i++) {
			uint64_t a = operands[i / 8 % ARRAY_SIZE(operands)];
			uint64_t b = operands[i / 8 / ARRAY_SIZE(operands)];
			unsigned size = 1u << (i & 3);

			if (arithmetic[op].native[size == 8 ? 3 : size / 2] == NULL) {
				continue;
			}
			check_arithmetic(op, size, a, b, i >> 2 & 1, false);
			if (arithmetic[op].load != NULL) {
				check_arithmetic(op, size, a, b, i >> 2 & 1, true);
			}
		}
	}
}

/* What only looks does not write; what writes reads once and writes once. */
static void test_accesses(void **state)
{
	(void)state;
	gpr[GPR_RBX] = DEVICE;
	RUN_DONE("\x83\x3b\x01"); /* cmp dword ptr [ebx], 1 */
	RUN_DONE("\xf7\x03\x01\x00\x00\x00"); /* test dword ptr [ebx], 1 */
	RUN_DONE("\x0f\xba\x23\x01"); /* bt dword ptr [ebx], 1 */
	assert_int_equal(access_count, 3);
	assert_false(accesses[0].write || accesses[1].write || accesses[2].write);
	RUN_DONE("\xf0\x83\x0b\x01"); /* lock or dword ptr [ebx], 1 */
	assert_int_equal(access_count, 5);
	assert_access(3, false, 0, 4, 0);
	assert_access(4, true, 0, 4, 1);
}

static void test_exchange(void **state)
{
	(void)state;
	set_64_bit();
	gpr[GPR_RBX] = DEVICE;
	gpr[GPR_RCX] = UINT64_C(0xaaaaaaaa00000007);
	set_device(0, 4, 5);
	RUN_DONE("\x87\x0b"); /* xchg [rbx], ecx */
	assert_int_equal(get_device(0, 4), 7);
	assert_int_equal(gpr[GPR_RCX], 5);
	assert_int_equal(rflags_set_count, 0);
	/* lock cmpxchg [rbx], ecx: not equal, then equal */
	gpr[GPR_RAX] = UINT64_C(0xbbbbbbbb00000006);
	RUN_DONE("\xf0\x0f\xb1\x0b");
	assert_access(access_count - 1, true, 0, 4, 7);
	assert_int_equal(gpr[GPR_RAX], 7);
	assert_int_equal(rflags_set & (ZF | CF), CF);
	RUN_DONE("\xf0\x0f\xb1\x0b");
	assert_int_equal(get_device(0, 4), 5);
	assert_int_equal(gpr[GPR_RAX], 7);
	assert_int_equal(rflags_set & (ZF | CF), ZF);
}

/* A register as bit number reaches beyond the operand, and that is not done here. */
static void test_bit_string(void **state)
{
	(void)state;
	gpr[GPR_RBX] = DEVICE + 0x100;
	gpr[GPR_RCX] = 31;
	RUN_DONE("\x0f\xab\x0b"); /* bts [ebx], ecx */
	assert_access(1, true, 0x100, 4, BIT(31));
	gpr[GPR_RCX] = 32;
	assert_int_equal(RUN("\x0f\xab\x0b"), EMULATE_UNKNOWN);
	gpr[GPR_RCX] = (uint32_t)-1;
	assert_int_equal(RUN("\x0f\xa3\x0b"), EMULATE_UNKNOWN); /* bt [ebx], ecx */
	gpr[GPR_RCX] = 16;
	assert_int_equal(RUN("\x66\x0f\xbb\x0b"), EMULATE_UNKNOWN); /* btc [ebx], cx */
	assert_int_equal(access_count, 2);
	/* An immediate does not. */
	RUN_DONE("\x0f\xba\x2b\x25"); /* bts dword ptr [ebx], 0x25 */
	assert_access(3, true, 0x100, 4, BIT(31) | BIT(5));
}

/* ---- Places ------------------------------------------------------------------------- */

static void test_straddle(void **state)
{
	(void)state;
	set_64_bit();
	/* Two device pages: the part on each is three bytes and one. */
	gpr[GPR_RBX] = DEVICE + 0xffd;
	gpr[GPR_RAX] = 0x44332211;
	RUN_DONE("\x89\x03"); /* mov [rbx], eax */
	assert_int_equal(access_count, 4);
	assert_access(0, true, 0xffd, 1, 0x11);
	assert_access(3, true, 0x1000, 1, 0x44);
	RUN_DONE("\x8b\x0b"); /* mov ecx, [rbx] */
	assert_int_equal(gpr[GPR_RCX], 0x44332211);
	/* RAM and device; the page after the RAM is mapped to the device. */
	access_count = 0;
	ram_set(ram, 0x102000, 8, 0x104003);
	ram_set(ram, 0x104000 + 8, 8, CODE | 3);
	ram_set(ram, 0x104000 + 8 * 5, 8, 0x5003);
	ram_set(ram, 0x104000 + 8 * 6, 8, DEVICE | 3);
	gpr[GPR_RBX] = 0x5ffe;
	RUN_DONE("\x89\x03");
	assert_int_equal(ram_get(ram, 0x5ffe, 2), 0x2211);
	assert_access(0, true, 0, 2, 0x4433);
	RUN_DONE("\x8b\x13"); /* mov edx, [rbx] */
	assert_int_equal(gpr[GPR_RDX], 0x44332211);
	/* The second page is missing: nothing is written. */
	access_count = 0;
	ram_set(ram, 0x104000 + 8 * 6, 8, 0);
	ram_set(ram, 0x5ffe, 2, 0);
	assert_int_equal(RUN("\x89\x03"), EMULATE_FAULT);
	assert_int_equal(emulate.vector, 14);
	assert_int_equal(emulate.error, 2);
	assert_int_equal(emulate.cr2, 0x6000);
	assert_int_equal(ram_get(ram, 0x5ffe, 2), 0);
	assert_int_equal(access_count, 0);
}

static void test_faults(void **state)
{
	(void)state;
	set_64_bit();
	gpr[GPR_RBX] = 0x40000000;
	assert_int_equal(RUN("\x8b\x03"), EMULATE_FAULT);
	assert_int_equal(emulate.vector, 14);
	assert_int_equal(emulate.error, 0);
	assert_int_equal(emulate.cr2, 0x40000000);
	/* A locked instruction on a page that is read-only reads nothing. */
	ram_set(ram, 0x103000 + 8 * 503, 8, DEVICE | 0x81);
	gpr[GPR_RBX] = DEVICE;
	assert_int_equal(RUN("\xf0\x01\x03"), EMULATE_FAULT);
	assert_int_equal(emulate.error, 3);
	assert_int_equal(access_count, 0);
	/* Not canonical: the second operand of a string instruction can be that. */
	gpr[GPR_RSI] = DEVICE;
	gpr[GPR_RDI] = BIT(62);
	assert_int_equal(RUN("\xa4"), EMULATE_FAULT); /* movsb */
	assert_int_equal(emulate.vector, 13);
	assert_int_equal(emulate.error, 0);
	assert_int_equal(access_count, 0);
}

/* With the access known no page table is read; it counts for its own kind only. */
static void test_known_access(void **state)
{
	(void)state;
	set_64_bit();
	emulate.has_access = true;
	emulate.access_linear = 0x70000008;
	emulate.access_gpa = GPA(DEVICE + 8);
	set_device(0x20, 4, 0x1234);
	gpr[GPR_RBX] = 0x70000020;
	RUN_DONE("\x8b\x03");
	assert_int_equal(gpr[GPR_RAX], 0x1234);
	assert_int_equal(RUN("\x89\x03"), EMULATE_FAULT);
	emulate.access_is_write = true;
	RUN_DONE("\x89\x43\x08");
	assert_access(1, true, 0x28, 4, 0x1234);
	assert_int_equal(RUN("\x8b\x03"), EMULATE_FAULT);
}

static void test_unknown(void **state)
{
	(void)state;
	assert_int_equal(RUN("\x0f\x0b"), EMULATE_UNKNOWN);
	assert_int_equal(emulate.byte_count, INSN_LENGTH_MAX);
	assert_int_equal(emulate.bytes[1], 0x0b);
	/* Code that lies nowhere. */
	emulate.mode.rip = 0x80000000;
	assert_int_equal(emulate_insn(&emulate), EMULATE_UNKNOWN);
	assert_int_equal(emulate.byte_count, 0);
}

/* ---- Strings ---------------------------------------------------------------------------- */

static void test_movs(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		ram_set(ram, 0x2000 + i, 1, i);
	}
	gpr[GPR_RSI] = 0x2000;
	gpr[GPR_RDI] = DEVICE;
	gpr[GPR_RCX] = 16;
	RUN_DONE("\xf3\xa5"); /* rep movsd */
	assert_int_equal(access_count, 16);
	assert_access(15, true, 60, 4, 0x3f3e3d3c);
	assert_int_equal(gpr[GPR_RSI], 0x2040);
	assert_int_equal(gpr[GPR_RDI], DEVICE + 64);
	assert_int_equal(gpr[GPR_RCX], 0);
	/* Nothing for count 0; once without REP; down with DF. */
	RUN_DONE("\xf3\xa5");
	assert_int_equal(access_count, 16);
	emulate.mode.rflags |= DF;
	gpr[GPR_RSI] = DEVICE + 8;
	gpr[GPR_RDI] = 0x3000;
	RUN_DONE("\xa4"); /* movsb */
	assert_int_equal(ram_get(ram, 0x3000, 1), 8);
	assert_int_equal(gpr[GPR_RSI], DEVICE + 7);
	assert_int_equal(gpr[GPR_RDI], 0x2fff);
	/* From device to device. */
	gpr[GPR_RDI] = DEVICE + 0x80;
	RUN_DONE("\xa4");
	assert_access(18, true, 0x80, 1, 7);
}

/* A long one comes in pieces, and each leaves the registers as it is. */
static void test_repeat_bound(void **state)
{
	(void)state;
	gpr[GPR_RAX] = 0xab;
	gpr[GPR_RDI] = DEVICE;
	gpr[GPR_RCX] = EMULATE_REPEAT_MAX + 10;
	assert_int_equal(RUN("\xf3\xaa"), EMULATE_AGAIN); /* rep stosb */
	assert_int_equal(access_count, EMULATE_REPEAT_MAX);
	assert_int_equal(gpr[GPR_RCX], 10);
	RUN_DONE("\xf3\xaa");
	assert_int_equal(access_count, EMULATE_REPEAT_MAX + 10);
	assert_int_equal(device[EMULATE_REPEAT_MAX + 9], 0xab);
}

static void test_string_fault(void **state)
{
	(void)state;
	set_64_bit();
	/* The fifth store is on a page that is not there. */
	gpr[GPR_RDI] = 0x1ffff0;
	gpr[GPR_RSI] = DEVICE;
	gpr[GPR_RCX] = 100;
	assert_int_equal(RUN("\xf3\xa5"), EMULATE_FAULT);
	assert_int_equal(emulate.cr2, 0x200000);
	assert_int_equal(emulate.error, 2);
	assert_int_equal(gpr[GPR_RCX], 96);
	assert_int_equal(gpr[GPR_RDI], 0x200000);
	assert_int_equal(gpr[GPR_RSI], DEVICE + 16);
	assert_int_equal(access_count, 4);
}

static void test_lods(void **state)
{
	(void)state;
	memcpy(device, "abcdef", 6);
	gpr[GPR_RSI] = DEVICE;
	RUN_DONE("\xad"); /* lodsd */
	assert_int_equal(gpr[GPR_RAX], 0x64636261);
	gpr[GPR_RCX] = 2;
	RUN_DONE("\xf3\xac"); /* rep lodsb */
	assert_int_equal(gpr[GPR_RAX], 0x64636266);
	assert_int_equal(gpr[GPR_RSI], DEVICE + 6);
	assert_int_equal(rflags_set_count, 0);
}

/* 16-bit addresses wrap, and leave the upper halves alone. */
static void test_string_16(void **state)
{
	(void)state;
	segments[SEG_ES].base = DEVICE;
	emulate.mode.code_size = 2;
	gpr[GPR_RDI] = 0x1234ffff;
	gpr[GPR_RCX] = 0x56780002;
	gpr[GPR_RAX] = 0x5a;
	RUN_DONE("\xf3\xaa");
	assert_int_equal(gpr[GPR_RDI], 0x12340001);
	assert_int_equal(gpr[GPR_RCX], 0x56780000);
	assert_access(1, true, 0, 1, 0x5a);
	/* With 32-bit addresses in 64-bit mode the upper halves go. */
	setup(NULL);
	set_64_bit();
	gpr[GPR_RDI] = BIT(40) | DEVICE;
	gpr[GPR_RCX] = BIT(40) | 2;
	RUN_DONE("\x67\xf3\xaa");
	assert_int_equal(gpr[GPR_RDI], DEVICE + 2);
	assert_int_equal(gpr[GPR_RCX], 0);
}

static void test_ports(void **state)
{
	(void)state;
	gpr[GPR_RDX] = 0xabc01f0;
	gpr[GPR_RDI] = 0x2000;
	gpr[GPR_RCX] = 3;
	RUN_DONE("\xf3\x66\x6d"); /* rep insw */
	assert_access(2, false, 0x1f0, 2, 0x44332213);
	assert_int_equal(ram_get(ram, 0x2000, 8), UINT64_C(0x0000221322122211));
	gpr[GPR_RSI] = 0x2000;
	RUN_DONE("\x6f"); /* outsd */
	assert_access(3, true, 0x1f0, 4, 0x22122211);
	assert_int_equal(gpr[GPR_RSI], 0x2004);
	/* The place is looked for before the port is read. */
	set_64_bit();
	gpr[GPR_RDI] = 0x40000000;
	assert_int_equal(RUN("\x6c"), EMULATE_FAULT); /* insb */
	assert_int_equal(access_count, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_mov, setup),
		cmocka_unit_test_setup(test_sub_registers, setup),
		cmocka_unit_test_setup(test_extension, setup),
		cmocka_unit_test_setup(test_rsp, setup),
		cmocka_unit_test_setup(test_segments, setup),
		cmocka_unit_test_setup(test_arithmetic, setup),
		cmocka_unit_test_setup(test_accesses, setup),
		cmocka_unit_test_setup(test_exchange, setup),
		cmocka_unit_test_setup(test_bit_string, setup),
		cmocka_unit_test_setup(test_straddle, setup),
		cmocka_unit_test_setup(test_faults, setup),
		cmocka_unit_test_setup(test_known_access, setup),
		cmocka_unit_test_setup(test_unknown, setup),
		cmocka_unit_test_setup(test_movs, setup),
		cmocka_unit_test_setup(test_repeat_bound, setup),
		cmocka_unit_test_setup(test_string_fault, setup),
		cmocka_unit_test_setup(test_lods, setup),
		cmocka_unit_test_setup(test_string_16, setup),
		cmocka_unit_test_setup(test_ports, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
