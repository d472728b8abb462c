# SPDX-License-Identifier: Apache-2.0
# The payloads: tiny multiboot kernels, one for each behaviour of the machine
# that Dyad makes, in $(O)/guests. Included by the Makefile; `make payloads`.
#
# An ELF32 container, since that is what other multiboot loaders take, around
# 64-bit code.

O ?= build
PAYLOAD_DIR := $(O)/guests
PAYLOAD_CC ?= gcc

PAYLOAD_NAMES := $(patsubst tests/guests/%.c,%,$(sort $(wildcard tests/guests/*.c)))
PAYLOAD_LIB_SOURCES := $(filter-out %/lib.c %/start.S,\
	$(sort $(wildcard tests/guests/lib/*.c tests/guests/lib/*.S)))
PAYLOAD_LIB_OBJECTS := $(patsubst tests/guests/lib/%,$(PAYLOAD_DIR)/lib/%.o,$(PAYLOAD_LIB_SOURCES))

PAYLOAD_CFLAGS := -std=gnu17 -O2 -g0 -I. -ffreestanding -fno-pic -fno-pie \
	-m64 -mcmodel=small -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-strict-aliasing -Wall -Wextra -Wshadow -Wundef -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wwrite-strings -Werror
PAYLOAD_LDFLAGS := -m elf_x86_64 -static -nostdlib --build-id=none -z noexecstack \
	-z max-page-size=4096 --no-warn-rwx-segments -T tests/guests/lib/payload.ld

PAYLOADS := $(addprefix $(PAYLOAD_DIR)/,$(PAYLOAD_NAMES))

.PHONY: payloads

# What the tests need before they start.
guests: payloads

payloads: $(PAYLOADS) $(PAYLOAD_DIR)/bad/stamp ## guest payloads in build/guests

$(PAYLOAD_DIR)/lib/%.o: tests/guests/lib/%
	@mkdir -p $(@D)
	@echo "  CC $@"
	$(PAYLOAD_CC) $(PAYLOAD_CFLAGS) -MMD -MP -c -o $@ $<

# The runner knows its payload's name, so it is compiled for each.
$(PAYLOAD_DIR)/%.main.o: tests/guests/lib/lib.c
	@mkdir -p $(@D)
	@echo "  CC $@"
	$(PAYLOAD_CC) $(PAYLOAD_CFLAGS) -DPAYLOAD_NAME='"$*"' -MMD -MP -c -o $@ $<

$(PAYLOAD_DIR)/%.o: tests/guests/%.c
	@mkdir -p $(@D)
	@echo "  CC $@"
	$(PAYLOAD_CC) $(PAYLOAD_CFLAGS) -MMD -MP -c -o $@ $<

$(PAYLOAD_DIR)/lib/lib.a: $(PAYLOAD_LIB_OBJECTS)
	@rm -f $@
	ar rcsD $@ $^

$(PAYLOADS): $(PAYLOAD_DIR)/%: $(PAYLOAD_DIR)/lib/start.S.o $(PAYLOAD_DIR)/%.o \
		$(PAYLOAD_DIR)/%.main.o $(PAYLOAD_DIR)/lib/lib.a tests/guests/lib/payload.ld
	@echo "  LD $@"
	ld $(PAYLOAD_LDFLAGS) -o $@.elf64 $(filter %.o %.a,$^)
	objcopy -O elf32-i386 $@.elf64 $@
	@rm $@.elf64

# Images whose headers lie about their sizes.
$(PAYLOAD_DIR)/bad/stamp: tests/guests/make_bad_images.py $(PAYLOAD_DIR)/exit_code
	python3 tests/guests/make_bad_images.py $(PAYLOAD_DIR)/exit_code $(@D)
	@touch $@

.SECONDARY:
-include $(wildcard $(PAYLOAD_DIR)/*.d $(PAYLOAD_DIR)/lib/*.d)
