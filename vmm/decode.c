/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instruction decoder: prefixes, opcode tables, ModRM and SIB.
 */
#include "vmm/decode.h"

#include <errno.h>

/* The operand beside memory; none of these: there is none. */
#define REG BIT(0) /* of ModRM.reg */
#define IMM BIT(1)
#define IMM_8 BIT(2)
#define ACCUMULATOR BIT(3) /* and memory by an offset instead of ModRM */
/* The rest. */
#define LOAD BIT(4) /* memory is the source, not the destination */
#define BYTE BIT(5) /* operands of 8 bits */
#define LOCK BIT(6) /* may be locked */
#define SIGN BIT(7) /* sign extension */
#define FROM_8 BIT(8) /* 8 bits in memory */
#define FROM_16 BIT(9) /* 16 bits in memory */
#define FROM_32 BIT(10) /* 32 bits in memory; MOVSXD, in 64-bit mode only */
#define NO_64 BIT(11) /* 32 bits wide also with REX.W */
#define STRING BIT(12)
#define GROUP BIT(13) /* op is an index of groups[]; its member by ModRM.reg */

struct opcode {
	uint8_t op; /* enum insn_op */
	uint16_t flags; /* of a group's member: added to those of the opcode */
};

enum { GROUP_1, GROUP_3, GROUP_4_5, GROUP_8, GROUP_11 };

/* SDM 2, table A-6. */
static const struct opcode groups[][8] = {
	[GROUP_1] = {{INSN_ADD, LOCK},
		     {INSN_OR, LOCK},
		     {INSN_ADC, LOCK},
		     {INSN_SBB, LOCK},
		     {INSN_AND, LOCK},
		     {INSN_SUB, LOCK},
		     {INSN_XOR, LOCK},
		     {INSN_CMP, 0}},
	[GROUP_3] = {{INSN_TEST, IMM}, {INSN_TEST, IMM}, {INSN_NOT, LOCK}, {INSN_NEG, LOCK}},
	[GROUP_4_5] = {{INSN_INC, LOCK}, {INSN_DEC, LOCK}},
	[GROUP_8] = {[4] = {INSN_BT, 0}, {INSN_BTS, LOCK}, {INSN_BTR, LOCK}, {INSN_BTC, LOCK}},
	[GROUP_11] = {{INSN_MOV, 0}},
};

/* An opcode for bytes, and the next one for the other sizes. */
#define PAIR(first, op, flags) [first] = {op, BYTE | (flags)}, [(first) + 1] = {op, flags}

/* The four forms of arithmetic that can name memory. */
#define ARITHMETIC(first, op, lock) PAIR(first, op, REG | (lock)), PAIR((first) + 2, op, REG | LOAD)

/* SDM 2, table A-2. */
static const struct opcode one_byte[256] = {
	ARITHMETIC(0x00, INSN_ADD, LOCK),
	ARITHMETIC(0x08, INSN_OR, LOCK),
	ARITHMETIC(0x10, INSN_ADC, LOCK),
	ARITHMETIC(0x18, INSN_SBB, LOCK),
	ARITHMETIC(0x20, INSN_AND, LOCK),
	ARITHMETIC(0x28, INSN_SUB, LOCK),
	ARITHMETIC(0x30, INSN_XOR, LOCK),
	ARITHMETIC(0x38, INSN_CMP, 0),
	[0x63] = {INSN_MOV, REG | LOAD | FROM_32 | SIGN}, /* MOVSXD */
	PAIR(0x6c, INSN_INS, STRING | NO_64),
	PAIR(0x6e, INSN_OUTS, STRING | NO_64),
	PAIR(0x80, GROUP_1, GROUP | IMM),
	[0x83] = {GROUP_1, GROUP | IMM_8},
	PAIR(0x84, INSN_TEST, REG),
	PAIR(0x86, INSN_XCHG, REG | LOCK),
	PAIR(0x88, INSN_MOV, REG),
	PAIR(0x8a, INSN_MOV, REG | LOAD),
	PAIR(0xa0, INSN_MOV, ACCUMULATOR | LOAD),
	PAIR(0xa2, INSN_MOV, ACCUMULATOR),
	PAIR(0xa4, INSN_MOVS, STRING),
	PAIR(0xaa, INSN_STOS, STRING),
	PAIR(0xac, INSN_LODS, STRING),
	PAIR(0xc6, GROUP_11, GROUP | IMM),
	PAIR(0xf6, GROUP_3, GROUP),
	PAIR(0xfe, GROUP_4_5, GROUP),
};

