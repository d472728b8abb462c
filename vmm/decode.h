/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instruction decoder for memory-mapped I/O: pure, from bytes to a
 * description. It knows the instructions that compilers and kernels use on
 * device memory, in the forms that touch memory; anything else is -EINVAL, and
 * the guest is told so or stopped.
 * Encodings: Intel SDM volume 2, chapter 2 and appendix A.
 */
#ifndef VMM_DECODE_H
#define VMM_DECODE_H

#include "arch/x86_64/arch.h"

#define INSN_LENGTH_MAX 15

enum insn_op {
	INSN_UNKNOWN,
	INSN_MOV, /* store, load: also with zero or sign extension */
	/* In the order of the opcodes. */
	INSN_ADD,
	INSN_OR,
	INSN_ADC,
	INSN_SBB,
	INSN_AND,
	INSN_SUB,
	INSN_XOR,
	INSN_CMP,
	INSN_TEST,
	INSN_INC,
	INSN_DEC,
	INSN_NOT,
	INSN_NEG,
	INSN_XCHG,
	INSN_CMPXCHG,
	INSN_BT,
	INSN_BTS,
	INSN_BTR,
	INSN_BTC,
	/* String instructions: no operand, insn_is_string is true. */
	INSN_MOVS,
	INSN_STOS,
	INSN_LODS,
	INSN_INS,
	INSN_OUTS,
};

enum insn_operand_kind { OPERAND_NONE, OPERAND_REGISTER, OPERAND_IMMEDIATE };

/* The operand that is not in memory. */
struct insn_operand {
	enum insn_operand_kind kind;
	uint8_t reg; /* enum gpr; with high_byte: AH, CH, DH, BH as 0 to 3 */
	bool high_byte;
	uint64_t immediate; /* sign-extended to 64 bits */
};

/*
 * The memory operand: base + index * scale + displacement in segment. For a
 * string instruction only `segment` counts: that of its source at rSI.
 */
struct insn_memory {
	bool has_base, has_index, rip_relative;
	uint8_t base, index, scale;
	uint8_t segment; /* enum segment, override applied */
	int64_t displacement;
};

struct insn {
	enum insn_op op;
	uint8_t length;
	uint8_t code_size; /* as given to insn_decode */
	uint8_t operand_size; /* bytes of the operand: 1, 2, 4, 8 */
	uint8_t memory_size; /* bytes moved to or from memory */
	uint8_t address_size; /* 2, 4, 8 */
	bool sign_extend; /* MOVSX, MOVSXD */
	bool lock;
	bool repeat; /* F3 or F2 on a string instruction */
	bool to_memory; /* the destination is in memory, else it is the operand */
	struct insn_operand operand;
	struct insn_memory memory;
};

/*
 * Decodes one instruction of `size` bytes at most. code_size is 2, 4 or 8 (the
 * CPU's mode). Returns 0, -EINVAL for an instruction that is not known here,
 * -EAGAIN when the bytes end before the instruction does.
 */
int insn_decode(const uint8_t *bytes, size_t size, unsigned code_size,
		struct insn *insn) MUST_CHECK;

static inline bool insn_is_string(const struct insn *insn)
{
	return insn->op >= INSN_MOVS;
}

/* `address` as wide as the instruction's addresses are. */
static inline uint64_t insn_wrap_address(const struct insn *insn, uint64_t address)
{
	return address & (UINT64_MAX >> (64 - 8 * insn->address_size));
}

/*
 * The linear address of an offset in a segment: SDM 1, 3.4.1; 32 bits wide
 * outside 64-bit mode.
 */
static inline uint64_t insn_wrap_linear(const struct insn *insn, uint64_t linear)
{
	return insn->code_size == 8 ? linear : (uint32_t)linear;
}

/*
 * The linear address of the memory operand (SDM 1, 3.7.5), `rip` being that of
 * the instruction itself, segment_base that of insn->memory.segment.
 */
uint64_t insn_linear_address(const struct insn *insn, const uint64_t gpr[GPR_COUNT], uint64_t rip,
			     uint64_t segment_base);

#endif
