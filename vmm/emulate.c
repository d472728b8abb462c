/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instruction emulator: places (operands in memory), arithmetic, the
 * instructions, strings. See emulate.h.
 */
#include "vmm/emulate.h"

#include <errno.h>
#include <string.h>

#include "vmm/walk.h"

#define VECTOR_GP 13
#define VECTOR_PF 14

#define RFLAGS_CF BIT(0)
#define RFLAGS_PF BIT(2)
#define RFLAGS_AF BIT(4)
#define RFLAGS_ZF BIT(6)
#define RFLAGS_SF BIT(7)
#define RFLAGS_DF BIT(10)
#define RFLAGS_OF BIT(11)
#define RFLAGS_STATUS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static enum emulate_action execute(struct emulate *emulate, const struct insn *insn);
static enum emulate_action execute_string(struct emulate *emulate, const struct insn *insn);

/* Getting RSP may cost time, and few instructions on devices need it. */
static bool insn_uses_rsp(const struct insn *insn)
{
	return (insn->memory.has_base && insn->memory.base == GPR_RSP) ||
	       (insn->operand.kind == OPERAND_REGISTER && insn->operand.reg == GPR_RSP);
}

enum emulate_action emulate_insn(struct emulate *emulate)
{
	uint64_t rflags = emulate->mode.rflags;
	enum emulate_action action;
	uint64_t rsp = 0;
	struct insn insn;
	bool uses_rsp;

	emulate->byte_count =
		(uint8_t)walk_read_code(emulate->memory, &emulate->mode, emulate->bytes);
	if (insn_decode(emulate->bytes, emulate->byte_count, emulate->mode.code_size, &insn) != 0) {
		return EMULATE_UNKNOWN;
	}
	emulate->length = insn.length;
	uses_rsp = insn_uses_rsp(&insn);
	if (uses_rsp) {
		rsp = emulate->host->get_rsp(emulate->context);
		emulate->gpr[GPR_RSP] = rsp;
	}
	action = insn_is_string(&insn) ? execute_string(emulate, &insn) : execute(emulate, &insn);
	if (uses_rsp && emulate->gpr[GPR_RSP] != rsp) {
		emulate->host->set_rsp(emulate->context, emulate->gpr[GPR_RSP]);
	}
	if (emulate->mode.rflags != rflags) {
		emulate->host->set_rflags(emulate->context, emulate->mode.rflags);
	}
	return action;
}

/* ---- Places: operands in memory ------------------------------------------ */

/* Bytes at one or, over the end of a page, two guest-physical addresses. */
struct place {
	struct {
		gpa_t gpa;
		unsigned size;
	} parts[2];
};

/* One address of a place; false, with the fault noted, when there is none. */
static bool translate(struct emulate *emulate, uint64_t linear, bool write, gpa_t *gpa)
{
	int result;

	if (emulate->has_access && emulate->access_is_write == write &&
	    align_down(linear, PAGE_SIZE) == align_down(emulate->access_linear, PAGE_SIZE)) {
		*gpa = GPA(align_down(emulate->access_gpa.v, PAGE_SIZE) + linear % PAGE_SIZE);
		return true;
	}
	result = walk_translate(emulate->memory, &emulate->mode, linear, write ? WALK_WRITE : 0,
				gpa, &emulate->error);
	/* No #SS: the CPU has looked at operands on the stack before it left the guest. */
	emulate->vector = result == -EINVAL ? VECTOR_GP : VECTOR_PF;
	emulate->cr2 = linear;
	return result == 0;
}

/* With `write` the place may be read too: who writes may read. */
static bool place_find(struct emulate *emulate, const struct insn *insn, uint64_t linear,
		       bool write, struct place *place)
{
	uint64_t in_page = PAGE_SIZE - linear % PAGE_SIZE;
	unsigned size = insn->memory_size;

	place->parts[0].size = (unsigned)MIN(size, in_page);
	place->parts[1].size = size - place->parts[0].size;
	return translate(emulate, linear, write, &place->parts[0].gpa) &&
	       (size <= in_page || translate(emulate, insn_wrap_linear(insn, linear + in_page),
					     write, &place->parts[1].gpa));
}

