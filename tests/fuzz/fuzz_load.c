/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest loaders: one byte of options, then the kernel image.
 *
 * A load that succeeds leaves a state that starts in RAM; one that fails says
 * why.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/ram.h"
#include "vmm/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct load_image module = {(const uint8_t *)"module", 6, "argument"};
	static struct guest_memory *ram;
	struct load_request request = {.cmdline = "console=ttyS0", .rsdp = GPA(0xe0000)};
	char error[LOAD_ERROR_MAX] = "";
	struct vcpu_state state;
	uint8_t *image;
	int result;

	if (size < 1) {
		return 0;
	}
	if (ram == NULL) {
		ram = ram_create(4 * MIB);
	}
	if ((data[0] & 1) != 0) {
		request.initrd = module;
	}
	if ((data[0] & 2) != 0) {
		request.modules = &module;
		request.module_count = 1;
	}
	/* A copy that ends where it says, so that a read beyond is seen. */
	image = malloc(size == 1 ? 1 : size - 1);
	memcpy(image, data + 1, size - 1);
	request.kernel = (struct load_image){.data = image, .size = size - 1};
	result = load_guest(ram, &request, &state, error);
	free(image);
	if (result == 0 ? !memory_is_ram(ram, GPA(state.rip)) : strlen(error) < 20) {
		abort();
	}
	return 0;
}
