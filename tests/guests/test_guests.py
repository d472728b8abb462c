# SPDX-License-Identifier: Apache-2.0
"""
Guest payloads: each runs as a guest, is judged by its counted markers and by
what Dyad says about its end, and leaves a host that answers, with its memory free.
"""
import re

import pytest

from conftest import ROOT, Guest, chunks, judge

OPERATOR = r"stopped: stopped by the operator$"
STOPPED = r"stopped: .+"
ANY = r"(stopped|cannot start): .+"
REFUSED = r"cannot start: .{20,}"

# Machines that behave as the manuals say.
BEHAVIOUR = [
    Guest("cpuid"), Guest("ports"), Guest("msrs"), Guest("apic_mmio"), Guest("x2apic"),
    Guest("timers"), Guest("interrupts"), Guest("exceptions"), Guest("modes"),
    Guest("ept_hole"), Guest("xsetbv"), Guest("cr"), Guest("vmx"), Guest("smc"),
    Guest("multiboot", cmdline="modules=2 first=1 last=end",
          modules=(("one", bytes(range(256)) * 20 + b"odd"), ("two", b"2"))),
    Guest("memory", memory=16),
    Guest("memory_large", "memory", "ram=130", memory=130),
    Guest("fpu"), Guest("idle"),
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
    Guest("jump_end", "jump_unmapped", ending=r"stopped: .*0x1000000\b"),
    Guest("jump_hole", "jump_unmapped", "at=hole", ending=r"stopped: .*0x50000000\b"),
    Guest("jump_apic", "jump_unmapped", "at=apic", ending=r"stopped: .*0xfee00000\b"),
]

# Guests that only their host can end.
ENDLESS = [
    Guest("halt_forever", ending=None),
    *(Guest(f"spin_{how}", "spin", f"how={how}", ending=None)
      for how in ("quietly", "exits", "faults", "prints", "timer", "ipi", "nmi", "halts")),
]

# Whatever comes of these, it must be said, and come to them alone.
STRANGE = [
    *(Guest(f"delivery_{where}", "delivery_hole", f"in={where}", ending=STOPPED)
      for where in ("stack", "idt", "gdt", "tables")),
    Guest("task_switch", ending=STOPPED),
    *(Guest(f"strange_{form}", "strange_mmio", f"form={form}", ending=STOPPED)
      for form in (*range(11), *range(12, 19))),
    Guest("strange_endless", "strange_mmio", "form=11", ending=None),
]

# make_bad_images.py. Dyad looks at no field behind these lies: such a guest starts.
HARMLESS = ("bad_bz_address", "bad_bz_header_end", "bad_elf_entry", "bad_elf_low",
            "bad_mb_addresses", "bad_mb_unordered", "bad_pvh_name_size",
            "bad_pvh_segment", "bad_pvh_value_size")


def bad_images():
    folder = ROOT / "build/guests/bad"
    names = sorted(path.name for path in folder.glob("bad_*")) if folder.is_dir() else []
    return [Guest(name, f"bad/{name}", judged=False, seconds=20,
                  ending=ANY if name in HARMLESS else REFUSED) for name in names]


GROUPS = chunks(BEHAVIOUR + STORMS + ENDINGS + ENDLESS + STRANGE) + chunks(bad_images())


# On a host with two CPUs guests run beside the service CPU.
TWO_CPUS = [
    Guest("cpuid"), Guest("timers"), Guest("interrupts"), Guest("exceptions"), Guest("modes"),
    Guest("x2apic"), Guest("fpu"), Guest("idle"),
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


@pytest.mark.parametrize("group, guest", cases([TWO_CPUS]))
def test_guest_with_two_cpus(rack, group, guest):
    run_alone(rack, group, guest, cpus=2)


@pytest.mark.parametrize("group, guest", cases([POLICIES]))
def test_guest_with_policy(rack, group, guest):
    run_alone(rack, group, guest)


@pytest.mark.parametrize("group, guest", cases([STRICT]))
def test_guest_where_unknown_msrs_fault(rack, group, guest):
    run_alone(rack, group, guest, ignore_bad_msrs=False)


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
