/* SPDX-License-Identifier: Apache-2.0 */
/* The instruction decoder against a table of the GNU assembler's encodings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/decode.h"

enum { LOCKED = 1, REPEAT = 2, SIGNED = 4 };

struct decode_case {
	int mode;
	const char *text;
	const char *bytes;
	int length;
	enum insn_op op;
	int operand_size, memory_size, address_size, flags;
	bool to_memory;
	struct insn_operand operand;
	struct {
		int base, index, scale, rip_relative, segment;
		int64_t displacement;
	} memory;
};

#define NONE                         \
	{                            \
		.kind = OPERAND_NONE \
	}
#define R(n)                                       \
	{                                          \
		.kind = OPERAND_REGISTER, .reg = n \
	}
#define H(n)                                                          \
	{                                                             \
		.kind = OPERAND_REGISTER, .reg = n, .high_byte = true \
	}
#define I(n)                                                                   \
	{                                                                      \
		.kind = OPERAND_IMMEDIATE, .immediate = (uint64_t)(int64_t)(n) \
	}

static const struct decode_case cases[] = {
#include "tests/unit/decode_cases.inc"
};

static void match(const struct decode_case *c, const char *what, int64_t found, int64_t expected)
{
	if (found != expected) {
		fail_msg("%d: %s: %s is %lld, not %lld", c->mode, c->text, what, (long long)found,
			 (long long)expected);
	}
}

static void match_operand(const struct decode_case *c, const struct insn_operand *found,
			  const struct insn_operand *expected)
{
	match(c, "operand's kind", found->kind, expected->kind);
	match(c, "register", found->reg, expected->reg);
	match(c, "high byte", found->high_byte, expected->high_byte);
	match(c, "immediate", (int64_t)found->immediate, (int64_t)expected->immediate);
}

static void match_memory(const struct decode_case *c, const struct insn *insn)
{
	const struct insn_memory *memory = &insn->memory;

	match(c, "base", memory->has_base ? memory->base : -1, c->memory.base);
	match(c, "index", memory->has_index ? memory->index : -1, c->memory.index);
	if (memory->has_index) {
		match(c, "scale", memory->scale, c->memory.scale);
	}
	match(c, "rip relative", memory->rip_relative, c->memory.rip_relative);
	match(c, "segment", memory->segment, c->memory.segment);
	match(c, "displacement", memory->displacement, c->memory.displacement);
}

static void match_insn(const struct decode_case *c, const struct insn *insn)
{
	match(c, "length", insn->length, c->length);
	match(c, "op", insn->op, c->op);
	match(c, "operand size", insn->operand_size, c->operand_size);
	match(c, "memory size", insn->memory_size, c->memory_size);
	match(c, "address size", insn->address_size, c->address_size);
	match(c, "lock", insn->lock, (c->flags & LOCKED) != 0);
	match(c, "rep", insn->repeat, (c->flags & REPEAT) != 0);
	match(c, "sign", insn->sign_extend, (c->flags & SIGNED) != 0);
	match(c, "direction", insn->to_memory, c->to_memory);
	match_operand(c, &insn->operand, &c->operand);
	match_memory(c, insn);
}

/* Each instruction, also with bytes after it, and each of its beginnings. */
static void test_table(void **state)
{
	(void)state;
	assert_true(ARRAY_SIZE(cases) > 1000);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct decode_case *c = &cases[i];
		uint8_t bytes[INSN_LENGTH_MAX];
		struct insn insn;

		memset(bytes, 0xcc, sizeof(bytes));
		memcpy(bytes, c->bytes, (size_t)c->length);
		match(c, "result", insn_decode(bytes, (size_t)c->length, (unsigned)c->mode, &insn),
		      0);
		match_insn(c, &insn);
		match(c, "result with more",
		      insn_decode(bytes, sizeof(bytes), (unsigned)c->mode, &insn), 0);
		match_insn(c, &insn);
		for (int size = 0; size < c->length; size++) {
			match(c, "result of a part",
			      insn_decode(bytes, (size_t)size, (unsigned)c->mode, &insn), -EAGAIN);
		}
	}
}

