# SPDX-License-Identifier: Apache-2.0
# What tools/bench runs beside Dyad and the payloads: read after the Makefile, by
# make -f Makefile -f tests/bench/bench.mk bench-programs

bare_sources := tests/bench/bare.c vmm/acpi.c base/config.c $(wildcard vmm/load*.c) \
	$(addprefix boot/efi_,files.c memory.c print.c string.c)
bare_objects := $(bare_sources:%.c=$(O)/efi/%.o)

.PHONY: bench-programs
bench-programs: $(O)/dyad.efi $(O)/bench/bare.efi $(O)/bench/init $(O)/guests/bench_exit \
	$(O)/bench/net_native $(O)/bench/net_bochs.efi

$(O)/bench/bare.so: $(bare_objects)

# Dyad with its network's clocks: calls to these functions go through net_bochs.c.
net_wrapped := nic_init cpu_idle net_step stream_step connection_listen connection_set_ring \
	connection_flush connection_write connection_read ip_chksum_pseudo \
	mbedtls_gcm_crypt_and_tag mbedtls_gcm_auth_decrypt
net_objects := $(filter-out %/net/probe.o,$(hv_objects)) $(O)/hv/tests/bench/net_bochs.o

$(O)/bench/net_bochs.elf: $(net_objects) linker.ld
	mkdir -p $(@D)
	echo "  LD $@"
	$(link_hv) $(net_wrapped:%=-Wl,--wrap=%)

$(O)/bench/net_bochs.stripped.elf: $(O)/bench/net_bochs.elf
	objcopy --strip-all $< $@

$(O)/bench/net_bochs.image.o: common += -DHYPERVISOR_ELF='"$(O)/bench/net_bochs.stripped.elf"'
$(O)/bench/net_bochs.image.o: boot/efi_image.S $(O)/bench/net_bochs.stripped.elf
	$(call compile,efi)

$(O)/bench/net_bochs.so: $(filter-out %/efi_image.o,$(efi_objects)) $(O)/bench/net_bochs.image.o
$(O)/bench/bare.so $(O)/bench/net_bochs.so:
	mkdir -p $(@D)
	echo "  LD $@"
	ld -nostdlib -znocombreloc -shared -Bsymbolic --no-undefined --build-id=none \
		-z noexecstack -T /usr/lib/elf_x86_64_efi.lds /usr/lib/crt0-efi-x86_64.o $^ \
		-o $@ /usr/lib/libgnuefi.a

$(O)/bench/bare.efi $(O)/bench/net_bochs.efi: %.efi: %.so
	echo "  EFI $@"
	objcopy -j .text -j .data -j .dynamic -j .dynsym -j .rel* -j .rela* -j .reloc \
		--target=efi-app-x86_64 --subsystem=10 $< $@

# The first program of the guest: no C library, which would run before it.
$(O)/bench/init: tests/bench/init.c
	mkdir -p $(@D)
	echo "  CC $@"
	$(CC) $(warnings) -std=gnu17 -O2 -I. -ffreestanding -mgeneral-regs-only -fno-stack-protector -static \
		-nostdlib -Wl,--build-id=none,-z,noexecstack -o $@ $<

# Both ends of a stream, natively.
$(O)/bench/net_native: $(O)/bench/tests/bench/net_native.o $(O)/bench/libdyad.a
	echo "  LD $@"
	gcc -O2 $^ -o $@

-include $(shell find $(O)/efi/tests -name '*.d' 2>/dev/null)
