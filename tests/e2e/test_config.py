# SPDX-License-Identifier: Apache-2.0
"""Mistakes in the configuration: each is named with its line, good guests start anyway."""
import re

import pytest

import tiny

GOOD = tiny.image(tiny.say("good here\n"), tiny.HALT)
SECRET = "feedface" * 8
CONF = f"""\
[host]
name = alpha
colour = blue

[guest first]
kernel = good
memory = 4M

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

[guest initrd]
kernel = good
initrd = nowhere.cpio
memory = 4M

[guest large]
kernel = good
memory = 64G

[guest broken]
kernel = broken
memory = 4M

[gost ghost]

[partner]
serial = com2
kez = {SECRET}

[guest last]
kernel = good
memory = 4M
"""

# What the message about a line must say: what is wrong, and what is allowed.
MISTAKES = {
    "colour = blue": r"unknown key \"colour\" in \[host\]; allowed: name, ",
    "memroy = 4M": r"unknown key \"memroy\" in \[guest typo\]; allowed: .*\bmemory\b",
    "[guest typo]": r"\[guest typo\] has no memory; allowed: .*2M to 1024G",
    "memory = lots": r"memory = \"lots\" in \[guest value\] is no size; allowed: .*2M to 1024G",
    "start = perhaps": r"start = \"perhaps\" in \[guest choice\] .*; allowed: auto, manual",
    "[gost ghost]": r"unknown section \"\[gost ghost\]\"; allowed: \[host\], \[interface NAME\], ",
    f"kez = {SECRET}": r"unknown key \"kez\" in \[partner\]; allowed: address, serial, key",
}

# Why a guest cannot start that is written down well; %d is the line of its section.
REASONS = {
    "missing": r"dyad\.conf:%d: \\dyad\\nowhere was not found .*; allowed: ",
    "initrd": r"dyad\.conf:%d: \\dyad\\nowhere\.cpio was not found .*; allowed: ",
    "large": r"dyad\.conf:%d: it needs 65536 MiB of memory; allowed: .*\d+ MiB",
    "broken": r"dyad\.conf:%d: kernel: .*ELF",
}
MISTAKEN = ("typo", "value", "choice")
GOOD_ONES = ("first", "last")


def line_of(text):
    return CONF.splitlines().index(text) + 1


def reason(guest):
    return REASONS[guest].replace("%d", str(line_of(f"[guest {guest}]")))


@pytest.fixture(scope="module")
def dyad(boot):
    dyad = boot(CONF, {"good": GOOD, "broken": b"\x7fELF nothing"}).boot()
    # Guests start one after the other: then the last one's fate is the last to be told.
    dyad.says("last", "running")
    return dyad


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_named_with_its_line_and_what_is_allowed(dyad, text):
    assert re.search(rf"error: dyad\.conf:{line_of(text)}: {MISTAKES[text]}", dyad.boot_log)


def test_what_could_be_the_key_of_the_pair_is_not_told(dyad):
    assert "feedface" not in dyad.boot_log + dyad.command("log")


def test_the_loader_names_the_files_that_it_read(dyad):
    assert re.search(rf"\\dyad\\good: {len(GOOD)} bytes", dyad.boot_log)
    assert re.search(r"\\dyad\\nowhere: not found", dyad.boot_log)


@pytest.mark.parametrize("guest", GOOD_ONES)
def test_the_good_guests_run(dyad, guest):
    assert re.search(r" running .* 1 *$", dyad.state(guest))
    with dyad.console(guest):
        dyad.expect("^good here$")


@pytest.mark.parametrize("guest", REASONS)
def test_a_guest_that_cannot_start_says_why(dyad, guest):
    assert re.search(rf"error: guest {guest}: cannot start: {reason(guest)}", dyad.command("log"))
    assert re.search(rf" stopped .*{reason(guest)}", dyad.state(guest))
    dyad.type(f"start {guest}")
    dyad.says(guest, f"cannot start: {reason(guest)}")
    assert re.search(rf" stopped .*{reason(guest)}", dyad.state(guest))


@pytest.mark.parametrize("guest", MISTAKEN)
def test_a_guest_with_mistakes_does_not_start(dyad, guest):
    section = line_of(f"[guest {guest}]")
    told = rf"dyad\.conf:{section}: its section has mistakes"
    assert re.search(rf" stopped .*{told}", dyad.state(guest))
    dyad.type(f"start {guest}")
    dyad.says(guest, f"cannot start: {told}")
    assert "stopped" in dyad.state(guest)


def test_a_configuration_without_guests_comes_up_and_says_so(boot):
    dyad = boot("").boot()
    assert "No guests: " in dyad.command("guests")