static int decode(unsigned mode, const char *bytes, size_t size, struct insn *insn)
{
	return insn_decode((const uint8_t *)bytes, size, mode, insn);
}

#define DECODE(mode, bytes, insn) decode(mode, bytes, sizeof(bytes) - 1, insn)

static void test_prefixes(void **state)
{
	struct insn insn;

	(void)state;
	/* REX counts just before the opcode only. */
	assert_int_equal(DECODE(8, "\x48\x66\x8b\x07", &insn), 0);
	assert_int_equal(insn.operand_size, 2);
	assert_int_equal(DECODE(8, "\x66\x48\x8b\x07", &insn), 0);
	assert_int_equal(insn.operand_size, 8);
	assert_int_equal(DECODE(8, "\x41\x40\x8b\x07", &insn), 0);
	assert_int_equal(insn.memory.base, GPR_RDI);
	/* A REX without bits takes AH away. */
	assert_int_equal(DECODE(8, "\x40\x88\x27", &insn), 0);
	assert_false(insn.operand.high_byte);
	assert_int_equal(insn.operand.reg, GPR_RSP);
	/* Outside 64-bit mode 40 to 4f are INC and DEC, and not known. */
	assert_int_equal(DECODE(4, "\x40\x88\x27", &insn), -EINVAL);
	/* The last override counts; in 64-bit mode FS and GS only. */
	assert_int_equal(DECODE(4, "\x26\x64\x2e\x8b\x07", &insn), 0);
	assert_int_equal(insn.memory.segment, SEG_CS);
	assert_int_equal(DECODE(8, "\x65\x2e\x8b\x07", &insn), 0);
	assert_int_equal(insn.memory.segment, SEG_GS);
	assert_int_equal(DECODE(8, "\x36\x8b\x07", &insn), 0);
	assert_int_equal(insn.memory.segment, SEG_DS);
	/* Both repeats count, and only where something is repeated. */
	assert_int_equal(DECODE(8, "\xf2\xaa", &insn), 0);
	assert_true(insn.repeat);
	assert_int_equal(DECODE(8, "\xf3\x8b\x07", &insn), 0);
	assert_false(insn.repeat);
	/* XACQUIRE LOCK. */
	assert_int_equal(DECODE(8, "\xf2\xf0\x01\x07", &insn), 0);
	assert_true(insn.lock && !insn.repeat);
}

static void test_length(void **state)
{
	static const char prefixes[] =
		"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x8b\x07";
	struct insn insn;

	(void)state;
	assert_int_equal(DECODE(8, prefixes, &insn), 0);
	assert_int_equal(insn.length, 15);
	assert_int_equal(decode(8,
				"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x8b\x47\x01",
				16, &insn),
			 -EINVAL);
	assert_int_equal(decode(8,
				"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66",
				16, &insn),
			 -EINVAL);
	assert_int_equal(decode(8, "", 0, &insn), -EAGAIN);
	/* MOV r/m64, imm32 with a SIB, prefixes and all: 15 bytes. */
	assert_int_equal(DECODE(8, "\x66\x65\x67\x48\xc7\x84\x0d\x04\x03\x02\x01\x78\x56\x34\xf2",
				&insn),
			 0);
	assert_int_equal(insn.operand.immediate, 0xfffffffff2345678);
	assert_int_equal(insn.memory.displacement, 0x01020304);
}

