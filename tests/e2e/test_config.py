# SPDX-License-Identifier: Apache-2.0
"""Mistakes in the configuration: each is named with its line, good guests start anyway."""
import re

import pytest

import tiny

GOOD = tiny.image(tiny.say("good here\n"), tiny.HALT)
CONF = """\
[host]
name = alpha
colour = blue

[guest good]
kernel = good
memory = 4M
start = auto

[guest typo]
kernel = good
memroy = 4M

[guest value]
kernel = good
memory = lots

[guest choice]
kernel = good
memory = 4M
start = perhaps

[guest missing]
kernel = nowhere
memory = 4M
start = auto

[guest large]
kernel = good
memory = 64G
start = auto

[guest broken]
kernel = broken
memory = 4M
start = auto

[gost ghost]
"""

# What the message about each must say, beside its line.
MISTAKES = {
    "colour = blue": r"colour",
    "memroy = 4M": r"memroy",
    "memory = lots": r"lots",
    "start = perhaps": r"perhaps.*auto.*manual",
    "[gost ghost]": r"gost",
}
BAD = ("typo", "value", "choice", "missing", "large", "broken")


@pytest.fixture(scope="module")
def dyad(boot):
    return boot(CONF, {"good": GOOD, "broken": b"\x7fELF nothing"}).boot()


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_named_with_file_and_line(dyad, line):
    number = CONF.splitlines().index(line) + 1
    assert re.search(rf"dyad\.conf:{number}: .*{MISTAKES[line]}", dyad.boot_log)


@pytest.mark.parametrize("guest, words", (
    ("missing", "nowhere"), ("large", "memory"), ("broken", "broken")))
def test_a_guest_that_cannot_start_is_named_with_the_reason(dyad, guest, words):
    assert re.search(rf"{guest}.*{words}", dyad.boot_log)


def test_the_good_guest_runs(dyad):
    assert "running" in dyad.state("good")


@pytest.mark.parametrize("guest", BAD)
def test_bad_guests_are_listed_and_refuse_to_start(dyad, guest):
    assert "running" not in dyad.state(guest)
    assert guest in dyad.command(f"start {guest}")
    assert "running" not in dyad.state(guest)


def test_without_a_configuration_dyad_comes_up_and_says_so(boot):
    dyad = boot("").boot()
    assert dyad.command("guests").strip()
