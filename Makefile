# SPDX-License-Identifier: Apache-2.0
#
# Dyad's build. `make help` lists what it can do.
#
#   O=DIR           where everything is built (default: build)
#   DYAD_DEPS=DIR   where tools/deps keeps what it fetched (default: .deps)
#   CC=clang        another compiler for the hypervisor and the loader
#   V=1             shows the commands
#
# One tree of objects for each way to compile the same sources:
#
#   O/hv      the hypervisor: freestanding, general registers only
#   O/efi     the UEFI loader, which carries the hypervisor inside
#   O/native  all that knows no CPU, as a library under sanitizers, for tests/unit
#   O/fuzz    the same for libFuzzer, for tests/fuzz
#   O/bench   the same as fast as it gets, for tools/bench
#
# lwIP and mbedTLS are compiled from their sources in .deps, once in each of these but
# the loader.

O := build
override DYAD_DEPS := $(abspath $(or $(DYAD_DEPS),.deps))
export DYAD_DEPS
CC := gcc
PYTHON := /usr/bin/python3

MAKEFLAGS += --no-builtin-rules --no-print-directory
# As many jobs as CPUs, unless the caller said how many.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif
ifneq ($(V),1)
.SILENT:
endif
.DELETE_ON_ERROR:
.SECONDARY:

$(O)/dyad.efi:

# ---- Sources ---------------------------------------------------------------

layers := base arch/x86_64 vmm vmm/* drivers net console
hv_sources := $(sort $(wildcard $(layers:%=%/*.c) $(layers:%=%/*.S)) \
	$(filter-out boot/efi_%,$(wildcard boot/*.c)))
efi_sources := $(sort $(wildcard boot/efi_*.c) base/config.c boot/efi_image.S)

# What is pure in arch is tested natively too, beside the fake of the rest.
pure_arch := arch/x86_64/ept.c arch/x86_64/acpi.c arch/x86_64/gate.c arch/x86_64/guest_state.c
native_layers := base vmm vmm/* drivers net console tests/fake_arch
native_sources := $(sort $(wildcard $(native_layers:%=%/*.c) $(pure_arch)))
unit_sources := $(wildcard tests/unit/test_*.c)
fuzz_sources := $(wildcard tests/fuzz/fuzz_*.c)

headers := $(sort $(wildcard $(layers:%=%/*.h) net/port/*.h net/port/*/*.h boot/*.h \
	tests/fake_arch/*.h))
c_files := $(sort $(headers) $(filter %.c,$(hv_sources) $(efi_sources) $(native_sources)) \
	$(unit_sources) $(fuzz_sources) $(wildcard tests/*/*.h tests/guests/*.c tests/guests/*/*.c))

# The files of lwIP, mbedTLS and BearSSL that have code under the options in net/port.
lwip := $(addprefix core/,def inet_chksum init ip mem memp netif pbuf raw stats tcp tcp_in \
		tcp_out timeouts udp) \
	$(addprefix core/ipv4/,dhcp etharp icmp ip4 ip4_addr) \
	$(addprefix core/ipv6/,ethip6 icmp6 ip6 ip6_addr mld6 nd6) netif/ethernet
mbedtls := aes cipher cipher_wrap constant_time md memory_buffer_alloc platform platform_util \
	sha256 ssl_ciphersuites ssl_cli ssl_msg ssl_srv ssl_tls
bearssl := aead/gcm hash/ghash_ctmul64 hash/ghash_pclmul \
	$(addprefix symcipher/aes_,ct64 ct64_ctr ct64_enc x86ni x86ni_ctr) \
	codec/dec32le codec/enc32le
libraries := $(lwip:%=lwip/src/%) $(mbedtls:%=mbedtls/library/%) $(bearssl:%=bearssl/src/%)
library_sources := $(libraries:%=$(DYAD_DEPS)/%.c)

# Which of them may use vector registers: they run between fpu_begin and fpu_end only.
vector_objects := $(addprefix $(O)/hv/bearssl/src/,hash/ghash_pclmul.o symcipher/aes_x86ni.o \
	symcipher/aes_x86ni_ctr.o)

