/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instruction decoder: prefixes, opcode tables, ModRM and SIB.
 */
#include "vmm/decode.h"

#include <errno.h>

/* Where the operands are; the order is "destination, source". */
enum form {
	FORM_UNKNOWN,
	/* With a ModRM byte that must name memory. */
	FORM_RM,
	FORM_RM_REG,
	FORM_REG_RM,
	FORM_RM_IMMEDIATE,
	FORM_RM_IMMEDIATE_8,
	FORM_MODRM_LAST = FORM_RM_IMMEDIATE_8,
	/* Without. */
	FORM_ACCUMULATOR_OFFSET,
	FORM_OFFSET_ACCUMULATOR,
	FORM_REG, /* in the opcode */
	FORM_IMMEDIATE,
	FORM_IMMEDIATE_8,
	FORM_STRING,
};

#define BYTE BIT(0) /* operands of 8 bits */
#define LOCK BIT(1) /* may be locked */
#define STACK BIT(2) /* 64 bits wide in 64-bit mode */
#define SIGN BIT(3) /* sign extension */
#define FROM_8 BIT(4) /* 8 bits in memory */
#define FROM_16 BIT(5) /* 16 bits in memory */
#define NO_64 BIT(6) /* 32 bits wide also with REX.W */

struct opcode {
	uint8_t op; /* enum insn_op */
	uint8_t form; /* enum form; of a group's member: 0 = that of the opcode */
	uint8_t flags;
	const struct opcode *group; /* by ModRM.reg; op, form and flags from there */
};

/* SDM 2, table A-6. */
static const struct opcode group_1[8] = {
	{INSN_ADD, 0, LOCK, NULL}, {INSN_OR, 0, LOCK, NULL},  {INSN_ADC, 0, LOCK, NULL},
	{INSN_SBB, 0, LOCK, NULL}, {INSN_AND, 0, LOCK, NULL}, {INSN_SUB, 0, LOCK, NULL},
	{INSN_XOR, 0, LOCK, NULL}, {INSN_CMP, 0, 0, NULL},
};
static const struct opcode group_1a[8] = {
	[0] = {INSN_POP, FORM_RM, STACK, NULL},
};
static const struct opcode group_3_byte[8] = {
	[0] = {INSN_TEST, FORM_RM_IMMEDIATE, 0, NULL},
	[1] = {INSN_TEST, FORM_RM_IMMEDIATE, 0, NULL},
	[2] = {INSN_NOT, FORM_RM, LOCK, NULL},
	[3] = {INSN_NEG, FORM_RM, LOCK, NULL},
};
static const struct opcode group_4[8] = {
	[0] = {INSN_INC, FORM_RM, LOCK, NULL},
	[1] = {INSN_DEC, FORM_RM, LOCK, NULL},
};
static const struct opcode group_5[8] = {
	[0] = {INSN_INC, FORM_RM, LOCK, NULL},
	[1] = {INSN_DEC, FORM_RM, LOCK, NULL},
	[6] = {INSN_PUSH, FORM_RM, STACK, NULL},
};
static const struct opcode group_8[8] = {
	[4] = {INSN_BT, FORM_RM_IMMEDIATE_8, 0, NULL},
	[5] = {INSN_BTS, FORM_RM_IMMEDIATE_8, LOCK, NULL},
	[6] = {INSN_BTR, FORM_RM_IMMEDIATE_8, LOCK, NULL},
	[7] = {INSN_BTC, FORM_RM_IMMEDIATE_8, LOCK, NULL},
};
static const struct opcode group_11[8] = {
	[0] = {INSN_MOV, FORM_RM_IMMEDIATE, 0, NULL},
};

/* The four forms of arithmetic that can name memory. */
#define ARITHMETIC(first, op, lock)                         \
	[(first)] = {op, FORM_RM_REG, BYTE | (lock), NULL}, \
	[(first) + 1] = {op, FORM_RM_REG, (lock), NULL},    \
	[(first) + 2] = {op, FORM_REG_RM, BYTE, NULL}, [(first) + 3] = {op, FORM_REG_RM, 0, NULL}

