# SPDX-License-Identifier: Apache-2.0
"""
Guest payloads: each runs as a guest, is judged by its counted markers and by
what Dyad says about its end, and leaves a host that answers, with its memory free.
"""
import re

import pytest

from conftest import ROOT, Guest, chunks, judge

OPERATOR = r"stopped: stopped by the operator$"
NO_MEMORY = r"0x[0-9a-f]+, where there is no memory$"


def unknown(opcode):
    """Stopped at this instruction, which Dyad does not emulate."""
    return rf"stopped: unknown instruction on device memory at RIP 0x[0-9a-f]+: {opcode}\b"


def jumped_to(address):
    return rf"stopped: it jumped to code at {address}, where there is no memory$"


# Machines that behave as the manuals say.
BEHAVIOUR = [
    Guest("cpuid"), Guest("ports"), Guest("msrs"), Guest("apic_mmio"), Guest("x2apic"),
    Guest("timers"), Guest("interrupts"), Guest("exceptions"), Guest("modes"),
    Guest("prefixes"), Guest("single_step"),
    Guest("ept_hole"), Guest("xsetbv"), Guest("cr"), Guest("vmx"), Guest("smc"),
    Guest("multiboot", cmdline="modules=2 first=1 last=end",
          modules=(("one", bytes(range(256)) * 20 + b"odd"), ("two", b"2"))),
    Guest("memory", memory=16),
    Guest("memory_large", "memory", "ram=130", memory=130),
    Guest("fpu"), Guest("vectors_stay"), Guest("idle"),
]

# Guests that try to do harm, and go on.
STORMS = [
    Guest("msr_storm", seconds=300),
    Guest("io_storm", seconds=300),
]

# Guests that end themselves, in every way there is.
ENDINGS = [
    *(Guest(f"exit_{code}", "exit_code", f"code={code}", ending=rf"stopped: exit code {code}$")
      for code in (0, 1, 42, 2**32 - 1)),
    *(Guest(f"reset_{way}", "reset", f"by={way}", ending=r"stopped: reboot$")
      for way in ("i8042", "cf9", "port92", "acpi")),
    Guest("poweroff", ending=r"stopped: power off$"),
    Guest("triple_fault", ending=r"stopped: triple fault$"),
    Guest("jump_end", "jump_unmapped", ending=jumped_to("0x1000000")),
    Guest("jump_hole", "jump_unmapped", "at=hole", ending=jumped_to("0x50000000")),
    Guest("jump_apic", "jump_unmapped", "at=apic", ending=jumped_to("0xfee00000")),
]

# Guests that only their host can end.
ENDLESS = [
    Guest("halt_forever", ending=None),
    *(Guest(f"spin_{how}", "spin", f"how={how}", ending=None)
      for how in ("quietly", "exits", "faults", "prints", "timer", "ipi", "nmi", "halts")),
]

# What nobody emulates, by the forms of strange_mmio.c, and how the bytes begin.
STRANGE_FORMS = {
    0: "0f 28", 1: "0f 29", 2: "48 0f ae", 3: "f0 48 0f c7", 4: "0f 01", 5: "ff", 6: "ff",
    7: "c1", 8: "48 0f af", 9: "0f ae", 10: "48 cf", 12: "ff", 13: "8f", 14: "50",
    15: "f0 0f c1", 16: "a6", 17: "ae", 18: "0f ab",
}
STRANGE = [
    *(Guest(f"delivery_{where}", "delivery_hole", f"in={where}",
            ending=rf"stopped: it delivered an interrupt with a table or stack at {NO_MEMORY}")
      for where in ("stack", "idt")),
    Guest("delivery_gdt", "delivery_hole", "in=gdt", ending=unknown("8e d8")),  # MOV to DS
    Guest("delivery_tables", "delivery_hole", "in=tables",
          ending=rf"stopped: its page tables are at {NO_MEMORY}"),
    Guest("task_switch", ending=r"stopped: hardware task switch, which this machine does not have$"),
    *(Guest(f"strange_{form}", "strange_mmio", f"form={form}", ending=unknown(opcode))
      for form, opcode in STRANGE_FORMS.items()),
    Guest("strange_endless", "strange_mmio", "form=11", ending=None),
]