hv_objects := $(patsubst %,$(O)/hv/%.o,$(basename $(hv_sources)) $(libraries))
efi_objects := $(patsubst %,$(O)/efi/%.o,$(basename $(efi_sources)))
native_objects := $(patsubst %,$(O)/native/%.o,$(basename $(native_sources)) $(libraries))
fuzz_objects := $(native_objects:$(O)/native/%=$(O)/fuzz/%)
bench_objects := $(native_objects:$(O)/native/%=$(O)/bench/%)
unit_tests := $(unit_sources:%.c=$(O)/native/%)
fuzz_targets := $(fuzz_sources:%.c=$(O)/fuzz/%)

# ---- Flags -----------------------------------------------------------------

warnings := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wmissing-declarations -Wpointer-arith -Wcast-align \
	-Wwrite-strings -Wundef -Wvla -Wimplicit-fallthrough -Wredundant-decls -Wformat=2 \
	-Wno-format-nonliteral

# No path of the building machine in the result: two folders, the same bytes.
common = -std=gnu17 -g -fno-strict-aliasing -I. -MD -MP $(warnings) $(library_includes) \
	-ffile-prefix-map=$(CURDIR)/= -ffile-prefix-map=$(CURDIR)=. \
	-ffile-prefix-map=$(DYAD_DEPS)=.deps

registers := -mgeneral-regs-only
freestanding = $(common) -O2 -ffreestanding $(registers) -mno-red-zone \
	-fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fcf-protection=none

# The compiler's own headers before newlib's, which has some of the same names. Then
# newlib's <inttypes.h> must be told what newlib's <stdint.h> would have told it.
includes = -isystem $(shell $(CC) -print-file-name=include) \
	-isystem $(DYAD_DEPS)/newlib/include -D__int64_t_defined=1

HV_CFLAGS = $(freestanding) -nostdinc $(includes) -mcmodel=kernel -fno-pic -fno-pie \
	-ffunction-sections -fdata-sections -fstack-protector-strong \
	-mstack-protector-guard=global

EFI_CFLAGS = $(freestanding) -fpic -fshort-wchar -fno-stack-protector \
	-DGNU_EFI_USE_MS_ABI $(includes) -isystem /usr/include/efi -isystem /usr/include/efi/x86_64

NATIVE_CFLAGS = $(common) -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all $(unsanitized)

FUZZ_CFLAGS = $(NATIVE_CFLAGS) -fsanitize=fuzzer-no-link

BENCH_CFLAGS = $(common) -O2

# What only net/, its tests and the libraries themselves see of lwIP and mbedTLS.
library_users := $(foreach tree,hv native fuzz bench,\
	$(addprefix $(O)/$(tree)/,net/% tests/% lwip/% mbedtls/% bearssl/%))
$(library_users) check-headers: library_includes := -Inet/port \
	-isystem $(DYAD_DEPS)/lwip/src/include -isystem $(DYAD_DEPS)/mbedtls/include \
	-isystem $(DYAD_DEPS)/bearssl/inc \
	-DMBEDTLS_CONFIG_FILE='"net/port/mbedtls_config.h"'

# Other people's code has other people's warnings.
$(filter %/lwip/% %/mbedtls/% %/bearssl/%,$(library_users)): warnings := -w
# lwIP takes the first member of what may be NULL, and then asks whether it is.
$(filter %/lwip/%,$(library_users)): warnings := -w -fno-delete-null-pointer-checks
$(filter %/lwip/%,$(library_users)): unsanitized := -fno-sanitize=null
$(filter %/bearssl/%,$(library_users)): common += -I$(DYAD_DEPS)/bearssl/src
$(vector_objects): registers :=

# ---- Compiling -------------------------------------------------------------

compile_hv = $(CC) $(HV_CFLAGS)
compile_efi = $(CC) $(EFI_CFLAGS)
compile_native = gcc $(NATIVE_CFLAGS)
compile_fuzz = clang $(FUZZ_CFLAGS)
compile_bench = gcc $(BENCH_CFLAGS)

define compile
	mkdir -p $(@D)
	echo "  CC $@"
	$(compile_$(1)) -c $< -o $@
endef

