# SPDX-License-Identifier: Apache-2.0
"""
A stock Debian kernel runs as a guest, from both of its forms, to a shell and back.

Most tests share one run of the guest: `shell` is a host with the guest at its
shell, and who ends the guest lets the next test start it again.
"""
import contextlib
import itertools
import re

import pytest

from conftest import DETACH, SHELL

KERNELS = {"debian": "vmlinux", "second": "vmlinux", "compressed": "bzImage"}
CONF = "[host]\nname = alpha\n" + "".join(f"""
[guest {name}]
kernel = {kernel}
initrd = initramfs.cpio.gz
cmdline = console=ttyS0
memory = 128M
start = manual
""" for name, kernel in KERNELS.items())

# Decompressing alone takes a bzImage half a minute in Bochs on an idle machine.
BOOT_S = 600
CYCLES = 50

numbers = itertools.count(1000)


@pytest.fixture(scope="module")
def dyad(boot, debian):
    # An MSR that the CPU does not have faults here, as on a real one.
    return boot(CONF, debian, ignore_bad_msrs=False).boot()


@pytest.fixture
def shell(dyad):
    if " running " not in dyad.state("debian"):
        dyad.start("debian")
        attach(dyad, "debian")
        dyad.expect(SHELL, BOOT_S)
        dyad.send(DETACH)
        dyad.prompt()
    return dyad


def attach(dyad, guest):
    """The console of a guest, from where its present run begins."""
    starts = int(re.search(r"MiB +(\d+)", dyad.state(guest)).group(1))
    dyad.type(f"console {guest}")
    if starts > 1:
        dyad.expect(f"^--- start {starts} of {guest} ---$")


@contextlib.contextmanager
def at_shell(dyad, guest="debian"):
    """Inside it the guest's shell listens, and what it said before has been shown."""
    number = next(numbers)
    with dyad.console(guest):
        dyad.send(f"echo shell $(({number}+1))\r")
        dyad.expect(f"^shell {number + 1}$")
        dyad.expect(SHELL)
        yield


def run_to_the_shell(dyad):
    """The guest whose console is shown boots, and a command typed there answers."""
    dyad.expect("^dyad-guest: init reached", BOOT_S)
    dyad.expect(SHELL)
    dyad.send("echo $((6*7))\r")
    dyad.expect("^42$")
    dyad.expect(SHELL)


def power_off_inside(dyad, guest):
    dyad.send("poweroff -f\r")
    dyad.says(guest, "stopped: power off$")
    dyad.expect(f"^--- {guest} has ended ---$")
    dyad.prompt()
    assert re.search(" stopped .*power off$", dyad.state(guest))


def test_the_kernel_runs_to_a_shell_and_again_without_a_leaked_page(dyad):
    before = None
    for _ in range(CYCLES):
        dyad.start("debian")
        attach(dyad, "debian")
        run_to_the_shell(dyad)
        power_off_inside(dyad, "debian")
        assert before in (None, dyad.free_pages())
        before = dyad.free_pages()


def test_an_nmi_reaches_the_kernel(shell):
    shell.type("nmi debian")
    with shell.console("debian"):
        shell.expect("NMI received for unknown reason")


def test_reboot_in_the_guest_starts_it_again(shell):
    with at_shell(shell):
        shell.send("reboot -f\r")
        shell.says("debian", "restarting: reboot$")
        shell.says("debian", "running")
        run_to_the_shell(shell)


def test_what_the_guest_said_while_detached_is_shown(shell):
    with at_shell(shell):
        shell.send("(sleep 1; echo said $((40+2)) alone) &\r")
        shell.expect(SHELL)
    with shell.console("debian"):
        shell.expect("said 42 alone\n")
        shell.send("\r")
        shell.expect(SHELL)


def test_a_paused_guest_keeps_its_state(shell):
    with at_shell(shell):
        shell.send("x=kept\r")
        shell.expect(SHELL)
    shell.type("pause debian")
    shell.says("debian", "paused")
    assert " paused " in shell.state("debian")
    shell.type("resume debian")
    shell.says("debian", "resumed")
    with at_shell(shell):
        shell.send("echo $x after all\r")
        shell.expect("^kept after all$")
        shell.expect(SHELL)


def test_the_clocks_of_the_guest_agree(shell):
    with at_shell(shell):
        shell.send("cat /sys/devices/system/clocksource/clocksource0/current_clocksource\r")
        assert shell.expect("^(kvm-clock|tsc)$")
        shell.send("dmesg | grep -ciE 'unstable|calibration failed|clock.*wrong'\r")
        shell.expect("^0$")
        shell.expect(SHELL)


def test_exits_are_counted_by_reason(shell):
    answer = shell.command("stats debian")
    for reason in ("CPUID", "HLT", "port I/O", "MSR write"):
        assert re.search(rf"^ +{reason} +[1-9]\d*$", answer, re.MULTILINE), reason


def test_two_linux_guests_share_one_cpu(shell):
    with at_shell(shell):
        shell.send("x=first\r")
        shell.expect(SHELL)
    shell.start("second")
    with shell.console("second"):
        run_to_the_shell(shell)
        shell.send("echo x is \"$x\".\r")
        shell.expect("^x is \\.$")
    with at_shell(shell):
        shell.send("echo x is \"$x\".\r")
        shell.expect("^x is first\\.$")
    for guest in ("debian", "second"):
        shell.stop(guest)


def test_the_compressed_kernel_runs_to_a_shell(dyad):
    dyad.start("compressed")
    attach(dyad, "compressed")
    run_to_the_shell(dyad)
    power_off_inside(dyad, "compressed")


def test_two_linux_guests_on_a_host_with_two_cpus(boot, debian):
    dyad = boot(CONF, debian, cpus=2).boot()
    for guest in ("debian", "second"):
        dyad.start(guest)
    for guest in ("debian", "second"):
        with dyad.console(guest):
            run_to_the_shell(dyad)
