# SPDX-License-Identifier: Apache-2.0
"""Life of a guest as the console sees it: start, stop, pause, reset, end, crash."""
import re

import pytest

import tiny

# Beyond this much kept output the oldest is dropped (vmm/vm.h, VM_OUTPUT_SIZE).
KEPT = 64 * 1024

IMAGES = {
    "idle": tiny.image(tiny.say("idle here\n"), tiny.HALT),
    "busy": tiny.image(tiny.say("busy here\n"), tiny.SPIN),
    "echo": tiny.image(tiny.say("echo here\n"), tiny.ECHO),
    "talks": tiny.image(tiny.say("first words\n"), tiny.say_often(".", KEPT),
                        tiny.say("\nlast words\n"), tiny.HALT),
    "quits": tiny.image(tiny.say("press a key\n"), tiny.WAIT_FOR_KEY, tiny.say("last words\n"),
                        tiny.exit_with(0), tiny.HALT),
    "ends": tiny.image(tiny.exit_with(0), tiny.HALT),
    "fails": tiny.image(tiny.exit_with(7), tiny.HALT),
    "faults": tiny.image(tiny.STACK, tiny.TRIPLE_FAULT),
    "resets": tiny.image(tiny.say("resets here\n"), tiny.KEYBOARD_RESET, tiny.HALT),
}


def guest(name, image=None, **settings):
    lines = [f"[guest {name}]", f"kernel = {image or name}", "memory = 4M", "start = manual"]
    return "\n".join(lines + [f"on-{key} = {value}" for key, value in settings.items()]) + "\n"


CONF = "[host]\nname = alpha\n" + "".join((
    *(guest(name) for name in IMAGES),
    guest("never", "idle"),
    guest("ends-again", "ends", poweroff="restart"),
    guest("faults-again", "faults", crash="restart"),
    guest("resets-once", "resets", reboot="stop"),
))
CYCLES = 50


@pytest.fixture(scope="module")
def dyad(boot):
    return boot(CONF, IMAGES).boot()


def test_a_guest_runs_says_something_and_is_stopped(dyad):
    dyad.start("idle")
    assert re.search(" running ", dyad.state("idle"))
    with dyad.console("idle"):
        dyad.expect("^idle here$")
    dyad.stop("idle")
    assert re.search(" stopped .*stopped by the operator", dyad.state("idle"))


def test_stopping_and_starting_leaks_no_page(dyad):
    # The first start takes what stays: the memory that keeps its output.
    dyad.start("idle")
    dyad.stop("idle")
    before = dyad.free_pages()
    for _ in range(CYCLES):
        dyad.start("idle")
        with dyad.console("idle"):
            dyad.expect("^idle here$")
        dyad.stop("idle")
    assert dyad.free_pages() == before


def test_a_guest_that_spins_with_interrupts_off_does_not_hold_the_console(dyad):
    dyad.start("busy")
    with dyad.console("busy"):
        dyad.expect("^busy here$")
    assert "alpha" in dyad.command("info")
    assert re.search("deadline or interrupt +[1-9]", dyad.command("stats busy"))
    dyad.stop("busy")


def test_several_guests_share_one_cpu(dyad):
    run_side_by_side(dyad)


def run_side_by_side(dyad):
    names = ("idle", "busy", "echo")
    for name in names:
        dyad.start(name)
    with dyad.console("echo"):
        dyad.expect("^echo here$")
        dyad.send("typed")
        dyad.expect("typed")
    for name in names:
        assert " running " in dyad.state(name)
    for name in names:
        dyad.stop(name)


def test_a_paused_guest_stands_still_until_it_is_resumed(dyad):
    dyad.start("busy")
    dyad.type("pause busy")
    dyad.says("busy", "paused")
    assert " paused " in dyad.state("busy")
    assert dyad.command("stats busy") == dyad.command("stats busy")
    dyad.type("resume busy")
    dyad.says("busy", "resumed")
    assert " running " in dyad.state("busy")
    dyad.stop("busy")


def test_what_is_typed_to_a_paused_guest_waits_for_it(dyad):
    dyad.start("echo")
    with dyad.console("echo"):
        dyad.expect("^echo here$")
    dyad.type("pause echo")
    dyad.says("echo", "paused")
    with dyad.console("echo"):
        dyad.send("waited")
    dyad.type("resume echo")
    dyad.says("echo", "resumed")
    with dyad.console("echo"):
        dyad.expect("waited")
    dyad.stop("echo")