define tree_rules
$(O)/$(1)/%.o: %.c Makefile | deps
	$$(call compile,$(1))

$(O)/$(1)/%.o: %.S Makefile | deps
	$$(call compile,$(1))

$(O)/$(1)/%.o: $(DYAD_DEPS)/%.c Makefile | deps
	$$(call compile,$(1))
endef
$(foreach tree,hv efi native fuzz bench,$(eval $(call tree_rules,$(tree))))

# In a fresh clone they come with `deps`.
$(library_sources): | deps ;

# ---- Hypervisor ------------------------------------------------------------

link_hv = $(CC) -nostdlib -static -Wl,-T,linker.ld,--gc-sections,--build-id=none \
	-Wl,-z,noexecstack,-z,max-page-size=4096,--fatal-warnings -o $@ $(filter %.o,$^) \
	$(DYAD_DEPS)/newlib/lib/libc.a

# Linked twice: the first image gives the addresses of the functions, the second
# has them in it. The comparison proves that no function moved.
$(O)/dyad.first.elf: $(hv_objects) linker.ld
	echo "  LD $@"
	$(link_hv)

$(O)/symbols.txt: $(O)/dyad.first.elf
	nm --numeric-sort $< >$@

$(O)/symbols.S: $(O)/symbols.txt tools/symbols
	tools/symbols $< >$@

$(O)/hv/symbols.o: $(O)/symbols.S
	$(CC) -c $< -o $@

$(O)/dyad.elf: $(hv_objects) $(O)/hv/symbols.o linker.ld
	echo "  LD $@"
	$(link_hv)
	nm --numeric-sort $@ >$@.txt && tools/symbols $@.txt | cmp - $(O)/symbols.S

$(O)/dyad.stripped.elf: $(O)/dyad.elf
	objcopy --strip-all $< $@

# ---- Loader ----------------------------------------------------------------

$(O)/efi/boot/efi_image.o: common += -DHYPERVISOR_ELF='"$(O)/dyad.stripped.elf"'
$(O)/efi/boot/efi_image.o: $(O)/dyad.stripped.elf

$(O)/efi/dyad.so: $(efi_objects)
	echo "  LD $@"
	ld -nostdlib -znocombreloc -shared -Bsymbolic --no-undefined --build-id=none \
		-z noexecstack -T /usr/lib/elf_x86_64_efi.lds /usr/lib/crt0-efi-x86_64.o $^ \
		-o $@ /usr/lib/libgnuefi.a

$(O)/dyad.efi: $(O)/efi/dyad.so
	echo "  EFI $@"
	SOURCE_DATE_EPOCH=0 objcopy -j .text -j .data -j .dynamic -j .dynsym -j .rel* -j .rela* \
		-j .reloc --target=efi-app-x86_64 --subsystem=10 $< $@

# ---- Native libraries, unit tests, fuzzers ------------------------------------

$(O)/native/libdyad.a: $(native_objects)
$(O)/fuzz/libdyad.a: $(fuzz_objects)
$(O)/bench/libdyad.a: $(bench_objects)
%/libdyad.a:
	echo "  AR $@"
	rm -f $@
	ar qcsD $@ $^

$(unit_tests): %: %.o $(O)/native/libdyad.a
	echo "  LD $@"
	gcc $(NATIVE_CFLAGS) $^ -lcmocka -o $@

$(fuzz_targets): %: %.o $(O)/fuzz/libdyad.a
	echo "  LD $@"
	clang $(FUZZ_CFLAGS) -fsanitize=fuzzer $^ -o $@

-include $(shell find $(O)/hv $(O)/efi $(O)/native $(O)/fuzz $(O)/bench -name '*.d' 2>/dev/null)
-include tests/guests/payloads.mk

# ---- Targets ---------------------------------------------------------------

.PHONY: all deps run demo test check unit guests e2e bench fuzz format clean help
all: $(O)/dyad.efi ## builds build/dyad.efi (the default)

deps: ## installs and builds what is needed; does nothing when all is there
	tools/deps

run: $(O)/dyad.efi ## boots Dyad with a Linux guest, its console on this terminal
	tools/lab run