#define STRING(first, op, flags) \
	[(first)] = {op, FORM_STRING, BYTE, NULL}, [(first) + 1] = {op, FORM_STRING, flags, NULL}

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
	[0x50 ... 0x57] = {INSN_PUSH, FORM_REG, STACK, NULL},
	[0x58 ... 0x5f] = {INSN_POP, FORM_REG, STACK, NULL},
	[0x63] = {INSN_MOV, FORM_REG_RM, SIGN, NULL}, /* MOVSXD */
	[0x68] = {INSN_PUSH, FORM_IMMEDIATE, STACK, NULL},
	[0x6a] = {INSN_PUSH, FORM_IMMEDIATE_8, STACK, NULL},
	STRING(0x6c, INSN_INS, NO_64),
	STRING(0x6e, INSN_OUTS, NO_64),
	[0x80] = {0, FORM_RM_IMMEDIATE, BYTE, group_1},
	[0x81] = {0, FORM_RM_IMMEDIATE, 0, group_1},
	[0x83] = {0, FORM_RM_IMMEDIATE_8, 0, group_1},
	[0x84] = {INSN_TEST, FORM_RM_REG, BYTE, NULL},
	[0x85] = {INSN_TEST, FORM_RM_REG, 0, NULL},
	[0x86] = {INSN_XCHG, FORM_RM_REG, BYTE | LOCK, NULL},
	[0x87] = {INSN_XCHG, FORM_RM_REG, LOCK, NULL},
	[0x88] = {INSN_MOV, FORM_RM_REG, BYTE, NULL},
	[0x89] = {INSN_MOV, FORM_RM_REG, 0, NULL},
	[0x8a] = {INSN_MOV, FORM_REG_RM, BYTE, NULL},
	[0x8b] = {INSN_MOV, FORM_REG_RM, 0, NULL},
	[0x8f] = {0, FORM_RM, 0, group_1a},
	[0xa0] = {INSN_MOV, FORM_ACCUMULATOR_OFFSET, BYTE, NULL},
	[0xa1] = {INSN_MOV, FORM_ACCUMULATOR_OFFSET, 0, NULL},
	[0xa2] = {INSN_MOV, FORM_OFFSET_ACCUMULATOR, BYTE, NULL},
	[0xa3] = {INSN_MOV, FORM_OFFSET_ACCUMULATOR, 0, NULL},
	STRING(0xa4, INSN_MOVS, 0),
	STRING(0xa6, INSN_CMPS, 0),
	STRING(0xaa, INSN_STOS, 0),
	STRING(0xac, INSN_LODS, 0),
	STRING(0xae, INSN_SCAS, 0),
	[0xc6] = {0, FORM_RM, BYTE, group_11},
	[0xc7] = {0, FORM_RM, 0, group_11},
	[0xf6] = {0, FORM_RM, BYTE, group_3_byte},
	[0xf7] = {0, FORM_RM, 0, group_3_byte},
	[0xfe] = {0, FORM_RM, BYTE, group_4},
	[0xff] = {0, FORM_RM, 0, group_5},
};

/* SDM 2, table A-3: behind 0f. */
static const struct opcode two_byte[256] = {
	[0xa3] = {INSN_BT, FORM_RM_REG, 0, NULL},
	[0xab] = {INSN_BTS, FORM_RM_REG, LOCK, NULL},
	[0xb0] = {INSN_CMPXCHG, FORM_RM_REG, BYTE | LOCK, NULL},
	[0xb1] = {INSN_CMPXCHG, FORM_RM_REG, LOCK, NULL},
	[0xb3] = {INSN_BTR, FORM_RM_REG, LOCK, NULL},
	[0xb6] = {INSN_MOV, FORM_REG_RM, FROM_8, NULL}, /* MOVZX */
	[0xb7] = {INSN_MOV, FORM_REG_RM, FROM_16, NULL},
	[0xba] = {0, FORM_RM_IMMEDIATE_8, 0, group_8},
	[0xbb] = {INSN_BTC, FORM_RM_REG, LOCK, NULL},
	[0xbe] = {INSN_MOV, FORM_REG_RM, FROM_8 | SIGN, NULL}, /* MOVSX */
	[0xbf] = {INSN_MOV, FORM_REG_RM, FROM_16 | SIGN, NULL},
	[0xc0] = {INSN_XADD, FORM_RM_REG, BYTE | LOCK, NULL},
	[0xc1] = {INSN_XADD, FORM_RM_REG, LOCK, NULL},
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
	uint8_t opcode;
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
	struct insn *insn = decoder->insn;

	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		/* ES, CS, SS, DS: without effect in 64-bit mode. */
		if (insn->code_size != 8) {
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
		insn->lock = true;
		return true;
	case 0xf2:
	case 0xf3:
		/* The last one counts. */
		insn->repeat_not_equal = byte == 0xf2;
		insn->repeat = byte == 0xf3;
		return true;
	default:
		return false;
	}
}