@pytest.mark.parametrize("paused", (False, True))
def test_reset_starts_a_guest_from_its_beginning(dyad, paused):
    dyad.start("echo")
    if paused:
        dyad.type("pause echo")
        dyad.says("echo", "paused")
    dyad.type("reset echo")
    dyad.says("echo", "restarting: reset by the operator")
    dyad.says("echo", "running")
    with dyad.console("echo"):
        dyad.send("typed")
        dyad.expect("typed")
    dyad.stop("echo")


def test_a_paused_guest_can_be_stopped(dyad):
    dyad.start("idle")
    dyad.type("pause idle")
    dyad.says("idle", "paused")
    dyad.stop("idle")


def test_kept_output_is_shown_from_its_oldest_that_is_left(dyad):
    dyad.start("talks")
    with dyad.console("talks"):
        dyad.expect("^last words$")
    dyad.stop("talks")
    kept = dyad.command("console talks")
    assert "last words" in kept
    assert "first words" not in kept
    assert KEPT / 2 < kept.count(".") <= KEPT


def test_the_console_returns_when_the_guest_ends(dyad):
    dyad.start("quits")
    dyad.type("console quits")
    dyad.expect("^press a key$")
    dyad.send("x")
    dyad.says("quits", "stopped: exit code 0")
    dyad.expect("^--- quits has ended ---$")
    dyad.prompt()
    # Its last words were shown, and are still there.
    assert dyad.host.text.count("last words\n--- quits has ended") == 1
    assert re.search(r"^last words\n--- quits has ended ---$", dyad.command("console quits"),
                     re.MULTILINE)


def test_a_guest_that_never_ran_has_no_console(dyad):
    assert "Guest never has not run yet" in dyad.command("console never")
    assert re.search(r"stopped .* 0 *$", dyad.state("never"))


def test_the_exit_code_of_a_guest_is_told(dyad):
    dyad.type("start fails")
    dyad.says("fails", "stopped: exit code 7")
    assert re.search(" stopped .*exit code 7", dyad.state("fails"))


def test_a_crash_is_told_with_registers_and_stops_the_guest_only(dyad):
    dyad.start("idle")
    dyad.type("start faults")
    dyad.says("faults", "stopped: triple fault")
    dyad.expect(r"\brip\b|\bRIP\b")
    assert re.search(" stopped .*triple fault", dyad.state("faults"))
    assert " running " in dyad.state("idle")
    dyad.stop("idle")


def test_a_reset_ends_the_guest_for_good_where_configured(dyad):
    dyad.type("start resets-once")
    dyad.says("resets-once", "stopped: reboot")
    assert " stopped " in dyad.state("resets-once")


@pytest.mark.parametrize("name, why", (("resets", "reboot"), ("ends-again", "exit code 0")))
def test_a_guest_that_ends_is_started_again(dyad, name, why):
    dyad.type(f"start {name}")
    for _ in range(3):
        dyad.says(name, f"restarting: {why}")
        dyad.says(name, "running")
    dyad.stop(name)


def test_a_guest_that_crashes_again_and_again_is_left_stopped(dyad):
    before = None
    for _ in range(2):
        dyad.type("start faults-again")
        for _ in range(3):
            dyad.says("faults-again", "restarting: triple fault")
        dyad.says("faults-again", "crashed 4 times, left stopped; `start faults-again` tries again")
        assert " stopped " in dyad.state("faults-again")
        assert before in (None, dyad.free_pages())
        before = dyad.free_pages()


@pytest.mark.parametrize("command, state", (
    ("stop", "stopped"), ("reset", "stopped"), ("pause", "stopped"), ("resume", "stopped"),
    ("start", "running"), ("resume", "running"), ("start", "paused"), ("pause", "paused")))
def test_commands_that_do_not_fit_the_state_say_so(dyad, command, state):
    if state != "stopped":
        dyad.start("idle")
    if state == "paused":
        dyad.type("pause idle")
        dyad.says("idle", "paused")
    assert f"Guest idle is {state}." in dyad.command(f"{command} idle")
    assert f" {state} " in dyad.state("idle")
    if state != "stopped":
        dyad.stop("idle")


def test_several_guests_run_on_two_cpus(boot):
    dyad = boot(CONF, IMAGES, cpus=2).boot()
    assert re.search("^CPU .*2 of 2 up$", dyad.command("info"), re.MULTILINE)
    for _ in range(3):
        run_side_by_side(dyad)
    dyad.type("start faults")
    dyad.says("faults", "stopped: triple fault")
