# SPDX-License-Identifier: Apache-2.0
"""A host without VT-x comes up with its console, and says what is missing."""
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


@pytest.fixture(scope="module")
def dyad(boot):
    guest = tiny.image(tiny.HALT)
    return boot(CONF, {"idle": guest}, emulator="qemu-tcg", cpus=2).boot()


def test_the_boot_names_what_is_missing(dyad):
    assert re.search(r"VT-x", dyad.boot_log)


def test_info_says_no_virt(dyad):
    answer = dyad.command("info")
    assert "no-virt" in answer
    assert "VT-x" in answer


def test_all_cpus_are_up(dyad):
    assert re.search(r"\b2\b.*CPU|CPU.*\b2\b", dyad.command("info"))


def test_guests_are_listed_but_do_not_start(dyad):
    assert "running" not in dyad.state("idle")
    assert "VT-x" in dyad.command("start idle")


def test_poweroff_ends_the_host_in_order(dyad):
    dyad.send("poweroff\r")
    assert dyad.host.wait() == Ending.POWEROFF