static void test_refused(void **state)
{
	static const struct {
		unsigned mode;
		const char *text, *bytes;
	} refused[] = {
		{8, "mov eax, ecx", "\x89\xc8"},
		{8, "lock add eax, ecx", "\xf0\x01\xc8"},
		{8, "lock mov [rax], ecx", "\xf0\x89\x08"},
		{8, "lock add ecx, [rax]", "\xf0\x03\x08"},
		{8, "lock cmp [rax], ecx", "\xf0\x39\x08"},
		{8, "lock bt [rax], ecx", "\xf0\x0f\xa3\x08"},
		{8, "lock movsb", "\xf0\xa4"},
		{4, "arpl [eax], cx", "\x63\x08"},
		{8, "pop group 1", "\x8f\x08"},
		{8, "group 11, 1", "\xc7\x08\x01\x02\x03\x04"},
		{8, "mul dword ptr [rax]", "\xf7\x20"},
		{8, "call [rax]", "\xff\x10"},
		{8, "group 4, 2", "\xfe\x10"},
		{8, "group 8, 0", "\x0f\xba\x00\x01"},
		{8, "ud2", "\x0f\x0b"},
		{8, "nop", "\x90"},
		{8, "vmovups ymm0, [rax]", "\xc5\xfc\x10\x00"},
		{8, "evex", "\x62\xf1\x7c\x48\x10\x00"},
		{4, "les eax, [eax]", "\xc4\x00"},
		{8, "movups xmm0, [rax]", "\x0f\x10\x00"},
		{8, "add al, 1", "\x04\x01"},
		{8, "push [rax]", "\xff\x30"},
		{8, "push rax", "\x50"},
		{8, "push 1", "\x6a\x01"},
		{8, "pop [rax]", "\x8f\x00"},
		{8, "pop rax", "\x58"},
		{8, "xadd [rax], ecx", "\x0f\xc1\x08"},
		{8, "repe cmpsb", "\xf3\xa6"},
		{8, "repne scasd", "\xf2\xaf"},
	};
	struct insn insn;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		uint8_t bytes[INSN_LENGTH_MAX] = {0};

		memcpy(bytes, refused[i].bytes, strlen(refused[i].bytes));
		if (insn_decode(bytes, sizeof(bytes), refused[i].mode, &insn) != -EINVAL) {
			fail_msg("%s was not refused", refused[i].text);
		}
	}
}

static void test_linear_address(void **state)
{
	uint64_t gpr[GPR_COUNT] = {[GPR_RBX] = 0xfffffff0, [GPR_RSI] = 0x20, [GPR_RBP] = 0xfff8};
	struct insn insn;

	(void)state;
	/* mov al, [bx + si]: 16 bits, in a segment */
	assert_int_equal(DECODE(2, "\x8a\x00", &insn), 0);
	assert_int_equal(insn_linear_address(&insn, gpr, 0, 0x12340), 0x12340 + 0x10);
	/* mov al, [bp + 0x10] */
	assert_int_equal(DECODE(2, "\x8a\x46\x10", &insn), 0);
	assert_int_equal(insn_linear_address(&insn, gpr, 0, 0x100000), 0x100008);
	/* mov al, [ebx + esi * 4] wraps at 4 GiB; so does the segment's base */
	assert_int_equal(DECODE(4, "\x8a\x04\xb3", &insn), 0);
	assert_int_equal(insn_linear_address(&insn, gpr, 0, 0), 0x70);
	assert_int_equal(insn_linear_address(&insn, gpr, 0, 0xfffffff0), 0x60);
	/* mov al, [rbx + rsi * 4] does not */
	assert_int_equal(DECODE(8, "\x8a\x04\xb3", &insn), 0);
	assert_int_equal(insn_linear_address(&insn, gpr, 0, 0), 0x100000070);
	/* mov al, [rip - 2], and [eip - 2] */
	assert_int_equal(DECODE(8, "\x8a\x05\xfe\xff\xff\xff", &insn), 0);
	assert_int_equal(insn_linear_address(&insn, gpr, 0xffffffff80000000, 0),
			 0xffffffff80000004);
	assert_int_equal(DECODE(8, "\x67\x8a\x05\xfe\xff\xff\xff", &insn), 0);
	assert_int_equal(insn_linear_address(&insn, gpr, 0xffffffff80000000, 0), 0x80000005);
	/* mov al, gs:[rbx] */
	assert_int_equal(DECODE(8, "\x65\x8a\x03", &insn), 0);
	assert_int_equal(insn_linear_address(&insn, gpr, 0, 0xffff800000000000),
			 0xffff8000fffffff0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	       cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_length),	       cmocka_unit_test(test_refused),
		cmocka_unit_test(test_linear_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
