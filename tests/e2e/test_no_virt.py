# SPDX-License-Identifier: Apache-2.0
"""
A host without VT-x comes up with its console, and says what is missing.

QEMU without KVM has no VT-x, and real ACPI tables, which Bochs lacks.
"""
import re

import pytest

import tiny

from labkit.emulator import Ending

CONF = """\
[host]
name = alpha
[guest idle]
kernel = idle
memory = 4M
start = auto
"""
GUESTS = {"idle": tiny.image(tiny.HALT)}
NO_VTX = r"VT-x"


@pytest.fixture(scope="module")
def dyad(boot):
    return boot(CONF, GUESTS, emulator="qemu-tcg", cpus=2, cpu_model="max,vendor=GenuineIntel").boot()


def test_the_boot_names_what_is_missing(dyad):
    assert re.search(rf"warning: no-virt: .*{NO_VTX}", dyad.boot_log)
    assert re.search(r"^Dyad .*, host alpha: 2 CPUs, .*, state no-virt$", dyad.boot_log,
                     re.MULTILINE)


def test_the_acpi_tables_are_used(dyad):
    assert "ACPI present" in dyad.boot_log
    assert re.search(r"by the ACPI PM timer", dyad.command("info"))


def test_info_says_no_virt_and_why(dyad):
    assert re.search(rf"^guests +cannot run, state no-virt:\n +.*{NO_VTX}", dyad.command("info"),
                     re.MULTILINE)


def test_all_cpus_are_up(dyad):
    assert re.search(r"^CPU .*, 2 of 2 up$", dyad.command("info"), re.MULTILINE)


def test_guests_are_listed_but_do_not_start(dyad):
    assert "stopped" in dyad.state("idle")
    dyad.type("start idle")
    dyad.says("idle", rf"cannot start: .*{NO_VTX}")
    assert re.search(rf"stopped .*{NO_VTX}", dyad.state("idle"))


# The last two: they end what the others share.

def test_reboot_boots_again(dyad):
    dyad.type("reboot")
    dyad.expect("loader started")
    assert "no-virt" in dyad.boot().boot_log


def test_poweroff_ends_the_host_in_order(dyad):
    dyad.type("poweroff")
    assert dyad.host.wait() == Ending.POWEROFF


def test_an_amd_host_is_told_apart(boot):
    dyad = boot(CONF, GUESTS, emulator="qemu-tcg", cpu_model="max,vendor=AuthenticAMD").boot()
    assert re.search(r"^ +AMD CPU: .*Intel VT-x", dyad.command("info"), re.MULTILINE)