/* Bytes in one page. A device sees the sizes of its own; others come byte by byte. */
static void part_access(struct emulate *emulate, gpa_t gpa, unsigned size, bool write,
			uint8_t *bytes)
{
	unsigned step = is_aligned(size, 4) || size == 2 ? size : 1;
	int result = write ? memory_write(emulate->memory, gpa, bytes, size)
			   : memory_read(emulate->memory, gpa, bytes, size);

	for (unsigned i = 0; result != 0 && i < size; i += step) {
		gpa_t at = GPA(gpa.v + i);
		uint64_t value = 0;

		if (write) {
			memcpy(&value, bytes + i, step);
			emulate->host->mmio_write(emulate->context, at, step, value);
		} else {
			value = emulate->host->mmio_read(emulate->context, at, step);
			memcpy(bytes + i, &value, step);
		}
	}
}

static void place_access(struct emulate *emulate, const struct place *place, bool write,
			 uint64_t *value)
{
	uint8_t *bytes = (uint8_t *)value;

	part_access(emulate, place->parts[0].gpa, place->parts[0].size, write, bytes);
	if (place->parts[1].size != 0) {
		part_access(emulate, place->parts[1].gpa, place->parts[1].size, write,
			    bytes + place->parts[0].size);
	}
}

static uint64_t place_read(struct emulate *emulate, const struct place *place)
{
	uint64_t value = 0;

	place_access(emulate, place, false, &value);
	return value;
}

static void place_write(struct emulate *emulate, const struct place *place, uint64_t value)
{
	place_access(emulate, place, true, &value);
}

/* In 64-bit mode only FS and GS have one: SDM 1, 3.4.2.1. */
static uint64_t segment_base(struct emulate *emulate, unsigned segment)
{
	struct vcpu_segment value;

	if (emulate->mode.code_size == 8 && segment != SEG_FS && segment != SEG_GS) {
		return 0;
	}
	emulate->host->get_segment(emulate->context, segment, &value);
	return value.base;
}

/* ---- Registers and immediates ------------------------------------------------ */

static const struct insn_operand accumulator = {.kind = OPERAND_REGISTER, .reg = GPR_RAX};

static uint64_t truncate(uint64_t value, unsigned size)
{
	return value & BITS(8 * size - 1, 0);
}

static uint64_t operand_get(const struct emulate *emulate, const struct insn *insn,
			    const struct insn_operand *operand)
{
	uint64_t value = operand->immediate;

	if (operand->kind == OPERAND_REGISTER) {
		value = emulate->gpr[operand->reg] >> (operand->high_byte ? 8 : 0);
	}
	return truncate(value, insn->operand_size);
}

static void operand_set(struct emulate *emulate, const struct insn *insn,
			const struct insn_operand *operand, uint64_t value)
{
	uint64_t *gpr = &emulate->gpr[operand->reg];

	if (operand->high_byte) {
		*gpr = (*gpr & ~BITS(15, 8)) | field_set(BITS(15, 8), value);
	} else {
		*gpr = gpr_merge(*gpr, value, insn->operand_size);
	}
}

/* ---- Arithmetic -------------------------------------------------------------- */

/* The flags of a result, and of what each of its bits carried out or borrowed. */
static uint64_t set_flags(struct emulate *emulate, uint64_t result, uint64_t carries, unsigned size)
{
	uint64_t top = BIT(8 * size - 1), flags = 0;

	result = truncate(result, size);
	flags |= (carries & top) != 0 ? RFLAGS_CF : 0;
	flags |= __builtin_parity((unsigned)(result & 0xff)) ? 0 : RFLAGS_PF;
	flags |= (carries & BIT(3)) != 0 ? RFLAGS_AF : 0;
	flags |= result == 0 ? RFLAGS_ZF : 0;
	flags |= (result & top) != 0 ? RFLAGS_SF : 0;
	/* The carry into the top bit is not that out of it. */
	flags |= ((carries ^ carries << 1) & top) != 0 ? RFLAGS_OF : 0;
	emulate->mode.rflags = (emulate->mode.rflags & ~RFLAGS_STATUS) | flags;
	return result;
}