/* SDM 2, table A-3: behind 0f. */
static const struct opcode two_byte[256] = {
	[0xa3] = {INSN_BT, REG},
	[0xab] = {INSN_BTS, REG | LOCK},
	PAIR(0xb0, INSN_CMPXCHG, REG | LOCK),
	[0xb3] = {INSN_BTR, REG | LOCK},
	[0xb6] = {INSN_MOV, REG | LOAD | FROM_8}, /* MOVZX */
	[0xb7] = {INSN_MOV, REG | LOAD | FROM_16},
	[0xba] = {GROUP_8, GROUP | IMM_8},
	[0xbb] = {INSN_BTC, REG | LOCK},
	[0xbe] = {INSN_MOV, REG | LOAD | FROM_8 | SIGN}, /* MOVSX */
	[0xbf] = {INSN_MOV, REG | LOAD | FROM_16 | SIGN},
};

#define REX_W BIT(3)
#define REX_R BIT(2)
#define REX_X BIT(1)
#define REX_B BIT(0)

/* One decoding in progress. */
struct decoder {
	const uint8_t *bytes;
	size_t size, at;
	int error; /* the first; 0 bytes are read from then on */
	bool operand_prefix, address_prefix;
	bool has_rex;
	uint8_t rex;
	uint8_t segment; /* SEG_COUNT: no override */
	uint8_t mod, reg, rm; /* of ModRM; reg without REX.R */
	struct insn *insn;
};

/* The next `size` bytes, at most 8, sign-extended. */
static int64_t decoder_take(struct decoder *decoder, unsigned size)
{
	uint64_t value = 0;
	unsigned shift = 64 - 8 * size;

	if (decoder->error == 0 && decoder->at + size > INSN_LENGTH_MAX) {
		decoder->error = -EINVAL;
	}
	if (decoder->error == 0 && decoder->at + size > decoder->size) {
		decoder->error = -EAGAIN;
	}
	if (decoder->error != 0) {
		return 0;
	}
	for (unsigned i = 0; i < size; i++) {
		value |= (uint64_t)decoder->bytes[decoder->at++] << (8 * i);
	}
	return (int64_t)(value << shift) >> shift;
}

/* False when the byte is no prefix. SDM 2, 2.1.1. */
static bool decode_prefix(struct decoder *decoder, uint8_t byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		/* ES, CS, SS, DS: without effect in 64-bit mode. */
		if (decoder->insn->code_size != 8) {
			decoder->segment = (uint8_t)(SEG_ES + (byte - 0x26) / 8);
		}
		return true;
	case 0x64:
	case 0x65:
		decoder->segment = (uint8_t)(SEG_FS + (byte - 0x64));
		return true;
	case 0x66:
		decoder->operand_prefix = true;
		return true;
	case 0x67:
		decoder->address_prefix = true;
		return true;
	case 0xf0:
		decoder->insn->lock = true;
		return true;
	case 0xf2:
	case 0xf3:
		/* They differ only for CMPS and SCAS, which are not known here. */
		decoder->insn->repeat = true;
		return true;
	default:
		return false;
	}
}

