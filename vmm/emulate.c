/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instruction emulator: places (operands in memory), arithmetic, the
 * instructions, strings. See emulate.h.
 */
#include "vmm/emulate.h"

#include <errno.h>

#include "vmm/walk.h"

#define VECTOR_SS 12
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

static bool operand_is_rsp(const struct insn_operand *operand)
{
	return operand->kind == OPERAND_REGISTER && operand->reg == GPR_RSP && !operand->high_byte;
}

/* Getting RSP may cost time, and few instructions on devices need it. */
static bool insn_uses_rsp(const struct insn *insn)
{
	return insn->op == INSN_PUSH || insn->op == INSN_POP ||
	       (insn->memory.has_base && insn->memory.base == GPR_RSP) ||
	       operand_is_rsp(&insn->destination) || operand_is_rsp(&insn->source);
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
	gpa_t gpas[2];
	unsigned size, first_size;
};

static bool access_is_known(const struct emulate *emulate, uint64_t linear, bool write)
{
	return emulate->has_access && emulate->access_is_write == write &&
	       align_down(linear, PAGE_SIZE) == align_down(emulate->access_linear, PAGE_SIZE);
}

/* One address of a place; false, with the fault noted, when there is none. */
static bool translate(struct emulate *emulate, uint64_t linear, bool write, bool is_stack,
		      gpa_t *gpa)
{
	int result;

	if (access_is_known(emulate, linear, write)) {
		*gpa = GPA(align_down(emulate->access_gpa.v, PAGE_SIZE) |
			   (linear & (PAGE_SIZE - 1)));
		return true;
	}
	result = walk_translate(emulate->memory, &emulate->mode, linear, write ? WALK_WRITE : 0,
				gpa, &emulate->error);
	if (result == 0) {
		return true;
	}
	emulate->vector = VECTOR_PF;
	emulate->cr2 = linear;
	if (result == -EINVAL) {
		emulate->vector = is_stack ? VECTOR_SS : VECTOR_GP;
	}
	return false;
}

/* With `write` the place may be read too: who writes may read. */
static bool place_find(struct emulate *emulate, const struct insn *insn, uint64_t linear,
		       unsigned size, bool write, bool is_stack, struct place *place)
{
	uint64_t in_page = PAGE_SIZE - (linear & (PAGE_SIZE - 1));

	place->size = size;
	place->first_size = (unsigned)MIN(size, in_page);
	if (!translate(emulate, linear, write, is_stack, &place->gpas[0])) {
		return false;
	}
	return place->first_size == size ||
	       translate(emulate, insn_wrap_linear(insn, linear + in_page), write, is_stack,
			 &place->gpas[1]);
}

static uint64_t truncate(uint64_t value, unsigned size)
{
	return value & BITS(8 * size - 1, 0);
}

/* A device sees the sizes of its own; what is of another comes byte by byte. */
static unsigned device_step(unsigned size)
{
	return (size & (size - 1)) == 0 ? size : 1;
}

static uint64_t part_read(struct emulate *emulate, gpa_t gpa, unsigned size)
{
	unsigned step = device_step(size);
	uint64_t value = 0;

	if (memory_read(emulate->memory, gpa, &value, size) == 0) {
		return value;
	}
	for (unsigned i = 0; i < size; i += step) {
		uint64_t part = emulate->host->mmio_read(emulate->context, GPA(gpa.v + i), step);

		value |= truncate(part, step) << (8 * i);
	}
	return value;
}

static void part_write(struct emulate *emulate, gpa_t gpa, unsigned size, uint64_t value)
{
	unsigned step = device_step(size);

	if (memory_write(emulate->memory, gpa, &value, size) == 0) {
		return;
	}
	for (unsigned i = 0; i < size; i += step) {
		emulate->host->mmio_write(emulate->context, GPA(gpa.v + i), step,
					  truncate(value >> (8 * i), step));
	}
}

static uint64_t place_read(struct emulate *emulate, const struct place *place)
{
	unsigned rest = place->size - place->first_size;
	uint64_t value = part_read(emulate, place->gpas[0], place->first_size);

	if (rest != 0) {
		value |= part_read(emulate, place->gpas[1], rest) << (8 * place->first_size);
	}
	return value;
}

