# SPDX-License-Identifier: Apache-2.0
"""
The payloads themselves, on another machine: in plain QEMU none of their tests
may fail. What its emulated CPU is known to do otherwise they skip by name. So a
payload that fails on Dyad is not simply wrong about PCs.
"""
import re
import shutil
import subprocess

import pytest

from conftest import ROOT

PAYLOADS = (
    "cpuid", "ports", "msrs", "apic_mmio", "timers", "interrupts", "exceptions", "modes",
    "ept_hole", "xsetbv", "cr", "vmx", "smc", "fpu", "vectors_stay", "idle", "memory", "multiboot",
    "prefixes", "single_step", "msr_storm", "io_storm", "bench_exit",
)
PASSED = 1  # the debug-exit device's status for code 0
SECONDS = 60


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payload(payload):
    qemu = shutil.which("qemu-system-x86_64")
    assert qemu, "qemu-system-x86_64 is missing: install the package qemu-system-x86"
    # Time by instructions executed, so that a busy machine changes nothing.
    result = subprocess.run(
        [qemu, "-machine", "pc,vmport=off", "-cpu", "max", "-m", "16", "-accel", "tcg",
         "-icount", "shift=1,sleep=off", "-rtc", "clock=vm", "-no-reboot", "-nodefaults",
         "-display", "none", "-serial", "stdio",
         "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
         "-kernel", str(ROOT / "build/guests" / payload), "-append", "first=1 last=end"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=SECONDS)
    output = result.stdout.decode(errors="replace")
    count = int(re.search(r"^BEGIN \S+ (\d+)", output, re.MULTILINE).group(1))
    done = re.findall(r"^(?:ok|skip) (\d+) ", output, re.MULTILINE)
    assert list(map(int, done)) == list(range(1, count + 1)), output
    assert re.search(r"^END \S+ \d+/\d+\s*\Z", output, re.MULTILINE), output
    assert result.returncode == PASSED, output
