/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instruction decoder: one byte for the mode, then the instruction.
 *
 * What is decoded must not depend on the bytes behind it, and each of its
 * beginnings must be too short.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition) {
		abort();
	}
}

/* From a copy that ends where it says, so that a read beyond is seen. */
static int decode(const uint8_t *bytes, size_t size, unsigned mode, struct insn *insn)
{
	uint8_t *exact = malloc(size == 0 ? 1 : size);
	int result;

	memcpy(exact, bytes, size);
	result = insn_decode(exact, size, mode, insn);
	free(exact);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned modes[] = {2, 4, 8};
	const uint64_t gpr[GPR_COUNT] = {[GPR_RBX] = UINT64_MAX, [GPR_RSI] = 0x1234};
	struct insn insn, again;
	unsigned mode;
	int result;

	if (size < 1) {
		return 0;
	}
	mode = modes[data[0] % ARRAY_SIZE(modes)];
	data++;
	size--;
	result = decode(data, size, mode, &insn);
	if (result != 0) {
		require(result == -EINVAL || (result == -EAGAIN && size < INSN_LENGTH_MAX));
		return 0;
	}
	require(insn.length >= 1 && insn.length <= size && insn.length <= INSN_LENGTH_MAX);
	require(insn.memory_size >= 1 && insn.memory_size <= 8);
	require(insn.memory.segment < SEG_COUNT && insn.memory.base < GPR_COUNT &&
		insn.memory.index < GPR_COUNT);
	require(decode(data, insn.length, mode, &again) == 0);
	require(memcmp(&insn, &again, sizeof(insn)) == 0);
	for (size_t part = 0; part < insn.length; part++) {
		require(decode(data, part, mode, &again) == -EAGAIN);
	}
	require(mode == 8 || insn_linear_address(&insn, gpr, 0, 0) <= UINT32_MAX);
	return 0;
}