/* Prefixes and opcode. After an error bytes are 0: no prefix, so it ends. */
static struct opcode decode_opcode(struct decoder *decoder)
{
	for (;;) {
		uint8_t byte = (uint8_t)decoder_take(decoder, 1);

		if (decoder->insn->code_size == 8 && (byte & 0xf0) == 0x40) {
			decoder->has_rex = true;
			decoder->rex = byte & 0xf;
		} else if (decode_prefix(decoder, byte)) {
			/* REX counts only just before the opcode: SDM 2, 2.2.1. */
			decoder->has_rex = false;
			decoder->rex = 0;
		} else if (byte == 0x0f) {
			return two_byte[(uint8_t)decoder_take(decoder, 1)];
		} else {
			return one_byte[byte];
		}
	}
}

static void decode_sizes(struct decoder *decoder, unsigned flags)
{
	struct insn *insn = decoder->insn;
	/* The prefixes choose the other size; the default of 64-bit code is 32. */
	unsigned size = (insn->code_size == 2) != decoder->operand_prefix ? 2 : 4;

	if ((decoder->rex & REX_W) != 0) {
		size = (flags & NO_64) != 0 ? 4 : 8;
	}
	insn->operand_size = (uint8_t)((flags & BYTE) != 0 ? 1 : size);
	insn->memory_size = insn->operand_size;
	if ((flags & FROM_8) != 0) {
		insn->memory_size = 1;
	} else if ((flags & FROM_16) != 0) {
		insn->memory_size = 2;
	} else if ((flags & FROM_32) != 0) {
		insn->memory_size = (uint8_t)MIN(size, 4);
	}
	insn->sign_extend = (flags & SIGN) != 0;
	insn->address_size = insn->code_size;
	if (decoder->address_prefix) {
		insn->address_size = insn->code_size == 4 ? 2 : 4;
	}
}

static void decode_modrm(struct decoder *decoder)
{
	uint8_t modrm = (uint8_t)decoder_take(decoder, 1);

	decoder->mod = modrm >> 6;
	decoder->reg = modrm >> 3 & 7;
	decoder->rm = modrm & 7;
}

static uint8_t rex_extend(const struct decoder *decoder, uint64_t bit, unsigned reg)
{
	return (uint8_t)(reg + ((decoder->rex & bit) != 0 ? 8 : 0));
}

/* SDM 2, table 2-1. */
static void decode_registers_16(struct decoder *decoder)
{
	static const uint8_t bases[8] = {GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP,
					 GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX};
	struct insn_memory *memory = &decoder->insn->memory;

	memory->has_base = decoder->mod != 0 || decoder->rm != 6;
	memory->base = bases[decoder->rm];
	memory->has_index = decoder->rm < 4;
	memory->index = decoder->rm % 2 == 0 ? GPR_RSI : GPR_RDI;
	memory->scale = 1;
}

/* SDM 2, tables 2-2 and 2-3. */
static void decode_registers_32(struct decoder *decoder)
{
	struct insn_memory *memory = &decoder->insn->memory;
	unsigned base = decoder->rm;
	bool has_sib = decoder->rm == 4;

	if (has_sib) {
		uint8_t sib = (uint8_t)decoder_take(decoder, 1);

		memory->scale = (uint8_t)(1u << (sib >> 6));
		memory->index = rex_extend(decoder, REX_X, sib >> 3 & 7);
		memory->has_index = memory->index != GPR_RSP; /* that means none */
		base = sib & 7;
	}
	memory->has_base = decoder->mod != 0 || base != 5;
	memory->base = rex_extend(decoder, REX_B, base);
	memory->rip_relative = !memory->has_base && !has_sib && decoder->insn->code_size == 8;
}