# make_bad_images.py: what the loader says of each.
REFUSED = {
    "bad_bz_alignment": "kernel_alignment 0x3: not possible$",
    "bad_bz_code_size": "68719476720 of code, the file has",
    "bad_bz_cut": "592 bytes with boot protocol",
    "bad_bz_init_size": "0xffffffff bytes at 0x200000 are not inside the guest's 16 MiB",
    "bad_bz_no_code": "and 0 of code, the file has",
    "bad_bz_setup": "131072 bytes of setup and",
    "bad_bz_version": "boot protocol 1.00, 2.12 is needed$",
    "bad_elf_address": "at 0xfee00000 are not inside the guest's 16 MiB",
    "bad_elf_cut": "ELF header is cut short",
    "bad_elf_cut_segment": "ELF segment 0 has .*, the file has",
    "bad_elf_entry": "entry 0x50000000 is not in what was loaded$",
    "bad_elf_file_size": "ELF segment 0 has 0xffffffff bytes",
    "bad_elf_memory_size": "0xffffffff bytes at 0x100000 are not inside the guest's 16 MiB",
    "bad_elf_offset": "ELF segment 0 has .* bytes at 0xfffff000",
    "bad_elf_stride": "1 ELF program headers of 1 bytes",
    "bad_elf_table": "1 ELF program headers of 32 bytes at 0xfffffff0 are not inside the file",
    "bad_elf_table_count": "65535 ELF program headers of 32 bytes",
    "bad_elf_wrap": "at 0xfffff000 are not inside the guest's 16 MiB",
    "bad_empty": "0 bytes, neither a bzImage nor an ELF file",
    "bad_mb_addresses": "multiboot addresses .* do not match the file",
    "bad_mb_flags": "requires multiboot features 0xfffc",
    "bad_mb_unordered": "multiboot addresses .* do not match the file",
    "bad_no_format": "16384 bytes, neither a bzImage nor an ELF file",
    "bad_one_byte": "1 bytes, neither a bzImage nor an ELF file",
    "bad_pvh_entry": "PVH entry 0x50000000 is not in what was loaded$",
    "bad_pvh_entry_64": "PVH entry 0x8000000000000000 is not in what was loaded$",
}
# Dyad looks at no field behind these lies: such a guest starts.
HARMLESS = {
    "bad_bz_address": "exit code 0$",
    "bad_bz_header_end": "exit code 0$",
    "bad_elf_low": "triple fault$",  # linked for elsewhere
    "bad_pvh_name_size": "exit code 0$",  # not a note: started by its multiboot header
    "bad_pvh_segment": "exit code 0$",
    "bad_pvh_value_size": "exit code 0$",
}
BAD_IMAGES = [
    Guest(name, f"bad/{name}", judged=False, seconds=20, ending=ending)
    for name, ending in sorted(
        [(name, rf"cannot start: dyad\.conf:\d+: kernel\b.*{words}") for name, words in REFUSED.items()]
        + [(name, f"stopped: {words}") for name, words in HARMLESS.items()])
]

GROUPS = chunks(BEHAVIOUR + STORMS + ENDINGS + ENDLESS + STRANGE) + chunks(BAD_IMAGES)


# On a host with two CPUs guests run beside the service CPU.
TWO_CPUS = [
    Guest("cpuid"), Guest("timers"), Guest("interrupts"), Guest("exceptions"), Guest("modes"),
    Guest("single_step"), Guest("x2apic"), Guest("fpu"), Guest("idle"),
    Guest("exit_42", "exit_code", "code=42", ending=r"stopped: exit code 42$"),
    Guest("triple_fault", ending=r"stopped: triple fault$"),
    Guest("spin_quietly", "spin", ending=None),
    Guest("spin_timer", "spin", "how=timer", ending=None),
    Guest("halt_forever", ending=None),
]

# What a CPU policy hides is not there; where AVX is hidden, fpu looks at SSE.
POLICIES = [Guest(f"{payload}_v{level}", payload, cpu=f"x86-64-v{level}")
            for level in (2, 3) for payload in ("cpuid", "msrs", "cr", "fpu", "vmx")]
POLICIES += [Guest("xsetbv_v3", "xsetbv", cpu="x86-64-v3")]

# On a host where an MSR that does not exist faults, also for Dyad.
STRICT = [Guest("cpuid"), Guest("msrs"), Guest("msr_storm", seconds=300)]

# At the same time: registers and memory of each are its own.
NEIGHBOURS = [
    *(Guest(f"fpu_{seed}", "fpu", f"seed={seed} rounds=60", seconds=180) for seed in (1, 2, 3)),
    Guest("vectors_stay", "vectors_stay", "seed=4 rounds=60", seconds=180),
    Guest("memory", seconds=180),
    Guest("spin", "spin", ending=None),
]


def cases(groups):
    return [pytest.param(group, guest, id=guest.name) for group in groups for guest in group]