static void place_write(struct emulate *emulate, const struct place *place, uint64_t value)
{
	unsigned rest = place->size - place->first_size;

	part_write(emulate, place->gpas[0], place->first_size, truncate(value, place->first_size));
	if (rest != 0) {
		part_write(emulate, place->gpas[1], rest,
			   truncate(value >> (8 * place->first_size), rest));
	}
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

/* ---- Registers -------------------------------------------------------------- */

/* 32-bit results clear the upper half, smaller ones keep the rest: SDM 1, 3.4.1.1. */
static uint64_t merge(uint64_t old, uint64_t value, unsigned size)
{
	uint64_t mask = BITS(8 * size - 1, 0);

	return size == 4 ? (uint32_t)value : (old & ~mask) | (value & mask);
}

static uint64_t operand_get(const struct emulate *emulate, const struct insn *insn,
			    const struct insn_operand *operand)
{
	if (operand->kind == OPERAND_IMMEDIATE) {
		return truncate(operand->immediate, insn->operand_size);
	}
	return truncate(emulate->gpr[operand->reg] >> (operand->high_byte ? 8 : 0),
			insn->operand_size);
}

static void operand_set(struct emulate *emulate, const struct insn *insn,
			const struct insn_operand *operand, uint64_t value)
{
	uint64_t *gpr = &emulate->gpr[operand->reg];

	if (operand->high_byte) {
		*gpr = (*gpr & ~BITS(15, 8)) | field_set(BITS(15, 8), value);
	} else {
		*gpr = merge(*gpr, value, insn->operand_size);
	}
}

/* ---- Arithmetic -------------------------------------------------------------- */

static void set_flags(struct emulate *emulate, uint64_t mask, uint64_t flags)
{
	emulate->mode.rflags = (emulate->mode.rflags & ~mask) | (flags & mask);
}

/* ZF, SF and PF of a result. */
static uint64_t result_flags(uint64_t result, unsigned size)
{
	uint64_t flags = 0;

	if (result == 0) {
		flags |= RFLAGS_ZF;
	}
	if ((result >> (8 * size - 1) & 1) != 0) {
		flags |= RFLAGS_SF;
	}
	if (!__builtin_parity((unsigned)(result & 0xff))) {
		flags |= RFLAGS_PF;
	}
	return flags;
}

/* Flags of a sum or difference from what each bit carried out (or borrowed). */
static uint64_t carry_flags(uint64_t carries, uint64_t overflow, unsigned size)
{
	unsigned top = 8 * size - 1;

	return ((carries >> top & 1) != 0 ? RFLAGS_CF : 0) |
	       ((overflow >> top & 1) != 0 ? RFLAGS_OF : 0) |
	       ((carries >> 3 & 1) != 0 ? RFLAGS_AF : 0);
}

static uint64_t add(struct emulate *emulate, uint64_t a, uint64_t b, uint64_t carry, unsigned size)
{
	uint64_t result = truncate(a + b + carry, size);

	set_flags(emulate, RFLAGS_STATUS,
		  result_flags(result, size) | carry_flags((a & b) | ((a | b) & ~result),
							   (a ^ result) & (b ^ result), size));
	return result;
}

static uint64_t subtract(struct emulate *emulate, uint64_t a, uint64_t b, uint64_t borrow,
			 unsigned size)
{
	uint64_t result = truncate(a - b - borrow, size);

	set_flags(emulate, RFLAGS_STATUS,
		  result_flags(result, size) | carry_flags((~a & b) | ((~a | b) & result),
							   (a ^ b) & (a ^ result), size));
	return result;
}

/* AND, OR, XOR, TEST: no carry, no overflow. */
static uint64_t logic(struct emulate *emulate, uint64_t result, unsigned size)
{
	set_flags(emulate, RFLAGS_STATUS, result_flags(result, size));
	return result;
}

/* INC and DEC leave the carry alone. */
static uint64_t keep_carry(struct emulate *emulate, uint64_t carry, uint64_t result)
{
	set_flags(emulate, RFLAGS_CF, carry);
	return result;
}

/* BT and its family: the bit into CF, and the value with it changed. */
static uint64_t change_bit(struct emulate *emulate, enum insn_op op, uint64_t value, uint64_t bit)
{
	set_flags(emulate, RFLAGS_CF, (value >> bit & 1) != 0 ? RFLAGS_CF : 0);
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
static uint64_t compute(struct emulate *emulate, const struct insn *insn, uint64_t a, uint64_t b)
{
	unsigned size = insn->operand_size;
	uint64_t carry = emulate->mode.rflags & RFLAGS_CF;

	switch (insn->op) {
	case INSN_ADD:
	case INSN_XADD:
		return add(emulate, a, b, 0, size);
	case INSN_ADC:
		return add(emulate, a, b, carry, size);
	case INSN_SUB:
	case INSN_CMP:
		return subtract(emulate, a, b, 0, size);
	case INSN_SBB:
		return subtract(emulate, a, b, carry, size);
	case INSN_OR:
		return logic(emulate, a | b, size);
	case INSN_AND:
	case INSN_TEST:
		return logic(emulate, a & b, size);
	case INSN_XOR:
		return logic(emulate, a ^ b, size);
	case INSN_INC:
		return keep_carry(emulate, carry, add(emulate, a, 1, 0, size));
	case INSN_DEC:
		return keep_carry(emulate, carry, subtract(emulate, a, 1, 0, size));
	case INSN_NOT:
		return truncate(~a, size);
	case INSN_NEG:
		return subtract(emulate, 0, a, 0, size);
	case INSN_BT:
	case INSN_BTS:
	case INSN_BTR:
	case INSN_BTC:
		return change_bit(emulate, insn->op, a, b & (8 * size - 1));
	default: /* MOV, XCHG */
		return b;
	}
}

/* ---- Instructions -------------------------------------------------------------- */

static uint64_t memory_linear(struct emulate *emulate, const struct insn *insn)
{
	return insn_linear_address(insn, emulate->gpr, emulate->mode.rip,
				   segment_base(emulate, insn->memory.segment));
}

static bool writes_destination(enum insn_op op)
{
	return op != INSN_CMP && op != INSN_TEST && op != INSN_BT;
}

/* A bit offset in a register reaches beyond the operand: SDM 2, BT. */
static uint64_t bit_string_linear(struct emulate *emulate, const struct insn *insn)
{
	struct insn moved = *insn;
	unsigned shift = 64 - 8 * insn->operand_size;
	int64_t bit = (int64_t)(operand_get(emulate, insn, &insn->source) << shift) >> shift;

	/* In whole operands, rounded down. */
	moved.memory.displacement += (bit & -(8 * (int64_t)insn->operand_size)) / 8;
	return memory_linear(emulate, &moved);
}

/* Memory into a register, or one compared with the other. */
static enum emulate_action execute_load(struct emulate *emulate, const struct insn *insn)
{
	const struct insn_operand *destination = &insn->destination;
	bool is_stack = insn->memory.segment == SEG_SS;
	uint64_t value, result;
	struct place place;

	if (!place_find(emulate, insn, memory_linear(emulate, insn), insn->memory_size, false,
			is_stack, &place)) {
		return EMULATE_FAULT;
	}
	value = place_read(emulate, &place);
	if (insn->sign_extend) {
		unsigned shift = 64 - 8 * insn->memory_size;

		value = (uint64_t)((int64_t)(value << shift) >> shift);
	}
	if (insn->op == INSN_MOV) {
		operand_set(emulate, insn, destination, value);
		return EMULATE_DONE;
	}
	result = compute(emulate, insn, operand_get(emulate, insn, destination), value);
	if (writes_destination(insn->op)) {
		operand_set(emulate, insn, destination, result);
	}
	return EMULATE_DONE;
}

/* The destination is always written, with its old value when they differ. */
static void compare_exchange(struct emulate *emulate, const struct insn *insn,
			     const struct place *place, uint64_t old)
{
	const struct insn_operand accumulator = {.kind = OPERAND_REGISTER, .reg = GPR_RAX};
	uint64_t expected = operand_get(emulate, insn, &accumulator);

	subtract(emulate, expected, old, 0, insn->operand_size);
	if (expected == old) {
		place_write(emulate, place, operand_get(emulate, insn, &insn->source));
	} else {
		place_write(emulate, place, old);
		operand_set(emulate, insn, &accumulator, old);
	}
}

/* The destination is in memory. */
static enum emulate_action execute_store(struct emulate *emulate, const struct insn *insn)
{
	bool is_bit_string = insn->op >= INSN_BT && insn->op <= INSN_BTC &&
			     insn->source.kind == OPERAND_REGISTER;
	bool is_stack = insn->memory.segment == SEG_SS;
	uint64_t old, source, result;
	struct place place;

	if (!place_find(emulate, insn,
			is_bit_string ? bit_string_linear(emulate, insn)
				      : memory_linear(emulate, insn),
			insn->memory_size, writes_destination(insn->op), is_stack, &place)) {
		return EMULATE_FAULT;
	}
	source = operand_get(emulate, insn, &insn->source);
	if (insn->op == INSN_MOV) {
		place_write(emulate, &place, source);
		return EMULATE_DONE;
	}
	old = place_read(emulate, &place);
	if (insn->op == INSN_CMPXCHG) {
		compare_exchange(emulate, insn, &place, old);
		return EMULATE_DONE;
	}
	result = compute(emulate, insn, old, source);
	if (writes_destination(insn->op)) {
		place_write(emulate, &place, result);
	}
	if (insn->op == INSN_XCHG || insn->op == INSN_XADD) {
		operand_set(emulate, insn, &insn->source, old);
	}
	return EMULATE_DONE;
}

/* The top of the stack, `offset` from RSP; with the width of addresses in SS. */
static bool stack_find(struct emulate *emulate, const struct insn *insn, int64_t offset, bool write,
		       unsigned *width, struct place *place)
{
	struct vcpu_segment stack = {.base = 0};
	uint64_t address;

	*width = 8;
	if (emulate->mode.code_size != 8) {
		emulate->host->get_segment(emulate->context, SEG_SS, &stack);
		*width = (stack.attributes & SEG_ATTR_DB) != 0 ? 4 : 2;
	}
	address = truncate(emulate->gpr[GPR_RSP] + (uint64_t)offset, *width);
	return place_find(emulate, insn, insn_wrap_linear(insn, stack.base + address),
			  insn->operand_size, write, true, place);
}

static void stack_move(struct emulate *emulate, int64_t offset, unsigned width)
{
	uint64_t rsp = emulate->gpr[GPR_RSP];

	/* A 32-bit stack pointer leaves no upper half to keep. */
	emulate->gpr[GPR_RSP] = merge(rsp, rsp + (uint64_t)offset, width);
}

static enum emulate_action execute_push(struct emulate *emulate, const struct insn *insn)
{
	int64_t offset = -(int64_t)insn->operand_size;
	struct place source, top;
	unsigned width;
	uint64_t value;

	if (insn->source.kind == OPERAND_MEMORY &&
	    !place_find(emulate, insn, memory_linear(emulate, insn), insn->memory_size, false,
			insn->memory.segment == SEG_SS, &source)) {
		return EMULATE_FAULT;
	}
	if (!stack_find(emulate, insn, offset, true, &width, &top)) {
		return EMULATE_FAULT;
	}
	value = insn->source.kind == OPERAND_MEMORY ? place_read(emulate, &source)
						    : operand_get(emulate, insn, &insn->source);
	place_write(emulate, &top, value);
	stack_move(emulate, offset, width);
	return EMULATE_DONE;
}

static enum emulate_action execute_pop(struct emulate *emulate, const struct insn *insn)
{
	uint64_t rsp = emulate->gpr[GPR_RSP];
	struct place target, top;
	unsigned width;

	if (!stack_find(emulate, insn, 0, false, &width, &top)) {
		return EMULATE_FAULT;
	}
	/* The address of the target is that after the pop: SDM 2, POP. */
	stack_move(emulate, insn->operand_size, width);
	if (insn->destination.kind == OPERAND_MEMORY &&
	    !place_find(emulate, insn, memory_linear(emulate, insn), insn->memory_size, true,
			insn->memory.segment == SEG_SS, &target)) {
		emulate->gpr[GPR_RSP] = rsp;
		return EMULATE_FAULT;
	}
	if (insn->destination.kind == OPERAND_MEMORY) {
		place_write(emulate, &target, place_read(emulate, &top));
	} else {
		operand_set(emulate, insn, &insn->destination, place_read(emulate, &top));
	}
	return EMULATE_DONE;
}

static enum emulate_action execute(struct emulate *emulate, const struct insn *insn)
{
	if (insn->op == INSN_PUSH) {
		return execute_push(emulate, insn);
	}
	if (insn->op == INSN_POP) {
		return execute_pop(emulate, insn);
	}
	if (insn->destination.kind == OPERAND_MEMORY) {
		return execute_store(emulate, insn);
	}
	return execute_load(emulate, insn);
}

/* ---- Strings: SDM 2, REP and each instruction ------------------------------------ */

#define STRING_SOURCE BIT(0) /* reads at rSI */
#define STRING_TARGET_READ BIT(1) /* reads at rDI */
#define STRING_TARGET_WRITE BIT(2) /* writes at rDI */
#define STRING_COMPARE BIT(3) /* ends by ZF too */

static unsigned string_kind(enum insn_op op)
{
	switch (op) {
	case INSN_MOVS:
		return STRING_SOURCE | STRING_TARGET_WRITE;
	case INSN_CMPS:
		return STRING_SOURCE | STRING_TARGET_READ | STRING_COMPARE;
	case INSN_SCAS:
		return STRING_TARGET_READ | STRING_COMPARE;
	case INSN_STOS:
	case INSN_INS:
		return STRING_TARGET_WRITE;
	default: /* LODS, OUTS */
		return STRING_SOURCE;
	}
}

/* A string instruction in progress. */
struct string {
	const struct insn *insn;
	unsigned kind;
	uint64_t source_base, target_base;
	struct place source, target;
};

static bool string_find_places(struct emulate *emulate, struct string *string)
{
	const struct insn *insn = string->insn;
	const uint64_t *gpr = emulate->gpr;
	uint64_t source = string->source_base + insn_wrap_address(insn, gpr[GPR_RSI]);
	uint64_t target = string->target_base + insn_wrap_address(insn, gpr[GPR_RDI]);

	if ((string->kind & STRING_SOURCE) != 0 &&
	    !place_find(emulate, insn, insn_wrap_linear(insn, source), insn->memory_size, false,
			insn->memory.segment == SEG_SS, &string->source)) {
		return false;
	}
	return (string->kind & (STRING_TARGET_READ | STRING_TARGET_WRITE)) == 0 ||
	       place_find(emulate, insn, insn_wrap_linear(insn, target), insn->memory_size,
			  (string->kind & STRING_TARGET_WRITE) != 0, false, &string->target);
}

static void string_transfer(struct emulate *emulate, const struct string *string)
{
	const struct insn_operand accumulator = {.kind = OPERAND_REGISTER, .reg = GPR_RAX};
	const struct insn *insn = string->insn;
	uint16_t port = (uint16_t)emulate->gpr[GPR_RDX];
	unsigned size = insn->operand_size;
	uint64_t value;

	switch (insn->op) {
	case INSN_MOVS:
		place_write(emulate, &string->target, place_read(emulate, &string->source));
		break;
	case INSN_CMPS:
		value = place_read(emulate, &string->source);
		subtract(emulate, value, place_read(emulate, &string->target), 0, size);
		break;
	case INSN_SCAS:
		value = operand_get(emulate, insn, &accumulator);
		subtract(emulate, value, place_read(emulate, &string->target), 0, size);
		break;
	case INSN_STOS:
		place_write(emulate, &string->target, operand_get(emulate, insn, &accumulator));
		break;
	case INSN_LODS:
		operand_set(emulate, insn, &accumulator, place_read(emulate, &string->source));
		break;
	case INSN_INS:
		value = emulate->host->port_read(emulate->context, port, size);
		place_write(emulate, &string->target, value);
		break;
	default: /* INSN_OUTS */
		value = place_read(emulate, &string->source);
		emulate->host->port_write(emulate->context, port, size, (uint32_t)value);
		break;
	}
}

static void string_step(struct emulate *emulate, const struct string *string, enum gpr reg,
			int64_t step)
{
	uint64_t *gpr = &emulate->gpr[reg];

	*gpr = merge(*gpr, *gpr + (uint64_t)step, string->insn->address_size);
}

/* One iteration; false with a fault noted. */
static bool string_iterate(struct emulate *emulate, struct string *string)
{
	bool down = (emulate->mode.rflags & RFLAGS_DF) != 0;
	int64_t step = down ? -(int64_t)string->insn->memory_size : string->insn->memory_size;

	if (!string_find_places(emulate, string)) {
		return false;
	}
	string_transfer(emulate, string);
	if ((string->kind & STRING_SOURCE) != 0) {
		string_step(emulate, string, GPR_RSI, step);
	}
	if ((string->kind & (STRING_TARGET_READ | STRING_TARGET_WRITE)) != 0) {
		string_step(emulate, string, GPR_RDI, step);
	}
	return true;
}

/* REPE ends with ZF 0, REPNE with ZF 1; for all others both prefixes just repeat. */
static bool string_ends(const struct emulate *emulate, const struct string *string)
{
	bool is_equal = (emulate->mode.rflags & RFLAGS_ZF) != 0;

	return (string->kind & STRING_COMPARE) != 0 && is_equal != string->insn->repeat;
}

static enum emulate_action execute_string(struct emulate *emulate, const struct insn *insn)
{
	struct string string = {.insn = insn, .kind = string_kind(insn->op)};
	bool repeats = insn->repeat || insn->repeat_not_equal;

	string.source_base = segment_base(emulate, insn->memory.segment);
	string.target_base = segment_base(emulate, SEG_ES);
	if (!repeats) {
		return string_iterate(emulate, &string) ? EMULATE_DONE : EMULATE_FAULT;
	}
	for (unsigned i = 0; i < EMULATE_REPEAT_MAX; i++) {
		if (insn_wrap_address(insn, emulate->gpr[GPR_RCX]) == 0) {
			return EMULATE_DONE;
		}
		if (!string_iterate(emulate, &string)) {
			return EMULATE_FAULT;
		}
		string_step(emulate, &string, GPR_RCX, -1);
		if (string_ends(emulate, &string)) {
			return EMULATE_DONE;
		}
	}
	return EMULATE_AGAIN;
}
