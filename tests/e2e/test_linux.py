# SPDX-License-Identifier: Apache-2.0
"""A stock Debian kernel runs as a guest, from both of its forms, to a shell and back."""
import re

import pytest

from conftest import DETACH, SHELL

KERNELS = ("vmlinux", "bzImage")
CONF = "[host]\nname = alpha\n" + "".join(f"""
[guest {kernel}]
kernel = {kernel}
initrd = initramfs.cpio.gz
cmdline = console=ttyS0
memory = 192M
start = manual
""" for kernel in KERNELS)

# Decompressing alone takes a bzImage half a minute in Bochs.
BOOT_S = 600


@pytest.fixture(scope="module")
def dyad(boot, debian):
    return boot(CONF, debian).boot()


@pytest.mark.parametrize("kernel", KERNELS)
def test_guest_runs_to_a_shell_and_again(dyad, kernel):
    for _ in range(2):
        dyad.command(f"start {kernel}")
        dyad.send(f"console {kernel}\r")
        dyad.expect("^dyad-guest: init reached", BOOT_S)
        dyad.expect(SHELL)
        dyad.send("echo $((6*7))\r")
        dyad.expect("^42$")
        dyad.expect(SHELL)

        dyad.send("poweroff -f\r")
        dyad.expect(rf"{kernel}.*powered off")
        dyad.prompt()
        assert "stopped" in dyad.state(kernel)


def test_reboot_in_the_guest_starts_it_again(dyad):
    dyad.command("start vmlinux")
    with dyad.console("vmlinux"):
        dyad.expect(SHELL, BOOT_S)
        dyad.send("reboot -f\r")
        dyad.expect("^dyad-guest: init reached", BOOT_S)
    dyad.command("stop vmlinux")


def test_what_the_guest_said_while_detached_is_shown(dyad):
    dyad.command("start vmlinux")
    with dyad.console("vmlinux"):
        dyad.expect(SHELL, BOOT_S)
        dyad.send("sleep 1; echo said $((40+2)) alone\r")
        dyad.send(DETACH)
        dyad.prompt()
        dyad.send("console vmlinux\r")
        dyad.expect("^said 42 alone")
    dyad.command("stop vmlinux")


def test_a_paused_guest_keeps_its_state(dyad):
    dyad.command("start vmlinux")
    with dyad.console("vmlinux"):
        dyad.expect(SHELL, BOOT_S)
        dyad.send("x=kept\r")
        dyad.expect(SHELL)
    dyad.command("pause vmlinux")
    assert "paused" in dyad.state("vmlinux")
    dyad.command("resume vmlinux")
    assert "running" in dyad.state("vmlinux")
    with dyad.console("vmlinux"):
        dyad.send("echo $x after all\r")
        dyad.expect("^kept after all$")
    dyad.command("stop vmlinux")


def test_exits_are_counted_by_reason(dyad):
    dyad.command("start vmlinux")
    with dyad.console("vmlinux"):
        dyad.expect(SHELL, BOOT_S)
    first, second = (dyad.command("stats vmlinux") for _ in range(2))
    assert re.search(r"cpuid\D+[1-9]\d*", first, re.IGNORECASE)
    assert re.search(r"^.*\bhlt\b.*$", second, re.IGNORECASE | re.MULTILINE)
    dyad.command("stop vmlinux")


def test_no_msr_is_touched_that_the_cpu_does_not_have(boot, debian):
    # Elsewhere the emulator forgives that, which a real CPU does not.
    strict = boot(CONF, debian, ignore_bad_msrs=False).boot()
    strict.command("start vmlinux")
    with strict.console("vmlinux"):
        strict.expect(SHELL, BOOT_S)