/* Prefixes and opcode. After an error bytes are 0: no prefix, so it ends. */
static const struct opcode *decode_opcode(struct decoder *decoder)
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
			decoder->opcode = (uint8_t)decoder_take(decoder, 1);
			return &two_byte[decoder->opcode];
		} else {
			decoder->opcode = byte;
			return &one_byte[byte];
		}
	}
}

static uint8_t rex_extend(const struct decoder *decoder, uint64_t bit, unsigned reg)
{
	return (uint8_t)(reg + ((decoder->rex & bit) != 0 ? 8 : 0));
}

/* SDM 2, table 2-1. */
static void decode_memory_16(struct decoder *decoder)
{
	static const struct {
		uint8_t base, index;
		bool has_index;
	} forms[8] = {
		{GPR_RBX, GPR_RSI, true}, {GPR_RBX, GPR_RDI, true}, {GPR_RBP, GPR_RSI, true},
		{GPR_RBP, GPR_RDI, true}, {GPR_RSI, 0, false},	    {GPR_RDI, 0, false},
		{GPR_RBP, 0, false},	  {GPR_RBX, 0, false},
	};
	struct insn_memory *memory = &decoder->insn->memory;
	unsigned rm = decoder->rm;

	memory->has_base = decoder->mod != 0 || rm != 6;
	memory->base = forms[rm].base;
	memory->has_index = forms[rm].has_index;
	memory->index = forms[rm].index;
	memory->scale = 1;
	if (decoder->mod == 1) {
		memory->displacement = decoder_take(decoder, 1);
	} else if (decoder->mod == 2 || !memory->has_base) {
		memory->displacement = decoder_take(decoder, 2);
	}
}

/* SDM 2, tables 2-2 and 2-3. */
static void decode_memory_32(struct decoder *decoder)
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
	if (decoder->mod == 1) {
		memory->displacement = decoder_take(decoder, 1);
	} else if (decoder->mod == 2 || !memory->has_base) {
		memory->displacement = decoder_take(decoder, 4);
	}
}

static void decode_modrm(struct decoder *decoder)
{
	uint8_t modrm = (uint8_t)decoder_take(decoder, 1);

	decoder->mod = modrm >> 6;
	decoder->reg = modrm >> 3 & 7;
	decoder->rm = modrm & 7;
}

static void decode_memory(struct decoder *decoder)
{
	struct insn_memory *memory = &decoder->insn->memory;

	if (decoder->insn->address_size == 2) {
		decode_memory_16(decoder);
	} else {
		decode_memory_32(decoder);
	}
	/* What is based on the stack lies in SS. */
	memory->segment = memory->has_base && (memory->base == GPR_RSP || memory->base == GPR_RBP)
				  ? SEG_SS
				  : SEG_DS;
}

static void decode_sizes(struct decoder *decoder, unsigned flags)
{
	struct insn *insn = decoder->insn;
	bool wide = (decoder->rex & REX_W) != 0;
	/* The prefixes choose the other size; the default of 64-bit code is 32. */
	unsigned size = (insn->code_size == 2) != decoder->operand_prefix ? 2 : 4;

	insn->address_size = insn->code_size;
	if (decoder->address_prefix) {
		insn->address_size = insn->code_size == 4 ? 2 : 4;
	}
	if ((flags & STACK) != 0 && insn->code_size == 8) {
		wide = wide || !decoder->operand_prefix;
	}
	if (wide && (flags & NO_64) == 0) {
		size = 8;
	} else if (wide) {
		size = 4;
	}
	insn->operand_size = (uint8_t)((flags & BYTE) != 0 ? 1 : size);
	insn->memory_size = insn->operand_size;
	if ((flags & (FROM_8 | FROM_16)) != 0) {
		insn->memory_size = (flags & FROM_8) != 0 ? 1 : 2;
	} else if ((flags & SIGN) != 0) {
		insn->memory_size = (uint8_t)MIN(size, 4); /* MOVSXD */
	}
	insn->sign_extend = (flags & SIGN) != 0;
}

static struct insn_operand operand_register(const struct decoder *decoder, uint8_t reg)
{
	/* Without REX, byte registers 4 to 7 are AH, CH, DH, BH. */
	bool high = decoder->insn->operand_size == 1 && !decoder->has_rex && reg >= 4;