demo: $(O)/dyad.efi ## the same by itself: ends when the guest's shell has answered
	tools/lab demo

# Each stage counts its own results; the last line sums them up.
test: $(O)/dyad.efi ## all tests
	+tools/run-tests "$(MAKE) check" "$(MAKE) fuzz-short" "$(MAKE) guests" \
		"$(MAKE) e2e"

checks := format headers layers words vectors tools clang reproducible
check: $(O)/dyad.elf $(unit_tests) ## the fast ones: style, layers, unit tests, a second compiler
	+tools/run-tests $(checks:%="$(MAKE) check-%") "$(MAKE) unit"

unit: $(unit_tests) ## unit tests only
	tools/run-tests $(unit_tests)

guests: $(O)/dyad.efi payloads ## guest payloads in an emulator
	$(PYTHON) -m pytest -rs tests/guests

TESTS := tests/e2e
e2e: $(O)/dyad.efi payloads ## whole hosts in an emulator; TESTS=FILE for some of them
	$(PYTHON) -m pytest -rs $(TESTS)

bench: $(O)/dyad.efi ## measures; docs/benchmarks.md says how
	tools/bench

# Findings go to a scratch folder, which libFuzzer writes; the corpus is only read.
FUZZ_SECONDS := 600
fuzz: $(fuzz_targets) ## fuzzes each target for FUZZ_SECONDS (600)
	tools/run-tests $(foreach target,$(fuzz_targets),"tools/fuzz $(target) $(FUZZ_SECONDS)")

fuzz-short:
	$(MAKE) fuzz FUZZ_SECONDS=20

format: ## formats all C files as check-format wants them
	clang-format -i $(c_files)

clean: ## removes what was built (not .deps)
	rm -rf $(O)

help: ## this list
	sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

# ---- Checks ----------------------------------------------------------------

.PHONY: payloads fuzz-short $(checks:%=check-%)

check-format: | deps
	clang-format --dry-run --Werror $(c_files)

# Each header compiles alone.
check-headers: | deps
	for header in $(filter-out boot/efi%,$(headers)); do \
		$(CC) $(filter-out -M%,$(HV_CFLAGS)) -fsyntax-only -include $$header -x c /dev/null || exit; \
	done
	for header in $(filter boot/efi%,$(headers)); do \
		$(CC) $(filter-out -M%,$(EFI_CFLAGS)) -fsyntax-only -include $$header -x c /dev/null || exit; \
	done

check-layers:
	tools/check-layers

# Only arch/x86_64 knows which virtualisation extension it runs on, and the list of
# what is started.
check-words:
	! grep -nwiE 'vmx|vmcs|vmxon|vmlaunch|vmresume|invept|invvpid|eptp?|svm|vmcb' \
		$(filter-out arch/% tests/% boot/main.c,$(c_files))

# A guest's vector registers stay in place while the hypervisor runs, but for the functions
# in vector_objects.
check-vectors: $(O)/dyad.elf
	nm --defined-only --format=just-symbols $(vector_objects) >$(O)/vectors.txt
	objdump -d --no-show-raw-insn $< | awk ' \
		NR == FNR { allowed["<" $$1 ">:"]; next } \
		/^[0-9a-f]+ </ { name = $$2 } \
		/%([xyz]?mm[0-9]|st)/ && !(name in allowed) { print name, $$0; found = 1 } \
		END { exit found }' $(O)/vectors.txt -

check-tools:
	$(PYTHON) -m pytest -q -rs tests/tools

check-clang:
	$(MAKE) CC=clang O=$(O)/clang

# A second build in another folder gives the same bytes.
check-reproducible: $(O)/dyad.efi
	rm -rf $(O)/copy && mkdir -p $(O)/copy/elsewhere
	tar -c --exclude=./.git --exclude=./.deps --exclude=./$(O) --exclude=./build . | \
		tar -x -C $(O)/copy/elsewhere
	$(MAKE) -C $(O)/copy/elsewhere O=out DYAD_DEPS=$(DYAD_DEPS)
	cmp $(O)/dyad.efi $(O)/copy/elsewhere/out/dyad.efi
	rm -rf $(O)/copy
