# SPDX-License-Identifier: Apache-2.0
"""The serial console: commands, line editing, history, completion, the log, the end."""
import re

import pytest

import tiny

from labkit.emulator import Ending

COMMANDS = ("help", "info", "guests", "start", "stop", "reset", "pause", "resume", "console",
            "log", "stats", "reboot", "poweroff")
UP, DOWN, LEFT, RIGHT = "\x1b[A", "\x1b[B", "\x1b[D", "\x1b[C"
BACKSPACE, CTRL_U = "\x7f", "\x15"

GUESTS = {"web": tiny.image(tiny.say("web here\n"), tiny.HALT), "weird": tiny.image(tiny.HALT)}
CONF = "[host]\nname = alpha\n" + "".join(
    f"[guest {name}]\nkernel = {name}\nmemory = 4M\nstart = manual\n" for name in GUESTS)


@pytest.fixture(scope="module")
def dyad(boot):
    return boot(CONF, GUESTS).boot()


def test_the_greeting_names_the_host(dyad):
    assert re.search(r"^Dyad \S+, host alpha: 1 CPU, \d+ MiB, guests can run$", dyad.boot_log,
                     re.MULTILINE)


def test_help_lists_every_command(dyad):
    answer = dyad.command("help")
    for command in COMMANDS:
        assert re.search(rf"^{command} .*\.$", answer, re.MULTILINE), command
    assert "usage: start NAME" in dyad.command("help start")


def test_info_describes_the_host(dyad):
    answer = dyad.command("info")
    for line in (r"host +alpha", r"CPU +\S.*, 1 of 1 up", r"features +\S.*", r"clock +TSC .*",
                 r"guests +can run", r"memory +\d+ MiB, \d+ MiB free .*", r" +guests +0 MiB, .*",
                 r" +images +.*", r" +hypervisor +\d+ KiB", r"boot +\d+ ticks .*"):
        assert re.search(f"^{line}$", answer, re.MULTILINE), line


def test_an_unknown_command_is_answered_by_a_sentence(dyad):
    assert re.search(r"unknown command \"frobnicate\"; .*help", dyad.command("frobnicate"))
    assert "did you mean \"guests\"?" in dyad.command("geusts")


def test_wrong_arguments_are_answered_by_the_usage(dyad):
    assert "usage: start NAME" in dyad.command("start")
    assert "usage: start NAME" in dyad.command("start one two three")
    assert "takes no arguments" in dyad.command("info all")


@pytest.mark.parametrize("command", ("start", "stop", "reset", "pause", "resume", "console", "stats"))
def test_an_unknown_guest_is_named(dyad, command):
    assert "There is no guest \"nobody\"" in dyad.command(f"{command} nobody")


def test_an_empty_line_gives_a_new_prompt(dyad):
    dyad.send("\r")
    dyad.prompt()


def test_the_arrows_bring_back_earlier_lines(dyad):
    dyad.command("help help")
    dyad.command("help info")
    for key, line in ((UP, "help info"), (UP, "help help"), (DOWN, "help info"), ("\r", "usage: info")):
        dyad.send(key)
        dyad.expect(line)
    dyad.prompt()


def test_a_line_is_edited_in_its_middle(dyad):
    dyad.send("ifo" + LEFT + LEFT + "n" + RIGHT + RIGHT + "x" + BACKSPACE + "\r")
    dyad.expect("^host +alpha")
    dyad.prompt()


def test_tab_completes_commands_and_guests(dyad):
    dyad.send("gue\t\r")
    dyad.expect("^NAME ")
    dyad.prompt()
    dyad.send("stat\tweb\t\r")
    dyad.expect("^Guest web: ")
    dyad.prompt()


@pytest.mark.parametrize("typed, choices", (
    ("re", ("reboot", "reset", "resume")), ("start ", ("web", "weird"))))
def test_tab_lists_what_is_possible(dyad, typed, choices):
    dyad.send(typed + "\t\t")
    for choice in choices:
        dyad.expect(rf"\b{choice}\b")
    dyad.send(CTRL_U + "\r")
    dyad.prompt()


def test_a_line_too_long_harms_nobody(dyad):
    dyad.send("x" * 2000 + "\r")
    dyad.expect("unknown command")
    dyad.prompt()
    assert "alpha" in dyad.command("info")


def test_every_byte_may_be_typed(dyad):
    dyad.send(bytes(c for c in range(256) if c not in b"\r\n") + CTRL_U.encode() + b"\r")
    dyad.prompt()
    dyad.send("\r")
    assert "alpha" in dyad.command("info")


def test_the_log_is_kept_and_shown(dyad):
    assert re.search(r"^\[ *\d+\.\d{6}\] 1 of 1 CPUs are up$", dyad.command("log"), re.MULTILINE)


def test_the_log_shows_what_its_level_lets_through(dyad):
    assert "error" in dyad.command("log error")
    dyad.type("start web")
    with dyad.console("web"):
        dyad.expect("^web here$")
    answer = dyad.command("log loud")
    assert "guest web: running" not in dyad.host.text
    assert "error, warn, info" in answer
    dyad.command("log info")
    dyad.stop("web")
    assert "guest web: running" in dyad.command("log")


# The last ones: they end what the others share.

@pytest.mark.parametrize("command", ("reboot", "poweroff"))
def test_the_host_does_not_end_under_its_guests(dyad, command):
    dyad.start("web")
    assert f"1 guest would be cut off: shut them down first, or say `{command} --force`" \
        in dyad.command(command)
    assert "--force is the only one" in dyad.command(f"{command} --now")
    assert "running" in dyad.state("web")
    dyad.stop("web")


def test_reboot_boots_again(dyad):
    dyad.type("reboot")
    dyad.expect("^Rebooting")
    dyad.expect("loader started")
    dyad.boot()
    assert re.search(r" stopped .* 0 *$", dyad.state("web"))


def test_poweroff_by_force_ends_the_host_under_its_guests(dyad):
    dyad.start("web")
    dyad.type("poweroff --force")
    dyad.expect("^Powering off")
    assert dyad.host.wait() == Ending.POWEROFF