def check(guest, ending, output):
    assert re.match(guest.ending or OPERATOR, ending), f"{ending}\n{output}"
    if guest.judged:
        judge(guest, output)


def run_alone(rack, group, guest, **machine):
    with rack.host(group, **machine) as dyad:
        free = dyad.free_pages()
        dyad.start(guest)
        if guest.ending is None:
            output = dyad.wait_marker(guest)
            ending = dyad.stop(guest)
        else:
            ending = dyad.wait_end(guest)
            output = dyad.output(guest)
        leaked = free - dyad.free_pages()
    check(guest, ending, output)
    assert leaked == 0


@pytest.mark.parametrize("group, guest", cases(GROUPS))
def test_guest(rack, group, guest):
    run_alone(rack, group, guest)


def test_every_bad_image_is_tried():
    made = {path.name for path in (ROOT / "build/guests/bad").glob("bad_*")}
    assert made == REFUSED.keys() | HARMLESS.keys(), "run `make payloads`"


@pytest.mark.parametrize("group, guest", cases([TWO_CPUS]))
def test_guest_with_two_cpus(rack, group, guest):
    run_alone(rack, group, guest, cpus=2)


@pytest.mark.parametrize("group, guest", cases([POLICIES]))
def test_guest_with_policy(rack, group, guest):
    run_alone(rack, group, guest)


@pytest.mark.parametrize("group, guest", cases([STRICT]))
def test_guest_where_unknown_msrs_fault(rack, group, guest):
    run_alone(rack, group, guest, ignore_bad_msrs=False)


# The number of each register in instructions.
REGISTERS = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
             "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15")
CODE_64 = r"CS +0008 base 0{16} limit ffffffff attributes 0a09b\b"
CRASHED = [
    Guest("triple_fault", ending=r"stopped: triple fault$"),
    Guest("jump_hole", "jump_unmapped", "at=hole", ending=jumped_to("0x50000000")),
]


def dump_of(dyad, guest):
    """What Dyad shows of the registers when it stops the guest."""
    dyad.start(guest)
    check(guest, dyad.wait_end(guest), output := dyad.output(guest))
    log = dyad.command("log")
    return log[log.rindex(f"guest {guest.name}: stopped"):], output


def registers(dump):
    return {name: int(value, 16)
            for name, value in re.findall(r"\b((?:R|CR|EFER)[A-Z0-9]*) +([0-9a-f]+)\b", dump)}


def test_registers_after_a_triple_fault(rack):
    with rack.host(CRASHED) as dyad:
        dump, output = dump_of(dyad, CRASHED[0])
    shown = registers(dump)
    rip, cr3 = re.search(r"^# RIP (\w+) CR3 (\w+)$", output, re.MULTILINE).groups()
    assert shown["RIP"] == int(rip, 16)
    assert shown["CR3"] == int(cr3, 16)
    assert shown["CR2"] == 0x4444444444444444
    assert shown["CR0"] & 0x80000001 == 0x80000001  # PG, PE
    assert shown["CR4"] & 0x20  # PAE
    assert shown["EFER"] & 0x500 == 0x500  # LMA, LME
    assert {name: shown[name] for name in REGISTERS} == {
        name: number * 0x0101010101010101 for number, name in enumerate(REGISTERS)}
    assert re.search(CODE_64, dump)
    assert re.search(r"IDTR 0{16}/0000\b", dump)
    assert re.search(r"exit reason 0*2 ", dump)  # SDM 3, appendix C


def test_registers_after_a_jump_to_nowhere(rack):
    with rack.host(CRASHED) as dyad:
        dump, _ = dump_of(dyad, CRASHED[1])
    shown = registers(dump)
    assert shown["RIP"] == 0x50000000
    assert 0x100000 <= shown["RSP"] < 0x1000000  # inside its RAM, as are its tables
    assert 0x100000 <= shown["CR3"] < 0x1000000
    assert shown["CR0"] & 0x80000001 == 0x80000001
    assert re.search(CODE_64, dump)
    assert re.search(r"exit reason 0*30 ", dump)
    assert re.search(r"\bGPA 50000000\b", dump)


@pytest.mark.parametrize("cpus", (1, 2))
def test_guests_side_by_side(rack, cpus):
    *ending, endless = NEIGHBOURS
    with rack.host(NEIGHBOURS, cpus=cpus) as dyad:
        for guest in reversed(NEIGHBOURS):
            dyad.start(guest)
        endings = {guest: dyad.wait_end(guest) for guest in ending}
        dyad.stop(endless)
        outputs = {guest: dyad.output(guest) for guest in ending}
    for guest in ending:
        check(guest, endings[guest], outputs[guest])