/* The memory operand, by ModRM or, of an accumulator's move, by its offset. */
static void decode_memory(struct decoder *decoder, unsigned flags)
{
	struct insn_memory *memory = &decoder->insn->memory;
	unsigned address_size = decoder->insn->address_size;

	memory->segment = SEG_DS;
	if ((flags & ACCUMULATOR) != 0) {
		memory->displacement = decoder_take(decoder, address_size);
	} else if ((flags & STRING) == 0) {
		if (address_size == 2) {
			decode_registers_16(decoder);
		} else {
			decode_registers_32(decoder);
		}
		if (decoder->mod == 1) {
			memory->displacement = decoder_take(decoder, 1);
		} else if (decoder->mod == 2 || !memory->has_base) {
			memory->displacement = decoder_take(decoder, MIN(address_size, 4));
		}
		/* What is based on the stack lies in SS. */
		if (memory->has_base && (memory->base == GPR_RSP || memory->base == GPR_RBP)) {
			memory->segment = SEG_SS;
		}
	}
	if (decoder->segment != SEG_COUNT) {
		memory->segment = decoder->segment;
	}
}

static void decode_operand(struct decoder *decoder, unsigned flags)
{
	struct insn_operand *operand = &decoder->insn->operand;
	unsigned size = decoder->insn->operand_size;

	if ((flags & (REG | ACCUMULATOR)) != 0) {
		operand->kind = OPERAND_REGISTER;
		operand->reg = GPR_RAX;
		if ((flags & REG) != 0) {
			operand->reg = rex_extend(decoder, REX_R, decoder->reg);
		}
		/* Without REX, byte registers 4 to 7 are AH, CH, DH, BH. */
		operand->high_byte = size == 1 && !decoder->has_rex && operand->reg >= 4;
		operand->reg -= operand->high_byte ? 4 : 0;
	} else if ((flags & (IMM | IMM_8)) != 0) {
		operand->kind = OPERAND_IMMEDIATE;
		operand->immediate =
			(uint64_t)decoder_take(decoder, (flags & IMM_8) != 0 ? 1 : MIN(size, 4));
	}
}

int insn_decode(const uint8_t *bytes, size_t size, unsigned code_size, struct insn *insn)
{
	struct decoder decoder = {.bytes = bytes, .size = size, .segment = SEG_COUNT, .insn = insn};
	struct opcode opcode;
	bool has_modrm;

	*insn = (struct insn){.code_size = (uint8_t)code_size};
	opcode = decode_opcode(&decoder);
	has_modrm = (opcode.flags & (REG | GROUP)) != 0;
	if (has_modrm) {
		decode_modrm(&decoder);
	}
	if ((opcode.flags & GROUP) != 0) {
		const struct opcode *member = &groups[opcode.op][decoder.reg];

		opcode.op = member->op;
		opcode.flags |= member->flags;
	}
	if (decoder.error != 0) {
		return decoder.error;
	}
	if (opcode.op == INSN_UNKNOWN || (has_modrm && decoder.mod == 3) ||
	    ((opcode.flags & FROM_32) != 0 && code_size != 8) ||
	    (insn->lock && (opcode.flags & LOCK) == 0)) {
		return -EINVAL;
	}
	insn->op = opcode.op;
	insn->repeat = insn->repeat && insn_is_string(insn);
	insn->to_memory = (opcode.flags & (STRING | LOAD)) == 0;
	decode_sizes(&decoder, opcode.flags);
	decode_memory(&decoder, opcode.flags);
	decode_operand(&decoder, opcode.flags);
	insn->length = (uint8_t)decoder.at;
	return decoder.error;
}

uint64_t insn_linear_address(const struct insn *insn, const uint64_t gpr[GPR_COUNT], uint64_t rip,
			     uint64_t segment_base)
{
	const struct insn_memory *memory = &insn->memory;
	uint64_t offset = (uint64_t)memory->displacement;

	if (memory->has_base) {
		offset += gpr[memory->base];
	}
	if (memory->has_index) {
		offset += gpr[memory->index] * memory->scale;
	}
	if (memory->rip_relative) {
		offset += rip + insn->length;
	}
	return insn_wrap_linear(insn, segment_base + insn_wrap_address(insn, offset));
}