	return (struct insn_operand){.kind = OPERAND_REGISTER,
				     .reg = (uint8_t)(high ? reg - 4 : reg),
				     .high_byte = high};
}

static struct insn_operand operand_immediate(struct decoder *decoder, unsigned size)
{
	return (struct insn_operand){.kind = OPERAND_IMMEDIATE,
				     .immediate = (uint64_t)decoder_take(decoder, size)};
}

static void decode_operands(struct decoder *decoder, unsigned form)
{
	const struct insn_operand memory = {.kind = OPERAND_MEMORY};
	struct insn *insn = decoder->insn;
	unsigned immediate_size = MIN(insn->operand_size, 4);

	switch (form) {
	case FORM_RM:
		insn->destination = memory;
		break;
	case FORM_RM_REG:
		insn->destination = memory;
		insn->source = operand_register(decoder, rex_extend(decoder, REX_R, decoder->reg));
		break;
	case FORM_REG_RM:
		insn->destination =
			operand_register(decoder, rex_extend(decoder, REX_R, decoder->reg));
		insn->source = memory;
		break;
	case FORM_RM_IMMEDIATE:
		insn->destination = memory;
		insn->source = operand_immediate(decoder, immediate_size);
		break;
	case FORM_RM_IMMEDIATE_8:
		insn->destination = memory;
		insn->source = operand_immediate(decoder, 1);
		break;
	case FORM_ACCUMULATOR_OFFSET:
	case FORM_OFFSET_ACCUMULATOR:
		insn->memory.displacement = decoder_take(decoder, insn->address_size);
		insn->memory.segment = SEG_DS;
		insn->destination = operand_register(decoder, GPR_RAX);
		insn->source = memory;
		if (form == FORM_OFFSET_ACCUMULATOR) {
			insn->source = insn->destination;
			insn->destination = memory;
		}
		break;
	case FORM_REG:
		insn->destination =
			operand_register(decoder, rex_extend(decoder, REX_B, decoder->opcode & 7));
		break;
	case FORM_IMMEDIATE:
		insn->destination = operand_immediate(decoder, immediate_size);
		break;
	case FORM_IMMEDIATE_8:
		insn->destination = operand_immediate(decoder, 1);
		break;
	default: /* FORM_STRING */
		insn->memory.segment = SEG_DS;
		break;
	}
	/* PUSH has a source and no destination. */
	if (insn->op == INSN_PUSH) {
		insn->source = insn->destination;
		insn->destination = (struct insn_operand){.kind = OPERAND_NONE};
	}
}

int insn_decode(const uint8_t *bytes, size_t size, unsigned code_size, struct insn *insn)
{
	struct decoder decoder = {.bytes = bytes, .size = size, .segment = SEG_COUNT, .insn = insn};
	const struct opcode *opcode;
	unsigned form, flags;

	*insn = (struct insn){.code_size = (uint8_t)code_size};
	opcode = decode_opcode(&decoder);
	form = opcode->form;
	flags = opcode->flags;
	if (form != FORM_UNKNOWN && form <= FORM_MODRM_LAST) {
		decode_modrm(&decoder);
	}
	if (opcode->group != NULL) {
		/* A member that is all 0 does not exist. */
		opcode = &opcode->group[decoder.reg];
		form = opcode->form != 0 || opcode->op == 0 ? opcode->form : form;
		flags |= opcode->flags;
	}
	if (decoder.error != 0) {
		return decoder.error;
	}
	/* SIGN alone is opcode 63: MOVSXD, in 64-bit mode only. */
	if ((form == FORM_UNKNOWN || (form <= FORM_MODRM_LAST && decoder.mod == 3) ||
	     (flags == SIGN && code_size != 8) || (insn->lock && (flags & LOCK) == 0))) {
		return -EINVAL;
	}
	insn->op = opcode->op;
	decode_sizes(&decoder, flags);
	if (form <= FORM_MODRM_LAST) {
		decode_memory(&decoder);
	}
	decode_operands(&decoder, form);
	if (insn->lock && insn->destination.kind != OPERAND_MEMORY) {
		return -EINVAL;
	}
	if (decoder.segment != SEG_COUNT) {
		insn->memory.segment = decoder.segment;
	}
	if (form != FORM_STRING) {
		insn->repeat = false;
		insn->repeat_not_equal = false;
	}
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