/* a + b + carry, or a - b - carry, which is ~(~a + b + carry) with the same carries. */
static uint64_t add(struct emulate *emulate, bool subtract, uint64_t a, uint64_t b, uint64_t carry,
		    unsigned size)
{
	uint64_t invert = subtract ? UINT64_MAX : 0;
	uint64_t sum = (a ^ invert) + b + carry;
	uint64_t carries = ((a ^ invert) & b) | (((a ^ invert) | b) & ~sum);

	return set_flags(emulate, sum ^ invert, carries, size);
}

/* INC and DEC leave the carry alone. */
static uint64_t add_one(struct emulate *emulate, bool subtract, uint64_t a, unsigned size)
{
	uint64_t carry = emulate->mode.rflags & RFLAGS_CF;
	uint64_t result = add(emulate, subtract, a, 1, 0, size);

	emulate->mode.rflags = (emulate->mode.rflags & ~RFLAGS_CF) | carry;
	return result;
}

/* BT and its family: the bit into CF, and the value with it changed. */
static uint64_t change_bit(struct emulate *emulate, enum insn_op op, uint64_t value, uint64_t bit)
{
	emulate->mode.rflags = (emulate->mode.rflags & ~RFLAGS_CF) | (value >> bit & 1);
	switch (op) {
	case INSN_BTS:
		return value | BIT(bit);
	case INSN_BTR:
		return value & ~BIT(bit);
	case INSN_BTC:
		return value ^ BIT(bit);
	default:
		return value;
	}
}

/* What the destination becomes; `a` is its old value, `b` that of the source. */
static uint64_t compute(struct emulate *emulate, enum insn_op op, uint64_t a, uint64_t b,
			unsigned size)
{
	uint64_t carry = emulate->mode.rflags & RFLAGS_CF;

	switch (op) {
	case INSN_ADD:
	case INSN_ADC:
		return add(emulate, false, a, b, op == INSN_ADC ? carry : 0, size);
	case INSN_SUB:
	case INSN_SBB:
	case INSN_CMP:
		return add(emulate, true, a, b, op == INSN_SBB ? carry : 0, size);
	case INSN_NEG:
		return add(emulate, true, 0, a, 0, size);
	case INSN_INC:
	case INSN_DEC:
		return add_one(emulate, op == INSN_DEC, a, size);
	case INSN_OR:
		return set_flags(emulate, a | b, 0, size);
	case INSN_AND:
	case INSN_TEST:
		return set_flags(emulate, a & b, 0, size);
	case INSN_XOR:
		return set_flags(emulate, a ^ b, 0, size);
	case INSN_NOT:
		return ~a;
	case INSN_BT:
	case INSN_BTS:
	case INSN_BTR:
	case INSN_BTC:
		return change_bit(emulate, op, a, b % (8 * size));
	default: /* MOV, XCHG */
		return b;
	}
}

/* ---- Instructions -------------------------------------------------------------- */

/* The destination is always written, with its old value when they differ. */
static void compare_exchange(struct emulate *emulate, const struct insn *insn,
			     const struct place *place, uint64_t old, uint64_t new)
{
	uint64_t expected = operand_get(emulate, insn, &accumulator);

	compute(emulate, INSN_CMP, expected, old, insn->operand_size);
	if (expected == old) {
		place_write(emulate, place, new);
	} else {
		place_write(emulate, place, old);
		operand_set(emulate, insn, &accumulator, old);
	}
}

static uint64_t extend(const struct insn *insn, uint64_t value)
{
	unsigned shift = 64 - 8 * insn->memory_size;

	return insn->sign_extend ? (uint64_t)((int64_t)(value << shift) >> shift) : value;
}

static enum emulate_action execute(struct emulate *emulate, const struct insn *insn)
{
	uint64_t linear = insn_linear_address(insn, emulate->gpr, emulate->mode.rip,
					      segment_base(emulate, insn->memory.segment));
	bool writes = insn->op != INSN_CMP && insn->op != INSN_TEST && insn->op != INSN_BT;
	uint64_t operand = operand_get(emulate, insn, &insn->operand);
	uint64_t memory = 0, result;
	struct place place;

