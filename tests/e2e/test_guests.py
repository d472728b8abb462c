# SPDX-License-Identifier: Apache-2.0
"""Life of a guest as the console sees it: start, stop, pause, reset, end, crash."""
import re

import pytest

import tiny

GUESTS = {
    "idle": tiny.image(tiny.say("idle here\n"), tiny.HALT),
    "busy": tiny.image(tiny.say("busy here\n"), tiny.SPIN),
    "echo": tiny.image(tiny.say("echo here\n"), tiny.ECHO),
    "exits": tiny.image(tiny.exit_with(7), tiny.HALT),
    "faults": tiny.image(tiny.STACK, tiny.TRIPLE_FAULT),
    "resets": tiny.image(tiny.say("resets here\n"), tiny.KEYBOARD_RESET, tiny.HALT),
}
CONF = "[host]\nname = alpha\n" + "".join(
    f"[guest {name}]\nkernel = {name}\nmemory = 4M\nstart = manual\n"
    "on-reboot = stop\non-crash = stop\n" for name in GUESTS)
CYCLES = 50


@pytest.fixture(scope="module")
def dyad(boot):
    return boot(CONF, GUESTS).boot()


def free_pages(dyad):
    answer = dyad.command("info")
    match = re.search(r"(\d+) pages free", answer)
    assert match, f"no count of free pages in:\n{answer}"
    return int(match.group(1))


@pytest.mark.parametrize("guest", ("idle", "busy"))
def test_a_started_guest_runs_and_the_console_answers(dyad, guest):
    dyad.command(f"start {guest}")
    assert "running" in dyad.state(guest)
    with dyad.console(guest):
        dyad.expect(f"{guest} here")
    dyad.command(f"stop {guest}")
    assert "stopped" in dyad.state(guest)


def test_stopping_and_starting_leaks_no_page(dyad):
    # The first start may allocate what stays, such as the console's ring.
    dyad.command("start idle")
    dyad.command("stop idle")
    before = free_pages(dyad)
    for _ in range(CYCLES):
        dyad.command("start idle")
        with dyad.console("idle"):
            dyad.expect("idle here")
        dyad.command("stop idle")
    assert free_pages(dyad) == before


def test_several_guests_run_side_by_side(dyad):
    for guest in ("idle", "busy", "echo"):
        dyad.command(f"start {guest}")
    with dyad.console("echo"):
        dyad.expect("echo here")
        dyad.send("typed")
        dyad.expect("typed")
    for guest in ("idle", "busy", "echo"):
        assert "running" in dyad.state(guest)
        dyad.command(f"stop {guest}")


def test_pause_holds_a_guest_and_resume_lets_it_go(dyad):
    dyad.command("start echo")
    dyad.command("pause echo")
    assert "paused" in dyad.state("echo")
    dyad.command("resume echo")
    with dyad.console("echo"):
        dyad.send("again")
        dyad.expect("again")
    dyad.command("stop echo")


def test_reset_starts_a_guest_from_its_beginning(dyad):
    dyad.command("start echo")
    with dyad.console("echo"):
        dyad.expect("echo here")
    dyad.command("reset echo")
    with dyad.console("echo"):
        dyad.expect("echo here")
    dyad.command("stop echo")


def test_the_exit_code_of_a_guest_is_reported(dyad):
    dyad.send("start exits\r")
    dyad.expect(r"exits.*\b7\b")
    dyad.prompt()
    assert "stopped" in dyad.state("exits")


def test_a_crash_stops_the_guest_only(dyad):
    dyad.command("start idle")
    dyad.send("start faults\r")
    dyad.expect(r"faults.*triple fault")
    dyad.command("info")
    assert "running" in dyad.state("idle")
    assert "running" not in dyad.state("faults")
    dyad.command("stop idle")


def test_a_reset_ends_the_guest_as_configured(dyad):
    dyad.send("start resets\r")
    dyad.expect(r"resets.*(reset|reboot)")
    dyad.prompt()
    assert "stopped" in dyad.state("resets")


@pytest.mark.parametrize("command", ("start", "stop", "reset", "pause", "resume", "console", "stats"))
def test_an_unknown_guest_is_named(dyad, command):
    assert "nobody" in dyad.command(f"{command} nobody")


def test_commands_that_do_not_fit_the_state_say_so(dyad):
    assert re.search(r"idle.*(not running|stopped)", dyad.command("stop idle"))
    dyad.command("start idle")
    assert re.search(r"idle.*(already|running)", dyad.command("start idle"))
    dyad.command("stop idle")


def test_two_cpus_share_the_guests(boot):
    dyad = boot(CONF, GUESTS, cpus=2).boot()
    assert re.search(r"\b2\b.*CPU|CPU.*\b2\b", dyad.command("info"))
    for guest in ("idle", "busy", "echo"):
        dyad.command(f"start {guest}")
    with dyad.console("echo"):
        dyad.send("typed")
        dyad.expect("typed")
    for guest in ("idle", "busy", "echo"):
        dyad.command(f"stop {guest}")