	/* A register as bit offset reaches beyond the memory operand: SDM 2, BT. */
	if (insn->op >= INSN_BT && insn->op <= INSN_BTC && insn->operand.kind == OPERAND_REGISTER &&
	    operand >= 8 * insn->operand_size) {
		return EMULATE_UNKNOWN;
	}
	if (!place_find(emulate, insn, linear, insn->to_memory && writes, &place)) {
		return EMULATE_FAULT;
	}
	if (insn->op != INSN_MOV || !insn->to_memory) {
		memory = extend(insn, place_read(emulate, &place));
	}
	if (insn->op == INSN_CMPXCHG) {
		compare_exchange(emulate, insn, &place, memory, operand);
		return EMULATE_DONE;
	}
	result = compute(emulate, insn->op, insn->to_memory ? memory : operand,
			 insn->to_memory ? operand : memory, insn->operand_size);
	if (writes && insn->to_memory) {
		place_write(emulate, &place, result);
	} else if (writes) {
		operand_set(emulate, insn, &insn->operand, result);
	}
	if (insn->op == INSN_XCHG) {
		operand_set(emulate, insn, &insn->operand, memory);
	}
	return EMULATE_DONE;
}

/* ---- Strings: SDM 2, REP and each instruction ------------------------------------ */

static void string_step(struct emulate *emulate, const struct insn *insn, enum gpr reg,
			int64_t step)
{
	uint64_t *gpr = &emulate->gpr[reg];

	*gpr = gpr_merge(*gpr, *gpr + (uint64_t)step, insn->address_size);
}

/* Where rSI reads, or rDI writes, which no override moves out of ES. */
static bool string_find(struct emulate *emulate, const struct insn *insn, enum gpr reg,
			struct place *place)
{
	bool write = reg == GPR_RDI;
	uint64_t base = segment_base(emulate, write ? SEG_ES : insn->memory.segment);
	uint64_t offset = insn_wrap_address(insn, emulate->gpr[reg]);

	return place_find(emulate, insn, insn_wrap_linear(insn, base + offset), write, place);
}

/* One iteration, from memory, port or accumulator to another; false with a fault noted. */
static bool string_iterate(struct emulate *emulate, const struct insn *insn)
{
	bool from_memory = insn->op == INSN_MOVS || insn->op == INSN_LODS || insn->op == INSN_OUTS;
	bool to_memory = insn->op == INSN_MOVS || insn->op == INSN_STOS || insn->op == INSN_INS;
	bool down = (emulate->mode.rflags & RFLAGS_DF) != 0;
	int64_t step = down ? -(int64_t)insn->memory_size : insn->memory_size;
	uint16_t port = (uint16_t)emulate->gpr[GPR_RDX];
	struct place source, target;
	uint64_t value;

	if ((from_memory && !string_find(emulate, insn, GPR_RSI, &source)) ||
	    (to_memory && !string_find(emulate, insn, GPR_RDI, &target))) {
		return false;
	}
	if (from_memory) {
		value = place_read(emulate, &source);
		string_step(emulate, insn, GPR_RSI, step);
	} else if (insn->op == INSN_INS) {
		value = emulate->host->port_read(emulate->context, port, insn->memory_size);
	} else {
		value = operand_get(emulate, insn, &accumulator);
	}
	if (to_memory) {
		place_write(emulate, &target, value);
		string_step(emulate, insn, GPR_RDI, step);
	} else if (insn->op == INSN_OUTS) {
		emulate->host->port_write(emulate->context, port, insn->memory_size,
					  (uint32_t)value);
	} else {
		operand_set(emulate, insn, &accumulator, value);
	}
	return true;
}

static enum emulate_action execute_string(struct emulate *emulate, const struct insn *insn)
{
	if (!insn->repeat) {
		return string_iterate(emulate, insn) ? EMULATE_DONE : EMULATE_FAULT;
	}
	for (unsigned i = 0; i < EMULATE_REPEAT_MAX; i++) {
		if (insn_wrap_address(insn, emulate->gpr[GPR_RCX]) == 0) {
			return EMULATE_DONE;
		}
		if (!string_iterate(emulate, insn)) {
			return EMULATE_FAULT;
		}
		string_step(emulate, insn, GPR_RCX, -1);
	}
	return EMULATE_AGAIN;
}
